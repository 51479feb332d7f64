"""Every call of the answer file, ready to be made by anybody."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from inspect import signature
from typing import Any, TypeAlias

from hotelcore import Actor, HotelCore, Role, Stay, new_id
from hotelcore.core import Desk
from hotelcore.domain.housekeeping import TaskKind
from hotelcore.domain.rooms import RoomCondition
from hotelcore.errors import NotFound, PermissionDenied
from hotelcore.ids import HotelId
from hotelcore.lists import AuditFilter
from hotelcore.operations import (
    OPERATIONS,
    bulk_update_room_status,
    create_housekeeping_task,
    possible_actions,
    quote,
    search_availability,
)
from hotelcore.sql.schema import METADATA
from hotelcore.unit_of_work import UnitOfWork
from tests.every_operation import NAMES, good_call
from tests.small_hotel import TODAY, SmallHotel

__all__ = ["MORE", "NAMED", "acting", "attempt", "outcome", "world"]

MORE = ("force_reason", "waive_fee", "unsettled_reason")
"""Arguments that need a permission of their own."""

Attempt: TypeAlias = Callable[[Desk], object]
# Operations differ in their arguments, and check them at run time.
Arguments: TypeAlias = dict[str, Any]


def attempt(call: str, hotel: SmallHotel) -> Attempt:
    """Prepare in ``hotel`` what a call needs; what comes back makes the call as somebody."""
    return NAMED[call](hotel)


def _operation(name: str, more: str | None, hotel: SmallHotel) -> Attempt:
    arguments: Arguments = dict(good_call(name, hotel).arguments)
    for argument in MORE:
        if argument != more:
            arguments.pop(argument, None)
    if name == "bulk_update_room_status":
        arguments["condition"] = RoomCondition.PICKUP
    return lambda desk: desk.run(OPERATIONS[name], **arguments)


def _inspecting_rooms(hotel: SmallHotel) -> Attempt:
    return lambda desk: desk.run(
        bulk_update_room_status, room_ids=[hotel.rooms[0].id], condition=RoomCondition.INSPECTED
    )


def _inspecting_by_task(hotel: SmallHotel) -> Attempt:
    room_id = hotel.rooms[0].id
    hotel.desk.run(bulk_update_room_status, room_ids=[room_id], condition=RoomCondition.CLEAN)
    task = hotel.desk.run(create_housekeeping_task, room_id=room_id, kind=TaskKind.INSPECTION)
    return lambda desk: desk.run(OPERATIONS["complete_housekeeping_task"], task_id=task.id)


def _reading(read: Callable[[UnitOfWork], object]) -> Attempt:
    def look(desk: Desk) -> None:
        with desk.reading() as uow:
            read(uow)

    return look


def _possible_actions(hotel: SmallHotel) -> Attempt:
    booking, _ = hotel.booked()
    return _reading(partial(possible_actions, booking_id=booking.id))


_STAY = Stay(TODAY, TODAY + timedelta(days=1))

NAMED: Mapping[str, Callable[[SmallHotel], Attempt]] = {
    **{name: partial(_operation, name, None) for name in NAMES},
    **{
        f"{name} with {more}": partial(_operation, name, more)
        for name in NAMES
        for more in MORE
        if more in signature(OPERATIONS[name]).parameters
    },
    "bulk_update_room_status to inspected": _inspecting_rooms,
    "complete_housekeeping_task of an inspection": _inspecting_by_task,
    "reading": lambda hotel: _reading(lambda uow: uow.hotel),
    "reading the audit log": lambda hotel: _reading(lambda uow: uow.audit.page(AuditFilter())),
    "possible_actions": _possible_actions,
    "quote": lambda hotel: _reading(partial(quote, room_type_id=hotel.room_type_id, stay=_STAY)),
    "search_availability": lambda hotel: _reading(
        partial(search_availability, room_type_id=hotel.room_type_id, stay=_STAY)
    ),
}
"""Every operation there is, with and without the arguments that need more, and every reading."""


def acting(core: HotelCore, call: str, hotel: SmallHotel, role: Role | str) -> Desk:
    """Return the handle of somebody in ``hotel``; who registers one is in one that is new."""
    hotel_id = HotelId(new_id()) if call == "register_hotel" else hotel.hotel_id
    return core.acting_as(Actor(hotel_id=hotel_id, subject="somebody", role=role))


def outcome(attempted: Attempt, desk: Desk) -> str:
    """Make a call and say how it ended; whatever is no such end goes up."""
    try:
        attempted(desk)
    except PermissionDenied:
        return "denied"
    except NotFound:
        return "not found"
    return "allowed"


def world(core: HotelCore, hotel_id: HotelId, *, audit: bool = True) -> dict[str, list[str]]:
    """Return every row of a hotel, by its table; ``audit`` says whether audit entries count."""
    with core.engine.connect() as connection:
        return {
            name: sorted(
                str(tuple(row))
                for row in connection.execute(table.select().where(table.c.hotel_id == hotel_id))
            )
            for name, table in METADATA.tables.items()
            if audit or not name.startswith("hc_audit")
        }
