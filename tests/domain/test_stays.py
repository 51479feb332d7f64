"""Stays are half-open runs of calendar nights, whatever the clocks of the place do."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore.clock import local_date
from hotelcore.domain.availability import plan_rooms
from hotelcore.domain.stays import MOST_NIGHTS, Stay
from hotelcore.errors import InvalidInput
from hotelcore.ids import BookingId, RoomId, new_id

days = st.dates(date(1995, 1, 1), date(2037, 12, 31))
stays = st.builds(
    lambda arrival, nights: Stay(arrival, arrival + timedelta(days=nights)),
    days,
    st.integers(0, 60),
)
DAY = timedelta(days=1)


@given(stays)
def test_nights_run_from_arrival_up_to_departure(stay: Stay) -> None:
    """There are as many nights as days between, each the day after the one before."""
    assert len(stay) == len(stay.nights) == (stay.departure - stay.arrival).days
    assert all(night in stay for night in stay)
    assert stay.departure not in stay
    assert list(stay) == sorted(set(stay))


@given(stays, stays)
def test_overlap_means_a_common_night(one: Stay, other: Stay) -> None:
    """Two stays overlap exactly when one night is in both; a day use overlaps nothing."""
    assert one.overlaps(other) == bool(set(one) & set(other))
    assert one.overlaps(other) == other.overlaps(one)


@given(stays, days)
def test_a_day_splits_a_stay_without_loss(stay: Stay, day: date) -> None:
    """What comes before a day and from it on are together all nights, each once."""
    assert stay.until_day(day).nights + stay.from_day(day).nights == stay.nights


@given(stays, days)
def test_a_stay_is_over_once_none_of_it_is_left(stay: Stay, day: date) -> None:
    """A stay with nights is over from its departure on, a day use after its one day."""
    last = stay.arrival if stay.is_day_use else stay.departure - DAY
    assert stay.is_over(day) == (day > last)


@pytest.mark.parametrize(
    ("arrival", "departure"),
    [
        (date(2026, 1, 2), date(2026, 1, 1)),
        (date(2026, 1, 1), date(2026, 1, 1) + timedelta(days=MOST_NIGHTS + 1)),
        (date(1026, 1, 1), date(2026, 1, 1)),
        (date(1899, 12, 31), date(1900, 1, 2)),
        (date(2199, 12, 31), date(2200, 1, 1)),
        (datetime(2026, 1, 1, tzinfo=UTC), date(2026, 1, 2)),
        ("2026-01-01", date(2026, 1, 2)),
        (None, date(2026, 1, 2)),
    ],
)
def test_impossible_stays_are_refused(arrival: date, departure: date) -> None:
    """Backward, endless, ancient and untyped stays name the field that is wrong."""
    with pytest.raises(InvalidInput) as refused:
        Stay(arrival, departure)
    assert refused.value.field in {"arrival", "departure"}


def test_a_day_that_never_was_counts_by_the_calendar() -> None:
    """Apia skipped 2011-12-30: the hotel's date jumps there, and a stay across has its nights."""
    before = datetime(2011, 12, 30, 9, tzinfo=UTC)
    assert local_date(before, "Pacific/Apia") == date(2011, 12, 29)
    assert local_date(before + timedelta(hours=2), "Pacific/Apia") == date(2011, 12, 31)
    assert len(Stay(date(2011, 12, 29), date(2011, 12, 31))) == 2


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 8)), max_size=40))
def test_a_plan_is_whole_when_the_rooms_suffice(raw: list[tuple[int, int]]) -> None:
    """With as many rooms as the fullest night needs, every stay gets one, and none meet."""
    first = date(2026, 1, 1)
    booked = {
        BookingId(new_id()): Stay(first + timedelta(begin), first + timedelta(begin + nights))
        for begin, nights in raw
    }
    fullest = max(
        (sum(night in stay for stay in booked.values()) for night in map(_night, range(30))),
        default=0,
    )
    rooms = [RoomId(new_id()) for _ in range(fullest)]
    plan = plan_rooms(booked.items(), rooms, {})
    assert plan.keys() == booked.keys()
    assert set(plan.values()) <= set(rooms)
    for room in rooms:
        there = [booked[key] for key, given_room in plan.items() if given_room == room]
        nights = [night for stay in there for night in stay]
        assert len(nights) == len(set(nights))


def _night(number: int) -> date:
    return date(2026, 1, 1) + timedelta(days=number)


@given(
    st.lists(st.tuples(st.integers(0, 10), st.integers(1, 5)), max_size=12),
    st.lists(st.tuples(st.integers(0, 2), st.integers(0, 12)), max_size=6),
)
def test_a_plan_never_uses_a_taken_night(
    raw: list[tuple[int, int]], blocked: list[tuple[int, int]]
) -> None:
    """No planned stay lies on what is taken or on another; who got none had no room left."""
    rooms = [RoomId(new_id()) for _ in range(3)]
    taken: dict[RoomId, list[Stay]] = {}
    for chosen, night in blocked:
        taken.setdefault(rooms[chosen], []).append(Stay(_night(night), _night(night + 1)))
    booked = {BookingId(new_id()): Stay(_night(b), _night(b + n)) for b, n in raw}
    plan = plan_rooms(booked.items(), rooms, taken)
    for room in rooms:
        there = [booked[key] for key, given_room in plan.items() if given_room == room]
        nights = [night for stay in there for night in stay]
        assert len(nights) == len(set(nights))
        assert not any(stay.overlaps(other) for stay in there for other in taken.get(room, ()))
    assert set(plan.values()) <= set(rooms)
    for left_out in booked.keys() - plan.keys():
        for room in rooms:
            others = [booked[key] for key, given_room in plan.items() if given_room == room]
            assert any(map(booked[left_out].overlaps, [*others, *taken.get(room, ())]))
