"""What only reads: searches, quotes, possible actions and lists, page by page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hotelcore import operations as op
from hotelcore.domain.audit import Outcome
from hotelcore.domain.bookings import Action
from hotelcore.domain.stays import Stay
from hotelcore.lists import (
    AuditFilter,
    BookingFilter,
    FolioFilter,
    GuestFilter,
    RoomFilter,
    TaskFilter,
    every,
)
from hotelcore.testing.machine.driving import HOTELS, PICKS, Driver, driving
from hotelcore.testing.machine.endings import cancel, mark_no_show, reinstate
from hotelcore.testing.machine.houses import DAY, House, Key
from hotelcore.testing.machine.reservations import assign, confirm
from hotelcore.testing.machine.stays import check_in, check_out
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["ReadingRules"]

# Each list has records of its own class, of which only the ids are looked at.
_LISTS: Mapping[str, Callable[[UnitOfWork, str | None, int], Any]] = {
    "bookings": lambda uow, after, most: uow.bookings.page(
        BookingFilter(), after=after, limit=most
    ),
    "guests": lambda uow, after, most: uow.guests.page(GuestFilter(), after=after, limit=most),
    "rooms": lambda uow, after, most: uow.rooms.page(RoomFilter(), after=after, limit=most),
    "folios": lambda uow, after, most: uow.folios.page(FolioFilter(), after=after, limit=most),
    "tasks": lambda uow, after, most: uow.housekeeping.page(TaskFilter(), after=after, limit=most),
}


def _audit_page(uow: UnitOfWork, after: str | None, most: int) -> Any:
    return uow.audit.page(AuditFilter(outcome=Outcome.DONE), after=after, limit=most)


class ReadingRules(Driver):
    """The rules that change nothing."""

    @driving(op.search_availability)
    @rule(hotel=HOTELS, of=PICKS, begins=st.integers(-2, 6), nights=st.integers(0, 4))
    def search(self, hotel: int, of: int, begins: int, nights: int) -> None:
        """Search what is left, and compare each night with what is believed."""
        house = self.houses[hotel]
        key, first = self.pick(house, "types", of), house.day + begins * DAY
        found = self.read(
            house,
            op.search_availability,
            {"stay": Stay(first, first + nights * DAY), "room_type_id": UUID(key)},
            fails="NotFound" if key not in house.types else None,
        )
        if found is not None:
            full = [night.night for night in found[0].nights if night.sellable < 1]
            assert full == house.full(key, [first + n * DAY for n in range(nights)]), found
            if begins < 0:
                assert found[0].sellable == 0, found
            elif nights:
                assert bool(found[0].sellable) == (not full), found

    @driving(op.quote)
    @rule(hotel=HOTELS, of=PICKS, nights=st.integers(0, 4))
    def quote(self, hotel: int, of: int, nights: int) -> None:
        """Ask what a stay costs."""
        house = self.houses[hotel]
        key, stay = self.pick(house, "types", of), Stay(house.day, house.day + nights * DAY)
        told = self.read(
            house,
            op.quote,
            {"room_type_id": UUID(key), "stay": stay},
            fails="NotFound" if key not in house.types else None,
        )
        if told is not None:
            assert told.total.minor == nights * house.types[key].rate, told

    @driving(op.possible_actions)
    @rule(hotel=HOTELS, booking=PICKS)
    def possible(self, hotel: int, booking: int) -> None:
        """Ask what can be done with a booking: exactly what would succeed."""
        house = self.houses[hotel]
        key = self.pick(house, "bookings", booking)
        told = self.read(
            house,
            op.possible_actions,
            {"booking_id": UUID(key)},
            fails="NotFound" if key not in house.bookings else None,
        )
        if told is not None:
            for action, doubts in _doubts(house, key).items():
                assert bool(told[action]) == bool(doubts), (action, told[action], doubts)

    @rule(hotel=HOTELS, kind=st.sampled_from([*_LISTS, "audit"]), most=st.integers(1, 5))
    def list_all(self, hotel: int, kind: str, most: int) -> None:
        """Read a whole list in small pages: every record is in it once."""
        house = self.houses[hotel]
        if kind == "audit":
            listed = self.listed(house, _audit_page, 10 * most)
            assert len(set(listed)) == len(listed) == house.commands, "the audit log's pages"
        else:
            listed = self.listed(house, _LISTS[kind], most)
            assert sorted(listed) == sorted(getattr(house, kind)), kind

    # -- how ------------------------------------------------------------------------------------

    def read(
        self,
        house: House,
        question: Callable[..., Any],
        arguments: dict[str, Any],
        *,
        fails: str | None,
    ) -> Any:
        """Ask in both places and compare; None where the question must fail and does."""
        outcome = self.asked(house, question, arguments)
        error = type(outcome.error).__name__ if outcome.error else None
        assert error == fails, f"{question.__name__}: {fails} expected, not {outcome}"
        return outcome.result

    def listed(self, house: House, page: Callable[..., Any], most: int) -> list[Key]:
        """Return the ids of a list, read page by page."""
        with self.reading(house) as do:
            return [item.id.hex for item in every(lambda after: do(page, after, most))]


def _doubts(house: House, key: Key) -> Mapping[Action, frozenset[str]]:
    known = house.bookings[key]
    return {
        Action.CONFIRM: confirm(house, key).doubts,
        Action.ASSIGN_ROOM: assign(house, key, None).doubts,
        Action.CHECK_IN: check_in(house, key).doubts,
        Action.CHECK_OUT: check_out(house, key).doubts,
        Action.CANCEL: cancel(house, key).doubts,
        Action.MARK_NO_SHOW: mark_no_show(house, key).doubts,
        Action.REINSTATE: reinstate(house, key).doubts,
        Action.MOVE_ROOM: frozenset() if known.status == "in_house" else frozenset({"Refused"}),
    }
