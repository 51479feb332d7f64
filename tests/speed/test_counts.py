"""No operation and no question costs more than was agreed upon, or less without being told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import timedelta

import attrs
import pytest

from hotelcore import Money, Stay
from hotelcore import operations as op
from hotelcore.domain.bookings import Booking, BookingStatus
from hotelcore.domain.cancellation import CancellationPolicy, Fee, FeeKind
from hotelcore.domain.hotels import HouseRules
from hotelcore.errors import ActionRefused
from hotelcore.lists import BookingFilter
from hotelcore.pms import (
    PmsSnapshot,
    RemoteBooking,
    RemoteBookingStatus,
    RemoteGuest,
    RemoteRoomType,
)
from tests.postgres_server import fresh_database
from tests.small_hotel import DAY, PRICE, TODAY, SmallHotel, open_hotel
from tests.speed.counting import CALLS, Costs, Meter, metered, stored

pytestmark = pytest.mark.long  # statements are the same on every Python


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def meter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Meter]:
    """Return a meter over a database of each kind."""
    with ExitStack() as kept:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('speed') / 'hotel.db'}"
        else:
            url = kept.enter_context(fresh_database(request.getfixturevalue("postgresql_server")))
        yield kept.enter_context(metered(url))


def test_every_operation_and_question_has_agreed_costs() -> None:
    """The file names each of them once, and nothing else."""
    assert list(stored()) == CALLS


@pytest.mark.parametrize("call", CALLS)
def test_a_call_costs_what_was_agreed(meter: Meter, call: str) -> None:
    """Statements and round trips are those in counts.csv, which says how to change them."""
    found = meter.costs_of(call)
    agreed = stored()[call]
    assert found == {name: agreed[name] for name in found}


def snapshot_of(number: int) -> PmsSnapshot:
    """Return so many guests, each with a booking of one night."""
    room_type = RemoteRoomType(external_id="t", code="PMS", name="There", base_rate=Money(1, "EUR"))
    bookings = tuple(
        RemoteBooking(
            external_id=f"b{n}",
            confirmation_number=f"PMS-{n}",
            guest_external_id=f"g{n}",
            room_type_external_id="t",
            status=RemoteBookingStatus.CONFIRMED,
            stay=Stay(TODAY, TODAY + DAY),
            nightly_prices=(Money(1, "EUR"),),
            channel="pms",
        )
        for n in range(number)
    )
    return PmsSnapshot(
        room_types=(room_type,),
        guests=tuple(
            RemoteGuest(external_id=f"g{n}", last_name="Guest", first_name="")
            for n in range(number)
        ),
        bookings=bookings,
    )


def takeover_of(hotel: SmallHotel, number: int) -> Callable[[], object]:
    """Return the first sync of so many guests, each with a booking of one night."""
    snapshot = snapshot_of(number)
    hotel.desk.run(op.connect_pms, vendor="scripted", external_hotel_id="H")
    return lambda: hotel.desk.run(op.sync_pms_data, snapshot=snapshot)


def test_a_sync_of_many_costs_what_one_of_few_does(meter: Meter) -> None:
    """Up to where a statement would grow too long, neither statements nor round trips grow."""
    few, many = (meter.costs(takeover_of(open_hotel(meter.core), n)) for n in (20, 80))
    assert many == few
    more = meter.costs(takeover_of(open_hotel(meter.core), 1_100))
    assert all(more[name] <= few[name] + 30 for name in few)


def test_a_search_of_many_types_costs_what_one_of_few_does(meter: Meter) -> None:
    """Neither statements nor round trips grow with the types, nor with those that are full."""
    hotel = open_hotel(meter.core)
    stay = Stay(TODAY, TODAY + 2 * DAY)

    def search() -> Costs:
        def ask() -> object:
            with hotel.desk.reading() as uow:
                return op.search_availability(uow, stay=stay)

        return meter.costs(ask)

    alone = search()
    for number in range(30):
        hotel.desk.run(op.add_room_type, code=f"T{number}", name="Full", base_rate=PRICE)
    assert search() == alone


def echo_to(hotel: SmallHotel, number: int) -> Callable[[], object]:
    """Return the sync of so many known bookings that changed there and are so here already."""
    takeover_of(hotel, number)()
    known = snapshot_of(number)
    dearer = tuple(
        attrs.evolve(record, nightly_prices=(Money(2, "EUR"),)) for record in known.bookings
    )
    snapshot = PmsSnapshot(bookings=dearer)  # the price of a night that is sold stays
    return lambda: hotel.desk.run(op.sync_pms_data, snapshot=snapshot)


def test_many_changed_bookings_are_locked_and_read_as_one_is(meter: Meter) -> None:
    """What changed there is locked in one statement, and its nights are read in one."""
    few, many = (meter.costs(echo_to(open_hotel(meter.core), n)) for n in (2, 9))
    assert many == few


@pytest.mark.parametrize("meter", ["postgresql"], indirect=True)
def test_rooms_for_many_bookings_cost_the_round_trips_of_one(meter: Meter) -> None:
    """Their nights are read together, 25 bookings at a time, and their rooms are held together."""

    def assigning(number: int) -> Callable[[], object]:
        hotel = open_hotel(meter.core, rooms=number)
        for _ in range(number):
            hotel.booked()
        type_id = hotel.room_type_id
        return lambda: hotel.desk.run(op.assign_rooms, room_type_id=type_id, arriving_until=TODAY)

    few, many = (meter.costs(assigning(n))["postgresql round trips"] for n in (1, 21))
    assert many == few


@pytest.mark.parametrize("meter", ["postgresql"], indirect=True)
def test_many_holds_expire_in_the_round_trips_of_one(meter: Meter) -> None:
    """Their nights and folios are read together, and they are cancelled together."""

    def expiring(number: int) -> int:
        hotel = open_hotel(meter.core, rooms=number)
        other = hotel.desk.run(op.add_room_type, code="STE", name="Suite", base_rate=PRICE)
        numbers = [f"S{n}" for n in range(number)]
        hotel.desk.run(op.add_rooms, room_type_id=other.id, numbers=numbers)
        for type_id in [hotel.room_type_id, other.id] * (number // 2):
            hotel.desk.run(
                op.create_booking_with_folio,
                guest_id=hotel.guest_id,
                room_type_id=type_id,
                stay=Stay(TODAY, TODAY + DAY),
                hold_until=meter.clock.now() + DAY / 2,
            )
        found: list[tuple[Booking, ...]] = []
        with later(meter, DAY):
            costs = meter.costs(lambda: found.append(hotel.desk.run(op.expire_holds)))
        assert len(found[0]) == number
        return costs["postgresql round trips"]

    assert expiring(60) == expiring(2)


@contextmanager
def later(meter: Meter, time: timedelta) -> Iterator[None]:
    """Let some time have passed while the body runs."""
    meter.clock.ahead = time
    try:
        yield
    finally:
        meter.clock.ahead = timedelta()


@pytest.mark.parametrize("meter", ["postgresql"], indirect=True)
def test_many_no_shows_cost_the_round_trips_of_one(meter: Meter) -> None:
    """A night audit reads their nights and folios together, and charges their fees together."""

    def closing(number: int) -> int:
        hotel = open_hotel(meter.core, rooms=number)
        dear = CancellationPolicy(no_show_fee=Fee(kind=FeeKind.FIRST_NIGHT))
        hotel.desk.run(op.change_house_rules, rules=HouseRules(cancellation=dear))
        for _ in range(number):
            hotel.booked(2)
        costs = meter.costs(lambda: hotel.desk.run(op.close_business_day, business_date=TODAY))
        missed = BookingFilter(statuses=frozenset({BookingStatus.NO_SHOW}))
        with hotel.desk.reading() as uow:
            assert len(uow.bookings.page(missed).items) == number
        return costs["postgresql round trips"]

    assert closing(30) == closing(1)


def test_a_room_is_found_among_guests_who_leave_for_what_one_costs(meter: Meter) -> None:
    """Their rooms are free from tonight on, and who is in which is asked with one question."""

    def arriving(number: int, *, full: bool) -> list[dict[str, int]]:
        hotel = open_hotel(meter.core, rooms=number if full else number + 1)
        for _ in range(number):
            hotel.desk.run(op.check_in_guest, booking_id=hotel.booked()[0].id)
        hotel.desk.run(op.close_business_day, business_date=TODAY)
        booking, _ = hotel.booked(arrival=TODAY + DAY)

        def ask() -> object:
            with hotel.desk.reading() as uow:
                return op.possible_actions(uow, booking_id=booking.id)

        def check_in() -> None:
            refused = pytest.raises(ActionRefused, match="room_occupied")
            with refused if full else nullcontext():
                hotel.desk.run(op.check_in_guest, booking_id=booking.id)

        return [meter.costs(ask), meter.costs(check_in)]

    for full in (False, True):
        assert arriving(12, full=full) == arriving(1, full=full)


def test_a_call_costs_the_same_each_time(meter: Meter) -> None:
    """No count depends on what was called before, so the order of the tests does not matter."""
    first, *others = (meter.costs_of("create_booking_with_folio") for _ in range(8))
    assert all(other == first for other in others)
