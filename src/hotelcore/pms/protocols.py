"""What an adapter has to offer, with and without asyncio."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol, cast

from hotelcore.pms.records import PmsSnapshot, RemoteBooking, RemoteGuest, RemoteRooms

__all__ = ["AsyncPmsAdapter", "PmsAdapter", "fetch", "fetch_async"]


class PmsAdapter(Protocol):
    """A connection to one hotel in one vendor's system.

    Every method raises `hotelcore.errors.PmsFailure` when the vendor refuses, fails or answers
    what it must not; nothing else gets out, and no secret or guest data is in its text. Methods
    may be called again at any time and change nothing here.
    """

    def test_connection(self) -> None:
        """Return if the system can be reached and accepts us; raise otherwise."""
        ...

    def sync_rooms(self) -> RemoteRooms:
        """Return all room types and rooms."""
        ...

    def sync_guests(self, *, changed_since: datetime | None) -> Sequence[RemoteGuest]:
        """Return the guests that changed since an instant, all of them for None."""
        ...

    def sync_bookings(self, *, changed_since: datetime | None) -> Sequence[RemoteBooking]:
        """Return the bookings that changed since an instant, all of them for None.

        Every guest and room type that a booking names was given by this or an earlier run.
        """
        ...


class AsyncPmsAdapter(Protocol):
    """The same promises, kept with awaits; see `PmsAdapter`."""

    async def test_connection(self) -> None:
        """Return if the system can be reached and accepts us; raise otherwise."""
        ...

    async def sync_rooms(self) -> RemoteRooms:
        """Return all room types and rooms."""
        ...

    async def sync_guests(self, *, changed_since: datetime | None) -> Sequence[RemoteGuest]:
        """Return the guests that changed since an instant, all of them for None."""
        ...

    async def sync_bookings(self, *, changed_since: datetime | None) -> Sequence[RemoteBooking]:
        """Return the bookings that changed since an instant, all of them for None."""
        ...


def fetch(adapter: PmsAdapter, *, changed_since: datetime | None = None) -> PmsSnapshot:
    """Fetch a snapshot, outside any transaction; None fetches everything.

    Bookings come first: a guest that arrives there meanwhile is then known, not missing.
    """
    bookings = adapter.sync_bookings(changed_since=changed_since)
    guests = adapter.sync_guests(changed_since=changed_since)
    return _snapshot(adapter.sync_rooms(), guests, bookings)


async def fetch_async(
    adapter: AsyncPmsAdapter, *, changed_since: datetime | None = None
) -> PmsSnapshot:
    """Fetch a snapshot with awaits; see `fetch`."""
    bookings = await adapter.sync_bookings(changed_since=changed_since)
    guests = await adapter.sync_guests(changed_since=changed_since)
    return _snapshot(await adapter.sync_rooms(), guests, bookings)


def _snapshot(
    rooms: RemoteRooms, guests: Sequence[RemoteGuest], bookings: Sequence[RemoteBooking]
) -> PmsSnapshot:
    return PmsSnapshot(
        room_types=rooms.room_types,
        rooms=rooms.rooms,
        # They become tuples there, and what is none is refused by its name.
        guests=cast("tuple[RemoteGuest, ...]", guests),
        bookings=cast("tuple[RemoteBooking, ...]", bookings),
    )
