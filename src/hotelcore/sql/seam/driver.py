"""Sends one statement over the driver of a connection that SQLAlchemy pooled.

To SQLite it goes over a cursor, to PostgreSQL in an exchange. Whoever watches the connection
through SQLAlchemy's events around a cursor, or its log, sees every statement as if SQLAlchemy had
sent it; and an error comes as SQLAlchemy's, so that a lost connection leaves its pool.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from types import SimpleNamespace
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection
from sqlalchemy.pool import PoolProxiedConnection

from hotelcore.sql.seam.messages import BEGUN, Message, move_place

__all__ = ["begin", "can_begin", "can_send", "end", "is_begun", "is_watched", "no_rows", "send"]

T = TypeVar("T")
Beside: TypeAlias = Callable[[Sequence[Any], Sequence[Any]], object]
"""Is called with PostgreSQL's answers to what stood before and after a statement."""


def send(
    connection: Connection,
    text: str,
    rows: Sequence[Any],  # as the driver takes them: SQLAlchemy has no type for that
    taking: Callable[[Any], T],  # called with a cursor, or what is read like one
    *,
    before: Sequence[Message] = (),
    after: Sequence[Message] = (),
    beside: Beside | None = None,
    binary: bool = True,
) -> T:
    """Execute a statement and return what ``taking`` makes of its answer.

    ``rows`` are the parameters of each call, at least one. What stands ``before`` and ``after``
    is sent with it, to PostgreSQL alone, and nobody who watches sees that; ``beside`` is called
    with the answers to both; those to what was begun come first. ``binary`` says that all
    columns come as the same values in its binary format. Raises what SQLAlchemy makes of the
    driver's errors.
    """
    pooled = _usable(connection)
    exchanged = connection.dialect.name == "postgresql"
    watched = is_watched(connection)
    many = len(rows) > 1
    context: Any = None
    cursor: Any = None
    parameters: Any = None  # as those who watch know them: of one call, or a list
    said: str | None = ""
    told: Sequence[Any] = ()
    try:
        if watched or not exchanged:
            cursor = pooled.cursor()
        if watched and ((before and before[0][0].startswith("BEGIN")) or is_begun(connection)):
            # A listener may execute something too: in this transaction, and behind what was begun.
            told = _exchange()(connection, before)
            before = ()
        said = None
        if watched:
            context = SimpleNamespace(execution_options={}, compiled=None)
            parameters = rows if many else rows[0]
            for tell in connection.dispatch.before_cursor_execute:
                text, parameters = tell(connection, cursor, text, parameters, context, many)
            rows = parameters if many else (parameters,)
        if connection._echo:
            connection._log_info(text)
        said = text
        answer = (_exchanged if exchanged else _executed)(
            connection, cursor, text, rows, before, after, _with(told, beside), binary
        )
        said = None
        if watched:
            connection.dispatch.after_cursor_execute(
                connection, cursor, text, parameters, context, many
            )
        taken = taking(answer)
    except BaseException as error:  # noqa: BLE001  # raised again, as SQLAlchemy's
        move_place(error, len(told))
        # With a text it wraps whatever the driver raises, but not what a listener or builder does.
        if isinstance(error, connection.dialect.loaded_dbapi.Error):
            said = text
        connection._handle_dbapi_exception(error, said, None, cursor, None)
    if cursor is not None:
        connection._safe_close_cursor(cursor)
    return taken


def can_begin(connection: Connection) -> bool:
    """Tell whether PostgreSQL may `begin` with statements: in a transaction, which it has open.

    On a connection of asyncio's to send takes a turn of the event loop, so not there.
    """
    if connection.dialect.is_async:
        return False
    driver: Any = connection.connection.driver_connection  # psycopg's: SQLAlchemy has no type
    return bool(driver.pgconn.transaction_status)  # 0 is nothing open; a lost one fails by itself


def begin(connection: Connection, messages: Sequence[Message]) -> None:
    """Have PostgreSQL begin with statements, and go on; the next `send` has the answers.

    For who has asked `can_begin`, and is sure that nothing else uses the connection until then.
    Raises what SQLAlchemy makes of the driver's errors.
    """
    from hotelcore.sql.seam import exchange

    _usable(connection)
    _telling(connection, lambda: exchange.begin(connection, messages))


def end(connection: Connection) -> None:
    """Wait for what was begun, and forget its answers."""
    _telling(connection, lambda: _exchange()(connection, ()))


def is_begun(connection: Connection) -> bool:
    """Tell whether there is something that was begun and has not been ended."""
    # One that was lost would open another to answer.
    return not connection.invalidated and BEGUN in connection.info


def _telling(connection: Connection, speaking: Callable[[], T]) -> T:
    """Speak with PostgreSQL, and raise what SQLAlchemy makes of its errors."""
    try:
        return speaking()
    except BaseException as error:  # noqa: BLE001  # raised again, as SQLAlchemy's
        connection._handle_dbapi_exception(error, "", None, None, None)


def _with(told: Sequence[Any], beside: Beside | None) -> Beside | None:
    """Put the answers to what was sent apart before the others."""
    if not told or beside is None:
        return beside
    return lambda first, last: beside([*told, *first], last)


def is_watched(connection: Connection) -> bool:
    """Tell whether somebody listens to SQLAlchemy's events around a cursor."""
    # What listens to a connection alone costs more to look up, and it knows if there is any.
    listening = (connection if connection._has_events else connection.engine).dispatch
    return bool(listening.before_cursor_execute or listening.after_cursor_execute)


def can_send(connection: Connection, text: str, parameters: Sequence[Any]) -> bool:
    """Tell whether PostgreSQL's driver takes these parameters; a text may hold what it does not."""
    from hotelcore.sql.seam.exchange import is_sendable

    return is_sendable(connection, (text, parameters))


def no_rows(_: Any) -> None:
    """Take nothing from a statement."""


def _usable(connection: Connection) -> PoolProxiedConnection:
    """Return what the pool lent; refused after an error or a loss in the midst of a transaction."""
    for transaction in (connection.get_nested_transaction(), connection.get_transaction()):
        if transaction is not None and not transaction.is_active:
            connection._invalid_transaction()
    return connection.connection


# Both ways to a database take the same: `rows` are the parameters of each call.


def _executed(_: Connection, cursor: Any, text: str, rows: Sequence[Any], *__: object) -> Any:
    """Execute over a cursor, and return it."""
    if len(rows) == 1:
        cursor.execute(text, rows[0])
    else:
        cursor.executemany(text, rows)
    return cursor


def _exchanged(
    connection: Connection,
    _: object,
    text: str,
    rows: Sequence[Any],
    before: Sequence[Message],
    after: Sequence[Message],
    beside: Beside | None,
    binary: bool,
) -> Any:
    """Exchange messages, and return what is read like a cursor."""
    messages = [*before, *[(text, row) for row in rows], *after]
    answers = _exchange()(connection, messages, binary=binary)
    first = len(answers) - len(after) - len(rows)  # with what was begun
    if beside is not None:
        beside(answers[:first], answers[first + len(rows) :])
    answers = answers[first:][: len(rows)]
    if len(answers) == 1:
        return answers[0]
    return SimpleNamespace(rowcount=sum(answer.rowcount for answer in answers))


@cache
def _exchange() -> Callable[..., Sequence[Any]]:
    """Return what speaks with PostgreSQL, whose driver is an extra."""
    from hotelcore.sql.seam.exchange import exchange

    return exchange
