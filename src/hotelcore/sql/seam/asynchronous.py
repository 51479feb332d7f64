"""Prepares an engine for asyncio; the drivers come with the ``async`` extra."""

from __future__ import annotations

from sqlalchemy import Engine
from sqlalchemy.engine import URL
from sqlalchemy.exc import InvalidRequestError
from sqlalchemy.pool import AsyncAdaptedQueuePool

from hotelcore.errors import InvalidInput, MissingExtra
from hotelcore.sql.seam.engine import for_driver, parsed_url, places_for

try:
    from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
except ImportError:
    raise MissingExtra("AsyncHotelCore", "async") from None

__all__ = ["async_engine"]


def async_engine(database: str | URL | AsyncEngine) -> AsyncEngine:
    """Return the host's engine, or make one for a URL with the drivers for asyncio."""
    if isinstance(database, AsyncEngine):
        return database
    if isinstance(database, Engine):
        raise InvalidInput("database", "is an engine without asyncio: use HotelCore")
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
