"""What may stand in a unit's way: another's lock, a slow statement, a host that takes its time."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from threading import Event

import pytest
from sqlalchemy import Engine, text

from hotelcore import Permission
from hotelcore.errors import HotelcoreError
from hotelcore.operations import operation
from hotelcore.unit_of_work import UnitOfWork
from tests.small_hotel import SmallHotel

GRACE = 0.5
"""How many seconds after its limit a wait or a unit may at most end: what is promised."""

SHORT = timedelta(seconds=0.4)
LONG = timedelta(seconds=30)

PAST = 1.5 * SHORT.total_seconds()
"""Seconds by which the time limit `SHORT` is over."""


@contextmanager
def ends_at(limit: timedelta, error: type[HotelcoreError]) -> Generator[None]:
    """Assert that the body raises ``error`` when the limit is reached, or soon afterwards."""
    begun = time.monotonic()
    with pytest.raises(error) as raised:
        yield
    took = time.monotonic() - begun
    assert limit.total_seconds() - 0.1 <= took <= limit.total_seconds() + GRACE
    assert raised.value.__cause__ is None


def linger(seconds: float) -> None:
    """Do nothing for a while, as a host does that calls something slow inside a unit."""
    Event().wait(seconds)


def sessions_in_transaction(engine: Engine) -> list[str]:
    """Return the states of the database's other sessions that are in a transaction."""
    if engine.dialect.name == "sqlite":
        return []
    with engine.connect() as connection:
        states = text(
            "SELECT state FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
            # An idle session has none, but starts one for a moment to hear of changed tables.
            " AND backend_type = 'client backend' AND state <> 'idle'"
        )
        return list(connection.execute(states).scalars())


# -- locks --------------------------------------------------------------------------------------


@operation(Permission.HOTEL_MANAGE)
def keep_hotel_locked(uow: UnitOfWork) -> None:
    """Lock the hotel, so that every other command waits."""
    uow.hotels.lock()


@contextmanager
def locked_hotel(hotel: SmallHotel) -> Generator[None]:
    """Keep the hotel locked by another thread while the body runs."""
    locked, done = Event(), Event()

    def hold() -> None:
        with hotel.desk.within(time_limit=LONG).transaction() as uow:
            keep_hotel_locked(uow)
            locked.set()
            done.wait()

    with ThreadPoolExecutor(1) as thread:
        holding = thread.submit(hold)
        try:
            assert locked.wait(timeout=30)
            yield
        finally:
            done.set()
        holding.result()


_LOCK_THE_DATABASE = """
import sys
from sqlalchemy import create_engine, make_url
url = make_url(sys.argv[1])
with create_engine(url, isolation_level="AUTOCOMMIT").connect() as connection:
    if url.get_backend_name() == "sqlite":
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("BEGIN")
        connection.exec_driver_sql("LOCK TABLE hc_guest")
    print("locked", flush=True)
    sys.stdin.read()
    connection.exec_driver_sql("ROLLBACK")
"""


@contextmanager
def locked_by_a_process(engine: Engine) -> Generator[None]:
    """Keep other processes from writing guests while the body runs."""
    url = engine.url.render_as_string(hide_password=False)
    with subprocess.Popen(
        [sys.executable, "-c", _LOCK_THE_DATABASE, url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        yield
        process.stdin.close()
        assert process.wait() == 0


# -- slow statements ----------------------------------------------------------------------------

# Neither database comes to the end of this in minutes.
_COUNT_LONG = (
    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < 1000000000)"
    " SELECT count(*) AS counted FROM c"
)
_SLOW_READING = (
    f"CREATE VIEW slow AS {_COUNT_LONG}",
    "ALTER TABLE hc_business_day RENAME TO days",
    "CREATE VIEW hc_business_day AS SELECT days.* FROM slow LEFT JOIN days ON counted > 0",
)
_SLOW_WRITING = {
    "sqlite": (
        "CREATE TRIGGER slow BEFORE INSERT ON hc_guest BEGIN SELECT counted FROM slow; END",
    ),
    "postgresql": (
        """
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM counted FROM slow; RETURN NEW; END $$
        """,
        "CREATE TRIGGER slow BEFORE INSERT ON hc_guest FOR EACH ROW EXECUTE FUNCTION slow()",
    ),
}
_FAST_WRITING = {
    "sqlite": ("DROP TRIGGER slow",),
    "postgresql": ("DROP TRIGGER slow ON hc_guest", "DROP FUNCTION slow"),
}
_FAST_READING = (
    "DROP VIEW hc_business_day",
    "ALTER TABLE days RENAME TO hc_business_day",
    "DROP VIEW slow",
)


@contextmanager
def slow_database(engine: Engine) -> Generator[None]:
    """Have each new guest, and each reading of a business day, take for ever."""
    dialect = engine.dialect.name
    run_all(engine, (*_SLOW_READING, *_SLOW_WRITING[dialect]))
    try:
        yield
    finally:
        run_all(engine, (*_FAST_WRITING[dialect], *_FAST_READING))


def run_all(engine: Engine, statements: Iterable[str]) -> None:
    """Run some statements in one transaction."""
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
