"""One example of every version of every event, as its class has it now and as it is on the wire.

The wire forms lie in ``golden``, a file a version. They are never changed: stored events look like
them. A class that changes gets a new version, an upcaster, and a new file beside the old ones.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

from hotelcore import Money
from hotelcore.domain.cancellation import CancellationCause
from hotelcore.domain.rooms import RoomCondition
from hotelcore.events import catalogue as fact
from hotelcore.events.catalogue import Event
from hotelcore.ids import (
    BookingId,
    FolioId,
    FolioLineId,
    GuestId,
    HotelId,
    PmsConfigId,
    RoomId,
    RoomTypeId,
    TaskId,
)

FOLDER = Path(__file__).parent / "golden"


def _id(number: int) -> UUID:
    return UUID(f"01900000-0000-7000-8000-{number:012}")


_hotel = HotelId(_id(1))
_room = RoomId(_id(3))
_day = date(2026, 12, 1)
Fields = dict[str, Any]  # of any type
_of_booking: Fields = {"hotel_id": _hotel, "booking_id": BookingId(_id(2))}
_of_folio: Fields = {**_of_booking, "folio_id": FolioId(_id(4)), "line_id": FolioLineId(_id(5))}
_with_number: Fields = {**_of_booking, "confirmation_number": "7K3M9QX2TR"}
_eur = partial(Money, currency="EUR")

_EXAMPLES: tuple[tuple[int, Event], ...] = (
    (
        1,
        fact.BookingCreated(
            **_with_number,
            guest_id=GuestId(_id(6)),
            room_type_id=RoomTypeId(_id(7)),
            arrival=_day,
            departure=date(2026, 12, 4),
            total=_eur(36_000),
            channel="direct",
        ),
    ),
    (
        1,
        fact.BookingUpdated(
            **_with_number,
            arrival=_day,
            departure=date(2026, 12, 5),
            total=Money(48_000_000, "KWD"),
            status="confirmed",
        ),
    ),
    (1, fact.BookingRoomAssigned(**_of_booking, room_id=_room, previous_room_id=None)),
    (1, fact.BookingCheckedIn(**_of_booking, room_id=_room, business_date=_day)),
    (
        1,
        fact.BookingCheckedOut(
            **_of_booking, room_id=_room, business_date=date(2026, 12, 3), nights_released=1
        ),
    ),
    (
        1,
        fact.BookingCancelled(
            **_with_number,
            fee=_eur(12_000),
            refund=_eur(0),
            nights_released=3,
            reason=CancellationCause.REQUESTED,
        ),
    ),
    (1, fact.BookingNoShow(**_with_number, fee=_eur(12_000), nights_released=2)),
    (1, fact.BookingReinstated(**_with_number, arrival=_day, departure=date(2026, 12, 4))),
    (1, fact.ChargePosted(**_of_folio, code="room", amount=_eur(12_000), service_date=_day)),
    (
        1,
        fact.ChargeVoided(**_of_folio, voided_line_id=FolioLineId(_id(8)), amount=_eur(-12_000)),
    ),
    (
        1,
        fact.AllowanceGranted(**_of_folio, charge_line_id=FolioLineId(_id(8)), amount=_eur(500)),
    ),
    (
        1,
        fact.AllowanceVoided(**_of_folio, voided_line_id=FolioLineId(_id(9)), amount=_eur(500)),
    ),
    (1, fact.PaymentReceived(**_of_folio, method="card", amount=Money(36_000, "JPY"))),
    (
        1,
        fact.PaymentRefunded(**_of_folio, payment_line_id=FolioLineId(_id(9)), amount=_eur(500)),
    ),
    (1, fact.FolioClosed(**_of_booking, folio_id=FolioId(_id(4)))),
    (
        1,
        fact.RoomStatusChanged(
            hotel_id=_hotel,
            room_id=_room,
            previous=RoomCondition.DIRTY,
            condition=RoomCondition.CLEAN,
        ),
    ),
    (
        1,
        fact.HousekeepingTaskCompleted(
            hotel_id=_hotel, task_id=TaskId(_id(10)), room_id=_room, kind="stayover"
        ),
    ),
    (
        1,
        fact.BusinessDayClosed(
            hotel_id=_hotel,
            business_date=_day,
            next_business_date=date(2026, 12, 2),
            rooms_sold=412,
            room_revenue=_eur(4_944_000),
        ),
    ),
    (1, fact.PmsConnected(hotel_id=_hotel, config_id=PmsConfigId(_id(11)), vendor="apaleo")),
    (1, fact.PmsDisconnected(hotel_id=_hotel, config_id=PmsConfigId(_id(11)), vendor="apaleo")),
    (1, fact.PmsRoomSynced(hotel_id=_hotel, room_id=_room, external_id="MUC-101")),
    (1, fact.PmsGuestSynced(hotel_id=_hotel, guest_id=GuestId(_id(6)), external_id="P-8841")),
    (1, fact.PmsBookingSynced(**_of_booking, external_id="XKQWRT-1")),
)

GOLDEN: Mapping[str, Event] = {
    f"{event.wire_name}.v{version}": event for version, event in _EXAMPLES
}
"""What each golden file opens to, by the file's name."""


def golden(name: str) -> dict[str, Any]:  # any JSON
    """Return the wire form that a golden file holds."""
    payload: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text("utf-8"))
    return payload
