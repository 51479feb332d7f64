"""Shows that another hotel's id behaves exactly like an unknown one: same error, same text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from uuid import UUID

from attrs import frozen

from hotelcore.core import Desk
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.errors import HotelcoreError
from hotelcore.ids import BookingId, FolioId, FolioLineId, GuestId, RoomId, RoomTypeId, TaskId
from hotelcore.lists import BookingFilter, FolioFilter, GuestFilter, RoomFilter, TaskFilter
from hotelcore.operations import (
    amend_guest,
    bulk_update_room_status,
    check_in_guest,
    complete_housekeeping_task,
    post_charge_to_folio,
    search_availability,
    void_charge,
)
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["Refusal", "refusals"]

_NOTHING = "nothing was refused"


@frozen(kw_only=True)
class Refusal:
    """What was said to another hotel's id of some kind of record, and what to an unknown id."""

    kind: str
    foreign: str
    unknown: str

    @property
    def same(self) -> bool:
        """Whether both were refused in the same words."""
        return self.foreign == self.unknown != _NOTHING


def refusals(theirs: Desk, ours: Desk, new_id: Callable[[], UUID]) -> list[Refusal]:
    """Try what the hotel of ``theirs`` has from the hotel of ``ours``, and ids that nobody has."""
    with theirs.reading() as uow:
        known = _ids(uow)
    return [
        Refusal(
            kind=kind,
            foreign=_answer(ours, _ATTEMPTS[kind], its_id),
            unknown=_answer(ours, _ATTEMPTS[kind], new_id()),
        )
        for kind, its_id in known.items()
    ]


def _answer(desk: Desk, attempt: Callable[[UnitOfWork, UUID], object], its_id: UUID) -> str:
    """Return the error's class and text, with ``ID`` where it repeats the id."""
    try:
        desk.run(attempt, its_id)
    except HotelcoreError as error:
        return f"{type(error).__name__}: {error}".replace(str(its_id), "ID")
    return _NOTHING


def _ids(uow: UnitOfWork) -> dict[str, UUID]:
    """Return the id of one record of each kind that the hotel has."""
    folios = uow.folios.page(FolioFilter(), limit=1).items
    found: dict[str, list[UUID]] = {
        "room type": [kind.id for kind in uow.room_types.all()],
        "room": [room.id for room in uow.rooms.page(RoomFilter(), limit=1).items],
        "guest": [guest.id for guest in uow.guests.page(GuestFilter(), limit=1).items],
        "booking": [booking.id for booking in uow.bookings.page(BookingFilter(), limit=1).items],
        "folio": [folio.id for folio in folios],
        "folio line": [line.id for folio in folios for line in uow.folios.lines(folio.id)],
        "task": [task.id for task in uow.housekeeping.page(TaskFilter(), limit=1).items],
    }
    return {kind: ids[0] for kind, ids in found.items() if ids}


def _search(uow: UnitOfWork, its_id: UUID) -> object:
    today = uow.hotel.business_date
    stay = Stay(today, today + timedelta(days=1))
    return search_availability(uow, stay=stay, room_type_id=RoomTypeId(its_id))


def _clean(uow: UnitOfWork, its_id: UUID) -> object:
    condition = RoomCondition.CLEAN
    return bulk_update_room_status(uow, room_ids=[RoomId(its_id)], condition=condition)


def _amend(uow: UnitOfWork, its_id: UUID) -> object:
    return amend_guest(uow, guest_id=GuestId(its_id), last_name="Guest")


def _check_in(uow: UnitOfWork, its_id: UUID) -> object:
    return check_in_guest(uow, booking_id=BookingId(its_id))


def _charge(uow: UnitOfWork, its_id: UUID) -> object:
    amount = Money.of(1, uow.hotel.currency)
    return post_charge_to_folio(uow, folio_id=FolioId(its_id), code="bar", amount=amount)


def _void(uow: UnitOfWork, its_id: UUID) -> object:
    return void_charge(uow, line_id=FolioLineId(its_id), reason="not ours")


def _complete(uow: UnitOfWork, its_id: UUID) -> object:
    return complete_housekeeping_task(uow, task_id=TaskId(its_id))


_ATTEMPTS: Mapping[str, Callable[[UnitOfWork, UUID], object]] = {
    "room type": _search,
    "room": _clean,
    "guest": _amend,
    "booking": _check_in,
    "folio": _charge,
    "folio line": _void,
    "task": _complete,
}
