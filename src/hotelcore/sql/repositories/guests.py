"""Guests: table, row mapping and repository."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import attrs
from sqlalchemy import (
    Boolean,
    Column,
    ForeignKeyConstraint,
    Index,
    Select,
    String,
    Table,
    TypedColumns,
    and_,
    bindparam,
    select,
    update,
)

from hotelcore import wire
from hotelcore.domain.fields import Attributes
from hotelcore.domain.guests import Guest, email_key, name_key, phone_key
from hotelcore.errors import AlreadyExists, NotFound
from hotelcore.ids import GuestId
from hotelcore.lists import GuestFilter, Page
from hotelcore.sql import schema
from hotelcore.sql.building import entity
from hotelcore.sql.changing import versioned_update, write_next_version
from hotelcore.sql.finding import found_by_id
from hotelcore.sql.inserting import rows_into
from hotelcore.sql.pages import Listing, check_filter
from hotelcore.sql.repositories.idempotency import ERASED, IDEMPOTENCY
from hotelcore.sql.sealing.subject_keys import SqlSubjectKeys
from hotelcore.sql.seam.statements import Statements, acting_hotel

__all__ = ["GUEST", "SqlGuests"]


class GuestColumns(TypedColumns):
    """A guest's columns; the ``_key`` ones hold the normal forms that searches compare."""

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    last_name: Column[str] = Column(String(200), nullable=False)
    first_name: Column[str] = Column(String(200), nullable=False)
    email: Column[str | None] = Column(String(320))
    phone: Column[str | None] = Column(String(50))
    country: Column[str | None] = Column(String(3))
    vip: Column[bool] = Column(Boolean, nullable=False)
    last_name_key: Column[str] = Column(schema.ordered_text(), nullable=False)
    email_key: Column[str | None] = Column(schema.ordered_text())
    phone_key: Column[str | None] = Column(schema.ordered_text())
    attributes: Column[Attributes] = schema.attributes_column()
    created_at: Column[datetime] = Column(schema.Instant, nullable=False)
    anonymised_at: Column[datetime | None] = Column(schema.Instant)
    version: Column[int] = schema.version_column()


GUEST = Table(
    "hc_guest",
    schema.METADATA,
    GuestColumns,
    ForeignKeyConstraint(["hotel_id"], ["hc_hotel.hotel_id"]),
)
"""The table of guests."""
_c = GUEST.c
Index("ix_hc_guest_name", _c.hotel_id, _c.last_name_key, _c.id)
Index("ix_hc_guest_email", _c.hotel_id, _c.email_key, _c.last_name_key, _c.id)
Index("ix_hc_guest_phone", _c.hotel_id, _c.phone_key, _c.last_name_key, _c.id)

_ALL = select(GUEST).where(_c.hotel_id == acting_hotel())
_ONE = _ALL.where(_c.id == bindparam("key"))
_PLACE = select(_c.last_name_key, _c.id).where(
    _c.hotel_id == acting_hotel(), _c.id == bindparam("key")
)
_LOCKED = _ONE.with_for_update(key_share=True)
_SHARED = _ONE.with_for_update(read=True)
_SOME = _ALL.where(_c.id.in_(bindparam("wanted", expanding=True)))
_SOME_SHARED = _SOME.order_by(_c.id).with_for_update(read=True)
_INSERT = rows_into(GUEST)
_UPDATE = versioned_update(GUEST)


# These operations return the guest alone; any other result names a guest by id at most.
_ERASE_RESULTS = (
    update(IDEMPOTENCY)
    .where(
        IDEMPOTENCY.c.hotel_id == acting_hotel(),
        IDEMPOTENCY.c.operation.in_(ERASED),
        IDEMPOTENCY.c.result["id"].as_string() == bindparam("guest_key"),
    )
    .values(result=bindparam("erased"))
)


_guest = entity(Guest)
_PAGES = Listing(
    _ALL,
    _guest,
    keys=(_c.last_name_key, _c.id),
    keys_of_one=_PLACE,
    conditions={
        # A range serves the index on both databases, whatever their collation of LIKE.
        "name_from": and_(
            _c.last_name_key >= bindparam("name_from"), _c.last_name_key < bindparam("name_until")
        ),
        "email": _c.email_key == bindparam("email"),
        "phone": _c.phone_key == bindparam("phone"),
        "vip_only": _c.vip.is_(True),
        "not_vip": _c.vip.is_(False),
    },
)


def _values(guest: Guest) -> dict[str, object]:
    return {
        "last_name": guest.last_name,
        "first_name": guest.first_name,
        "email": guest.email,
        "phone": guest.phone,
        "country": guest.country,
        "vip": guest.vip,
        "last_name_key": name_key(guest.last_name),
        "email_key": email_key(guest.email) if guest.email else None,
        "phone_key": phone_key(guest.phone or "") or None,
        "attributes": guest.attributes,
        "created_at": guest.created_at,
        "anonymised_at": guest.anonymised_at,
    }


class SqlGuests:
    """The `hotelcore.repositories.Guests` of one unit of work."""

    def __init__(self, run: Statements, subjects: SqlSubjectKeys) -> None:
        self._run = run
        self._subjects = subjects

    def add_all(self, guests: Sequence[Guest]) -> None:
        """Store new guests, each with a key of its own if the core has any."""
        rows = [{"id": guest.id, "version": guest.version, **_values(guest)} for guest in guests]
        _INSERT.must_write(self._run, rows, lambda: AlreadyExists("guest", "id"))
        self._subjects.add_new([guest.id for guest in guests])

    def get(self, guest_id: GuestId) -> Guest:
        """Return one guest."""
        return self._one(_ONE, guest_id)

    def get_all(self, guest_ids: Collection[GuestId]) -> Mapping[GuestId, Guest]:
        """Return guests by id."""
        return found_by_id(self._run, "guest", _SOME, _guest, guest_ids)

    def lock(self, guest_id: GuestId) -> Guest:
        """Return one guest, locked."""
        return self._one(_LOCKED, guest_id)

    def share(self, guest_id: GuestId) -> Guest:
        """Return one guest, whom nobody changes before the transaction ends."""
        return self._one(_SHARED, guest_id)

    def share_all(self, guest_ids: Collection[GuestId]) -> tuple[Guest, ...]:
        """Return guests in id order, whom nobody changes before the transaction ends."""
        wanted = sorted(set(guest_ids))
        return tuple(found_by_id(self._run, "guest", _SOME_SHARED, _guest, wanted).values())

    def _one(self, statement: Select[Any], guest_id: GuestId) -> Guest:  # Any: of all columns
        found = self._run.first(statement, _guest, key=guest_id)
        if found is None:
            raise NotFound("guest", guest_id)
        return found

    def update(self, guest: Guest) -> Guest:
        """Store the guest if nobody changed it since."""
        version = write_next_version(
            self._run, _UPDATE, "guest", guest.id, guest.version, _values(guest)
        )
        return attrs.evolve(guest, version=version)

    def erase(self, guest: Guest) -> Guest:
        """Store an anonymised guest, also over the results kept under idempotency keys.

        The guest's key goes too, and with it what the audit log keeps under it.
        """
        erased = self.update(guest)
        self._subjects.shred(guest.id)
        self._run.write(_ERASE_RESULTS, guest_key=str(guest.id), erased=wire.encode(erased))
        return erased

    def page(self, which: GuestFilter, *, after: str | None = None, limit: int = 50) -> Page[Guest]:
        """Return guests in order of last name."""
        check_filter(which, GuestFilter)
        begin = None if which.last_name is None else name_key(which.last_name)
        phone = None if which.phone is None else phone_key(which.phone)
        if phone == "":  # earlier versions stored it of every text without digits
            return _PAGES.empty(after=after, limit=limit)
        return _PAGES.page(
            self._run,
            after=after,
            name_from=begin,
            name_until=None if begin is None else begin + "\U0010ffff",
            email=None if which.email is None else email_key(which.email),
            phone=phone,
            vip_only=which.vip is True or None,
            not_vip=which.vip is False or None,
            limit=limit,
        )
