"""A property management system that plays a script: it holds records, and fails when told to."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from hotelcore.errors import PmsFailure
from hotelcore.pms.records import (
    RemoteBooking,
    RemoteGuest,
    RemoteRoom,
    RemoteRooms,
    RemoteRoomType,
)

__all__ = ["AsyncScriptedPms", "ScriptedPms"]

T = TypeVar("T")
Record = RemoteRoomType | RemoteRoom | RemoteGuest | RemoteBooking


class ScriptedPms:
    """A `hotelcore.pms.PmsAdapter` over records in memory.

    `put` and `drop` change what the system holds. `fail_next` has the next calls refused, one
    reason each. ``on_the_way`` is applied to every list that is fetched, so that a test can lose,
    repeat or reorder what a network would.
    """

    vendor = "scripted"

    def __init__(
        self, on_the_way: Callable[[list[Record]], Sequence[Record]] = lambda records: records
    ) -> None:
        self._records: dict[tuple[type[Record], str], Record] = {}
        self._failures: deque[str] = deque()
        self._on_the_way = on_the_way

    def put(self, *records: Record) -> None:
        """Hold ``records``, each in place of the one with its kind and external id."""
        for record in records:
            self._records[type(record), record.external_id] = record

    def drop(self, record: Record) -> None:
        """Hold ``record`` no longer."""
        del self._records[type(record), record.external_id]

    def fail_next(self, *reasons: str) -> None:
        """Refuse the next calls, each with one of ``reasons``."""
        self._failures.extend(reasons)

    def test_connection(self) -> None:
        """Succeed, unless a failure is due."""
        self._answer()

    def sync_rooms(self) -> RemoteRooms:
        """Return the room types and rooms that are held."""
        self._answer()
        return RemoteRooms(
            room_types=tuple(self._held(RemoteRoomType)), rooms=tuple(self._held(RemoteRoom))
        )

    def sync_guests(self, *, changed_since: datetime | None) -> Sequence[RemoteGuest]:
        """Return all guests that are held; a script keeps no times, so all may have changed."""
        del changed_since
        self._answer()
        return self._held(RemoteGuest)

    def sync_bookings(self, *, changed_since: datetime | None) -> Sequence[RemoteBooking]:
        """Return all bookings that are held; see `sync_guests`."""
        del changed_since
        self._answer()
        return self._held(RemoteBooking)

    def _answer(self) -> None:
        if self._failures:
            raise PmsFailure(self.vendor, self._failures.popleft())

    def _held(self, kind: type[T]) -> list[T]:
        held: list[Record] = [r for r in self._records.values() if isinstance(r, kind)]
        return [record for record in self._on_the_way(held) if isinstance(record, kind)]


class AsyncScriptedPms:
    """A `hotelcore.pms.AsyncPmsAdapter` that plays the script of a `ScriptedPms`."""

    def __init__(self, script: ScriptedPms) -> None:
        self._script = script

    async def test_connection(self) -> None:
        """Succeed, unless a failure is due."""
        self._script.test_connection()

    async def sync_rooms(self) -> RemoteRooms:
        """Return the room types and rooms that are held."""
        return self._script.sync_rooms()

    async def sync_guests(self, *, changed_since: datetime | None) -> Sequence[RemoteGuest]:
        """Return all guests that are held."""
        return self._script.sync_guests(changed_since=changed_since)

    async def sync_bookings(self, *, changed_since: datetime | None) -> Sequence[RemoteBooking]:
        """Return all bookings that are held."""
        return self._script.sync_bookings(changed_since=changed_since)
