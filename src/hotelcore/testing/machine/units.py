"""Several commands in one transaction, in savepoints, kept or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hotelcore import operations as op
from hotelcore.domain.housekeeping import TaskKind
from hotelcore.domain.rooms import MaintenanceKind
from hotelcore.testing.machine.commands import Command
from hotelcore.testing.machine.driving import HOTELS, PICKS, Driver, Step, driving
from hotelcore.testing.machine.endings import cancel
from hotelcore.testing.machine.guests import register
from hotelcore.testing.machine.houses import House
from hotelcore.testing.machine.money import charge, pay
from hotelcore.testing.machine.reservations import book, confirm
from hotelcore.testing.machine.rooms import block, create_task
from hotelcore.testing.machine.stays import check_in, check_out

__all__ = ["UnitRules"]


class UnitRules(Driver):
    """The rules on units of several commands."""

    @driving(op.create_booking_with_folio, op.post_charge_to_folio)
    @rule(
        hotel=HOTELS,
        steps=st.lists(
            st.tuples(st.integers(0, 9), PICKS, st.sampled_from([False, False, True])),
            min_size=2,
            max_size=4,
        ),
        keep=st.sampled_from([True, True, False]),
    )
    def do_several(self, hotel: int, steps: list[tuple[int, int, bool]], keep: bool) -> None:
        """Run several commands as one transaction."""
        built = [Step(partial(self._step, kind, choice), undone) for kind, choice, undone in steps]
        self.run_unit(self.houses[hotel], built, keep=keep)

    def _step(self, kind: int, choice: int, house: House) -> Command:
        return list(self._steps(choice).values())[kind](house)

    def _steps(self, choice: int) -> Mapping[str, Callable[[House], Command]]:
        def pick(house: House, what: str) -> str:
            return self.pick(house, what, choice)

        return {
            "register": lambda house: register(house, "Several"),
            "book": lambda house: book(
                house, pick(house, "guests"), pick(house, "types"), choice % 4, 1 + choice % 3
            ),
            "charge": lambda house: charge(house, pick(house, "folios"), 500),
            "pay": lambda house: pay(house, pick(house, "folios"), 700),
            "confirm": lambda house: confirm(house, pick(house, "bookings")),
            "cancel": lambda house: cancel(house, pick(house, "bookings")),
            "check in": lambda house: check_in(house, pick(house, "bookings")),
            "check out": lambda house: check_out(house, pick(house, "bookings"), unsettled=True),
            "task": lambda house: create_task(
                house, pick(house, "rooms"), TaskKind.STAY_OVER, house.day
            ),
            "block": lambda house: block(
                house, pick(house, "rooms"), MaintenanceKind.OUT_OF_ORDER, choice % 3, 1
            ),
        }
