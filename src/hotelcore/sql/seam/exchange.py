"""One exchange with PostgreSQL: what it is told and what it is asked go out together.

A cursor of psycopg sends one statement and waits for its answer, so a transaction's limits, or the
rows of a bill, cost a round trip each. libpq's pipeline mode takes them all at once, and is spoken
here through the parts of psycopg that its cursors are made of: its adapters, its generators for
both kinds of connection, and its wrapper around libpq. What is begun before an exchange is a part
of it: the server is at it already while we make ready what comes next.

Outside a transaction an exchange is one by itself: what was set locally holds for all of it and is
gone after it (https://www.postgresql.org/docs/current/protocol-flow.html, "Pipelining").
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Generator, Sequence
from itertools import count
from threading import Lock
from typing import Any, TypeAlias
from uuid import uuid4

from attrs import define, field
from psycopg import generators
from psycopg.adapt import AdaptersMap, PyFormat, Transformer
from psycopg.errors import (
    FeatureNotSupported,
    InvalidSqlStatementName,
    NotSupportedError,
    OperationalError,
    error_from_result,
)
from psycopg.pq import ExecStatus, Format, TransactionStatus
from sqlalchemy import Connection
from sqlalchemy.util.concurrency import await_only

from hotelcore.sql.seam.messages import BEGUN, Message, note_place

__all__ = ["Answer", "begin", "exchange", "exchanging"]

# Under which name a connection remembers how to speak with its server.
_MANNERS = "hotelcore_manners"
# A statement beyond these is sent whole each time: who builds texts anew must not fill a server.
_MOST_PREPARED = 300
# A plan that serves any list looks through a long one again for each row; one that is made for this
# list hashes it. PostgreSQL makes such a plan for what is not prepared, every time.
_LONG = 30
# psycopg's number for the format of results that costs less to read:
# https://www.psycopg.org/psycopg3/docs/basic/params.html#binary-parameters-and-results
_BINARY, _TEXT = Format.BINARY, Format.TEXT
_NO_FIELDS = b"\x01{}"  # what stands for an empty object: the version of the format, and its text
_COPIES = (ExecStatus.COPY_IN, ExecStatus.COPY_OUT, ExecStatus.COPY_BOTH)
_TOKEN = uuid4().hex[:8]
_numbers = count(1)
_Key: TypeAlias = tuple[str, tuple[int, ...]]
"""A statement's text, and the types of its parameters."""
_Known: TypeAlias = dict[_Key, bytes]
"""The names of what a server has prepared."""
_Ready: TypeAlias = tuple[str, Sequence[Any], tuple[int, ...], Sequence[Format], bool]
"""A message as libpq takes it: text, values, their types and formats, and if to prepare it."""

# `Any` here stands for what psycopg has: it is an extra that may be absent.


@define(eq=False)
class Answer:
    """What one statement gave; rows are read from it as from a cursor."""

    _result: Any
    _adapting: _Adapting
    _kept: list[Any] | None = field(init=False, default=None)

    @property
    def rowcount(self) -> int:
        """How many rows the statement changed or found."""
        return self._result.command_tuples or 0

    @property
    def description(self) -> list[tuple[str, int]]:
        """The name and the type of each column, the latter as the number that PostgreSQL has."""
        result = self._result
        return [
            (result.fname(column).decode(), result.ftype(column))
            for column in range(result.nfields)
        ]

    def fetchall(self) -> list[Any]:
        """Return all rows."""
        return self._rows(self._result.ntuples)

    def fetchmany(self, most: int) -> list[Any]:
        """Return the first rows, and no more than these."""
        return self._rows(min(most, self._result.ntuples))

    def fetchone(self) -> Any:
        """Return the first row, if there is one."""
        return self._rows(1)[0] if self._result.ntuples else None

    def keep(self) -> None:
        """Read all rows now: a value that Python cannot hold is an error of the exchange."""
        self._kept = self.fetchall()

    def _rows(self, number: int) -> list[Any]:
        if self._kept is not None:
            return self._kept[:number]
        return self._adapting.rows(self._result, number)


class _Adapting:
    """Turns parameters into what libpq takes, and results into rows, as ``context`` has it.

    What it has looked up of a type it knows from then on, so one serves a whole connection.
    """

    def __init__(self, context: Any) -> None:
        self._transformer: Any = Transformer(context)
        # Threads may share a unit, and each step of it has two parts.
        self._lock = Lock()

    def ready(self, message: Message) -> _Ready:
        """Return a message as libpq takes it."""
        text, parameters = message
        with self._lock:
            values = self._transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
            types, formats = self._transformer.types, self._transformer.formats
        return text, values, types, formats, not _has_long_list(parameters)

    def rows(self, result: Any, number: int) -> list[Any]:
        """Return the first rows of a result."""
        with self._lock:
            self._transformer.set_pgresult(result)
            rows: list[Any] = self._transformer.load_rows(0, number, tuple)
            self._transformer.set_pgresult(None)  # else they would be kept until the next
        return rows


def _has_long_list(parameters: Sequence[Any]) -> bool:
    # Most have no list at all, which is seen at once.
    if list not in map(type, parameters):
        return False
    return any(type(value) is list and len(value) > _LONG for value in parameters)


@define(eq=False)
class _Pipeline:
    """Puts messages into a connection's pipeline and collects their results.

    ``known`` are the names of what the server has prepared; None lets it prepare nothing.
    """

    driver: Any
    known: _Known | None
    # Of each result that is to come: whether it says that something was prepared, and what.
    _coming: list[tuple[_Key, bytes] | None] = field(init=False, factory=list)
    # Which results come of something that was prepared earlier.
    _reused: dict[int, _Key] = field(init=False, factory=dict)
    # What is prepared here, so that it is not prepared twice.
    _new: dict[_Key, bytes] = field(init=False, factory=dict)
    # How many parts have not been answered to their end.
    unanswered: int = field(init=False, default=0)

    def put(self, messages: Sequence[_Ready], results_in: Format) -> None:
        """Put messages into the pipeline, as one part of the exchange."""
        if not self.driver.pgconn.pipeline_status:
            self.driver.pgconn.enter_pipeline_mode()
        for message in messages:
            self._put(message, results_in)
        # Only between two parts the server minds for how long we are idle.
        self.driver.pgconn.pipeline_sync()
        self.unanswered += 1

    def _put(self, message: _Ready, results_in: Format) -> None:
        """Put one message, prepared if it can be."""
        text, values, types, formats, prepared = message
        pgconn = self.driver.pgconn
        name = self._name((text, types)) if prepared else None
        if name is None:
            encoded = text.encode(self.driver.info.encoding)
            pgconn.send_query_params(encoded, values, types, formats, results_in)
        else:
            pgconn.send_query_prepared(name, values, formats, results_in)
        self._coming.append(None)

    def _name(self, key: _Key) -> bytes | None:
        known, coming = self.known, self._coming
        if known is None:
            return None
        name = known.get(key)
        if name is not None:
            self._reused[len(coming)] = key
            return name
        name = self._new.get(key)
        if name is not None:
            return name
        if len(known) + len(self._new) >= _MOST_PREPARED:
            return None
        # No other process has it: behind a pooler it may be another's session that is asked.
        name = f"hotelcore_{_TOKEN}_{os.getpid()}_{next(_numbers)}".encode()
        text, types = key
        self.driver.pgconn.send_prepare(name, text.encode(self.driver.info.encoding), types)
        coming.append((key, name))
        self._new[key] = name
        return name

    def answered(self, results: Sequence[Any]) -> list[Any]:
        """Return the results of the messages, or raise the error of the one that failed."""
        answers = list[Any]()
        for number, (result, prepared) in enumerate(zip(results, self._coming, strict=True)):
            if result.status == ExecStatus.FATAL_ERROR:
                error = self._stale(number, error_from_result(result, self.driver.info.encoding))
                note_place(error, len(answers))
                raise error
            if prepared is None:
                answers.append(result)
            elif self.known is not None:
                key, name = prepared
                self.known[key] = name
        return answers

    def _stale(self, number: int, error: Exception) -> Exception:
        """Return the error of a message, and forget what the server no longer executes."""
        if self.known is not None and isinstance(error, InvalidSqlStatementName):
            self.known.clear()
        elif isinstance(error, FeatureNotSupported) and number in self._reused:
            # A migration changed a column's type: "cached plan must not change result type".
            if self.known is not None:
                self.known.pop(self._reused[number], None)
            return InvalidSqlStatementName("prepared before the tables were changed")
        return error


def is_sendable(connection: Connection, message: Message) -> bool:
    """Tell whether psycopg can convert a message's parameters."""
    driver: Any = connection.connection.driver_connection
    manners = _Manners.of(connection, driver)
    try:
        (manners.adapting or _Adapting(driver)).ready(message)
    except Exception:  # noqa: BLE001  # a converter may raise any
        return False
    return True


def exchange(
    connection: Connection, messages: Sequence[Message], *, binary: bool = True
) -> list[Answer]:
    """Send statements together and return their answers in their order, those begun before first.

    Not ``binary`` asks for values as texts, which every type has. Raises psycopg's error for the
    first that fails; those after it were not executed.
    """
    driver: Any = connection.connection.driver_connection
    if connection.in_transaction() and not driver.autocommit:
        _begin_if_idle(connection, messages)
    manners = _Manners.of(connection, driver)
    # What reads texts has to ask the connection how the session writes instants.
    adapting = (manners.adapting if binary else None) or _Adapting(driver)
    ready = [adapting.ready(message) for message in messages]
    is_async, results_in = connection.dialect.is_async, _BINARY if binary else _TEXT

    def exchanged() -> Any:
        pipeline = connection.info.pop(BEGUN, None) or _Pipeline(driver, manners.known)
        waiting = driver.wait(exchanging(pipeline, ready, results_in))
        return await_only(_heeding(waiting)) if is_async else waiting

    # Nobody else may speak meanwhile: a second exchange would take this one's results.
    if is_async:
        await_only(driver.lock.acquire())
        try:
            results = _repeated_if_forgotten(driver, exchanged)
        finally:
            driver.lock.release()
    else:
        # By `with` alone no signal comes between having the lock and giving it back.
        with driver.lock:
            results = _repeated_if_forgotten(driver, exchanged)
    return [Answer(result, adapting) for result in results]


def begin(connection: Connection, messages: Sequence[Message]) -> None:
    """Send statements whose answers the next exchange gives; the server works on them meanwhile.

    For a connection of psycopg's that is not of asyncio's, and in a transaction already: what
    comes after a BEGIN that failed would be done outside of any. Until that exchange nothing else
    may be done there. What fails fails the exchange.
    """
    driver: Any = connection.connection.driver_connection
    manners = _Manners.of(connection, driver)
    adapting = manners.adapting or _Adapting(driver)
    ready = [adapting.ready(message) for message in messages]
    with driver.lock:
        pipeline = connection.info.setdefault(BEGUN, _Pipeline(driver, manners.known))
        try:
            pipeline.put(ready, _BINARY)  # what the line does not take yet goes with what follows
        except BaseException:
            connection.info.pop(BEGUN)
            driver.pgconn.finish()
            raise


def _repeated_if_forgotten(driver: Any, exchanged: Callable[[], Any]) -> Any:
    """Exchange once more if the server has forgotten what it had prepared, and nothing is lost.

    What fails without a transaction before and after it has had no effect.
    """
    is_open = not _is_idle(driver)
    try:
        return exchanged()
    except InvalidSqlStatementName:
        if is_open or not _is_idle(driver):
            raise
        return exchanged()
    finally:
        _leave_whole(driver)


async def _heeding(waiting: Awaitable[Any]) -> Any:
    """Await an answer, and heed that the task was cancelled meanwhile.

    Python 3.11 forgets it in `asyncio.wait_for`, by which psycopg before 3.3.9 waits, if the answer
    comes at the same moment: https://github.com/python/cpython/issues/86296
    """
    task = asyncio.current_task()
    cancelled = task.cancelling() if task else 0
    results = await waiting
    if task and task.cancelling() > cancelled:
        raise asyncio.CancelledError
    return results


def _is_idle(driver: Any) -> bool:
    idle: bool = driver.pgconn.transaction_status == TransactionStatus.IDLE
    return idle


def _leave_whole(driver: Any) -> None:
    """Close a connection that is left in the midst of an exchange: it is of no use."""
    if driver.pgconn.pipeline_status:
        driver.pgconn.finish()


@define(eq=False)
class _Manners:
    """How to speak with one connection's server.

    ``known`` are the names of what the server has prepared, None if it should prepare nothing.
    ``adapting`` serves all exchanges; None if each has to ask the connection how it is encoded.
    """

    known: _Known | None
    adapting: _Adapting | None

    @classmethod
    def of(cls, connection: Connection, driver: Any) -> _Manners:
        """Return those of a connection, which lasts as long as it is connected."""
        manners: _Manners | None = connection.info.get(_MANNERS)
        if manners is None:
            known = None if driver.prepare_threshold is None else _followed(driver)
            manners = connection.info[_MANNERS] = cls(known, _lasting(driver))
        return manners


def _followed(driver: Any) -> _Known:
    """Return the names of what is prepared, which psycopg empties too.

    After a rollback it may have the server forget all, not only what it knows of itself.
    """
    known: _Known = {}
    deallocate = driver._deallocate

    def followed(name: bytes | None) -> Any:
        if name is None:
            known.clear()
        return deallocate(name)

    driver._deallocate = followed
    return known


def _lasting(driver: Any) -> _Adapting | None:
    """Return what converts values as the connection itself does, but with less work.

    Without a connection psycopg gives instants in UTC, in a third of the time that another time
    zone takes; and texts in UTF-8, so a connection of another encoding has none.
    """
    if driver.info.encoding != "utf-8":
        return None
    adapters = AdaptersMap(driver.adapters)
    loader: Any = adapters.get_loader(adapters.types["jsonb"].oid, Format.BINARY)

    class Jsonb(loader):  # type: ignore[misc]  # whichever class the host has registered
        """Spares the parser the object that most columns have: an empty one."""

        def load(self, data: Any) -> Any:
            return {} if data == _NO_FIELDS else super().load(data)

    adapters.register_loader("jsonb", Jsonb)
    return _Adapting(adapters)


def _begin_if_idle(connection: Connection, messages: Sequence[Message]) -> None:
    """Begin the transaction that a host opened with SQLAlchemy, which tells psycopg nothing of it.

    psycopg begins one with the first statement of a cursor, in the mode that it was told.
    """
    pooled = connection.connection
    driver: Any = pooled.driver_connection
    idle = driver.pgconn.transaction_status == TransactionStatus.IDLE
    if idle and not messages[0][0].startswith("BEGIN"):
        cursor = pooled.cursor()
        cursor.execute(";")
        cursor.close()


def exchanging(
    pipeline: _Pipeline, ready: Sequence[_Ready], results_in: Format
) -> Generator[Any, Any, list[Any]]:
    """Send and receive, as psycopg's connections of both kinds wait for it."""
    pgconn = pipeline.driver.pgconn
    pipeline.put(ready, results_in)
    yield from generators.send(pgconn)
    results: list[Any] = []
    while pipeline.unanswered:
        found = yield from generators.fetch_many(pgconn)
        if not found:
            raise OperationalError("the connection is lost")
        status = found[-1].status
        if status == ExecStatus.PIPELINE_SYNC:
            pipeline.unanswered -= 1
            continue
        if status in _COPIES:
            raise NotSupportedError("COPY cannot be used here")  # its results would never end
        results += found
    pgconn.exit_pipeline_mode()
    return pipeline.answered(results)
