"""What an adapter to a property management system promises, and the neutral records it speaks in.

An adapter fetches; it never writes to the database. What it fetched is one `PmsSnapshot`, which
`hotelcore.operations.sync_pms_data` takes over in one transaction.
"""

from __future__ import annotations

from hotelcore.pms.protocols import AsyncPmsAdapter, PmsAdapter, fetch, fetch_async
from hotelcore.pms.records import (
    PmsSnapshot,
    RemoteBooking,
    RemoteBookingStatus,
    RemoteGuest,
    RemoteRoom,
    RemoteRooms,
    RemoteRoomType,
)
from hotelcore.pms.registry import ENTRY_POINT_GROUP, adapter_of, known_vendors

__all__ = [
    "ENTRY_POINT_GROUP",
    "AsyncPmsAdapter",
    "PmsAdapter",
    "PmsSnapshot",
    "RemoteBooking",
    "RemoteBookingStatus",
    "RemoteGuest",
    "RemoteRoom",
    "RemoteRoomType",
    "RemoteRooms",
    "adapter_of",
    "fetch",
    "fetch_async",
    "known_vendors",
]
