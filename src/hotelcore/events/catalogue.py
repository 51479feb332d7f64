"""Every fact that the library reports: one frozen class each, with its name on the wire.

Payloads carry ids and facts, never a guest's personal data. On the wire the fields are in camel
case (``bookingId``), in Python in snake case.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import MappingProxyType
from typing import ClassVar
from uuid import UUID

import attrs
from attrs import frozen

from hotelcore import wire
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import RoomCondition
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
    "payload",
]


@frozen(kw_only=True)
class Event:
    """A fact of one hotel. ``wire_name`` names its kind, ``key`` the record whose order counts."""

    wire_name: ClassVar[str]
    hotel_id: HotelId

    @property
    def key(self) -> UUID:
        """The record within whose events the order is kept; the hotel where there is none."""
        return self.hotel_id


@frozen(kw_only=True)
class _OfBooking(Event):
    """Facts of one booking are ordered among themselves."""

    wire_name: ClassVar[str]
    booking_id: BookingId

    @property
    def key(self) -> UUID:
        return self.booking_id


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
    reason: str


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
    room_id: RoomId
    previous: RoomCondition
    condition: RoomCondition

    @property
    def key(self) -> UUID:
        """The room."""
        return self.room_id


@frozen(kw_only=True)
class HousekeepingTaskCompleted(Event):
    """A housekeeping task is done."""

    wire_name: ClassVar[str] = "housekeeping.taskCompleted"
    task_id: TaskId
    room_id: RoomId
    kind: str

    @property
    def key(self) -> UUID:
        """The room."""
        return self.room_id


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
    room_id: RoomId
    external_id: str

    @property
    def key(self) -> UUID:
        """The room."""
        return self.room_id


@frozen(kw_only=True)
class PmsGuestSynced(Event):
    """A guest was taken over from the property management system."""

    wire_name: ClassVar[str] = "pms.guest.synced"
    guest_id: GuestId
    external_id: str

    @property
    def key(self) -> UUID:
        """The guest."""
        return self.guest_id


@frozen(kw_only=True)
class PmsBookingSynced(_OfBooking):
    """A booking was taken over from the property management system."""

    wire_name: ClassVar[str] = "pms.booking.synced"
    external_id: str


CATALOGUE: Mapping[str, type[Event]] = MappingProxyType(
    {
        kind.wire_name: kind
        for kind in (
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
    }
)
"""Every event by its wire name."""


def payload(event: Event) -> dict[str, wire.Json]:
    """Return the event's fields as they go over the wire, camel case and all."""
    return {
        _camel(attribute.name): wire.encode(getattr(event, attribute.name))
        for attribute in attrs.fields(type(event))
    }


def _camel(name: str) -> str:
    head, *tail = name.split("_")
    return head + "".join(part.capitalize() for part in tail)
