"""Sends one statement over the driver's own cursor of a connection that SQLAlchemy pooled.

Whoever watches the connection through SQLAlchemy's events around a cursor, or its log, sees every
statement as if SQLAlchemy had sent it; and an error comes as SQLAlchemy's, so that a lost
connection leaves its pool.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar

from sqlalchemy import Connection

__all__ = ["no_rows", "send"]

T = TypeVar("T")

# Of psycopg's two formats for results the one that costs less to read, in the protocol's number:
# https://www.psycopg.org/psycopg3/docs/basic/params.html#binary-parameters-and-results
_BINARY = 1


def send(
    connection: Connection,
    text: str,
    parameters: Any,  # as the driver takes them: SQLAlchemy has no type for that
    taking: Callable[[Any], T],  # called with the driver's cursor
    *,
    many: bool = False,
) -> T:
    """Execute a statement in the open transaction and return what ``taking`` makes of the cursor.

    Without parameters (None) the text may hold several statements, and gives no rows. ``many``
    says that ``parameters`` are those of many calls. Raises what SQLAlchemy makes of the driver's
    errors.
    """
    plain = parameters is None
    cursor = _cursor(connection, plain=plain)
    shown = {} if plain else parameters
    said = None
    context = SimpleNamespace(execution_options={}, compiled=None)
    try:
        if connection.dispatch.before_cursor_execute:
            for tell in connection.dispatch.before_cursor_execute:
                text, shown = tell(connection, cursor, text, shown, context, many)
        if connection._echo:
            connection._log_info(text)
        said = text
        (cursor.executemany if many else cursor.execute)(text, None if plain else shown)
        said = None
        if connection.dispatch.after_cursor_execute:
            connection.dispatch.after_cursor_execute(connection, cursor, text, shown, context, many)
        taken = taking(cursor)
    except BaseException as error:  # noqa: BLE001  # raised again, as SQLAlchemy's
        # With a text it wraps whatever the driver raises, but not what a listener or builder does.
        if isinstance(error, connection.dialect.loaded_dbapi.Error):
            said = text
        connection._handle_dbapi_exception(error, said, None, cursor, None)
    connection._safe_close_cursor(cursor)
    return taken


def no_rows(_: Any) -> None:
    """Take nothing from a statement."""


def _cursor(connection: Connection, *, plain: bool) -> Any:
    """Make a cursor where SQLAlchemy would let a statement run, and in its open transaction."""
    for transaction in (connection.get_nested_transaction(), connection.get_transaction()):
        if transaction is not None and not transaction.is_active:
            connection._invalid_transaction()
    pooled = connection.connection  # refused where it was lost in the midst of a transaction
    if not connection.in_transaction():
        connection._autobegin()
    try:
        cursor: Any = pooled.cursor()
    except BaseException as error:  # noqa: BLE001  # raised again, as SQLAlchemy's
        connection._handle_dbapi_exception(error, "", None, None, None)
    if connection.dialect.driver == "psycopg" and not plain:
        # What SQLAlchemy wraps around an asyncio cursor knows no format.
        getattr(cursor, "_cursor", cursor).format = _BINARY
    return cursor
