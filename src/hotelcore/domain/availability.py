"""What is left to sell, and which room a stay gets.

Counters per room type and night decide a sale; concrete rooms are found when they are assigned.
Counters alone ignore fragmentation (a unit free every night, no single room free on all), so a
search gives both: units left by type, and the rooms that are free for the whole stay.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from datetime import date

from attrs import frozen

from hotelcore.domain import fields
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import Room
from hotelcore.domain.stays import Stay
from hotelcore.ids import BookingId, HotelId, RoomId, RoomTypeId

__all__ = ["Availability", "NightPrice", "Quote", "RoomAvailability", "plan_rooms"]


@frozen(kw_only=True)
class RoomAvailability:
    """The counters of one room type on one night.

    ``available = rooms - out_of_inventory - out_of_order - committed - held``. ``committed``
    counts confirmed and in-house nights, ``held`` tentative ones. ``forced`` is how far a
    permitted override has raised the limit on this night.
    """

    hotel_id: HotelId = fields.identifier()
    room_type_id: RoomTypeId = fields.identifier()
    night: date = fields.day()
    rooms: int = fields.count(0, fields.MOST)
    out_of_inventory: int = fields.count(0, fields.MOST)
    out_of_order: int = fields.count(0, fields.MOST)
    committed: int = fields.count(0, fields.MOST)
    held: int = fields.count(0, fields.MOST)
    overbooking_limit: int = fields.count(0, fields.MOST)
    forced: int = fields.count(0, fields.MOST)

    @property
    def available(self) -> int:
        """Units that are free in the house; negative when overbooked."""
        blocked = self.out_of_inventory + self.out_of_order
        return self.rooms - blocked - self.committed - self.held

    @property
    def sellable(self) -> int:
        """Units that may still be sold, the overbooking limit included; never negative."""
        return max(0, self.available + self.overbooking_limit)


@frozen(kw_only=True)
class Availability:
    """The answer to a search: one room type over one stay.

    ``nights`` are in order. ``free_rooms`` are free on every night of the stay; there may be none
    although units are left on each night. ``begun`` tells that the stay begins before the business
    date: then it is sold only to who may force it, whatever is left.
    """

    room_type_id: RoomTypeId = fields.identifier()
    stay: Stay = fields.instance(Stay)
    nights: tuple[RoomAvailability, ...] = fields.instances(RoomAvailability)
    free_rooms: tuple[Room, ...] = fields.instances(Room)
    begun: bool = fields.flag()

    @property
    def sellable(self) -> int:
        """Units that may be sold for the whole stay; for a day use the rooms that are free.

        None of a stay that has ``begun``.
        """
        if self.begun:
            return 0
        if not self.nights:
            return len(self.free_rooms)
        return min(night.sellable for night in self.nights)


@frozen
class NightPrice:
    """The price of one night."""

    night: date = fields.day()
    price: Money = fields.money()


@frozen(kw_only=True)
class Quote:
    """What a stay costs: a line a night, and their exact sum."""

    room_type_id: RoomTypeId = fields.identifier()
    stay: Stay = fields.instance(Stay)
    nights: tuple[NightPrice, ...] = fields.instances(NightPrice)
    total: Money = fields.money()


def plan_rooms(
    stays: Iterable[tuple[BookingId, Stay]],
    rooms: Sequence[RoomId],
    taken: Mapping[RoomId, Sequence[Stay]],
) -> dict[BookingId, RoomId]:
    """Give each stay one room for its whole length, as many stays as possible in arrival order.

    ``taken`` names the nights on which a room is not free. Without any, the plan is complete
    whenever no night has more stays than rooms (interval partitioning; Kleinberg and Tardos,
    Algorithm Design, 2005, section 4.1). Stays left out of the answer found no room.
    """
    # Sorted once by arrival; the room free longest is reused first, so rooms wear evenly.
    free_from = [(date.min, n, room) for n, room in enumerate(rooms)]
    heapq.heapify(free_from)
    plan: dict[BookingId, RoomId] = {}
    for booking_id, stay in sorted(stays, key=lambda item: (item[1].arrival, item[1].departure)):
        passed = []
        while free_from and free_from[0][0] <= stay.arrival:
            until, n, room = heapq.heappop(free_from)
            if any(stay.overlaps(other) for other in taken.get(room, ())):
                passed.append((until, n, room))
                continue
            plan[booking_id] = room
            passed.append((stay.departure, n, room))
            break
        for entry in passed:
            heapq.heappush(free_from, entry)
    return plan
