"""Housekeeping tasks: table, row mapping and repository."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from uuid import UUID

import attrs
from sqlalchemy import (
    Column,
    Index,
    Integer,
    Select,
    String,
    Table,
    TypedColumns,
    bindparam,
    select,
    text,
)

from hotelcore.domain.fields import Attributes
from hotelcore.domain.housekeeping import HousekeepingTask, TaskKind, TaskStatus
from hotelcore.errors import AlreadyExists, NotFound
from hotelcore.ids import RoomId, TaskId
from hotelcore.lists import Page, TaskFilter
from hotelcore.sql import schema
from hotelcore.sql.building import entity
from hotelcore.sql.changing import insert_into, versioned_update, write_next_version
from hotelcore.sql.pages import Listing, check_filter
from hotelcore.sql.seam.statements import Statements, acting_hotel

__all__ = ["HOUSEKEEPING_TASK", "SqlHousekeeping"]


class HousekeepingTaskColumns(TypedColumns):
    """A task's columns."""

    hotel_id: Column[UUID] = schema.hotel_column()
    id: Column[UUID] = schema.id_column()
    room_id: Column[UUID] = Column(schema.Id, nullable=False)
    kind: Column[str] = Column(String(20), nullable=False)
    status: Column[str] = Column(String(20), nullable=False)
    priority: Column[int] = Column(Integer, nullable=False)
    assignee: Column[str | None] = Column(String(200))
    due: Column[date] = Column(schema.Day, nullable=False)
    booking_id: Column[UUID | None] = Column(schema.Id)
    note: Column[str | None] = Column(String(500))
    created_at: Column[datetime] = Column(schema.Instant, nullable=False)
    completed_at: Column[datetime | None] = Column(schema.Instant)
    completed_by: Column[str | None] = Column(String(200))
    attributes: Column[Attributes] = schema.attributes_column()
    version: Column[int] = schema.version_column()


HOUSEKEEPING_TASK = Table(
    "hc_housekeeping_task",
    schema.METADATA,
    HousekeepingTaskColumns,
    schema.of_hotel("room", "room_id"),
    schema.of_hotel("booking", "booking_id"),
    schema.one_of("kind", TaskKind),
    schema.one_of("status", TaskStatus),
)
"""The table of housekeeping tasks."""
_c = HOUSEKEEPING_TASK.c
_ORDER = (_c.due, _c.priority, _c.id)
Index("ix_hc_housekeeping_task_due", _c.hotel_id, *_ORDER)
Index("ix_hc_housekeeping_task_status", _c.hotel_id, _c.status, *_ORDER)
Index("ix_hc_housekeeping_task_assignee", _c.hotel_id, _c.assignee, *_ORDER)
Index("ix_hc_housekeeping_task_room", _c.hotel_id, _c.room_id, *_ORDER)
# A guest leaves once, so the room is cleaned for it once.
_DEPARTURE = text("kind = 'departure'")
Index(
    "uq_hc_housekeeping_task_departure",
    _c.hotel_id,
    _c.booking_id,
    unique=True,
    sqlite_where=_DEPARTURE,
    postgresql_where=_DEPARTURE,
)

_ALL = select(HOUSEKEEPING_TASK).where(_c.hotel_id == acting_hotel())
_ONE = _ALL.where(_c.id == bindparam("key"))
_LOCK = _ONE.with_for_update(key_share=True)
_LOCK_OPEN = (
    _ALL.where(
        _c.room_id == bindparam("room"),
        _c.kind == bindparam("of_kind"),
        _c.status == TaskStatus.OPEN.value,
        _c.due <= bindparam("until"),
    )
    .order_by(_c.id)
    .with_for_update(key_share=True)
)
_INSERT = insert_into(HOUSEKEEPING_TASK)
_UPDATE = versioned_update(HOUSEKEEPING_TASK)


_task = entity(HousekeepingTask)
_PAGES = Listing(
    _ALL,
    _task,
    keys=_ORDER,
    conditions={
        "on_day": _c.due == bindparam("on_day"),
        "in_status": _c.status == bindparam("in_status"),
        "assigned_to": _c.assignee == bindparam("assigned_to"),
        "room": _c.room_id == bindparam("room"),
    },
)


def _values(task: HousekeepingTask) -> dict[str, object]:
    return {
        "room_id": task.room_id,
        "kind": task.kind.value,
        "status": task.status.value,
        "priority": task.priority,
        "assignee": task.assignee,
        "due": task.due,
        "booking_id": task.booking_id,
        "note": task.note,
        "created_at": task.created_at,
        "completed_at": task.completed_at,
        "completed_by": task.completed_by,
        "attributes": task.attributes,
    }


class SqlHousekeeping:
    """The `hotelcore.repositories.Housekeeping` of one unit of work."""

    def __init__(self, run: Statements) -> None:
        self._run = run

    def add(self, task: HousekeepingTask) -> None:
        """Store a new task."""
        row = {"id": task.id, "version": task.version, **_values(task)}
        self._run.must_write(
            _INSERT, [row], taken=lambda: AlreadyExists("departure task", "booking_id")
        )

    def get(self, task_id: TaskId) -> HousekeepingTask:
        """Return one task."""
        return self._one(_ONE, task_id)

    def lock(self, task_id: TaskId) -> HousekeepingTask:
        """Return one task, locked."""
        return self._one(_LOCK, task_id)

    def lock_open(
        self, room_id: RoomId, kind: TaskKind, until: date
    ) -> tuple[HousekeepingTask, ...]:
        """Return the open tasks of a kind in a room that are due until a day, locked, by id."""
        values = {"room": room_id, "of_kind": kind.value, "until": until}
        return tuple(self._run.all(_LOCK_OPEN, _task, **values))

    # `Any`: it selects all columns.
    def _one(self, statement: Select[Any], task_id: TaskId) -> HousekeepingTask:
        found = self._run.first(statement, _task, key=task_id)
        if found is None:
            raise NotFound("housekeeping task", task_id)
        return found

    def update(self, task: HousekeepingTask) -> HousekeepingTask:
        """Store the task if nobody changed it since."""
        version = write_next_version(
            self._run, _UPDATE, "housekeeping task", task.id, task.version, _values(task)
        )
        return attrs.evolve(task, version=version)

    def page(
        self, which: TaskFilter, *, after: str | None = None, limit: int = 50
    ) -> Page[HousekeepingTask]:
        """Return tasks in order of due date and priority."""
        check_filter(which, TaskFilter)
        return _PAGES.page(
            self._run,
            after=after,
            limit=limit,
            on_day=which.due,
            in_status=which.status,
            assigned_to=which.assignee,
            room=which.room_id,
        )
