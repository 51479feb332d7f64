"""The chain of a hotel's audit log: each entry's mac stands for it and for all before it.

With a key nobody who lacks it can write a mac that fits. Without one the macs are plain SHA-256:
they show an accident, but whoever can write to the table can write the whole chain anew.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from hashlib import sha256
from uuid import UUID

import attrs
from attrs import frozen
from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKeyConstraint,
    LargeBinary,
    Table,
    Text,
    TypedColumns,
    bindparam,
    cast,
    func,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB

from hotelcore import wire
from hotelcore.domain.audit import AuditLogEntry
from hotelcore.errors import NotFound
from hotelcore.sql import schema
from hotelcore.sql.audit.log import AUDIT_LOG
from hotelcore.sql.changing import insert_into
from hotelcore.sql.seam.statements import Statements, acting_hotel
from hotelcore.vault import Key, KeyProvider

__all__ = [
    "AUDIT_HEAD",
    "BEGINNING",
    "Head",
    "NewEntry",
    "add_entries",
    "add_head",
    "lock_head",
    "mac_of",
]

BEGINNING = bytes(32)
"""What stands where the first entry's predecessor would have its mac."""

_PURPOSE = "hotelcore/audit"


class AuditHeadColumns(TypedColumns):
    """The sequence and the mac of a hotel's last entry."""

    hotel_id: Column[UUID] = schema.hotel_column()
    sequence: Column[int] = Column(BigInteger, nullable=False)
    mac: Column[bytes] = Column(LargeBinary, nullable=False)


AUDIT_HEAD = Table(
    "hc_audit_head",
    schema.METADATA,
    AuditHeadColumns,
    ForeignKeyConstraint(["hotel_id"], ["hc_hotel.hotel_id"]),
)
"""The table of heads, one row a hotel; the database moves it with each entry."""
schema.chained(AUDIT_LOG, AUDIT_HEAD)

_c = AUDIT_HEAD.c
_ADD_HEAD = insert_into(AUDIT_HEAD)
_LOCK_HEAD = select(_c.sequence, _c.mac).where(_c.hotel_id == acting_hotel()).with_for_update()
# The mac needs the text of the changes, which for a sync is megabytes long; it is written once. To
# PostgreSQL it goes as bytes, or a session of another encoding than UTF-8 would have to have all of
# its characters.
_as_bytes = func.convert_from(bindparam("changes", type_=LargeBinary), "UTF8")
_INSERT = {
    "sqlite": insert_into(AUDIT_LOG).values(changes=bindparam("changes", type_=Text)),
    "postgresql": insert_into(AUDIT_LOG).values(changes=cast(_as_bytes, JSONB)),
}


@frozen
class Head:
    """The end of a hotel's log: the number and the mac of its last entry."""

    sequence: int
    mac: bytes


@frozen
class NewEntry:
    """An entry that is to be added, and beside it the text of each of its changes."""

    entry: AuditLogEntry
    changes: Sequence[str] = ()


def add_head(run: Statements) -> None:
    """Begin the audit log of the acting hotel."""
    run.write(_ADD_HEAD, sequence=0, mac=BEGINNING)


def mac_of(key: Key | None, previous: bytes, entry: bytes) -> bytes:
    """Return the mac of an entry, whose text is ``entry``, behind one whose mac is ``previous``."""
    message = previous + entry
    if key is None:
        return sha256(message).digest()
    return hmac.digest(key.derived(_PURPOSE), message, "sha256")


def lock_head(run: Statements) -> Head:
    """Lock the end of the acting hotel's log, and return it.

    Other units of the hotel wait from here on until the transaction ends, so this comes late in
    it. Raises `NotFound` if the hotel is not registered.
    """
    head = run.first(_LOCK_HEAD, tuple)
    if head is None:
        raise NotFound("hotel", run.hotel_id)
    return Head(*head)


def add_entries(
    run: Statements, keys: KeyProvider | None, head: Head, entries: Sequence[NewEntry]
) -> None:
    """Add entries behind the locked ``head`` of the acting hotel's log, as the unit's last."""
    key, mac = None if keys is None else keys.current(), head.mac
    rows: list[dict[str, object]] = []
    for number, new in enumerate(entries, start=head.sequence + 1):
        rest, changes = _rest(new.entry, number, key), f"[{','.join(new.changes)}]".encode()
        mac = mac_of(key, mac, _whole(rest, changes))
        stored = changes.decode() if run.dialect == "sqlite" else changes
        rows.append(_row(new.entry, rest, stored, mac))
    run.write_last(_INSERT[run.dialect], rows)


def _rest(entry: AuditLogEntry, sequence: int, key: Key | None) -> dict[str, wire.Json]:
    """Return what the mac covers beside the changes: the entry, its number and whose key it is."""
    return {
        **{field.name: wire.encode(getattr(entry, field.name)) for field in _FIELDS},
        "sequence": sequence,
        "key_number": None if key is None else key.number,
    }


def _whole(rest: Mapping[str, wire.Json], changes: bytes) -> bytes:
    """Return the text of an entry, with its keys in order, around that of its ``changes``."""
    # In a text of the actor's a quote is escaped, so this stands there once.
    before, after = wire.text_of_encoded({**rest, "changes": 0}).split('"changes":0', 1)
    return b"".join((before.encode(), b'"changes":', changes, after.encode()))


_FIELDS = [field for field in attrs.fields(AuditLogEntry) if field.name != "changes"]
# The seam gives the hotel, and the chain the sequence.
_STORED_AS_THEY_ARE = {field.name for field in _FIELDS} - {"hotel_id", "sequence"}


def _row(
    entry: AuditLogEntry, rest: Mapping[str, wire.Json], changes: str | bytes, mac: bytes
) -> dict[str, object]:
    return {
        **{name: getattr(entry, name) for name in _STORED_AS_THEY_ARE},
        "sequence": rest["sequence"],
        "changes": changes,
        "key_number": rest["key_number"],
        "mac": mac,
    }
