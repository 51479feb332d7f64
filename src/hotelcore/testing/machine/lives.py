"""One booking followed through several commands in a row.

Single rules seldom meet the same booking twice, and what is wrong with hotel software shows late in
a booking's life: the second refund, the reinstatement of a full night, the early departure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from datetime import timedelta

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hotelcore import operations as op
from hotelcore.domain.cancellation import CancellationPolicy
from hotelcore.domain.rooms import MaintenanceKind, RoomCondition
from hotelcore.testing import strategies as some
from hotelcore.testing.machine.commands import Command
from hotelcore.testing.machine.driving import HOTELS, PICKS, Driver, driving, when
from hotelcore.testing.machine.endings import cancel, mark_no_show, reinstate
from hotelcore.testing.machine.houses import HOLDING, House, Key
from hotelcore.testing.machine.money import allow, charge, close_folio, pay, refund, void
from hotelcore.testing.machine.reservations import amend, assign, book, confirm
from hotelcore.testing.machine.rooms import block, set_condition
from hotelcore.testing.machine.stays import check_in, check_out, close_day, move

__all__ = ["LifeRules"]


def _line(house: House, key: Key, kind: str) -> Key:
    """Return the latest line of a kind on the bills of a booking."""
    folios = house.folios_of(key)
    found = [k for k, line in house.lines.items() if line.kind == kind and line.folio in folios]
    return found[-1] if found else "1" * 32


def _folio(house: House, key: Key) -> Key:
    return (house.open_folios(key) or house.folios_of(key))[0]


def _refund(house: House, key: Key, choice: int) -> Command:
    payment = _line(house, key, "payment")
    left = house.left_of(payment) if payment in house.lines else 1
    return refund(house, payment, left + 1 if choice % 3 == 0 else max(1, left // 2))


def _settle(house: House, key: Key, _: int) -> Command:
    return pay(house, _folio(house, key), max(1, house.folios[_folio(house, key)].balance))


def _block(house: House, key: Key, choice: int) -> Command:
    free = house.free_rooms(house.bookings[key]) or list(house.rooms) or ["1" * 32]
    begins = max(0, (house.bookings[key].arrival - house.day).days)
    return block(house, free[choice % len(free)], _KINDS[choice % 3], begins, 1 + choice % 2)


def _move(house: House, key: Key, choice: int) -> Command:
    others = [room for room in house.rooms if house.is_fit(room)] or ["1" * 32]
    return move(house, key, others[choice % len(others)])


_KINDS = (
    MaintenanceKind.OUT_OF_ORDER,
    MaintenanceKind.OUT_OF_INVENTORY,
    MaintenanceKind.OUT_OF_ORDER,
)
_DEEDS: Mapping[str, Callable[[House, Key, int], Command]] = {
    "book alike": lambda house, key, choice: book(
        house,
        next((guest for guest, erased in house.guests.items() if not erased), key),
        house.bookings[key].room_type,
        (house.bookings[key].arrival - house.day).days,
        1 + choice % 3,
    ),
    "confirm": lambda house, key, _: confirm(house, key),
    "assign": lambda house, key, _: assign(house, key, None),
    "check in": lambda house, key, choice: check_in(house, key, keys=choice % 3),
    "move": _move,
    "check out": lambda house, key, choice: check_out(house, key, unsettled=choice % 2 == 0),
    "amend": lambda house, key, choice: amend(house, key, 0, choice % 5),
    "shorten": lambda house, key, _: amend(house, key, 0, 1),
    "cancel": lambda house, key, _: cancel(house, key),
    "no show": lambda house, key, _: mark_no_show(house, key),
    "reinstate": lambda house, key, choice: reinstate(house, key, force=choice % 4 == 0),
    "pay": lambda house, key, choice: pay(house, _folio(house, key), 3_000 * (1 + choice)),
    "settle": _settle,
    "close folio": lambda house, key, _: close_folio(house, _folio(house, key)),
    "charge": lambda house, key, _: charge(house, _folio(house, key), 3_333),
    "refund": _refund,
    "too much": lambda house, key, _: _refund(house, key, 0),
    "allow": lambda house, key, choice: allow(house, _line(house, key, "charge"), 100 * choice + 1),
    "void": lambda house, key, _: void(house, _line(house, key, "charge")),
    "block": _block,
    "clean": lambda house, _key, _: set_condition(
        house, list(house.rooms), RoomCondition.INSPECTED
    ),
    "end day": lambda house, _key, _: close_day(house, house.day),
}

_MEANT: Mapping[str, Collection[str]] = {
    "confirm": ("tentative",),
    "assign": ("tentative", "confirmed"),
    "check in": ("confirmed",),
    "move": ("in_house",),
    "check out": ("in_house",),
    "amend": HOLDING,
    "shorten": HOLDING,
    "cancel": ("tentative", "confirmed"),
    "no show": ("confirmed",),
    "reinstate": ("cancelled", "no_show"),
}
"""The states for which a deed is meant; in others it must be refused, which is tried less often."""

_USUAL = (
    ["check in", "check out"],
    ["check in", "settle", "check out"],
    ["check in", "end day", "settle", "check out"],
    ["assign", "check in", "move", "end day"],
    ["check in", "amend", "end day", "check out"],
    ["pay", "cancel", "book alike", "reinstate"],
    ["cancel", "book alike", "book alike", "reinstate"],
    ["pay", "refund", "refund", "too much"],
    ["charge", "allow", "void", "allow"],
    ["block", "book alike", "book alike"],
    ["end day", "end day", "no show", "reinstate"],
)
_MOST_UNITS = 6
_SHORT = (
    ["check in", "check out"],
    ["check in", "end day", "check out"],
    ["check in", "charge", "settle", "end day", "check out", "clean"],
)
_OTHER_PLANS = (
    ["shorten", "cancel"],
    ["pay", "refund", "too much"],
    ["pay", "shorten", "cancel", "reinstate"],
)
_PATHS = st.sampled_from(_USUAL) | st.lists(st.sampled_from(list(_DEEDS)), min_size=2, max_size=5)


class LifeRules(Driver):
    """The rules that stay with one booking."""

    @driving(op.create_booking_with_folio)
    @rule(
        hotel=HOTELS,
        policy=some.policies,
        begins=st.sampled_from([0, 0, 0, 1, 2]),
        nights=st.integers(0, 3),
        hold=st.sampled_from([None, None, timedelta(hours=30)]),
        path=_PATHS,
        choice=PICKS,
    )
    def live(
        self,
        hotel: int,
        policy: CancellationPolicy,
        begins: int,
        nights: int,
        hold: timedelta | None,
        path: list[str],
        choice: int,
    ) -> None:
        """Make a booking and follow it."""
        house = self.houses[hotel]
        guest = self.pick(house, "guests", choice % 20, lambda _, erased: not erased)
        of = self.pick(house, "types", choice % 20)
        told = self.run(house, book(house, guest, of, begins, nights, hold=hold, policy=policy))
        if told is not None:
            self.follow_path(house, told[0].id.hex, path, choice)

    @driving(op.refund_payment, op.reinstate_booking)
    @when("bookings", lambda *_: True)
    @rule(hotel=HOTELS, path=_PATHS, choice=PICKS)
    def follow(self, hotel: int, path: list[str], choice: int) -> None:
        """Follow a booking that is there."""
        house = self.house(hotel, "bookings", lambda *_: True)
        if house.bookings:
            self.follow_path(house, self.pick(house, "bookings", choice % 20), path, choice)

    @driving(op.check_in_guest, op.check_out_guest)
    @rule(hotel=HOTELS, of=PICKS, nights=st.integers(1, 4), path=st.sampled_from(_SHORT))
    def come_and_go(self, hotel: int, of: int, nights: int, path: list[str]) -> None:
        """Have somebody come, stay for less than booked, and leave."""
        house = self.houses[hotel]
        guest = self.pick(house, "guests", 0, lambda _, erased: not erased)
        room_type = self.pick(house, "types", of % 20)
        told = self.run(house, book(house, guest, room_type, 0, nights))
        if told is not None:
            self.follow_path(house, told[0].id.hex, path, choice=nights * 2)

    @driving(op.create_booking_with_folio, op.amend_stay, op.cancel_booking_with_refund)
    @rule(
        hotel=HOTELS, of=PICKS, begins=st.integers(0, 5), nights=st.integers(2, 4),
        path=st.sampled_from(_OTHER_PLANS),
    )  # fmt: skip
    def change_plans(self, hotel: int, of: int, begins: int, nights: int, path: list[str]) -> None:
        """Have somebody book, and want less or their money back."""
        house = self.houses[hotel]
        guest = self.pick(house, "guests", 0, lambda _, erased: not erased)
        room_type = self.pick(house, "types", of % 20)
        told = self.run(house, book(house, guest, room_type, begins, nights, force=True))
        if told is not None:
            self.follow_path(house, told[0].id.hex, path, choice=1)

    @driving(op.create_booking_with_folio, op.mark_no_show)
    @rule(hotel=HOTELS, of=PICKS, policy=some.policies, nights=st.integers(2, 4))
    def miss(self, hotel: int, of: int, policy: CancellationPolicy, nights: int) -> None:
        """Find a guest missing who should have come yesterday, on terms of their own."""
        house = self.houses[hotel]
        guest = self.pick(house, "guests", 0, lambda _, erased: not erased)
        room_type = self.pick(house, "types", of % 20)
        told = self.run(house, book(house, guest, room_type, -1, nights, policy=policy, force=True))
        if told is not None:
            self.run(house, mark_no_show(house, told[0].id.hex))

    @driving(op.block_room, op.create_booking_with_folio, op.reinstate_booking)
    @rule(
        hotel=HOTELS,
        of=PICKS,
        begins=st.integers(0, 3),
        nights=st.integers(1, 2),
        kind=st.sampled_from([None, *MaintenanceKind]),
    )
    def fill_up(
        self, hotel: int, of: int, begins: int, nights: int, kind: MaintenanceKind | None
    ) -> None:
        """Sell every unit of a type; give one up, sell it to somebody else, and want it back.

        A room of the type may be in maintenance meanwhile.
        """
        house = self.houses[hotel]
        guest = self.pick(house, "guests", 0, lambda _, erased: not erased)
        room_type = self.pick(house, "types", of % 20)
        rooms = [key for key, room in house.rooms.items() if room.room_type == room_type]
        if kind is not None and rooms:
            self.run(house, block(house, rooms[of % len(rooms)], kind, begins, nights))
        made = None
        for _ in range(_MOST_UNITS):
            told = self.run(house, book(house, guest, room_type, begins, nights))
            if told is None:
                break
            made = told[0].id.hex
        if made is not None:
            self.run(house, cancel(house, made))
            self.run(house, book(house, guest, room_type, begins, nights))
            self.run(house, reinstate(house, made))

    @driving(op.create_booking_with_folio, op.assign_room, op.block_room)
    @rule(
        hotel=HOTELS, of=PICKS, begins=st.integers(0, 2), nights=st.integers(1, 3),
        whose=st.sampled_from(["guest", "guest", "walk-in", "maintenance"]),
    )  # fmt: skip
    def crowd(self, hotel: int, of: int, begins: int, nights: int, whose: str) -> None:
        """Want a room for a night on which somebody has it; give it to somebody before."""
        house = self.houses[hotel]
        guest = self.pick(house, "guests", 0, lambda _, erased: not erased)
        room_type = self.pick(house, "types", of % 20)
        told = self.run(house, book(house, guest, room_type, begins, nights, force=True))
        if told is not None:
            self.run(house, assign(house, told[0].id.hex, None))
        taken = [(room, day) for room, day, *_ in house.room_nights() if day >= house.day]
        if not taken:
            return
        room, day = taken[-1 - of % len(taken)]
        ahead = (day - house.day).days
        if whose == "maintenance":
            kind = MaintenanceKind.OUT_OF_ORDER
            self.run(house, block(house, room, kind, ahead, 1, force=True))
            return
        room_type = house.rooms[room].room_type
        other = self.run(house, book(house, guest, room_type, ahead, nights, force=True))
        if other is not None:
            wanted = check_in if whose == "walk-in" and not ahead else assign
            self.run(house, wanted(house, other[0].id.hex, room))

    # All rules are equally likely, and these are worth several others.
    live_on = live_too = live
    follow_on = follow_too = follow_up = follow
    come_too = come_again = come_and_go
    change_again = change_plans
    crowd_again = crowd
    miss_again = miss
    fill_again = fill_up

    def follow_path(self, house: House, key: Key, path: list[str], choice: int) -> None:
        """Run the commands of a path on one booking; many that must fail are left out."""
        for deed in path:
            if deed == "end day" and house.day >= house.local_date():
                self.pass_time(timedelta(days=1))
            command = _DEEDS[deed](house, key, choice)
            meant = _MEANT.get(deed)
            if choice % 3 == 0 or meant is None or house.bookings[key].status in meant:
                self.run(house, command)
