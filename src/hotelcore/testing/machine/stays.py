"""Commands of the front desk and the night: guests arrive, move and leave, days end."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.testing.machine.commands import MANNERS, Command, Manner, against
from hotelcore.testing.machine.driving import HOTELS, PICKS, Driver, driving, when
from hotelcore.testing.machine.endings import cancel, give_up
from hotelcore.testing.machine.houses import DAY, Booking, House, Key, Room, Task
from hotelcore.testing.machine.money import close_folio, open_folio, pay
from hotelcore.testing.machine.reservations import (
    book,
    give_room,
    is_,
    restay,
    room_doubts,
    shows,
)

__all__ = ["StayRules", "check_in", "check_out", "close_day", "move"]

_MANNERS = st.sampled_from(MANNERS)
_UNKNOWN = frozenset({"NotFound"})


# -- arriving ----------------------------------------------------------------------------------


def check_in(house: House, key: Key, room: Key | None = None, *, keys: int = 1) -> Command:
    """Check a guest in, to the booking's own room or the first fit one without ``room``."""
    known = house.bookings.get(key)
    chosen = room
    if known is None or (room is not None and room not in house.rooms):
        doubts = _UNKNOWN | against(ActionRefused=known is not None and not _is_due(house, known))
    else:
        chosen = room or known.room or next(iter(house.free_rooms(known)), None)
        doubts = against(
            ActionRefused=not _is_due(house, known)
            or chosen is None
            or not house.is_fit(chosen)
            or (known.is_day_use and house.off_sale(chosen, house.day))
        )
        if room is not None:
            doubts |= room_doubts(house, known, room)

    def learn(result: Any) -> None:
        told, issued = result
        assert known is not None
        assert chosen is not None
        assert len(issued) == keys, issued
        give_room(house, known, chosen)
        known.status, known.keys, known.arrived_on = "in_house", keys, house.day
        house.post_nights(known, house.day)
        shows(house, told)

    return Command(
        operation=op.check_in_guest,
        arguments={
            "booking_id": UUID(key),
            **({} if room is None else {"room_id": UUID(room)}),
            "keys": keys,
        },
        doubts=doubts,
        learn=learn,
        event="booking.checkedIn",
    )


def _is_due(house: House, known: Booking) -> bool:
    return (
        known.status == "confirmed" and known.arrival <= house.day and not known.is_over(house.day)
    )


def move(house: House, key: Key, room: Key) -> Command:
    """Move a guest in house to another room."""
    known = house.bookings.get(key)
    if known is None or room not in house.rooms:
        doubts = _UNKNOWN | against(ActionRefused=known is not None and known.status != "in_house")
    elif known.status != "in_house":
        doubts = frozenset({"ActionRefused"})
    else:
        doubts = against(InvalidInput=room == known.room, ActionRefused=not house.is_fit(room))
        doubts |= room_doubts(house, known, room)

    def learn(told: Any) -> None:
        assert known is not None
        assert known.room is not None
        house.rooms[known.room].condition = "dirty"
        give_room(house, known, room)
        shows(house, told)

    return Command(
        operation=op.move_room,
        arguments={"booking_id": UUID(key), "room_id": UUID(room), "reason": "noise"},
        doubts=doubts,
        learn=learn,
        event="booking.roomAssigned",
    )


# -- leaving -----------------------------------------------------------------------------------


def check_out(house: House, key: Key, *, unsettled: bool = False) -> Command:
    """Check a guest out, with an open balance if the desk insists."""
    known = house.bookings.get(key)
    doubts = _UNKNOWN
    if known is not None:
        owing = any(house.folios[folio].balance for folio in house.folios_of(key))
        doubts = against(ActionRefused=known.status != "in_house" or (owing and not unsettled))

    def learn(result: Any) -> None:
        told, task = result
        assert known is not None
        assert known.room is not None
        house.release(known, house.day)
        known.status, known.keys = "checked_out", 0
        known.departure = max(min(known.departure, house.day), known.arrival)
        known.total = sum(night.price for d, night in known.standing().items() if d < house.day)
        house.rooms[known.room].condition = "dirty"
        house.close_settled(known)
        for other in house.tasks.values():
            stale = other.kind == "stay_over" and other.due <= house.day
            other.is_open = other.is_open and not (stale and other.room == known.room)
        house.tasks[task.id.hex] = Task(known.room, "departure", house.day, booking=key)
        for day, night in known.standing().items():
            assert night.posted, f"the night of {day} was never charged"
        shows(house, told)

    return Command(
        operation=op.check_out_guest,
        arguments={
            "booking_id": UUID(key),
            **({"unsettled_reason": "the company pays"} if unsettled else {}),
        },
        doubts=doubts,
        learn=learn,
        needs=Role.MANAGER if unsettled else Role.GUEST,
        event="booking.checkedOut",
    )


# -- the night ---------------------------------------------------------------------------------


def close_day(house: House, day: date, no_shows: Collection[Key] = ()) -> Command:
    """Close a business day; nobody waits for the bookings that are named."""
    arguments = {"business_date": day, "no_shows": [UUID(key) for key in no_shows]}
    if day in house.days:
        return Command(operation=op.close_business_day, arguments=arguments)
    overdue = _in_order(house, "in_house", lambda b: b.departure <= day)
    arrivals = _in_order(house, "confirmed", lambda b: b.arrival <= day)
    staying = overdue if house.rules.departures == "extend" else []
    blocked = (
        day >= house.local_date()
        or (bool(overdue) and house.rules.departures == "block")
        or (house.rules.arrivals == "block" and any(b.key not in no_shows for b in arrivals))
        or any(_cannot_stay(house, booking) for booking in staying)
        or any(not house.open_folios(b.key) for b in _charged_tonight(house, staying))
    )

    def learn(told: Any) -> None:
        for booking in staying:
            restay(house, booking, booking.arrival, day + DAY)
        sold = [
            night.price
            for booking in house.bookings.values()
            if booking.status == "in_house"
            for date_, night in booking.standing().items()
            if date_ == day and not night.posted
        ]
        for booking in house.bookings.values():
            if booking.status == "in_house":
                house.post_nights(booking, day + DAY)
        for booking in arrivals:
            if house.rules.arrivals == "no_show" or booking.key in no_shows:
                give_up(house, booking, day + DAY)
        house.days[day] = (len(sold), sum(sold))
        assert (told.rooms_sold, told.room_revenue.minor) == house.days[day], (told, sold)
        house.day = day + DAY

    return Command(
        operation=op.close_business_day,
        arguments=arguments,
        doubts=frozenset({"InvalidInput"})
        if day != house.day
        else against(
            InvalidInput=bool({*no_shows} - {b.key for b in arrivals}), BusinessDayBlocked=blocked
        ),
        learn=learn,
        event="businessDay.closed",
    )


def _in_order(house: House, status: str, which: Any) -> list[Booking]:
    found = [b for b in house.bookings.values() if b.status == status and which(b)]
    return sorted(found, key=lambda booking: booking.key)


def _cannot_stay(house: House, booking: Booking) -> bool:
    assert booking.room is not None
    more = [booking.departure + n * DAY for n in range((house.day + DAY - booking.departure).days)]
    return house.taken(booking.room, more, but=booking.key)


def _charged_tonight(house: House, staying: list[Booking]) -> list[Booking]:
    """Return the bookings in house that have a night to be charged, or will have."""
    return [
        booking
        for booking in house.bookings.values()
        if booking.status == "in_house"
        and (
            booking in staying
            or any(
                day <= house.day and not night.posted for day, night in booking.standing().items()
            )
        )
    ]


# -- the rules ---------------------------------------------------------------------------------


def _is_clean(_: House, room: Room) -> bool:
    return room.condition in ("clean", "inspected")


class StayRules(Driver):
    """The rules of the front desk and the night."""

    @driving(op.check_in_guest)
    @when("bookings", _is_due)
    @rule(
        hotel=HOTELS, booking=PICKS, room=st.none() | PICKS, keys=st.integers(0, 2), manner=_MANNERS
    )  # fmt: skip
    def check_in(
        self, hotel: int, booking: int, room: int | None, keys: int, manner: Manner
    ) -> None:
        """Check a guest in."""
        house = self.house(hotel, "bookings", _is_due)
        where = None if room is None else self.pick(house, "rooms", room)
        key = self.pick(house, "bookings", booking, _is_due)
        self.run(house, check_in(house, key, where, keys=keys), manner)

    @driving(op.create_booking_with_folio, op.check_in_guest)
    @rule(hotel=HOTELS, of=PICKS, nights=st.integers(0, 3))
    def walk_in(self, hotel: int, of: int, nights: int) -> None:
        """Book for somebody who stands at the desk, and check them in."""
        house = self.houses[hotel]
        guest = self.pick(house, "guests", 0, lambda _, erased: not erased)
        made = self.run(house, book(house, guest, self.pick(house, "types", of), 0, nights))
        if made is not None:
            self.run(house, check_in(house, made[0].id.hex))

    @driving(op.move_room)
    @when("bookings", is_("in_house"))
    @rule(hotel=HOTELS, booking=PICKS, room=PICKS, manner=_MANNERS)
    def move(self, hotel: int, booking: int, room: int, manner: Manner) -> None:
        """Move a guest."""
        house = self.house(hotel, "bookings", is_("in_house"))
        who = self.pick(house, "bookings", booking, is_("in_house"))
        where = self.pick(house, "rooms", room, _is_clean)
        self.run(house, move(house, who, where), manner)

    @driving(op.check_out_guest)
    @when("bookings", is_("in_house"))
    @rule(hotel=HOTELS, booking=PICKS, unsettled=st.booleans(), manner=_MANNERS)
    def check_out(self, hotel: int, booking: int, unsettled: bool, manner: Manner) -> None:
        """Check a guest out."""
        house = self.house(hotel, "bookings", is_("in_house"))
        key = self.pick(house, "bookings", booking, is_("in_house"))
        self.run(house, check_out(house, key, unsettled=unsettled), manner)

    @driving(op.check_out_guest, op.record_payment)
    @when("bookings", is_("in_house"))
    @rule(hotel=HOTELS, choice=PICKS)
    def settle_and_leave(self, hotel: int, choice: int) -> None:
        """Have a guest in house pay what is owed and leave."""
        house = self.house(hotel, "bookings", is_("in_house"))
        present = [key for key, b in house.bookings.items() if b.status == "in_house"]
        if present:
            key = present[choice % len(present)]
            for folio in house.open_folios(key):
                if house.folios[folio].balance > 0:
                    self.run(house, pay(house, folio, house.folios[folio].balance))
            self.run(house, check_out(house, key))

    @driving(op.close_business_day)
    @rule(hotel=HOTELS, days=st.integers(-1, 1), missing=st.none() | PICKS, manner=_MANNERS)
    def close_day(self, hotel: int, days: int, missing: int | None, manner: Manner) -> None:
        """Close the open business day, or another."""
        house = self.houses[hotel]
        no_shows = [] if missing is None else [self.pick(house, "bookings", missing, _is_due)]
        self.run(house, close_day(house, house.day + days * DAY, no_shows), manner)

    @driving(op.close_business_day)
    @rule(hotel=HOTELS)
    def end_the_day(self, hotel: int) -> None:
        """Close the business day, after it has passed."""
        house = self.houses[hotel]
        if house.day >= house.local_date():
            self.pass_time(timedelta(days=1))
        self.run(house, close_day(house, house.day))

    @driving(op.close_business_day)
    @rule(hotel=HOTELS, early=st.booleans(), naming=st.booleans())
    def end_the_day_after_all(self, hotel: int, early: bool, naming: bool) -> None:
        """Close the business day; where something stops it, remove that and close it again."""
        house = self.houses[hotel]
        if not early and house.day >= house.local_date():
            self.pass_time(timedelta(days=1))
        self.close_at_last(house, naming=naming)

    @driving(op.create_booking_with_folio, op.check_in_guest, op.close_folio)
    @rule(hotel=HOTELS, of=PICKS, nights=st.integers(1, 2))
    def end_the_day_without_a_bill(self, hotel: int, of: int, nights: int) -> None:
        """Have a guest in house whose bill is closed: the day waits for a new one."""
        house = self.houses[hotel]
        guest = self.pick(house, "guests", 0, lambda _, erased: not erased)
        room_type = self.pick(house, "types", of % 20)
        made = self.run(house, book(house, guest, room_type, 0, nights, force=True))
        if made is not None and self.run(house, check_in(house, made[0].id.hex)) is not None:
            self.run(house, close_folio(house, made[1].id.hex))
            self.close_at_last(house)

    # All rules are equally likely, and what stops a day is worth another.
    end_the_day_at_last = end_the_day_after_all
    end_the_day_unbilled = end_the_day_without_a_bill

    def close_at_last(self, house: House, *, naming: bool = False) -> None:
        """Close the business day; while something stops it, remove that and try again.

        Who did not come is cancelled, or with ``naming`` named as a no-show.
        """
        day, no_shows = house.day, list[Key]()
        for remedy in (None, self._let_it_end, self._empty_the_desk, self._open_bills):
            if remedy is self._empty_the_desk and naming:
                no_shows = [
                    b.key for b in _in_order(house, "confirmed", lambda b: b.arrival <= day)
                ]
            if remedy is not None:
                remedy(house, day, {*no_shows})
            if self.run(house, close_day(house, day, no_shows)) is not None:
                return
        raise AssertionError(f"nothing lets {day} be closed in hotel {house.place}")

    def _let_it_end(self, house: House, day: date, _: Collection[Key]) -> None:
        while day >= house.local_date():  # the one on which the clocks go back takes two of them
            self.pass_time(timedelta(days=1))

    def _empty_the_desk(self, house: House, day: date, no_shows: Collection[Key]) -> None:
        for booking in _in_order(house, "confirmed", lambda b: b.arrival <= day):
            if booking.key not in no_shows:
                self.run(house, cancel(house, booking.key))
        for booking in _in_order(house, "in_house", lambda b: b.departure <= day):
            self.run(house, check_out(house, booking.key, unsettled=True))

    def _open_bills(self, house: House, _: date, __: Collection[Key]) -> None:
        for booking in _charged_tonight(house, []):
            if not house.open_folios(booking.key):
                self.run(house, open_folio(house, booking.key, None))

    @rule(hours=st.integers(1, 30))
    def wait(self, hours: int) -> None:
        """Let some hours pass."""
        self.pass_time(timedelta(hours=hours))
