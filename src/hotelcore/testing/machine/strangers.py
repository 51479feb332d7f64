"""Commands that name another hotel's records, each of which must look like one that never was."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hotelcore import operations as op
from hotelcore.domain.housekeeping import TaskKind
from hotelcore.domain.rooms import MaintenanceKind, RoomCondition
from hotelcore.testing.machine import endings, guests, money, reservations, rooms, stays
from hotelcore.testing.machine.commands import Command
from hotelcore.testing.machine.driving import HOTELS, PICKS, Driver, driving
from hotelcore.testing.machine.houses import House, Key

__all__ = ["StrangerRules"]

_REACHING: Mapping[tuple[str, str], Callable[[House, Key, Key], Command]] = {
    ("bookings", "confirm"): lambda house, its, _: reservations.confirm(house, its),
    ("bookings", "amend"): lambda house, its, _: reservations.amend(house, its, 0, 2),
    ("bookings", "assign"): lambda house, its, _: reservations.assign(house, its, None),
    ("rooms", "assign"): lambda house, its, own: reservations.assign(house, own, its),
    ("bookings", "cancel"): lambda house, its, _: endings.cancel(house, its),
    ("bookings", "no show"): lambda house, its, _: endings.mark_no_show(house, its),
    ("bookings", "reinstate"): lambda house, its, _: endings.reinstate(house, its),
    ("bookings", "check in"): lambda house, its, _: stays.check_in(house, its),
    ("rooms", "check in"): lambda house, its, own: stays.check_in(house, own, its),
    ("bookings", "check out"): lambda house, its, _: stays.check_out(house, its),
    ("rooms", "move"): lambda house, its, own: stays.move(house, own, its),
    ("bookings", "folio"): lambda house, its, _: money.open_folio(house, its, None),
    ("guests", "folio"): lambda house, its, own: money.open_folio(house, own, its),
    ("folios", "charge"): lambda house, its, _: money.charge(house, its, 100),
    ("folios", "pay"): lambda house, its, _: money.pay(house, its, 100),
    ("folios", "close"): lambda house, its, _: money.close_folio(house, its),
    ("lines", "allow"): lambda house, its, _: money.allow(house, its, 1),
    ("lines", "refund"): lambda house, its, _: money.refund(house, its, 1),
    ("lines", "void"): lambda house, its, _: money.void(house, its),
    ("guests", "amend"): lambda house, its, _: guests.amend(house, its, "Stranger", None),
    ("guests", "anonymise"): lambda house, its, _: guests.anonymise(house, its),
    ("types", "rooms"): lambda house, its, _: rooms.add_rooms(house, its, ["X"]),
    ("types", "assign all"): lambda house, its, _: reservations.assign_all(house, its, house.day),
    ("rooms", "condition"): lambda house, its, _: rooms.set_condition(
        house, [its], RoomCondition.DIRTY
    ),
    ("rooms", "task"): lambda house, its, _: rooms.create_task(
        house, its, TaskKind.STAY_OVER, house.day
    ),
    ("tasks", "complete"): lambda house, its, _: rooms.complete_task(house, its),
    ("rooms", "block"): lambda house, its, _: rooms.block(
        house, its, MaintenanceKind.OUT_OF_ORDER, 0, 1
    ),
    ("periods", "release"): lambda house, its, _: rooms.release(house, its),
}
"""By the kind of record that is named and a word for the command: the command, given another
hotel's record and a booking of the own one."""


class StrangerRules(Driver):
    """The rules on ids of other hotels."""

    @driving(op.complete_housekeeping_task, op.release_room)
    @rule(hotel=HOTELS, reaching=st.integers(0, len(_REACHING) - 1), choice=PICKS)
    def reach_over(self, hotel: int, reaching: int, choice: int) -> None:
        """Name a record of another hotel that has one."""
        house = self.houses[hotel]
        others = [other for other in self.houses if other.place != hotel]
        theirs = {
            (kind, what): [key for other in others for key in getattr(other, kind)]
            for kind, what in _REACHING
        }
        there = [reach for reach, keys in theirs.items() if keys]
        chosen = there[reaching % len(there)]
        named = theirs[chosen][choice % len(theirs[chosen])]
        own = self.pick(house, "bookings", choice)
        self.run(house, _REACHING[chosen](house, named, own))

    # All rules are equally likely, and this one stands for many.
    reach_again = reach_over
