"""Taking over what a property management system says."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date
from typing import Generic, Protocol, TypedDict, TypeVar
from uuid import UUID

import attrs
from attrs import field, frozen

from hotelcore import wire
from hotelcore.access import Permission
from hotelcore.domain.bookings import Booking, BookingNight, BookingStatus
from hotelcore.domain.guests import Guest
from hotelcore.domain.money import Money
from hotelcore.domain.pms import ExternalMapping, ExternalPMSConfig, PmsResource
from hotelcore.domain.rooms import Room, RoomCondition, RoomType
from hotelcore.errors import InvalidInput, PmsFailure, Refused
from hotelcore.events.catalogue import (
    PmsBookingSynced,
    PmsGuestSynced,
    PmsRoomSynced,
)
from hotelcore.ids import BookingId, GuestId, RoomId, RoomTypeId
from hotelcore.lists import RoomFilter, every
from hotelcore.operations.bookings import (
    amend_stay,
    cancel_booking_with_refund,
    mark_no_show,
)
from hotelcore.operations.declaring import operation
from hotelcore.operations.guests import add_guests, amend_guest, new_guest
from hotelcore.operations.hotels import add_room_type, add_rooms
from hotelcore.operations.judging import expected_guest, lock_booking, overrides
from hotelcore.operations.nights import lock_each, nights_to_come, note_update, type_in_use
from hotelcore.operations.rooms import MOST_ROOMS, bulk_update_room_status
from hotelcore.operations.selling import NewBooking, new_booking, sell_bookings
from hotelcore.pms.records import (
    PmsSnapshot,
    RemoteBooking,
    RemoteBookingStatus,
    RemoteGuest,
    RemoteRoom,
    RemoteRoomType,
)
from hotelcore.unit_of_work import UnitOfWork

__all__ = [
    "SyncReport",
    "Taken",
    "sync_pms_data",
]

# Until the guest is in house, a booking follows the one there.
_FOLLOWING = (BookingStatus.TENTATIVE, BookingStatus.CONFIRMED)
_REASON = "taken over from the property management system"
# How many guests are made ready while those before are stored.
_AT_ONCE = 500


@frozen(kw_only=True)
class Taken:
    """How many records of one kind were new, changed, or as known."""

    created: int
    updated: int
    unchanged: int


@frozen(kw_only=True)
class SyncReport:
    """What one synchronisation did."""

    room_types: Taken
    rooms: Taken
    guests: Taken
    bookings: Taken


@operation(Permission.PMS_MANAGE)
def sync_pms_data(uow: UnitOfWork, *, snapshot: PmsSnapshot) -> SyncReport:
    """Take over a snapshot as a whole or not at all.

    A record is known by its external id; one that did not change since it was last taken over is
    left alone, so a second run moves nothing but the connection's ``last_synced_at``, and that not
    either while ``snapshot.more_follow``. The system there is the master of what it sends: its
    bookings are sold whatever the limit, its cancellations cost nothing here. Until the guest is in
    house a booking's stay, guest, party and channel follow; the prices of nights that it has
    already stay as they were fixed. A no-show is one here when its day of arrival is over: until
    then it counts as confirmed, and the first run afterwards that is sent it takes it up. Fetch
    first (`hotelcore.pms.fetch`), so that no network stands inside the transaction, and take over
    very many records part by part (`hotelcore.pms.PmsSnapshot.parts`).

    Raises `NotFound` if the hotel is not connected, and `PmsFailure` with the record's kind and
    external id for one that asks for what the hotel's rules refuse (a stay that rewrites the past,
    a guest who was anonymised); with the kind alone for one that names another that was never sent,
    for a room that changes its type, and where two records there are one here, as two rooms of one
    number. `AlreadyExists` says that somebody took one of the confirmation numbers meanwhile: run
    it again.
    """
    config = uow.pms.lock()
    uow.changed("pms_config", config.id, config, config)
    run = _Run(uow, config)
    report = run.take_over(snapshot)
    if not snapshot.more_follow:
        with uow.together(later=True):
            uow.pms.update(attrs.evolve(config, last_synced_at=uow.now()))
    return report


class _Record(Protocol):
    @property
    def external_id(self) -> str: ...


R = TypeVar("R", bound=_Record)
T = TypeVar("T")


@frozen
class _Told(Generic[R]):
    """The latest records of one kind: those never taken over, those that changed since, and all."""

    resource: PmsResource
    latest: Mapping[str, R]
    new: Sequence[R]
    changed: Sequence[R]


@frozen
class _Run:
    """One synchronisation: creates, changes, and remembers which record there is which here.

    What is new is made together, what changed goes through the hotel's own operations, each record
    by itself.
    """

    uow: UnitOfWork
    config: ExternalPMSConfig
    types: dict[RoomTypeId, RoomType] = field(factory=dict)
    rooms: dict[RoomId, Room] = field(factory=dict)
    numbers: dict[str, RoomId] = field(factory=dict)
    adopted: dict[str, BookingId] = field(factory=dict)
    locked: dict[BookingId, Booking] = field(factory=dict)
    nights: dict[BookingId, tuple[BookingNight, ...]] = field(factory=dict)
    guests: dict[GuestId, Guest] = field(factory=dict)
    found: dict[PmsResource, dict[str, UUID]] = field(factory=lambda: defaultdict(dict))

    def take_over(self, snapshot: PmsSnapshot) -> SyncReport:
        """Take over all records, kind by kind, in the order in which everybody locks them."""
        bookings = self.told(PmsResource.BOOKING, map(self.as_of_today, snapshot.bookings))
        self.lock_bookings(bookings)
        types = self.told(PmsResource.ROOM_TYPE, snapshot.room_types)
        taken_types = self.take(types, self.new_room_types, self.keep_room_type)
        if snapshot.rooms:
            self.add_missing_rooms(snapshot.rooms)
        self.learn_types(bookings)
        guests = self.told(PmsResource.GUEST, snapshot.guests)
        taken_guests = self.take(guests, self.new_guests, self.change_guest)
        self.learn_guests(bookings)
        self.lock_counters(bookings)
        taken_bookings = self.take(bookings, self.new_bookings, self.change_booking)
        rooms = self.told(PmsResource.ROOM, self.in_our_order(snapshot.rooms))
        self.follow_conditions(rooms)
        return SyncReport(
            room_types=taken_types,
            rooms=self.take(rooms, self.new_rooms, self.report_room),
            guests=taken_guests,
            bookings=taken_bookings,
        )

    # -- every kind of record -----------------------------------------------------------------

    def told(self, resource: PmsResource, records: Iterable[R]) -> _Told[R]:
        """Find out which of the records are new, and which of the known ones changed."""
        latest = {record.external_id: record for record in records}
        known = self.uow.pms.mappings(resource, latest)
        self.found[resource].update((key, known[key].internal_id) for key in known)
        new = [record for key, record in latest.items() if key not in known]
        changed = [
            record
            for key, record in latest.items()
            if key in known and known[key].fingerprint != wire.fingerprint(record)
        ]
        return _Told(resource, latest, new, changed)

    def take(
        self,
        told: _Told[R],
        create: Callable[[_Told[R]], Iterable[UUID]],
        change: Callable[[R, UUID], None],
    ) -> Taken:
        """Create the new records, change the changed ones, and store their mappings."""
        found = self.found[told.resource]
        if told.new:
            found.update(zip((r.external_id for r in told.new), create(told), strict=True))
        self.each(told, told.changed, lambda record: change(record, found[record.external_id]))
        self._remember(told)
        created, updated = len(told.new), len(told.changed)
        unchanged = len(told.latest) - created - updated
        return Taken(created=created, updated=updated, unchanged=unchanged)

    def each(self, told: _Told[R], records: Iterable[R], work: Callable[[R], T]) -> list[T]:
        """Do something with each of some records; a refusal names the record."""
        done: list[T] = []
        for record in records:
            try:
                done.append(work(record))
            except (Refused, InvalidInput) as refusal:
                named = f"{told.resource} {record.external_id}"
                raise self.failure(f"{named} cannot be taken over: {refusal}") from refusal
        return done

    def failure(self, reason: str) -> PmsFailure:
        """Build the error that stops the run."""
        return PmsFailure(self.config.vendor, reason)

    def _remember(self, told: _Told[R]) -> None:
        renewed = [
            ExternalMapping(
                hotel_id=self.uow.hotel_id,
                config_id=self.config.id,
                resource=told.resource,
                external_id=record.external_id,
                internal_id=self.found[told.resource][record.external_id],
                fingerprint=wire.fingerprint(record),
            )
            for record in (*told.new, *told.changed)
        ]
        reason = f"two records there are one {told.resource} here"
        with self.uow.together(later=True):
            self.uow.pms.put_mappings(renewed, twice=lambda: self.failure(reason))

    def learn(self, resource: PmsResource, external_ids: Iterable[str]) -> None:
        """Look up the records that are named and that no one has told in this run."""
        found = self.found[resource]
        known = self.uow.pms.mappings(resource, set(external_ids).difference(found))
        found.update((key, known[key].internal_id) for key in known)

    def here(self, resource: PmsResource, external_id: str) -> UUID:
        """Return our id of a record that was told, or looked up by `learn`."""
        known = self.found[resource].get(external_id)
        if known is None:
            raise self.failure(f"a record names a {resource} that was never sent")
        return known

    # -- room types and rooms -----------------------------------------------------------------

    def new_room_types(self, told: _Told[RemoteRoomType]) -> list[UUID]:
        """Adopt our types of those codes, or add some."""
        codes = {known.code: known.id for known in self.uow.room_types.all()}

        def adopted(record: RemoteRoomType) -> UUID:
            if record.code not in codes:
                codes[record.code] = add_room_type(
                    self.uow, code=record.code, name=record.name, base_rate=record.base_rate
                ).id
            return codes[record.code]

        return self.each(told, told.new, adopted)

    def keep_room_type(self, record: RemoteRoomType, known: UUID) -> None:
        """Leave a known type as it is: its name and price are the hotel's own to set here."""

    def add_missing_rooms(self, records: Iterable[RemoteRoom]) -> None:
        """Read our rooms, and add those whose numbers are unknown, all of a type at once."""
        self._know(every(lambda after: self.uow.rooms.page(RoomFilter(), after=after, limit=1_000)))
        self.learn(PmsResource.ROOM_TYPE, (record.room_type_external_id for record in records))
        missing: defaultdict[RoomTypeId, list[str]] = defaultdict(list)
        for record in {record.number: record for record in records}.values():
            if record.number not in self.numbers:
                missing[self._type_of(record)].append(record.number)
        for type_id, numbers in sorted(missing.items()):
            self._know(add_rooms(self.uow, room_type_id=type_id, numbers=numbers))

    def _know(self, rooms: Iterable[Room]) -> None:
        for room in rooms:
            self.rooms[room.id], self.numbers[room.number] = room, room.id

    def _type_of(self, record: RemoteRoom | RemoteBooking) -> RoomTypeId:
        return RoomTypeId(self.here(PmsResource.ROOM_TYPE, record.room_type_external_id))

    def in_our_order(self, records: Iterable[RemoteRoom]) -> list[RemoteRoom]:
        """Return the latest record of each room by our room's id, in which everybody locks them."""
        latest = {record.external_id: record for record in records}
        return sorted(latest.values(), key=lambda record: self.numbers[record.number])

    def follow_conditions(self, told: _Told[RemoteRoom]) -> None:
        """Take over conditions; a room is adopted by its number and never changes its type."""
        conditions: dict[RoomId, RoomCondition] = {}
        for record in (*told.new, *told.changed):
            known = self.found[told.resource].get(record.external_id)
            room = self.rooms[RoomId(known) if known else self.numbers[record.number]]
            if room.room_type_id != self._type_of(record):
                raise self.failure("a room there has another type than here")
            if record.condition not in (None, room.condition):
                conditions[room.id] = record.condition
        self._set_conditions(conditions)

    def _set_conditions(self, conditions: Mapping[RoomId, RoomCondition]) -> None:
        """Set all rooms of one condition at once, after all are locked in one order."""
        rooms_in = defaultdict[RoomCondition, list[RoomId]](list)
        for room in self.uow.rooms.lock(conditions) if conditions else ():
            rooms_in[conditions[room.id]].append(room.id)
        for condition, room_ids in rooms_in.items():
            for begin in range(0, len(room_ids), MOST_ROOMS):
                some = room_ids[begin : begin + MOST_ROOMS]
                bulk_update_room_status(self.uow, room_ids=some, condition=condition)

    def new_rooms(self, told: _Told[RemoteRoom]) -> list[UUID]:
        """Adopt our rooms of those numbers."""
        room_ids: list[UUID] = [self.numbers[record.number] for record in told.new]
        for record, room_id in zip(told.new, room_ids, strict=True):
            self.report_room(record, room_id)
        return room_ids

    def report_room(self, record: RemoteRoom, known: UUID) -> None:
        """Report that a room was taken over."""
        self.uow.emit(
            PmsRoomSynced(
                hotel_id=self.uow.hotel_id, room_id=RoomId(known), external_id=record.external_id
            )
        )

    # -- guests -------------------------------------------------------------------------------

    def new_guests(self, told: _Told[RemoteGuest]) -> list[UUID]:
        """Register the guests, some hundreds at once, so that those are stored meanwhile."""
        self.uow.require(Permission.GUESTS_EDIT, "register_guest")
        guests: list[Guest] = []
        for begin in range(0, len(told.new), _AT_ONCE):
            records = told.new[begin : begin + _AT_ONCE]
            some = self.each(
                told, records, lambda record: new_guest(self.uow, **_guest_details(record))
            )
            with self.uow.together(later=True):
                add_guests(self.uow, some)
            guests += some
        self.guests.update((guest.id, guest) for guest in guests)
        for record, guest in zip(told.new, guests, strict=True):
            self._report_guest(record, guest.id)
        return [guest.id for guest in guests]

    def change_guest(self, record: RemoteGuest, known: UUID) -> None:
        """Take over the guest's name and addresses; what was anonymised here stays so."""
        guest = self.uow.guests.get(GuestId(known))
        if guest.anonymised_at is None:
            amend_guest(
                self.uow,
                guest_id=guest.id,
                country=guest.country,
                vip=guest.vip,
                attributes=guest.attributes,
                **_guest_details(record),
            )
        self._report_guest(record, guest.id)

    def _report_guest(self, record: RemoteGuest, guest_id: GuestId) -> None:
        self.uow.emit(
            PmsGuestSynced(
                hotel_id=self.uow.hotel_id, guest_id=guest_id, external_id=record.external_id
            )
        )

    # -- bookings -----------------------------------------------------------------------------

    def as_of_today(self, record: RemoteBooking) -> RemoteBooking:
        """Take a no-show for confirmed until its day of arrival is over; the guest may come.

        What is remembered is the record as it was taken, so a later run finds that it changed.
        """
        today = self.uow.hotel.business_date
        if record.status is RemoteBookingStatus.NO_SHOW and record.stay.arrival >= today:
            return attrs.evolve(record, status=RemoteBookingStatus.CONFIRMED)
        return record

    def lock_bookings(self, told: _Told[RemoteBooking]) -> None:
        """Lock the bookings that are to change, by id, before counters and rooms are locked.

        These are the known ones that changed, and ours that have the number of a new one.
        """
        numbers = {record.confirmation_number for record in told.new}
        ours = self.uow.bookings.by_confirmations(numbers)
        self.adopted.update((number, ours[number].id) for number in ours)
        found = self.found[told.resource]
        changed = {BookingId(found[record.external_id]) for record in told.changed}
        for booking_id in sorted(changed.union(self.adopted.values())):
            self.locked[booking_id], _ = lock_booking(self.uow, booking_id)
            self.nights[booking_id] = self.uow.bookings.nights(booking_id)

    def learn_types(self, told: _Told[RemoteBooking]) -> None:
        """Look up the room types of the new bookings.

        That comes before the guests: behind writes of many rows an answer waits for all of them,
        and else the bookings can be made ready meanwhile.
        """
        if told.new:
            self.learn(PmsResource.ROOM_TYPE, (record.room_type_external_id for record in told.new))
            self.types.update((known.id, known) for known in self.uow.room_types.all())

    def learn_guests(self, told: _Told[RemoteBooking]) -> None:
        """Look up the guests of the bookings that are about to be taken over, and share them.

        That comes before the counters are locked, as everybody does it who books for a guest.
        """
        records = (*told.new, *told.changed)
        self.learn(PmsResource.GUEST, (record.guest_external_id for record in records))
        wanted = {self._guest_of(record) for record in records if self._needs_guest(told, record)}
        # The others are new in this run, so that nobody else sees them yet.
        shared = self.uow.guests.share_all(wanted.difference(self.guests))
        self.guests.update((guest.id, guest) for guest in shared)

    def _ours(self, told: _Told[RemoteBooking], record: RemoteBooking) -> Booking | None:
        """Return our booking, locked, of a record that is not new to us."""
        known = self.found[told.resource].get(record.external_id)
        our_id = known or self.adopted.get(record.confirmation_number)
        return None if our_id is None else self.locked[BookingId(our_id)]

    def _needs_guest(self, told: _Told[RemoteBooking], record: RemoteBooking) -> bool:
        booking, confirmed = self._ours(told, record), RemoteBookingStatus.CONFIRMED
        return booking is None or (booking.status in _FOLLOWING and record.status is confirmed)

    def lock_counters(self, told: _Told[RemoteBooking]) -> None:
        """Lock the counters of all nights that are to move, before the first of them moves.

        Where all bookings are new, they are locked as they are sold, which is at once.
        """
        if not self.locked:
            return
        counters = set[tuple[RoomTypeId, date]]()
        for record in (*told.new, *told.changed):
            booking = self._ours(told, record)
            if booking is None:
                counters.update((self._type_of(record), night) for night in record.stay)
            else:
                counters.update(self._moving(record, booking))
        lock_each(self.uow, counters)

    def _moving(self, record: RemoteBooking, booking: Booking) -> Iterator[tuple[RoomTypeId, date]]:
        """Give the nights that a booking drops, each in the type that it has, and those it gets."""
        if booking.status not in _FOLLOWING:
            return
        stay = record.stay if record.status is RemoteBookingStatus.CONFIRMED else ()
        had = nights_to_come(self.nights[booking.id], self.uow.hotel.business_date)
        yield from ((night.room_type_id, night.night) for night in had if night.night not in stay)
        new = set(stay).difference(booking.stay)
        if new:
            in_use = type_in_use(self.uow, booking)
            yield from ((in_use, night) for night in new)

    def new_bookings(self, told: _Told[RemoteBooking]) -> list[UUID]:
        """Adopt our bookings of those confirmation numbers, make the others, bring all in line."""
        # Two of one number are refused later, as two records there that are one here.
        unsold = {
            record.confirmation_number: record
            for record in told.new
            if record.confirmation_number not in self.adopted
        }
        ours: dict[str, BookingId] = {**self.adopted, **self._sold(told, unsold.values())}

        def brought_in_line(record: RemoteBooking) -> UUID:
            number = record.confirmation_number
            booking_id = ours[number]
            if number in unsold and record.status is RemoteBookingStatus.CONFIRMED:
                self._report_booking(record, booking_id)
            else:
                self.change_booking(record, booking_id)
            return booking_id

        return self.each(told, told.new, brought_in_line)

    def _sold(
        self, told: _Told[RemoteBooking], records: Collection[RemoteBooking]
    ) -> dict[str, BookingId]:
        """Sell new bookings, all at once, and return their ids by their numbers."""
        if not records:
            return {}
        self.uow.require(Permission.BOOKINGS_CREATE, "create_booking_with_folio")
        overrides(self.uow, _REASON, "create_booking_with_folio with force_reason")

        def built(record: RemoteBooking) -> NewBooking:
            return new_booking(
                self.uow,
                guest=self.guests[self._guest_of(record)],
                room_type=self.types[self._type_of(record)],
                stay=record.stay,
                nightly_prices=record.nightly_prices,
                adults=record.adults,
                children=record.children,
                channel=record.channel,
                confirmation_number=record.confirmation_number,
                force=True,
            )

        new = self.each(told, records, built)
        with self.uow.together(later=True):
            sold = sell_bookings(self.uow, new, force=True)
        return {booking.confirmation_number: booking.id for booking, _ in sold}

    def _guest_of(self, record: RemoteBooking) -> GuestId:
        return GuestId(self.here(PmsResource.GUEST, record.guest_external_id))

    def change_booking(self, record: RemoteBooking, known: UUID) -> None:
        """Bring our booking in line with the one there, by the hotel's own operations.

        Only a difference is acted upon, so a change of ours that comes back changes nothing.
        """
        booking, _ = lock_booking(self.uow, BookingId(known))
        if booking.status in _FOLLOWING:
            self._bring_in_line(record, booking)
        self._report_booking(record, booking.id)

    def _report_booking(self, record: RemoteBooking, booking_id: BookingId) -> None:
        self.uow.emit(
            PmsBookingSynced(
                hotel_id=self.uow.hotel_id, booking_id=booking_id, external_id=record.external_id
            )
        )

    def _bring_in_line(self, record: RemoteBooking, booking: Booking) -> None:
        never_came = record.status is RemoteBookingStatus.NO_SHOW
        if never_came and booking.stay.arrival < self.uow.hotel.business_date:
            mark_no_show(self.uow, booking_id=booking.id)
        elif record.status is not RemoteBookingStatus.CONFIRMED:
            cancel_booking_with_refund(
                self.uow, booking_id=booking.id, reason=_REASON, waive_fee=True
            )
        else:
            self._follow_party(record, booking)
            self._follow_stay(record, booking)

    def _follow_party(self, record: RemoteBooking, booking: Booking) -> None:
        guest_id = self._guest_of(record)
        if guest_id != booking.guest_id:
            expected_guest(self.guests[guest_id])
        told = attrs.evolve(
            booking,
            guest_id=guest_id,
            adults=record.adults,
            children=record.children,
            channel=record.channel,
        )
        if told != booking:
            note_update(self.uow, booking, self.uow.bookings.update(told))

    def _follow_stay(self, record: RemoteBooking, booking: Booking) -> None:
        if record.stay != booking.stay:
            amend_stay(
                self.uow,
                booking_id=booking.id,
                stay=record.stay,
                nightly_prices=_prices_of_new_nights(record, booking),
                force_reason=_REASON,
            )


def _prices_of_new_nights(record: RemoteBooking, booking: Booking) -> tuple[Money, ...]:
    priced = zip(record.stay, record.nightly_prices, strict=True)
    return tuple(price for night, price in priced if night not in booking.stay)


class _GuestDetails(TypedDict):
    last_name: str
    first_name: str
    email: str | None
    phone: str | None


def _guest_details(record: RemoteGuest) -> _GuestDetails:
    return {
        "last_name": record.last_name,
        "first_name": record.first_name,
        "email": record.email,
        "phone": record.phone,
    }
