"""Whoever is killed, the process or the server: nothing half done, nothing acknowledged is lost.

`HOTELCORE_KILLS` says how many processes are killed on each database (6 unless told), half of them
at a call of the driver's, half at a moment. A server crashes once for five of them.
`HOTELCORE_COMMANDS` says how many commands are given to a server that is restarted again and again
(200 unless told).
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable
from functools import cache
from random import Random
from uuid import UUID

import pytest

from hotelcore.errors import NotFound
from hotelcore.ids import HotelId
from hotelcore.testing.faults import Fault
from hotelcore.testing.killing import kill_during
from tests.injection.doomed import Letter, die_at_a_call, work_until_killed
from tests.injection.load import Load
from tests.injection.points import CASES, Bench
from tests.injection.states import state_of, transactions_left_open
from tests.records import RECORD
from tests.torture.server import CrashingServer

pytestmark = pytest.mark.race

KILLS = int(os.environ.get("HOTELCORE_KILLS", "6"))
COMMANDS = int(os.environ.get("HOTELCORE_COMMANDS", "200"))

Tell = Callable[[str, object], None]

# Seconds in which a process gets through some operations.
_MOMENTS = (0.0, 1.0)


@pytest.fixture
def dice() -> Random:
    """Return dice that fall as pytest's seed wills."""
    return Random(random.getrandbits(32))


def test_a_process_that_dies_at_a_call_leaves_the_state_before_or_after(
    database_url: str, dice: Random, record_property: Tell
) -> None:
    """SIGKILL at a call of an operation: it happened or not, and to repeat it completes it."""
    killed: Counter[bool] = Counter()
    with Bench.over(database_url) as bench:
        clean_run = cache(bench.clean_run)
        for _ in range(KILLS // 2):
            case = dice.choice(CASES)
            clean = clean_run(case)
            fault = Fault(call=dice.randint(1, len(clean.calls)), after=dice.random() < 0.5)
            call, looked = bench.ready(case)
            ending = kill_during(die_at_a_call, Letter.of(database_url, call), fault)
            killed[ending.killed] += 1
            try:
                bench.check_repeated(fault, clean, call, looked, acknowledged=bool(ending.done))
            except BaseException as error:
                error.add_note(f"{case}: {fault} at {clean.calls[fault.call - 1]}: {ending}")
                raise
    assert killed[True]
    record_property(RECORD, f"{killed[True]:,} killed, {killed[False]:,} at their end before")


def test_a_process_killed_at_a_moment_leaves_nothing_half_done(
    database_url: str, dice: Random, record_property: Tell
) -> None:
    """SIGKILL at a moment: what was acknowledged is there, and what was not is whole or absent."""
    done: Counter[str] = Counter()
    with Bench.over(database_url) as bench:
        clean_run = cache(bench.clean_run)
        for _ in range(KILLS - KILLS // 2):
            seed, moment = dice.getrandbits(32), dice.uniform(*_MOMENTS)
            ending = kill_during(work_until_killed, database_url, seed, seconds=moment)
            assert ending.killed
            assert transactions_left_open(bench.onlooker) == 0
            for label in ending.begun:
                case, *ids = label.split("/")
                hotels = [HotelId(UUID(each)) for each in ids]
                clean, found = clean_run(case), state_of(bench.onlooker, hotels)
                whole = [clean.after] if label in ending.done else [clean.before, clean.after]
                assert found in whole, label
                for hotel_id in hotels:
                    assert _books_agree(bench, hotel_id), label
            done["killed"] += 1
            done["acknowledged"] += len(ending.done)
    record_property(RECORD, ", ".join(f"{number:,} {what}" for what, number in done.items()))


def _books_agree(bench: Bench, hotel_id: HotelId) -> bool:
    try:
        return bench.core.prove(hotel_id).ok
    except NotFound:  # it was about to be registered
        return True


def test_a_crash_of_the_server_loses_nothing_acknowledged(
    own_server: CrashingServer, ending_url: str, dice: Random, record_property: Tell
) -> None:
    """An immediate stop, again and again under load: each command happens once."""
    with Load.on(ending_url) as load:
        load.bear(own_server, own_server.crash, dice, pauses=(0.05, 1.0), times=max(KILLS // 5, 1))
        load.check()
    record_property(RECORD, _told(load))


def test_a_server_that_is_restarted_loses_no_command(
    own_server: CrashingServer, ending_url: str, dice: Random, record_property: Tell
) -> None:
    """A restart every few seconds under load: each of the commands happens once."""
    with Load.on(ending_url, COMMANDS) as load:
        load.bear(own_server, own_server.stop, dice, pauses=(0.5, 4.0))
        assert len(load.acknowledged) == COMMANDS
        load.check()
    record_property(RECORD, _told(load))


def _told(load: Load) -> str:
    done, repeated = len(load.acknowledged), load.repeated
    return f"{done:,} commands, {load.ends:,} ends of the server, {repeated:,} attempts repeated"
