"""Rooms by the night, so that each is taken once."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date
from typing import Protocol

from hotelcore.domain.rooms import RoomNight
from hotelcore.domain.stays import Stay
from hotelcore.ids import BookingId, MaintenanceId, RoomId

__all__ = ["RoomNights"]


class RoomNights(Protocol):
    """Which room is taken on which night, by whom: at most once each, the database sees to it."""

    def hold(
        self,
        room_id: RoomId,
        booking_id: BookingId,
        nights: Collection[date],
        *,
        at_once: bool = False,
    ) -> None:
        """Give the room's nights to a booking; `RoomTaken` names the nights that are not free.

        ``at_once`` has it raised here, also where writes go together, and the unit goes on.
        """
        ...

    def block(self, room_id: RoomId, maintenance_id: MaintenanceId, period: Stay) -> None:
        """Give the room's nights to maintenance; `RoomTaken` names the nights that are not free."""
        ...

    def release(self, booking_id: BookingId, *, from_night: date) -> None:
        """Free the nights of a booking from ``from_night`` on."""
        ...

    def unblock(self, maintenance_id: MaintenanceId, *, from_night: date) -> None:
        """Free the nights of a maintenance period from ``from_night`` on."""
        ...

    def chart(self, period: Stay) -> tuple[RoomNight, ...]:
        """Return every taken room-night of a period, by room and night: a tape chart."""
        ...
