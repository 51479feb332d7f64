"""Hotels: table, row mapping and repository."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from functools import partial
from typing import Any
from uuid import UUID

import attrs
from sqlalchemy import (
    Column,
    Index,
    Select,
    String,
    Table,
    TypedColumns,
    bindparam,
    select,
    update,
)

from hotelcore.domain.fields import Attributes
from hotelcore.domain.hotels import Hotel, HouseRules
from hotelcore.errors import AlreadyExists, NotFound
from hotelcore.sql import schema
from hotelcore.sql.audit.chain import add_head
from hotelcore.sql.building import entity
from hotelcore.sql.changing import insert_into, versioned_update, write_next_version
from hotelcore.sql.events.feed import add_feed
from hotelcore.sql.seam.statements import Statements, acting_hotel

__all__ = ["HOTEL", "SqlHotels"]


class HotelColumns(TypedColumns):
    """A hotel's columns; ``hotel_id`` is its own id, as in every other table."""

    hotel_id: Column[UUID] = schema.hotel_column()
    name: Column[str] = Column(String(200), nullable=False)
    time_zone: Column[str] = Column(String(64), nullable=False)
    currency: Column[str] = schema.currency_column()
    business_date: Column[date] = Column(schema.Day, nullable=False)
    rules: Column[HouseRules] = Column(schema.ValueText(HouseRules), nullable=False)
    stripe_customer_id: Column[str | None] = Column(String(255))
    stripe_subscription_id: Column[str | None] = Column(String(255))
    attributes: Column[Attributes] = schema.attributes_column()
    created_at: Column[datetime] = Column(schema.Instant, nullable=False)
    version: Column[int] = schema.version_column()


HOTEL = Table("hc_hotel", schema.METADATA, HotelColumns)
"""The table of hotels."""
_c = HOTEL.c
_STRIPE = (_c.stripe_customer_id, _c.stripe_subscription_id)
# The only unique keys without hotel_id, for it is the hotel that they find: a customer or a
# subscription of the payment provider belongs to one hotel, whichever asks.
for _stripe_id in _STRIPE:
    Index(
        f"uq_hc_hotel_{_stripe_id.name}",
        _stripe_id,
        unique=True,
        sqlite_where=_stripe_id.is_not(None),
        postgresql_where=_stripe_id.is_not(None),
    )

_CURRENT = select(HOTEL).where(_c.hotel_id == acting_hotel())
_SHARED = _CURRENT.with_for_update(read=True)
_LOCKED = _CURRENT.with_for_update(key_share=True)
_INSERT = insert_into(HOTEL)
_UPDATE = versioned_update(HOTEL, leaving=[c.name for c in _STRIPE])
_NO_STRIPE: Mapping[str, str | None] = {c.name: None for c in _STRIPE}
_SET_STRIPE = {
    c.name: update(HOTEL)
    .where(_c.hotel_id == acting_hotel(), c.is_distinct_from(bindparam("stripe_id")))
    .values({c.name: bindparam("stripe_id")})
    for c in _STRIPE
}


_hotel = entity(Hotel, id="hotel_id")


def _values(hotel: Hotel) -> dict[str, object]:
    return {
        "name": hotel.name,
        "time_zone": hotel.time_zone,
        "currency": hotel.currency,
        "business_date": hotel.business_date,
        "rules": hotel.rules,
        "attributes": hotel.attributes,
        "created_at": hotel.created_at,
    }


class SqlHotels:
    """The `hotelcore.repositories.Hotels` of one unit of work.

    The record is read once: while a unit writes, nobody else can change it.
    """

    def __init__(self, run: Statements) -> None:
        self._run = run
        self._known: Hotel | None = None

    def forget(self) -> None:
        """Forget the record: a rollback may have undone what was read or changed."""
        self._known = None

    def add(self, hotel: Hotel) -> None:
        """Store a new hotel."""
        row = {"version": hotel.version, **_NO_STRIPE, **_values(hotel)}
        self._run.must_write(_INSERT, [row], taken=lambda: AlreadyExists("hotel", "id"))
        add_feed(self._run, hotel.created_at)
        add_head(self._run)
        self._set_stripe_ids(hotel, stored=_NO_STRIPE)

    def current(self) -> Hotel:
        """Return the acting hotel, in a writing unit kept as it is until the unit ends."""
        if self._known is not None:
            return self._known
        if self._run.read_only:
            return self._read(_CURRENT)
        self._run.queue(alone=False)
        return self._read(_SHARED)

    def lock(self) -> Hotel:
        """Return the acting hotel and keep every other command of it waiting."""
        self._run.queue(alone=True)
        return self._read(_LOCKED)

    def update(self, hotel: Hotel) -> Hotel:
        """Store the hotel if nobody changed it since."""
        version = write_next_version(
            self._run, _UPDATE, "hotel", hotel.id, hotel.version, _values(hotel)
        )
        self._set_stripe_ids(hotel, stored=self._known_stripe_ids(hotel.version))
        self._known = attrs.evolve(hotel, version=version)
        return self._known

    def _read(self, statement: Select[Any]) -> Hotel:  # Any: of all columns
        found = self._run.first(statement, _hotel)
        if found is None:
            raise NotFound("hotel", self._run.hotel_id)
        self._known = found
        return found

    def _known_stripe_ids(self, version: int) -> Mapping[str, str | None]:
        """Return the ids as they are stored with that version; none that is not known for sure."""
        if self._known is None or self._known.version != version:
            return {}
        return {name: getattr(self._known, name) for name in _SET_STRIPE}

    def _set_stripe_ids(self, hotel: Hotel, *, stored: Mapping[str, str | None]) -> None:
        # One statement for each: the one that fails is the only word on which of them is taken,
        # since the other hotel's row is not ours to read.
        for name, statement in _SET_STRIPE.items():
            stripe_id = getattr(hotel, name)
            if name not in stored or stored[name] != stripe_id:
                taken = partial(AlreadyExists, "hotel", name)
                self._run.must_write(statement, [{"stripe_id": stripe_id}], taken=taken)
