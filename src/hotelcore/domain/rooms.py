"""Rooms, their types, their condition, and the periods in which maintenance has them."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from attrs import frozen

from hotelcore.domain import fields
from hotelcore.domain.money import Money
from hotelcore.domain.stays import Stay
from hotelcore.errors import InvalidInput
from hotelcore.ids import BookingId, HotelId, MaintenanceId, RoomId, RoomTypeId

__all__ = ["MaintenanceKind", "MaintenancePeriod", "Room", "RoomCondition", "RoomNight", "RoomType"]


class RoomCondition(StrEnum):
    """What housekeeping says of a room; it never changes what can be sold."""

    DIRTY = "dirty"
    PICKUP = "pickup"
    CLEAN = "clean"
    INSPECTED = "inspected"


class MaintenanceKind(StrEnum):
    """How far a blocked room is withdrawn.

    Out of service: a small fault, still sellable. Out of order: off sale, still counted as a room
    of the house. Out of inventory: off the room count too, so occupancy leaves it out.
    """

    OUT_OF_SERVICE = "out_of_service"
    OUT_OF_ORDER = "out_of_order"
    OUT_OF_INVENTORY = "out_of_inventory"

    @property
    def off_sale(self) -> bool:
        """Whether the room cannot be sold or assigned meanwhile."""
        return self is not MaintenanceKind.OUT_OF_SERVICE


@frozen(kw_only=True)
class RoomType:
    """A class of rooms that are sold as one: its code, price and overbooking limit.

    ``base_rate`` is the price of one night when a booking names none. ``overbooking_limit`` is
    the number of units that may be sold beyond the rooms that exist. ``max_occupancy`` is for the
    host to show or to check: a booking of more guests is not refused.
    """

    id: RoomTypeId = fields.identifier()
    hotel_id: HotelId = fields.identifier()
    code: str = fields.text(20)
    name: str = fields.text(200)
    base_rate: Money = fields.money()
    max_occupancy: int = fields.count(1, 100, default=2)
    overbooking_limit: int = fields.count(0, 10_000, default=0)
    attributes: fields.Attributes = fields.attributes()
    version: int = fields.version()

    def __attrs_post_init__(self) -> None:
        if self.base_rate.minor < 0:
            raise InvalidInput("base_rate", "must not be negative")


@frozen(kw_only=True)
class Room:
    """One physical room. Whether somebody is in it is derived from bookings, never stored here."""

    id: RoomId = fields.identifier()
    hotel_id: HotelId = fields.identifier()
    room_type_id: RoomTypeId = fields.identifier()
    number: str = fields.text(20)
    floor: str | None = fields.text(20, optional=True)
    condition: RoomCondition = fields.choice(RoomCondition, default=RoomCondition.CLEAN)
    attributes: fields.Attributes = fields.attributes()
    version: int = fields.version()


@frozen(kw_only=True)
class MaintenancePeriod:
    """A dated withdrawal of one room, over the nights of ``period``.

    ``released_at`` is set when the room came back early; the nights already past stay blocked.
    """

    id: MaintenanceId = fields.identifier()
    hotel_id: HotelId = fields.identifier()
    room_id: RoomId = fields.identifier()
    kind: MaintenanceKind = fields.choice(MaintenanceKind)
    period: Stay = fields.instance(Stay)
    reason: str = fields.text(500)
    created_at: datetime = fields.instant()
    released_at: datetime | None = fields.instant(optional=True)
    version: int = fields.version()

    def __attrs_post_init__(self) -> None:
        if self.period.is_day_use:
            raise InvalidInput("period", "must cover at least one night")


@frozen(kw_only=True)
class RoomNight:
    """Who has a room on a night: a booking, or a maintenance period."""

    room_id: RoomId = fields.identifier()
    night: date = fields.day()
    booking_id: BookingId | None = fields.identifier(optional=True)
    maintenance_id: MaintenanceId | None = fields.identifier(optional=True)
