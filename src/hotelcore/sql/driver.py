"""Sends one statement over the driver of a connection that SQLAlchemy pooled.

To SQLite it goes over a cursor, to PostgreSQL in an exchange. Whoever watches the connection through
SQLAlchemy's events around a cursor, or its log, sees every statement as if SQLAlchemy had sent it;
and an error comes as SQLAlchemy's, so that a lost connection leaves its pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection

__all__ = ["Message", "no_rows", "send"]

T = TypeVar("T")
Message: TypeAlias = tuple[str, Sequence[Any]]
"""A statement for PostgreSQL with ``$1`` for a parameter, and the parameters, of any type."""


def send(
    connection: Connection,
    text: str,
    parameters: Any,  # as the driver takes them: SQLAlchemy has no type for that
    taking: Callable[[Any], T],  # called with a cursor, or what is read like one
    *,
    many: bool = False,
    before: Sequence[Message] = (),
) -> T:
    """Execute a statement and return what ``taking`` makes of its answer.

    ``many`` says that ``parameters`` are those of many calls. What stands ``before`` is sent with
    it, to PostgreSQL alone, and nobody who watches sees that. Raises what SQLAlchemy makes of the
    driver's errors.
    """
    for transaction in (connection.get_nested_transaction(), connection.get_transaction()):
        if transaction is not None and not transaction.is_active:
            connection._invalid_transaction()
    pooled = connection.connection  # refused where it was lost in the midst of a transaction
    said: str | None = ""
    cursor: Any = None
    watched = connection.dispatch.before_cursor_execute or connection.dispatch.after_cursor_execute
    context = SimpleNamespace(execution_options={}, compiled=None)
    exchanged = connection.dialect.name == "postgresql"
    try:
        if watched or not exchanged:
            cursor = pooled.cursor()
        said = None
        for tell in connection.dispatch.before_cursor_execute:
            text, parameters = tell(connection, cursor, text, parameters, context, many)
        if connection._echo:
            connection._log_info(text)
        said = text
        if exchanged:
            rows = parameters if many else (parameters,)
            messages = [*before, *((text, row) for row in rows)]
            answer = _exchanged(connection, messages, len(before))
        else:
            answer = cursor
            (cursor.executemany if many else cursor.execute)(text, parameters)
        said = None
        if watched:
            connection.dispatch.after_cursor_execute(
                connection, cursor, text, parameters, context, many
            )
        taken = taking(answer)
    except BaseException as error:  # noqa: BLE001  # raised again, as SQLAlchemy's
        # With a text it wraps whatever the driver raises, but not what a listener or builder does.
        if isinstance(error, connection.dialect.loaded_dbapi.Error):
            said = text
        connection._handle_dbapi_exception(error, said, None, cursor, None)
    if cursor is not None:
        connection._safe_close_cursor(cursor)
    return taken


def no_rows(_: Any) -> None:
    """Take nothing from a statement."""


def _exchanged(connection: Connection, messages: Sequence[Message], leading: int) -> Any:
    """Exchange messages, and return the answer to those behind the leading ones."""
    from hotelcore.sql.exchange import exchange

    answers = exchange(connection, messages)[leading:]
    if len(answers) == 1:
        return answers[0]
    return SimpleNamespace(rowcount=sum(answer.rowcount for answer in answers))
