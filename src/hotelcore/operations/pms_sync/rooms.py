"""Rooms and room types of a property management system: adopted, added, renumbered, tidied.

A type is adopted by its code, a room by its number. A room that is known keeps its type, and
follows its number and condition. Counters come before rooms in the order of locks, so rooms are
added before the counters of bookings are locked, and changed behind them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import attrs
from attrs import field, frozen

from hotelcore.domain.pms import PmsResource
from hotelcore.domain.rooms import Room, RoomCondition
from hotelcore.events.catalogue import PmsRoomSynced
from hotelcore.ids import RoomId, RoomTypeId
from hotelcore.lists import RoomFilter, every
from hotelcore.operations.hotels import add_room_type, add_rooms
from hotelcore.operations.pms_sync.takeover import Takeover, Told
from hotelcore.operations.rooms import MOST_ROOMS, bulk_update_room_status
from hotelcore.pms.records import RemoteRoom, RemoteRoomType

__all__ = ["RoomTakeover", "RoomTypeTakeover"]


@frozen
class RoomTypeTakeover:
    """The room types of one synchronisation."""

    run: Takeover

    def create(self, told: Told[RemoteRoomType]) -> Sequence[UUID]:
        """Adopt our types of those codes, or add some."""
        codes = {known.code: known.id for known in self.run.uow.room_types.all()}
        self.run.adopted.update(codes.values())

        def adopted(record: RemoteRoomType) -> UUID:
            if record.code not in codes:
                codes[record.code] = add_room_type(
                    self.run.uow, code=record.code, name=record.name, base_rate=record.base_rate
                ).id
            return codes[record.code]

        return self.run.each(told, told.new, adopted)

    def change(self, record: RemoteRoomType, known: UUID) -> None:
        """Leave a known type as it is: its name and price are the hotel's own to set here."""


@frozen
class RoomTakeover:
    """The rooms of one synchronisation."""

    run: Takeover
    rooms: dict[RoomId, Room] = field(factory=dict)
    numbers: dict[str, RoomId] = field(factory=dict)
    """Which room has which number, when the run ends."""
    renumbered: dict[RoomId, str] = field(factory=dict)
    waiting: defaultdict[RoomTypeId, list[str]] = field(factory=lambda: defaultdict(list))
    """Rooms to be added whose number another room has until it is renumbered."""

    def prepare(self, told: Told[RemoteRoom]) -> None:
        """Read our rooms, see which get other numbers, and add those that are missing."""
        if not told.to_take:
            return
        uow = self.run.uow
        self._know(every(lambda after: uow.rooms.page(RoomFilter(), after=after, limit=1_000)))
        self.run.adopted.update(self.rooms)
        types = (record.room_type_external_id for record in told.to_take)
        self.run.learn(PmsResource.ROOM_TYPE, types)
        in_use = set(self.numbers)
        self._renumber(told.changed)
        self._add_missing(told.new, in_use)

    def _know(self, rooms: Iterable[Room]) -> None:
        for room in rooms:
            self.rooms[room.id], self.numbers[room.number] = room, room.id

    def _type_of(self, record: RemoteRoom) -> RoomTypeId:
        named_by = f"{PmsResource.ROOM} {record.external_id}"
        known = self.run.here(
            PmsResource.ROOM_TYPE, record.room_type_external_id, named_by=named_by
        )
        return RoomTypeId(known)

    def _known(self, record: RemoteRoom) -> Room | None:
        known = self.run.found[PmsResource.ROOM].get(record.external_id)
        return None if known is None else self.rooms[RoomId(known)]

    def _renumber(self, changed: Iterable[RemoteRoom]) -> None:
        """Note which of the known rooms have another number there, all before one gets its own."""
        told = [(record, self._known(record)) for record in changed]
        renumbered = [(r, room) for r, room in told if room and room.number != r.number]
        for _, room in renumbered:
            del self.numbers[room.number]
        given: dict[str, str] = {}
        for record, room in renumbered:
            if record.number in given:
                twins = [given[record.number], record.external_id]
                raise self.run.are_one(PmsResource.ROOM, twins)
            if record.number in self.numbers:
                raise self.run.failure(_number_taken(record))
            given[record.number] = record.external_id
            self.numbers[record.number], self.renumbered[room.id] = room.id, record.number

    def _add_missing(self, new: Iterable[RemoteRoom], in_use: set[str]) -> None:
        """Add rooms whose numbers are unknown, all of a type at once."""
        missing: defaultdict[RoomTypeId, list[str]] = defaultdict(list)
        for record in {record.number: record for record in new}.values():
            if record.number not in self.numbers:
                then = self.waiting if record.number in in_use else missing
                then[self._type_of(record)].append(record.number)
        self._add(missing)

    def _add(self, missing: Mapping[RoomTypeId, list[str]]) -> None:
        for type_id, numbers in sorted(missing.items()):
            self._know(add_rooms(self.run.uow, room_type_id=type_id, numbers=numbers))

    def follow(self, told: Told[RemoteRoom]) -> None:
        """Take over numbers and conditions; a room never changes its type."""
        changing = self.renumbered.keys() | self._conditions(told).keys()
        locked = self.run.uow.rooms.lock(changing) if changing else ()
        self._give_numbers([room for room in locked if room.id in self.renumbered])
        self._add(self.waiting)
        self._set_conditions(self._conditions(told))

    def _give_numbers(self, rooms: Iterable[Room]) -> None:
        if self.renumbered:
            self.run.uow.rooms.renumber(self.renumbered)
        for room in rooms:
            number, version = self.renumbered[room.id], room.version + 1
            self.rooms[room.id] = attrs.evolve(room, number=number, version=version)
            self.run.uow.changed("room", room.id, room, self.rooms[room.id])

    def _conditions(self, told: Told[RemoteRoom]) -> dict[RoomId, RoomCondition]:
        """Return the conditions that differ there, of the rooms that have their numbers here."""
        conditions: dict[RoomId, RoomCondition] = {}
        for record in told.to_take:
            room = self._known(record) or self._numbered(record.number)
            if room is None:
                continue  # it waits for the number
            if room.room_type_id != self._type_of(record):
                raise self.run.failure(_other_type(record))
            if record.condition is not None and record.condition is not room.condition:
                conditions[room.id] = record.condition
        return conditions

    def _numbered(self, number: str) -> Room | None:
        return self.rooms[self.numbers[number]] if number in self.numbers else None

    def _set_conditions(self, conditions: Mapping[RoomId, RoomCondition]) -> None:
        """Set all rooms of one condition at once; they are locked."""
        rooms_in = defaultdict[RoomCondition, list[RoomId]](list)
        for room_id, condition in sorted(conditions.items()):
            rooms_in[condition].append(room_id)
        for condition, room_ids in rooms_in.items():
            for begin in range(0, len(room_ids), MOST_ROOMS):
                some = room_ids[begin : begin + MOST_ROOMS]
                bulk_update_room_status(self.run.uow, room_ids=some, condition=condition)

    def create(self, told: Told[RemoteRoom]) -> Sequence[UUID]:
        """Return our rooms of those numbers, which are all there by now."""
        room_ids: list[UUID] = [self.numbers[record.number] for record in told.new]
        for record, room_id in zip(told.new, room_ids, strict=True):
            self.change(record, room_id)
        return room_ids

    def change(self, record: RemoteRoom, known: UUID) -> None:
        """Report that a room was taken over."""
        uow = self.run.uow
        uow.emit(
            PmsRoomSynced(
                hotel_id=uow.hotel_id, room_id=RoomId(known), external_id=record.external_id
            )
        )


def _number_taken(record: RemoteRoom) -> str:
    taken = f"room {record.external_id} has the number {record.number}, which another has here"
    return f"{taken}: send both at once if both have other numbers now, or else correct it there"


def _other_type(record: RemoteRoom) -> str:
    return (
        f"room {record.external_id} there has another type than room {record.number} here, "
        "and no room changes its type: correct it there, or give it a new number and a new id"
    )
