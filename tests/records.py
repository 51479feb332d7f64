"""What a test has to tell beside whether it passed: shown at the end of the run, one line each."""

from __future__ import annotations

import pytest

__all__ = ["RECORD", "show_records"]

RECORD = "record"
"""The name under which a test gives its line to `record_property`."""


def show_records(reporter: pytest.TerminalReporter) -> None:
    """Show the line of every test that gave one, whether it passed or failed."""
    records = [
        (report.nodeid.partition("::")[2], line)
        for reports in reporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport) and report.when == "teardown"
        for name, line in report.user_properties
        if name == RECORD
    ]
    if records:
        reporter.section("records")
    for test, line in sorted(records):
        reporter.line(f"{test}: {line}")
