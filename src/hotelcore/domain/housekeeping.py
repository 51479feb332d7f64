"""Housekeeping tasks, and what completing one does to a room's condition."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from attrs import frozen

from hotelcore.domain import fields
from hotelcore.domain.rooms import RoomCondition
from hotelcore.errors import ActionRefused
from hotelcore.ids import BookingId, HotelId, RoomId, TaskId

__all__ = ["HousekeepingTask", "TaskKind", "TaskStatus", "condition_after"]


class TaskKind(StrEnum):
    """Why the room is visited."""

    DEPARTURE = "departure"
    STAY_OVER = "stay_over"
    INSPECTION = "inspection"


class TaskStatus(StrEnum):
    """A task is open until somebody completes or cancels it."""

    OPEN = "open"
    DONE = "done"
    CANCELLED = "cancelled"


@frozen(kw_only=True)
class HousekeepingTask:
    """Work on one room, due on a business date. ``priority`` 1 is most urgent, 9 least."""

    id: TaskId = fields.identifier()
    hotel_id: HotelId = fields.identifier()
    room_id: RoomId = fields.identifier()
    kind: TaskKind = fields.choice(TaskKind)
    status: TaskStatus = fields.choice(TaskStatus, default=TaskStatus.OPEN)
    priority: int = fields.count(1, 9, default=5)
    assignee: str | None = fields.text(200, optional=True)
    due: date = fields.day()
    booking_id: BookingId | None = fields.identifier(optional=True)
    note: str | None = fields.text(500, optional=True)
    created_at: datetime = fields.instant()
    completed_at: datetime | None = fields.instant(optional=True)
    completed_by: str | None = fields.text(200, optional=True)
    attributes: fields.Attributes = fields.attributes()
    version: int = fields.version()


def condition_after(kind: TaskKind, condition: RoomCondition) -> RoomCondition:
    """Return the room's condition once a task of ``kind`` is done.

    Cleaning makes a dirty or untidy room clean and leaves an inspected one inspected. An
    inspection needs a clean room; on any other it raises `ActionRefused`.
    """
    cleaned = (RoomCondition.CLEAN, RoomCondition.INSPECTED)
    if kind is not TaskKind.INSPECTION:
        return condition if condition in cleaned else RoomCondition.CLEAN
    if condition not in cleaned:
        raise ActionRefused(action="inspect", reasons=("room_not_clean",))
    return RoomCondition.INSPECTED
