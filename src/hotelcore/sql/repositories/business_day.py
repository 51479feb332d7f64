"""Closed business days: table, row mapping and repository."""

from __future__ import annotations

from datetime import date as calendar_date
from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    Integer,
    String,
    Table,
    TypedColumns,
    bindparam,
    select,
)

from hotelcore.domain.business_day import BusinessDay
from hotelcore.domain.money import Money
from hotelcore.errors import AlreadyExists
from hotelcore.sql import schema
from hotelcore.sql.building import Value, entity
from hotelcore.sql.changing import insert_into
from hotelcore.sql.seam.statements import Statements, acting_hotel

__all__ = ["BUSINESS_DAY", "SqlBusinessDays"]


class BusinessDayColumns(TypedColumns):
    """A closed day's columns."""

    hotel_id: Column[UUID] = schema.hotel_column()
    date: Column[calendar_date] = Column(schema.Day, primary_key=True)
    rooms: Column[int] = Column(Integer, nullable=False)
    out_of_inventory: Column[int] = Column(Integer, nullable=False)
    out_of_order: Column[int] = Column(Integer, nullable=False)
    rooms_sold: Column[int] = Column(Integer, nullable=False)
    room_revenue_minor: Column[int] = schema.minor_column("room_revenue_minor")
    currency: Column[str] = schema.currency_column()
    arrivals: Column[int] = Column(Integer, nullable=False)
    departures: Column[int] = Column(Integer, nullable=False)
    no_shows: Column[int] = Column(Integer, nullable=False)
    closed_at: Column[datetime] = Column(schema.Instant, nullable=False)
    closed_by: Column[str] = Column(String(200), nullable=False)


BUSINESS_DAY = Table(
    "hc_business_day",
    schema.METADATA,
    BusinessDayColumns,
    ForeignKeyConstraint(["hotel_id"], ["hc_hotel.hotel_id"]),
)
"""The table of closed business days."""
_c = BUSINESS_DAY.c

_ALL = select(BUSINESS_DAY).where(_c.hotel_id == acting_hotel())
_ONE = _ALL.where(_c.date == bindparam("day"))
_BETWEEN = _ALL.where(_c.date.between(bindparam("first"), bindparam("last"))).order_by(_c.date)
_INSERT = insert_into(BUSINESS_DAY)


_day = entity(BusinessDay, room_revenue=Value(Money, ("room_revenue_minor", "currency")))


class SqlBusinessDays:
    """The `hotelcore.repositories.BusinessDays` of one unit of work."""

    def __init__(self, run: Statements) -> None:
        self._run = run

    def add(self, day: BusinessDay) -> None:
        """Store a closed day; `AlreadyExists` if it was closed before."""
        row = {
            "date": day.date,
            "rooms": day.rooms,
            "out_of_inventory": day.out_of_inventory,
            "out_of_order": day.out_of_order,
            "rooms_sold": day.rooms_sold,
            "room_revenue_minor": day.room_revenue.minor,
            "currency": day.room_revenue.currency,
            "arrivals": day.arrivals,
            "departures": day.departures,
            "no_shows": day.no_shows,
            "closed_at": day.closed_at,
            "closed_by": day.closed_by,
        }
        self._run.must_write(_INSERT, [row], taken=lambda: AlreadyExists("business day", "date"))

    def find(self, day: calendar_date) -> BusinessDay | None:
        """Return a closed day, or None."""
        return self._run.first(_ONE, _day, day=day)

    def between(self, first: calendar_date, last: calendar_date) -> tuple[BusinessDay, ...]:
        """Return the closed days from ``first`` to ``last``, both included, in order."""
        return tuple(self._run.all(_BETWEEN, _day, first=first, last=last))
