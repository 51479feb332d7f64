"""What a host constructs: `HotelCore`, or `AsyncHotelCore` for asyncio, and their handles.

Both are thin shells over the same units of work: they find a connection, run the unit, run it
again when the database asks for that, and tell the listeners what was committed.
"""

from __future__ import annotations

from hotelcore.core.asynchronous import AsyncDesk, AsyncHotelCore, AsyncUnit
from hotelcore.core.synchronous import Desk, HotelCore

__all__ = ["AsyncDesk", "AsyncHotelCore", "AsyncUnit", "Desk", "HotelCore"]
