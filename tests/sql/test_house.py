"""The house in storage: hotels, room types, rooms, maintenance and house work."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from hotelcore.domain.hotels import Hotel, HouseRules, OverdueDeparture
from hotelcore.domain.housekeeping import HousekeepingTask, TaskKind, TaskStatus
from hotelcore.domain.rooms import (
    RoomCondition,
)
from hotelcore.domain.stays import Stay
from hotelcore.errors import (
    AlreadyExists,
    DatabaseFailure,
    NotFound,
    StaleVersion,
)
from hotelcore.ids import (
    GuestId,
    HotelId,
    RoomId,
    RoomTypeId,
    new_id,
)
from hotelcore.lists import RoomFilter, TaskFilter
from hotelcore.sql.repositories.hotels import SqlHotels
from tests.small_hotel import written_statements
from tests.sql.house import DAY, NOON, House, new_house
from tests.sql.units import (
    FIRST,
    WEEK,
    a_period,
    a_room,
    a_task,
    add_booking,
    add_rooms,
    add_type,
    spans,
    unit_of,
)

TYPE = RoomTypeId(new_id())

# -- hotels, types, rooms, maintenance --------------------------------------------------------


def unfounded(database: Engine, **values: Any) -> tuple[House, Hotel]:  # Any: of its own type
    """Make a hotel that is not stored yet."""
    hotel = Hotel(
        id=HotelId(new_id()),
        name="Hill",
        time_zone="Europe/Vienna",
        currency="EUR",
        business_date=FIRST,
        created_at=NOON,
        **values,
    )
    return House(database, hotel.id, GuestId(new_id()), (TYPE, TYPE), ()), hotel


def test_a_hotel_comes_back_as_it_was(database: Engine) -> None:
    """Every field of a hotel is stored and read unchanged, by each way of reading it."""
    rules = HouseRules(overdue_departure=OverdueDeparture.EXTEND)
    house, hotel = unfounded(
        database, rules=rules, stripe_customer_id="cus_1", attributes={"stars": 4}
    )
    with unit_of(house) as unit:
        unit.hotels.add(hotel)
        assert unit.hotels.current() == unit.hotels.lock() == hotel
        moved = attrs.evolve(hotel, business_date=FIRST + DAY, stripe_customer_id=None)
        stored = unit.hotels.update(moved)
        assert stored == attrs.evolve(moved, version=2)
        with pytest.raises(StaleVersion):
            unit.hotels.update(hotel)
    with house.reading() as run:
        assert SqlHotels(run).current() == stored


@pytest.mark.parametrize("name", ["stripe_customer_id", "stripe_subscription_id"])
def test_a_stripe_id_belongs_to_one_hotel(database: Engine, name: str) -> None:
    """A second hotel with a Stripe id is told which of the two is taken, new or changed."""
    first, its_hotel = unfounded(database, **{name: "taken"})
    second, new_hotel = unfounded(database, **{name: "taken"})
    third, known_hotel = unfounded(database)
    for house, hotel in ((first, its_hotel), (third, known_hotel)):
        with unit_of(house) as unit:
            unit.hotels.add(hotel)
    with pytest.raises(AlreadyExists) as refusal, unit_of(second) as unit:
        unit.hotels.add(new_hotel)
    assert (refusal.value.kind, refusal.value.field) == ("hotel", name)
    changed = attrs.evolve(new_hotel, id=known_hotel.id)
    with pytest.raises(AlreadyExists) as refusal, unit_of(third) as unit:
        unit.hotels.update(changed)
    assert (refusal.value.kind, refusal.value.field) == ("hotel", name)


_marks = st.none() | st.sampled_from(["a", "b"])


@given(before=st.tuples(_marks, _marks), after=st.tuples(_marks, _marks), read=st.booleans())
def test_only_a_stripe_id_that_changes_is_written(
    database: Engine,
    before: tuple[str | None, ...],
    after: tuple[str | None, ...],
    read: bool,
) -> None:
    """What is stored is what was given; a statement more is sent for each that differs alone."""
    house, hotel = unfounded(database)

    def marked(hotel: Hotel, marks: tuple[str | None, ...]) -> Hotel:
        customer, subscription = (mark and f"{mark}{hotel.id}" for mark in marks)
        return attrs.evolve(hotel, stripe_customer_id=customer, stripe_subscription_id=subscription)

    with unit_of(house) as unit, written_statements(database) as written:
        unit.hotels.add(marked(hotel, before))
    assert sum("SET stripe" in each for each in written) == len(before) - before.count(None)
    with unit_of(house) as unit, written_statements(database) as written:
        if read:
            unit.hotels.lock()
        unit.hotels.update(marked(hotel, after))
    differing = sum(one != other for one, other in zip(before, after, strict=True))
    assert sum("SET stripe" in each for each in written) == (differing if read else len(after))
    with house.reading() as run:
        assert SqlHotels(run).current() == attrs.evolve(marked(hotel, after), version=2)


def test_a_stripe_id_that_was_undone_is_written_again(database: Engine) -> None:
    """After a savepoint was undone nothing counts as stored that was stored in it."""
    house, hotel = unfounded(database)
    marked = attrs.evolve(hotel, stripe_customer_id=f"cus_{hotel.id}")
    with unit_of(house) as unit:
        unit.hotels.add(hotel)
    with unit_of(house) as unit:
        unit.hotels.lock()
        with suppress(LookupError), unit.savepoint():
            unit.hotels.update(marked)
            raise LookupError
        unit.hotels.update(marked)
    with house.reading() as run:
        assert SqlHotels(run).current() == attrs.evolve(marked, version=2)


def test_a_hotel_is_registered_once(database: Engine) -> None:
    """A second registration of a hotel is refused, and one never registered is not found."""
    house, hotel = unfounded(database)
    with unit_of(house) as unit:
        with pytest.raises(NotFound):
            unit.hotels.current()
        unit.hotels.add(hotel)
    with pytest.raises(AlreadyExists) as refusal, unit_of(house) as unit:
        unit.hotels.add(hotel)
    assert (refusal.value.kind, refusal.value.field) == ("hotel", "id")


def test_codes_and_numbers_are_unique_in_a_hotel_only(database: Engine) -> None:
    """A room type's code and a room's number are taken within their hotel, not in the next."""
    for house in (new_house(database), new_house(database)):
        with unit_of(house) as unit:
            of_type = add_type(house, unit)
            add_rooms(house, unit, of_type, ["11", "12"])
        with pytest.raises(AlreadyExists) as refusal, unit_of(house) as unit:
            add_type(house, unit)
        assert (refusal.value.kind, refusal.value.field) == ("room type", "code")
        with pytest.raises(AlreadyExists) as refusal, unit_of(house) as unit:
            add_rooms(house, unit, of_type, ["13", "12"])
        assert (refusal.value.kind, refusal.value.field) == ("room", "number")


def test_another_hotels_ids_are_unknown(database: Engine) -> None:
    """What another hotel has looks exactly like what does not exist."""
    theirs, ours = new_house(database), new_house(database)
    with unit_of(theirs) as unit:
        of_type = add_type(theirs, unit)
        (room,) = add_rooms(theirs, unit, of_type, ["11"])
        period, task = a_period(theirs, room.id, WEEK), a_task(theirs, room.id)
        unit.maintenance.add(period)
        unit.tasks.add(task)
        unit.inventory.sell(of_type, WEEK.nights, held=False)
    with unit_of(ours) as unit:
        questions: list[tuple[Callable[[Any], object], str, UUID]] = [
            (unit.types.get, "room type", of_type),
            (unit.rooms.get, "room", room.id),
            (lambda key: unit.rooms.lock([key]), "room", room.id),
            (unit.rooms.is_occupied, "room", room.id),
            (lambda key: unit.rooms.free(key, WEEK), "room type", of_type),
            (unit.maintenance.get, "maintenance period", period.id),
            (unit.tasks.lock, "housekeeping task", task.id),
            (lambda key: unit.inventory.nights(WEEK, key), "room type", of_type),
            (lambda key: unit.inventory.add_rooms(key, 1), "room type", of_type),
            (lambda key: unit.inventory.sell(key, [FIRST], held=True), "room type", of_type),
        ]
        for ask, kind, theirs_id in questions:
            for key in (theirs_id, new_id()):
                with pytest.raises(NotFound) as refusal:
                    ask(key)
                assert (refusal.value.kind, refusal.value.id) == (kind, key)
        assert {room.hotel_id for room in unit.rooms.page(RoomFilter()).items} == {ours.hotel_id}
        assert unit.room_nights.chart(WEEK) == ()
        assert unit.maintenance.overlapping(WEEK) == ()
        assert not any(night.committed for night in unit.inventory.nights(WEEK))


def test_the_database_refuses_a_reference_across_hotels(database: Engine) -> None:
    """A room of one hotel cannot be of another hotel's type."""
    theirs, ours = new_house(database), new_house(database)
    with unit_of(theirs) as unit:
        of_type = add_type(theirs, unit)
    with pytest.raises(DatabaseFailure), unit_of(ours) as unit:
        unit.rooms.add_all([a_room(ours, of_type, "11")])


def test_rooms_are_locked_and_changed(database: Engine) -> None:
    """Rooms are locked in id order, take a condition together, and refuse an older version."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        one, two, three = rooms = add_rooms(house, unit, of_type, ["103", "101", "102"])
        assert unit.rooms.lock([three.id, one.id, two.id]) == (one, two, three)
        unknown = RoomId(new_id())
        with pytest.raises(NotFound) as refusal:
            unit.rooms.lock([unknown, *(room.id for room in rooms)])
        assert refusal.value.id == unknown
        unit.rooms.set_condition([one.id, two.id], RoomCondition.PICKUP)
        picked = [attrs.evolve(r, condition=RoomCondition.PICKUP, version=2) for r in (one, two)]
        assert unit.rooms.lock([one.id, two.id, three.id]) == (*picked, three)
        with pytest.raises(StaleVersion):
            unit.rooms.update(one)
        renamed = unit.rooms.update(attrs.evolve(picked[0], number="100", floor="1"))
        assert unit.rooms.get(one.id) == attrs.evolve(picked[0], number="100", floor="1", version=3)
        assert renamed.version == 3


def test_rooms_change_numbers_at_once(database: Engine) -> None:
    """Rooms swap and pass on their numbers, each with its next version, or none gets another."""
    house = new_house(database)
    with unit_of(house) as unit:
        one, two, three, *_ = unit.rooms.page(RoomFilter()).items
        unit.rooms.renumber({})
        unit.rooms.renumber({one.id: two.number, two.id: three.number, three.id: "100"})
        passed_on = [
            attrs.evolve(one, number=two.number, version=2),
            attrs.evolve(two, number=three.number, version=2),
            attrs.evolve(three, number="100", version=2),
        ]
        assert unit.rooms.lock([one.id, two.id, three.id]) == tuple(passed_on)
    with pytest.raises(AlreadyExists, match="number"), unit_of(house) as unit:
        unit.rooms.renumber({one.id: one.number, two.id: "100"})
    with unit_of(house) as unit:
        assert unit.rooms.lock([one.id, two.id, three.id]) == tuple(passed_on)


def test_rooms_are_listed_by_number(database: Engine) -> None:
    """Pages together give every room once, by number; filters narrow them."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        lower, upper = a_room(house, of_type, "10"), a_room(house, of_type, "20", floor="2")
        unit.rooms.add_all([upper, lower])
        unit.rooms.set_condition([lower.id], RoomCondition.PICKUP)
        first = unit.rooms.page(RoomFilter(), limit=3)
        rest = unit.rooms.page(RoomFilter(), after=first.next, limit=3)
        numbers = [room.number for room in first.items + rest.items]
        for which, expected in (
            (RoomFilter(room_type_id=of_type), ["10", "20"]),
            (RoomFilter(floor="2"), ["20"]),
            (RoomFilter(conditions=frozenset({RoomCondition.PICKUP})), ["10"]),
            (RoomFilter(conditions=frozenset()), []),
        ):
            assert [room.number for room in unit.rooms.page(which).items] == expected
    assert numbers == ["0", "1", "10", "2", "20", "3"]
    assert rest.next is None


@given(periods=st.lists(spans, max_size=5), asked=spans, released=st.integers(0, 4))
def test_overlapping_maintenance_is_found(
    database: Engine, periods: list[Stay], asked: Stay, released: int
) -> None:
    """Exactly the unreleased periods that share a night are found, and none for a day use."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        (room,) = add_rooms(house, unit, of_type, ["11"])
        blocked = [a_period(house, room.id, period) for period in periods]
        for n, period in enumerate(blocked):
            unit.maintenance.add(period)
            if n == released:
                later = unit.maintenance.update(attrs.evolve(period, released_at=NOON))
                assert unit.maintenance.get(period.id) == later
                with pytest.raises(StaleVersion):
                    unit.maintenance.update(period)
        found = unit.maintenance.overlapping(asked)
        assert unit.maintenance.overlapping(Stay(asked.arrival, asked.arrival)) == ()
    wanted = [p for n, p in enumerate(blocked) if n != released and p.period.overlaps(asked)]
    assert {p.id for p in found} == {p.id for p in wanted}
    assert [p.period.arrival for p in found] == sorted(p.period.arrival for p in wanted)


# -- house work -------------------------------------------------------------------------------

tasks = st.tuples(
    st.integers(0, 2),
    st.integers(1, 3),
    st.sampled_from(TaskStatus),
    st.sampled_from([None, "ana"]),
)


@given(made=st.lists(tasks, max_size=8), limit=st.integers(1, 4))
def test_tasks_are_listed_in_order_and_narrowed(
    database: Engine, made: list[tuple[int, int, TaskStatus, str | None]], limit: int
) -> None:
    """Pages together give every task once, by due date, priority and id; filters narrow them."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        rooms = add_rooms(house, unit, of_type, ["11", "12", "13"])
        stored = [
            attrs.evolve(
                a_task(house, rooms[day].id),
                due=FIRST + day * DAY,
                priority=priority,
                status=status,
                assignee=assignee,
            )
            for day, priority, status, assignee in made
        ]
        for task in stored:
            unit.tasks.add(task)
        stored.sort(key=lambda task: (task.due, task.priority, task.id))
        listed: list[HousekeepingTask] = []
        after: str | None = None
        while True:
            page = unit.tasks.page(TaskFilter(), after=after, limit=limit)
            listed += page.items
            after = page.next
            if after is None:
                break
        assert listed == stored
        for which in (
            TaskFilter(due=FIRST),
            TaskFilter(status=TaskStatus.OPEN),
            TaskFilter(assignee="ana"),
            TaskFilter(room_id=rooms[1].id),
        ):
            wanted = attrs.asdict(which, filter=lambda _, value: value is not None)
            assert unit.tasks.page(which).items == tuple(
                t for t in stored if all(getattr(t, name) == v for name, v in wanted.items())
            )


def test_a_booking_has_one_departure_task(database: Engine) -> None:
    """A second departure task of a booking is refused; stay-over tasks may repeat."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        (room,) = add_rooms(house, unit, of_type, ["11"])
        booking = add_booking(house, unit, of_type)
        for _ in range(2):
            unit.tasks.add(a_task(house, room.id, booking_id=booking))
        task = a_task(house, room.id, kind=TaskKind.DEPARTURE, booking_id=booking)
        unit.tasks.add(task)
        done = attrs.evolve(task, status=TaskStatus.DONE, completed_at=NOON, completed_by="ana")
        assert unit.tasks.update(done) == unit.tasks.lock(task.id)
        with pytest.raises(StaleVersion):
            unit.tasks.update(done)
    with pytest.raises(AlreadyExists), unit_of(house) as unit:
        unit.tasks.add(a_task(house, room.id, kind=TaskKind.DEPARTURE, booking_id=booking))
