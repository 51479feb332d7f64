"""Bookings of a property management system: which are ours, which are sold, and in what order.

The order is that in which everybody locks: the bookings, the guests, the counters.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date
from uuid import UUID

import attrs
from attrs import field, frozen

from hotelcore.access import Permission
from hotelcore.domain.bookings import Booking, BookingNight
from hotelcore.domain.guests import Guest
from hotelcore.domain.pms import PmsResource
from hotelcore.domain.rooms import Room, RoomType
from hotelcore.events.catalogue import PmsBookingSynced
from hotelcore.ids import BookingId, RoomId, RoomTypeId
from hotelcore.operations.counters import lock_each
from hotelcore.operations.judging import overrides
from hotelcore.operations.pms_sync.following import (
    REASON,
    Followed,
    Wanted,
    counters_of,
    follow,
    hindrance_of,
    order_of,
)
from hotelcore.operations.pms_sync.guests import GuestTakeover
from hotelcore.operations.pms_sync.report import Hindrance
from hotelcore.operations.pms_sync.takeover import Takeover, Told
from hotelcore.operations.selling import NewBooking, new_booking, sell_bookings
from hotelcore.pms.records import RemoteBooking, RemoteBookingStatus

__all__ = ["BookingTakeover"]


@frozen
class BookingTakeover:
    """The bookings of one synchronisation."""

    run: Takeover
    guests: GuestTakeover
    types: dict[RoomTypeId, RoomType] = field(factory=dict)
    adopted: dict[str, BookingId] = field(factory=dict)
    locked: dict[BookingId, Booking] = field(factory=dict)
    nights: dict[BookingId, tuple[BookingNight, ...]] = field(factory=dict)
    rooms: dict[RoomId, Room] = field(factory=dict)
    followed: dict[str, Followed] = field(factory=dict)
    hindrances: dict[str, Hindrance] = field(factory=dict)

    @property
    def _today(self) -> date:
        return self.run.uow.hotel.business_date

    def as_of_today(self, record: RemoteBooking) -> RemoteBooking:
        """Take a no-show for confirmed until its day of arrival is over; the guest may come.

        What is remembered is the record as it was taken, so a later run finds that it changed.
        """
        if record.status is RemoteBookingStatus.NO_SHOW and record.stay.arrival >= self._today:
            return attrs.evolve(record, status=RemoteBookingStatus.CONFIRMED)
        return record

    # -- before anything is written -----------------------------------------------------------

    def lock(self, told: Told[RemoteBooking]) -> None:
        """Lock the bookings that are to change, by id, before counters and rooms are locked.

        These are the known ones that changed, and ours that have the number of a new one.
        """
        uow, found = self.run.uow, self.run.found[told.resource]
        ours = uow.bookings.by_confirmations({r.confirmation_number for r in told.new})
        self.adopted.update((number, ours[number].id) for number in ours)
        self.run.adopted.update(self.adopted.values())
        self._refuse_twins(told)
        changed = {BookingId(found[record.external_id]) for record in told.changed}
        if not changed and not ours:
            return
        booking_ids = changed.union(self.adopted.values())
        self.locked.update((each.id, each) for each in uow.bookings.lock_all(booking_ids))
        self.nights.update(uow.bookings.nights_of_each(booking_ids))
        room_ids = {each.room_id for each in self.locked.values() if each.room_id is not None}
        self.rooms.update(uow.rooms.get_all(room_ids))

    def _refuse_twins(self, told: Told[RemoteBooking]) -> None:
        """Refuse two records of one booking of ours: each would change what the other left."""
        seen: dict[UUID, str] = {}
        for record in told.to_take:
            known = self._our_id(told, record)
            if known is None:
                continue
            if known in seen:
                raise self.run.are_one(told.resource, sorted((seen[known], record.external_id)))
            seen[known] = record.external_id

    def learn_types(self, told: Told[RemoteBooking]) -> None:
        """Look up the room types of the bookings to come.

        That comes before the guests: behind writes of many rows an answer waits for all of them,
        and else the bookings can be made ready meanwhile.
        """
        to_come = self._to_come(told)
        self.run.learn(PmsResource.ROOM_TYPE, (record.room_type_external_id for record in to_come))
        if any(self._ours(told, record) is None for record in to_come):
            self.types.update((known.id, known) for known in self.run.uow.room_types.all())

    def learn_guests(self, told: Told[RemoteBooking]) -> None:
        """Look up the guests of the bookings to come, share them, and see who can follow.

        That comes before the counters are locked, as everybody does it who books for a guest.
        """
        to_come = self._to_come(told)
        self.run.learn(PmsResource.GUEST, (record.guest_external_id for record in to_come))
        self.guests.share({self.guests.id_of(record) for record in to_come})
        for record in told.to_take:
            self._judge(told, record)

    def _to_come(self, told: Told[RemoteBooking]) -> list[RemoteBooking]:
        return [r for r in told.to_take if self._comes(r) and not self._is_left(told, r)]

    def _comes(self, record: RemoteBooking) -> bool:
        return record.status is RemoteBookingStatus.CONFIRMED

    def _is_left(self, told: Told[RemoteBooking], record: RemoteBooking) -> bool:
        """Tell whether a record is of no booking of ours, and nobody comes for it any more."""
        over = not self._comes(record) or record.stay.is_over(self._today)
        return over and self._ours(told, record) is None

    def _ours(self, told: Told[RemoteBooking], record: RemoteBooking) -> Booking | None:
        """Return our booking, locked, of a record that is not new to us."""
        our_id = self._our_id(told, record)
        return None if our_id is None else self.locked[BookingId(our_id)]

    def _our_id(self, told: Told[RemoteBooking], record: RemoteBooking) -> UUID | None:
        known = self.run.found[told.resource].get(record.external_id)
        return known or self.adopted.get(record.confirmation_number)

    def _judge(self, told: Told[RemoteBooking], record: RemoteBooking) -> None:
        if self._is_left(told, record):
            return
        booking = self._ours(told, record)
        if booking is None:
            erased = self._guest_of(record).anonymised_at is not None
            hindrance = Hindrance.ANONYMISED if erased else None
        else:
            it = self.followed[record.external_id] = self._followed(record, booking)
            hindrance = hindrance_of(it, self._today)
        if hindrance is not None:
            self.hindrances[record.external_id] = hindrance

    def _followed(self, record: RemoteBooking, booking: Booking) -> Followed:
        return Followed(
            record=record,
            wanted=self._wanted(record) if self._comes(record) else None,
            booking=booking,
            nights=self.nights[booking.id],
            room=None if booking.room_id is None else self.rooms[booking.room_id],
        )

    def _wanted(self, record: RemoteBooking) -> Wanted:
        return Wanted(
            stay=record.stay,
            nightly_prices=record.nightly_prices,
            room_type_id=self._type_of(record),
            guest=self._guest_of(record),
            adults=record.adults,
            children=record.children,
            channel=record.channel,
        )

    def _type_of(self, record: RemoteBooking) -> RoomTypeId:
        named_by = f"{PmsResource.BOOKING} {record.external_id}"
        known = self.run.here(
            PmsResource.ROOM_TYPE, record.room_type_external_id, named_by=named_by
        )
        return RoomTypeId(known)

    def _guest_of(self, record: RemoteBooking) -> Guest:
        return self.guests.known[self.guests.id_of(record)]

    def lock_counters(self, told: Told[RemoteBooking]) -> None:
        """Lock the counters of all nights that are to move, before the first of them moves.

        Where all bookings are new, they are locked as they are sold, which is at once.
        """
        if not self.followed:
            return
        counters = set[tuple[RoomTypeId, date]]()
        for record in self._to_sell(told):
            counters.update((self._type_of(record), night) for night in record.stay)
        for external_id, it in self.followed.items():
            if external_id not in self.hindrances:
                counters.update(counters_of(it, self._today))
        lock_each(self.run.uow, counters)

    # -- following and selling ----------------------------------------------------------------

    def follow(self, told: Told[RemoteBooking]) -> None:
        """Bring our bookings in line with those there, and see which could not be after all.

        Those that get nights come last, and of these who is in house: by then others have given
        their rooms back, so a second run finds no room free that this one found taken.
        """
        records = [r for r in told.to_take if self._is_followed(r)]
        records.sort(key=lambda record: order_of(self.followed[record.external_id]))
        outcomes = self.run.each(
            told, records, lambda record: follow(self.run.uow, self.followed[record.external_id])
        )
        for record, hindrance in zip(records, outcomes, strict=True):
            if hindrance is not None:
                self.hindrances[record.external_id] = hindrance

    def _is_followed(self, record: RemoteBooking) -> bool:
        return record.external_id in self.followed and record.external_id not in self.hindrances

    def create(self, told: Told[RemoteBooking]) -> Sequence[UUID | None]:
        """Return our bookings of those confirmation numbers, and sell the others.

        A booking for which nobody comes any more, and that is none of ours, is left.
        """
        ours = {**self.adopted, **self._sold(told, self._to_sell(told))}

        def taken(record: RemoteBooking) -> UUID | None:
            hindrance = self.hindrances.get(record.external_id)
            hindered = self.run.is_hindered(told.resource, record, hindrance)
            if hindered or self._is_left(told, record):
                return None
            booking_id = ours[record.confirmation_number]
            self._report(record, booking_id)
            return booking_id

        return [taken(record) for record in told.new]

    def change(self, record: RemoteBooking, known: UUID) -> Hindrance | None:
        """Report that our booking was brought in line, or tell what it was hindered by."""
        hindrance = self.hindrances.get(record.external_id)
        if hindrance is None:
            self._report(record, BookingId(known))
        return hindrance

    def _to_sell(self, told: Told[RemoteBooking]) -> Collection[RemoteBooking]:
        """Return the records that are sold; of two of one number, which are refused later, one."""
        new = {
            record.confirmation_number: record
            for record in told.new
            if self._ours(told, record) is None
            and not self._is_left(told, record)
            and record.external_id not in self.hindrances
        }
        return new.values()

    def _sold(
        self, told: Told[RemoteBooking], records: Collection[RemoteBooking]
    ) -> dict[str, BookingId]:
        """Sell new bookings, all at once, and return their ids by their numbers."""
        if not records:
            return {}
        uow = self.run.uow
        uow.require(Permission.BOOKINGS_CREATE, "create_booking_with_folio")
        overrides(uow, REASON, "create_booking_with_folio with force_reason")

        def built(record: RemoteBooking) -> NewBooking:
            return new_booking(
                uow,
                guest=self._guest_of(record),
                room_type=self.types[self._type_of(record)],
                stay=record.stay,
                nightly_prices=record.nightly_prices,
                adults=record.adults,
                children=record.children,
                channel=record.channel,
                confirmation_number=record.confirmation_number,
                force=True,
            )

        new = self.run.each(told, records, built)
        with uow.together(later=True):
            sold = sell_bookings(uow, new, force=True)
        return {booking.confirmation_number: booking.id for booking, _ in sold}

    def _report(self, record: RemoteBooking, booking_id: BookingId) -> None:
        uow = self.run.uow
        uow.emit(
            PmsBookingSynced(
                hotel_id=uow.hotel_id, booking_id=booking_id, external_id=record.external_id
            )
        )
