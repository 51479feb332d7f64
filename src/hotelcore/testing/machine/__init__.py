"""A Hypothesis state machine over three hotels in one database, to be run over any `HotelCore`.

Its rules drive every operation, in any order, by whoever may and may not, with ids of the hotel,
of other hotels and of nobody. After each step three things must agree: the outcome with what the
machine believes (`houses`), the hotel's books with the same (`books`), and all of it with the
hotel's twin, a database in which the hotel is alone (`twins`, `worlds`). Where the last fails,
another hotel interfered.

Make one over your own core, and let pytest or unittest find its test case::

    class TestOurs(machine_over(make_core).TestCase):
        settings = settings(max_examples=50, stateful_step_count=30)

Needs the ``testing`` extra.
"""

from __future__ import annotations

import hotelcore.testing.strategies  # noqa: F401  # says first which extra is missing
from hotelcore.testing.machine.endings import EndingRules
from hotelcore.testing.machine.guests import GuestRules
from hotelcore.testing.machine.lives import LifeRules
from hotelcore.testing.machine.money import MoneyRules
from hotelcore.testing.machine.others import EventRules, PmsRules
from hotelcore.testing.machine.places import MakeCore
from hotelcore.testing.machine.reading import ReadingRules
from hotelcore.testing.machine.reservations import ReservationRules
from hotelcore.testing.machine.rooms import RoomRules
from hotelcore.testing.machine.stays import StayRules
from hotelcore.testing.machine.strangers import StrangerRules
from hotelcore.testing.machine.units import UnitRules

__all__ = ["HotelMachine", "MakeCore", "machine_over"]


class HotelMachine(
    ReservationRules,
    EndingRules,
    StayRules,
    LifeRules,
    MoneyRules,
    RoomRules,
    GuestRules,
    PmsRules,
    EventRules,
    ReadingRules,
    UnitRules,
    StrangerRules,
):
    """The whole machine; `machine_over` gives it the cores to play on."""


def machine_over(make_core: MakeCore) -> type[HotelMachine]:
    """Return the machine over cores that ``make_core`` makes: four of them, kept for the process.

    ``make_core`` is called with a `Clock` and returns a `HotelCore` that is told the time by it,
    over a database of its own that has the tables and no hotel. It may be an ``async def`` that
    returns an `AsyncHotelCore`; then every command is awaited, and SQLite has to be in a file. The
    machine deletes everything in these databases. `HotelMachine.leave` closes them.
    """
    return type("HotelMachine", (HotelMachine,), {"make_core": staticmethod(make_core)})
