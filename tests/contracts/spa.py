"""A host's own repository, over a table of its own: the visits to a hotel's spa."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import attrs
from attrs import frozen
from sqlalchemy import Column, Integer, MetaData, String, Table, bindparam, select

from hotelcore.domain import fields
from hotelcore.errors import AlreadyExists, NotFound
from hotelcore.ids import HotelId
from hotelcore.lists import Page
from hotelcore.sql import schema
from hotelcore.sql.changing import insert_into, versioned_update, write_next_version
from hotelcore.sql.host import statements_of
from hotelcore.sql.pages import Listing
from hotelcore.sql.seam.statements import AnyRow, acting_hotel
from hotelcore.sql.seam.translation import UniqueViolation
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["ALL", "INSERT", "SPA", "UPDATE", "VISIT", "SpaVisit", "SpaVisits", "visit_of"]

SPA = MetaData()
VISIT = Table(
    "spa_visit",
    SPA,
    Column("hotel_id", schema.Id, primary_key=True),
    Column("id", schema.Id, primary_key=True),
    Column("note", String(200), nullable=False),
    Column("minutes", Integer, nullable=False),
    Column("version", Integer, nullable=False),
)
ALL = select(VISIT).where(VISIT.c.hotel_id == acting_hotel())
ONE = ALL.where(VISIT.c.id == bindparam("key"))
INSERT = insert_into(VISIT)
UPDATE = versioned_update(VISIT)


@frozen(kw_only=True)
class SpaVisit:
    """One visit, in whole minutes."""

    id: UUID = fields.identifier()
    hotel_id: HotelId = fields.identifier()
    note: str = fields.text(200)
    minutes: int = fields.count(1, 600)
    version: int = fields.version()


def visit_of(row: AnyRow) -> SpaVisit:
    """Build a visit of its row."""
    return SpaVisit(
        id=row.id,
        hotel_id=HotelId(row.hotel_id),
        note=row.note,
        minutes=row.minutes,
        version=row.version,
    )


PAGES = Listing(ALL, visit_of, keys=(VISIT.c.id,), conditions={})


def values_of(visit: SpaVisit) -> dict[str, Any]:  # Any: of each column's type
    """Return what a visit's row holds beside its key and version."""
    return {"note": visit.note, "minutes": visit.minutes}


class SpaVisits:
    """The spa visits of the acting hotel, in one unit of work."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow, self.run = uow, statements_of(uow)

    def add(self, visit: SpaVisit) -> None:
        """Store a new visit; `AlreadyExists` names a taken id."""
        try:
            self.run.write(INSERT, id=visit.id, version=visit.version, **values_of(visit))
        except UniqueViolation:
            raise AlreadyExists("spa visit", "id") from None

    def add_all(self, visits: Sequence[SpaVisit]) -> None:
        """Store new visits; `AlreadyExists` names a taken id."""
        for visit in visits:
            self.add(visit)

    def get(self, visit_id: UUID) -> SpaVisit:
        """Return one visit."""
        found = self.run.first(ONE, visit_of, key=visit_id)
        if found is None:
            raise NotFound("spa visit", visit_id)
        return found

    def update(self, visit: SpaVisit) -> SpaVisit:
        """Store the visit if nobody changed it since."""
        version = write_next_version(
            self.run, UPDATE, "spa visit", visit.id, visit.version, values_of(visit)
        )
        return attrs.evolve(visit, version=version)

    def page(self, *, after: str | None, limit: int) -> Page[SpaVisit]:
        """Return visits in the order in which they were booked."""
        return PAGES.page(self.run, after=after, limit=limit)
