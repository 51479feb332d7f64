"""Prepares an engine for asyncio; the drivers come with the ``async`` extra."""

from __future__ import annotations

from asyncio import ensure_future
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import URL
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry
from sqlalchemy.util.concurrency import in_greenlet

from hotelcore.errors import InvalidInput, MissingExtra
from hotelcore.sql.seam.engine import for_driver, parsed_url, places_for

try:
    from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
except ImportError:
    raise MissingExtra("AsyncHotelCore", "async") from None

__all__ = ["async_engine"]


def async_engine(database: str | URL | AsyncEngine) -> AsyncEngine:
    """Return the host's engine, or make one for a URL with the drivers for asyncio."""
    if isinstance(database, Engine):
        raise InvalidInput("database", "is an engine without asyncio: use HotelCore")
    engine = database if isinstance(database, AsyncEngine) else _new_engine(database)
    if engine.driver == "aiosqlite" and not event.contains(
        engine.sync_engine, "invalidate", _roll_back_first
    ):
        event.listen(engine.sync_engine, "invalidate", _roll_back_first)
    return engine


def _new_engine(database: str | URL) -> AsyncEngine:
    url = parsed_url(database)
    if url.get_backend_name() == "sqlite":
        url = url.set(drivername="sqlite+aiosqlite")
    url, connecting = for_driver(url)
    try:
        return create_async_engine(
            url,
            connect_args=connecting,
            pool_size=places_for(url),
            max_overflow=0,
            poolclass=AsyncAdaptedQueuePool,
            hide_parameters=True,
        )
    except (ModuleNotFoundError, ImportError, InvalidRequestError):
        raise MissingExtra("AsyncHotelCore", "async") from None


# `Any`: SQLAlchemy's own connection for this driver.
def _roll_back_first(connection: Any, _: ConnectionPoolEntry, __: BaseException | None) -> None:
    """Roll back on a connection of aiosqlite that is thrown away, as a cancelled task's is.

    It is closed next, which is not enough: SQLite keeps it, with its lock on the file, while there
    is a statement that nobody has finished (https://sqlite.org/c3ref/close.html). aiosqlite works
    in a thread of its own, one thing after the other, so nobody has to wait for it here.
    """
    if in_greenlet():
        rolled_back = ensure_future(connection.driver_connection.rollback())
        # Where there is nothing to roll back any more, that is all that was wanted.
        rolled_back.add_done_callback(lambda done: done.cancelled() or done.exception())
