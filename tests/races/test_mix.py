"""Everything that a busy hotel's day has, in 32 threads at once: afterwards the books are right.

`HOTELCORE_MIX` says for how many seconds the mix goes on; unless told, it has `_STEPS` steps. The
step of each number is drawn with a seed of its own, from `_SEED`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import Engine, QueuePool, StaticPool, create_engine

from hotelcore.core import Desk
from tests.injection.states import transactions_left_open
from tests.races.busy_day import RULES, STEPS, close_the_day, furnish
from tests.races.mixing import House, Tally, deadlocks, mix, numbers
from tests.records import RECORD
from tests.small_hotel import SmallHotel, open_hotel, opened

pytestmark = pytest.mark.race

_THREADS = 32
_STEPS = 1_500
_SEED = "a busy day"
# After so many steps in all houses together, one of them closes its day.
_NIGHT = 100
# A hotel, its first room type with rooms, and its first guest were commands too.
_SET_UP = 4
_MOST_RETRIES = 0.01
"""Which part of the calls may be begun again because the database asks for it."""
# Longer than a unit may take by default: this is about what never ends, not about the machine. All
# writers stand in SQLite's one queue, which is not one of first come, first served.
_PATIENCE = {"sqlite": timedelta(minutes=5), "postgresql": timedelta(seconds=30)}


@pytest.fixture
def tally(record_property: Callable[[str, object], None]) -> Generator[Tally]:
    """Return what counts all calls; it is shown at the end of the run."""
    tally = Tally()
    yield tally
    if tally.calls:
        record_property(RECORD, str(tally))


@pytest.fixture
def houses(database_url: str, tally: Tally) -> Generator[Sequence[House]]:
    """Return some hotels in one empty database, each with other rules."""
    with opened(database_url) as first:
        hotels = [first, *(open_hotel(first.core) for _ in RULES[1:])]
        houses = [House(hotel, patient(hotel)) for hotel in hotels]
        for number, (house, rules) in enumerate(zip(houses, RULES, strict=True)):
            house.strangers = houses[number - 1].bookings
            furnish(house, rules)
            house.tally = tally  # what was set up in peace does not count
        yield houses


def patient(hotel: SmallHotel) -> Desk:
    """Give the handle of a hotel, for units that wait and take as long as this database needs."""
    patience = _PATIENCE[hotel.core.engine.dialect.name]
    return hotel.desk.within(wait_limit=patience, time_limit=patience)


@pytest.fixture
def onlooker(database_url: str) -> Generator[Engine]:
    """Return an engine of the test's own, which looks at the database from outside."""
    engine = create_engine(database_url, poolclass=StaticPool, isolation_level="AUTOCOMMIT")
    yield engine
    engine.dispose()


def test_a_busy_day_leaves_the_books_right(
    houses: Sequence[House], tally: Tally, onlooker: Engine
) -> None:
    """32 threads that do everything at once meet no deadlock and get no error of the database."""
    core = houses[0].hotel.core

    def step(number: int) -> None:
        dice = Random(f"{_SEED} {number}")
        house = dice.choice(houses)
        if number % _NIGHT == _NIGHT - 1:
            close_the_day(house)
        else:
            [chosen] = dice.choices(list(STEPS), list(STEPS.values()))
            chosen(house, dice)

    mix(_THREADS, numbers(os.environ.get("HOTELCORE_MIX"), _STEPS), step)
    assert transactions_left_open(onlooker) == 0
    assert isinstance(core.engine.pool, QueuePool)
    assert core.engine.pool.checkedout() == 0
    for house in houses:
        proofs = core.prove(house.hotel.hotel_id, commands=_SET_UP + house.commands)
        assert proofs.ok, proofs
        assert core.verify_audit(house.hotel.hotel_id).ok
    core.close()
    assert deadlocks(onlooker) == 0, tally.again
    assert tally.retries <= tally.calls * _MOST_RETRIES, tally.again
