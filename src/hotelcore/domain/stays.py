"""A stay: local calendar dates, half-open, so that a departure day is somebody's arrival day."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from attrs import frozen

from hotelcore.domain.fields import day
from hotelcore.errors import InvalidInput

__all__ = ["MOST_NIGHTS", "Stay", "check_stay"]

MOST_NIGHTS = 999
"""The longest stay or blocked period, in nights; longer ones are typing errors."""


@frozen
class Stay:
    """The nights from ``arrival`` up to, not including, ``departure``.

    Nights are counted by the calendar, never by hours, so a clock change or a skipped day of a
    time zone changes nothing. ``departure == arrival`` is a day use: no night at all. Raises
    `InvalidInput` for a departure before the arrival, more than 999 nights, or a datetime.
    """

    arrival: date = day()
    departure: date = day()

    def __attrs_post_init__(self) -> None:
        if self.departure < self.arrival:
            raise InvalidInput("departure", "must not be before the arrival")
        if len(self) > MOST_NIGHTS:
            raise InvalidInput("departure", f"must be at most {MOST_NIGHTS} nights after arrival")

    def __len__(self) -> int:
        return (self.departure - self.arrival).days

    def __bool__(self) -> bool:
        """Every stay counts as something, a day use too."""
        return True

    def __iter__(self) -> Iterator[date]:
        """Give the nights in order."""
        days = range(self.arrival.toordinal(), self.departure.toordinal())
        return map(date.fromordinal, days)

    def __contains__(self, night: object) -> bool:
        return isinstance(night, date) and self.arrival <= night < self.departure

    @property
    def nights(self) -> tuple[date, ...]:
        """The nights in order, empty for a day use."""
        return tuple(self)

    @property
    def is_day_use(self) -> bool:
        """Whether the guest leaves on the day of arrival."""
        return self.arrival == self.departure

    def overlaps(self, other: Stay) -> bool:
        """Tell whether both stays need a room on one same night."""
        return max(self.arrival, other.arrival) < min(self.departure, other.departure)

    def is_over(self, business_date: date) -> bool:
        """Tell whether the last night, or the one day of a day use, lies before the date."""
        if self.is_day_use:
            return business_date > self.arrival
        return business_date >= self.departure

    def from_day(self, first: date) -> Stay:
        """Return the part from ``first`` on; a day use on the departure when nothing is left."""
        return Stay(min(max(self.arrival, first), self.departure), self.departure)

    def until_day(self, end: date) -> Stay:
        """Return the part before ``end``; a day use on the arrival when nothing is left."""
        return Stay(self.arrival, max(min(self.departure, end), self.arrival))


def check_stay(name: str, value: object) -> Stay:
    """Return ``value`` if it is a stay; `InvalidInput` with the argument's name if not."""
    if not isinstance(value, Stay):
        raise InvalidInput(name, "must be a Stay")
    return value
