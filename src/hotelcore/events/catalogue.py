"""Every fact that the library reports: one frozen class each, with its name on the wire.

Payloads carry ids and facts, never a guest's personal data. On the wire the fields are in camel
case (``bookingId``), in Python in snake case.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from datetime import date
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, get_type_hints
from uuid import UUID

import attrs
from attrs import frozen

from hotelcore import wire
from hotelcore.domain.cancellation import CancellationCause
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import RoomCondition
from hotelcore.errors import InvalidInput
from hotelcore.ids import (
    BookingId,
    FolioId,
    FolioLineId,
    GuestId,
    HotelId,
    PmsConfigId,
    RoomId,
    RoomTypeId,
    TaskId,
)

__all__ = [
    "CATALOGUE",
    "AllowanceGranted",
    "AllowanceVoided",
    "BookingCancelled",
    "BookingCheckedIn",
    "BookingCheckedOut",
    "BookingCreated",
    "BookingNoShow",
    "BookingReinstated",
    "BookingRoomAssigned",
    "BookingUpdated",
    "BusinessDayClosed",
    "ChargePosted",
    "ChargeVoided",
    "Event",
    "FolioClosed",
    "HousekeepingTaskCompleted",
    "PaymentReceived",
    "PaymentRefunded",
    "PmsBookingSynced",
    "PmsConnected",
    "PmsDisconnected",
    "PmsGuestSynced",
    "PmsRoomSynced",
    "RoomStatusChanged",
    "WireField",
    "catalogue_of",
    "event_of",
    "payload",
    "wire_fields",
]

_WIRE_NAME = re.compile(r"[a-z][A-Za-z]*(\.[a-z][A-Za-z]*)+")
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


@frozen(kw_only=True)
class Event:
    """A fact of one hotel.

    ``wire_name`` names its kind, and ``version`` counts the forms that the payload of one name has
    had. ``keyed_by`` is the field with the record within whose events the order is kept: the hotel
    where there is none.
    """

    wire_name: ClassVar[str]
    version: ClassVar[int] = 1
    keyed_by: ClassVar[str] = "hotel_id"
    hotel_id: HotelId

    @property
    def key(self) -> UUID:
        """The record within whose events the order is kept."""
        key: UUID = getattr(self, self.keyed_by)
        return key


E = TypeVar("E", bound=Event)


@frozen(kw_only=True)
class _OfBooking(Event):
    """Facts of one booking are ordered among themselves."""

    keyed_by: ClassVar[str] = "booking_id"
    booking_id: BookingId


@frozen(kw_only=True)
class BookingCreated(_OfBooking):
    """A booking was made; it may be tentative."""

    wire_name: ClassVar[str] = "booking.created"
    confirmation_number: str
    guest_id: GuestId
    room_type_id: RoomTypeId
    arrival: date
    departure: date
    total: Money
    channel: str


@frozen(kw_only=True)
class BookingUpdated(_OfBooking):
    """A booking was confirmed or amended; the fields say what now holds."""

    wire_name: ClassVar[str] = "booking.updated"
    confirmation_number: str
    arrival: date
    departure: date
    total: Money
    status: str


@frozen(kw_only=True)
class BookingRoomAssigned(_OfBooking):
    """A booking got a room, or another one than before."""

    wire_name: ClassVar[str] = "booking.roomAssigned"
    room_id: RoomId
    previous_room_id: RoomId | None


@frozen(kw_only=True)
class BookingCheckedIn(_OfBooking):
    """The guest arrived and got the keys."""

    wire_name: ClassVar[str] = "booking.checkedIn"
    room_id: RoomId
    business_date: date


@frozen(kw_only=True)
class BookingCheckedOut(_OfBooking):
    """The guest left; the room waits for housekeeping."""

    wire_name: ClassVar[str] = "booking.checkedOut"
    room_id: RoomId
    business_date: date
    nights_released: int


@frozen(kw_only=True)
class BookingCancelled(_OfBooking):
    """A booking was cancelled, or its hold expired; its nights are back on sale."""

    wire_name: ClassVar[str] = "booking.cancelled"
    confirmation_number: str
    fee: Money
    refund: Money
    nights_released: int
    reason: CancellationCause


@frozen(kw_only=True)
class BookingNoShow(_OfBooking):
    """The guest never came; the nights to come are back on sale."""

    wire_name: ClassVar[str] = "booking.noShow"
    confirmation_number: str
    fee: Money
    nights_released: int


@frozen(kw_only=True)
class BookingReinstated(_OfBooking):
    """A cancelled or no-show booking holds again."""

    wire_name: ClassVar[str] = "booking.reinstated"
    confirmation_number: str
    arrival: date
    departure: date


@frozen(kw_only=True)
class ChargePosted(_OfBooking):
    """A charge was posted to a folio."""

    wire_name: ClassVar[str] = "charge.posted"
    folio_id: FolioId
    line_id: FolioLineId
    code: str
    amount: Money
    service_date: date


@frozen(kw_only=True)
class ChargeVoided(_OfBooking):
    """A charge was reversed by a line of its own."""

    wire_name: ClassVar[str] = "charge.voided"
    folio_id: FolioId
    line_id: FolioLineId
    voided_line_id: FolioLineId
    amount: Money


@frozen(kw_only=True)
class AllowanceGranted(_OfBooking):
    """A charge was lowered by a line of its own."""

    wire_name: ClassVar[str] = "allowance.granted"
    folio_id: FolioId
    line_id: FolioLineId
    charge_line_id: FolioLineId
    amount: Money


@frozen(kw_only=True)
class AllowanceVoided(_OfBooking):
    """An allowance was taken back by a line of its own."""

    wire_name: ClassVar[str] = "allowance.voided"
    folio_id: FolioId
    line_id: FolioLineId
    voided_line_id: FolioLineId
    amount: Money


@frozen(kw_only=True)
class PaymentReceived(_OfBooking):
    """A payment was recorded."""

    wire_name: ClassVar[str] = "payment.received"
    folio_id: FolioId
    line_id: FolioLineId
    method: str
    amount: Money


@frozen(kw_only=True)
class PaymentRefunded(_OfBooking):
    """Money went back to the guest."""

    wire_name: ClassVar[str] = "payment.refunded"
    folio_id: FolioId
    line_id: FolioLineId
    payment_line_id: FolioLineId
    amount: Money


@frozen(kw_only=True)
class FolioClosed(_OfBooking):
    """A settled folio was closed."""

    wire_name: ClassVar[str] = "folio.closed"
    folio_id: FolioId


@frozen(kw_only=True)
class RoomStatusChanged(Event):
    """A room's condition changed."""

    wire_name: ClassVar[str] = "room.statusChanged"
    keyed_by: ClassVar[str] = "room_id"
    room_id: RoomId
    previous: RoomCondition
    condition: RoomCondition


@frozen(kw_only=True)
class HousekeepingTaskCompleted(Event):
    """A housekeeping task is done."""

    wire_name: ClassVar[str] = "housekeeping.taskCompleted"
    keyed_by: ClassVar[str] = "room_id"
    task_id: TaskId
    room_id: RoomId
    kind: str


@frozen(kw_only=True)
class BusinessDayClosed(Event):
    """The night audit closed a day; the next one is the hotel's business date now."""

    wire_name: ClassVar[str] = "businessDay.closed"
    business_date: date
    next_business_date: date
    rooms_sold: int
    room_revenue: Money


@frozen(kw_only=True)
class PmsConnected(Event):
    """The hotel was connected to its property management system."""

    wire_name: ClassVar[str] = "pms.external.connected"
    config_id: PmsConfigId
    vendor: str


@frozen(kw_only=True)
class PmsDisconnected(Event):
    """The hotel's connection to its property management system was removed."""

    wire_name: ClassVar[str] = "pms.external.disconnected"
    config_id: PmsConfigId
    vendor: str


@frozen(kw_only=True)
class PmsRoomSynced(Event):
    """A room was taken over from the property management system."""

    wire_name: ClassVar[str] = "pms.room.synced"
    keyed_by: ClassVar[str] = "room_id"
    room_id: RoomId
    external_id: str


@frozen(kw_only=True)
class PmsGuestSynced(Event):
    """A guest was taken over from the property management system."""

    wire_name: ClassVar[str] = "pms.guest.synced"
    keyed_by: ClassVar[str] = "guest_id"
    guest_id: GuestId
    external_id: str


@frozen(kw_only=True)
class PmsBookingSynced(_OfBooking):
    """A booking was taken over from the property management system."""

    wire_name: ClassVar[str] = "pms.booking.synced"
    external_id: str


def catalogue_of(*kinds: type[Event]) -> Mapping[str, type[Event]]:
    """Return ``kinds`` by their wire names.

    Raises `InvalidInput` for a class without a wire name of its own, a name that two classes have,
    and a version below 1.
    """
    catalogue: dict[str, type[Event]] = {}
    for kind in kinds:
        name = vars(kind).get("wire_name")
        if not isinstance(name, str) or not _WIRE_NAME.fullmatch(name):
            raise InvalidInput("wire_name", f"{kind.__name__} needs one such as booking.created")
        if name in catalogue:
            raise InvalidInput("wire_name", f"{kind.__name__} has that of another event, {name}")
        if kind.version < 1:
            raise InvalidInput("version", f"that of {kind.__name__} must be 1 or more")
        catalogue[name] = kind
    return MappingProxyType(catalogue)


CATALOGUE: Mapping[str, type[Event]] = catalogue_of(
    AllowanceGranted,
    AllowanceVoided,
    BookingCancelled,
    BookingCheckedIn,
    BookingCheckedOut,
    BookingCreated,
    BookingNoShow,
    BookingReinstated,
    BookingRoomAssigned,
    BookingUpdated,
    BusinessDayClosed,
    ChargePosted,
    ChargeVoided,
    FolioClosed,
    HousekeepingTaskCompleted,
    PaymentReceived,
    PaymentRefunded,
    PmsBookingSynced,
    PmsConnected,
    PmsDisconnected,
    PmsGuestSynced,
    PmsRoomSynced,
    RoomStatusChanged,
)
"""Every event by its wire name. It is closed: what is not here is no event of the library."""


# -- the wire form -----------------------------------------------------------------------------


@frozen(kw_only=True)
class WireField:
    """One field of a payload: its ``name`` in Python and the ``type`` of its value there."""

    name: str
    type: object


# Begins empty and remembers the fields of every class it meets: each event passes here twice.
_WIRE_FIELDS: dict[type[Event], Mapping[str, WireField]] = {}
_ENCODERS: dict[type[Event], Callable[[object], dict[str, wire.Json]]] = {}


def wire_fields(kind: type[Event]) -> Mapping[str, WireField]:
    """Return the fields of ``kind``'s payload by their names on the wire."""
    fields = _WIRE_FIELDS.get(kind)
    if fields is None:
        types = get_type_hints(kind)
        names = [attribute.name for attribute in attrs.fields(kind)]
        fields = {_camel(name): WireField(name=name, type=types[name]) for name in names}
        fields = _WIRE_FIELDS[kind] = MappingProxyType(fields)
    return fields


def payload(event: Event) -> dict[str, wire.Json]:
    """Return the event's fields as they go over the wire, camel case and all."""
    kind = type(event)
    encode = _ENCODERS.get(kind)
    if encode is None:
        names = {name: field.name for name, field in wire_fields(kind).items()}
        encode = _ENCODERS[kind] = wire.fields_encoder(names)
    return encode(event)


def event_of(kind: type[E], payload: wire.Json) -> E:
    """Return the event of ``kind`` that `payload` made ``payload`` of.

    Raises `InvalidInput` that names the field that is missing, unknown or does not fit.
    """
    if type(payload) is not dict:
        raise InvalidInput("payload", "must be an object")
    fields = wire_fields(kind)
    if payload.keys() != fields.keys():
        raise _misfit(payload.keys(), fields.keys())
    values: dict[str, Any] = {}  # Any: each is of its own field's type.
    name = ""
    try:
        for name, field in fields.items():
            values[field.name] = wire.decode(payload[name], field.type)
    except InvalidInput as error:
        inner = "" if error.field == "value" else f".{error.field}"
        raise InvalidInput(name + inner, error.reason) from None
    return kind(**values)


def _misfit(found: Set[str], needed: Set[str]) -> InvalidInput:
    missing = sorted(needed - found)
    if missing:
        return InvalidInput(missing[0], "is missing from the payload")
    unknown = min(found - needed)
    # Only what may be the name of a field is repeated: a stranger's key could hold anything.
    name = unknown if _FIELD_NAME.fullmatch(unknown) else "payload"
    return InvalidInput(name, "is no field of this event's version")


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)
