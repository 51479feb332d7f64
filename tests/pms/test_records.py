"""What an adapter sends is checked where it is made, so nothing else gets into a snapshot."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest

from hotelcore.domain.money import Money
from hotelcore.domain.rooms import RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.errors import InvalidInput
from hotelcore.pms import (
    PmsSnapshot,
    RemoteBooking,
    RemoteBookingStatus,
    RemoteGuest,
    RemoteRoom,
    RemoteRooms,
    RemoteRoomType,
)

PRICE = Money(9_000, "EUR")
BAD_MONEY: tuple[object, ...] = (None, 1.5, "90 EUR", (1.5,), (None,), ("90",), {PRICE: 1}, PRICE)
BAD_RECORDS: tuple[object, ...] = (None, 7, "x", ("x",), [None], {"a": 1}, (PRICE,))


def booking(**fields: Any) -> RemoteBooking:
    """Make a booking there of one night, but for what is told."""
    good: dict[str, Any] = {
        "external_id": "b",
        "confirmation_number": "B",
        "guest_external_id": "g",
        "room_type_external_id": "t",
        "status": RemoteBookingStatus.CONFIRMED,
        "stay": Stay(date(2026, 12, 1), date(2026, 12, 2)),
        "nightly_prices": (PRICE,),
        "channel": "pms",
    }
    return RemoteBooking(**(good | fields))


def room(**fields: Any) -> RemoteRoom:
    """Make a room there, but for what is told."""
    good: dict[str, Any] = {"external_id": "r", "room_type_external_id": "t", "number": "1"}
    return RemoteRoom(**(good | fields))


REFUSED: list[tuple[Callable[..., object], str, object]] = [
    *((booking, "nightly_prices", bad) for bad in BAD_MONEY),
    *((booking, "status", bad) for bad in (None, "checked out", 7)),
    *((booking, "stay", bad) for bad in (None, "2026-12-01", (1, 2))),
    *((room, "condition", bad) for bad in ("banana", 7, True, ())),
    *(
        (snapshot, kind, bad)
        for snapshot in (PmsSnapshot, RemoteRooms)
        for kind in ("room_types", "rooms")
        for bad in BAD_RECORDS
    ),
    *((PmsSnapshot, kind, bad) for kind in ("guests", "bookings") for bad in BAD_RECORDS),
    (PmsSnapshot, "rooms", (booking(),)),
]


@pytest.mark.parametrize(("make", "field", "bad"), REFUSED)
def test_what_cannot_be_taken_over_is_refused_by_its_field(
    make: Callable[..., object], field: str, bad: object
) -> None:
    """A value of the wrong kind is the library's own error, and names the field."""
    with pytest.raises(InvalidInput) as refused:
        make(**{field: bad})
    assert refused.value.field == field


def test_what_is_given_in_another_form_is_kept_in_one() -> None:
    """Lists become tuples and a condition's text the condition, as in the hotel's own records."""
    kind = RemoteRoomType(external_id="t", code="T", name="T", base_rate=PRICE)
    who = RemoteGuest(external_id="g", last_name="Guest", first_name="")
    given: Any = {"room_types": [kind], "rooms": [room(condition="dirty")], "guests": [who]}
    snapshot = PmsSnapshot(**given, bookings=[booking(nightly_prices=[PRICE])])  # type: ignore[arg-type]  # a list
    assert snapshot.rooms == (room(condition=RoomCondition.DIRTY),)
    assert (snapshot.room_types, snapshot.guests) == ((kind,), (who,))
    assert snapshot.bookings == (booking(),)
    assert PmsSnapshot() == PmsSnapshot(room_types=(), rooms=(), guests=(), bookings=())
