"""Verifies a hotel's audit log from the rows themselves, in constant memory.

Values are read as the database has them, without the types that the library gives its columns: a
row that somebody made unreadable is a finding, and must not end the reading.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from attrs import define, field, frozen
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    LargeBinary,
    Numeric,
    Select,
    Text,
    case,
    cast,
    exists,
    extract,
    func,
    literal,
    null,
    select,
    type_coerce,
)
from sqlalchemy.types import NullType

from hotelcore import wire
from hotelcore.domain.audit import AuditHead, AuditProblem, AuditReport, Fault
from hotelcore.domain.fields import check_id
from hotelcore.errors import InvalidInput, NotFound, UnknownKey
from hotelcore.ids import HotelId
from hotelcore.sql.audit.chain import AUDIT_HEAD, BEGINNING, mac_of
from hotelcore.sql.audit.log import AUDIT_LOG
from hotelcore.sql.repositories.hotels import HOTEL
from hotelcore.sql.seam.limits import tell_whose_rows
from hotelcore.sql.seam.statements import AnyRow
from hotelcore.tenancy import same_hotel
from hotelcore.vault import Key, KeyProvider

__all__ = ["StoredEntry", "check_verifying", "verify"]

_BATCH = 500
_MOST_PROBLEMS = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECONDS, _SECONDS_A_DAY = 1_000_000, 86_400

# `Any`: as the driver gives it.
Raw = Any


@frozen
class StoredEntry:
    """A row of the log: what its mac covers, and the mac. ``content`` is None if unreadable."""

    sequence: Raw
    key_number: Raw
    mac: Raw
    content: dict[str, wire.Json] | None


def check_verifying(hotel_id: object, since: object) -> None:
    """Raise `InvalidInput` for what `verify` cannot be asked, before anything is sent."""
    check_id("hotel_id", hotel_id)
    if since is not None and not isinstance(since, AuditHead):
        reason = "must be an AuditHead: hotelcore.wire.decode(data, AuditHead) makes one of JSON"
        raise InvalidInput("since", reason)


def verify(
    connection: Connection,
    hotel_id: HotelId,
    keys: KeyProvider | None,
    *,
    since: AuditHead | None = None,
    seen: Callable[[StoredEntry], None] = lambda _: None,
) -> AuditReport:
    """Check the whole log of one hotel, and call ``seen`` with each entry on the way.

    ``connection`` comes from `hotelcore.sql.upkeep.proofs.snapshot`. Raises `NotFound` for an
    unknown hotel and `TenantMismatch` for another hotel's head.
    """
    if since is not None:
        same_hotel(hotel_id, since.hotel_id, "audit head")
    tell_whose_rows(connection, hotel_id)
    if not connection.scalar(select(exists().where(HOTEL.c.hotel_id == hotel_id))):
        raise NotFound("hotel", hotel_id)
    walk = _Walk(hotel_id, keys, since)
    for entry in _entries(connection, hotel_id):
        walk.step(entry)
        seen(entry)
    return walk.ended(_head(connection, hotel_id))


# -- the walk ---------------------------------------------------------------------------------


@define
class _Walk:
    """Goes from entry to entry, and remembers the last one alone."""

    hotel_id: HotelId
    keys: KeyProvider | None
    since: AuditHead | None
    sequence: int = 0
    mac: bytes = BEGINNING
    good: tuple[int, bytes, Raw] = (0, BEGINNING, None)
    entries: int = 0
    found: int = 0
    problems: list[AuditProblem] = field(factory=list)

    def step(self, entry: StoredEntry) -> None:
        """Look at the next row in order of the sequence."""
        self.entries += 1
        sequence, mac = entry.sequence, entry.mac
        if type(sequence) is not int or sequence < 1 or type(mac) is not bytes:
            self._note(self.sequence + 1, Fault.BROKEN)
            return
        if sequence <= self.sequence:
            self._note(sequence, Fault.TWICE)
            return
        if sequence > self.sequence + 1:
            # Without the entry before it, nobody can tell whether this one fits.
            self._note(self.sequence + 1, Fault.REMOVED)
        elif fault := self._fault_of(entry):
            self._note(sequence, fault)
        else:
            self.good = sequence, mac, entry.key_number
        self.sequence, self.mac = sequence, mac
        if self.since and sequence == self.since.sequence and mac.hex() != self.since.mac:
            self._note(sequence, Fault.REWRITTEN)

    def ended(self, head: tuple[Raw, Raw] | None) -> AuditReport:
        """Compare the end with the heads, and say what was found."""
        longest = max(
            self.since.sequence if self.since else 0,
            head[0] if head and type(head[0]) is int else 0,
        )
        if longest > self.sequence:
            self._note(self.sequence + 1, Fault.CUT_OFF)
        elif head != (self.sequence, self.mac):
            self._note(self.sequence, Fault.HEAD)
        sequence, mac, key_number = self.good
        return AuditReport(
            head=AuditHead(
                hotel_id=self.hotel_id, sequence=sequence, mac=mac.hex(), key_number=key_number
            ),
            entries=self.entries,
            found=self.found,
            problems=tuple(self.problems),
        )

    def _note(self, sequence: int, fault: Fault) -> None:
        self.found += 1
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(AuditProblem(sequence, fault))

    def _fault_of(self, entry: StoredEntry) -> Fault | None:
        if entry.content is None:
            return Fault.BROKEN
        if entry.key_number is None and self._must_be_keyed(entry.sequence):
            return Fault.UNKEYED
        try:
            mac = self._mac_of(entry.key_number, entry.content)
        except UnknownKey:
            return Fault.UNKNOWN_KEY
        return None if mac == entry.mac else Fault.BROKEN

    def _must_be_keyed(self, sequence: int) -> bool:
        return self.keys is not None and (self.since is None or sequence > self.since.sequence)

    def _mac_of(self, key_number: Raw, content: dict[str, wire.Json]) -> bytes:
        key = None if key_number is None else self._key(key_number)
        return mac_of(key, self.mac, wire.text_of_encoded(content).encode())

    def _key(self, number: Raw) -> Key:
        if self.keys is None:
            raise UnknownKey(number)
        return self.keys.numbered(number)


# -- the rows as they are ---------------------------------------------------------------------


def _head(connection: Connection, hotel_id: HotelId) -> tuple[Raw, Raw] | None:
    its = AUDIT_HEAD.c
    raw = _on_sqlite if connection.dialect.name == "sqlite" else lambda each: _raw(each, each.name)
    statement = select(raw(its.sequence), raw(its.mac)).where(its.hotel_id == hotel_id)
    row = connection.execute(statement).first()
    return None if row is None else (row[0], row[1])


def _entries(connection: Connection, hotel_id: HotelId) -> Iterator[StoredEntry]:
    statement = _SELECTS[connection.dialect.name].where(_c.hotel_id == hotel_id)
    rows = connection.execute(statement, execution_options={"yield_per": _BATCH})
    return map(_entry, rows)


def _raw(column: ColumnElement[Any], name: str) -> ColumnElement[Any]:
    return type_coerce(column, NullType()).label(name)


def _on_sqlite(column: Column[Any]) -> ColumnElement[Any]:
    """Give what SQLite has in a column; -1, which none ever holds, for a value of another kind.

    Text comes as bytes, for it may be none that a driver can decode.
    """
    kind = _SQLITE_KINDS.get(column.name, "text")
    value = cast(column, LargeBinary) if kind == "text" else column
    found = case(
        (func.typeof(column) == kind, _raw(value, "value")),
        (column.is_(None), null()),
        else_=_raw(literal(-1), "other"),
    )
    return _raw(found, column.name)


def _seconds(column: Column[Any]) -> ColumnElement[Any]:
    """Give PostgreSQL's seconds since 1970, which are a number also for ``infinity``."""
    return cast(extract("epoch", column), Numeric)


_c = AUDIT_LOG.c
_ODD_ON_POSTGRESQL = ("at", "business_date", "changes")
_SQLITE_KINDS = {"mac": "blob"} | dict.fromkeys(("sequence", "at", "key_number"), "integer")
# What may be of any kind on SQLite, and what no driver can refuse to read on PostgreSQL.
_SELECTS: Mapping[str, Select[Any]] = {
    "sqlite": select(*map(_on_sqlite, _c)).order_by(_c.sequence, _c.id),
    "postgresql": select(
        *(_raw(each, each.name) for each in _c if each.name not in _ODD_ON_POSTGRESQL),
        cast(_seconds(_c.at) * _MICROSECONDS, Numeric).label("at"),
        cast(_seconds(_c.business_date) / _SECONDS_A_DAY, Numeric).label("business_date"),
        _raw(cast(_c.changes, Text), "changes"),
    ).order_by(_c.sequence, _c.id),
}


def _entry(row: AnyRow) -> StoredEntry:
    try:
        content = _content(row)
    except (AttributeError, OverflowError, RecursionError, TypeError, ValueError):
        content = None
    return StoredEntry(row.sequence, row.key_number, row.mac, content)


def _content(row: AnyRow) -> dict[str, wire.Json]:
    """Return what the mac covers, as it was when written; an error for what is never written."""
    content: dict[str, wire.Json] = {
        "id": _uuid(row.id),
        "hotel_id": _uuid(row.hotel_id),
        "sequence": row.sequence,
        "outcome": _text(row.outcome),
        "at": wire.encode(_EPOCH + timedelta(microseconds=int(row.at))),
        "business_date": _day(row.business_date),
        "subject": _text(row.subject),
        "role": _text(row.role),
        "operation": _text(row.operation),
        "permission": _text(row.permission),
        "resource": _text(row.resource),
        "resource_id": _uuid(row.resource_id),
        "changes": json.loads(_text(row.changes), object_pairs_hook=_object),
        "reason": _text(row.reason),
        "correlation_id": _text(row.correlation_id),
        "key_number": row.key_number,
    }
    wire.canonical(content)
    return content


def _text(value: Raw) -> Raw:
    return value.decode() if isinstance(value, bytes) else value


def _uuid(value: Raw) -> wire.Json:
    """Take PostgreSQL's UUIDs, and the one text that SQLite finds one under."""
    if isinstance(value, UUID):
        return wire.encode(value)
    known = UUID(hex=value.decode())
    if known.hex.encode() != value:
        raise ValueError
    return wire.encode(known)


def _day(value: Raw) -> wire.Json:
    """Take the days since 1970 of PostgreSQL, and SQLite's text."""
    if value is None:
        return None
    if not isinstance(value, bytes):
        return wire.encode(date(1970, 1, 1) + timedelta(days=int(value)))
    day = date.fromisoformat(value.decode())
    if value != day.isoformat().encode():
        raise ValueError
    return wire.encode(day)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Take an object whose names are different, for readers disagree about any other."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError
    return found
