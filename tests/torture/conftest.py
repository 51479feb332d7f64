"""The record of the torture: one line for each run at the end."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from tests.torture.server import CrashingServer, crashing_server

RECORD = "torture record"


@pytest.fixture(scope="session")
def own_server() -> Generator[CrashingServer]:
    """Return a PostgreSQL that nobody else uses, so that it may crash."""
    with crashing_server() as server:
        yield server


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what every run came to, also of one that failed."""
    records = [
        (report.nodeid.partition("::")[2], line)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "teardown"
        for name, line in report.user_properties
        if name == RECORD
    ]
    if records:
        terminalreporter.section("torture")
    for test, line in sorted(records):
        terminalreporter.line(f"{test}: {line}")
