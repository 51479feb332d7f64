"""Ids strictly increase whatever the clock does; instants are UTC and dates are the hotel's."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import pairwise
from threading import Thread
from types import FrameType
from typing import TYPE_CHECKING
from uuid import RFC_4122, UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore.clock import FixedClock, SystemClock, local_date, require_utc, time_zone
from hotelcore.errors import InvalidInput
from hotelcore.ids import IdSource, new_id, uuid7

if TYPE_CHECKING:
    from _typeshed import TraceFunction

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
EARLIEST, LATEST = datetime(1970, 1, 2), datetime(9998, 12, 31)  # naive on purpose
naive_instants = st.datetimes(EARLIEST, LATEST)
instants = st.datetimes(EARLIEST, LATEST, timezones=st.just(UTC))


@given(st.integers(0, 2**48 - 1), st.integers(0, 2**74 - 1))
def test_uuid7_has_the_layout_of_the_rfc(unix_ms: int, randomness: int) -> None:
    """Time, version, variant and randomness stand where RFC 9562 puts them, and nothing is lost."""
    made = uuid7(unix_ms, randomness)
    assert made.int >> 80 == unix_ms
    assert (made.version, made.variant) == (7, RFC_4122)
    assert (made.int >> 64) % 2**12 == randomness >> 62
    assert made.int % 2**62 == randomness % 2**62


def test_uuid7_matches_the_example_of_the_rfc() -> None:
    """The example of RFC 9562, appendix A.6, comes out."""
    made = uuid7(0x017F22E279B0, 0xCC3 << 62 | 0x18C4DC0C0C07398F)
    assert made == UUID("017F22E2-79B0-7CC3-98C4-DC0C0C07398F")


@pytest.mark.parametrize(("unix_ms", "randomness"), [(-1, 0), (2**48, 0), (0, -1), (0, 2**74)])
def test_uuid7_refuses_what_does_not_fit(unix_ms: int, randomness: int) -> None:
    """A value that would spill into a neighbouring field is refused."""
    with pytest.raises(InvalidInput):
        uuid7(unix_ms, randomness)


@given(st.lists(instants, min_size=2, max_size=50), st.binary(min_size=8, max_size=8))
def test_ids_increase_whatever_the_clock_does(readings: list[datetime], chance: bytes) -> None:
    """A clock that jumps, also backwards, never makes an id smaller than the one before."""
    clock = FixedClock(NOON)
    source = IdSource(clock, lambda _: chance)
    made = []
    for reading in readings:
        clock.set(reading)
        made += [source.next_id(), source.next_id()]
    assert all(earlier < later for earlier, later in pairwise(made))
    assert all((one.version, one.variant) == (7, RFC_4122) for one in made)


def test_ids_increase_beyond_the_counter_of_a_millisecond() -> None:
    """More ids than the counter has room for still increase while the clock stands still."""
    source = IdSource(FixedClock(NOON))
    made = [source.next_id() for _ in range(10_000)]
    assert all(earlier < later for earlier, later in pairwise(made))
    noon_ms = int(NOON.timestamp() * 1000)
    assert [one.int >> 80 for one in (made[0], made[4095], made[4096])] == [
        noon_ms,
        noon_ms,
        noon_ms + 1,
    ]


def test_ids_follow_the_clock() -> None:
    """An id says when it was made, and the counter starts anew with each millisecond."""
    clock = FixedClock(NOON)
    source = IdSource(clock, bytes)
    source.next_id()
    clock.advance(timedelta(milliseconds=7, microseconds=999))
    assert source.next_id() == uuid7(int(NOON.timestamp() * 1000) + 7, 0)


def step(_frame: FrameType, _event: str, _argument: object) -> TraceFunction:
    """Do nothing, but as a call: at every call the interpreter may turn to another thread."""
    return step


@pytest.fixture
def restless_threads() -> Iterator[None]:
    """Let new threads give way between any two lines, so that a missing lock shows itself."""
    usual_interval, usual_trace = sys.getswitchinterval(), threading.gettrace()
    sys.setswitchinterval(1e-6)
    threading.settrace(step)
    yield
    threading.settrace(usual_trace)
    sys.setswitchinterval(usual_interval)


@pytest.mark.usefixtures("restless_threads")
def test_ids_increase_under_eight_threads() -> None:
    """Eight threads on one source never get the same id, and each sees its own increase."""
    source = IdSource(FixedClock(NOON), bytes)  # No chance at all: only the counter tells apart.
    made: list[list[UUID]] = [[] for _ in range(8)]

    def fill(own: list[UUID]) -> None:
        own.extend(source.next_id() for _ in range(500))

    threads = [Thread(target=fill, args=(own,)) for own in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(earlier < later for own in made for earlier, later in pairwise(own))
    assert len({one for own in made for one in own}) == 4_000


def test_an_id_before_1970_is_refused() -> None:
    """A clock before the epoch has no place in the layout; a right clock mends it."""
    clock = FixedClock(datetime(1969, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))
    source = IdSource(clock)
    with pytest.raises(InvalidInput):
        source.next_id()
    clock.set(NOON)
    assert source.next_id().version == 7


def test_new_id_uses_the_machines_clock() -> None:
    """The default source makes increasing ids of the present time."""
    before = time.time_ns() // 1_000_000
    first, second = new_id(), new_id()
    assert before <= first.int >> 80 <= time.time_ns() // 1_000_000
    assert first < second


def test_the_system_clock_is_utc_and_monotonic() -> None:
    """The machine's clock gives aware UTC instants and seconds that never fall."""
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()


@given(instants, st.timedeltas(timedelta(), timedelta(days=300)))
def test_a_fixed_clock_moves_only_when_told(instant: datetime, by: timedelta) -> None:
    """Advancing moves the instant and the seconds; setting moves the instant alone."""
    clock = FixedClock(instant)
    assert clock.now() == instant
    begun = clock.monotonic()
    clock.advance(by)
    assert clock.now() == instant + by
    assert clock.monotonic() - begun >= by.total_seconds()
    clock.set(instant)
    assert clock.now() == instant
    assert clock.monotonic() - begun >= by.total_seconds()


def test_a_fixed_clock_never_runs_backwards() -> None:
    """Negative time does not pass, and a naive instant is not a time."""
    clock = FixedClock(NOON)
    with pytest.raises(InvalidInput):
        clock.advance(timedelta(microseconds=-1))
    with pytest.raises(InvalidInput):
        clock.set(NOON.replace(tzinfo=None))
    assert clock.now() == NOON


@given(naive_instants)
def test_naive_instants_are_refused(naive: datetime) -> None:
    """A datetime without a zone is refused by the name of its field; in UTC it passes."""
    with pytest.raises(InvalidInput) as refused:
        require_utc(naive, "checked_in_at")
    assert refused.value.field == "checked_in_at"
    aware = naive.replace(tzinfo=ZoneInfo("UTC"))
    assert require_utc(aware, "checked_in_at") == aware
    assert require_utc(aware, "checked_in_at").tzinfo is UTC


@pytest.mark.parametrize(
    "instant", [NOON.astimezone(timezone(timedelta(hours=1))), date(2026, 12, 1), "2026", 0, None]
)
def test_other_offsets_and_types_are_refused(instant: datetime) -> None:
    """Only an instant in UTC passes for one."""
    with pytest.raises(InvalidInput):
        require_utc(instant, "at")


@pytest.mark.parametrize(
    ("zone", "instant", "expected"),
    [
        ("Europe/Lisbon", datetime(2026, 7, 1, 23, 30, tzinfo=UTC), date(2026, 7, 2)),
        ("Europe/Lisbon", datetime(2026, 1, 1, 23, 30, tzinfo=UTC), date(2026, 1, 1)),
        ("Pacific/Apia", datetime(2011, 12, 30, 9, 59, tzinfo=UTC), date(2011, 12, 29)),
        ("Pacific/Apia", datetime(2011, 12, 30, 10, 0, tzinfo=UTC), date(2011, 12, 31)),
        ("Pacific/Kiritimati", datetime(2026, 1, 1, 10, 0, tzinfo=UTC), date(2026, 1, 2)),
        ("Asia/Kathmandu", datetime(2026, 1, 1, 18, 15, tzinfo=UTC), date(2026, 1, 2)),
    ],
)
def test_local_date_is_what_the_hotels_clocks_show(
    zone: str, instant: datetime, expected: date
) -> None:
    """Summer time, odd offsets and Apia's missing day are respected."""
    assert local_date(instant, zone) == expected


def test_local_date_does_not_depend_on_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server's own time zone changes no date."""
    for server in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        monkeypatch.setenv("TZ", server)
        time.tzset()
        assert local_date(NOON, "Europe/Lisbon") == date(2026, 12, 1)
    monkeypatch.undo()
    time.tzset()


def test_local_date_at_the_ends_of_the_calendar() -> None:
    """A date that no calendar of ours has is refused."""
    with pytest.raises(InvalidInput):
        local_date(datetime.max.replace(tzinfo=UTC), "Pacific/Kiritimati")
    with pytest.raises(InvalidInput):
        local_date(datetime.min.replace(tzinfo=UTC), "America/New_York")
    with pytest.raises(InvalidInput):
        local_date(NOON.replace(tzinfo=None), "Europe/Lisbon")


@pytest.mark.parametrize(
    "name",
    [
        "Mars/Olympus",
        "",
        ".",
        "..",
        "../etc/passwd",
        "/etc/localtime",
        "localtime",
        "Europe",
        "Europe/Lisbon\0",
        "\ud800",
        pytest.param("E" * 10_000, id="long"),
        "zone.tab",
        None,
        1,
        b"UTC",
    ],
)
def test_unknown_time_zones_are_refused(name: str) -> None:
    """What is not a zone of the IANA database is refused, paths and the server's own zone too."""
    with pytest.raises(InvalidInput) as refused:
        time_zone(name)
    assert refused.value.field == "time_zone"


def test_known_time_zones_are_found() -> None:
    """A zone comes back under its own name."""
    assert time_zone("Europe/Lisbon").key == "Europe/Lisbon"
