"""Rooms: their condition, many at once, and the periods in which maintenance has them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import date

import attrs

from hotelcore.access import Permission
from hotelcore.domain.fields import member
from hotelcore.domain.rooms import MaintenanceKind, MaintenancePeriod, Room, RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.errors import ActionRefused, InvalidInput, RoomTaken
from hotelcore.events.catalogue import RoomStatusChanged
from hotelcore.ids import MaintenanceId, RoomId
from hotelcore.operations.declaring import operation
from hotelcore.operations.judging import overrides
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["MOST_ROOMS", "block_room", "bulk_update_room_status", "release_room"]

MOST_ROOMS = 5_000
"""The most rooms that one command takes, so that it stays well inside its time limit."""


@operation(Permission.HOUSEKEEPING)
def bulk_update_room_status(
    uow: UnitOfWork, *, room_ids: Collection[RoomId], condition: RoomCondition
) -> tuple[Room, ...]:
    """Set the condition of 1 to 5,000 rooms, all or none, and return them in order of their ids.

    The same as one room after the other: a room named twice counts once, and one that is in that
    condition already is left alone and reports nothing. Setting rooms inspected needs
    `Permission.HOUSEKEEPING_INSPECT` too. Raises `NotFound` for the first room that the hotel
    does not have.
    """
    wanted = member("condition", RoomCondition, condition)
    if not 1 <= len(room_ids) <= MOST_ROOMS:
        raise InvalidInput("room_ids", f"must name 1 to {MOST_ROOMS:,} rooms")
    if wanted is RoomCondition.INSPECTED:
        uow.require(Permission.HOUSEKEEPING_INSPECT, "setting rooms inspected")
    rooms = uow.rooms.lock(set(room_ids))
    changing = [room.id for room in rooms if room.condition is not wanted]
    uow.rooms.set_condition(changing, wanted)
    return tuple(_reported(uow, room, wanted) for room in rooms)


def _reported(uow: UnitOfWork, room: Room, condition: RoomCondition) -> Room:
    """Note and report a stored change of condition; return the room as it is now."""
    if room.condition is condition:
        return room
    changed = attrs.evolve(room, condition=condition, version=room.version + 1)
    note_condition(uow, room, changed)
    return changed


def note_condition(uow: UnitOfWork, before: Room, after: Room) -> None:
    """Note and report that a room's condition changed."""
    uow.changed("room", before.id, before, after)
    uow.emit(
        RoomStatusChanged(
            hotel_id=uow.hotel_id,
            room_id=before.id,
            previous=before.condition,
            condition=after.condition,
        )
    )


@operation(Permission.ROOMS_BLOCK)
def block_room(
    uow: UnitOfWork,
    *,
    room_id: RoomId,
    kind: MaintenanceKind,
    period: Stay,
    reason: str,
    force_reason: str | None = None,
) -> MaintenancePeriod:
    """Give a room to maintenance for the nights of ``period``, the business date or later.

    An out-of-service room stays on sale, so only the period is kept. Out of order and out of
    inventory take one unit off sale on each night: `SoldOut` names the nights on which it is
    needed for what is sold, unless ``force_reason`` says why to do it all the same, which needs
    `Permission.RULES_OVERRIDE`. Nothing overrides `RoomTaken`: somebody is in the room, or it is
    assigned or blocked on one of the nights. Both reasons have 1 to 500 characters. Raises
    `InvalidInput` and `NotFound`.
    """
    uow.ahead(uow.hotels.current)
    uow.ahead(uow.rooms.get, room_id)
    business_date = uow.hotel.business_date
    room = uow.rooms.get(room_id)
    blocked = MaintenancePeriod(
        id=MaintenanceId(uow.new_id()),
        hotel_id=uow.hotel_id,
        room_id=room.id,
        kind=member("kind", MaintenanceKind, kind),
        period=period,
        reason=reason,
        created_at=uow.now(),
    )
    if period.arrival < business_date:
        raise InvalidInput("period", f"must not begin before the business date, {business_date}")
    force = overrides(uow, force_reason, "blocking a room that is sold")
    with uow.together(later=True):
        uow.maintenance.add(blocked)
        if blocked.kind.off_sale:
            _take_off_sale(uow, room, blocked, force=force)
    uow.changed("maintenance", blocked.id, None, blocked)
    return blocked


def _take_off_sale(uow: UnitOfWork, room: Room, blocked: MaintenancePeriod, *, force: bool) -> None:
    business_date, period = uow.hotel.business_date, blocked.period
    uow.inventory.block(
        room.room_type_id, period.nights, off_count=_off_count(blocked), force=force
    )
    uow.room_nights.block(room.id, blocked.id, period)
    if business_date in period:
        _refuse_if_occupied(uow, room, business_date)


def _refuse_if_occupied(uow: UnitOfWork, room: Room, business_date: date) -> None:
    # A guest who should leave today has no night to come, and is in the room all the same. Only
    # the room's lock keeps such a guest from entering it meanwhile.
    uow.ahead(uow.rooms.lock, [room.id])
    uow.ahead(uow.rooms.is_occupied, room.id)
    uow.rooms.lock([room.id])
    if uow.rooms.is_occupied(room.id):
        raise RoomTaken(room.id, (business_date,))


@operation(Permission.ROOMS_BLOCK)
def release_room(uow: UnitOfWork, *, maintenance_id: MaintenanceId) -> MaintenancePeriod:
    """Take a room back from maintenance: its nights from the business date on are free again.

    Nights already past stay blocked. Raises `ActionRefused` when it was released before
    (``already_released``) or ended by itself (``period_is_over``), and `NotFound`.
    """
    uow.ahead(uow.hotels.current)
    uow.ahead(uow.maintenance.get, maintenance_id)
    business_date = uow.hotel.business_date
    blocked = uow.maintenance.get(maintenance_id)
    if blocked.released_at is not None:
        raise ActionRefused("release_room", ("already_released",))
    left = blocked.period.from_day(business_date)
    if left.is_day_use:
        raise ActionRefused("release_room", ("period_is_over",))
    # First of all, so that of two releases at once the later one finds another version and stops.
    released = uow.maintenance.update(attrs.evolve(blocked, released_at=uow.now()))
    if blocked.kind.off_sale:
        room = uow.rooms.get(blocked.room_id)
        uow.inventory.unblock(room.room_type_id, left.nights, off_count=_off_count(blocked))
        uow.room_nights.unblock(blocked.id, from_night=left.arrival)
    uow.changed("maintenance", blocked.id, blocked, released)
    return released


def _off_count(blocked: MaintenancePeriod) -> bool:
    return blocked.kind is MaintenanceKind.OUT_OF_INVENTORY
