"""Housekeeping tasks."""

from __future__ import annotations

from datetime import date
from typing import Protocol

from hotelcore.domain.housekeeping import HousekeepingTask, TaskKind
from hotelcore.ids import RoomId, TaskId
from hotelcore.lists import Page, TaskFilter

__all__ = ["Housekeeping"]


class Housekeeping(Protocol):
    """The hotel's housekeeping tasks."""

    def add(self, task: HousekeepingTask) -> None:
        """Store a new task; `AlreadyExists` on a booking's second departure task."""
        ...

    def get(self, task_id: TaskId) -> HousekeepingTask:
        """Return one task."""
        ...

    def lock(self, task_id: TaskId) -> HousekeepingTask:
        """Return one task, locked."""
        ...

    def lock_open(
        self, room_id: RoomId, kind: TaskKind, until: date
    ) -> tuple[HousekeepingTask, ...]:
        """Return the open tasks of a kind in a room that are due until a day, locked, by id."""
        ...

    def update(self, task: HousekeepingTask) -> HousekeepingTask:
        """Store the task; see `hotelcore.repositories` on versions."""
        ...

    def page(
        self, which: TaskFilter, *, after: str | None = None, limit: int = 50
    ) -> Page[HousekeepingTask]:
        """Return tasks in order of due date and priority."""
        ...
