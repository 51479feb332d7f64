"""Bookings, their nights and keys: what is stored comes back, and the database keeps its rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from hotelcore.domain.bookings import Booking, BookingNight, BookingStatus, RoomKey
from hotelcore.domain.money import Money
from hotelcore.domain.stays import Stay
from hotelcore.errors import (
    AlreadyExists,
    DatabaseFailure,
    InvalidInput,
    NotFound,
    ReadOnly,
    RoomTaken,
    StaleVersion,
)
from hotelcore.ids import BookingId, RoomKeyId, RoomTypeId, new_id
from hotelcore.lists import BookingFilter, Page
from hotelcore.sql.repositories.bookings import SqlBookings, SqlRoomKeys
from hotelcore.sql.repositories.room_nights import SqlRoomNights
from tests.sql.house import (
    DAY,
    NOON,
    TODAY,
    House,
    bookings,
    days,
    monies,
    nearby_bookings,
    nearby_days,
    nearby_instants,
    nearby_stays,
    new_house,
    nights_of,
)

IN_HOUSE = BookingStatus.IN_HOUSE


# -- one booking ------------------------------------------------------------------------------


@given(data=st.data())
def test_a_booking_comes_back_as_stored(house: House, data: st.DataObject) -> None:
    """Whatever a booking holds is read back equal, by id, by number, and locked."""
    booking = data.draw(bookings(house))
    house.add(booking)
    with house.writing() as run:
        assert SqlBookings(run).get(booking.id) == booking
        assert SqlBookings(run).lock(booking.id) == booking
        assert SqlBookings(run).by_confirmation(booking.confirmation_number) == booking


@given(data=st.data())
def test_an_update_stores_every_field(house: House, data: st.DataObject) -> None:
    """An update leaves exactly the booking it was given, with the next version."""
    booking, other = data.draw(bookings(house)), data.draw(bookings(house))
    house.add(booking)
    changed = attrs.evolve(other, id=booking.id, version=booking.version)
    with house.writing() as run:
        later = SqlBookings(run).update(changed)
        assert later == attrs.evolve(changed, version=booking.version + 1)
        assert SqlBookings(run).get(booking.id) == later


def test_a_booking_changed_meanwhile_is_not_overwritten(house: House) -> None:
    """The second of two updates from one reading is refused and changes nothing."""
    booking = house.booking()
    house.add(booking)
    with house.writing() as run:
        stored = SqlBookings(run).update(attrs.evolve(booking, adults=2))
    with house.writing() as run, pytest.raises(StaleVersion):
        SqlBookings(run).update(attrs.evolve(booking, adults=3))
    with house.reading() as run:
        assert SqlBookings(run).get(booking.id) == stored


def test_an_unknown_booking_is_not_found(house: House) -> None:
    """No id or number that the hotel lacks is answered by anything but NotFound."""
    with house.reading() as run:
        with pytest.raises(NotFound):
            SqlBookings(run).get(BookingId(new_id()))
        with pytest.raises(NotFound):
            SqlBookings(run).by_confirmation("none")


def test_a_reading_unit_stores_no_booking(house: House) -> None:
    """A unit that only reads refuses to store a booking."""
    with house.reading() as run, pytest.raises(ReadOnly):
        SqlBookings(run).add_all([house.booking()], ())


def test_a_confirmation_number_is_unique_in_a_hotel(house: House) -> None:
    """A taken number is refused to a new and to a changed booking, and free in another hotel."""
    first, second = house.booking(confirmation_number="K7"), house.booking()
    house.add(first, second)
    with pytest.raises(AlreadyExists, match="confirmation number"):
        house.add(house.booking(confirmation_number="K7"))
    with house.writing() as run, pytest.raises(AlreadyExists, match="confirmation number"):
        SqlBookings(run).update(attrs.evolve(second, confirmation_number="K7"))
    other = new_house(house.engine)
    other.add(other.booking(confirmation_number="K7"))


def test_two_bookings_are_never_in_house_in_one_room(house: House) -> None:
    """The database lets a second booking into a room only once the first has left."""
    room_id = house.room_ids[0]
    first, second = house.booking(room_id=room_id), house.booking(room_id=room_id)
    house.add(first, second)
    with house.writing() as run:
        first = SqlBookings(run).update(attrs.evolve(first, status=IN_HOUSE))
    with house.writing() as run, pytest.raises(RoomTaken) as refusal:
        SqlBookings(run).update(attrs.evolve(second, status=IN_HOUSE))
    assert (refusal.value.room_id, refusal.value.nights) == (room_id, ())
    assert str(refusal.value).startswith("somebody is in the room: ")
    with house.writing() as run:
        SqlBookings(run).update(attrs.evolve(first, status=BookingStatus.CHECKED_OUT))
        SqlBookings(run).update(attrs.evolve(second, status=IN_HOUSE))


def test_nobody_is_in_house_without_a_room(house: House) -> None:
    """The database refuses a booking in house that has no room."""
    with pytest.raises(DatabaseFailure, match="check"):
        house.add(house.booking(status=IN_HOUSE))


def test_a_booking_of_another_hotel_is_an_unknown_one(house: House) -> None:
    """Another hotel neither sees nor changes a booking, and cannot refer to what is not its own."""
    booking = house.booking()
    house.add(booking)
    other = new_house(house.engine)
    with other.writing() as run:
        with pytest.raises(NotFound):
            SqlBookings(run).lock(booking.id)
        with pytest.raises(NotFound):
            SqlBookings(run).by_confirmation(booking.confirmation_number)
        with pytest.raises(StaleVersion):
            SqlBookings(run).update(booking)
        assert SqlBookings(run).nights(booking.id) == ()
        assert SqlBookings(run).page(BookingFilter()).items == ()
    with pytest.raises(DatabaseFailure, match="reference"):
        other.add(other.booking(guest_id=house.guest_id))


# -- nights -----------------------------------------------------------------------------------


@given(data=st.data())
def test_nights_come_back_in_order(database: Engine, data: st.DataObject) -> None:
    """Nights given in any order are read back equal and in order, each with its room."""
    house = new_house(database)  # a room of another example may be taken
    booking = house.booking()
    night = st.builds(
        BookingNight,
        booking_id=st.just(booking.id),
        night=days,
        room_type_id=st.sampled_from(house.type_ids),
        price=monies,
        room_id=st.none() | st.sampled_from(house.room_ids),
        released=st.booleans(),
        posted=st.booleans(),
    )
    nights = data.draw(st.lists(night, max_size=9, unique_by=lambda night: night.night))
    with house.writing() as run:
        SqlBookings(run).add_all([booking], nights)
        for n in nights:
            if n.room_id is not None:
                SqlRoomNights(run).hold(n.room_id, booking.id, [n.night])
        expected = tuple(sorted(nights, key=lambda n: n.night))
        assert SqlBookings(run).nights(booking.id) == expected


def test_nights_put_again_change_all_but_whether_they_are_posted(house: House) -> None:
    """Storing a night again takes its new type, price and release and leaves posted as it is."""
    booking = house.booking()
    house.add(booking)
    first, second = nights_of(booking)
    third = attrs.evolve(second, night=second.night + DAY)
    changed = attrs.evolve(
        first, room_type_id=house.type_ids[1], price=Money(-5, "EUR"), released=True
    )
    with house.writing() as run:
        SqlBookings(run).mark_posted([first])
        SqlBookings(run).put_nights([changed, third])
        expected = (attrs.evolve(changed, posted=True), second, third)
        assert SqlBookings(run).nights(booking.id) == expected


def test_a_night_is_marked_as_posted_once(house: House) -> None:
    """A night that is posted already, among others, refuses the whole marking."""
    booking = house.booking()
    house.add(booking)
    nights = nights_of(booking)
    with house.writing() as run:
        SqlBookings(run).mark_posted(nights[:1])
        SqlBookings(run).mark_posted([])
    with pytest.raises(AlreadyExists), house.writing() as run:
        SqlBookings(run).mark_posted(nights)
    with house.reading() as run:
        assert [night.posted for night in SqlBookings(run).nights(booking.id)] == [True, False]


# -- lists ------------------------------------------------------------------------------------

Matches = Callable[[Booking], bool]


def in_house_at_most_once(found: list[Booking], house: House) -> Iterator[Booking]:
    """Move as many of the bookings into the house as it has rooms."""
    for n, booking in enumerate(found):
        if n % 3 == 0 and n // 3 < len(house.room_ids):
            yield attrs.evolve(booking, status=IN_HOUSE, room_id=house.room_ids[n // 3])
        else:
            yield booking


def draw_house_full(data: st.DataObject, house: House) -> list[Booking]:
    """Store a few bookings around today, some of them in house, and return them by id."""
    drawn = data.draw(st.lists(nearby_bookings(house), max_size=12))
    found = list(in_house_at_most_once(drawn, house))
    house.add(*found)
    return found


def walked(read: Callable[[str | None], Page[Booking]]) -> list[Booking]:
    """Read page after page to the end."""
    page = read(None)
    items = list(page.items)
    while page.next is not None:
        page = read(page.next)
        assert page.items, "a page that was promised is not empty"
        items += page.items
    return items


def matches(which: BookingFilter, booking: Booking) -> bool:
    """Tell by the plain words of the filter whether a booking belongs to its list."""
    stay = booking.stay
    return (
        (which.statuses is None or booking.status in which.statuses)
        and which.guest_id in (None, booking.guest_id)
        and which.room_type_id in (None, booking.room_type_id)
        and which.room_id in (None, booking.room_id)
        and which.channel in (None, booking.channel)
        and (which.arriving_from or date.min) <= stay.arrival
        and stay.arrival <= (which.arriving_until or date.max)
        and (which.departing_from or date.min) <= stay.departure
        and stay.departure <= (which.departing_until or date.max)
        and (which.staying is None or bool(set(stay) & set(which.staying)))
    )


@st.composite
def filters(draw: st.DrawFn, house: House) -> BookingFilter:
    """Give a filter that narrows by three fields at most, so that something is often left."""
    values: dict[str, st.SearchStrategy[object]] = {
        "statuses": st.frozensets(st.sampled_from(BookingStatus)),
        "guest_id": st.just(house.guest_id),
        "room_type_id": st.sampled_from(house.type_ids),
        "room_id": st.sampled_from(house.room_ids),
        "channel": st.just("direct"),
        "arriving_from": nearby_days,
        "arriving_until": nearby_days,
        "departing_from": nearby_days,
        "departing_until": nearby_days,
        "staying": nearby_stays,
    }
    names = draw(st.sets(st.sampled_from(sorted(values)), max_size=3))
    narrowed = {name: draw(values[name]) for name in sorted(names)}
    return BookingFilter(**narrowed)  # type: ignore[arg-type]  # each has its own field's values


@given(data=st.data())
def test_pages_walk_every_matching_booking_once(database: Engine, data: st.DataObject) -> None:
    """Pages of any size give exactly the bookings of the filter, by arrival and id."""
    house = new_house(database)
    stored = draw_house_full(data, house)
    which = data.draw(filters(house))
    limit = data.draw(st.integers(1, 16))
    with house.reading() as run:
        found = walked(lambda after: SqlBookings(run).page(which, after=after, limit=limit))
    expected = [booking for booking in stored if matches(which, booking)]
    assert found == sorted(expected, key=lambda booking: (booking.stay.arrival, booking.id))


def test_a_stay_of_any_length_is_found_by_its_last_night(house: House) -> None:
    """The longest possible stay is found by its last night and not by its departure day."""
    booking = house.booking(stay=Stay(TODAY, TODAY + 999 * DAY))
    house.add(booking)
    departure = booking.stay.departure
    with house.reading() as run:
        last = BookingFilter(staying=Stay(departure - DAY, departure))
        assert SqlBookings(run).page(last).items == (booking,)
        after = BookingFilter(staying=Stay(departure, departure + DAY))
        assert SqlBookings(run).page(after).items == ()


def test_no_stay_shares_a_night_with_a_day_use(house: House) -> None:
    """A day use has no night, so it is no answer to a period and a period for no answer."""
    house.add(house.booking(stay=Stay(TODAY - DAY, TODAY + DAY)))
    house.add(house.booking(stay=Stay(TODAY, TODAY)))
    with house.reading() as run:
        assert SqlBookings(run).page(BookingFilter(staying=Stay(TODAY, TODAY))).items == ()
        [found] = SqlBookings(run).page(BookingFilter(staying=Stay(TODAY - DAY, TODAY + DAY))).items
        assert not found.stay.is_day_use


def test_a_cursor_of_nobody_is_refused(house: House) -> None:
    """A cursor that no list gave is refused as bad input."""
    with house.reading() as run, pytest.raises(InvalidInput, match="cursor"):
        SqlBookings(run).page(BookingFilter(), after="bm9uZQ==")


def expect(stored: list[Booking], matching: Matches) -> tuple[Booking, ...]:
    """Give the bookings that match, by id."""
    found = [booking for booking in stored if matching(booking)]
    return tuple(sorted(found, key=lambda booking: booking.id))


@given(data=st.data(), at=nearby_instants)
def test_the_night_audit_finds_exactly_its_bookings(
    database: Engine, data: st.DataObject, at: datetime
) -> None:
    """Arrivals, departures, holds and bookings without a room are found as the words say."""
    house = new_house(database)
    stored = draw_house_full(data, house)
    day, type_id = data.draw(nearby_days), house.type_ids[0]
    with house.writing() as run:
        store = SqlBookings(run)
        assert store.unresolved_arrivals(day) == expect(
            stored, lambda b: b.status is BookingStatus.CONFIRMED and b.stay.arrival <= day
        )
        assert store.overdue_departures(day) == expect(
            stored, lambda b: b.status is IN_HOUSE and b.stay.departure <= day
        )
        assert store.expired_holds(at, limit=1_000) == expect(
            stored,
            lambda b: (
                b.status is BookingStatus.TENTATIVE
                and b.hold_until is not None
                and b.hold_until <= at
            ),
        )
        unassigned = expect(
            stored,
            lambda b: (
                b.status is BookingStatus.CONFIRMED
                and b.room_id is None
                and b.room_type_id == type_id
                and b.stay.arrival <= day
            ),
        )
        by_arrival = sorted(unassigned, key=lambda b: b.stay.arrival)
        assert store.unassigned(type_id, day) == tuple(by_arrival)


@given(data=st.data())
def test_the_nights_to_post_are_those_in_house(database: Engine, data: st.DataObject) -> None:
    """Unposted, unreleased nights of bookings in house are found up to a date, by booking."""
    house = new_house(database)
    stored = draw_house_full(data, house)
    until = data.draw(nearby_days)
    expected: list[tuple[Booking, BookingNight]] = []
    with house.writing() as run:
        for booking in sorted(stored, key=lambda booking: booking.id):
            for night in nights_of(booking):
                fate = data.draw(st.sampled_from(["due", "posted", "released"]))
                if fate == "posted":
                    SqlBookings(run).mark_posted([night])
                elif fate == "released":
                    SqlBookings(run).put_nights([attrs.evolve(night, released=True)])
                elif booking.status is IN_HOUSE and night.night <= until:
                    assert booking.room_id is not None
                    SqlRoomNights(run).hold(booking.room_id, booking.id, [night.night])
                    expected.append((booking, attrs.evolve(night, room_id=booking.room_id)))
        assert SqlBookings(run).nights_to_post(until) == tuple(expected)


@given(data=st.data())
def test_a_day_counts_who_came_left_and_never_came(database: Engine, data: st.DataObject) -> None:
    """Arrivals, departures and no-shows are counted by the business date they happened on."""
    house = new_house(database)
    stored = draw_house_full(data, house)
    day = data.draw(nearby_days)
    with house.reading() as run:
        assert SqlBookings(run).moved_on(day) == (
            sum(booking.checked_in_on == day for booking in stored),
            sum(booking.checked_out_on == day for booking in stored),
            sum(booking.no_show_on == day for booking in stored),
        )


# -- keys -------------------------------------------------------------------------------------


def test_keys_are_revoked_once_and_kept(house: House) -> None:
    """Revoking gives the keys as they are now; the others stay as they were."""
    booking, other = house.booking(), house.booking()
    house.add(booking, other)

    def key(of: Booking, room: UUID) -> RoomKey:
        return RoomKey(
            id=RoomKeyId(new_id()),
            hotel_id=house.hotel_id,
            booking_id=of.id,
            room_id=room,  # type: ignore[arg-type]  # a room of this house
            valid_until=TODAY,
            issued_at=NOON,
        )

    first, second, foreign = (
        key(booking, house.room_ids[0]),
        key(booking, house.room_ids[1]),
        key(other, house.room_ids[2]),
    )
    later, latest = NOON + timedelta(hours=1), NOON + timedelta(hours=2)
    with house.writing() as run:
        keys = SqlRoomKeys(run)
        for issued in (first, second, foreign):
            keys.issue_all([issued])
        assert keys.of_booking(booking.id) == (first, second)
        revoked = keys.revoke_all([second], at=later)
        assert revoked == (attrs.evolve(second, revoked_at=later),)
        assert keys.revoke_all([], at=latest) == ()
        assert keys.of_booking(booking.id) == (first, *revoked)
    unknown = attrs.evolve(first, id=RoomKeyId(new_id()))
    for asked, at_fault in (([second], second), ([first, second], second), ([unknown], unknown)):
        with (
            pytest.raises(NotFound, match=str(at_fault.id)),
            house.writing() as run,
        ):
            SqlRoomKeys(run).revoke_all(asked, at=latest)
    with house.reading() as run:
        keys = SqlRoomKeys(run)
        assert keys.of_booking(booking.id) == (first, *revoked)
        assert keys.of_booking(other.id) == (foreign,)


def test_a_type_without_bookings_has_none_unassigned(house: House) -> None:
    """An unknown room type has no bookings to assign."""
    house.add(house.booking())
    with house.writing() as run:
        assert SqlBookings(run).unassigned(RoomTypeId(new_id()), TODAY) == ()
