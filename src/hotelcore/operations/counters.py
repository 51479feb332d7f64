"""The counters of nights: which of them move as bookings change, all locked before the first.

Everybody locks them by type and then by night. `hotelcore.operations.nights` says what is locked
before and after.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TypeAlias

from hotelcore.domain.bookings import Booking, BookingNight, BookingStatus
from hotelcore.ids import RoomTypeId
from hotelcore.unit_of_work import UnitOfWork

__all__ = [
    "Move",
    "commit_nights",
    "counters_ahead",
    "given_back",
    "lock_counters",
    "lock_each",
    "move_counters",
    "taken",
]

Move: TypeAlias = tuple[RoomTypeId, date, bool, bool]
"""One unit of a type on a night: taken (True) or given back (False), held (True) or committed."""


def given_back(booking: Booking, nights: Iterable[BookingNight]) -> list[Move]:
    """Return the moves of nights that a booking, as it holds them, gives back."""
    held = booking.status is BookingStatus.TENTATIVE
    return [(night.room_type_id, night.night, False, held) for night in nights]


def taken(booking: Booking, nights: Iterable[BookingNight]) -> list[Move]:
    """Return the moves of nights that a booking, as it will hold them, takes."""
    held = booking.status is BookingStatus.TENTATIVE
    return [(night.room_type_id, night.night, True, held) for night in nights]


def move_counters(
    uow: UnitOfWork, moves: Iterable[Move], *, force: bool = False, are_locked: bool = False
) -> None:
    """Move the counters, all locked before the first, as everybody locks them.

    Raises `SoldOut` with the full nights of a type, unless ``force``.
    """
    runs = defaultdict[tuple[RoomTypeId, bool, bool], list[date]](list)
    for room_type_id, night, taking, held in sorted(moves):
        runs[room_type_id, taking, held].append(night)
    if len(runs) > 1 and not are_locked:  # one alone locks its nights in order by itself
        lock_each(uow, ((run[0], night) for run, nights in runs.items() for night in nights))
    for (room_type_id, taking, held), nights in sorted(runs.items()):
        if taking:
            uow.inventory.sell(room_type_id, nights, held=held, force=force)
        else:
            locked = are_locked or len(runs) > 1
            uow.inventory.release(room_type_id, nights, held=held, locked=locked)


def counters_ahead(uow: UnitOfWork, nights: Iterable[BookingNight]) -> None:
    """Have the counters of nights that are about to move locked with the next question."""
    for room_type_id, of_type in _by_type((night.room_type_id, night.night) for night in nights):
        uow.ahead(uow.inventory.lock, room_type_id, of_type)


def lock_counters(uow: UnitOfWork, nights: Iterable[BookingNight]) -> None:
    """Lock the counters of nights of several bookings, before the first of them moves."""
    lock_each(uow, {(night.room_type_id, night.night) for night in nights})


def lock_each(uow: UnitOfWork, counters: Iterable[tuple[RoomTypeId, date]]) -> None:
    """Lock counters by type, all nights of one at once, in order, made where they are missing."""
    for room_type_id, of_type in _by_type(counters):
        uow.inventory.lock(room_type_id, of_type)


def _by_type(
    counters: Iterable[tuple[RoomTypeId, date]],
) -> Iterator[tuple[RoomTypeId, list[date]]]:
    for room_type_id, of_type in groupby(sorted(counters), key=itemgetter(0)):
        yield room_type_id, [night for _, night in of_type]


def commit_nights(uow: UnitOfWork, nights: Iterable[BookingNight]) -> None:
    """Turn the held units of a tentative booking's unreleased nights into committed ones."""
    by_type = attrgetter("room_type_id")
    held = sorted((night for night in nights if not night.released), key=by_type)
    for room_type_id, run in groupby(held, key=by_type):
        uow.inventory.commit_held(room_type_id, [night.night for night in run])
