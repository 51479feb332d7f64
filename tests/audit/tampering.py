"""Ways to tamper with an audit log by raw SQL, as somebody who owns the tables could.

Each is done in a transaction of the caller's, who rolls it back, after the triggers and unique
keys that stand in the way were dropped in it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from random import Random
from types import MappingProxyType
from typing import Any, TypeAlias
from uuid import UUID

from attrs import frozen
from sqlalchemy import Connection, Row, Uuid, bindparam, delete, insert, select, text, update

from hotelcore import new_id, wire
from hotelcore.domain.audit import AuditHead, AuditLogEntry
from hotelcore.ids import HotelId
from hotelcore.sql.audit.chain import AUDIT_HEAD, BEGINNING, _rest, _whole, mac_of
from hotelcore.sql.audit.log import AUDIT_LOG
from hotelcore.vault import Key
from tests.audit.conftest import KEYS

LOG, HEAD = AUDIT_LOG.c, AUDIT_HEAD.c
AnyRow: TypeAlias = Row[Any]  # of all columns


@frozen
class Scene:
    """A log of some length, the head that was exported of it, and one from half way."""

    hotel_id: HotelId
    other_id: HotelId
    head: AuditHead
    early: AuditHead


@frozen
class Tampering:
    """One attempt on the log of a scene."""

    on: Connection
    scene: Scene
    chance: Random

    @property
    def length(self) -> int:
        """How many entries there were."""
        return self.scene.head.sequence

    def some(self) -> int:
        """Choose an entry."""
        return self.chance.randint(1, self.length)

    def row(self, sequence: int) -> AnyRow:
        """Read an entry."""
        found = select(AUDIT_LOG).where(*self._at(sequence))
        return self.on.execute(found).one()

    def rows(self) -> list[AnyRow]:
        """Read all entries in order."""
        mine = LOG.hotel_id == self.scene.hotel_id
        return list(self.on.execute(select(AUDIT_LOG).where(mine).order_by(LOG.sequence)))

    def set(self, sequence: int, /, **values: object) -> None:
        """Overwrite columns of an entry."""
        assert self.on.execute(update(AUDIT_LOG).where(*self._at(sequence)).values(values)).rowcount

    def shift(self, after: int, by: int) -> None:
        """Move the sequences behind an entry up or down."""
        later = (LOG.hotel_id == self.scene.hotel_id, LOG.sequence > after)
        self.on.execute(update(AUDIT_LOG).where(*later).values(sequence=LOG.sequence + by))

    def remove(self, *sequences: int) -> None:
        """Delete entries."""
        its = (LOG.hotel_id == self.scene.hotel_id, LOG.sequence.in_(sequences))
        assert self.on.execute(delete(AUDIT_LOG).where(*its)).rowcount == len(sequences)

    def add(self, row: AnyRow, /, **values: object) -> None:
        """Insert an entry like another one."""
        self.on.execute(insert(AUDIT_LOG).values({**row._mapping, "id": new_id(), **values}))

    def set_head(self, sequence: int, mac: bytes) -> None:
        """Overwrite the head in the database."""
        mine = HEAD.hotel_id == self.scene.hotel_id
        self.on.execute(update(AUDIT_HEAD).where(mine).values(sequence=sequence, mac=mac))

    def put_head_at_end(self) -> None:
        """Make the head that of the last row."""
        last = self.rows()[-1]
        self.set_head(last.sequence, last.mac)

    def rechain(self, key: Key | None, *, since: int = 1) -> None:
        """Write the macs from an entry on anew, under a key or none, and the head."""
        mac = BEGINNING if since == 1 else self.row(since - 1).mac
        for row in self.rows()[since - 1 :]:
            mac = mac_of(key, mac, content_of(row, key))
            number = None if key is None else key.number
            self.set(row.sequence, mac=mac, key_number=number)
        self.put_head_at_end()

    def raw(self, sequence: int, assignment: str) -> None:
        """Overwrite a column by SQL that no type of the library's stands before."""
        statement = text(
            f"UPDATE hc_audit_log SET {assignment} WHERE hotel_id = :hotel AND sequence = :number"
        ).bindparams(bindparam("hotel", self.scene.hotel_id, Uuid()), number=sequence)
        assert self.on.execute(statement).rowcount

    def _at(self, sequence: int) -> tuple[Any, ...]:
        return LOG.hotel_id == self.scene.hotel_id, LOG.sequence == sequence


def content_of(row: AnyRow, key: Key | None) -> bytes:
    """Build what a mac covers, as whoever knows the library would."""
    entry = AuditLogEntry(
        **{
            name: value
            for name, value in row._mapping.items()
            if name not in ("changes", "key_number", "mac")
        },
        changes=(),
    )
    return _whole(_rest(entry, entry.sequence, key), wire.text_of_encoded(row.changes).encode())


# -- the ways -----------------------------------------------------------------------------------


def other_value(column: str, row: AnyRow, chance: Random) -> dict[str, object]:
    """Choose a value that the column could hold, and does not."""
    value = getattr(row, column)
    if column in ("outcome", "permission"):
        return _other_outcome(column, row)
    if isinstance(value, UUID):
        return {column: new_id()}
    if column == "at":
        return {column: value + timedelta(microseconds=chance.choice((-1, 1, 10**9)))}
    if column == "business_date":
        return {column: None if value else row.at.date()}
    if column == "changes":
        return {column: _other_changes(value, chance)}
    if column == "mac":
        bit = chance.randrange(256)
        return {column: (int.from_bytes(value) ^ 1 << bit).to_bytes(32)}
    if column == "key_number":
        return {column: chance.choice([None, 1, 3])}
    if column == "sequence":
        return {column: value + chance.choice((-1, 1, 1_000, 2**40))}
    return {column: chance.choice([f"{value or ''}x", "root", "ROOT "])}


def _other_outcome(column: str, row: AnyRow) -> dict[str, object]:
    if row.outcome == "done":
        return {"outcome": "denied", "permission": "PMS_MANAGE"}
    if column == "outcome":
        return {"outcome": "done", "permission": None}
    return {column: "ADMIN_VIEW" if row.permission != "ADMIN_VIEW" else "PMS_MANAGE"}


def _other_changes(changes: Any, chance: Random) -> Any:
    forged: Any = {"resource": "guest", "resource_id": str(new_id()), "before": None, "after": {}}
    if not changes:
        return [forged]
    change = dict(chance.choice(changes))
    change[chance.choice(list(change))] = forged["resource_id"]
    return chance.choice([[*changes, forged], changes[:-1], [change, *changes[1:]]])


def _edit(it: Tampering) -> None:
    row = it.row(it.some())
    columns = [name for name in LOG.keys() if name != "hotel_id"]  # noqa: SIM118  # of a collection
    column = it.chance.choice(columns)
    values = other_value(column, row, it.chance)
    if all(getattr(row, name) == value for name, value in values.items()):
        values = {"subject": "nobody"}
    it.set(row.sequence, **values)


def _edit_raw(it: Tampering) -> None:
    ways = {
        "sqlite": [
            "resource_id = upper(resource_id)",
            "at = 'long ago'",
            "changes = '{'",
            "changes = replace(changes, '[', '[{\"a\": 1, \"a\": 1},')",
            "business_date = '2020-1-1'",
            "subject = CAST(subject AS BLOB)",
            "mac = 'mac'",
            "mac = CAST(mac AS TEXT)",
            "sequence = 'last'",
            "id = 'none'",
            "key_number = 'two'",
        ],
        "postgresql": [
            "at = 'infinity'",
            "at = at - interval '1 microsecond'",
            "business_date = 'infinity'",
            "business_date = '2020-01-01 BC'",
            "changes = 'null'",
            "changes = '[1e400]'",
            "mac = ''",
            "sequence = -sequence",
        ],
    }
    it.raw(it.some(), it.chance.choice(ways[it.on.dialect.name]))


def _remove(it: Tampering) -> None:
    it.remove(it.some())


def _remove_and_close_the_gap(it: Tampering) -> None:
    gone = it.chance.randint(1, it.length - 1)
    it.remove(gone)
    it.shift(gone, -1)
    it.put_head_at_end()


def _insert(it: Tampering) -> None:
    place = it.chance.randint(0, it.length - 1)
    it.shift(place, 1)
    it.add(it.row(it.length + 1), sequence=place + 1, mac=secrets.token_bytes(32))
    it.put_head_at_end()


def _append(it: Tampering) -> None:
    last, number = it.row(it.length), it.length + 1
    key = Key(last.key_number, secrets.token_bytes(32))
    forged = evolve_row(last, sequence=number, id=new_id(), subject="owner")
    mac = mac_of(key, last.mac, content_of(forged, key))
    it.on.execute(insert(AUDIT_LOG).values({**forged._mapping, "mac": mac}))
    it.set_head(number, mac)


def evolve_row(row: AnyRow, **values: object) -> Any:
    """Return something that reads like the row, with other values."""
    return _Like({**row._mapping, **values})


class _Like:
    def __init__(self, values: Mapping[str, Any]) -> None:
        self._mapping = values

    def __getattr__(self, name: str) -> Any:
        return self._mapping[name]


def _duplicate(it: Tampering) -> None:
    row = it.row(it.some())
    it.add(row)


def _duplicate_at_the_end(it: Tampering) -> None:
    it.add(it.row(it.some()), sequence=it.length + 1)
    it.put_head_at_end()


def _reorder(it: Tampering) -> None:
    order = list(range(1, it.length + 1))
    while order == sorted(order):
        it.chance.shuffle(order)
    it.shift(0, 10_000)
    for old, new in enumerate(order, start=1):
        it.set(old + 10_000, sequence=new)
    it.put_head_at_end()


def _swap(it: Tampering) -> None:
    one, two = it.chance.sample(range(1, it.length + 1), 2)
    it.set(one, sequence=10_000)
    it.set(two, sequence=one)
    it.set(10_000, sequence=two)
    it.put_head_at_end()


def _swap_contents(it: Tampering) -> None:
    one, two = (it.row(number) for number in it.chance.sample(range(1, it.length + 1), 2))
    kept = ("hotel_id", "sequence", "id", "mac")
    taken = {name: value for name, value in two._mapping.items() if name not in kept}
    if all(getattr(one, name) == value for name, value in taken.items()):
        taken["subject"] = "nobody"
    it.set(one.sequence, **taken)


def _cut_off(it: Tampering) -> None:
    it.remove(*range(it.some(), it.length + 1))


def _cut_off_with_the_head(it: Tampering) -> None:
    first = it.chance.randint(2, it.length)
    it.remove(*range(first, it.length + 1))
    it.put_head_at_end()


def _empty(it: Tampering) -> None:
    it.remove(*range(1, it.length + 1))
    it.set_head(0, BEGINNING)


def _replay(it: Tampering) -> None:
    early = it.scene.early
    it.remove(*range(early.sequence + 1, it.length + 1))
    it.set_head(early.sequence, bytes.fromhex(early.mac))


def _move_to_another_hotel(it: Tampering) -> None:
    it.set(it.some(), hotel_id=it.scene.other_id, sequence=20_000)


def _take_from_another_hotel(it: Tampering) -> None:
    theirs = select(AUDIT_LOG).where(LOG.hotel_id == it.scene.other_id).limit(1)
    row = it.on.execute(theirs).one()
    it.add(row, hotel_id=it.scene.hotel_id, sequence=it.length + 1)
    it.put_head_at_end()


def _strip_the_keys(it: Tampering) -> None:
    it.set(it.some(), subject="nobody")
    it.rechain(None)


def _strip_the_keys_of_the_end(it: Tampering) -> None:
    since = it.chance.randint(2, it.length)
    it.set(since, subject="nobody")
    it.rechain(None, since=since)


def _chain_under_a_key_of_ones_own(it: Tampering) -> None:
    since = it.some()
    it.set(since, subject="nobody")
    it.rechain(Key(it.chance.choice((1, 2, 3)), secrets.token_bytes(32)), since=since)


def _take_from_a_restored_copy(it: Tampering) -> None:
    # What a copy of the database would have gone on with, under the very same key.
    row = it.row(it.chance.randint(1, it.length - 1))
    before = BEGINNING if row.sequence == 1 else it.row(row.sequence - 1).mac
    key = KEYS.numbered(row.key_number)
    other = evolve_row(row, subject="nobody")
    it.set(row.sequence, subject="nobody", mac=mac_of(key, before, content_of(other, key)))


def _move_the_head(it: Tampering) -> None:
    number, mac = it.length + it.chance.choice((-1, 0, 1)), secrets.token_bytes(32)
    it.set_head(number, mac)


def _take_the_head(it: Tampering) -> None:
    it.on.execute(delete(AUDIT_HEAD).where(HEAD.hotel_id == it.scene.hotel_id))


Way: TypeAlias = Callable[[Tampering], None]

WAYS: Mapping[str, Way] = MappingProxyType(
    {
        way.__name__.strip("_"): way
        for way in (
            _edit,
            _edit_raw,
            _remove,
            _remove_and_close_the_gap,
            _insert,
            _append,
            _duplicate,
            _duplicate_at_the_end,
            _reorder,
            _swap,
            _swap_contents,
            _cut_off,
            _move_to_another_hotel,
            _take_from_another_hotel,
            _strip_the_keys,
            _strip_the_keys_of_the_end,
            _chain_under_a_key_of_ones_own,
            _take_from_a_restored_copy,
            _move_the_head,
            _take_the_head,
        )
    }
)
"""What the log itself shows."""

ENDS: Mapping[str, Way] = MappingProxyType(
    {way.__name__.strip("_"): way for way in (_cut_off_with_the_head, _empty, _replay)}
)
"""What leaves a log that was whole once, so that only an exported head shows it."""

UNLOCKING: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sqlite": (
            "PRAGMA ignore_check_constraints = ON",
            "DROP TRIGGER tr_hc_audit_log_no_update",
            "DROP TRIGGER tr_hc_audit_log_no_delete",
            "DROP TRIGGER tr_hc_audit_log_chained",
            "DROP INDEX uq_hc_audit_log_sequence",
        ),
        "postgresql": (
            "DROP TRIGGER tr_hc_audit_log_append_only ON hc_audit_log",
            "DROP TRIGGER tr_hc_audit_log_chained ON hc_audit_log",
            "DROP INDEX uq_hc_audit_log_sequence",
        ),
    }
)
