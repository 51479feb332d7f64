"""The counters by which room types are sold."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Protocol

from hotelcore.domain.availability import RoomAvailability
from hotelcore.domain.stays import Stay
from hotelcore.ids import RoomTypeId

__all__ = ["Inventory"]


class Inventory(Protocol):
    """The counters of each room type and night, moved in night order so that nobody deadlocks."""

    def add_rooms(self, room_type_id: RoomTypeId, number: int) -> None:
        """Count ``number`` more rooms on every night, past and future ones too.

        A counter equals at any time what the rooms of today say, on a past night as on any other.
        """
        ...

    def lock(self, room_type_id: RoomTypeId, nights: Collection[date]) -> None:
        """Lock the counters of the nights before several of the calls below move some of them."""
        ...

    def sell(
        self, room_type_id: RoomTypeId, nights: Collection[date], *, held: bool, force: bool = False
    ) -> None:
        """Take one unit on every night, as held or committed; k units where a night comes k times.

        Raises `SoldOut` with the full nights, and takes none, unless every night has
        ``available + overbooking_limit >= k``. ``force`` raises the limit where that is needed.
        """
        ...

    def release(
        self,
        room_type_id: RoomTypeId,
        nights: Collection[date],
        *,
        held: bool,
        locked: bool = False,
    ) -> None:
        """Give one unit back on every night; k units where a night comes k times.

        ``locked`` says that the caller has locked the nights with `lock`.
        """
        ...

    def commit_held(self, room_type_id: RoomTypeId, nights: Collection[date]) -> None:
        """Turn one held unit into a committed one on every night; k where a night comes k times."""
        ...

    def block(
        self, room_type_id: RoomTypeId, nights: Collection[date], *, off_count: bool, force: bool
    ) -> None:
        """Take one room off sale on every night (``off_count``: off the room count too).

        Raises `SoldOut` where the room is needed for what is sold, unless ``force``.
        """
        ...

    def unblock(
        self, room_type_id: RoomTypeId, nights: Collection[date], *, off_count: bool
    ) -> None:
        """Put one room back on sale on every night."""
        ...

    def nights(
        self, stay: Stay, room_type_id: RoomTypeId | None = None
    ) -> tuple[RoomAvailability, ...]:
        """Return the counters of one type, or all, for each night, by type code and night.

        A night that was never sold has no stored row; it is answered from the room count.
        """
        ...
