"""Commands on bookings before and after the stay: sold, changed, given rooms, ended, taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from hypothesis import strategies as st
from hypothesis.stateful import rule

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.domain.cancellation import CancellationPolicy
from hotelcore.domain.money import Money
from hotelcore.domain.stays import Stay
from hotelcore.testing import strategies as some
from hotelcore.testing.machine.commands import MANNERS, Command, Manner, against
from hotelcore.testing.machine.driving import HOTELS, PICKS, Driver, Fit, driving, policy_of, when
from hotelcore.testing.machine.houses import DAY, HOLDING, Booking, House, Key, Night

__all__ = [
    "AWAITED",
    "ReservationRules",
    "amend",
    "assign",
    "assign_all",
    "book",
    "confirm",
    "forced",
    "give_room",
    "is_",
    "nights_between",
    "override",
    "restay",
    "room_doubts",
    "shows",
]

AWAITED = frozenset({"tentative", "confirmed"})
"""The states of a booking whose guest may still come."""
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


def forced(force: bool) -> Mapping[str, Any]:
    """Return the argument that overrides a rule."""
    return {"force_reason": _FORCE} if force else {}


def override(force: bool) -> Role:
    """Return the role that it takes to override a rule."""
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
    given = None if prices is None else [Money(price, house.currency) for price in prices]
    terms: dict[str, Any] = {
        "nightly_prices": given,
        "hold_until": until,
        "cancellation": policy,
        "confirmation_number": number,
    }
    doubts = against(
        NotFound=guest not in house.guests or known is None,
        ActionRefused=house.guests.get(guest, False),
        InvalidInput=len(costs) != len(days)
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
        arguments={
            "guest_id": UUID(guest),
            "room_type_id": UUID(room_type),
            "stay": Stay(arrival, departure),
            **{name: value for name, value in terms.items() if value is not None},
            **forced(force),
        },
        doubts=doubts,
        learn=learn,
        needs=override(force),
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
        expired = known.hold_is_over(house.now)
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
        arguments={"booking_id": UUID(key), "stay": Stay(arrival, departure), **forced(force)},
        doubts=doubts,
        learn=learn,
        needs=override(force),
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
        ActionRefused=(known.is_over(day) and not in_house) or known.hold_is_over(house.now),
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
        waiting = waiting and not known.hold_is_over(house.now)
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
            **forced(force),
        },
        doubts=doubts,
        learn=learn,
        needs=override(force),
    )


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


# -- the rules ---------------------------------------------------------------------------------


def _may_be_confirmed(house: House, booking: Booking) -> bool:
    return booking.status == "tentative" and not booking.hold_is_over(house.now)


_RARELY = st.sampled_from([False, False, False, True])
_HOLDS = st.sampled_from([None, None, timedelta(hours=20), timedelta(hours=50), timedelta()])
_NUMBERS = st.sampled_from([None, None, "N-1", "N-2"])
_PRICES = st.none() | st.lists(st.sampled_from([0, 1, 9_999, 10_000, -1]), min_size=1, max_size=3)


class ReservationRules(Driver):
    """The rules on bookings."""

    def first_bookings(self, house: House) -> None:
        """Sell a unit from tomorrow on, so that there is something to do."""
        self.run(house, book(house, next(iter(house.guests)), next(iter(house.types)), 1, 2))

    @driving(op.create_booking_with_folio)
    @rule(
        hotel=HOTELS, guest=PICKS, of=PICKS, begins=st.integers(-1, 6), nights=st.integers(0, 5),
        hold=_HOLDS, policy=st.none() | some.policies, number=_NUMBERS, prices=_PRICES,
        force=_RARELY, manner=_MANNERS,
    )  # fmt: skip
    def book_with_terms(
        self, hotel: int, guest: int, of: int, begins: int, nights: int, hold: timedelta | None,
        policy: CancellationPolicy | None, number: str | None, prices: list[int] | None,
        force: bool, manner: Manner,
    ) -> None:  # fmt: skip
        """Book with terms of all kinds."""
        house = self.houses[hotel]
        who, what = self.pick(house, "guests", guest), self.pick(house, "types", of)
        given = None if prices is None else (prices * 5)[: nights or 1]
        command = book(
            house, who, what, begins, nights,
            prices=given, hold=hold, policy=policy, number=number, force=force,
        )  # fmt: skip
        self.run(house, command, manner)

    @driving(op.create_booking_with_folio)
    @rule(hotel=HOTELS, begins=st.integers(0, 3), nights=st.integers(1, 4))
    def book_soon(self, hotel: int, begins: int, nights: int) -> None:
        """Book as most people do."""
        house = self.houses[hotel]
        first = self.pick(house, "types", len(house.types) - 1)
        guest = next((key for key, erased in house.guests.items() if not erased), "0" * 32)
        self.run(house, book(house, guest, first, begins, nights))

    @driving(op.create_booking_with_folio)
    @rule(
        hotel=HOTELS,
        of=PICKS,
        spans=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4)), min_size=2, max_size=4),
    )
    def book_many(self, hotel: int, of: int, spans: list[tuple[int, int]]) -> None:
        """Sell stays of one type that overlap, so that some nights are full and others not."""
        house = self.houses[hotel]
        guest = self.pick(house, "guests", 0, lambda _, erased: not erased)
        room_type = self.pick(house, "types", of % 20)
        for begins, nights in spans:
            self.run(house, book(house, guest, room_type, begins, nights))

    # All rules are equally likely, and a full house is worth several others.
    book_more = book_many

    @driving(op.confirm_booking)
    @when("bookings", _may_be_confirmed)
    @rule(hotel=HOTELS, booking=PICKS, manner=_MANNERS)
    def confirm(self, hotel: int, booking: int, manner: Manner) -> None:
        """Confirm a booking."""
        house = self.house(hotel, "bookings", _may_be_confirmed)
        self.run(
            house, confirm(house, self.pick(house, "bookings", booking, _may_be_confirmed)), manner
        )

    @driving(op.amend_stay)
    @when("bookings", is_(*HOLDING))
    @rule(
        hotel=HOTELS, booking=PICKS, begins=st.integers(-2, 3), nights=st.integers(0, 6),
        force=_RARELY, manner=_MANNERS,
    )  # fmt: skip
    def amend(
        self, hotel: int, booking: int, begins: int, nights: int, force: bool, manner: Manner
    ) -> None:
        """Give a booking other dates."""
        house = self.house(hotel, "bookings", is_(*HOLDING))
        key = self.pick(house, "bookings", booking, is_(*HOLDING))
        self.run(house, amend(house, key, begins, nights, force=force), manner)

    @driving(op.assign_room)
    @when("bookings", is_(*AWAITED))
    @rule(hotel=HOTELS, booking=PICKS, room=st.none() | PICKS, force=_RARELY, manner=_MANNERS)
    def assign(
        self, hotel: int, booking: int, room: int | None, force: bool, manner: Manner
    ) -> None:
        """Give a booking a room."""
        house = self.house(hotel, "bookings", is_(*AWAITED))
        where = None if room is None else self.pick(house, "rooms", room)
        key = self.pick(house, "bookings", booking, is_(*AWAITED))
        self.run(house, assign(house, key, where, force=force), manner)

    @driving(op.assign_rooms)
    @rule(hotel=HOTELS, of=PICKS, days=st.integers(0, 5), manner=_MANNERS)
    def assign_all(self, hotel: int, of: int, days: int, manner: Manner) -> None:
        """Give rooms to all who arrive soon."""
        house = self.houses[hotel]
        command = assign_all(house, self.pick(house, "types", of), house.day + days * DAY)
        self.run(house, command, manner)
