"""What a hotel's tables hold, written so that two hotels with the same past have the same text."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Engine, select

from hotelcore import wire
from hotelcore.ids import HotelId
from hotelcore.sql.engine import READING
from hotelcore.sql.schema import METADATA
from tests.hindrances import linger, sessions_in_transaction

__all__ = ["same_words", "state_of", "transactions_left_open"]

_TABLES = [table for table in METADATA.sorted_tables if "hotel_id" in table.c]

# What differs between two runs: ids, the tails of ids that the tests take for texts, numbers of
# confirmation, hashes over all of these, and instants.
_RANDOM = re.compile(
    r"(?P<id>[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})"
    r"|(?P<hash>\b[0-9a-f]{64}\b)"
    r"|(?P<text>\b[0-9a-f]{12}\b)"
    r"|(?P<number>\b[0-9A-HJKMNP-TV-Z]{10}\b)"
    r"|(?P<instant>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00))"
)

# Seconds in which a server notices that a client is gone.
_PATIENCE = 10.0


def same_words(text: str) -> str:
    """Name what is random by the order in which it appears."""
    names: dict[str, str] = {}

    def name(found: re.Match[str]) -> str:
        kind = found.lastgroup
        # Two instants are the same or not as the clock wills, and hashes cover ids.
        if kind in ("instant", "hash"):
            return f"<{kind}>"
        return names.setdefault(found[0], f"<{kind} {len(names)}>")

    return _RANDOM.sub(name, text)


def state_of(engine: Engine, hotels: Sequence[HotelId]) -> str:
    """Write down every row of some hotels, one a line, whatever the tables are.

    Ids are in the order of time, so to sort by them is to sort by creation.
    """
    with engine.connect().execution_options(**{READING: True}) as connection:
        lines = [
            f"{table.name}: {_written(row)}"
            for hotel_id in hotels
            for table in _TABLES
            for row in connection.execute(
                select(table).where(table.c.hotel_id == hotel_id).order_by(*table.primary_key)
            ).mappings()
        ]
    return same_words("\n".join(lines))


def _written(row: Mapping[str, object]) -> str:
    return wire.canonical(dict(_plain(row.items()))).decode()


def _plain(items: Iterable[tuple[str, object]]) -> Generator[tuple[str, object]]:
    for name, value in items:
        if isinstance(value, datetime):
            yield name, "<instant>"
        elif isinstance(value, bytes | memoryview):
            yield name, "<bytes>"
        else:
            yield name, value


def transactions_left_open(engine: Engine) -> int:
    """Count the other sessions in a transaction, once the server knows which clients are gone."""
    if engine.dialect.name == "sqlite":
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA busy_timeout = 0")
            # Fails if anybody writes.
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.exec_driver_sql("ROLLBACK")
        return 0
    for _ in range(int(_PATIENCE / 0.01)):
        if not (left := sessions_in_transaction(engine)):
            return 0
        linger(0.01)
    return len(left)
