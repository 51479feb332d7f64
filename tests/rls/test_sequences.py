"""The tenant after rollback, savepoint, reconnect, retry, pool reuse, thread, task and generator.

`HOTELCORE_SEQUENCES` says how many random sequences are tried, `HOTELCORE_FIRST_SEQUENCE` with
which the counting begins: the same number is the same sequence.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing

import pytest

from hotelcore import HotelCore
from tests.records import RECORD
from tests.rls.land import Land
from tests.rls.sequences import World, new_world

pytestmark = pytest.mark.long

Recorder = Callable[[str, object], None]

KINDS = ("savepoint", "write", "leave", "kill", "again", "abandoned", "threads", "tasks")
"""What has to have happened, or the sequences showed less than they seem to."""

SEQUENCES = int(os.environ.get("HOTELCORE_SEQUENCES", "200"))
FIRST = int(os.environ.get("HOTELCORE_FIRST_SEQUENCE", "0"))


def no_foreign_row(world: World) -> str:
    """Go through the sequences, assert that each unit saw its own hotel alone, and tell of it."""
    for number in range(FIRST, FIRST + SEQUENCES):
        world.sequence(number)
        found = world.tally.found
        assert (found["foreign"], found["blind"], found["left"]) == (0, 0, 0), number
    for kind in KINDS:
        assert world.tally.found[kind] > 0
    found = world.tally.found
    return f"{SEQUENCES:,} sequences, {found['looks']:,} looks, {found['foreign']} foreign rows"


def test_postgresql_shows_no_foreign_row(land: Land, record_property: Recorder) -> None:
    """As the application's role, not even to raw SQL on the unit's own connection."""
    with new_world(land.app, root=land.root) as world:
        record_property(RECORD, no_foreign_row(world))


def test_sqlite_shows_no_foreign_row(sqlite_url: str, record_property: Recorder) -> None:
    """Where the database does not help, each unit's repositories show its own hotel alone."""
    with closing(HotelCore(sqlite_url)) as core:
        core.create_schema()
    with new_world(sqlite_url) as world:
        record_property(RECORD, no_foreign_row(world))
