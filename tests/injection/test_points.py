"""Whichever call to the driver fails, and however: an operation happened or not, and once.

`HOTELCORE_POINTS` says how many points of each operation are tried, beside the commit that nobody
hears of: 2 unless told, `all` for every one.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Generator
from contextlib import ExitStack

import pytest
from sqlalchemy import Engine

from tests.injection.points import CASES, Bench, chosen
from tests.postgres_server import fresh_database
from tests.records import RECORD

pytestmark = pytest.mark.long

POINTS = os.environ.get("HOTELCORE_POINTS", "2")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def bench(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Bench]:
    """Return a bench over each kind of database in turn."""
    with ExitStack() as kept:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('points') / 'hotel.db'}"
        else:
            server: Engine = request.getfixturevalue("postgresql_server")
            url = kept.enter_context(fresh_database(server))
        yield kept.enter_context(Bench.over(url))


@pytest.mark.parametrize("case", CASES)
def test_a_fault_leaves_the_state_before_or_after(
    bench: Bench, case: str, record_property: Callable[[str, object], None]
) -> None:
    """No point leaves anything between, and to repeat the command gives a clean run's result."""
    clean = bench.clean_run(case)
    assert clean.before != clean.after
    points = chosen(clean, POINTS, random.Random(random.getrandbits(32)))
    for fault in points:
        try:
            bench.check(case, fault, clean)
        except BaseException as error:
            error.add_note(f"{case}: {fault} at {clean.calls[fault.call - 1]}")
            raise
    if POINTS == "all":
        record_property(RECORD, f"{len(points):,} points")
