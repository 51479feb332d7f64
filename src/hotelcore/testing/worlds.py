"""A hotel's whole world: every row that any table has of it, with its ids renamed.

The tables are read from the library's own register by plain SQL, so a new one is covered by
itself. Two worlds in which the same happened are equal: the ids of records, which grow with time,
are named by their rank; a random confirmation number by the rank of its booking; what is sealed is
left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias
from uuid import UUID

from sqlalchemy import Table, bindparam, select

from hotelcore.ids import HotelId
from hotelcore.sql.schema import METADATA, Id

__all__ = ["NUMBER", "RANDOM", "World", "differences", "world_of"]

# What a driver gives for a column is of whatever type the column has.
Rows: TypeAlias = Sequence[Sequence[Any]]
Read: TypeAlias = Callable[[str], Rows]
World: TypeAlias = Mapping[str, list[tuple[Any, ...]]]
"""Rows by table, each a tuple of its columns in the table's order."""

NUMBER = r"(?<![0-9A-Za-z])[0-9A-HJKMNP-TV-Z]{10}(?![0-9A-Za-z])"
"""What a random confirmation number looks like."""

RANDOM: Mapping[tuple[str, str], str] = {
    ("hc_idempotency", "fingerprint"): "a hash of arguments, among which may be ids",
    ("hc_feed", "token"): "names a lease, made anew for each",
    ("hc_inbox", "token"): "names a lease, made anew for each",
    ("hc_dead_letter", "token"): "names a lease, made anew for each",
    ("hc_audit_log", "mac"): "stands for an entry, in which are ids",
    ("hc_audit_head", "mac"): "as in the log",
    ("hc_subject_key", "sealed"): "a random key, sealed under a random nonce",
    ("hc_pms_config", "api_key"): "sealed under a random nonce",
}
"""Columns that differ between two equal worlds, each with the reason; they are left out."""

_NAMED = re.compile(
    rf"(?P<id>[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?7[0-9a-f]{{3}}-?[0-9a-f]{{4}}-?[0-9a-f]{{12}})|{NUMBER}"
)
# What an audit entry keeps of a guest where the core has keys: sealed under a random nonce.
_SEALED = re.compile(r'(?<="sealed":) ?"[A-Za-z0-9+/=]+"')


def world_of(read: Read, hotel_id: HotelId) -> World:
    """Return what the database holds of a hotel, table by table, rows in order.

    ``read`` runs a SELECT with the parameter ``:hotel`` and returns its rows.
    """
    del hotel_id  # bound by ``read``; named so that nobody reads two hotels at once
    found = {
        table.name: [list(map(_plain, row)) for row in read(_select(table))] for table in _tables()
    }
    names = _names(found)

    def renamed(value: Any) -> Any:
        if type(value) is not str:
            return value
        told = _SEALED.sub("", value)
        return _NAMED.sub(lambda met: names.get(met[0].replace("-", ""), met[0]), told)

    return {
        name: sorted((tuple(map(renamed, row)) for row in rows), key=repr)
        for name, rows in found.items()
    }


def differences(ours: World, theirs: World, *, most: int = 3) -> list[str]:
    """Say in which rows two worlds differ, at most some for each table."""
    return [
        f"{table}: {side} {row}"
        for table in ours
        for side, rows in (
            ("only here", [row for row in ours[table] if row not in theirs[table]]),
            ("only there", [row for row in theirs[table] if row not in ours[table]]),
        )
        for row in rows[:most]
    ] or [
        f"{t}: {len(ours[t])} rows here, {len(theirs[t])} there"
        for t in ours
        if ours[t] != theirs[t]
    ]


@cache
def _tables() -> tuple[Table, ...]:
    return tuple(METADATA.sorted_tables)


@cache
def _columns(table: Table) -> tuple[str, ...]:
    return tuple(c.name for c in table.columns if (table.name, c.name) not in RANDOM)


@cache
def _select(table: Table) -> str:
    chosen = select(*(table.c[name] for name in _columns(table)))
    return str(chosen.where(table.c.hotel_id == bindparam("hotel")))


def _plain(value: Any) -> Any:
    if isinstance(value, UUID):
        return value.hex
    if isinstance(value, dict | list):
        return json.dumps(value, sort_keys=True)
    return value


def _names(found: Mapping[str, list[list[Any]]]) -> dict[str, str]:
    """Name every id by its rank, also of what was deleted since; numbers by their bookings."""
    ids = {
        value
        for table in _tables()
        for at, name in enumerate(_columns(table))
        if name != "hotel_id" and isinstance(table.c[name].type, Id)
        for value in (row[at] for row in found[table.name])
        if value is not None
    }
    names = {key: f"#{rank:06}" for rank, key in enumerate(sorted(ids))}
    columns = _columns(METADATA.tables["hc_booking"])
    key, number = columns.index("id"), columns.index("confirmation_number")
    numbers = {row[number]: f"number of {names[row[key]]}" for row in found["hc_booking"]}
    return {n: name for n, name in numbers.items() if _NAMED.fullmatch(n)} | names
