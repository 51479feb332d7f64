"""A business day in a demo hotel, from the first check-out to the night audit.

Everything is done through the public operations, by people who may do it, from lists that they
read as a host's screens would. Chance decides who cancels, moves, orders or never comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from typing import TypeVar

from attrs import frozen

from hotelcore.cli.demo import steps
from hotelcore.cli.demo.crew import Crew
from hotelcore.cli.demo.demand import Request
from hotelcore.cli.demo.houses import HotelSetUp, prices
from hotelcore.cli.shifts import Shift
from hotelcore.clock import FixedClock
from hotelcore.domain.bookings import Booking, BookingStatus
from hotelcore.domain.business_day import BusinessDay
from hotelcore.domain.folios import Folio, FolioLine
from hotelcore.domain.housekeeping import TaskStatus
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import MaintenanceKind, RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.ids import BookingId, RoomId
from hotelcore.lists import BookingFilter, RoomFilter, TaskFilter, every
from hotelcore.operations import (
    assign_rooms,
    check_in_guest,
    close_business_day,
    create_booking_with_folio,
    expire_holds,
    post_charge_to_folio,
    record_payment,
    register_guest,
    release_room,
)

__all__ = ["LivingHotel"]

T = TypeVar("T")

_DAY = timedelta(days=1)
# From late morning to early morning.
_HOLD = timedelta(hours=18)
_OFF_SALE = (MaintenanceKind.OUT_OF_ORDER, MaintenanceKind.OUT_OF_INVENTORY)
_TO_CLEAN = frozenset({RoomCondition.DIRTY, RoomCondition.PICKUP})
# What guests order, and from what to what it costs, in major units.
_SERVICES = (("restaurant", 12, 90), ("bar", 6, 40), ("minibar", 3, 25), ("parking", 15, 15))


@frozen
class LivingHotel:
    """A hotel at work. ``requests`` are those that guests will make, by day."""

    crew: Crew
    clock: FixedClock
    rng: Random
    made_of: HotelSetUp
    requests: Mapping[date, Sequence[Request]]

    def live(self, day: date) -> BusinessDay:
        """Live through one business day and close it; return its figures."""
        self._at(day, 8)
        self._release_held_rooms()
        self._give_up_missing(day)
        self._reinstate_late_arrivals(day)
        self._see_off(day)
        stayers = self._bookings(BookingStatus.IN_HOUSE)
        self._at(day, 11)
        self._clean_rooms(stayers)
        self._maintain_rooms(day)
        self._take_bookings(day)
        self._change_bookings(day, stayers)
        self._at(day, 15)
        self._receive(day)
        self.crew.each(self.crew.front_desk, self._some(stayers, 1), steps.move)
        self._at(day, 20)
        self._serve()
        self._confirm_bookings()
        self._at(day + _DAY, 3)
        return self._close(day)

    # -- morning ------------------------------------------------------------------------------

    def _release_held_rooms(self) -> None:
        """Give up the bookings whose hold ran out in the night."""
        with self.crew.shift(self.crew.front_desk) as shift:
            shift.do(expire_holds)

    def _give_up_missing(self, day: date) -> None:
        """Mark most of those as no-shows whom the night audit kept; the others may still come."""
        missing = self._bookings(BookingStatus.CONFIRMED, arriving_until=day - _DAY)
        self.crew.each(self.crew.front_desk, self._some(missing, 80), steps.give_up)

    def _reinstate_late_arrivals(self, day: date) -> None:
        """Take back some who were given up and stand at the desk now."""
        given_up = self._bookings(
            BookingStatus.NO_SHOW, arriving_from=day - _DAY, arriving_until=day - _DAY
        )
        late = [booking for booking in given_up if booking.stay.departure > day]
        self.crew.each(self.crew.office, self._some(late, 20), steps.reinstate)

    def _see_off(self, day: date) -> None:
        """Settle and check out everybody who is due, and a few who leave a day early."""
        due_out = self._bookings(BookingStatus.IN_HOUSE, departing_until=day)
        tomorrow = self._bookings(
            BookingStatus.IN_HOUSE, departing_from=day + _DAY, departing_until=day + _DAY
        )
        leaving = due_out + self._some(tomorrow, 4)
        folios = self._open_folios()
        in_credit = [b for b in leaving if b.id in folios and folios[b.id].balance.minor < 0]
        # Money is given back by who may, before the front desk sees the guest off.
        self.crew.each(self.crew.office, in_credit, steps.refund_credit)
        self.crew.each(self.crew.front_desk, leaving, steps.check_out)

    def _clean_rooms(self, stayers: Sequence[Booking]) -> None:
        """Do the day's tasks, clean whatever else is untidy, and inspect it all."""
        desk = self.crew.front_desk
        self.crew.each(desk, self._some(stayers, 5), steps.ask_for_cleaning)
        with desk.reading() as uow:
            open_ones = TaskFilter(status=TaskStatus.OPEN)
            tasks = list(
                every(lambda after: uow.housekeeping.page(open_ones, after=after, limit=1_000))
            )
            to_clean = RoomFilter(conditions=_TO_CLEAN)
            untidy = list(every(lambda after: uow.rooms.page(to_clean, after=after, limit=1_000)))
        cleaned = self.crew.each(desk, tasks, steps.complete)
        with self.crew.shift(self.crew.office) as shift:
            # A room was visited once, whatever was done there.
            visited = list(dict.fromkeys(room.id for room in (*cleaned, *untidy)))
            steps.set_condition(shift, visited, RoomCondition.INSPECTED)

    def _maintain_rooms(self, day: date) -> None:
        """Have a few free rooms repaired for two nights, and take some back a night early."""
        period = Stay(day, day + 2 * _DAY)
        with self.crew.office.reading() as uow:
            blocked = uow.maintenance.overlapping(Stay(day, day + _DAY))
            free = [
                room
                for code in self.made_of.rooms
                for room in uow.rooms.free(self.made_of.types[code].id, period)
            ]
        with self.crew.shift(self.crew.office) as shift:
            for begun in self._some(blocked, 30):
                shift.do(release_room, maintenance_id=begun.id)
            for room in self._some(free, 2):
                steps.block(shift, room, self.rng.choice(_OFF_SALE), period)

    # -- reservations -------------------------------------------------------------------------

    def _take_bookings(self, day: date) -> None:
        """Book what is asked for today."""
        self.crew.each(self.crew.front_desk, self.requests.get(day, ()), self._book)

    def _book(self, shift: Shift, request: Request) -> None:
        """Book for a new guest; where no room is left, the guest goes elsewhere."""
        number = shift.tally.performed[register_guest.__name__] + 1
        guest = shift.do(register_guest, first_name="Guest", last_name=f"{number:04d}")
        kind = self.made_of.types[request.type_code]
        held = request.held and request.stay.arrival > shift.uow.hotel.business_date
        booked = shift.attempt(
            create_booking_with_folio,
            guest_id=guest.id,
            room_type_id=kind.id,
            stay=request.stay,
            nightly_prices=prices(kind, request.stay),
            adults=request.adults,
            channel=request.channel,
            hold_until=shift.uow.now() + _HOLD if held else None,
        )
        if booked and request.prepaid:
            booking, folio = booked
            shift.do(record_payment, folio_id=folio.id, amount=booking.total, method="prepaid")

    def _change_bookings(self, day: date, stayers: Sequence[Booking]) -> None:
        """Lengthen some stays, put some off, cancel some: a few of them at the last moment."""
        office = self.crew.office
        self.crew.each(office, self._some(stayers, 2), steps.extend)
        to_come = self._bookings(BookingStatus.CONFIRMED, arriving_from=day + _DAY)
        today = self._bookings(BookingStatus.CONFIRMED, arriving_until=day)
        self.crew.each(office, self._some(to_come, 2), steps.shift_by_a_day)
        self.crew.each(office, self._some(to_come, 2) + self._some(today, 4), steps.cancel)

    # -- afternoon ----------------------------------------------------------------------------

    def _receive(self, day: date) -> None:
        """Give every arrival a room, and check in all who come."""
        desk = self.crew.front_desk
        with self.crew.shift(desk) as shift:
            for code in self.made_of.rooms:
                type_id = self.made_of.types[code].id
                shift.do(assign_rooms, room_type_id=type_id, arriving_until=day)
        expected = self._bookings(
            BookingStatus.CONFIRMED, arriving_until=day, departing_from=day + _DAY
        )
        absent = {booking.id for booking in self._some(expected, 3)}
        self.crew.each(desk, [b for b in expected if b.id not in absent], self._check_in)

    def _check_in(self, shift: Shift, booking: Booking) -> None:
        """Check in, to a room of another type where none of the booked one is free."""
        if booking.room_id is not None:
            shift.do(check_in_guest, booking_id=booking.id, keys=booking.adults)
        elif room_id := self._room_of_any_type(shift, booking):
            shift.attempt(
                check_in_guest, booking_id=booking.id, room_id=room_id, keys=booking.adults
            )

    def _room_of_any_type(self, shift: Shift, booking: Booking) -> RoomId | None:
        hotel = shift.uow.hotel
        stay = booking.stay.from_day(hotel.business_date)
        for code in self.made_of.rooms:
            for room in shift.uow.rooms.free(self.made_of.types[code].id, stay):
                if hotel.rules.is_ready(room.condition):
                    return room.id
        return None

    # -- evening and night --------------------------------------------------------------------

    def _serve(self) -> None:
        """Charge what guests order; correct what went wrong, and split some bills."""
        folios = list(self._open_folios().values())
        lines = self.crew.each(self.crew.front_desk, self._some(folios, 35), self._charge)
        unhappy = self._some(lines, 4)
        half = len(unhappy) // 2
        office = self.crew.office
        self.crew.each(office, unhappy[:half], steps.void)
        self.crew.each(office, unhappy[half:], steps.allow_half)
        others = [line for line in lines if line not in unhappy]
        self.crew.each(office, self._some(others, 3), steps.put_on_second_folio)

    def _confirm_bookings(self) -> None:
        """Confirm most of the bookings that are held; the others run out by tomorrow."""
        held = self._bookings(BookingStatus.TENTATIVE)
        self.crew.each(self.crew.front_desk, self._some(held, 60), steps.confirm)

    def _charge(self, shift: Shift, folio: Folio) -> FolioLine:
        code, least, most = self.rng.choice(_SERVICES)
        amount = Money.of(self.rng.randint(least, most), folio.balance.currency)
        return shift.do(post_charge_to_folio, folio_id=folio.id, code=code, amount=amount)

    def _close(self, day: date) -> BusinessDay:
        with self.crew.shift(self.crew.office) as shift:
            return shift.do(close_business_day, business_date=day)

    # -- lists, chance and time ---------------------------------------------------------------

    def _bookings(
        self,
        status: BookingStatus,
        *,
        arriving_from: date | None = None,
        arriving_until: date | None = None,
        departing_from: date | None = None,
        departing_until: date | None = None,
    ) -> list[Booking]:
        which = BookingFilter(
            statuses=frozenset({status}),
            arriving_from=arriving_from,
            arriving_until=arriving_until,
            departing_from=departing_from,
            departing_until=departing_until,
        )
        with self.crew.front_desk.reading() as uow:
            return list(every(lambda after: uow.bookings.page(which, after=after, limit=1_000)))

    def _open_folios(self) -> Mapping[BookingId, Folio]:
        with self.crew.front_desk.reading() as uow:
            return uow.folios.of_house()

    def _some(self, items: Sequence[T], percent: int) -> list[T]:
        """Choose about ``percent`` in a hundred, in the order of ``items``."""
        return [item for item in items if self.rng.random() * 100 < percent]

    def _at(self, day: date, hour: int) -> None:
        self.clock.set(datetime.combine(day, time(hour), UTC))
