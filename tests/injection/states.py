"""What a hotel's tables hold, written so that two hotels with the same past have the same text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Engine, LargeBinary, Table, TextClause, Uuid, bindparam, text
from sqlalchemy.exc import OperationalError

from hotelcore.ids import HotelId
from hotelcore.sql.schema import METADATA, Instant, Sealed
from tests.hindrances import linger, sessions_in_transaction

__all__ = ["same_words", "state_of", "transactions_left_open"]

# What differs between two runs: ids, the tails of ids that the tests take for texts, numbers of
# confirmation, hashes over all of these, and instants.
_RANDOM = re.compile(
    r"(?P<id>[0-9a-f]{8}-?(?:[0-9a-f]{4}-?){3}[0-9a-f]{12}\b)"
    r"|(?P<hash>(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f]))"
    r"|(?P<envelope>[A-Za-z0-9+/]{60,}={0,2})"
    r"|(?P<text>(?<![0-9a-f])[0-9a-f]{12}(?![0-9a-f]))"
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
        # Instants are alike as the clock wills, hashes cover ids, envelopes begin with a nonce.
        if kind in ("instant", "hash", "envelope"):
            return f"<{kind}>"
        return names.setdefault(found[0].replace("-", ""), f"<{kind} {len(names)}>")

    return _RANDOM.sub(name, text)


def state_of(engine: Engine, hotels: Sequence[HotelId]) -> str:
    """Write down every row of some hotels, one a line, whatever the tables are.

    Ids are in the order of time, so to sort by them is to sort by creation.
    """
    statement = _STATE[engine.dialect.name]
    with engine.connect() as connection:
        rows = [row for hotel in hotels for row in connection.execute(statement, {"hotel": hotel})]
    return same_words("\n".join(f"{name}: {row}" for name, _, row in rows))


def _everything(json_object: str) -> TextClause:
    """Build the one statement that reads all tables; to read each for itself takes long."""
    selects = (
        f"SELECT '{table.name}' AS name, {_key_of(table)} AS its_key,"
        f" CAST({json_object}({', '.join(map(_shown, table.c))}) AS TEXT) AS shown"
        f" FROM {table.name} WHERE hotel_id = :hotel"
        for table in METADATA.sorted_tables
        if "hotel_id" in table.c
    )
    both = " UNION ALL ".join(selects) + " ORDER BY name, its_key"
    return text(both).bindparams(bindparam("hotel", type_=Uuid()))


def _key_of(table: Table) -> str:
    return " || '/' || ".join(f"CAST({column.name} AS TEXT)" for column in table.primary_key)


def _shown(column: Column[Any]) -> str:  # Any: a column of any type
    """Show of instants, and of what is encrypted, whether it is there."""
    hidden = isinstance(column.type, Instant | LargeBinary | Sealed)
    return f"'{column.name}', {column.name}{' IS NOT NULL' if hidden else ''}"


_STATE = {"sqlite": _everything("json_object"), "postgresql": _everything("jsonb_build_object")}


def transactions_left_open(engine: Engine) -> int:
    """Count the other sessions in a transaction, once the server knows which clients are gone."""
    if engine.dialect.name == "sqlite":
        return _writers(engine)
    for _ in range(int(_PATIENCE / 0.01)):
        if not sessions_in_transaction(engine):
            break
        linger(0.01)
    return len(sessions_in_transaction(engine))


def _writers(engine: Engine) -> int:
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 0")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError:
            return 1
        connection.exec_driver_sql("ROLLBACK")
    return 0
