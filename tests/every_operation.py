"""One good call of every operation of the library, each with the state that it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from attrs import frozen

from hotelcore import Actor, Role, Secret, Stay, new_id
from hotelcore.core import Desk
from hotelcore.domain.bookings import Booking
from hotelcore.domain.cancellation import CancellationPolicy
from hotelcore.domain.folios import FolioLine
from hotelcore.domain.hotels import HouseRules, UnresolvedArrival
from hotelcore.domain.housekeeping import TaskKind
from hotelcore.domain.rooms import MaintenanceKind, RoomCondition
from hotelcore.ids import BookingId, FolioId, HotelId
from hotelcore.operations import (
    OPERATIONS,
    block_room,
    cancel_booking_with_refund,
    change_house_rules,
    check_in_guest,
    close_business_day,
    connect_pms,
    create_booking_with_folio,
    create_housekeeping_task,
    post_charge_to_folio,
    record_payment,
)
from hotelcore.pms import PmsSnapshot, RemoteGuest, RemoteRoom, RemoteRoomType
from tests.small_hotel import DAY, PRICE, TODAY, SmallHotel

NAMES = sorted(
    name for name, work in OPERATIONS.items() if work.__module__.startswith("hotelcore.")
)
"""Every operation of the library; other tests declare operations too."""

# Each operation has other arguments, and checks them at run time: that is what is tested.
Arguments: TypeAlias = Mapping[str, Any]


@frozen
class GoodCall:
    """An operation with every one of its arguments, ready to be run by ``desk``."""

    desk: Desk
    name: str
    arguments: Arguments

    def run(self, **others: object) -> object:
        """Run the operation, with other values for the arguments named."""
        return self.desk.run(OPERATIONS[self.name], **{**self.arguments, **others})


def good_call(name: str, hotel: SmallHotel) -> GoodCall:
    """Prepare what the operation called ``name`` needs in the hotel, and a call that succeeds."""
    desk = _new_hotels_desk(hotel) if name == "register_hotel" else hotel.desk
    return GoodCall(desk, name, ARGUMENTS[name](hotel))


def _new_hotels_desk(hotel: SmallHotel) -> Desk:
    actor = Actor(hotel_id=HotelId(new_id()), subject="founder", role=Role.ADMIN)
    return hotel.core.acting_as(actor)


# -- what the calls need -------------------------------------------------------------------------


def _text() -> str:
    """Return a text that is unique wherever one must be."""
    return new_id().hex[-12:]


def _now_plus(hotel: SmallHotel, span: timedelta) -> datetime:
    with hotel.desk.reading() as uow:
        return uow.now() + span


def _held(hotel: SmallHotel) -> Booking:
    booking, _ = hotel.desk.run(
        create_booking_with_folio,
        guest_id=hotel.guest_id,
        room_type_id=hotel.room_type_id,
        stay=Stay(TODAY, TODAY + DAY),
        hold_until=_now_plus(hotel, DAY),
    )
    return booking


def _in_house(hotel: SmallHotel) -> Booking:
    return hotel.desk.run(check_in_guest, booking_id=hotel.booked()[0].id)[0]


def _cancelled(hotel: SmallHotel) -> BookingId:
    booking, _ = hotel.booked()
    hotel.desk.run(cancel_booking_with_refund, booking_id=booking.id, reason="ill")
    return booking.id


def _missed(hotel: SmallHotel) -> BookingId:
    """Return a booking whose guest did not come, and whom the night audit waits for."""
    booking, _ = hotel.booked(2)
    patient = HouseRules(unresolved_arrival=UnresolvedArrival.KEEP)
    hotel.desk.run(change_house_rules, rules=patient)
    hotel.desk.run(close_business_day, business_date=TODAY)
    return booking.id


def _folio(hotel: SmallHotel) -> FolioId:
    return hotel.booked()[1].id


def _charge(hotel: SmallHotel) -> FolioLine:
    return hotel.desk.run(post_charge_to_folio, folio_id=_folio(hotel), code="bar", amount=PRICE)


def _payment(hotel: SmallHotel) -> FolioLine:
    return hotel.desk.run(record_payment, folio_id=_folio(hotel), amount=PRICE, method="card")


def _snapshot() -> PmsSnapshot:
    return PmsSnapshot(
        room_types=(RemoteRoomType(external_id="t", code="PMS", name="There", base_rate=PRICE),),
        rooms=(RemoteRoom(external_id="r", room_type_external_id="t", number="P1"),),
        guests=(RemoteGuest(external_id="g", last_name="Remote", first_name="Guest"),),
        bookings=(),
    )


def _connected(hotel: SmallHotel) -> SmallHotel:
    hotel.desk.run(connect_pms, vendor="scripted", external_hotel_id="1")
    return hotel


_FREE_ROOM = -1
"""The room of the hotel that no call here gives to anybody."""

ARGUMENTS: Mapping[str, Callable[[SmallHotel], Arguments]] = {
    # the house
    "register_hotel": lambda hotel: {
        "name": "Lighthouse",
        "time_zone": "Asia/Tokyo",
        "currency": "JPY",
        "business_date": TODAY,
        "rules": HouseRules(),
        "stripe_customer_id": f"cus_{_text()}",
        "stripe_subscription_id": f"sub_{_text()}",
        "attributes": {"stars": 4},
    },
    "change_house_rules": lambda hotel: {"rules": HouseRules()},
    "add_room_type": lambda hotel: {
        "code": _text(),
        "name": "Suite",
        "base_rate": PRICE,
        "max_occupancy": 4,
        "overbooking_limit": 1,
        "attributes": {"view": "sea"},
    },
    "add_rooms": lambda hotel: {
        "room_type_id": hotel.room_type_id,
        "numbers": [_text(), _text()],
        "floor": "2",
        "condition": RoomCondition.DIRTY,
    },
    "bulk_update_room_status": lambda hotel: {
        "room_ids": [room.id for room in hotel.rooms],
        "condition": RoomCondition.INSPECTED,
    },
    "block_room": lambda hotel: {
        "room_id": hotel.rooms[_FREE_ROOM].id,
        "kind": MaintenanceKind.OUT_OF_ORDER,
        "period": Stay(TODAY, TODAY + DAY),
        "reason": "paint",
        "force_reason": "urgent",
    },
    "release_room": lambda hotel: {
        "maintenance_id": hotel.desk.run(block_room, **ARGUMENTS["block_room"](hotel)).id
    },
    # events
    "retry_dead_letters": lambda hotel: {"subscription": "letters", "event_ids": [new_id()]},
    "replay_events": lambda hotel: {"subscription": "letters", "after": 0},
    "forget_subscription": lambda hotel: {"subscription": "letters"},
    "purge_events": lambda hotel: {"before": datetime(2020, 1, 1, tzinfo=UTC)},
    # guests
    "register_guest": lambda hotel: _GUEST,
    "amend_guest": lambda hotel: {"guest_id": hotel.guest_id, **_GUEST},
    "anonymise_guest": lambda hotel: {"guest_id": hotel.guest_id},
    # bookings
    "create_booking_with_folio": lambda hotel: {
        "guest_id": hotel.guest_id,
        "room_type_id": hotel.room_type_id,
        "stay": Stay(TODAY, TODAY + 2 * DAY),
        "nightly_prices": [PRICE, PRICE * 2],
        "adults": 2,
        "children": 1,
        "infants": 1,
        "channel": "web",
        "hold_until": _now_plus(hotel, DAY),
        "cancellation": CancellationPolicy(free_days=3),
        "confirmation_number": _text(),
        "attributes": {"agent": "Z"},
        "force_reason": "a promise",
    },
    "confirm_booking": lambda hotel: {"booking_id": _held(hotel).id},
    "amend_stay": lambda hotel: {
        "booking_id": hotel.booked()[0].id,
        "stay": Stay(TODAY, TODAY + 2 * DAY),
        "nightly_prices": [PRICE],
        "force_reason": "a promise",
    },
    "assign_room": lambda hotel: {
        "booking_id": hotel.booked()[0].id,
        "room_id": hotel.rooms[_FREE_ROOM].id,
        "force_reason": "a promise",
    },
    "assign_rooms": lambda hotel: {
        "room_type_id": hotel.room_type_id,
        "arriving_until": hotel.booked()[0].stay.arrival,
    },
    "cancel_booking_with_refund": lambda hotel: {
        "booking_id": hotel.booked()[0].id,
        "reason": "ill",
        "waive_fee": True,
    },
    "mark_no_show": lambda hotel: {"booking_id": _missed(hotel)},
    "reinstate_booking": lambda hotel: {
        "booking_id": _cancelled(hotel),
        "force_reason": "a promise",
    },
    "expire_holds": lambda hotel: {},
    # the front desk
    "check_in_guest": lambda hotel: {
        "booking_id": hotel.booked()[0].id,
        "room_id": hotel.rooms[_FREE_ROOM].id,
        "keys": 2,
    },
    "move_room": lambda hotel: {
        "booking_id": _in_house(hotel).id,
        "room_id": hotel.rooms[_FREE_ROOM].id,
        "reason": "noise",
    },
    "check_out_guest": lambda hotel: {
        "booking_id": _in_house(hotel).id,
        "unsettled_reason": "the company pays",
    },
    "close_business_day": lambda hotel: {"business_date": TODAY},
    # folios
    "open_folio": lambda hotel: {
        "booking_id": hotel.booked()[0].id,
        "guest_id": hotel.guest_id,
    },
    "post_charge_to_folio": lambda hotel: {
        "folio_id": _folio(hotel),
        "code": "bar",
        "amount": PRICE,
        "description": "one bottle",
        "service_date": TODAY,
    },
    "record_payment": lambda hotel: {
        "folio_id": _folio(hotel),
        "amount": PRICE,
        "method": "card",
        "description": "at the desk",
    },
    "refund_payment": lambda hotel: {
        "line_id": _payment(hotel).id,
        "amount": PRICE,
        "reason": "mistaken",
    },
    "grant_allowance": lambda hotel: {
        "line_id": _charge(hotel).id,
        "amount": PRICE,
        "reason": "cold soup",
    },
    "void_charge": lambda hotel: {"line_id": _charge(hotel).id, "reason": "mistaken"},
    "move_charge": lambda hotel: {"line_id": _charge(hotel).id, "to_folio_id": _folio(hotel)},
    "close_folio": lambda hotel: {"folio_id": _folio(hotel)},
    # house work
    "create_housekeeping_task": lambda hotel: {
        "room_id": hotel.rooms[0].id,
        "kind": TaskKind.STAY_OVER,
        "due": TODAY,
        "priority": 1,
        "assignee": "joe",
        "note": "extra towels",
    },
    "complete_housekeeping_task": lambda hotel: {
        "task_id": hotel.desk.run(
            create_housekeeping_task, room_id=hotel.rooms[0].id, kind=TaskKind.STAY_OVER
        ).id
    },
    # the other system
    "connect_pms": lambda hotel: {
        "vendor": "scripted",
        "external_hotel_id": "1",
        "api_key": Secret("key"),
        "attributes": {"region": "eu"},
    },
    "change_pms_key": lambda hotel: _first({"api_key": Secret("other key")}, _connected(hotel)),
    "disconnect_pms": lambda hotel: _first({}, _connected(hotel)),
    "sync_pms_data": lambda hotel: _first({"snapshot": _snapshot()}, _connected(hotel)),
    # sealed values
    "reseal_secrets": lambda hotel: {"limit": 10},
}

_GUEST: Arguments = {
    "last_name": "Lovelace",
    "first_name": "Ada",
    "email": "ada@example.org",
    "phone": "+44 20 7946 0000",
    "country": "GBR",
    "vip": True,
    "attributes": {"newsletter": False},
}


def _first(arguments: Arguments, _: object) -> Arguments:
    return arguments
