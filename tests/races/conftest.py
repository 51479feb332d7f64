"""The record of the races: one line for each race and database at the end of the run."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest

from tests.races.racing import Record, Track, track
from tests.small_hotel import SmallHotel, opened

_RECORD = "race record"


@pytest.fixture
def record(record_property: Callable[[str, object], None]) -> Generator[Record]:
    """Return the record that the race fills; it is shown at the end of the run."""
    record = Record()
    yield record
    if record.rounds:
        record_property(_RECORD, str(record))


@pytest.fixture
def hotel(database_url: str) -> Generator[SmallHotel]:
    """Return a hotel in an empty database, on SQLite and PostgreSQL in turn."""
    with opened(database_url) as hotel:
        yield hotel


@pytest.fixture
def rivals() -> Generator[Track]:
    """Return the threads that race."""
    with track() as threads:
        yield threads


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show every race's record, whether it was won or lost."""
    records = [
        (report.nodeid.partition("::")[2], line)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "teardown"
        for name, line in report.user_properties
        if name == _RECORD
    ]
    if records:
        terminalreporter.section("races")
    for test, line in sorted(records):
        terminalreporter.line(f"{test}: {line}")
