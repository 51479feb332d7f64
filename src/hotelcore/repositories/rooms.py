"""Rooms, their types, and the times when they are withdrawn."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

from hotelcore.domain.rooms import MaintenancePeriod, Room, RoomCondition, RoomType
from hotelcore.domain.stays import Stay
from hotelcore.ids import MaintenanceId, RoomId, RoomTypeId
from hotelcore.lists import Page, RoomFilter

__all__ = ["Maintenance", "RoomTypes", "Rooms"]


class RoomTypes(Protocol):
    """The hotel's room types: a few dozen at most, so they are not paged."""

    def add(self, room_type: RoomType) -> None:
        """Store a new room type; `AlreadyExists` names a taken code."""
        ...

    def get(self, room_type_id: RoomTypeId) -> RoomType:
        """Return one room type."""
        ...

    def all(self) -> tuple[RoomType, ...]:
        """Return all of them, ordered by code."""
        ...


class Rooms(Protocol):
    """The hotel's rooms."""

    def add_all(self, rooms: Sequence[Room]) -> None:
        """Store new rooms; `AlreadyExists` names a taken number."""
        ...

    def get(self, room_id: RoomId) -> Room:
        """Return one room."""
        ...

    def get_all(self, room_ids: Collection[RoomId]) -> Mapping[RoomId, Room]:
        """Return rooms by id; `NotFound` names the first unknown id."""
        ...

    def lock(self, room_ids: Collection[RoomId]) -> tuple[Room, ...]:
        """Lock rooms in id order and return them so; `NotFound` names the first unknown id."""
        ...

    def update(self, room: Room) -> Room:
        """Store the room; see `hotelcore.repositories` on versions."""
        ...

    def set_condition(self, room_ids: Collection[RoomId], condition: RoomCondition) -> None:
        """Set the condition of locked rooms at once, each with its next version."""
        ...

    def renumber(self, numbers: Mapping[RoomId, str]) -> None:
        """Give locked rooms other numbers at once, each with its next version.

        Rooms may swap their numbers. `AlreadyExists` names a number that another room has.
        """
        ...

    def free(self, room_type_id: RoomTypeId, stay: Stay) -> tuple[Room, ...]:
        """Return the type's rooms that are free on every night, ordered by number.

        For a day use: those that nobody is in and that are not blocked on that date.
        """
        ...

    def free_of_each(
        self, room_type_ids: Collection[RoomTypeId], stay: Stay
    ) -> Mapping[RoomTypeId, tuple[Room, ...]]:
        """Return what `free` does for each type, at once; an unknown type is there with none."""
        ...

    def is_occupied(self, room_id: RoomId) -> bool:
        """Tell whether a booking in house is in the room."""
        ...

    def occupied(self, room_ids: Collection[RoomId]) -> frozenset[RoomId]:
        """Return those of the rooms that a booking in house is in; an unknown one is in none."""
        ...

    def page(self, which: RoomFilter, *, after: str | None = None, limit: int = 50) -> Page[Room]:
        """Return rooms in order of number."""
        ...


class Maintenance(Protocol):
    """The dated withdrawals of rooms."""

    def add(self, period: MaintenancePeriod) -> None:
        """Store a new period; `AlreadyExists` names a taken id."""
        ...

    def get(self, maintenance_id: MaintenanceId) -> MaintenancePeriod:
        """Return one period."""
        ...

    def update(self, period: MaintenancePeriod) -> MaintenancePeriod:
        """Store the period; see `hotelcore.repositories` on versions."""
        ...

    def overlapping(self, stay: Stay) -> tuple[MaintenancePeriod, ...]:
        """Return the unreleased periods that cover a night of ``stay``, by room and begin."""
        ...
