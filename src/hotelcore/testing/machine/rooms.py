"""Commands on the house: its rules, types, rooms, their condition, maintenance and tasks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.domain.hotels import HouseRules
from hotelcore.domain.housekeeping import TaskKind
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import MaintenanceKind, RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.testing import strategies as some
from hotelcore.testing.machine.commands import MANNERS, Command, Manner, against
from hotelcore.testing.machine.driving import HOTELS, PICKS, Driver, driving, rules_of, when
from hotelcore.testing.machine.houses import DAY, House, Key, Period, Room, RoomType, Task

__all__ = [
    "RoomRules",
    "add_rooms",
    "block",
    "complete_task",
    "create_task",
    "release",
    "set_condition",
]

_MANNERS = st.sampled_from(MANNERS)


# -- the house ---------------------------------------------------------------------------------


def register_again(house: House) -> Command:
    """Register the hotel a second time."""
    return Command(
        operation=op.register_hotel,
        arguments={
            "name": "Again",
            "time_zone": house.zone,
            "currency": house.currency,
            "business_date": house.day,
        },
        doubts=against(AlreadyExists=True),
    )


def change_rules(house: House, rules: HouseRules) -> Command:
    """Replace the house rules."""

    def learn(_: Any) -> None:
        house.rules = rules_of(rules)

    return Command(operation=op.change_house_rules, arguments={"rules": rules}, learn=learn)


def add_type(house: House, code: str, rate: int, limit: int, currency: str | None) -> Command:
    """Add a room type."""

    def learn(told: Any) -> None:
        house.types[told.id.hex] = RoomType(code, rate, limit)

    money = currency or house.currency
    return Command(
        operation=op.add_room_type,
        arguments={
            "code": code,
            "name": "Another",
            "base_rate": Money(rate, money),
            "overbooking_limit": limit,
        },
        doubts=against(
            AlreadyExists=any(known.code == code for known in house.types.values()),
            CurrencyMismatch=money != house.currency,
        ),
        learn=learn,
    )


def add_rooms(house: House, room_type: Key, numbers: Sequence[str]) -> Command:
    """Add rooms."""

    def learn(added: Any) -> None:
        for room in added:
            house.rooms[room.id.hex] = Room(room_type, room.number, "clean")

    taken = {room.number for room in house.rooms.values()}
    return Command(
        operation=op.add_rooms,
        arguments={"room_type_id": UUID(room_type), "numbers": list(numbers)},
        doubts=against(
            NotFound=room_type not in house.types,
            InvalidInput=len(set(numbers)) < len(numbers),
            AlreadyExists=bool(taken.intersection(numbers)),
        ),
        learn=learn,
    )


# -- condition and tasks -----------------------------------------------------------------------


def set_condition(house: House, rooms: Sequence[Key], condition: RoomCondition) -> Command:
    """Set the condition of rooms."""

    def learn(told: Any) -> None:
        assert [room.id.hex for room in told] == sorted(set(rooms)), told
        for key in rooms:
            house.rooms[key].condition = condition.value

    inspected = condition is RoomCondition.INSPECTED
    return Command(
        operation=op.bulk_update_room_status,
        arguments={"room_ids": [UUID(key) for key in rooms], "condition": condition},
        doubts=against(
            InvalidInput=not rooms, NotFound=any(key not in house.rooms for key in rooms)
        ),
        learn=learn,
        needs=Role.MANAGER if inspected else Role.GUEST,
    )


def create_task(house: House, room: Key, kind: TaskKind, due: date) -> Command:
    """Create a housekeeping task."""

    def learn(told: Any) -> None:
        house.tasks[told.id.hex] = Task(room, kind.value, due)

    return Command(
        operation=op.create_housekeeping_task,
        arguments={"room_id": UUID(room), "kind": kind, "due": due},
        doubts=against(NotFound=room not in house.rooms, InvalidInput=due < house.day),
        learn=learn,
    )


def complete_task(house: House, key: Key) -> Command:
    """Complete a housekeeping task."""
    task = house.tasks.get(key)
    doubts = against(NotFound=task is None)
    needs = Role.GUEST
    condition = "clean"
    if task is not None:
        known = house.rooms[task.room].condition
        ready = known in ("clean", "inspected")
        if task.kind == "inspection":
            needs, condition = Role.MANAGER, "inspected"
        elif ready:
            condition = known
        doubts = against(
            ActionRefused=not task.is_open or (task.kind == "inspection" and not ready)
        )

    def learn(result: Any) -> None:
        assert task is not None
        task.is_open = False
        house.rooms[task.room].condition = condition
        assert result[1].condition == condition, result

    return Command(
        operation=op.complete_housekeeping_task,
        arguments={"task_id": UUID(key)},
        doubts=doubts,
        learn=learn,
        needs=needs,
        event="housekeeping.taskCompleted",
    )


# -- maintenance -------------------------------------------------------------------------------


def block(
    house: House,
    room: Key,
    kind: MaintenanceKind,
    begins: int,
    nights: int,
    *,
    force: bool = False,
) -> Command:
    """Give a room to maintenance."""
    first = house.day + begins * DAY
    until = first + nights * DAY
    days = {first + n * DAY for n in range(nights)}
    known = house.rooms.get(room)
    doubts = against(NotFound=known is None, InvalidInput=begins < 0 or not nights)
    if known is not None and kind is not MaintenanceKind.OUT_OF_SERVICE:
        doubts |= against(
            SoldOut=not force and bool(house.full(known.room_type, days)),
            RoomTaken=house.taken(room, days) or (house.day in days and house.occupied(room)),
        )

    def learn(told: Any) -> None:
        house.periods[told.id.hex] = Period(room, kind.value, first, until, nights=days)

    return Command(
        operation=op.block_room,
        arguments={
            "room_id": UUID(room),
            "kind": kind,
            "period": Stay(first, until),
            "reason": "paint",
            **({"force_reason": "urgent"} if force else {}),
        },
        doubts=doubts,
        learn=learn,
        needs=Role.MANAGER if force else Role.GUEST,
    )


def release(house: House, key: Key) -> Command:
    """Take a room back from maintenance."""
    period = house.periods.get(key)

    def learn(_: Any) -> None:
        assert period is not None
        period.released = True
        period.nights = {night for night in period.nights if night < house.day}

    doubts = against(NotFound=period is None)
    if period is not None:
        doubts = against(ActionRefused=period.released or period.ends <= house.day)
    return Command(
        operation=op.release_room,
        arguments={"maintenance_id": UUID(key)},
        doubts=doubts,
        learn=learn,
    )


# -- the rules ---------------------------------------------------------------------------------


def _is_open(_: House, task: Task) -> bool:
    return task.is_open


def _is_releasable(house: House, period: Period) -> bool:
    return not period.released and period.ends > house.day


_RARELY = st.sampled_from([False, False, False, True])


class RoomRules(Driver):
    """The rules on the house."""

    @driving(op.register_hotel, op.change_house_rules, op.add_room_type, op.add_rooms)
    @rule(
        hotel=HOTELS, what=st.sampled_from(["rules", "type", "rooms", "rooms", "register"]),
        rules=some.house_rules, choice=PICKS, manner=_MANNERS,
    )  # fmt: skip
    def set_up(self, hotel: int, what: str, rules: HouseRules, choice: int, manner: Manner) -> None:
        """Change how the hotel is set up."""
        house = self.houses[hotel]
        match what:
            case "rules":
                command = change_rules(house, rules)
            case "type":
                currency = "CHF" if choice % 5 == 4 else None
                command = add_type(house, f"T{choice % 3}", choice * 100, choice % 2, currency)
            case "rooms":
                numbers = [f"T0{choice % 4}", f"A{choice % 3}"][: 1 + choice % 2]
                command = add_rooms(house, self.pick(house, "types", choice), numbers)
            case _:
                command = register_again(house)
        self.run(house, command, manner)

    @driving(op.bulk_update_room_status)
    @rule(
        hotel=HOTELS, rooms=st.lists(PICKS, max_size=3), condition=some.room_conditions,
        manner=_MANNERS,
    )  # fmt: skip
    def set_condition(
        self, hotel: int, rooms: list[int], condition: RoomCondition, manner: Manner
    ) -> None:
        """Set the condition of some rooms."""
        house = self.houses[hotel]
        keys = [self.pick(house, "rooms", room) for room in rooms]
        self.run(house, set_condition(house, keys, condition), manner)

    @driving(op.bulk_update_room_status)
    @rule(hotel=HOTELS)
    def clean_all(self, hotel: int) -> None:
        """Have every room cleaned and inspected."""
        house = self.houses[hotel]
        self.run(house, set_condition(house, list(house.rooms), RoomCondition.INSPECTED))

    @driving(op.create_housekeeping_task)
    @rule(hotel=HOTELS, room=PICKS, kind=some.task_kinds, days=st.integers(-1, 2), manner=_MANNERS)
    def create_task(self, hotel: int, room: int, kind: TaskKind, days: int, manner: Manner) -> None:
        """Create a task."""
        house = self.houses[hotel]
        key = self.pick(house, "rooms", room)
        self.run(house, create_task(house, key, kind, house.day + days * DAY), manner)

    @driving(op.complete_housekeeping_task)
    @when("tasks", _is_open)
    @rule(hotel=HOTELS, task=PICKS, manner=_MANNERS)
    def complete_task(self, hotel: int, task: int, manner: Manner) -> None:
        """Complete a task."""
        house = self.house(hotel, "tasks", _is_open)
        self.run(
            house,
            complete_task(house, self.pick(house, "tasks", task, _is_open)),
            manner,
        )

    @driving(op.block_room)
    @rule(
        hotel=HOTELS, room=PICKS, kind=some.maintenance_kinds, begins=st.integers(-1, 3),
        nights=st.integers(0, 3), force=_RARELY, manner=_MANNERS,
    )  # fmt: skip
    def block(
        self, hotel: int, room: int, kind: MaintenanceKind, begins: int, nights: int, force: bool,
        manner: Manner,
    ) -> None:  # fmt: skip
        """Give a room to maintenance."""
        house = self.houses[hotel]
        key = self.pick(house, "rooms", room)
        self.run(house, block(house, key, kind, begins, nights, force=force), manner)

    @driving(op.release_room)
    @when("periods", _is_releasable)
    @rule(hotel=HOTELS, period=PICKS, manner=_MANNERS)
    def release(self, hotel: int, period: int, manner: Manner) -> None:
        """Take a room back."""
        house = self.house(hotel, "periods", _is_releasable)
        key = self.pick(house, "periods", period, _is_releasable)
        self.run(house, release(house, key), manner)
