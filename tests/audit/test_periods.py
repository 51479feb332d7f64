"""The audit log by time: an entry is in every period that its moment is in, and in no other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore import HotelCore
from hotelcore.clock import FixedClock
from hotelcore.lists import AuditFilter, every
from hotelcore.operations import register_guest
from tests.small_hotel import SmallHotel, open_hotel

BEGIN = datetime(2020, 1, 1, 12, tzinfo=UTC)
# Later and earlier, as on a machine whose clock is set back: the log's order is not that of time.
MINUTES = (0, 1, 1, 5, 3, 9)
ENTRIES = [BEGIN + timedelta(minutes=each) for each in MINUTES]

moments = st.none() | st.builds(
    lambda minutes, hours: (BEGIN + timedelta(minutes=minutes)).astimezone(
        timezone(timedelta(hours=hours))
    ),
    st.integers(-1, 10),
    st.integers(-12, 14),
)


@pytest.fixture
def hotel(schema_url: str) -> Iterator[SmallHotel]:
    """Open a hotel where a guest was registered at each of the moments."""
    clock = FixedClock(BEGIN)
    with closing(HotelCore(schema_url, clock=clock)) as core:
        core.create_schema()
        hotel = open_hotel(core)  # with its first guest
        for moment in ENTRIES[1:]:
            clock.set(moment)
            hotel.desk.run(register_guest, last_name="Guest")
        yield hotel


@given(since=moments, before=moments, limit=st.integers(1, 7))
def test_a_period_has_its_entries(
    hotel: SmallHotel, since: datetime | None, before: datetime | None, limit: int
) -> None:
    """The first moment is in a period, its end is not, in whatever time zone they are given."""
    which = AuditFilter(operation="register_guest", since=since, before=before)
    due = [
        moment
        for moment in ENTRIES
        if (since is None or moment >= since) and (before is None or moment < before)
    ]
    if since or before:
        due.sort()
    with hotel.desk.reading() as uow:
        found = every(lambda after: uow.audit.page(which, after=after, limit=limit))
        assert [entry.at for entry in found] == due[::-1]


@pytest.mark.parametrize("field", ["since", "before"])
def test_a_moment_knows_its_time_zone(field: str) -> None:
    """What would be another moment on every server is refused, and what no database could hold."""
    for moment in (
        datetime(2020, 1, 1),
        "2020-01-01T00:00Z",
        BEGIN.date(),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=1))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
    ):
        with pytest.raises(ValueError, match=f"{field}: "):
            AuditFilter(**{field: moment})  # type: ignore[arg-type]  # what is wrong on purpose
