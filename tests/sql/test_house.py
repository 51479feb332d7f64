"""The house in storage: hotels, rooms, maintenance, counters, room nights and house work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date
from threading import Barrier
from typing import Any, TypeVar
from uuid import UUID

import attrs
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, exc, text

from hotelcore.domain.availability import RoomAvailability
from hotelcore.domain.bookings import BookingStatus
from hotelcore.domain.hotels import Hotel, HouseRules, OverdueDeparture
from hotelcore.domain.housekeeping import HousekeepingTask, TaskKind, TaskStatus
from hotelcore.domain.money import Money
from hotelcore.domain.rooms import (
    MaintenanceKind,
    MaintenancePeriod,
    Room,
    RoomCondition,
    RoomType,
)
from hotelcore.domain.stays import Stay
from hotelcore.errors import (
    AlreadyExists,
    DatabaseBusy,
    DatabaseFailure,
    NotFound,
    RoomTaken,
    SoldOut,
    StaleVersion,
)
from hotelcore.ids import (
    BookingId,
    GuestId,
    HotelId,
    MaintenanceId,
    RoomId,
    RoomTypeId,
    TaskId,
    new_id,
)
from hotelcore.repositories import RoomFilter, TaskFilter
from hotelcore.sql.availability import SqlInventory
from hotelcore.sql.bookings import SqlBookings
from hotelcore.sql.creation import create_schema
from hotelcore.sql.engine import new_engine
from hotelcore.sql.hotels import SqlHotels
from hotelcore.sql.housekeeping import SqlHousekeeping
from hotelcore.sql.room_nights import SqlRoomNights
from hotelcore.sql.rooms import SqlMaintenance, SqlRooms, SqlRoomTypes
from hotelcore.sql.schema import TableNames
from hotelcore.sql.statements import Statements
from tests.sql.house import DAY, NOON, TODAY, House, new_house

T = TypeVar("T")

FIRST = TODAY
WEEK = Stay(FIRST, FIRST + 7 * DAY)
TYPE = RoomTypeId(new_id())


class Unit:
    """The repositories of one transaction."""

    def __init__(self, run: Statements) -> None:
        self.hotels = SqlHotels(run)
        self.types = SqlRoomTypes(run)
        self.rooms = SqlRooms(run)
        self.maintenance = SqlMaintenance(run)
        self.inventory = SqlInventory(run)
        self.room_nights = SqlRoomNights(run)
        self.bookings = SqlBookings(run)
        self.tasks = SqlHousekeeping(run)
        self.savepoint = run._connection.begin_nested


@contextmanager
def unit_of(house: House) -> Iterator[Unit]:
    """Open a transaction of the house."""
    with house.writing() as run:
        yield Unit(run)


def add_type(house: House, unit: Unit, code: str = "DBL", overbooking: int = 0) -> RoomTypeId:
    """Store a room type without rooms."""
    room_type = RoomType(
        id=RoomTypeId(new_id()),
        hotel_id=house.hotel_id,
        code=code,
        name="Double",
        base_rate=Money.of(100, "EUR"),
        overbooking_limit=overbooking,
    )
    unit.types.add(room_type)
    return room_type.id


def add_rooms(house: House, unit: Unit, of_type: RoomTypeId, numbers: Sequence[str]) -> list[Room]:
    """Store rooms and count them, as the operation does."""
    rooms = [a_room(house, of_type, number) for number in numbers]
    unit.rooms.add_all(rooms)
    unit.inventory.add_rooms(of_type, len(rooms))
    return rooms


def a_room(house: House, of_type: RoomTypeId, number: str, floor: str | None = None) -> Room:
    """Make a room."""
    return Room(
        id=RoomId(new_id()),
        hotel_id=house.hotel_id,
        room_type_id=of_type,
        number=number,
        floor=floor,
    )


def add_booking(house: House, unit: Unit, of_type: RoomTypeId, **changes: object) -> BookingId:
    """Store a booking of the week without nights."""
    booking = house.booking(room_type_id=of_type, stay=WEEK, **changes)
    unit.bookings.add(booking, ())
    return booking.id


def a_period(house: House, room_id: RoomId, period: Stay) -> MaintenancePeriod:
    """Make a maintenance period."""
    return MaintenancePeriod(
        id=MaintenanceId(new_id()),
        hotel_id=house.hotel_id,
        room_id=room_id,
        kind=MaintenanceKind.OUT_OF_ORDER,
        period=period,
        reason="paint",
        created_at=NOON,
    )


def a_task(
    house: House,
    room_id: RoomId,
    kind: TaskKind = TaskKind.STAY_OVER,
    booking_id: BookingId | None = None,
) -> HousekeepingTask:
    """Make a housekeeping task for today."""
    return HousekeepingTask(
        id=TaskId(new_id()),
        hotel_id=house.hotel_id,
        room_id=room_id,
        kind=kind,
        due=FIRST,
        booking_id=booking_id,
        created_at=NOON,
    )


def together(*works: Callable[[], T]) -> list[T | Exception]:
    """Run functions at the same moment and return what each gave or raised."""
    start = Barrier(len(works))

    def one(work: Callable[[], T]) -> T:
        start.wait()
        return work()

    with ThreadPoolExecutor(len(works)) as pool:
        futures: list[Future[T]] = [pool.submit(one, work) for work in works]
    raised = [future.exception() for future in futures]
    assert not any(isinstance(e, BaseException) and not isinstance(e, Exception) for e in raised)
    return [f.result() if e is None else e for f, e in zip(futures, raised, strict=True)]  # type: ignore[misc]  # BaseExceptions are refused above


# -- the counters -----------------------------------------------------------------------------

NIGHTS = [FIRST + n * DAY for n in range(5)]
some_nights = st.sets(st.sampled_from(NIGHTS), min_size=1)
COUNTERS = ("committed", "held", "out_of_order", "out_of_inventory")


@frozen
class Step:
    """One call of the inventory: which counter of which nights moves, and how."""

    verb: str
    nights: set[date] = field(factory=set)
    flag: bool = False
    force: bool = False
    number: int = 0


steps = st.lists(
    st.one_of(
        st.builds(
            Step,
            st.sampled_from(["sell", "release", "commit_held", "block", "unblock"]),
            some_nights,
            st.booleans(),
            st.sampled_from([False, False, False, True]),
        ),
        st.builds(Step, st.just("add_rooms"), number=st.integers(1, 2)),
    ),
    min_size=1,
    max_size=12,
)


def moved_by(step: Step) -> dict[str, int]:
    """Say which counters a step moves."""
    sold = "held" if step.flag else "committed"
    blocked = "out_of_inventory" if step.flag else "out_of_order"
    moves = {
        "sell": {sold: 1},
        "release": {sold: -1},
        "commit_held": {"held": -1, "committed": 1},
        "block": {blocked: 1},
        "unblock": {blocked: -1},
    }
    return moves[step.verb]


def call(unit: Unit, of_type: RoomTypeId, step: Step) -> None:
    """Take a step on the stored counters."""
    inventory, nights = unit.inventory, step.nights
    match step.verb:
        case "sell":
            inventory.sell(of_type, nights, held=step.flag, force=step.force)
        case "release":
            inventory.release(of_type, nights, held=step.flag)
        case "commit_held":
            inventory.commit_held(of_type, nights)
        case "block":
            inventory.block(of_type, nights, off_count=step.flag, force=step.force)
        case _:
            inventory.unblock(of_type, nights, off_count=step.flag)


class Model:
    """What the counters should say: plain numbers in a dictionary."""

    def __init__(self, rooms: int, overbooking: int) -> None:
        self.rooms = rooms
        self.overbooking = overbooking
        self.counters = {night: dict.fromkeys(COUNTERS, 0) for night in NIGHTS}

    def left(self, night: date) -> int:
        """Count what may still be sold."""
        return self.rooms + self.overbooking - sum(self.counters[night].values())

    def expect(self, step: Step) -> DatabaseFailure | SoldOut | None:
        """Take a step if it is possible; give the error it should raise if not."""
        moves = moved_by(step)
        full = tuple(night for night in sorted(step.nights) if self.left(night) < 1)
        if step.verb in ("sell", "block") and full and not step.force:
            return SoldOut(RoomTypeId(UUID(int=0)), full)
        if any(self.counters[n][c] + by < 0 for n in step.nights for c, by in moves.items()):
            return DatabaseFailure("check")
        for night in step.nights:
            for counter, by in moves.items():
                self.counters[night][counter] += by
        return None

    def agrees(self, stored: Sequence[RoomAvailability]) -> bool:
        """Compare with the stored counters of all nights."""
        return [row.night for row in stored] == NIGHTS and all(
            row.rooms == self.rooms
            and row.overbooking_limit == self.overbooking
            and {name: getattr(row, name) for name in COUNTERS} == self.counters[row.night]
            and row.sellable == max(0, self.left(row.night))
            and row.forced >= -self.left(row.night)
            for row in stored
        )


@given(rooms=st.integers(0, 3), overbooking=st.integers(0, 2), taken=steps)
def test_counters_follow_the_model(
    database: Engine, rooms: int, overbooking: int, taken: list[Step]
) -> None:
    """Stored counters equal a dictionary's; a sale succeeds exactly when every night has a unit."""
    house, model = new_house(database), Model(rooms, overbooking)
    with unit_of(house) as unit:
        of_type = add_type(house, unit, overbooking=overbooking)
        add_rooms(house, unit, of_type, [str(n) for n in range(rooms)])
        other = add_type(house, unit, "SGL")
        for n, step in enumerate(taken):
            if step.verb == "add_rooms":
                add_rooms(house, unit, of_type, [f"{n}-{more}" for more in range(step.number)])
                model.rooms += step.number
                continue
            expected = model.expect(step)
            if expected is None:
                call(unit, of_type, step)
            else:
                with pytest.raises(type(expected)) as refusal, unit.savepoint():
                    call(unit, of_type, step)
                if isinstance(expected, SoldOut):
                    assert refusal.value == SoldOut or refusal.value.nights == expected.nights
            stay = Stay(NIGHTS[0], NIGHTS[-1] + DAY)
            assert model.agrees(unit.inventory.nights(stay, of_type))
            both = unit.inventory.nights(stay)
            assert [row.room_type_id for row in both] == [of_type] * 5 + [other] * 5
            assert not any(row.rooms or row.committed or row.held for row in both[5:])


def test_a_refused_sale_changes_nothing_even_without_a_rollback(database: Engine) -> None:
    """A refusal comes before the first change, so what follows in the transaction is unharmed."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        add_rooms(house, unit, of_type, ["1"])
        unit.inventory.sell(of_type, [NIGHTS[2]], held=False)
        with pytest.raises(SoldOut) as refusal:
            unit.inventory.sell(of_type, NIGHTS, held=False)
        assert refusal.value.nights == (NIGHTS[2],)
        assert refusal.value.room_type_id == of_type
    with unit_of(house) as unit:
        committed = [row.committed for row in unit.inventory.nights(WEEK, of_type)]
    assert committed == [0, 0, 1, 0, 0, 0, 0]


def test_the_database_itself_refuses_to_oversell(database: Engine) -> None:
    """A program error above the table ends at the table's own rule."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        add_rooms(house, unit, of_type, ["1"])
        unit.inventory.sell(of_type, NIGHTS, held=True)
    with pytest.raises(exc.IntegrityError), database.begin() as connection:
        connection.execute(text("UPDATE hc_room_availability SET committed = committed + 1"))


@pytest.mark.race
@pytest.mark.parametrize("stored_before", [False, True])
def test_one_of_many_buys_the_last_unit(database: Engine, stored_before: bool) -> None:
    """However many want the last unit of overlapping stays, one gets it, the others are told."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        add_rooms(house, unit, of_type, ["1"])

    def buy(nights: Sequence[date]) -> bool:
        with unit_of(house) as unit:
            unit.inventory.sell(of_type, nights, held=False)
        return True

    for n in range(20):
        first = FIRST + (10 * n) * DAY
        stays = [Stay(first + (k % 3) * DAY, first + 5 * DAY) for k in range(6)]
        if stored_before:
            with unit_of(house) as unit:
                unit.inventory.sell(of_type, stays[0].nights, held=True)
                unit.inventory.release(of_type, stays[0].nights, held=True)
        results = together(*(lambda stay=stay: buy(stay.nights) for stay in stays))
        assert sum(result is True for result in results) == 1
        assert sum(isinstance(result, SoldOut) for result in results) == len(stays) - 1


@pytest.fixture
def postgresql_house(postgresql_url: str) -> Iterator[House]:
    """Return a hotel on PostgreSQL, where two may write at the same time."""
    engine = new_engine(postgresql_url)
    with engine.connect() as connection:
        create_schema(connection, TableNames())
    yield new_house(engine)
    engine.dispose()


def test_rooms_added_while_a_night_is_first_sold_are_counted(postgresql_house: House) -> None:
    """Who adds rooms waits for who is making a night's row, so that the row learns of them."""
    house = postgresql_house
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        add_rooms(house, unit, of_type, ["11"])

    def add() -> None:
        with unit_of(house) as unit:
            add_rooms(house, unit, of_type, ["12", "13"])

    with ThreadPoolExecutor(1) as pool:
        with unit_of(house) as unit:
            unit.inventory.sell(of_type, NIGHTS, held=False)
            adding = pool.submit(add)
            wait_until_blocked(house.engine, adding)
        adding.result()
    with unit_of(house) as unit:
        assert {row.rooms for row in unit.inventory.nights(WEEK, of_type)} == {3}


def wait_until_blocked(engine: Engine, work: Future[None]) -> None:
    """Wait until somebody waits for a lock, or the work is over without ever waiting."""
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE wait_event_type = 'Lock' AND datname = current_database()"
    )
    with engine.connect() as connection:
        while not work.done() and not connection.execute(waiting).scalar_one():
            connection.rollback()  # the next look is a new one


@pytest.mark.parametrize("sells_first", [True, False])
def test_an_older_view_cannot_miss_rooms(postgresql_house: House, sells_first: bool) -> None:
    """Under REPEATABLE READ the later of a first sale and an addition of rooms starts again."""
    house = postgresql_house
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        add_rooms(house, unit, of_type, ["11"])

    def sell(unit: Unit) -> None:
        unit.inventory.sell(of_type, NIGHTS, held=False)

    def add(unit: Unit) -> None:
        add_rooms(house, unit, of_type, ["12"])

    sooner, later = (sell, add) if sells_first else (add, sell)
    strict = house.engine.execution_options(isolation_level="REPEATABLE READ")
    with pytest.raises(DatabaseBusy), unit_of(attrs.evolve(house, engine=strict)) as unit:
        unit.types.all()  # what this transaction sees is settled here
        with unit_of(house) as other:
            sooner(other)
        later(unit)


# -- room nights ------------------------------------------------------------------------------

spans = st.tuples(st.integers(0, 4), st.integers(1, 5)).map(
    lambda span: Stay(FIRST + span[0] * DAY, FIRST + min(6, span[0] + span[1]) * DAY)
)
# (verb, which holder, which room, which nights); holders 0 and 1 book, 2 is maintenance
moves = st.lists(
    st.tuples(st.sampled_from(["take", "free"]), st.integers(0, 2), st.integers(0, 1), spans),
    max_size=12,
)


@given(taken=moves, asked=spans)
def test_a_room_night_has_one_holder(
    database: Engine, taken: list[tuple[str, int, int, Stay]], asked: Stay
) -> None:
    """Nights go to who is first; a refusal names the others' nights; a taken room is not free."""
    house = new_house(database)
    model: dict[tuple[RoomId, date], UUID] = {}
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        rooms = add_rooms(house, unit, of_type, ["11", "12"])
        period = a_period(house, rooms[0].id, WEEK)
        unit.maintenance.add(period)
        holders = [*(add_booking(house, unit, of_type) for _ in range(2)), period.id]
        for verb, n, at, stay in taken:
            holder, room = holders[n], rooms[at].id
            if verb == "free":
                (unit.room_nights.unblock if n == 2 else unit.room_nights.release)(
                    holder, from_night=stay.arrival
                )
                model = {k: v for k, v in model.items() if v != holder or k[1] < stay.arrival}
                continue
            others = tuple(d for d in stay if model.get((room, d), holder) != holder)
            if others:
                with pytest.raises(RoomTaken) as refusal, unit.savepoint():
                    take(unit, room, holder, stay, maintenance=n == 2)
                assert (refusal.value.room_id, refusal.value.nights) == (room, others)
            else:
                take(unit, room, holder, stay, maintenance=n == 2)
                model.update({(room, night): holder for night in stay})
        chart = unit.room_nights.chart(WEEK)
        free = unit.rooms.free(of_type, asked)
    found = [
        ((night.room_id, night.night), night.booking_id or night.maintenance_id) for night in chart
    ]
    assert found == sorted(model.items())
    assert list(free) == [r for r in rooms if not any((r.id, night) in model for night in asked)]


def take(unit: Unit, room: RoomId, holder: UUID, stay: Stay, *, maintenance: bool) -> None:
    """Give nights to a booking or to maintenance."""
    if maintenance:
        unit.room_nights.block(room, holder, stay)
    else:
        unit.room_nights.hold(room, holder, stay.nights)


@pytest.mark.race
def test_one_of_two_gets_the_room(database: Engine) -> None:
    """Two who want the same room for overlapping nights do not both get it, nor block each other."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        (room,) = add_rooms(house, unit, of_type, ["1"])
        bookings = [add_booking(house, unit, of_type) for _ in range(2)]

    def hold(booking: BookingId, nights: Sequence[date]) -> bool:
        with unit_of(house) as unit:
            unit.room_nights.hold(room.id, booking, nights)
        return True

    for n in range(20):
        nights = Stay(FIRST, FIRST + 5 * DAY).nights
        nights = tuple(night + (5 * n) * DAY for night in nights)
        one, two = together(
            lambda nights=nights: hold(bookings[0], nights),
            lambda nights=nights: hold(bookings[1], nights[::-1][:4]),
        )
        refused = one if two is True else two
        assert [one, two].count(True) == 1
        assert isinstance(refused, RoomTaken)
        assert refused.nights == nights[1:]


def test_a_room_night_needs_exactly_one_holder(database: Engine) -> None:
    """A night that nobody holds, or two do, cannot be stored."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        (room,) = add_rooms(house, unit, of_type, ["1"])
        booking = add_booking(house, unit, of_type)
        unit.room_nights.hold(room.id, booking, [FIRST])
    with pytest.raises(exc.IntegrityError), database.begin() as connection:
        connection.execute(text("UPDATE hc_room_night SET booking_id = NULL"))


def test_a_day_use_needs_a_room_that_nobody_is_in(database: Engine) -> None:
    """By day a room is free unless a guest is in house in it or maintenance has it that night."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        rooms = add_rooms(house, unit, of_type, ["1", "2", "3", "4"])
        in_house = {"status": BookingStatus.IN_HOUSE, "room_id": rooms[0].id}
        add_booking(house, unit, of_type, **in_house)
        period = a_period(house, rooms[1].id, WEEK)
        unit.maintenance.add(period)
        unit.room_nights.block(rooms[1].id, period.id, WEEK)
        due_in = add_booking(house, unit, of_type, room_id=rooms[2].id)
        unit.room_nights.hold(rooms[2].id, due_in, WEEK.nights)
        assert unit.rooms.free(of_type, Stay(FIRST, FIRST)) == (rooms[2], rooms[3])
        after = WEEK.departure
        assert unit.rooms.free(of_type, Stay(after, after)) == tuple(rooms[1:])
        occupied = [unit.rooms.is_occupied(room.id) for room in rooms]
    assert occupied == [True, False, False, False]


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
    with pytest.raises(AlreadyExists) as refusal, unit_of(third) as unit:
        unit.hotels.update(attrs.evolve(known_hotel, **{name: "taken"}))
    assert (refusal.value.kind, refusal.value.field) == ("hotel", name)


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
            add_rooms(house, unit, of_type, ["1", "2"])
        with pytest.raises(AlreadyExists) as refusal, unit_of(house) as unit:
            add_type(house, unit)
        assert (refusal.value.kind, refusal.value.field) == ("room type", "code")
        with pytest.raises(AlreadyExists) as refusal, unit_of(house) as unit:
            add_rooms(house, unit, of_type, ["3", "2"])
        assert (refusal.value.kind, refusal.value.field) == ("room", "number")


def test_another_hotels_ids_are_unknown(database: Engine) -> None:
    """What another hotel has looks exactly like what does not exist."""
    theirs, ours = new_house(database), new_house(database)
    with unit_of(theirs) as unit:
        of_type = add_type(theirs, unit)
        (room,) = add_rooms(theirs, unit, of_type, ["1"])
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
        assert unit.rooms.page(RoomFilter()).items == ()
        assert unit.room_nights.chart(WEEK) == ()
        assert unit.maintenance.overlapping(WEEK) == ()
        assert unit.inventory.nights(WEEK) == ()


def test_the_database_refuses_a_reference_across_hotels(database: Engine) -> None:
    """A room of one hotel cannot be of another hotel's type."""
    theirs, ours = new_house(database), new_house(database)
    with unit_of(theirs) as unit:
        of_type = add_type(theirs, unit)
    with pytest.raises(DatabaseFailure), unit_of(ours) as unit:
        unit.rooms.add_all([a_room(ours, of_type, "1")])


def test_rooms_are_locked_changed_and_listed(database: Engine) -> None:
    """Rooms are locked in id order, take a condition together, and are listed by number."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type, other = add_type(house, unit), add_type(house, unit, "SGL")
        rooms = add_rooms(house, unit, of_type, ["103", "101", "102"])
        upstairs = a_room(house, other, "201", floor="2", condition=RoomCondition.DIRTY)
        unit.rooms.add_all([upstairs])
        ids = [room.id for room in rooms]
        assert unit.rooms.lock(ids[::-1]) == tuple(rooms)
        with pytest.raises(NotFound):
            unit.rooms.lock([*ids, new_id()])
        unit.rooms.set_condition(ids[:2], RoomCondition.PICKUP)
        picked = [
            attrs.evolve(room, condition=RoomCondition.PICKUP, version=2) for room in rooms[:2]
        ]
        assert unit.rooms.lock(ids[:2]) == tuple(picked)
        with pytest.raises(StaleVersion):
            unit.rooms.update(rooms[0])
        renamed = unit.rooms.update(attrs.evolve(picked[0], number="100", floor="1"))
        assert unit.rooms.get(ids[0]) == renamed
        in_order = (renamed, picked[1], rooms[2], upstairs)
        first = unit.rooms.page(RoomFilter(), limit=3)
        assert first.items == in_order[:3]
        assert unit.rooms.page(RoomFilter(), after=first.next, limit=3).items == in_order[3:]
        pages = {
            RoomFilter(room_type_id=other): in_order[3:],
            RoomFilter(floor="1"): in_order[:1],
            RoomFilter(conditions=frozenset({RoomCondition.PICKUP})): in_order[:2],
            RoomFilter(conditions=frozenset()): (),
        }
        for which, expected in pages.items():
            assert unit.rooms.page(which).items == expected


@given(periods=st.lists(spans, max_size=5), asked=spans, released=st.integers(0, 4))
def test_overlapping_maintenance_is_found(
    database: Engine, periods: list[Stay], asked: Stay, released: int
) -> None:
    """Exactly the unreleased periods that share a night are found, and none for a day use."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        (room,) = add_rooms(house, unit, of_type, ["1"])
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
        rooms = add_rooms(house, unit, of_type, ["1", "2", "3"])
        stored = [
            a_task(
                house,
                rooms[day].id,
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
        (room,) = add_rooms(house, unit, of_type, ["1"])
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
