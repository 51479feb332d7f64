"""Folios and their lines: tables, row mapping and repository.

A balance moves by one conditional UPDATE a folio and posting, never by read-modify-write. Postings
commute, so they leave a folio's ``version`` alone: it guards what closes and reopens the folio.
Lines are only ever added; the database itself refuses to change or delete one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby
from uuid import UUID

import attrs
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    String,
    Table,
    TypedColumns,
    bindparam,
    select,
    text,
    union_all,
    update,
)

from hotelcore.domain.fields import Attributes
from hotelcore.domain.folios import Folio, FolioLine, FolioStatus, LineKind
from hotelcore.domain.money import MINOR_LIMIT, Money, sum_money
from hotelcore.errors import (
    AlreadyExists,
    AmountRefused,
    CurrencyMismatch,
    FolioClosed,
    HotelcoreError,
    NotFound,
)
from hotelcore.ids import BookingId, FolioId, FolioLineId
from hotelcore.lists import FolioFilter, JournalFilter, Page
from hotelcore.sql import schema
from hotelcore.sql.building import Value, entity
from hotelcore.sql.changing import insert_into, write_next_version
from hotelcore.sql.finding import found_of_each
from hotelcore.sql.inserting import rows_into
from hotelcore.sql.pages import Listing, check_filter
from hotelcore.sql.repositories.bookings import BOOKING, IN_HOUSE
from hotelcore.sql.seam.statements import Statements, acting_hotel

__all__ = ["FOLIO", "FOLIO_LINE", "SqlFolios"]


class FolioColumns(TypedColumns):
    """A folio's columns."""

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    booking_id: Column[UUID] = Column(schema.Id, nullable=False)
    guest_id: Column[UUID] = Column(schema.Id, nullable=False)
    status: Column[str] = Column(String(20), nullable=False)
    balance_minor: Column[int] = schema.minor_column("balance_minor")
    currency: Column[str] = schema.currency_column()
    opened_at: Column[datetime] = Column(schema.Instant, nullable=False)
    closed_at: Column[datetime | None] = Column(schema.Instant)
    attributes: Column[Attributes] = schema.attributes_column()
    version: Column[int] = schema.version_column()


FOLIO = Table(
    "hc_folio",
    schema.METADATA,
    FolioColumns,
    schema.of_hotel("booking", "booking_id"),
    schema.of_hotel("guest", "guest_id"),
    schema.one_of("status", FolioStatus),
    CheckConstraint("status = 'open' OR balance_minor = 0", name="settled"),
)
"""The table of folios."""
_f = FOLIO.c
_OPEN = _f.status == FolioStatus.OPEN.value
Index("ix_hc_folio_booking", _f.hotel_id, _f.booking_id, _f.id)
Index("ix_hc_folio_guest", _f.hotel_id, _f.guest_id, _f.id)
# The balance stands in no index: a posting then rewrites no index entry on PostgreSQL.
Index("ix_hc_folio_status", _f.hotel_id, _f.status, _f.id)


class FolioLineColumns(TypedColumns):
    """A line's columns."""

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    folio_id: Column[UUID] = Column(schema.Id, nullable=False)
    booking_id: Column[UUID] = Column(schema.Id, nullable=False)
    kind: Column[str] = Column(String(20), nullable=False)
    code: Column[str] = Column(String(50), nullable=False)
    description: Column[str] = Column(String(500), nullable=False)
    amount_minor: Column[int] = schema.minor_column("amount_minor")
    currency: Column[str] = schema.currency_column()
    business_date: Column[date] = Column(schema.Day, nullable=False)
    service_date: Column[date] = Column(schema.Day, nullable=False)
    night: Column[date | None] = Column(schema.Day)
    refers_to: Column[UUID | None] = Column(schema.Id)
    posted_at: Column[datetime] = Column(schema.Instant, nullable=False)
    posted_by: Column[str] = Column(String(200), nullable=False)


FOLIO_LINE = Table(
    "hc_folio_line",
    schema.METADATA,
    FolioLineColumns,
    schema.of_hotel("folio", "folio_id"),
    schema.of_hotel("booking", "booking_id"),
    schema.of_hotel("folio_line", "refers_to"),
    schema.one_of("kind", LineKind),
)
"""The table of folio lines; the database refuses to change or delete a row."""
_l = FOLIO_LINE.c
# A charge that was moved from another folio refers to the one posted for the night.
_ROOM_CHARGES = text("kind = 'charge' AND night IS NOT NULL AND refers_to IS NULL")
_VOIDS = text("kind = 'void'")
Index("ix_hc_folio_line_folio", _l.hotel_id, _l.folio_id, _l.id)
Index("ix_hc_folio_line_refers_to", _l.hotel_id, _l.refers_to, _l.id)
Index("ix_hc_folio_line_business_date", _l.hotel_id, _l.business_date, _l.id)
Index(
    "uq_hc_folio_line_night",
    _l.hotel_id,
    _l.booking_id,
    _l.night,
    unique=True,
    sqlite_where=_ROOM_CHARGES,
    postgresql_where=_ROOM_CHARGES,
)
Index(
    "uq_hc_folio_line_void",
    _l.hotel_id,
    _l.refers_to,
    unique=True,
    sqlite_where=_VOIDS,
    postgresql_where=_VOIDS,
)
schema.append_only(FOLIO_LINE)

# -- statements -------------------------------------------------------------------------------

_ALL = select(FOLIO).where(_f.hotel_id == acting_hotel())
_LOCKED = _ALL.with_for_update(key_share=True)
_ONE = _ALL.where(_f.id == bindparam("key"))
_ONE_LOCKED = _LOCKED.where(_f.id == bindparam("key"))
_OF_BOOKING = _ALL.where(_f.booking_id == bindparam("of_booking")).order_by(_f.id)
_OF_EACH = _ALL.where(_f.booking_id.in_(bindparam("wanted", expanding=True))).order_by(_f.id)
_OF_EACH_LOCKED = _OF_EACH.with_for_update(key_share=True)
_OF_BOOKING_LOCKED = _OF_BOOKING.with_for_update(key_share=True)
_BOOKINGS_IN_HOUSE = select(BOOKING.c.id).where(BOOKING.c.hotel_id == acting_hotel(), IN_HOUSE)
_OF_HOUSE = _ALL.where(_OPEN, _f.booking_id.in_(_BOOKINGS_IN_HOUSE)).order_by(_f.id)
_OF_HOUSE_LOCKED = _OF_HOUSE.with_for_update(key_share=True)
_INSERT = rows_into(FOLIO)
_OURS = update(FOLIO).where(_f.hotel_id == acting_hotel(), _f.id == bindparam("key"))
_POST = _OURS.where(
    _OPEN,
    _f.currency == bindparam("known_currency"),
    _f.balance_minor.between(bindparam("least"), bindparam("most")),
).values(balance_minor=_f.balance_minor + bindparam("moved_by", type_=BigInteger))
_CLOSE = _OURS.where(_OPEN, _f.balance_minor == 0, _f.version == bindparam("known_version")).values(
    status=FolioStatus.CLOSED.value,
    closed_at=bindparam("closed_at"),
    version=bindparam("version"),
)
_REOPEN = _OURS.where(
    _f.status == FolioStatus.CLOSED.value, _f.version == bindparam("known_version")
).values(status=FolioStatus.OPEN.value, closed_at=None, version=bindparam("version"))

_ANY_LINE = select(FOLIO_LINE).where(_l.hotel_id == acting_hotel())
_LINE = _ANY_LINE.where(_l.id == bindparam("key"))
_LINES = _ANY_LINE.where(_l.folio_id == bindparam("of_folio")).order_by(_l.id)
_ORIGINAL = select(bindparam("key", type_=schema.Id).label("id"))
_DIRECT = select(_l.id).where(_l.hotel_id == acting_hotel(), _l.refers_to == bindparam("key"))
_REFERRING = _ANY_LINE.where(_l.refers_to.in_(union_all(_ORIGINAL, _DIRECT)))
_INSERT_LINE = insert_into(FOLIO_LINE)


_folio = entity(Folio, balance=Value(Money, ("balance_minor", "currency")))
_line = entity(FolioLine, amount=Value(Money, ("amount_minor", "currency")))


def _values(folio: Folio) -> dict[str, object]:
    return {
        "id": folio.id,
        "booking_id": folio.booking_id,
        "guest_id": folio.guest_id,
        "status": folio.status.value,
        "balance_minor": folio.balance.minor,
        "currency": folio.balance.currency,
        "opened_at": folio.opened_at,
        "closed_at": folio.closed_at,
        "attributes": folio.attributes,
        "version": folio.version,
    }


def _line_values(line: FolioLine) -> dict[str, object]:
    return {
        "id": line.id,
        "folio_id": line.folio_id,
        "booking_id": line.booking_id,
        "kind": line.kind.value,
        "code": line.code,
        "description": line.description,
        "amount_minor": line.amount.minor,
        "currency": line.amount.currency,
        "business_date": line.business_date,
        "service_date": line.service_date,
        "night": line.night,
        "refers_to": line.refers_to,
        "posted_at": line.posted_at,
        "posted_by": line.posted_by,
    }


_PAGES = Listing(
    _ALL,
    _folio,
    keys=(_f.id,),
    conditions={
        "open": _OPEN,
        "closed": _f.status == FolioStatus.CLOSED.value,
        "guest": _f.guest_id == bindparam("guest"),
        "booking": _f.booking_id == bindparam("booking"),
        "unsettled": _f.balance_minor != 0,
    },
)
_JOURNAL = Listing(
    _ANY_LINE,
    _line,
    keys=(_l.business_date, _l.id),
    conditions={
        "posted_from": _l.business_date >= bindparam("posted_from"),
        "posted_until": _l.business_date <= bindparam("posted_until"),
        "kinds": _l.kind.in_(bindparam("kinds", expanding=True)),
        "code": _l.code == bindparam("code"),
        "posted_by": _l.posted_by == bindparam("posted_by"),
    },
)


class SqlFolios:
    """The `hotelcore.repositories.Folios` of one unit of work."""

    def __init__(self, run: Statements) -> None:
        self._run = run

    def open_all(self, folios: Sequence[Folio]) -> None:
        """Store new folios without lines."""
        rows = [_values(folio) for folio in folios]
        _INSERT.must_write(self._run, rows, lambda: AlreadyExists("folio", "id"))

    def get(self, folio_id: FolioId) -> Folio:
        """Return one folio."""
        return _found(self._run.first(_ONE, _folio, key=folio_id), folio_id)

    def lock(self, folio_id: FolioId) -> Folio:
        """Return one folio, locked."""
        return _found(self._run.first(_ONE_LOCKED, _folio, key=folio_id), folio_id)

    def of_booking(self, booking_id: BookingId) -> tuple[Folio, ...]:
        """Return a booking's folios, oldest first, locked in a writing unit."""
        statement = _OF_BOOKING if self._run.read_only else _OF_BOOKING_LOCKED
        return tuple(self._run.all(statement, _folio, of_booking=booking_id))

    def of_bookings(
        self, booking_ids: Collection[BookingId]
    ) -> Mapping[BookingId, tuple[Folio, ...]]:
        """Return the folios of each booking, oldest first, locked in a writing unit."""
        statement = _OF_EACH if self._run.read_only else _OF_EACH_LOCKED
        return found_of_each(
            self._run, statement, _folio, booking_ids, lambda folio: folio.booking_id
        )

    def of_house(self) -> Mapping[BookingId, Folio]:
        """Return the oldest open folio of each booking in house, locked in a writing unit."""
        statement = _OF_HOUSE if self._run.read_only else _OF_HOUSE_LOCKED
        oldest: dict[BookingId, Folio] = {}
        for folio in self._run.all(statement, _folio):
            oldest.setdefault(folio.booking_id, folio)
        return oldest

    def post(self, lines: Sequence[FolioLine]) -> None:
        """Add lines and move the balances, all or nothing.

        Raises `FolioClosed`, `NotFound` for an unknown folio, `CurrencyMismatch` for a line in
        another currency than its folio's, `AmountRefused` for a balance beyond 64 bits or a line
        that is voided already, and `AlreadyExists` for a second charge of one night.
        """
        movements = _movements(lines)
        self._run.must_write(
            _POST,
            [_post_values(*movement) for movement in movements],
            missed=lambda: self._refusal(movements),
        )
        # Voids apart, so that it is known which unique key a line hit.
        for are_voids, some in groupby(lines, lambda line: line.kind is LineKind.VOID):
            when_taken = (
                AmountRefused("the line is already voided")
                if are_voids
                else AlreadyExists("room charge", "night")
            )
            self._add(some, when_taken)

    def _add(self, lines: Iterable[FolioLine], when_taken: HotelcoreError) -> None:
        rows = [_line_values(line) for line in lines]
        self._run.must_write(_INSERT_LINE, rows, taken=lambda: when_taken)

    def _refusal(self, movements: Sequence[tuple[FolioId, Money]]) -> HotelcoreError:
        """Find out why a balance could not be moved."""
        for folio_id, moved_by in movements:
            folio = self.get(folio_id)
            if folio.status is FolioStatus.CLOSED:
                return FolioClosed(folio_id)
            if folio.balance.currency != moved_by.currency:
                return CurrencyMismatch(folio.balance.currency, moved_by.currency)
        return AmountRefused("the balance would pass what a folio can hold")

    def close(self, folio: Folio, *, at: datetime) -> Folio:
        """Close an open folio of balance zero; anything else raises `StaleVersion`."""
        closed = attrs.evolve(
            folio,
            status=FolioStatus.CLOSED,
            balance=Money.zero(folio.balance.currency),
            closed_at=at,
        )
        values = {"closed_at": closed.closed_at}
        version = write_next_version(self._run, _CLOSE, "folio", folio.id, folio.version, values)
        return attrs.evolve(closed, version=version)

    def reopen(self, folio: Folio) -> Folio:
        """Open a closed folio again; anything else raises `StaleVersion`."""
        version = write_next_version(self._run, _REOPEN, "folio", folio.id, folio.version, {})
        return attrs.evolve(folio, status=FolioStatus.OPEN, closed_at=None, version=version)

    def line(self, line_id: FolioLineId) -> FolioLine:
        """Return one line."""
        found = self._run.first(_LINE, _line, key=line_id)
        if found is None:
            raise NotFound("folio line", line_id)
        return found

    def lines(self, folio_id: FolioId) -> tuple[FolioLine, ...]:
        """Return a folio's lines in the order of posting, which is that of their ids."""
        return tuple(self._run.all(_LINES, _line, of_folio=folio_id))

    def referring_to(self, line_id: FolioLineId) -> tuple[FolioLine, ...]:
        """Return the lines that refer to a line or to one of those, in the order of posting."""
        # Sorted here: asked for this order, SQLite walks all lines by id to spare the sorting.
        lines = self._run.all(_REFERRING, _line, key=line_id)
        return tuple(sorted(lines, key=lambda line: line.id))

    def page(self, which: FolioFilter, *, after: str | None = None, limit: int = 50) -> Page[Folio]:
        """Return folios in the order in which they were opened."""
        check_filter(which, FolioFilter)
        return _PAGES.page(
            self._run,
            after=after,
            limit=limit,
            open=which.status is FolioStatus.OPEN or which.unsettled or None,
            closed=which.status is FolioStatus.CLOSED or None,
            guest=which.guest_id,
            booking=which.booking_id,
            unsettled=which.unsettled or None,
        )

    def journal(
        self, which: JournalFilter, *, after: str | None = None, limit: int = 50
    ) -> Page[FolioLine]:
        """Return lines of all folios in order of business date and posting."""
        check_filter(which, JournalFilter)
        return _JOURNAL.page(
            self._run,
            after=after,
            limit=limit,
            posted_from=which.posted_from,
            posted_until=which.posted_until,
            kinds=None if which.kinds is None else sorted(which.kinds),
            code=which.code,
            posted_by=which.posted_by,
        )


def _movements(lines: Sequence[FolioLine]) -> list[tuple[FolioId, Money]]:
    """Sum the lines by folio, in the order in which everybody locks folios."""
    of_folio: dict[FolioId, list[Money]] = {}
    for line in lines:
        of_folio.setdefault(line.folio_id, []).append(line.amount)
    return [
        (folio_id, sum_money(amounts, amounts[0].currency))
        for folio_id, amounts in sorted(of_folio.items())
    ]


def _post_values(folio_id: FolioId, moved_by: Money) -> dict[str, object]:
    """Bind a movement together with the balances that it may be added to.

    A sum beyond 64 bits would be a driver's error on PostgreSQL and a float on SQLite.
    """
    limit = MINOR_LIMIT - 1
    return {
        "key": folio_id,
        "moved_by": moved_by.minor,
        "known_currency": moved_by.currency,
        "least": max(-limit, -limit - moved_by.minor),
        "most": min(limit, limit - moved_by.minor),
    }


def _found(folio: Folio | None, folio_id: FolioId) -> Folio:
    if folio is None:
        raise NotFound("folio", folio_id)
    return folio
