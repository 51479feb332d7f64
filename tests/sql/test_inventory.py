"""The counters of room types and nights, and who has which room on which night."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import date
from functools import partial
from uuid import UUID

import attrs
import pytest
from attrs import field, frozen
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, exc, text

from hotelcore.domain.availability import RoomAvailability
from hotelcore.domain.bookings import BookingStatus
from hotelcore.domain.stays import Stay
from hotelcore.errors import (
    DatabaseBusy,
    DatabaseFailure,
    RoomTaken,
    SoldOut,
)
from hotelcore.ids import (
    BookingId,
    MaintenanceId,
    RoomId,
    RoomTypeId,
    new_id,
)
from hotelcore.sql.repositories.room_nights import SqlRoomNights
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.engine import new_engine
from hotelcore.sql.upkeep.creation import create_schema
from tests.sql.house import DAY, House, new_house
from tests.sql.units import (
    FIRST,
    WEEK,
    Unit,
    a_period,
    add_booking,
    add_rooms,
    add_type,
    spans,
    together,
    unit_of,
)

# -- the counters -----------------------------------------------------------------------------

PERIOD = Stay(FIRST, FIRST + 5 * DAY)
NIGHTS = PERIOD.nights
some_nights = st.sets(st.sampled_from(NIGHTS), min_size=1)
COUNTERS: tuple[str, ...] = ("committed", "held", "out_of_order", "out_of_inventory")


@frozen
class Step:
    """One call of the inventory: which counter of which nights moves, and how."""

    verb: str
    nights: set[date] = field(factory=set)
    flag: bool = False
    force: bool = False
    number: int = 0
    again: set[date] = field(factory=set)

    @property
    def named(self) -> Counter[date]:
        """How often each night is named: by a sale or a block twice, if it is among ``again``."""
        return Counter([*self.nights, *(self.again & self.nights if self.takes else ())])

    @property
    def takes(self) -> bool:
        """Whether the call takes units."""
        return self.verb in ("sell", "block")


steps = st.lists(
    st.one_of(
        st.builds(
            Step,
            st.sampled_from(["sell", "release", "commit_held", "block", "unblock"]),
            some_nights,
            st.booleans(),
            st.sampled_from([False, False, False, True]),
            again=st.sets(st.sampled_from(NIGHTS)),
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
    inventory, nights = unit.inventory, tuple(step.named.elements())
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

    def __init__(self, of_type: RoomTypeId, rooms: int, overbooking: int) -> None:
        self.of_type = of_type
        self.rooms = rooms
        self.overbooking = overbooking
        self.counters = {night: dict.fromkeys(COUNTERS, 0) for night in NIGHTS}
        self.forced = dict.fromkeys(NIGHTS, 0)

    def left(self, night: date) -> int:
        """Count what may still be sold."""
        return self.rooms + self.overbooking - sum(self.counters[night].values())

    def expect(self, step: Step) -> DatabaseFailure | SoldOut | None:
        """Take a step if it is possible; give the error it should raise if not."""
        moves = moved_by(step)
        full = tuple(n for n in sorted(step.nights) if self.left(n) < step.named[n])
        if step.takes and full and not step.force:
            return SoldOut(self.of_type, full)
        if any(self.counters[n][c] + by < 0 for n in step.nights for c, by in moves.items()):
            return DatabaseFailure("check", "a rule that the tables hold would have been broken")
        for night, times in step.named.items():
            for counter, by in moves.items():
                self.counters[night][counter] += by * times
            self.forced[night] = max(self.forced[night], -self.left(night))
        return None

    def agrees(self, stored: Sequence[RoomAvailability]) -> bool:
        """Compare with the stored counters of all nights."""
        return tuple(row.night for row in stored) == NIGHTS and all(
            row.rooms == self.rooms
            and row.overbooking_limit == self.overbooking
            and {name: getattr(row, name) for name in COUNTERS} == self.counters[row.night]
            and row.sellable == max(0, self.left(row.night))
            and row.forced == self.forced[row.night]
            for row in stored
        )


@given(rooms=st.integers(0, 3), overbooking=st.integers(0, 2), taken=steps)
def test_counters_follow_the_model(
    database: Engine, rooms: int, overbooking: int, taken: list[Step]
) -> None:
    """Stored counters equal a dictionary's; a sale succeeds exactly when every night has a unit."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit, overbooking=overbooking)
        add_rooms(house, unit, of_type, [f"1{n}" for n in range(rooms)])
        model = Model(of_type, rooms, overbooking)
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
                assert vars(refusal.value) == vars(expected)
            assert model.agrees(unit.inventory.nights(PERIOD, of_type))
        whole = unit.inventory.nights(PERIOD)
        assert [row.room_type_id for row in whole[::5]] == [*house.type_ids, of_type]
        assert [row.committed + row.held for row in whole[:10]] == [0] * 10
        assert whole[10:] == unit.inventory.nights(PERIOD, of_type)


def test_a_refused_sale_changes_nothing_even_without_a_rollback(database: Engine) -> None:
    """A refusal comes before the first change, so what follows in the transaction is unharmed."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        add_rooms(house, unit, of_type, ["11"])
        unit.inventory.sell(of_type, [NIGHTS[2]], held=False)
        with pytest.raises(SoldOut) as refusal:
            unit.inventory.sell(of_type, NIGHTS, held=False)
        assert refusal.value.nights == (NIGHTS[2],)
        assert refusal.value.room_type_id == of_type
    with unit_of(house) as unit:
        committed = [row.committed for row in unit.inventory.nights(WEEK, of_type)]
    assert committed == [0, 0, 1, 0, 0, 0, 0]


def test_a_night_named_twice_takes_two_units_or_none(database: Engine) -> None:
    """Several bookings are sold at once, and a night that has not a unit for each is refused."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        add_rooms(house, unit, of_type, ["11", "12", "13"])
        unit.inventory.sell(of_type, [NIGHTS[0], *NIGHTS[:2], NIGHTS[0]], held=False)
        with pytest.raises(SoldOut) as refusal:
            unit.inventory.sell(of_type, [*NIGHTS[1:3], NIGHTS[1], NIGHTS[1]], held=False)
        assert refusal.value.nights == (NIGHTS[1],)
        unit.inventory.sell(of_type, [NIGHTS[1]] * 4, held=True, force=True)
        rows = unit.inventory.nights(PERIOD, of_type)
    assert [row.committed for row in rows] == [3, 1, 0, 0, 0]
    assert [(row.held, row.forced) for row in rows[:3]] == [(0, 0), (4, 2), (0, 0)]


def test_what_is_named_twice_is_given_back_twice(database: Engine) -> None:
    """To give back what was taken, sold or blocked, is to name the same nights."""
    house = new_house(database)
    twice = [*NIGHTS[:2], NIGHTS[0]]
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        add_rooms(house, unit, of_type, ["11", "12", "13", "14"])
        before = unit.inventory.nights(PERIOD, of_type)
        unit.inventory.sell(of_type, twice, held=True)
        unit.inventory.commit_held(of_type, twice)
        unit.inventory.block(of_type, twice, off_count=False, force=False)
        assert [row.sellable for row in unit.inventory.nights(PERIOD, of_type)][:2] == [0, 2]
        unit.inventory.unblock(of_type, twice, off_count=False)
        unit.inventory.release(of_type, twice, held=False)
        assert unit.inventory.nights(PERIOD, of_type) == before


def test_a_day_use_takes_no_unit(database: Engine) -> None:
    """Without a night there is nothing to sell or give back, also in a type without rooms."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        unit.inventory.sell(of_type, [], held=False)
        unit.inventory.release(of_type, [], held=False)
    with database.connect() as connection:
        stored = connection.execute(text("SELECT count(*) FROM hc_room_availability")).scalar_one()
    assert stored == 0


def test_the_database_itself_refuses_to_oversell(database: Engine) -> None:
    """A program error above the table ends at the table's own rule."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        add_rooms(house, unit, of_type, ["11"])
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
        add_rooms(house, unit, of_type, ["11"])

    def buy(nights: Sequence[date]) -> bool:
        with unit_of(house) as unit:
            unit.inventory.sell(of_type, nights, held=False)
        return True

    for n in range(20):
        first = FIRST + 10 * n * DAY
        stays = [Stay(first + (k % 3) * DAY, first + 5 * DAY) for k in range(6)]
        if stored_before:
            with unit_of(house) as unit:
                unit.inventory.sell(of_type, stays[0].nights, held=True)
                unit.inventory.release(of_type, stays[0].nights, held=True)
        results = together(*(partial(buy, stay.nights) for stay in stays))
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

    def overtaken() -> None:
        with unit_of(attrs.evolve(house, engine=strict)) as unit:
            unit.types.all()  # what this transaction sees is settled here
            with unit_of(house) as other:
                sooner(other)
            later(unit)

    with pytest.raises(DatabaseBusy):
        overtaken()


# -- room nights ------------------------------------------------------------------------------

# Whether nights are freed or taken, by which holder, in which room, which nights.
moves = st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.integers(0, 1), spans), max_size=12)


@frozen
class Booker:
    """A booking that takes room nights."""

    id: BookingId

    def take(self, unit: Unit, room: RoomId, stay: Stay) -> None:
        """Take the nights of a stay."""
        unit.room_nights.hold(room, self.id, stay.nights)

    def free(self, unit: Unit, from_night: date) -> None:
        """Give nights back."""
        unit.room_nights.release(self.id, from_night=from_night)


@frozen
class Repair:
    """A maintenance period that takes room nights."""

    id: MaintenanceId

    def take(self, unit: Unit, room: RoomId, stay: Stay) -> None:
        """Take the nights of a stay."""
        unit.room_nights.block(room, self.id, stay)

    def free(self, unit: Unit, from_night: date) -> None:
        """Give nights back."""
        unit.room_nights.unblock(self.id, from_night=from_night)


@given(taken=moves, asked=spans)
def test_a_room_night_has_one_holder(
    database: Engine, taken: list[tuple[bool, int, int, Stay]], asked: Stay
) -> None:
    """Nights go to who is first; a refusal names the others' nights; a taken room is not free."""
    house = new_house(database)
    model: dict[tuple[RoomId, date], UUID] = {}
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        rooms = add_rooms(house, unit, of_type, ["11", "12"])
        period = a_period(house, rooms[0].id, WEEK)
        unit.maintenance.add(period)
        holders = [Booker(add_booking(house, unit, of_type)) for _ in range(2)]
        everybody: list[Booker | Repair] = [*holders, Repair(period.id)]
        for frees, n, at, stay in taken:
            holder, room = everybody[n], rooms[at].id
            others = tuple(d for d in stay if model.get((room, d), holder.id) != holder.id)
            if frees:
                holder.free(unit, stay.arrival)
                model = {k: v for k, v in model.items() if v != holder.id or k[1] < stay.arrival}
            elif others:
                with pytest.raises(RoomTaken) as refusal, unit.savepoint():
                    holder.take(unit, room, stay)
                assert (refusal.value.room_id, refusal.value.nights) == (room, others)
            else:
                holder.take(unit, room, stay)
                model.update({(room, night): holder.id for night in stay})
        chart = unit.room_nights.chart(WEEK)
        free = unit.rooms.free(of_type, asked)
        each = unit.rooms.free_of_each([house.type_ids[1], of_type], asked)
    assert each == {house.type_ids[1]: (), of_type: free}
    found = [((n.room_id, n.night), n.booking_id or n.maintenance_id) for n in chart]
    assert found == sorted(model.items())
    assert list(free) == [r for r in rooms if not any((r.id, night) in model for night in asked)]


@pytest.mark.race
def test_one_of_two_gets_the_room(database: Engine) -> None:
    """Of two who want overlapping nights of a room one gets it; neither blocks the other."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        (room,) = add_rooms(house, unit, of_type, ["11"])
        bookings = [add_booking(house, unit, of_type) for _ in range(2)]

    def hold(booking: BookingId, nights: Sequence[date]) -> bool:
        with unit_of(house) as unit:
            unit.room_nights.hold(room.id, booking, nights)
        return True

    for n in range(20):
        first = FIRST + 5 * n * DAY
        nights = Stay(first, first + 5 * DAY).nights
        one, two = together(
            partial(hold, bookings[0], nights), partial(hold, bookings[1], nights[:0:-1])
        )
        refused = one if two is True else two
        assert [one, two].count(True) == 1
        assert isinstance(refused, RoomTaken)
        assert refused.nights == nights[1:]


def test_who_tries_a_room_is_told_at_once_and_goes_on(database: Engine) -> None:
    """Also where writes go together, in which a room that has to be free is refused later."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        first, second = add_rooms(house, unit, of_type, ["11", "12"])
        one, two = (add_booking(house, unit, of_type) for _ in range(2))
        unit.room_nights.hold(first.id, one, [FIRST])
    with house.writing() as run, run.together():
        nights = SqlRoomNights(run)
        with pytest.raises(RoomTaken) as taken:
            nights.hold(first.id, two, WEEK.nights, at_once=True)
        assert taken.value.nights == (FIRST,)
        nights.release(two, from_night=FIRST)
        nights.hold(second.id, two, WEEK.nights)
    with unit_of(house) as unit:
        held = {night.room_id for night in unit.room_nights.chart(WEEK) if night.booking_id == two}
    assert held == {second.id}


def test_a_room_night_needs_exactly_one_holder(database: Engine) -> None:
    """A night that nobody holds, or two do, cannot be stored."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        (room,) = add_rooms(house, unit, of_type, ["11"])
        booking = add_booking(house, unit, of_type)
        unit.room_nights.hold(room.id, booking, [FIRST])
    with pytest.raises(exc.IntegrityError), database.begin() as connection:
        connection.execute(text("UPDATE hc_room_night SET booking_id = NULL"))


def test_a_day_use_needs_a_room_that_nobody_is_in(database: Engine) -> None:
    """By day a room is free unless a guest is in house in it or maintenance has it that night."""
    house = new_house(database)
    with unit_of(house) as unit:
        of_type = add_type(house, unit)
        rooms = add_rooms(house, unit, of_type, ["11", "12", "13", "14"])
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
        for day in (FIRST, after):
            each = unit.rooms.free_of_each([of_type], Stay(day, day))
            assert each == {of_type: unit.rooms.free(of_type, Stay(day, day))}
        occupied = [unit.rooms.is_occupied(room.id) for room in rooms]
        ids = [room.id for room in rooms]
        assert unit.rooms.occupied([*ids, RoomId(new_id())]) == {rooms[0].id}
        assert unit.rooms.occupied(ids[1:]) == unit.rooms.occupied([]) == frozenset()
    assert occupied == [True, False, False, False]
