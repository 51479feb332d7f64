"""Taking over what a property management system says, and the connection to it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol, TypedDict, TypeVar
from uuid import UUID

import attrs
from attrs import field, frozen

from hotelcore import wire
from hotelcore.access import Permission
from hotelcore.domain.bookings import Booking, BookingStatus
from hotelcore.domain.fields import Attributes, JsonValue
from hotelcore.domain.money import Money
from hotelcore.domain.pms import ExternalMapping, ExternalPMSConfig, PmsResource
from hotelcore.domain.rooms import RoomCondition
from hotelcore.errors import (
    AlreadyExists,
    HotelcoreError,
    InvalidInput,
    NotFound,
    PmsFailure,
    Refused,
)
from hotelcore.events.catalogue import (
    PmsBookingSynced,
    PmsConnected,
    PmsDisconnected,
    PmsGuestSynced,
    PmsRoomSynced,
)
from hotelcore.ids import BookingId, GuestId, PmsConfigId, RoomId, RoomTypeId
from hotelcore.lists import RoomFilter, every
from hotelcore.operations.bookings import (
    amend_stay,
    cancel_booking_with_refund,
    create_booking_with_folio,
    mark_no_show,
)
from hotelcore.operations.declaring import operation
from hotelcore.operations.guests import amend_guest, register_guest
from hotelcore.operations.hotels import add_room_type, add_rooms
from hotelcore.operations.judging import expected_guest, lock_booking
from hotelcore.operations.nights import note_update
from hotelcore.operations.rooms import bulk_update_room_status
from hotelcore.pms.records import (
    PmsSnapshot,
    RemoteBooking,
    RemoteBookingStatus,
    RemoteGuest,
    RemoteRoom,
    RemoteRoomType,
)
from hotelcore.unit_of_work import UnitOfWork
from hotelcore.vault import Secret

__all__ = [
    "SyncReport",
    "Taken",
    "change_pms_key",
    "connect_pms",
    "disconnect_pms",
    "sync_pms_data",
]

_REASON = "taken over from the property management system"


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
def connect_pms(
    uow: UnitOfWork,
    *,
    vendor: str,
    external_hotel_id: str,
    api_key: Secret | None = None,
    attributes: Mapping[str, JsonValue] | None = None,
) -> ExternalPMSConfig:
    """Connect the hotel to its property management system; a hotel has one at most.

    ``vendor`` is the adapter's registered name, ``external_hotel_id`` the hotel's id there.
    ``api_key`` is kept sealed, and ``uow.pms.api_key()`` gives it to who may manage the connection.
    Raises `AlreadyExists` if the hotel is connected, `InvalidInput` for bad text, `NoKeys` for a
    key that cannot be sealed because the core was given no keys.
    """
    config = ExternalPMSConfig(
        id=PmsConfigId(uow.new_id()),
        hotel_id=uow.hotel.id,  # read, so that a hotel that is not registered is named
        vendor=vendor,
        external_hotel_id=external_hotel_id,
        connected_at=uow.now(),
        attributes=Attributes(attributes),
    )
    uow.pms.add(config)
    if api_key is not None:
        config = uow.pms.set_key(config, api_key)
    uow.changed("pms_config", config.id, None, config)
    uow.emit(PmsConnected(hotel_id=uow.hotel_id, config_id=config.id, vendor=vendor))
    return config


@operation(Permission.PMS_MANAGE)
def change_pms_key(uow: UnitOfWork, *, api_key: Secret | None) -> ExternalPMSConfig:
    """Keep another key of the property management system, or None to keep none any longer.

    Raises `NotFound` if the hotel is not connected, `NoKeys` as `connect_pms` does.
    """
    config = uow.pms.lock()
    changed = uow.pms.set_key(config, api_key)
    uow.changed("pms_config", config.id, config, changed)
    return changed


@operation(Permission.PMS_MANAGE)
def disconnect_pms(uow: UnitOfWork) -> ExternalPMSConfig:
    """Remove the connection and its mappings; rooms, guests and bookings stay.

    Raises `NotFound` if the hotel is not connected.
    """
    config = uow.pms.lock()
    uow.pms.remove(config)
    uow.changed("pms_config", config.id, config, None)
    uow.emit(PmsDisconnected(hotel_id=uow.hotel_id, config_id=config.id, vendor=config.vendor))
    return config


@operation(Permission.PMS_MANAGE)
def sync_pms_data(uow: UnitOfWork, *, snapshot: PmsSnapshot) -> SyncReport:
    """Take over a snapshot as a whole or not at all.

    A record is known by its external id; one that did not change since it was last taken over is
    left alone, so a second run moves nothing but the connection's ``last_synced_at``. The system
    there is the master of what it sends: its bookings are sold whatever the limit, its
    cancellations cost nothing here. Until the guest is in house a booking's stay, guest, party and
    channel follow; the prices of nights that it has already stay as they were fixed. A no-show is
    one here when its day of arrival is over: until then it counts as confirmed, and the first run
    afterwards that is sent it takes it up. Fetch first (`hotelcore.pms.fetch`), so that no network
    stands inside the transaction.

    Raises `NotFound` if the hotel is not connected, and `PmsFailure` with the record's kind and
    external id for one that names another that was never sent, or that asks for what the hotel's
    rules refuse (a room that changes its type, a stay that rewrites the past, a guest who was
    anonymised). So it does where two records there are one here, as two rooms of one number.
    """
    config = uow.pms.lock()
    uow.changed("pms_config", config.id, config, config)
    run = _Run(uow, config, _rooms_by_number(uow) if snapshot.rooms else {})
    bookings = [run.as_of_today(record) for record in snapshot.bookings]
    run.lock_bookings(bookings)
    room_types = run.take(
        PmsResource.ROOM_TYPE, snapshot.room_types, run.new_room_type, run.keep_room_type
    )
    run.add_missing_rooms(snapshot.rooms)
    report = SyncReport(
        room_types=room_types,
        guests=run.take(PmsResource.GUEST, snapshot.guests, run.new_guest, run.change_guest),
        bookings=run.take(PmsResource.BOOKING, bookings, run.new_booking, run.change_booking),
        # Last, because everybody locks rooms after bookings.
        rooms=run.take(
            PmsResource.ROOM, run.in_our_order(snapshot.rooms), run.new_room, run.change_room
        ),
    )
    uow.pms.update(attrs.evolve(config, last_synced_at=uow.now()))
    return report


class _Record(Protocol):
    @property
    def external_id(self) -> str: ...


R = TypeVar("R", bound=_Record)


@frozen
class _Run:
    """One synchronisation: creates, changes, and remembers which record there is which here."""

    uow: UnitOfWork
    config: ExternalPMSConfig
    rooms_by_number: dict[str, RoomId]
    found: dict[tuple[PmsResource, str], UUID] = field(factory=dict)

    def take(
        self,
        resource: PmsResource,
        records: Iterable[R],
        create: Callable[[R], UUID],
        change: Callable[[R, UUID], None],
    ) -> Taken:
        """Create the unknown records, change the changed ones, and store their mappings."""
        latest = {record.external_id: record for record in records}
        known = self.uow.pms.mappings(resource, latest)
        renewed: list[ExternalMapping] = []
        for external_id, record in latest.items():
            fingerprint, mapping = wire.fingerprint(record), known.get(external_id)
            if mapping is not None and mapping.fingerprint == fingerprint:
                self.found[resource, external_id] = mapping.internal_id
                continue
            try:
                internal_id = _brought_over(record, mapping, create, change)
            except (Refused, InvalidInput) as refusal:
                raise self._refused(resource, external_id, refusal) from refusal
            self.found[resource, external_id] = internal_id
            renewed.append(self._mapping(resource, external_id, internal_id, fingerprint))
        try:
            self.uow.pms.put_mappings(renewed)
        except AlreadyExists as twice:
            raise PmsFailure(
                self.config.vendor, f"two records there are one {resource} here"
            ) from twice
        created = len(latest) - len(known)
        updated = len(renewed) - created
        return Taken(created=created, updated=updated, unchanged=len(known) - updated)

    def _refused(
        self, resource: PmsResource, external_id: str, refusal: HotelcoreError
    ) -> PmsFailure:
        return PmsFailure(
            self.config.vendor, f"{resource} {external_id} cannot be taken over: {refusal}"
        )

    def _mapping(
        self, resource: PmsResource, external_id: str, internal_id: UUID, fingerprint: str
    ) -> ExternalMapping:
        return ExternalMapping(
            hotel_id=self.uow.hotel_id,
            config_id=self.config.id,
            resource=resource,
            external_id=external_id,
            internal_id=internal_id,
            fingerprint=fingerprint,
        )

    def here(self, resource: PmsResource, external_id: str) -> UUID:
        """Return our id of a record that was sent in this run or an earlier one."""
        key = (resource, external_id)
        if key not in self.found:
            mapping = self.uow.pms.mappings(resource, (external_id,)).get(external_id)
            if mapping is None:
                raise PmsFailure(
                    self.config.vendor, f"a record names a {resource} that was never sent"
                )
            self.found[key] = mapping.internal_id
        return self.found[key]

    # -- room types and rooms -----------------------------------------------------------------

    def new_room_type(self, record: RemoteRoomType) -> UUID:
        """Adopt our type of that code, or add one."""
        for known in self.uow.room_types.all():
            if known.code == record.code:
                return known.id
        added = add_room_type(
            self.uow, code=record.code, name=record.name, base_rate=record.base_rate
        )
        return added.id

    def keep_room_type(self, record: RemoteRoomType, known: UUID) -> None:
        """Leave a known type as it is: its name and price are the hotel's own to set here."""

    def add_missing_rooms(self, records: Iterable[RemoteRoom]) -> None:
        """Add the rooms whose numbers are unknown here, all of a type at once."""
        missing: defaultdict[RoomTypeId, list[str]] = defaultdict(list)
        for record in {record.number: record for record in records}.values():
            if record.number not in self.rooms_by_number:
                type_id = self.here(PmsResource.ROOM_TYPE, record.room_type_external_id)
                missing[RoomTypeId(type_id)].append(record.number)
        for type_id, numbers in sorted(missing.items()):
            for room in add_rooms(self.uow, room_type_id=type_id, numbers=numbers):
                self.rooms_by_number[room.number] = room.id

    def in_our_order(self, records: Iterable[RemoteRoom]) -> list[RemoteRoom]:
        """Return the latest record of each room by our room's id, in which everybody locks them."""
        latest = {record.external_id: record for record in records}
        return sorted(latest.values(), key=lambda record: self.rooms_by_number[record.number])

    def new_room(self, record: RemoteRoom) -> UUID:
        """Adopt our room of that number and take over its condition."""
        room_id = self.rooms_by_number[record.number]
        self.change_room(record, room_id)
        return room_id

    def change_room(self, record: RemoteRoom, known: UUID) -> None:
        """Take over the room's condition; a room never changes its type by a message."""
        room = self.uow.rooms.get(RoomId(known))
        if room.room_type_id != self.here(PmsResource.ROOM_TYPE, record.room_type_external_id):
            raise PmsFailure(self.config.vendor, "a room there has another type than here")
        self._set_condition(room.id, room.condition, record.condition)
        self.uow.emit(
            PmsRoomSynced(
                hotel_id=self.uow.hotel_id, room_id=room.id, external_id=record.external_id
            )
        )

    def _set_condition(
        self, room_id: RoomId, known: RoomCondition, told: RoomCondition | None
    ) -> None:
        if told is not None and told is not known:
            bulk_update_room_status(self.uow, room_ids=(room_id,), condition=told)

    # -- guests -------------------------------------------------------------------------------

    def new_guest(self, record: RemoteGuest) -> UUID:
        """Register the guest."""
        guest = register_guest(self.uow, **_guest_details(record))
        self._guest_synced(record, guest.id)
        return guest.id

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
        self._guest_synced(record, guest.id)

    def _guest_synced(self, record: RemoteGuest, guest_id: GuestId) -> None:
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

    def lock_bookings(self, records: Iterable[RemoteBooking]) -> None:
        """Lock the known bookings that changed, by id, before counters and rooms are locked."""
        latest = {record.external_id: record for record in records}
        known = self.uow.pms.mappings(PmsResource.BOOKING, latest)
        changed = [
            BookingId(mapping.internal_id)
            for external_id, mapping in known.items()
            if mapping.fingerprint != wire.fingerprint(latest[external_id])
        ]
        for booking_id in sorted(changed):
            lock_booking(self.uow, booking_id)

    def new_booking(self, record: RemoteBooking) -> UUID:
        """Adopt our booking of that confirmation number, or make one; then bring it in line."""
        try:
            booking = self.uow.bookings.by_confirmation(record.confirmation_number)
        except NotFound:
            booking = self._created(record)
        self.change_booking(record, booking.id)
        return booking.id

    def _created(self, record: RemoteBooking) -> Booking:
        booking, _ = create_booking_with_folio(
            self.uow,
            guest_id=GuestId(self.here(PmsResource.GUEST, record.guest_external_id)),
            room_type_id=RoomTypeId(self.here(PmsResource.ROOM_TYPE, record.room_type_external_id)),
            stay=record.stay,
            nightly_prices=record.nightly_prices,
            adults=record.adults,
            children=record.children,
            channel=record.channel,
            confirmation_number=record.confirmation_number,
            force_reason=_REASON,
        )
        return booking

    def change_booking(self, record: RemoteBooking, known: UUID) -> None:
        """Bring our booking in line with the one there, by the hotel's own operations.

        Only a difference is acted upon, so a change of ours that comes back changes nothing.
        """
        booking, _ = lock_booking(self.uow, BookingId(known))
        if booking.status in (BookingStatus.TENTATIVE, BookingStatus.CONFIRMED):
            self._bring_in_line(record, booking)
        self.uow.emit(
            PmsBookingSynced(
                hotel_id=self.uow.hotel_id, booking_id=booking.id, external_id=record.external_id
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
        guest_id = GuestId(self.here(PmsResource.GUEST, record.guest_external_id))
        if guest_id != booking.guest_id:
            expected_guest(self.uow, guest_id)
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


def _brought_over(
    record: R,
    mapping: ExternalMapping | None,
    create: Callable[[R], UUID],
    change: Callable[[R, UUID], None],
) -> UUID:
    if mapping is None:
        return create(record)
    change(record, mapping.internal_id)
    return mapping.internal_id


def _rooms_by_number(uow: UnitOfWork) -> dict[str, RoomId]:
    rooms = every(lambda after: uow.rooms.page(RoomFilter(), after=after, limit=1_000))
    return {room.number: room.id for room in rooms}


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
