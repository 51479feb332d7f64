"""Three hotels in one database behave as the machine believes, and as each does alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest
from hypothesis.stateful import run_state_machine_as_test

from hotelcore import new_id
from hotelcore.access import Role
from hotelcore.clock import Clock, FixedClock
from hotelcore.core import AsyncHotelCore, HotelCore
from hotelcore.errors import InvalidInput
from hotelcore.ids import HotelId
from hotelcore.operations import OPERATIONS, possible_actions, quote, search_availability
from hotelcore.sql.schema import METADATA, TableNames
from hotelcore.testing.machine import HotelMachine, MakeCore, machine_over
from hotelcore.testing.machine.commands import LEAST_ROLE
from hotelcore.testing.machine.places import DirectPlace, Place
from hotelcore.testing.worlds import RANDOM, differences, world_of
from tests.machine.playing import awaited, in_memory, machine_settings, of_a_host
from tests.small_hotel import open_hotel

pytestmark = pytest.mark.long

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
LIBRARY = {name for name, work in OPERATIONS.items() if work.__module__.startswith("hotelcore.")}
READING = {work.__name__ for work in (possible_actions, quote, search_availability)}


@pytest.fixture
def on_postgresql(postgresql_url: str) -> Iterator[type[HotelMachine]]:
    """Return the machine over PostgreSQL, each core with tables of its own."""
    numbers = count()

    def make_core(clock: Clock) -> HotelCore:
        names = TableNames(prefix=f"world{next(numbers)}_")
        core = HotelCore(postgresql_url, names=names, clock=clock)
        core.create_schema()
        return core

    machine = machine_over(make_core)
    yield machine
    machine.leave()


def test_the_machine_on_sqlite() -> None:
    """Whatever three hotels do, each ends as believed and as if it were alone."""
    machine = machine_over(in_memory)
    try:
        run_state_machine_as_test(machine, settings=machine_settings())
    finally:
        machine.leave()


def test_the_machine_on_postgresql(on_postgresql: type[HotelMachine]) -> None:
    """The same holds on a server."""
    run_state_machine_as_test(on_postgresql, settings=machine_settings(examples=2))


@pytest.mark.parametrize("cores", [awaited, of_a_host], ids=["asyncio", "a host's own"])
def test_the_machine_over_other_cores(cores: Callable[[Path], MakeCore], tmp_path: Path) -> None:
    """The same holds for asyncio, and for a core as a host makes it."""
    machine = machine_over(cores(tmp_path))
    try:
        run_state_machine_as_test(machine, settings=machine_settings(examples=4))
    finally:
        machine.leave()


def test_asyncio_needs_a_file() -> None:
    """A database in the memory of another connection cannot be read beside the core."""

    async def make_core(clock: Clock) -> AsyncHotelCore:
        return AsyncHotelCore("sqlite://", clock=clock)

    with pytest.raises(InvalidInput, match="must be a file"):
        machine_over(make_core).stage()


def test_the_rules_drive_every_operation() -> None:
    """An operation that is added needs a rule, and a role in the machine's own table."""
    assert HotelMachine.operations() == LIBRARY | READING
    assert set(LEAST_ROLE) == LIBRARY


def test_the_library_does_not_need_hypothesis() -> None:
    """Neither the library nor the stand-ins for tests import it."""
    program = "import sys, hotelcore.core, hotelcore.testing, hotelcore.testing.worlds\n"
    program += "sys.exit('hypothesis' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_missing_extra_is_named() -> None:
    """Who has no Hypothesis is told what to install."""
    program = "import sys; sys.modules['hypothesis'] = None\n"
    program += "try:\n    import hotelcore.testing.machine\n"
    program += (
        "except ImportError as error:\n    sys.exit('hotelcore[testing]' not in str(error))\n"
    )
    program += "sys.exit(1)"
    subprocess.run([sys.executable, "-c", program], check=True)


# -- worlds ------------------------------------------------------------------------------------


def world(place: Place, hotel_id: HotelId) -> dict[str, list[tuple[object, ...]]]:
    """Return a hotel's world as the machine reads it."""
    return dict(world_of(lambda statement: place.rows(statement, hotel_id), hotel_id))


def test_equal_lives_are_equal_worlds_whatever_their_ids() -> None:
    """Two databases in which one hotel does the same are equal, and one step later are not."""
    clock = FixedClock(NOON)
    with (
        closing(DirectPlace(in_memory(clock))) as one,
        closing(DirectPlace(in_memory(clock))) as other,
    ):
        places = one, other
        hotels = [open_hotel(place.core) for place in places]
        for hotel in hotels:
            hotel.booked(2)
        worlds = [world(place, hotel.hotel_id) for place, hotel in zip(places, hotels, strict=True)]
        for table, rows in worlds[1].items():
            text = repr(rows).replace(hotels[1].hotel_id.hex, hotels[0].hotel_id.hex)
            dashed = text.replace(str(hotels[1].hotel_id), str(hotels[0].hotel_id))
            assert dashed == repr(worlds[0][table]), table
        before = worlds[0]
        hotels[0].booked(1)
        after = world(one, hotels[0].hotel_id)
        assert any(line.startswith("hc_booking: only there") for line in differences(before, after))


def test_a_world_is_one_hotels_alone() -> None:
    """What another hotel of the database does is not in it."""
    with closing(DirectPlace(in_memory(FixedClock(NOON)))) as place:
        hotel = open_hotel(place.core)
        before = world(place, hotel.hotel_id)
        open_hotel(place.core).booked()
        assert world(place, hotel.hotel_id) == before
        assert set(before) == set(METADATA.tables)


def test_the_columns_that_are_left_out_exist() -> None:
    """The list of columns that are random by nature names no column that is gone."""
    assert all(column in METADATA.tables[table].c for table, column in RANDOM)


def test_a_place_that_is_cleared_is_as_new() -> None:
    """Nothing of an example reaches the next one."""
    with closing(DirectPlace(in_memory(FixedClock(NOON)))) as place:
        hotel = open_hotel(place.core)
        place.clear()
        assert not any(world(place, hotel.hotel_id).values())
        desk = place.desk(HotelId(new_id()), Role.ADMIN)
        assert desk.actor.role is Role.ADMIN
