"""Housekeeping tasks: creating one, and completing one together with the room's condition."""

from __future__ import annotations

from datetime import date

import attrs

from hotelcore.access import Permission
from hotelcore.domain.fields import member
from hotelcore.domain.housekeeping import (
    HousekeepingTask,
    TaskKind,
    TaskStatus,
    condition_after,
)
from hotelcore.domain.rooms import Room, RoomCondition
from hotelcore.errors import ActionRefused, InvalidInput
from hotelcore.events.catalogue import HousekeepingTaskCompleted
from hotelcore.ids import RoomId, TaskId
from hotelcore.operations.declaring import operation
from hotelcore.operations.rooms import note_condition
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["complete_housekeeping_task", "create_housekeeping_task"]


@operation(Permission.HOUSEKEEPING)
def create_housekeeping_task(
    uow: UnitOfWork,
    *,
    room_id: RoomId,
    kind: TaskKind,
    due: date | None = None,
    priority: int = 5,
    assignee: str | None = None,
    note: str | None = None,
) -> HousekeepingTask:
    """Create a task on a room, due on a business date, today's unless told.

    ``priority`` goes from 1, most urgent, to 9. ``assignee`` is an account name of up to 200
    characters, ``note`` up to 500. Raises `NotFound` for an unknown room and `InvalidInput`, also
    for a date already past.
    """
    uow.ahead(uow.hotels.current)
    uow.ahead(uow.rooms.get, room_id)
    business_date = uow.hotel.business_date
    task = HousekeepingTask(
        id=TaskId(uow.new_id()),
        hotel_id=uow.hotel_id,
        room_id=uow.rooms.get(room_id).id,
        kind=member("kind", TaskKind, kind),
        priority=priority,
        assignee=assignee,
        due=business_date if due is None else due,
        note=note,
        created_at=uow.now(),
    )
    if task.due < business_date:
        raise InvalidInput("due", f"must not be before the business date, {business_date}")
    with uow.together(later=True):
        uow.housekeeping.add(task)
    uow.changed("housekeeping_task", task.id, None, task)
    return task


@operation(Permission.HOUSEKEEPING)
def complete_housekeeping_task(
    uow: UnitOfWork, *, task_id: TaskId
) -> tuple[HousekeepingTask, Room]:
    """Complete an open task and return it with the room, in the condition it is in now.

    Cleaning makes a dirty or untidy room clean. An inspection makes a clean room inspected and
    needs `Permission.HOUSEKEEPING_INSPECT` too. Raises `ActionRefused` for a task that is not
    open (``task_not_open``), for an inspection of a room that is not clean (``room_not_clean``),
    and `NotFound`.
    """
    now, completed_by = uow.now(), uow.actor.subject
    task = uow.housekeeping.lock(task_id)
    if task.kind is TaskKind.INSPECTION:
        uow.require(Permission.HOUSEKEEPING_INSPECT, "completing an inspection")
    if task.status is not TaskStatus.OPEN:
        raise ActionRefused("complete_housekeeping_task", ("task_not_open",))
    (room,) = uow.rooms.lock((task.room_id,))
    condition = condition_after(task.kind, room.condition)
    completed = attrs.evolve(
        task, status=TaskStatus.DONE, completed_at=now, completed_by=completed_by
    )
    with uow.together(later=True):
        done = uow.housekeeping.update(completed)
        uow.changed("housekeeping_task", task.id, task, done)
        uow.emit(
            HousekeepingTaskCompleted(
                hotel_id=uow.hotel_id, task_id=task.id, room_id=room.id, kind=task.kind
            )
        )
        return done, _in_condition(uow, room, condition)


def _in_condition(uow: UnitOfWork, room: Room, condition: RoomCondition) -> Room:
    if room.condition is condition:
        return room
    changed = uow.rooms.update(attrs.evolve(room, condition=condition))
    note_condition(uow, room, changed)
    return changed
