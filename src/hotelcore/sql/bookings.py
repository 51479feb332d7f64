"""Bookings, their nights and their keys: tables, row mapping and repositories."""

from __future__ import annotations

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    String,
    Table,
    TypedColumns,
    Uuid,
    text,
)

from hotelcore import wire
from hotelcore.domain.bookings import BookingStatus
from hotelcore.domain.fields import Attributes
from hotelcore.sql import schema

__all__ = ["BOOKING", "BOOKING_NIGHT", "ROOM_KEY"]


class BookingColumns(TypedColumns):
    """A booking's columns; the stay is its arrival and departure."""

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    confirmation_number: Column[str] = Column(String(40), nullable=False)
    guest_id: Column[UUID] = Column(Uuid, nullable=False)
    room_type_id: Column[UUID] = Column(Uuid, nullable=False)
    arrival: Column[date] = Column(Date, nullable=False)
    departure: Column[date] = Column(Date, nullable=False)
    status: Column[str] = Column(String(20), nullable=False)
    room_id: Column[UUID | None] = Column(Uuid)
    adults: Column[int] = Column(Integer, nullable=False)
    children: Column[int] = Column(Integer, nullable=False)
    infants: Column[int] = Column(Integer, nullable=False)
    channel: Column[str] = Column(String(50), nullable=False)
    total_minor: Column[int] = schema.minor_column("total_minor")
    currency: Column[str] = schema.currency_column()
    cancellation: Column[wire.Json] = Column(schema.Json, nullable=False)
    hold_until: Column[datetime | None] = Column(schema.Instant)
    checked_in_at: Column[datetime | None] = Column(schema.Instant)
    checked_out_at: Column[datetime | None] = Column(schema.Instant)
    cancelled_at: Column[datetime | None] = Column(schema.Instant)
    checked_in_on: Column[date | None] = Column(Date)
    checked_out_on: Column[date | None] = Column(Date)
    no_show_on: Column[date | None] = Column(Date)
    created_at: Column[datetime] = Column(schema.Instant, nullable=False)
    attributes: Column[Attributes] = schema.attributes_column()
    version: Column[int] = schema.version_column()


BOOKING = Table(
    "hc_booking",
    schema.METADATA,
    BookingColumns,
    schema.of_hotel("guest", "guest_id"),
    schema.of_hotel("room_type", "room_type_id"),
    schema.of_hotel("room", "room_id"),
    schema.one_of("status", BookingStatus),
    CheckConstraint("departure >= arrival", name="stay"),
    CheckConstraint("status <> 'in_house' OR room_id IS NOT NULL", name="in_house"),
)
_b = BOOKING.c
_IN_HOUSE = text("status = 'in_house'")
_TENTATIVE = text("status = 'tentative'")
Index("uq_hc_booking_confirmation_number", _b.hotel_id, _b.confirmation_number, unique=True)
# One booking in house a room: this index also lists the house without its history.
Index(
    "uq_hc_booking_in_house",
    _b.hotel_id,
    _b.room_id,
    unique=True,
    sqlite_where=_IN_HOUSE,
    postgresql_where=_IN_HOUSE,
)
Index("ix_hc_booking_arrival", _b.hotel_id, _b.arrival, _b.id)
Index("ix_hc_booking_departure", _b.hotel_id, _b.departure, _b.id)
Index("ix_hc_booking_status", _b.hotel_id, _b.status, _b.arrival, _b.id)
Index("ix_hc_booking_guest", _b.hotel_id, _b.guest_id, _b.arrival, _b.id)
Index("ix_hc_booking_room", _b.hotel_id, _b.room_id, _b.arrival, _b.id)
Index(
    "ix_hc_booking_hold_until",
    _b.hotel_id,
    _b.hold_until,
    sqlite_where=_TENTATIVE,
    postgresql_where=_TENTATIVE,
)
for _moved in (_b.checked_in_on, _b.checked_out_on, _b.no_show_on):
    Index(
        f"ix_hc_booking_{_moved.name}",
        _b.hotel_id,
        _moved,
        sqlite_where=_moved.is_not(None),
        postgresql_where=_moved.is_not(None),
    )


class BookingNightColumns(TypedColumns):
    """A night's columns; its room stands in the room's own night."""

    hotel_id: Column[UUID] = schema.hotel_column()
    booking_id: Column[UUID] = schema.id_column("booking_id")
    night: Column[date] = Column(Date, primary_key=True)
    room_type_id: Column[UUID] = Column(Uuid, nullable=False)
    price_minor: Column[int] = schema.minor_column("price_minor")
    currency: Column[str] = schema.currency_column()
    released: Column[bool] = Column(Boolean, nullable=False)
    posted: Column[bool] = Column(Boolean, nullable=False)


BOOKING_NIGHT = Table(
    "hc_booking_night",
    schema.METADATA,
    BookingNightColumns,
    schema.of_hotel("booking", "booking_id"),
    schema.of_hotel("room_type", "room_type_id"),
)


class RoomKeyColumns(TypedColumns):
    """A key's columns."""

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    booking_id: Column[UUID] = Column(Uuid, nullable=False)
    room_id: Column[UUID] = Column(Uuid, nullable=False)
    valid_until: Column[date] = Column(Date, nullable=False)
    issued_at: Column[datetime] = Column(schema.Instant, nullable=False)
    revoked_at: Column[datetime | None] = Column(schema.Instant)


ROOM_KEY = Table(
    "hc_room_key",
    schema.METADATA,
    RoomKeyColumns,
    schema.of_hotel("booking", "booking_id"),
    schema.of_hotel("room", "room_id"),
)
_k = ROOM_KEY.c
Index("ix_hc_room_key_booking", _k.hotel_id, _k.booking_id, _k.id)
