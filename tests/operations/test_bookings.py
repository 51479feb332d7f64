"""Bookings: what is sold, held, amended and given a room."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.domain.bookings import BookingStatus
from hotelcore.domain.cancellation import CancellationPolicy, Fee, FeeKind
from hotelcore.domain.folios import FolioStatus
from hotelcore.domain.hotels import HouseRules
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import MaintenanceKind
from hotelcore.domain.stays import Stay
from hotelcore.errors import (
    ActionRefused,
    AlreadyExists,
    HotelcoreError,
    InvalidInput,
    NotFound,
    PermissionDenied,
    RoomTaken,
    SoldOut,
)
from hotelcore.events import catalogue as fact
from hotelcore.ids import GuestId, RoomTypeId, new_id
from hotelcore.lists import AuditFilter
from tests.operations.recount import (
    commands_of,
    counted_units,
    events_of,
    hearing,
    misplaced_nights,
    recounted_units,
)
from tests.operations.reservations import (
    KEEP,
    add_suites,
    book,
    lives,
    nights_of,
    short_stays,
    stay,
)
from tests.operations.small_hotel import (
    DAY,
    NOON,
    TODAY,
    SmallHotel,
    eur,
    open_hotel,
    refusal,
)

ALL_OF_IT = Fee(kind=FeeKind.SHARE)


# -- selling ----------------------------------------------------------------------------------


@lives
@given(wanted=st.lists(short_stays, min_size=1, max_size=12), rooms=st.integers(1, 3))
def test_a_sale_succeeds_exactly_when_every_night_has_a_unit(
    core: HotelCore, clock: FixedClock, wanted: list[Stay], rooms: int
) -> None:
    """A booking is refused for exactly the full nights, and made when there is none."""
    hotel = open_hotel(core, clock, rooms=rooms)
    sold: Counter[date] = Counter()
    for one in wanted:
        full = tuple(night for night in one if sold[night] == rooms)
        refused = refusal(partial(book, hotel, one))
        if full:
            assert isinstance(refused, SoldOut)
            assert refused.nights == full
        else:
            assert refused is None
            sold.update(one)
    assert counted_units(hotel) == {("DBL", str(night)): (n, 0) for night, n in sold.items()}


def test_a_booking_costs_the_base_rate_a_night_and_gets_an_open_folio(hotel: SmallHotel) -> None:
    """Without prices each night costs what the type costs; one entry and one event tell of it."""
    booking, folio = book(hotel, stay(2, 3), channel="web", adults=2, children=1)
    assert (booking.status, booking.total) == (BookingStatus.CONFIRMED, eur(30_000))
    assert (booking.channel, booking.adults, booking.children) == ("web", 2, 1)
    assert [night.price for night in nights_of(hotel, booking)] == [eur(10_000)] * 3
    assert (folio.booking_id, folio.balance, folio.status) == (
        booking.id,
        eur(0),
        FolioStatus.OPEN,
    )
    assert events_of(hotel) == ["booking.created"]
    assert commands_of(hotel)[-1] == "create_booking_with_folio"
    with hotel.desk().reading() as uow:
        entry = uow.audit.page(AuditFilter(), limit=1).items[0]
    assert (entry.resource, entry.resource_id) == ("booking", booking.id)


def test_a_booking_keeps_the_terms_of_the_day_it_was_made(hotel: SmallHotel) -> None:
    """New house rules leave the policy of a booking alone."""
    strict = CancellationPolicy(free_days=7, late_fee=ALL_OF_IT)
    hotel.desk().run(op.change_house_rules, rules=HouseRules(cancellation=strict))
    booking, _ = book(hotel, stay(1, 1))
    hotel.desk().run(op.change_house_rules, rules=HouseRules())
    assert hotel.booking(booking.id).cancellation == strict
    outcome = hotel.desk().run(op.cancel_booking_with_refund, booking_id=booking.id, reason="ill")
    assert outcome.fee == booking.total


def test_a_day_use_takes_no_unit(hotel: SmallHotel) -> None:
    """A stay without a night is sold even when the house is full, for nothing."""
    for _ in hotel.room_ids:
        book(hotel, stay(0, 1))
    booking, _ = book(hotel, stay(0, 0))
    assert booking.total == eur(0)
    assert counted_units(hotel) == {("DBL", str(TODAY)): (4, 0)}


def test_only_a_permitted_and_stated_override_passes_the_limit(hotel: SmallHotel) -> None:
    """Reception may not oversell; a manager may, and the reason is in the audit."""
    for _ in hotel.room_ids:
        book(hotel, stay(0, 2))
    forced = {
        "guest_id": hotel.guest_id,
        "room_type_id": hotel.type_id,
        "stay": stay(1, 2),
        "force_reason": "the owner's sister",
    }
    before = hotel.rows_beside_the_audit()
    with pytest.raises(PermissionDenied, match="create_booking_with_folio with force_reason needs"):
        hotel.desk(Role.RECEPTION).run(op.create_booking_with_folio, **forced)  # type: ignore[arg-type]  # a mapping of mixed values
    assert hotel.rows_beside_the_audit() == before
    booking, _ = hotel.desk(Role.MANAGER).run(op.create_booking_with_folio, **forced)  # type: ignore[arg-type]  # a mapping of mixed values
    assert booking.status is BookingStatus.CONFIRMED
    with hotel.desk().reading() as uow:
        assert uow.audit.page(AuditFilter(), limit=1).items[0].reason == "the owner's sister"
    assert refusal(lambda: book(hotel, stay(1, 1))) is not None


BAD: list[tuple[str, dict[str, Any], type[HotelcoreError]]] = [  # what callers may get wrong
    ("one price too few", {"nightly_prices": [eur(1)]}, InvalidInput),
    ("a price of another currency", {"nightly_prices": [eur(1), Money(1, "USD")]}, InvalidInput),
    ("a float as price", {"nightly_prices": [1.5, eur(1)]}, InvalidInput),
    ("a stay that is none", {"stay": (TODAY, TODAY + DAY)}, InvalidInput),
    ("an arrival before the business date", {"stay": stay(-1, 2)}, InvalidInput),
    ("a hold that is over", {"hold_until": NOON}, InvalidInput),
    ("a naive hold", {"hold_until": NOON.replace(tzinfo=None)}, InvalidInput),
    ("adults below zero", {"adults": -1}, InvalidInput),
    ("a channel with NUL", {"channel": "a\x00b"}, InvalidInput),
    ("a lone surrogate", {"confirmation_number": "\ud800"}, InvalidInput),
    ("a number of 1 MiB", {"confirmation_number": "9" * 2**20}, InvalidInput),
    ("a float in the attributes", {"attributes": {"rate": 1.5}}, InvalidInput),
    ("a policy that is none", {"cancellation": "flexible"}, InvalidInput),
    ("a reason of white space", {"force_reason": " "}, InvalidInput),
    ("a guest whom the hotel does not have", {"guest_id": GuestId(new_id())}, NotFound),
    ("a type that the hotel does not have", {"room_type_id": RoomTypeId(new_id())}, NotFound),
    ("a taken confirmation number", {"confirmation_number": "TAKEN"}, AlreadyExists),
]


def test_bad_input_is_refused_by_name_before_anything_is_written(hotel: SmallHotel) -> None:
    """Whatever can never be right is refused with a typed error, and every row stays as it was."""
    book(hotel, stay(0, 1), confirmation_number="TAKEN")
    before = hotel.rows()
    good = {"guest_id": hotel.guest_id, "room_type_id": hotel.type_id, "stay": stay(0, 2)}
    for what, wrong, error in BAD:
        arguments: dict[str, Any] = {**good, **wrong}  # some wrong on purpose
        refused = refusal(partial(hotel.desk().run, op.create_booking_with_folio, **arguments))
        assert type(refused) is error, what
    assert hotel.rows() == before


TOLD: list[tuple[dict[str, Any], str]] = [  # what is wrong with a sale, and what is said of it
    ({"stay": stay(-1, 2)}, f"stay: must not begin before the business date, {TODAY}"),
    ({"hold_until": NOON}, "hold_until: must lie ahead"),
    ({"nightly_prices": [eur(1)]}, "nightly_prices: must be one price a new night: 2"),
    (
        {"nightly_prices": [Money(1, "USD"), eur(1)]},
        "nightly_prices: must be in the hotel's currency, EUR",
    ),
]


@pytest.mark.parametrize(("wrong", "text"), TOLD)
def test_a_refused_sale_says_what_is_wrong(
    hotel: SmallHotel, wrong: dict[str, Any], text: str
) -> None:
    """The refusal names the argument, and what it must be."""
    arguments: dict[str, Any] = {"of": stay(0, 2), **wrong}  # some wrong on purpose
    refused = refusal(lambda: book(hotel, arguments.pop("stay", arguments.pop("of")), **arguments))
    assert str(refused) == text


def test_a_stay_of_the_past_is_sold_only_by_force(hotel: SmallHotel) -> None:
    """Whoever states a reason may book what began before the business date."""
    booking, _ = book(hotel, stay(-1, 2), force_reason="found in the old book")
    assert booking.stay == stay(-1, 2)


def test_a_booking_is_reported_as_it_is_made_and_changed(
    hotel: SmallHotel, core: HotelCore
) -> None:
    """Each event says what then holds: dates, total, status and room."""
    heard = hearing(core)
    until = NOON + timedelta(hours=1)
    booking, _ = book(hotel, stay(1, 2), channel="web", hold_until=until)
    desk, first, second = hotel.desk(), *hotel.room_ids[:2]
    desk.run(op.confirm_booking, booking_id=booking.id)
    desk.run(op.amend_stay, booking_id=booking.id, stay=stay(1, 3), nightly_prices=[eur(7)])
    desk.run(op.assign_room, booking_id=booking.id, room_id=second)
    desk.run(op.assign_room, booking_id=booking.id, room_id=first)
    desk.run(op.assign_room, booking_id=booking.id)
    # Any: the fields that all these events share, of several types.
    whose: Any = {"hotel_id": hotel.hotel_id, "booking_id": booking.id}
    made: Any = {"confirmation_number": booking.confirmation_number, "arrival": TODAY + DAY}
    assert heard == [
        fact.BookingCreated(
            guest_id=hotel.guest_id,
            room_type_id=hotel.type_id,
            departure=TODAY + 3 * DAY,
            total=eur(20_000),
            channel="web",
            **whose,
            **made,
        ),
        fact.BookingUpdated(
            departure=TODAY + 3 * DAY, total=eur(20_000), status="confirmed", **whose, **made
        ),
        fact.BookingUpdated(
            departure=TODAY + 4 * DAY, total=eur(20_007), status="confirmed", **whose, **made
        ),
        fact.BookingRoomAssigned(room_id=second, previous_room_id=None, **whose),
        fact.BookingRoomAssigned(room_id=first, previous_room_id=second, **whose),
    ]


FORCED: list[tuple[Callable[..., object], dict[str, Any]]] = [
    (op.amend_stay, {"stay": stay(1, 3)}),
    (op.assign_room, {}),
    (op.reinstate_booking, {}),
]


@pytest.mark.parametrize(("command", "more"), FORCED)
def test_an_override_is_refused_and_noted_by_its_name(
    hotel: SmallHotel, command: Callable[..., object], more: dict[str, Any]
) -> None:
    """The refusal names the command and the argument, the audit entry has the reason."""
    booking, _ = book(hotel, stay(1, 2))
    if command is op.reinstate_booking:
        hotel.desk().run(op.cancel_booking_with_refund, booking_id=booking.id, reason="ill")
    forced: Any = {"booking_id": booking.id, "force_reason": "our mistake", **more}
    with pytest.raises(PermissionDenied) as refused:
        hotel.clerk().run(command, **forced)
    assert refused.value.operation == f"{command.__name__} with force_reason"
    hotel.desk(Role.MANAGER).run(command, **forced)
    with hotel.desk().reading() as uow:
        assert uow.audit.page(AuditFilter(), limit=1).items[0].reason == "our mistake"


# -- holds ------------------------------------------------------------------------------------


def test_a_hold_counts_as_held_until_it_is_confirmed(hotel: SmallHotel) -> None:
    """Confirming turns the held units into committed ones, and then the hold cannot expire."""
    booking, _ = book(hotel, stay(0, 2), hold_until=NOON + timedelta(hours=1))
    assert set(counted_units(hotel).values()) == {(0, 1)}
    confirmed = hotel.desk().run(op.confirm_booking, booking_id=booking.id)
    assert (confirmed.status, confirmed.hold_until) == (BookingStatus.CONFIRMED, None)
    assert set(counted_units(hotel).values()) == {(1, 0)}
    hotel.clock.advance(timedelta(hours=2))
    assert hotel.desk().run(op.expire_holds) == ()


def test_holds_expire_a_few_at_a_time(hotel: SmallHotel) -> None:
    """At most so many end in one transaction, and repeating it ends the others."""
    until = NOON + timedelta(hours=1)
    held = [book(hotel, stay(day, 1), hold_until=until)[0].id for day in range(3)]
    for number in (0, 1_001):
        with pytest.raises(InvalidInput) as refused:
            hotel.desk().run(op.expire_holds, limit=number)
        assert str(refused.value) == "limit: must be from 1 to 1,000"
    for number in (1, 1_000):
        assert hotel.desk().run(op.expire_holds, limit=number) == ()
    hotel.clock.advance(timedelta(hours=1))
    ended = [hotel.desk().run(op.expire_holds, limit=2) for _ in range(3)]
    assert [len(bookings) for bookings in ended] == [2, 1, 0]
    assert [booking.id for bookings in ended for booking in bookings] == held


def test_an_expired_hold_gives_back_its_nights_and_what_was_paid_once(hotel: SmallHotel) -> None:
    """Only holds whose instant has come expire, without a fee; a second run finds nothing."""
    strict = CancellationPolicy(free_days=99, late_fee=ALL_OF_IT)
    early, folio = book(
        hotel, stay(0, 2), hold_until=NOON + timedelta(hours=1), cancellation=strict
    )
    later, _ = book(hotel, stay(0, 2), hold_until=NOON + timedelta(hours=3))
    hotel.pay(folio.id, 5_000)
    hotel.clock.advance(timedelta(hours=1))
    with pytest.raises(ActionRefused) as refused:
        hotel.desk().run(op.confirm_booking, booking_id=early.id)
    assert refused.value.reasons == ("hold_expired",)
    assert [booking.id for booking in hotel.desk().run(op.expire_holds)] == [early.id]
    assert hotel.desk().run(op.expire_holds) == ()
    assert set(counted_units(hotel).values()) == {(0, 1)}
    assert (hotel.folio(folio.id).balance, hotel.folio(folio.id).status) == (
        eur(0),
        FolioStatus.CLOSED,
    )
    assert hotel.booking(later.id).status is BookingStatus.TENTATIVE


# -- other dates ------------------------------------------------------------------------------


def price_like_the_nearest(prices: dict[date, Money], night: date) -> Money:
    """Return the price of the night nearest to ``night``, or the base rate of the type."""
    if not prices:
        return eur(10_000)
    return prices[min(prices, key=lambda known: abs(known - night))]


@lives
@given(
    first=short_stays,
    changes=st.lists(st.builds(stay, st.integers(0, 6), st.integers(0, 4)), max_size=5),
    with_room=st.booleans(),
    hold=st.booleans(),
)
def test_an_amended_booking_has_exactly_the_nights_of_its_stay(
    core: HotelCore,
    clock: FixedClock,
    first: Stay,
    changes: list[Stay],
    with_room: bool,
    hold: bool,
) -> None:
    """Kept nights keep their price, new ones cost what the nearest does, the rest is released."""
    hotel = open_hotel(core, clock, rooms=1)
    until = clock.now() + timedelta(days=9) if hold else None
    prices = [eur(100 * (n + 1)) for n in range(len(first))]
    booking, _ = book(hotel, first, nightly_prices=prices, hold_until=until)
    if with_room:
        booking = hotel.desk().run(op.assign_room, booking_id=booking.id)
    expected = dict(zip(first, prices, strict=True))
    for new in changes:
        expected = {night: price_like_the_nearest(expected, night) for night in new}
        booking = hotel.desk().run(op.amend_stay, booking_id=booking.id, stay=new)
        kept = [night for night in nights_of(hotel, booking) if not night.released]
        assert {night.night: night.price for night in kept} == expected
        assert {night.room_id for night in kept} <= {booking.room_id}
        assert booking.total == eur(sum(price.minor for price in expected.values()))
        one = (0, 1) if hold else (1, 0)
        assert counted_units(hotel) == {("DBL", str(night)): one for night in new}
        assert misplaced_nights(hotel) == []


def test_only_the_difference_between_two_stays_is_sold(hotel: SmallHotel) -> None:
    """In a full house a stay may stay as it is, and may not grow into nights that are full."""
    mine, *_ = [book(hotel, stay(0, 4))[0].id for _ in hotel.room_ids]
    hotel.desk().run(op.amend_stay, booking_id=mine, stay=stay(0, 4))
    hotel.desk().run(op.amend_stay, booking_id=mine, stay=stay(1, 2))
    book(hotel, stay(3, 1))
    before = hotel.rows()
    with pytest.raises(SoldOut) as refused:
        hotel.desk().run(op.amend_stay, booking_id=mine, stay=stay(0, 5))
    assert refused.value.nights == (TODAY + 3 * DAY,)
    assert hotel.rows() == before
    forced = hotel.desk().run(
        op.amend_stay, booking_id=mine, stay=stay(0, 5), force_reason="a regular"
    )
    assert forced.total == eur(50_000)
    assert counted_units(hotel) == recounted_units(hotel)


def test_a_booking_with_a_room_gets_its_new_nights_in_that_room(hotel: SmallHotel) -> None:
    """The kept nights stay in the room, new ones join them, and units are of the room's type."""
    _, (suite,) = add_suites(hotel)
    booking, _ = book(hotel, stay(2, 3))
    hotel.desk().run(op.assign_room, booking_id=booking.id, room_id=suite)
    for new in (stay(3, 1), stay(2, 4), stay(4, 3), stay(0, 5)):
        hotel.desk().run(op.amend_stay, booking_id=booking.id, stay=new)
        kept = [night for night in nights_of(hotel, booking) if not night.released]
        assert [(night.night, night.room_id) for night in kept] == [(day, suite) for day in new]
        assert counted_units(hotel) == {("STE", str(night)): (1, 0) for night in new}


def test_a_room_that_is_taken_stops_an_amendment(hotel: SmallHotel) -> None:
    """A booking cannot grow into a night on which somebody else has its room."""
    room = hotel.room_ids[0]
    mine, theirs = book(hotel, stay(0, 2))[0], book(hotel, stay(2, 2))[0]
    for booking in (mine, theirs):
        hotel.desk().run(op.assign_room, booking_id=booking.id, room_id=room)
    before = hotel.rows()
    with pytest.raises(RoomTaken) as refused:
        hotel.desk().run(op.amend_stay, booking_id=mine.id, stay=stay(0, 4))
    assert (refused.value.room_id, refused.value.nights) == (room, tuple(stay(2, 2)))
    assert hotel.rows() == before


def test_new_nights_cost_what_is_agreed(hotel: SmallHotel) -> None:
    """Prices given for an amendment are those of the new nights in order, no more and no fewer."""
    booking, _ = book(hotel, stay(1, 2))
    new = stay(0, 4)
    for wrong in ([eur(1)], [eur(1)] * 4, [eur(1), Money(2, "USD")]):
        with pytest.raises(InvalidInput):
            hotel.desk().run(op.amend_stay, booking_id=booking.id, stay=new, nightly_prices=wrong)
    amended = hotel.desk().run(
        op.amend_stay, booking_id=booking.id, stay=new, nightly_prices=[eur(1), eur(2)]
    )
    assert [night.price.minor for night in nights_of(hotel, amended)] == [1, 10_000, 10_000, 2]


def test_the_past_of_a_stay_stands(core: HotelCore, clock: FixedClock) -> None:
    """Nights that went by are neither dropped nor added, whoever was late for them."""
    hotel = open_hotel(core, clock, rules=KEEP)
    booking, _ = book(hotel, stay(0, 3))
    hotel.close_day()
    past = f"stay: must not add or drop nights before the business date, {hotel.today}"
    over = f"stay: must not be over on the business date, {hotel.today}"
    for wrong, text in (
        (stay(1, 2), past),
        (stay(-1, 4), past),
        (stay(0, 1), over),
        (stay(0, 0), over),
    ):
        with pytest.raises(InvalidInput) as refused:
            hotel.desk().run(op.amend_stay, booking_id=booking.id, stay=wrong)
        assert str(refused.value) == text
    amended = hotel.desk().run(op.amend_stay, booking_id=booking.id, stay=stay(0, 2))
    assert amended.total == eur(20_000)
    assert counted_units(hotel) == recounted_units(hotel)


# -- rooms ------------------------------------------------------------------------------------


def test_a_room_of_another_type_takes_the_units_of_that_type(hotel: SmallHotel) -> None:
    """An upgrade moves the counters to the better type and keeps the price."""
    _, (suite,) = add_suites(hotel)
    booking, _ = book(hotel, stay(1, 2))
    upgraded = hotel.desk().run(op.assign_room, booking_id=booking.id, room_id=suite)
    assert (upgraded.room_id, upgraded.total) == (suite, eur(20_000))
    assert set(counted_units(hotel)) == {("STE", str(night)) for night in stay(1, 2)}
    back = hotel.desk().run(op.assign_room, booking_id=booking.id, room_id=hotel.room_ids[0])
    assert back.room_id == hotel.room_ids[0]
    assert set(counted_units(hotel)) == {("DBL", str(night)) for night in stay(1, 2)}
    assert misplaced_nights(hotel) == []


def test_an_upgrade_into_a_full_type_needs_an_override(hotel: SmallHotel) -> None:
    """The sale rule of the other type holds, unless a manager says why not."""
    suites, (suite,) = add_suites(hotel)
    hotel.desk().run(
        op.create_booking_with_folio,
        guest_id=hotel.guest_id,
        room_type_id=suites,
        stay=stay(0, 1),
    )
    booking, _ = book(hotel, stay(0, 1))
    with pytest.raises(SoldOut):
        hotel.desk().run(op.assign_room, booking_id=booking.id, room_id=suite)
    forced = hotel.desk().run(
        op.assign_room, booking_id=booking.id, room_id=suite, force_reason="honeymoon"
    )
    assert forced.room_id == suite
    assert counted_units(hotel) == recounted_units(hotel)


def test_a_room_is_picked_in_order_and_kept(hotel: SmallHotel) -> None:
    """Without a named room the first free one by number is given, and asking again keeps it."""
    bookings = [book(hotel, stay(1, 2))[0] for _ in hotel.room_ids]
    rooms = [
        hotel.desk().run(op.assign_room, booking_id=booking.id).room_id for booking in bookings
    ]
    assert rooms == list(hotel.room_ids)
    again = hotel.desk().run(op.assign_room, booking_id=bookings[2].id)
    assert again.room_id == rooms[2]
    assert events_of(hotel).count("booking.roomAssigned") == 4


def test_units_may_be_left_where_no_single_room_is(core: HotelCore, clock: FixedClock) -> None:
    """Fragmented rooms sell a stay and refuse it a room, with the reason that a screen shows."""
    hotel = open_hotel(core, clock, rooms=2)
    for room, of in zip(hotel.room_ids, (stay(0, 1), stay(1, 1)), strict=True):
        booking, _ = book(hotel, of)
        hotel.desk().run(op.assign_room, booking_id=booking.id, room_id=room)
    long, _ = book(hotel, stay(0, 2))
    with pytest.raises(ActionRefused) as refused:
        hotel.desk().run(op.assign_room, booking_id=long.id)
    assert refused.value.reasons == ("no_room",)


def test_a_taken_or_blocked_room_is_not_assigned(hotel: SmallHotel) -> None:
    """Somebody's room and a room out of order are refused with the nights that stand against it."""
    theirs, mine = book(hotel, stay(0, 2))[0], book(hotel, stay(1, 2))[0]
    taken, broken = hotel.room_ids[:2]
    hotel.desk().run(op.assign_room, booking_id=theirs.id, room_id=taken)
    hotel.desk().run(
        op.block_room,
        room_id=broken,
        kind=MaintenanceKind.OUT_OF_ORDER,
        period=stay(2, 5),
        reason="leak",
    )
    for room, night in ((taken, 1), (broken, 2)):
        with pytest.raises(RoomTaken) as refused:
            hotel.desk().run(op.assign_room, booking_id=mine.id, room_id=room)
        assert refused.value.nights == (TODAY + night * DAY,)
    assert hotel.booking(mine.id).room_id is None


def test_a_day_use_needs_an_empty_room_that_is_not_blocked(hotel: SmallHotel) -> None:
    """A day use takes no room night, and still finds no room where somebody is or nobody may be."""
    hotel.move_in(2)
    occupied, broken = hotel.room_ids[:2]
    hotel.desk().run(
        op.block_room,
        room_id=broken,
        kind=MaintenanceKind.OUT_OF_ORDER,
        period=stay(0, 1),
        reason="leak",
    )
    booking, _ = book(hotel, stay(0, 0))
    for room in (occupied, broken):
        with pytest.raises(RoomTaken) as refused:
            hotel.desk().run(op.assign_room, booking_id=booking.id, room_id=room)
        assert (refused.value.room_id, refused.value.nights) == (room, (TODAY,))
    assert hotel.desk().run(op.assign_room, booking_id=booking.id).room_id == hotel.room_ids[2]


@lives
@given(wanted=st.lists(short_stays, max_size=10), rooms=st.integers(1, 4), ahead=st.integers(0, 9))
def test_automatic_assignment_places_whatever_fits(
    core: HotelCore, clock: FixedClock, wanted: list[Stay], rooms: int, ahead: int
) -> None:
    """When nothing is pinned, every booking in the period gets one room for its whole stay."""
    hotel = open_hotel(core, clock, rooms=rooms)
    for one in wanted:
        refusal(partial(book, hotel, one))
    until = TODAY + ahead * DAY
    placed = hotel.desk().run(op.assign_rooms, room_type_id=hotel.type_id, arriving_until=until)
    with hotel.desk().transaction() as uow:
        assert uow.bookings.unassigned(hotel.type_id, until) == ()
    assert all(booking.room_id in hotel.room_ids for booking in placed)
    assert misplaced_nights(hotel) == []


def test_automatic_assignment_leaves_alone_who_has_a_room(
    core: HotelCore, clock: FixedClock
) -> None:
    """Who finds no room beside the pinned ones stays without, and day uses are left to the desk."""
    hotel = open_hotel(core, clock, rooms=2)
    for room, of in zip(hotel.room_ids, (stay(0, 1), stay(1, 1)), strict=True):
        pinned, _ = book(hotel, of)
        hotel.desk().run(op.assign_room, booking_id=pinned.id, room_id=room)
    long, short = book(hotel, stay(0, 2))[0], book(hotel, stay(2, 2))[0]
    day_use, _ = book(hotel, stay(0, 0))
    placed = hotel.desk().run(
        op.assign_rooms, room_type_id=hotel.type_id, arriving_until=TODAY + 9 * DAY
    )
    assert [booking.id for booking in placed] == [short.id]
    assert {hotel.booking(b.id).room_id for b in (long, day_use)} == {None}


def test_automatic_assignment_sees_pinned_rooms_however_far_away(
    core: HotelCore, clock: FixedClock
) -> None:
    """Arrivals years apart are planned together, each around what is taken on its nights."""
    hotel = open_hotel(core, clock, rooms=2)
    first, second = hotel.room_ids
    waiting = [book(hotel, stay(0, 400))[0]]
    for far in (stay(1_500, 2), stay(2_600, 2)):
        pinned, _ = book(hotel, far)
        hotel.desk().run(op.assign_room, booking_id=pinned.id, room_id=first)
        waiting.append(book(hotel, far)[0])
    placed = hotel.desk().run(
        op.assign_rooms, room_type_id=hotel.type_id, arriving_until=TODAY + 3_000 * DAY
    )
    assert [booking.id for booking in placed] == [booking.id for booking in waiting]
    assert [booking.room_id for booking in placed[1:]] == [second, second]


def test_automatic_assignment_gives_no_room_to_a_stay_that_is_over(
    core: HotelCore, clock: FixedClock
) -> None:
    """A guest who came late still gets a room for the rest; one who missed all of it gets none."""
    hotel = open_hotel(core, clock, rules=KEEP)
    over, late = book(hotel, stay(0, 1))[0], book(hotel, stay(0, 2))[0]
    hotel.close_day()
    placed = hotel.desk().run(
        op.assign_rooms, room_type_id=hotel.type_id, arriving_until=hotel.today
    )
    assert [booking.id for booking in placed] == [late.id]
    assert hotel.booking(over.id).room_id is None
