"""Prepares an engine: what SQLite and PostgreSQL need so that a unit of work keeps its word.

SQLAlchemy's default SQLite mode begins transactions late and loses concurrent updates in silence.
A prepared engine begins writing units with ``BEGIN IMMEDIATE``, so writers queue up; keeps a
write-ahead log, so readers never wait; checks foreign keys; syncs fully, so a commit survives
a power cut; and overwrites what is deleted, so an erased guest is gone from the file too.
"""

from __future__ import annotations

import sqlite3
import threading
from collections import deque
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from hotelcore.errors import InvalidInput, MissingExtra, WaitTimeout
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.driver import no_rows, send
from hotelcore.sql.seam.joining import watch_commits
from hotelcore.sql.seam.limits import Deadline
from hotelcore.watching import Database, PoolUse

__all__ = [
    "DEADLINE",
    "NAMES",
    "READING",
    "Gate",
    "for_driver",
    "new_engine",
    "parsed_url",
    "place_of",
    "places_for",
    "pool_use",
    "prepare",
    "put_names",
]

READING = "hotelcore_reading"
"""The execution option of a connection that only reads: no transaction is begun for it."""

NAMES = "hotelcore_names"
"""The execution option that carries the host's `TableNames` with each statement."""

DEADLINE = "hotelcore_deadline"
"""Where a SQLite connection keeps the deadline that its progress handler looks at."""

_DRIVERS = {
    "sqlite": ("sqlite", "sqlite+pysqlite", "sqlite+aiosqlite"),
    "postgresql": ("postgresql", "postgresql+psycopg"),
}
_PREPARED = "hotelcore_prepared"
_POOL_SIZE = 15
# How long a PostgreSQL server may take to answer at all, where the URL says nothing else. A new
# connection is the whole pool's, so no single unit's wait limit can be asked.
_CONNECT_SECONDS = 5
# How many virtual machine steps SQLite takes between two looks at the clock: about a millisecond.
_STEPS = 10_000
_PRAGMAS = (
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    # What is deleted or overwritten would else stay in the file until the place is used again.
    "PRAGMA secure_delete = ON",
)
# How often a connection joins the queue to switch the journal of a file that is just being made.
_TRIES = 100


class Gate:
    """Lets as many units in as the pool has connections, each waiting no longer than its limit.

    A pool's own timeout is one for all; a unit's wait limit is its own. Who leaves hands the place
    to whoever has waited longest: were it only laid down, a thread that goes from one unit straight
    to the next would take it again and again before a waiting one is awake.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    @classmethod
    def of(cls, engine: Engine) -> Gate:
        """Make the gate of an engine that `new_engine` made."""
        return cls(places_for(engine.url))

    @property
    def waiting(self) -> int:
        """How many units wait for a place."""
        return len(self._waiting)

    def enter(self, deadline: Deadline) -> None:
        """Take a place, which is to be left again; `WaitTimeout` if none comes free in time."""
        with self._lock:
            if self._free:  # nobody waits then
                self._free -= 1
                return
            turn = threading.Event()
            self._waiting.append(turn)
        wait = min(deadline.limits.wait_limit.total_seconds(), max(deadline.left, 0))
        if not self._came(turn, wait):
            raise WaitTimeout(wait)

    def _came(self, turn: threading.Event, wait: float) -> bool:
        """Wait for a turn, and tell whether it came in time."""
        try:
            return turn.wait(wait) or not self._given_up(turn)
        except BaseException:  # the program is being stopped
            if not self._given_up(turn):
                self.leave()
            raise

    def _given_up(self, turn: threading.Event) -> bool:
        """Wait no longer; False if the place came at the last moment."""
        with self._lock:
            if turn.is_set():
                return False
            self._waiting.remove(turn)
            return True

    def leave(self) -> None:
        """Hand the place to whoever waited longest, or lay it down."""
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


def parsed_url(database: str | URL) -> URL:
    """Return the URL, refusing what is none or names a database that is not supported."""
    try:
        url = make_url(database)
    except (ArgumentError, ValueError):  # the latter for a port that is no number
        raise InvalidInput("database", "must be a URL like sqlite:///hotel.db") from None
    backend = url.get_backend_name()
    if backend == "postgres":
        raise InvalidInput("database", "is written postgresql://")
    if backend not in _DRIVERS:
        raise InvalidInput("database", "must be SQLite or PostgreSQL")
    if url.drivername not in _DRIVERS[backend]:
        raise InvalidInput("database", f"must name no other driver: write {backend}://")
    if backend == "sqlite":
        return url
    patience = {"connect_timeout": str(_CONNECT_SECONDS)}
    return url.set(drivername="postgresql+psycopg", query={**patience, **url.query})


def new_engine(database: str | URL) -> Engine:
    """Make a prepared engine for a URL.

    An in-memory SQLite database lives in one connection, so units take turns on it.
    """
    url = parsed_url(database)
    if url.drivername == "sqlite+aiosqlite":
        raise InvalidInput("database", "names the asyncio driver: use AsyncHotelCore")
    url, connecting = for_driver(url)
    arguments: dict[str, Any] = {  # create_engine's keywords differ by dialect
        "connect_args": connecting,
        "pool_size": places_for(url),
        "max_overflow": 0,
        "poolclass": QueuePool,
        "hide_parameters": True,  # SQLAlchemy's own errors show no values, wherever they end up
    }
    if url.get_backend_name() == "sqlite":
        connecting["check_same_thread"] = False
    try:
        engine = create_engine(url, **arguments)
    except ModuleNotFoundError:
        raise MissingExtra("PostgreSQL", "postgres") from None
    prepare(engine)
    return engine


def for_driver(url: URL) -> tuple[URL, dict[str, Any]]:
    """Take out of a URL what the driver wants in a type that no URL has.

    ``prepare_threshold=none`` keeps psycopg from preparing statements on the server, which a pooler
    between transactions would send to another session.
    """
    threshold = url.query.get("prepare_threshold")
    if threshold is None:
        return url, {}
    if threshold != "none":
        raise InvalidInput("database", "may only say prepare_threshold=none, or not mention it")
    return url.difference_update_query(["prepare_threshold"]), {"prepare_threshold": None}


def places_for(url: URL) -> int:
    """Return how many connections an engine of ours may have open at once."""
    in_memory = url.get_backend_name() == "sqlite" and url.database in (None, "", ":memory:")
    return 1 if in_memory else _POOL_SIZE


def place_of(engine: Engine) -> Database:
    """Return where an engine's statements go, for whoever watches; never the path of a file."""
    url, system = engine.url, engine.dialect.name
    if system == "sqlite":
        return Database(system=system)
    # A socket's directory stands behind the question mark, where a URL has no place for it.
    host = url.host or url.query.get("host")
    alone = host if isinstance(host, str) else None  # of several servers nobody knows which
    return Database(system=system, host=alone, port=url.port, name=url.database)


def pool_use(engine: Engine, waiting: int | None) -> PoolUse | None:
    """Return how the connections of an engine are used; None for a pool that does not count."""
    pool = engine.pool
    if not isinstance(pool, QueuePool):
        return None
    beyond = pool._max_overflow  # -1 is without bound
    most = None if beyond < 0 else pool.size() + beyond
    return PoolUse(in_use=pool.checkedout(), idle=pool.checkedin(), waiting=waiting, most=most)


def prepare(engine: Engine) -> None:
    """Hook what the library needs into an engine, once; a host's own engine is welcome."""
    watch_commits(engine)
    if engine.dialect.name == "sqlite" and not event.contains(engine, "begin", _begin_sqlite):
        # At each checkout, since a host's pool may hold connections that it opened before.
        event.listen(engine, "checkout", _prepare_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
    if engine.dialect.driver == "psycopg" and not event.contains(engine, "connect", _refuse_bytes):
        # Before SQLAlchemy asks the first connection for the version, and takes it for a text.
        event.listen(engine, "connect", _refuse_bytes, insert=True)


def _refuse_bytes(connection: Any, entry: ConnectionPoolEntry) -> None:
    # `Any`: psycopg's connection, or the one by which SQLAlchemy adapts that of asyncio.
    driver: Any = entry.driver_connection  # as above
    if driver.info.encoding == "ascii":  # so psycopg names it, and gives bytes in place of texts
        connection.close()
        reason = "gives its texts in no encoding (SQL_ASCII): make one in UTF-8, and ask for that"
        raise InvalidInput("database", reason)


def put_names(engine: Engine) -> None:
    """Hook into an engine, once, what gives statements under the option `NAMES` their names."""
    if not event.contains(engine, "before_cursor_execute", _named_as_the_host_wants):
        event.listen(engine, "before_cursor_execute", _named_as_the_host_wants, retval=True)


def _named_as_the_host_wants(
    connection: Connection,
    cursor: object,
    statement: str,
    parameters: object,
    context: Any,  # SQLAlchemy's execution context, or None for raw driver SQL
    executemany: bool,
) -> tuple[str, object]:
    names = context.execution_options.get(NAMES) if context is not None else None
    if isinstance(names, TableNames):
        statement = names.in_statement(statement)
    return statement, parameters


def _prepare_sqlite(connection: Any, entry: ConnectionPoolEntry, _: object) -> None:
    # `Any`: sqlite3's connection, or the one by which SQLAlchemy adapts aiosqlite.
    if entry.info.setdefault(_PREPARED, False):
        return
    connection.isolation_level = None
    cursor = connection.cursor()
    _switch_to_log(cursor)
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()

    def overdue() -> bool:
        deadline = entry.info.get(DEADLINE)
        return isinstance(deadline, Deadline) and deadline.left <= 0

    if hasattr(connection, "run_async"):
        connection.run_async(lambda driver: driver.set_progress_handler(overdue, _STEPS))
    else:
        connection.set_progress_handler(overdue, _STEPS)
    entry.info[_PREPARED] = True


def _switch_to_log(cursor: Any) -> None:  # Any: as in `_prepare_sqlite`
    """Let the file keep a write-ahead log, however many open it at the same moment.

    SQLite does not wait for this switch, it fails at once while others are at the file. To begin a
    transaction it does wait, so between two tries we stand in that queue.
    """
    for left in reversed(range(_TRIES)):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or not left:
                raise
        else:
            return
        cursor.execute("BEGIN IMMEDIATE")
        cursor.execute("ROLLBACK")


def _begin_sqlite(connection: Connection) -> None:
    if connection.get_execution_options().get(READING):
        return
    deadline = connection.info.get(DEADLINE)
    if isinstance(deadline, Deadline):
        wait = min(deadline.limits.wait_limit.total_seconds(), max(deadline.left, 0))
        send(connection, f"PRAGMA busy_timeout = {int(wait * 1000)}", [()], no_rows)
    send(connection, "BEGIN IMMEDIATE", [()], no_rows)
