"""Commands on bookings before and after the stay: sold, changed, given rooms, ended, taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.domain.cancellation import CancellationPolicy
from hotelcore.domain.money import Money
from hotelcore.domain.stays import Stay
from hotelcore.testing.machine.commands import MANNERS, Command, against
from hotelcore.testing.machine.driving import Fit, policy_of
from hotelcore.testing.machine.houses import DAY, HOLDING, Booking, House, Key, Night

__all__ = [
    "AWAITED",
    "assign",
    "book",
    "cancel",
    "confirm",
    "give_room",
    "give_up",
    "is_",
    "mark_no_show",
    "reinstate",
    "restay",
    "room_doubts",
    "shows",
]

_MANNERS = st.sampled_from(MANNERS)
_UNKNOWN = frozenset({"NotFound"})
_FORCE = "a promise"


def shows(house: House, told: Any) -> None:  # Any: the library's booking, read by name alone
    """Raise `AssertionError` unless a returned booking is what the machine believes of it."""
    known = house.bookings[told.id.hex]
    seen = (told.status, told.stay.arrival, told.stay.departure, told.total.minor)
    room = told.room_id.hex if told.room_id else None
    believed = (known.status, known.arrival, known.departure, known.total)
    assert (*seen, room) == (*believed, known.room), (told, known)


def is_(*statuses: str) -> Fit:
    """Return the question whether a booking is in one of the states."""
    return lambda _, booking: booking.status in statuses


def span(house: House, begins: int, nights: int) -> tuple[date, date]:
    """Return an arrival so many days after the business date, and a departure."""
    arrival = house.day + begins * DAY
    return arrival, arrival + nights * DAY


def nights_between(arrival: date, departure: date) -> list[date]:
    """Return the nights of a stay."""
    return [arrival + n * DAY for n in range((departure - arrival).days)]


def _forced(force: bool) -> Mapping[str, Any]:
    return {"force_reason": _FORCE} if force else {}


def _override(force: bool) -> Role:
    return Role.MANAGER if force else Role.GUEST


# -- made --------------------------------------------------------------------------------------


def book(
    house: House,
    guest: Key,
    room_type: Key,
    begins: int,
    nights: int,
    *,
    prices: Sequence[int] | None = None,
    hold: timedelta | None = None,
    policy: CancellationPolicy | None = None,
    number: str | None = None,
    force: bool = False,
) -> Command:
    """Sell a stay that begins so many days after the business date."""
    arrival, departure = span(house, begins, nights)
    days, known = nights_between(arrival, departure), house.types.get(room_type)
    until = None if hold is None else house.now + hold
    costs = [known.rate] * len(days) if prices is None and known else list(prices or ())
    arguments: dict[str, Any] = {
        "guest_id": UUID(guest),
        "room_type_id": UUID(room_type),
        "stay": Stay(arrival, departure),
        **_forced(force),
    }
    if prices is not None:
        arguments["nightly_prices"] = [Money(price, house.currency) for price in prices]
    arguments |= {
        name: value
        for name, value in {
            "hold_until": until,
            "cancellation": policy,
            "confirmation_number": number,
        }.items()
        if value is not None
    }
    doubts = against(
        NotFound=guest not in house.guests or known is None,
        ActionRefused=house.guests.get(guest, False),
        InvalidInput=(prices is not None and len(prices) != len(days))
        or (begins < 0 and not force)
        or (hold is not None and hold <= timedelta()),
        AlreadyExists=any(number == b.number for b in house.bookings.values()),
        SoldOut=known is not None and not force and bool(house.full(room_type, days)),
    )

    def learn(result: Any) -> None:
        told, folio = result
        made = Booking(
            told.id.hex,
            told.confirmation_number,
            guest,
            room_type,
            arrival,
            departure,
            "confirmed" if hold is None else "tentative",
            sum(costs),
            house.rules.policy if policy is None else policy_of(policy),
            until,
        )
        for day, price in zip(days, costs, strict=True):
            made.nights[day] = Night(room_type, price)
        house.bookings[made.key] = made
        house.open_folio(made, folio.id.hex)
        shows(house, told)

    return Command(
        operation=op.create_booking_with_folio,
        arguments=arguments,
        doubts=doubts,
        learn=learn,
        needs=_override(force),
        event="booking.created",
    )


def confirm(house: House, key: Key) -> Command:
    """Confirm a tentative booking."""
    known = house.bookings.get(key)

    def learn(told: Any) -> None:
        assert known is not None
        known.status, known.hold_until = "confirmed", None
        shows(house, told)

    doubts = _UNKNOWN
    if known is not None:
        expired = known.hold_until is not None and known.hold_until <= house.now
        doubts = against(
            ActionRefused=known.status != "tentative" or expired or known.is_over(house.day)
        )
    return Command(
        operation=op.confirm_booking,
        arguments={"booking_id": UUID(key)},
        doubts=doubts,
        learn=learn,
        event="booking.updated",
    )


# -- changed -----------------------------------------------------------------------------------


def amend(house: House, key: Key, begins: int, nights: int, *, force: bool = False) -> Command:
    """Give a booking other dates; ``begins`` counts from the arrival that it has."""
    known = house.bookings.get(key)
    first = house.day if known is None else known.arrival
    arrival = first + begins * DAY
    departure = arrival + nights * DAY
    doubts = (
        _UNKNOWN if known is None else amendment_doubts(house, known, arrival, departure, force)
    )

    def learn(told: Any) -> None:
        assert known is not None
        restay(house, known, arrival, departure)
        shows(house, told)

    return Command(
        operation=op.amend_stay,
        arguments={"booking_id": UUID(key), "stay": Stay(arrival, departure), **_forced(force)},
        doubts=doubts,
        learn=learn,
        needs=_override(force),
        event="booking.updated",
    )


def amendment_doubts(
    house: House, known: Booking, arrival: date, departure: date, force: bool
) -> frozenset[str]:
    """Return what speaks against other dates."""
    if known.status not in HOLDING:
        return frozenset({"ActionRefused"})
    in_house, day = known.status == "in_house", house.day
    new, old = nights_between(arrival, departure), nights_between(known.arrival, known.departure)
    added = [night for night in new if night not in old]
    past = [night for night in new if night < day] != [night for night in old if night < day]
    over = day > arrival if arrival == departure else day >= departure
    room_type = house.rooms[known.room].room_type if known.room else known.room_type
    return against(
        ActionRefused=known.is_over(day) and not in_house,
        InvalidInput=(arrival != known.arrival or departure < day) if in_house else (over or past),
        SoldOut=not force and bool(house.full(room_type, added)),
        RoomTaken=known.room is not None and house.taken(known.room, added, but=known.key),
    )


def restay(house: House, known: Booking, arrival: date, departure: date) -> None:
    """Give a booking other nights: new ones cost what the nearest one costs."""
    standing, old = known.standing(), nights_between(known.arrival, known.departure)
    prices, days = [night.price for night in standing.values()], list(standing)
    new = nights_between(arrival, departure)
    for day in days:
        if day not in new:
            standing[day].released, standing[day].room = True, None
    room_type = house.rooms[known.room].room_type if known.room else known.room_type
    for day in (day for day in new if day not in old):
        if not prices:
            price = house.types[known.room_type].rate
        else:
            price = prices[0] if day < days[0] else prices[-1]
        before = known.nights.get(day)
        posted = before is not None and before.posted
        known.nights[day] = Night(room_type, price, known.room, posted=posted)
    known.arrival, known.departure = arrival, departure
    known.total = sum(known.prices())


# -- rooms -------------------------------------------------------------------------------------


def room_doubts(house: House, known: Booking, room: Key, *, force: bool = False) -> frozenset[str]:
    """Return what speaks against giving a booking this room for all its nights to come."""
    coming = known.coming(house.day)
    if not coming:
        day = max(known.arrival, house.day)
        return against(RoomTaken=house.occupied(room) or house.off_sale(room, day))
    if all(night.room == room for night in coming.values()):
        return frozenset()
    room_type = house.rooms[room].room_type
    changing = [day for day, night in coming.items() if night.room_type != room_type]
    return against(
        SoldOut=not force and bool(house.full(room_type, changing)),
        RoomTaken=house.taken(room, coming, but=known.key),
    )


def give_room(house: House, known: Booking, room: Key) -> None:
    """Give a booking a room for all its nights to come."""
    for night in known.coming(house.day).values():
        night.room, night.room_type = room, house.rooms[room].room_type
    known.room = room


def assign(house: House, key: Key, room: Key | None, *, force: bool = False) -> Command:
    """Give a booking a room, the first free one without ``room``."""
    known = house.bookings.get(key)
    chosen = room
    if known is None or (room is not None and room not in house.rooms):
        doubts = _UNKNOWN | against(ActionRefused=known is not None and known.status not in AWAITED)
    else:
        waiting = known.status in AWAITED and not known.is_over(house.day)
        if room is not None:
            doubts = room_doubts(house, known, room, force=force)
        elif known.room is None:
            free = house.free_rooms(known)
            doubts, chosen = against(ActionRefused=not free), free[0] if free else None
        else:
            doubts, chosen = frozenset(), known.room
        doubts |= against(ActionRefused=not waiting or "ActionRefused" in doubts)

    def learn(told: Any) -> None:
        assert known is not None
        assert chosen is not None
        give_room(house, known, chosen)
        shows(house, told)

    return Command(
        operation=op.assign_room,
        arguments={
            "booking_id": UUID(key),
            **({} if room is None else {"room_id": UUID(room)}),
            **_forced(force),
        },
        doubts=doubts,
        learn=learn,
        needs=_override(force),
    )


AWAITED = frozenset({"tentative", "confirmed"})
"""The states before an arrival."""


def assign_all(house: House, room_type: Key, until: date) -> Command:
    """Give rooms of a type to all who arrive until a day."""

    def learn(result: Any) -> None:
        waiting = {
            key
            for key, b in house.bookings.items()
            if b.status == "confirmed"
            and b.room is None
            and b.room_type == room_type
            and b.arrival <= until
            and b.departure > house.day
            and not b.is_day_use
        }
        for told in result:
            known, room = house.bookings[told.id.hex], told.room_id.hex
            assert known.key in waiting, (told, waiting)
            assert house.rooms[room].room_type == room_type, told
            assert not house.taken(room, known.coming(house.day)), told
            give_room(house, known, room)
            shows(house, told)
            waiting.remove(known.key)
        for key in waiting:
            assert not house.free_rooms(house.bookings[key]), f"{key} was left without a free room"

    return Command(
        operation=op.assign_rooms,
        arguments={"room_type_id": UUID(room_type), "arriving_until": until},
        doubts=against(NotFound=room_type not in house.types),
        learn=learn,
    )


# -- ended and taken back ----------------------------------------------------------------------


def cancel(house: House, key: Key, *, waive: bool = False) -> Command:
    """Cancel a booking, with the fee of its own policy or without."""
    known = house.bookings.get(key)

    def learn(result: Any) -> None:
        assert known is not None
        fee = 0 if waive else cancellation_fee(known, house.day)
        refund = end(house, known, fee)
        assert (result.fee.minor, result.refund.minor) == (fee, refund), (result, fee, refund)
        shows(house, result.booking)

    return Command(
        operation=op.cancel_booking_with_refund,
        arguments={
            "booking_id": UUID(key),
            "reason": "other plans",
            **({"waive_fee": True} if waive else {}),
        },
        doubts=_UNKNOWN if known is None else against(ActionRefused=known.status not in AWAITED),
        learn=learn,
        needs=_override(waive),
        event="booking.cancelled",
    )


def cancellation_fee(known: Booking, day: date) -> int:
    """Return what a cancellation on ``day`` costs."""
    free = (known.arrival - day).days >= known.policy.free_days and day <= known.arrival
    return 0 if free else known.policy.late.of(known.prices())


def end(house: House, known: Booking, fee: int) -> int:
    """Cancel a booking; return what is paid back."""
    house.release(known, house.day)
    known.status, known.room = "cancelled", None
    house.charge(known, "cancellation_fee", fee)
    refund = house.refund_credit(known)
    house.close_settled(known)
    return refund


def expire(house: House) -> Command:
    """Let the holds that are over end."""
    ended = [
        booking
        for key, booking in sorted(house.bookings.items())
        if booking.status == "tentative"
        and booking.hold_until is not None
        and booking.hold_until <= house.now
    ]

    def learn(result: Any) -> None:
        assert [told.id.hex for told in result] == [known.key for known in ended], result
        for known in ended:
            end(house, known, 0)

    return Command(operation=op.expire_holds, arguments={}, learn=learn)


def give_up(house: House, known: Booking, from_night: date) -> None:
    """Make a no-show of a booking."""
    fee = known.policy.no_show.of(known.prices())
    house.release(known, from_night)
    known.status, known.room = "no_show", None
    house.charge(known, "no_show_fee", fee)


def mark_no_show(house: House, key: Key) -> Command:
    """Give a booking up whose guest did not come."""
    known = house.bookings.get(key)

    def learn(told: Any) -> None:
        assert known is not None
        give_up(house, known, house.day)
        shows(house, told)

    doubts = _UNKNOWN
    if known is not None:
        doubts = against(ActionRefused=known.status != "confirmed" or house.day <= known.arrival)
    return Command(
        operation=op.mark_no_show,
        arguments={"booking_id": UUID(key)},
        doubts=doubts,
        learn=learn,
        event="booking.noShow",
    )


def reinstate(house: House, key: Key, *, force: bool = False) -> Command:
    """Take a cancelled or no-show booking back."""
    known = house.bookings.get(key)
    doubts = _UNKNOWN
    if known is not None:
        coming = nights_between(max(known.arrival, house.day), known.departure)
        doubts = against(
            ActionRefused=known.status not in ("cancelled", "no_show")
            or known.is_over(house.day)
            or (not force and bool(house.full(known.room_type, coming)))
        )

    def learn(told: Any) -> None:
        assert known is not None
        known.status, known.hold_until = "confirmed", None
        for day in coming:
            known.nights[day].released = False
            known.nights[day].room_type = known.room_type
        known.total = sum(known.prices())
        if not house.open_folios(known.key):
            house.folios[house.folios_of(known.key)[0]].is_open = True
        shows(house, told)

    return Command(
        operation=op.reinstate_booking,
        arguments={"booking_id": UUID(key), **_forced(force)},
        doubts=doubts,
        learn=learn,
        needs=_override(force),
        event="booking.reinstated",
    )


# -- the rules ---------------------------------------------------------------------------------
