"""What a host constructs: `HotelCore`, or `AsyncHotelCore` for asyncio, and their handles.

Both are thin shells over the same units of work: they find a connection, run the unit, run it
again when the database asks for that, and tell the listeners what was committed.
"""

from __future__ import annotations

from hotelcore.core._asynchronous import AsyncDesk, AsyncHotelCore, AsyncUnit
from hotelcore.core._synchronous import Desk, HotelCore

__all__ = ["AsyncDesk", "AsyncHotelCore", "AsyncUnit", "Desk", "HotelCore"]

# Where they are public is here, in a traceback and in the documentation too.
for _public in (AsyncDesk, AsyncHotelCore, AsyncUnit, Desk, HotelCore):
    _public.__module__ = __name__
