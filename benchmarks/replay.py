"""``hotelcore replay`` over a real hotel's bookings: commands a second, and where the time goes."""

from __future__ import annotations

import cProfile
import io
import json
import os
import pstats
from collections import Counter
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

from sqlalchemy import URL

from benchmarks.places import Place
from benchmarks.report import Report
from hotelcore.cli import main

__all__ = ["replay"]

_SHARED = os.environ.get("HOTELCORE_SHARED", str(Path(__file__).parents[2] / "shared"))
_DATA = Path(_SHARED, "data", "hotel_bookings_h1.csv.gz")
# What stands in a path tells whose code it is; the first that fits counts.
_OWNERS = {
    "hotelcore/sql": "hotelcore: statements, rows and transactions",
    "hotelcore/cli": "hotelcore: the replay itself",
    "hotelcore": "hotelcore: domain and operations",
    "sqlalchemy": "SQLAlchemy",
    "psycopg": "psycopg, PostgreSQL's work included",
    "attr": "attrs",
}
_SQLITE = "sqlite3, SQLite's work included"
_REST = "Python and its library"


def replay(place: Place, rows: int, report: Report) -> None:
    """Replay the first ``rows`` bookings, once for the rate and once under a profiler."""
    if not _DATA.exists():
        print(f"no replay: {_DATA} is not there")
        return
    life = _replayed(place.empty(), rows)
    profile = cProfile.Profile()
    profile.runcall(_replayed, place.empty(), rows)
    shares = _shares(pstats.Stats(profile))
    total = sum(shares.values())
    report.table(
        "replay",
        ["", ""],
        [
            ["bookings", f"{life['bookings']:,}"],
            ["commands", f"{life['commands']:,}"],
            ["commands a second", f"{life['commands_per_second']:,}"],
            *([owner, f"{seconds / total:.0%}"] for owner, seconds in shares.most_common()),
        ],
    )


def _replayed(url: URL, rows: int) -> dict[str, Any]:  # Any: JSON
    database = url.render_as_string(hide_password=False)
    printed = io.StringIO()
    with redirect_stdout(printed):
        code = main(
            ["replay", str(_DATA), "--json", "--limit-rows", str(rows), "--database", database]
        )
    assert code == 0, code
    [hotel] = json.loads(printed.getvalue())["hotels"]
    return dict(hotel)


def _shares(stats: pstats.Stats) -> Counter[str]:
    """Sum up the time in each owner's own code, without what it called."""
    found: Counter[str] = Counter()
    functions: dict[tuple[str, int, str], tuple[Any, ...]] = stats.stats  # type: ignore[attr-defined]  # as pstats documents its key
    for (path, _, name), (_, _, own, *_) in functions.items():
        found[_owner(path, name)] += own
    return found


def _owner(path: str, name: str) -> str:
    if path == "~":  # written in C
        return _SQLITE if "sqlite3" in name else _REST
    for part, owner in _OWNERS.items():
        if f"/{part}" in path:
            return owner
    return _REST
