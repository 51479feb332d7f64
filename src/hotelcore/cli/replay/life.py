"""The life of one hotel of the data set, day by day, through the public operations alone."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, date, datetime, time, timedelta

from attrs import Factory, frozen

from hotelcore.access import Role
from hotelcore.cli.replay.rows import CURRENCY, Agenda, Row, rooms_needed
from hotelcore.cli.shifts import Shift, Tally
from hotelcore.clock import FixedClock, SystemClock
from hotelcore.core import Desk, HotelCore
from hotelcore.domain.hotels import HouseRules, UnresolvedArrival
from hotelcore.domain.money import Money
from hotelcore.domain.stays import Stay
from hotelcore.ids import BookingId, FolioId, HotelId, RoomId, RoomTypeId, new_id
from hotelcore.operations import (
    add_room_type,
    add_rooms,
    cancel_booking_with_refund,
    check_in_guest,
    check_out_guest,
    close_business_day,
    complete_housekeeping_task,
    create_booking_with_folio,
    post_charge_to_folio,
    record_payment,
    register_guest,
    register_hotel,
)
from hotelcore.tenancy import Actor
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["Life", "live"]

_DAY = timedelta(days=1)
_ZONE = "Europe/Lisbon"  # where both hotels of the data set are
# In Lisbon: about midday, and the small hours of the same date, in summer as in winter.
_BY_DAY, _BY_NIGHT = time(12, tzinfo=UTC), time(4, tzinfo=UTC)
_RULES = HouseRules(unresolved_arrival=UnresolvedArrival.NO_SHOW)
_NOTHING = Money.zero(CURRENCY)
# The data set says nothing of it, and has a group of 55 in one row.
_MOST_GUESTS = 100


@frozen(kw_only=True)
class Life:
    """What was lived: at which hotel's handle, on which days, in how many commands and seconds.

    ``days`` are the first and the last business date; both are closed.
    """

    desk: Desk
    days: tuple[date, date]
    commands: int
    seconds: float

    @property
    def hotel_id(self) -> HotelId:
        """The hotel."""
        return self.desk.actor.hotel_id


def live(
    core: HotelCore,
    clock: FixedClock,
    name: str,
    days: Mapping[date, Agenda],
    step: Callable[[], None],
) -> Life:
    """Register a new hotel called ``name`` and live through its ``days``, which are all in order.

    ``clock`` is the one that ``core`` reads; it is moved from day to day. ``step`` is called after
    each business day. Raises what the operations raise.
    """
    stopwatch = SystemClock()
    begun = stopwatch.monotonic()
    first, last = min(days), max(days)
    desk = core.acting_as(Actor(hotel_id=HotelId(new_id()), subject="replay", role=Role.ADMIN))
    clock.set(datetime.combine(first, _BY_DAY))
    types, commands = desk.run(_set_up, name, first, rooms_needed(days))
    known: dict[int, _Known] = {}
    for day, agenda in days.items():
        clock.set(datetime.combine(day, _BY_DAY))
        diary = desk.run(_work, day, agenda, types, known)
        clock.set(datetime.combine(day + _DAY, _BY_NIGHT))
        desk.run(close_business_day, business_date=day)
        commands += diary.commands + 1
        known.update(diary.booked)
        for row in agenda.ending:
            del known[row.number]
        step()
    seconds = stopwatch.monotonic() - begun
    return Life(desk=desk, days=(first, last), commands=commands, seconds=seconds)


def _set_up(
    uow: UnitOfWork, name: str, first: date, rooms: Mapping[str, int]
) -> tuple[dict[str, RoomTypeId], int]:
    """Register the hotel with its rooms; return its types by code and the number of commands."""
    shift, types = Shift(uow, Tally()), dict[str, RoomTypeId]()
    shift.do(
        register_hotel,
        name=name,
        time_zone=_ZONE,
        currency=CURRENCY,
        business_date=first,
        rules=_RULES,
    )
    for code, number in rooms.items():
        room_type = shift.do(
            add_room_type,
            code=code,
            name=f"Room type {code}",
            base_rate=_NOTHING,
            max_occupancy=_MOST_GUESTS,
        )
        numbers = [f"{code}{n:03}" for n in range(1, number + 1)]
        shift.do(add_rooms, room_type_id=room_type.id, numbers=numbers)
        types[code] = room_type.id
    return types, shift.tally.commands


# -- a day ------------------------------------------------------------------------------------


@frozen
class _Known:
    """What the front desk remembers of a booking until it ends."""

    booking_id: BookingId
    folio_id: FolioId


@frozen
class _Diary:
    """What a day brought: the bookings made, by row, and how many commands there were."""

    booked: Mapping[int, _Known]
    commands: int


def _work(
    uow: UnitOfWork,
    day: date,
    agenda: Agenda,
    types: Mapping[str, RoomTypeId],
    known: dict[int, _Known],
) -> _Diary:
    """Do all that ``day`` asks of the front desk, in one transaction.

    ``known`` is left alone, so that the day can be begun again.
    """
    booked: dict[int, _Known] = {}
    desk = _FrontDesk(Shift(uow, Tally()), day, types, ChainMap(booked, known))
    for row in agenda.departures:
        desk.check_out(row)
    for row in agenda.bookings:
        desk.book(row)
    for row in agenda.cancellations:
        desk.cancel(row)
    for row in agenda.day_uses:
        desk.accommodate(row)
    for row in agenda.arrivals:
        desk.check_in(row)
    return _Diary(booked, desk.shift.tally.commands)


@frozen
class _FrontDesk:
    """The front desk on one day."""

    shift: Shift
    day: date
    types: Mapping[str, RoomTypeId]
    known: MutableMapping[int, _Known]
    free: dict[str, list[RoomId]] = Factory(dict)

    def book(self, row: Row) -> None:
        """Take a booking from a guest of its own."""
        guest = self.shift.do(register_guest, last_name=f"Guest {row.number:06}")
        booking, folio = self.shift.do(
            create_booking_with_folio,
            guest_id=guest.id,
            room_type_id=self.types[row.reserved],
            stay=row.stay,
            nightly_prices=[row.rate] * len(row.stay),
            adults=row.adults,
            children=row.children,
            infants=row.infants,
            channel=row.channel,
        )
        self.known[row.number] = _Known(booking.id, folio.id)

    def cancel(self, row: Row) -> None:
        """Cancel a booking."""
        booking_id = self.known[row.number].booking_id
        self.shift.do(
            cancel_booking_with_refund, booking_id=booking_id, reason="cancelled by the guest"
        )

    def check_in(self, row: Row) -> RoomId:
        """Give the guest a free room of the assigned type and return it."""
        room_id = self._free_rooms(row.assigned).pop()
        booking_id = self.known[row.number].booking_id
        self.shift.do(check_in_guest, booking_id=booking_id, room_id=room_id)
        return room_id

    def check_out(self, row: Row) -> None:
        """Settle the bill, let the guest go and have the room cleaned."""
        known = self.known[row.number]
        balance = self.shift.uow.folios.get(known.folio_id).balance
        if balance > _NOTHING:
            self.shift.do(record_payment, folio_id=known.folio_id, amount=balance, method="card")
        elif balance < _NOTHING:
            # A rate below zero leaves the guest in credit: paid out in cash, as a debit.
            self.shift.do(
                post_charge_to_folio, folio_id=known.folio_id, code="paid_out", amount=-balance
            )
        _, task = self.shift.do(check_out_guest, booking_id=known.booking_id)
        self.shift.do(complete_housekeeping_task, task_id=task.id)

    def accommodate(self, row: Row) -> None:
        """Let a guest in for a few hours and out again; the room is then free for the night."""
        room_id = self.check_in(row)
        self.check_out(row)
        self._free_rooms(row.assigned).append(room_id)

    def _free_rooms(self, code: str) -> list[RoomId]:
        """Return the rooms of a type that are free tonight, read once a day.

        Rooms are given at check-in only, so one that is free tonight is free for good.
        """
        if code not in self.free:
            tonight = Stay(self.day, self.day + _DAY)
            rooms = self.shift.uow.rooms.free(self.types[code], tonight)
            self.free[code] = [room.id for room in reversed(rooms)]
        return self.free[code]
