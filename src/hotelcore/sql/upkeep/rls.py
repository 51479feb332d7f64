"""Row-level security: PostgreSQL itself shows a transaction the rows of one hotel and no others.

A transaction says whose rows it works on (`hotelcore.sql.seam.limits`), and a policy of each table
holds every statement to that, whoever wrote it. Nothing is shown to who says nothing. The relay may
read what it delivers of all hotels. SQLite has nothing like it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import Connection, Table

from hotelcore.sql.events.dead_letters import DEAD_LETTERS
from hotelcore.sql.events.feed import FEED
from hotelcore.sql.events.inbox import INBOX
from hotelcore.sql.events.outbox import OUTBOX
from hotelcore.sql.seam.limits import EVERY_HOTEL

__all__ = ["ANY_ROW", "OWN_HOTEL", "protect", "protection", "rule_for"]

ANY_ROW = "hotelcore_any_row"
"""The permissive policy of each table: without one nothing at all would be shown."""

OWN_HOTEL = "hotelcore_own_hotel"
"""The restrictive policy of each table, which every other policy of a host's can only narrow."""

_RELAYED = frozenset(table.name for table in (OUTBOX, FEED, INBOX, DEAD_LETTERS))
_TOLD = "current_setting('hotelcore.hotel_id', true)"
# The sub-selects are evaluated once for a statement, not once for a row. A setting that was told
# in an earlier transaction is empty afterwards, and was never there before the first.
_OWN = f"hotel_id = (SELECT CAST(NULLIF({_TOLD}, '') AS uuid) AS acting)"
_OWN_OR_RELAYED = (
    f"hotel_id = (SELECT CAST(NULLIF(NULLIF({_TOLD}, ''), '{EVERY_HOTEL}') AS uuid) AS acting)"
    f" OR (SELECT {_TOLD} AS told) = '{EVERY_HOTEL}'"
)


def rule_for(table: str) -> str:
    """Return the condition that `OWN_HOTEL` holds each row of a table to."""
    return _OWN_OR_RELAYED if table in _RELAYED else _OWN


def protect(connection: Connection, tables: Iterable[Table]) -> None:
    """Protect new tables, by the names in force on the connection; nothing on SQLite."""
    if connection.dialect.name == "postgresql":
        for table in tables:
            for statement in protection(table.name, rule_for(table.name)):
                connection.exec_driver_sql(statement)


def protection(table: str, rule: str) -> Iterator[str]:
    """Give the statements that protect a table which is not protected yet."""
    yield f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY"
    # Without it the owner of the table would see everything.
    yield f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY"
    yield f"CREATE POLICY {ANY_ROW} ON {table} USING (true)"
    yield f"CREATE POLICY {OWN_HOTEL} ON {table} AS RESTRICTIVE USING ({rule}) WITH CHECK ({rule})"
