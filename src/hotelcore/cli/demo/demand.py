"""Who wants a room in a demo hotel, and when: made up by a seeded generator."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from random import Random
from typing import TypeVar

from attrs import frozen

from hotelcore.domain.stays import Stay

__all__ = ["Request", "requests_by_day"]

T = TypeVar("T")

# Chances in a hundred of a stay of so many nights, as in a city hotel: mostly short.
_LENGTHS: Mapping[int, int] = {1: 30, 2: 30, 3: 20, 4: 10, 5: 6, 7: 4}
_MEAN_NIGHTS = sum(nights * chance for nights, chance in _LENGTHS.items()) / 100
# What guests who are in house on some evening have left of their stays.
_REMAINDERS = {
    n: sum(chance for nights, chance in _LENGTHS.items() if nights >= n) for n in range(1, 8)
}
# What the hotel fills in an ordinary week, and how much of its demand cancels or never comes.
_OCCUPANCY = 0.75
_LOSS = 0.09
# Monday to Sunday.
_WEEK = (0.95, 1.0, 1.02, 1.0, 1.08, 1.12, 0.83)
_LONGEST_LEAD = 7
_CHANNELS = ("direct", "ota", "ota", "company", "phone")
_DAY = timedelta(days=1)


@frozen(kw_only=True)
class Request:
    """One wish for a room. ``type_code`` names the room type, ``held`` a booking not yet firm."""

    stay: Stay
    type_code: str
    adults: int
    channel: str
    prepaid: bool
    held: bool


def requests_by_day(
    rng: Random, first: date, days: int, shares: Mapping[str, int]
) -> Mapping[date, Sequence[Request]]:
    """Make up all requests of ``days`` days from ``first`` on, by the day on which they are made.

    ``shares`` gives the number of rooms of each type code. The hotel opens on ``first`` with as
    many arrivals as an ordinary night has guests, so that every day shown is an ordinary one.
    """
    rooms = sum(shares.values())
    requests: defaultdict[date, list[Request]] = defaultdict(list)
    for offset in range(days + _LONGEST_LEAD):
        arrival = first + offset * _DAY
        guests = rooms * _OCCUPANCY * _WEEK[arrival.weekday()] / (1 - _LOSS)
        wanted = guests / _MEAN_NIGHTS if offset else guests
        lengths = _LENGTHS if offset else _REMAINDERS
        number = max(0, round(rng.gauss(wanted, wanted**0.5 / 2)))
        for request in _arrivals(rng, arrival, shares, _drawn(rng, lengths, number)):
            made_on = max(first, arrival - _lead(rng) * _DAY)
            requests[made_on].append(request)
    return requests


def _arrivals(
    rng: Random, arrival: date, shares: Mapping[str, int], lengths: Sequence[int]
) -> Iterator[Request]:
    for code, nights in zip(_drawn(rng, shares, len(lengths)), lengths, strict=True):
        channel = rng.choice(_CHANNELS)
        yield Request(
            stay=Stay(arrival, arrival + nights * _DAY),
            type_code=code,
            adults=rng.choice((1, 1, 2, 2, 2)),
            channel=channel,
            prepaid=channel == "ota" and rng.random() < 0.5,
            held=channel == "company" and rng.random() < 0.3,
        )


def _drawn(rng: Random, chances: Mapping[T, int], number: int) -> list[T]:
    return rng.choices(list(chances), list(chances.values()), k=number)


def _lead(rng: Random) -> int:
    """Draw how many days ahead a guest books: most shortly before, a few a week."""
    return min(_LONGEST_LEAD, int(rng.expovariate(0.5)))
