"""Hotels are set up, guests taken in and forgotten, stays searched and quoted."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.domain.bookings import Action, BookingStatus, Reason
from hotelcore.domain.guests import ANONYMOUS, Guest
from hotelcore.domain.hotels import HouseRules, UnresolvedArrival
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.errors import (
    ActionRefused,
    AlreadyExists,
    CurrencyMismatch,
    InvalidInput,
    NotFound,
    PermissionDenied,
    StaleVersion,
)
from hotelcore.ids import GuestId, HotelId, RoomTypeId
from hotelcore.lists import GuestFilter, every
from hotelcore.tenancy import Actor
from tests.operations.small_hotel import (
    DAY,
    NOON,
    TODAY,
    SmallHotel,
    eur,
    open_hotel,
    refusal,
)

BAD_NAMES = ["", " \t", "a\x00b", "\ud800", "x" * 201, "x" * 1_048_576, None, 7, b"Ada"]

# -- guests -----------------------------------------------------------------------------------


def register(hotel: SmallHotel, **fields: Any) -> Guest:
    """Take in a guest."""
    return hotel.desk().run(op.register_guest, **{"last_name": "Hopper", **fields})


def test_a_guest_is_found_as_registered_and_as_amended(hotel: SmallHotel) -> None:
    """Amending replaces everything; what is not given again is gone."""
    guest = register(hotel, first_name="Grace", email="grace@example.org", attributes={"card": 7})
    amended = hotel.desk().run(
        op.amend_guest, guest_id=guest.id, last_name="Murray Hopper", phone="+1 555 0100", vip=True
    )
    assert (amended.first_name, amended.email, dict(amended.attributes)) == ("", None, {})
    assert (amended.vip, amended.version) == (True, 2)
    with hotel.desk().reading() as uow:
        assert uow.guests.get(guest.id) == amended
        assert uow.guests.page(GuestFilter(last_name="murray")).items == (amended,)
        assert uow.guests.page(GuestFilter(email="grace@example.org")).items == ()


def test_guests_are_paged_by_name_and_no_cursor_names_one(hotel: SmallHotel) -> None:
    """Pages together give every guest once, behind cursors that hold an id alone."""
    names = ["Zuse", "Hopper", "Hopper", "Babbage", "Ada"]
    guests = [register(hotel, last_name=name) for name in names]
    seen: list[str] = []
    mark = ""
    with hotel.desk().reading() as uow:
        page = uow.guests.page(GuestFilter(), limit=2)
        while page.next is not None:
            seen += [guest.last_name for guest in page.items]
            mark, *shown = json.loads(b64decode(page.next + "=="))
            assert (len(mark), shown) == (4, [str(page.items[-1].id)])
            page = uow.guests.page(GuestFilter(), after=page.next, limit=2)
        seen += [guest.last_name for guest in page.items]
        unknown = b64encode(f'["{mark}","{uuid4()}"]'.encode()).decode()
        with pytest.raises(InvalidInput, match="after: must be a cursor that this list gave"):
            uow.guests.page(GuestFilter(), after=unknown)
    assert [name for name in seen if name in names] == sorted(guest.last_name for guest in guests)


@pytest.mark.parametrize("bad", BAD_NAMES, ids=lambda bad: type(bad).__name__)
def test_a_bad_name_is_refused_before_anything_is_written(hotel: SmallHotel, bad: Any) -> None:
    """Empty, unstorable, over-long names and other types are refused by name, on both databases."""
    before, desk, hotel_guest = hotel.rows(), hotel.desk(), hotel.guest_id
    attempts: list[Callable[[], object]] = [
        lambda: desk.run(op.register_guest, last_name=bad),
        lambda: desk.run(op.amend_guest, guest_id=hotel_guest, last_name=bad),
    ]
    for attempt in attempts:
        error = refusal(attempt)
        assert isinstance(error, InvalidInput)
        assert error.field == "last_name"
    assert hotel.rows() == before


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("first_name", "x" * 201),
        ("email", "x" * 321),
        ("phone", "9" * 51),
        ("country", "PRTX"),
        ("country", ""),
        ("attributes", {"height": 1.75}),
        ("attributes", {"note": "\x00"}),
        ("attributes", {"note": "x" * 9_000}),
        ("attributes", ["no mapping"]),
    ],
)
def test_bad_details_of_a_guest_are_refused_by_name(
    hotel: SmallHotel, field: str, bad: Any
) -> None:
    """Each field has its limit, and the error names the field, never the value."""
    before = hotel.rows()
    with pytest.raises(InvalidInput) as refused:
        register(hotel, **{field: bad})
    assert refused.value.field == field
    assert str(bad) not in str(refused.value) or not bad
    assert hotel.rows() == before


SECRETS = st.text("QXZJ", min_size=12, max_size=12)


@pytest.mark.long
@settings(max_examples=15)
@given(secret=SECRETS)
@example(secret="QXZJQXZJQXZJ")
def test_nothing_of_an_anonymised_guest_is_left_anywhere(
    core: HotelCore, clock: FixedClock, secret: str
) -> None:
    """No table holds a value of the guest any more, while money and statistics are unchanged."""
    hotel = open_hotel(core, clock)
    told: dict[str, Any] = {
        "last_name": f"L{secret}",
        "first_name": f"F{secret}",
        "email": f"{secret}@example.org",
        "phone": f"+351 {secret}",
        "country": "PRT",
        "attributes": {"passport": f"P{secret}"},
    }
    guest = hotel.desk().once("first").run(op.register_guest, **told)
    told["last_name"] = f"M{secret}"
    hotel.desk().once("second").run(op.amend_guest, guest_id=guest.id, **told)
    folio_id, kept = _lived_here(hotel, guest.id)
    assert secret in repr(hotel.rows()).upper()
    hotel.desk().run(op.anonymise_guest, guest_id=guest.id)
    assert secret not in repr(hotel.rows()).upper()
    assert (_money_of(hotel), len(hotel.lines(folio_id))) == kept
    again = hotel.desk().once("first").run(op.register_guest, **{**told, "last_name": f"L{secret}"})
    assert (again.id, again.last_name) == (guest.id, ANONYMOUS)


def _lived_here(hotel: SmallHotel, guest_id: GuestId) -> tuple[Any, Any]:
    desk = hotel.desk()
    booking, folio = desk.run(
        op.create_booking_with_folio,
        guest_id=guest_id,
        room_type_id=hotel.type_id,
        stay=Stay(hotel.today, hotel.today + DAY),
    )
    hotel.check_in(booking)
    hotel.close_day()
    hotel.pay(folio.id, 10_000)
    desk.run(op.check_out_guest, booking_id=booking.id)
    return folio.id, (_money_of(hotel), len(hotel.lines(folio.id)))


def _money_of(hotel: SmallHotel) -> list[object]:
    rows = hotel.rows()
    return [rows[name] for name in ("hc_folio_line", "hc_business_day", "hc_booking_night")]


def test_anonymising_twice_changes_nothing_more(hotel: SmallHotel) -> None:
    """The second call returns the guest as the first one left it."""
    guest = register(hotel, vip=True, country="PRT", attributes={"card": 7})
    desk = hotel.desk()
    erased = desk.run(op.anonymise_guest, guest_id=guest.id)
    assert (erased.last_name, erased.first_name, dict(erased.attributes)) == (ANONYMOUS, "", {})
    hotel.clock.advance(DAY)
    assert desk.run(op.anonymise_guest, guest_id=guest.id) == erased
    with pytest.raises(ActionRefused) as refused:
        desk.run(op.amend_guest, guest_id=guest.id, last_name="Hopper")
    assert (refused.value.action, refused.value.reasons) == ("amend_guest", ("anonymised",))
    with pytest.raises(ActionRefused) as unwanted:
        desk.run(
            op.create_booking_with_folio,
            guest_id=guest.id,
            room_type_id=hotel.type_id,
            stay=Stay(TODAY, TODAY + DAY),
        )
    assert (unwanted.value.action, unwanted.value.reasons) == ("book", ("anonymised",))
    assert (erased.anonymised_at, erased.vip, erased.country) == (NOON, True, None)


def test_another_guests_booking_hinders_no_erasure(hotel: SmallHotel) -> None:
    """Only the guest's own open bookings keep the guest from being anonymised."""
    hotel.book()
    stranger = register(hotel)
    erased = hotel.desk().run(op.anonymise_guest, guest_id=stranger.id)
    assert erased.last_name == ANONYMOUS


def test_a_guest_has_what_was_told_and_nothing_else(hotel: SmallHotel) -> None:
    """Every detail is kept as it was given, and one that was not given is empty."""
    told: dict[str, Any] = {
        "last_name": "Hopper",
        "first_name": "Grace",
        "email": "grace@example.org",
        "phone": "+1 555 0100",
        "country": "USA",
        "vip": True,
        "attributes": {"card": 7},
    }
    bare = {"first_name": "", "email": None, "phone": None, "country": None, "vip": False}
    full, empty = register(hotel, **told), register(hotel)
    amended = hotel.desk().run(op.amend_guest, guest_id=empty.id, **told)
    emptied = hotel.desk().run(op.amend_guest, guest_id=full.id, last_name="Hopper")
    for guest, expected in (
        (full, told),
        (amended, told),
        (empty, {**told, **bare, "attributes": {}}),
        (emptied, {**told, **bare, "attributes": {}}),
    ):
        assert {name: getattr(guest, name) for name in told} == expected
        assert guest.created_at == NOON


def test_a_booking_of_an_anonymised_guest_is_not_taken_back(hotel: SmallHotel) -> None:
    """Nobody is left to expect; the table and the command say so alike, also beyond the limit."""
    booking, _ = hotel.book(2)
    desk = hotel.desk()
    desk.run(op.cancel_booking_with_refund, booking_id=booking.id, reason="other plans")
    desk.run(op.anonymise_guest, guest_id=hotel.guest_id)
    with desk.reading() as uow:
        told = op.possible_actions(uow, booking_id=booking.id)[Action.REINSTATE]
    before = hotel.rows()
    for why in (None, "a promise"):
        reinstate: dict[str, Any] = {"booking_id": booking.id, "force_reason": why}
        with pytest.raises(ActionRefused) as refused:
            desk.run(op.reinstate_booking, **reinstate)
        assert refused.value.reasons == told == (Reason.ANONYMISED,)
    assert hotel.rows() == before


def test_nobody_overwrites_a_guest_whom_they_have_not_seen(hotel: SmallHotel) -> None:
    """Of two who amend the same version the later one is told; with a fresh one it goes through."""
    desk, seen = hotel.desk(), hotel.desk().run(op.register_guest, last_name="Lovelace")
    amend: dict[str, Any] = {"guest_id": seen.id, "last_name": "Lovelace"}
    first = desk.run(op.amend_guest, **amend, email="a@example.org", version=seen.version)
    before = hotel.rows()
    late = lambda: desk.run(op.amend_guest, **amend, phone="1", version=seen.version)  # noqa: E731
    assert isinstance(refusal(late), StaleVersion)
    assert hotel.rows() == before
    again = desk.run(op.amend_guest, **amend, phone="1", version=first.version)
    assert (again.phone, again.email, again.version) == ("1", None, first.version + 1)


def test_a_guest_who_is_expected_is_not_anonymised(hotel: SmallHotel) -> None:
    """While a booking holds nights the hotel needs to know whose they are."""
    desk = hotel.desk()
    anonymise = lambda: desk.run(op.anonymise_guest, guest_id=hotel.guest_id)  # noqa: E731
    held, _ = desk.run(
        op.create_booking_with_folio,
        guest_id=hotel.guest_id,
        room_type_id=hotel.type_id,
        stay=Stay(TODAY, TODAY + DAY),
        hold_until=NOON + timedelta(hours=1),
    )
    steps: list[Any] = [op.confirm_booking, op.check_in_guest, op.check_out_guest]
    for step in steps:
        error = refusal(anonymise)
        assert isinstance(error, ActionRefused)
        assert (error.action, error.reasons) == ("anonymise", ("booking_open",))
        desk.run(step, booking_id=held.id)
    assert hotel.booking(held.id).status is BookingStatus.CHECKED_OUT
    assert refusal(anonymise) is None


def test_a_cursor_of_another_hotel_is_none(
    hotel: SmallHotel, core: HotelCore, clock: FixedClock
) -> None:
    """Where a guest of another hotel would stand in the list is not to be found out."""
    other = open_hotel(core, clock)
    register(other, last_name="Hopper")
    with other.desk().reading() as uow:
        cursor = uow.guests.page(GuestFilter(), limit=1).next
    with hotel.desk().reading() as uow, pytest.raises(InvalidInput, match="after: must be"):
        uow.guests.page(GuestFilter(), after=cursor)


def test_guests_of_another_hotel_are_unknown(
    hotel: SmallHotel, core: HotelCore, clock: FixedClock
) -> None:
    """A foreign guest is neither amended nor anonymised, and looks like one that nobody has."""
    other, desk = open_hotel(core, clock), hotel.desk()
    before = other.rows()
    for guest_id in (other.guest_id, GuestId(uuid4())):
        for attempt in (
            lambda key=guest_id: desk.run(op.amend_guest, guest_id=key, last_name="Hopper"),
            lambda key=guest_id: desk.run(op.anonymise_guest, guest_id=key),
        ):
            error = refusal(attempt)
            assert isinstance(error, NotFound)
            assert error.message() == f"this hotel has no guest {guest_id}"
    assert other.rows() == before


def test_only_a_manager_anonymises(hotel: SmallHotel) -> None:
    """What cannot be undone is not done from the front desk."""
    for role in (Role.GUEST, Role.STAFF, Role.RECEPTION):
        with pytest.raises(PermissionDenied):
            hotel.desk(role).run(op.anonymise_guest, guest_id=hotel.guest_id)
    hotel.desk(Role.MANAGER).run(op.anonymise_guest, guest_id=hotel.guest_id)


# -- hotels -----------------------------------------------------------------------------------

FRESH: dict[str, Any] = {
    "name": "New Hotel",
    "time_zone": "Europe/Lisbon",
    "currency": "EUR",
    "business_date": TODAY,
}


def register_new(core: HotelCore, **fields: Any) -> HotelId:
    """Register a hotel nobody has seen before and return its id."""
    hotel_id = HotelId(uuid4())
    desk = core.acting_as(Actor(hotel_id=hotel_id, subject="ana", role=Role.ADMIN))
    assert desk.run(op.register_hotel, **{**FRESH, **fields}).id == hotel_id
    return hotel_id


def test_a_hotel_is_registered_once_by_its_own_actor(core: HotelCore) -> None:
    """The new hotel is the actor's; registering it again is refused and changes nothing."""
    hotel_id = register_new(core)
    desk = core.acting_as(Actor(hotel_id=hotel_id, subject="ana", role=Role.ADMIN))
    with pytest.raises(AlreadyExists):
        desk.run(op.register_hotel, **{**FRESH, "name": "Another"})
    with desk.reading() as uow:
        assert (uow.hotel.name, uow.hotel.business_date) == ("New Hotel", TODAY)


@pytest.mark.parametrize("field", ["stripe_customer_id", "stripe_subscription_id"])
def test_a_stripe_id_belongs_to_one_hotel(core: HotelCore, field: str) -> None:
    """The second hotel is told which id is taken, not by whom."""
    taken = f"id_{uuid4()}"
    register_new(core, **{field: taken})
    register_new(core)
    with pytest.raises(AlreadyExists) as refused:
        register_new(core, **{field: taken})
    assert (refused.value.kind, refused.value.field) == ("hotel", field)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("name", "\ud800"),
        ("time_zone", "Mars/Olympus"),
        ("time_zone", "localtime"),
        ("currency", "EURO"),
        ("currency", "eur"),
        ("currency", "XAU"),
        ("business_date", TODAY + DAY),
        ("business_date", NOON),
        ("business_date", date(1, 1, 1)),
        ("rules", {"unresolved_arrival": "keep"}),
        ("stripe_customer_id", ""),
    ],
)
def test_a_hotel_with_a_bad_field_is_refused_by_name(core: HotelCore, field: str, bad: Any) -> None:
    """Nothing of the hotel is stored, so it can be registered properly afterwards."""
    hotel_id = HotelId(uuid4())
    desk = core.acting_as(Actor(hotel_id=hotel_id, subject="ana", role=Role.ADMIN))
    with pytest.raises(InvalidInput) as refused:
        desk.run(op.register_hotel, **{**FRESH, field: bad})
    assert refused.value.field == field
    assert desk.run(op.register_hotel, **FRESH).id == hotel_id


def test_the_first_business_date_is_never_ahead_of_the_hotels_own_date(
    core: HotelCore, clock: FixedClock
) -> None:
    """At noon UTC it is already tomorrow in Kiritimati and hardly today in Pago Pago."""
    clock.set(datetime(2026, 12, 1, 10, 30, tzinfo=UTC))
    register_new(core, time_zone="Pacific/Kiritimati", business_date=TODAY + DAY)
    register_new(core, time_zone="Pacific/Pago_Pago", business_date=TODAY - DAY)
    with pytest.raises(InvalidInput) as refused:
        register_new(core, time_zone="Pacific/Pago_Pago", business_date=TODAY)
    assert str(refused.value) == (
        "business_date: must not be ahead of the date in the hotel's zone"
    )


def test_a_hotel_has_what_was_told(core: HotelCore) -> None:
    """Every field of a new hotel is kept as it was given; without rules it has the default ones."""
    rules = HouseRules(unresolved_arrival=UnresolvedArrival.KEEP)
    told: dict[str, Any] = {
        **FRESH,
        "rules": rules,
        "stripe_customer_id": f"cus_{uuid4()}",
        "stripe_subscription_id": f"sub_{uuid4()}",
        "attributes": {"stars": 4},
    }
    for hotel_id, expected in (
        (register_new(core, **told), told),
        (register_new(core), {**FRESH, "rules": HouseRules(), "attributes": {}}),
    ):
        desk = core.acting_as(Actor(hotel_id=hotel_id, subject="ana", role=Role.ADMIN))
        with desk.reading() as uow:
            hotel = uow.hotel
        assert {name: getattr(hotel, name) for name in expected} == expected
        assert hotel.created_at == NOON


def test_new_house_rules_hold_for_what_is_booked_from_now_on(hotel: SmallHotel) -> None:
    """Rules are replaced whole; anything else than rules is refused."""
    rules = HouseRules(
        ready_condition=RoomCondition.INSPECTED, unresolved_arrival=UnresolvedArrival.KEEP
    )
    assert hotel.desk().run(op.change_house_rules, rules=rules).rules == rules
    booking, _ = hotel.book()
    with pytest.raises(ActionRefused) as refused:
        hotel.check_in(booking)
    assert "room_not_ready" in refused.value.reasons
    bad: Any = {"ready_condition": "clean"}
    with pytest.raises(InvalidInput, match="rules"):
        hotel.desk().run(op.change_house_rules, rules=bad)


@pytest.mark.parametrize("role", [Role.GUEST, Role.STAFF, Role.RECEPTION, Role.MANAGER])
def test_only_an_admin_sets_a_hotel_up(hotel: SmallHotel, role: Role) -> None:
    """Rules, types and rooms are not changed in the course of the day's work."""
    desk, before = hotel.desk(role), hotel.rows_beside_the_audit()
    attempts: list[Callable[[], object]] = [
        lambda: desk.run(op.change_house_rules, rules=HouseRules()),
        lambda: desk.run(op.add_room_type, code="S", name="Suite", base_rate=eur(1)),
        lambda: desk.run(op.add_rooms, room_type_id=hotel.type_id, numbers=["900"]),
    ]
    assert all(type(refusal(attempt)) is PermissionDenied for attempt in attempts)
    assert hotel.rows_beside_the_audit() == before


# -- room types and rooms ---------------------------------------------------------------------


DIGITLESS = st.text(st.characters(exclude_categories=["Nd", "Cs"], exclude_characters="\0"))


@given(theirs=DIGITLESS, asked=DIGITLESS, digits=st.from_regex(r"[0-9]{1,9}", fullmatch=True))
@example(theirs="unknown", asked="unknown", digits="1")
def test_by_a_phone_without_digits_nobody_is_found(
    hotel: SmallHotel, theirs: str, asked: str, digits: str
) -> None:
    """Guests of whom no number is known are not one guest; a number finds who has it."""
    theirs, asked = theirs[:40], asked[:40]
    guest = register(hotel, phone=f"{theirs} {digits}")
    for _ in range(2):
        register(hotel, phone=f"n {theirs}")

    def found(phone: str) -> list[GuestId]:
        with hotel.desk().reading() as uow:
            pages = partial(uow.guests.page, GuestFilter(phone=phone))
            return [each.id for each in every(lambda after: pages(after=after))]

    assert found(asked) == found(f"n {theirs}") == []
    assert guest.id in found(digits)


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"code": "DBL"}, AlreadyExists),
        ({"base_rate": Money(1, "USD")}, CurrencyMismatch),
        ({"base_rate": eur(-1)}, InvalidInput),
        ({"base_rate": 100}, InvalidInput),
        ({"max_occupancy": 0}, InvalidInput),
        ({"overbooking_limit": -1}, InvalidInput),
        ({"code": "x" * 21}, InvalidInput),
    ],
)
def test_a_room_type_that_cannot_be_is_refused(
    hotel: SmallHotel, fields: dict[str, Any], error: type[Exception]
) -> None:
    """A code is unique, a rate is money of the hotel from zero on, counts have limits."""
    before = hotel.rows()
    given_fields = {"code": "SUI", "name": "Suite", "base_rate": eur(1), **fields}
    with pytest.raises(error):
        hotel.desk().run(op.add_room_type, **given_fields)
    assert hotel.rows() == before


def test_a_room_type_of_another_currency_names_both(hotel: SmallHotel) -> None:
    """The refusal says the hotel's currency and the one that was given."""
    with pytest.raises(CurrencyMismatch) as refused:
        hotel.desk().run(op.add_room_type, code="S", name="Suite", base_rate=Money(1, "USD"))
    assert (refused.value.left, refused.value.right) == ("EUR", "USD")


def test_types_and_rooms_have_what_was_told(hotel: SmallHotel) -> None:
    """Every field is kept as it was given; without more a type sleeps two and is not overbooked."""
    desk = hotel.desk()
    told: dict[str, Any] = {"code": "S", "name": "Suite", "base_rate": eur(0)}
    plain = desk.run(op.add_room_type, **told)
    assert (plain.max_occupancy, plain.overbooking_limit, dict(plain.attributes)) == (2, 0, {})
    told |= {"code": "T", "max_occupancy": 5, "overbooking_limit": 3, "attributes": {"m2": 40}}
    full = desk.run(op.add_room_type, **told)
    assert {name: getattr(full, name) for name in told} == told
    (bare,) = desk.run(op.add_rooms, room_type_id=full.id, numbers=["1"])
    (dirty,) = desk.run(
        op.add_rooms,
        room_type_id=full.id,
        numbers=["2"],
        floor="9",
        condition=RoomCondition.DIRTY,
    )
    assert (bare.floor, bare.condition) == (None, RoomCondition.CLEAN)
    assert (dirty.floor, dirty.condition) == ("9", RoomCondition.DIRTY)
    with desk.reading() as uow:
        assert (uow.rooms.get(bare.id), uow.rooms.get(dirty.id)) == (bare, dirty)
        assert uow.room_types.get(full.id) == full


def test_new_rooms_are_counted_on_past_nights_too(core: HotelCore, clock: FixedClock) -> None:
    """Every counter equals its recount from today's rooms; a closed day keeps the rooms it had."""
    hotel = open_hotel(core, clock, rooms=2)
    hotel.book(3)
    hotel.close_day()
    hotel.desk().run(op.add_rooms, room_type_id=hotel.type_id, numbers=["900"])
    with hotel.desk().reading() as uow:
        counted = uow.inventory.nights(Stay(TODAY - DAY, TODAY + 3 * DAY), hotel.type_id)
        assert [night.rooms for night in counted] == [3] * 4
        [closed] = uow.business_days.between(TODAY, TODAY)
    assert closed.rooms == 2
    assert core.prove(hotel.hotel_id).ok


TOO_FEW_OR_MANY = "numbers: must name 1 to 5,000 rooms"


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"numbers": []}, TOO_FEW_OR_MANY),
        ({"numbers": ["900"] * 5_001}, TOO_FEW_OR_MANY),
        ({"numbers": ["900"] * 5_000}, "numbers: must name each room once"),
        ({"numbers": ["900", "900"]}, "numbers: must name each room once"),
        ({"condition": "spotless"}, "condition: must be "),
    ],
)
def test_a_refusal_of_rooms_says_what_is_wrong(
    hotel: SmallHotel, fields: dict[str, Any], text: str
) -> None:
    """How many there may be, that each is named once, and which condition there is none of."""
    given_fields = {"room_type_id": hotel.type_id, "numbers": ["900"], **fields}
    refused = refusal(lambda: hotel.desk().run(op.add_rooms, **given_fields))
    assert str(refused).startswith(text)


@settings(max_examples=10)
@given(first=st.integers(0, 4), more=st.integers(1, 4), begins=st.integers(0, 3))
def test_new_rooms_are_on_sale_on_every_night(
    core: HotelCore, clock: FixedClock, first: int, more: int, begins: int
) -> None:
    """Also on nights that were sold before the rooms were there."""
    hotel = open_hotel(core, clock, rooms=first + 1)
    hotel.book(1, begins=begins)
    numbers = [f"N{n}" for n in range(more)]
    rooms = hotel.desk().run(op.add_rooms, room_type_id=hotel.type_id, numbers=numbers, floor="9")
    assert [room.number for room in rooms] == numbers
    with hotel.desk().reading() as uow:
        nights = uow.inventory.nights(Stay(hotel.today, hotel.today + 4 * DAY))
    assert {night.rooms for night in nights} == {first + 1 + more}
    assert core.prove(hotel.hotel_id).ok


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"numbers": []}, InvalidInput),
        ({"numbers": ["900", "900"]}, InvalidInput),
        ({"numbers": ["900", ""]}, InvalidInput),
        ({"numbers": ["900"] * 5_001}, InvalidInput),
        ({"numbers": ["900", "001"]}, AlreadyExists),
        ({"room_type_id": RoomTypeId(uuid4())}, NotFound),
        ({"condition": "spotless"}, InvalidInput),
        ({"floor": "x" * 21}, InvalidInput),
    ],
)
def test_rooms_that_cannot_be_are_refused_all_together(
    hotel: SmallHotel, fields: dict[str, Any], error: type[Exception]
) -> None:
    """One bad or taken number keeps all of them out, and the counters as they were."""
    before = hotel.rows()
    given_fields = {"room_type_id": hotel.type_id, "numbers": ["900"], **fields}
    with pytest.raises(error):
        hotel.desk().run(op.add_rooms, **given_fields)
    assert hotel.rows() == before


# -- searching and quoting --------------------------------------------------------------------

PRICES = st.lists(st.integers(-5_000, 30_000), max_size=5)


@settings(max_examples=20)
@given(prices=PRICES)
def test_a_quote_is_what_the_booking_will_cost(
    core: HotelCore, clock: FixedClock, prices: list[int]
) -> None:
    """The lines add up to the total, and the booking made with the same prices has it."""
    hotel = open_hotel(core, clock)
    stay = Stay(hotel.today, hotel.today + len(prices) * DAY)
    money = [eur(price) for price in prices]
    with hotel.desk().reading() as uow:
        quote = op.quote(uow, room_type_id=hotel.type_id, stay=stay, nightly_prices=money)
        usual = op.quote(uow, room_type_id=hotel.type_id, stay=stay)
    assert [(line.night, line.price) for line in quote.nights] == list(
        zip(stay, money, strict=True)
    )
    assert quote.total == eur(sum(prices))
    assert usual.total == eur(10_000 * len(prices))
    assert hotel.book(len(prices), prices=prices)[0].total == quote.total


@pytest.mark.parametrize(
    "prices", [[], [eur(1)], [eur(1)] * 3, [eur(1), Money(1, "USD")], [eur(1), 1], [eur(1), 0.5]]
)
def test_a_quote_needs_one_price_a_night_in_the_hotels_currency(
    hotel: SmallHotel, prices: list[Any]
) -> None:
    """Too few, too many, foreign or untyped prices are refused."""
    with hotel.desk().reading() as uow, pytest.raises((InvalidInput, CurrencyMismatch)):
        op.quote(
            uow,
            room_type_id=hotel.type_id,
            stay=Stay(TODAY, TODAY + 2 * DAY),
            nightly_prices=prices,
        )


def test_a_search_tells_units_from_rooms(hotel: SmallHotel) -> None:
    """A unit may be left on each night though no one room is free for the whole stay."""
    desk = hotel.desk()
    for nth, room_id in enumerate(hotel.room_ids):
        booking, _ = hotel.book(1, begins=nth)
        desk.run(op.assign_room, booking_id=booking.id, room_id=room_id)
    with desk.reading() as uow:
        (whole,) = op.search_availability(uow, stay=Stay(TODAY, TODAY + 4 * DAY))
        (one,) = op.search_availability(
            uow, stay=Stay(TODAY, TODAY + DAY), room_type_id=hotel.type_id
        )
    assert (whole.sellable, whole.free_rooms) == (3, ())
    assert (one.sellable, {room.id for room in one.free_rooms}) == (3, set(hotel.room_ids[1:]))


def test_a_search_for_a_day_use_counts_rooms_that_are_empty_now(hotel: SmallHotel) -> None:
    """A day use takes no unit of a night, only a room that nobody is in."""
    hotel.move_in(2)
    with hotel.desk().reading() as uow:
        (found,) = op.search_availability(uow, stay=Stay(TODAY, TODAY))
    assert (found.nights, found.sellable) == ((), 3)


@pytest.mark.parametrize("begins", [-2, -1, 0, 1])
@pytest.mark.parametrize("nights", [0, 1, 3])
def test_what_is_sellable_is_what_can_be_booked(
    hotel: SmallHotel, begins: int, nights: int
) -> None:
    """Before the business date nothing is, though rooms are free: who books then must force it."""
    arrival = TODAY + begins * DAY
    stay = Stay(arrival, arrival + nights * DAY)
    with hotel.desk().reading() as uow:
        (found,) = op.search_availability(uow, stay=stay)

    def book(force_reason: str | None = None) -> None:
        hotel.desk().run(
            op.create_booking_with_folio,
            guest_id=hotel.guest_id,
            room_type_id=hotel.type_id,
            stay=stay,
            force_reason=force_reason,
        )

    refused = refusal(book)
    assert (found.sellable > 0) == (refused is None)
    assert found.begun == isinstance(refused, InvalidInput) == (begins < 0)
    assert len(found.free_rooms) == len(hotel.room_ids)
    if begins < 0:
        book("came after midnight")


def test_every_type_is_searched_and_an_unknown_one_is_not_found(
    hotel: SmallHotel, core: HotelCore, clock: FixedClock
) -> None:
    """Types come in order of their codes; a foreign type is as unknown as any."""
    suite = hotel.desk().run(op.add_room_type, code="APT", name="Flat", base_rate=eur(1))
    foreign, stay = open_hotel(core, clock).type_id, Stay(TODAY, TODAY + DAY)
    with hotel.desk().reading() as uow:
        found = op.search_availability(uow, stay=stay)
        assert [answer.room_type_id for answer in found] == [suite.id, hotel.type_id]
        assert [answer.sellable for answer in found] == [0, 4]
        for only in found:
            alone = op.search_availability(uow, stay=stay, room_type_id=only.room_type_id)
            assert alone == (only,)
        for unknown in (foreign, RoomTypeId(uuid4())):
            with pytest.raises(NotFound):
                op.search_availability(uow, stay=stay, room_type_id=unknown)
            with pytest.raises(NotFound):
                op.quote(uow, stay=stay, room_type_id=unknown)
