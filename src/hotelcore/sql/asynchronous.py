"""Prepares an engine for asyncio; the drivers come with the ``async`` extra."""

from __future__ import annotations

from sqlalchemy.engine import URL
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.pool import AsyncAdaptedQueuePool

from hotelcore.errors import MissingExtra
from hotelcore.sql.engine import parsed_url, places_for

try:
    from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
except ImportError:
    raise MissingExtra("AsyncHotelCore", "async") from None

__all__ = ["new_async_engine"]


def new_async_engine(database: str | URL) -> AsyncEngine:
    """Make an engine for a URL; plain SQLite and PostgreSQL URLs get their async drivers."""
    url = parsed_url(database)
    if url.drivername == "sqlite":
        url = url.set(drivername="sqlite+aiosqlite")
    try:
        return create_async_engine(
            url, pool_size=places_for(url), max_overflow=0, poolclass=AsyncAdaptedQueuePool
        )
    except (ModuleNotFoundError, ImportError, InvalidRequestError):
        raise MissingExtra("AsyncHotelCore", "async") from None
