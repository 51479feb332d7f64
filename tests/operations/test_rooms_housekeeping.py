"""Rooms change their condition, go to maintenance and come back, and nothing is sold by it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hotelcore import operations as op
from hotelcore.access import Role
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.domain.housekeeping import HousekeepingTask, TaskKind, TaskStatus
from hotelcore.domain.rooms import MaintenanceKind, MaintenancePeriod, Room, RoomCondition
from hotelcore.domain.stays import Stay
from hotelcore.errors import (
    ActionRefused,
    InvalidInput,
    NotFound,
    PermissionDenied,
    RoomTaken,
    SoldOut,
    StaleVersion,
)
from hotelcore.events.catalogue import Event, HousekeepingTaskCompleted, RoomStatusChanged
from hotelcore.ids import MaintenanceId, RoomId, TaskId
from hotelcore.lists import AuditFilter, RoomFilter, TaskFilter
from tests.operations.recount import untold
from tests.operations.small_hotel import DAY, TODAY, SmallHotel, open_hotel, refusal

CONDITIONS = st.sampled_from(RoomCondition)
OFF_SALE = [kind for kind in MaintenanceKind if kind.off_sale]


def conditions(hotel: SmallHotel) -> list[RoomCondition]:
    """Read the condition of each room, in the order in which they were added."""
    with hotel.desk().reading() as uow:
        found = {room.id: room.condition for room in uow.rooms.page(RoomFilter()).items}
    return [found[room_id] for room_id in hotel.room_ids]


def set_all(hotel: SmallHotel, wanted: list[RoomCondition]) -> None:
    """Put each room into a condition."""
    for room_id, condition in zip(hotel.room_ids, wanted, strict=True):
        update(hotel, [room_id], condition)


def update(hotel: SmallHotel, room_ids: list[RoomId], condition: RoomCondition) -> tuple[Room, ...]:
    """Set the condition of some rooms."""
    return hotel.desk().run(op.bulk_update_room_status, room_ids=room_ids, condition=condition)


def block(
    hotel: SmallHotel,
    room_id: RoomId,
    *,
    kind: MaintenanceKind = MaintenanceKind.OUT_OF_ORDER,
    begins: int = 0,
    nights: int = 2,
    force_reason: str | None = None,
) -> MaintenancePeriod:
    """Block a room from ``begins`` days after the business date."""
    arrival = hotel.today + begins * DAY
    return hotel.desk().run(
        op.block_room,
        room_id=room_id,
        kind=kind,
        period=Stay(arrival, arrival + nights * DAY),
        reason="paint",
        force_reason=force_reason,
    )


def available(hotel: SmallHotel, nights: int = 4) -> list[int]:
    """Read how many units are left on each night from today."""
    with hotel.desk().reading() as uow:
        (found,) = op.search_availability(uow, stay=Stay(hotel.today, hotel.today + nights * DAY))
    return [night.available for night in found.nights]


# -- the condition of many rooms --------------------------------------------------------------


@settings(max_examples=25)
@given(
    before=st.lists(CONDITIONS, min_size=4, max_size=4),
    which=st.lists(st.integers(0, 3), min_size=1, max_size=6),
    wanted=CONDITIONS,
)
@example(before=[RoomCondition.DIRTY] * 4, which=[2, 0, 2], wanted=RoomCondition.CLEAN)
def test_a_bulk_update_equals_single_ones(
    core: HotelCore,
    clock: FixedClock,
    before: list[RoomCondition],
    which: list[int],
    wanted: RoomCondition,
) -> None:
    """Many rooms at once, some named twice, end as one after the other would, with its events."""
    at_once, singly = open_hotel(core, clock), open_hotel(core, clock)
    heard: list[RoomStatusChanged] = []
    for hotel in (at_once, singly):
        set_all(hotel, before)
    core.events.subscribe(RoomStatusChanged, heard.append)
    rooms = update(at_once, [at_once.room_ids[nth] for nth in which], wanted)
    reported = [(at_once.room_ids.index(fact.room_id), fact.previous) for fact in heard]
    heard.clear()
    for nth in which:
        update(singly, [singly.room_ids[nth]], wanted)
    expected = [(singly.room_ids.index(fact.room_id), fact.previous) for fact in heard]
    assert conditions(at_once) == conditions(singly)
    assert sorted(reported) == sorted(expected)
    assert {room.id for room in rooms} == {at_once.room_ids[nth] for nth in which}
    with at_once.desk().reading() as uow:
        assert all(uow.rooms.get(room.id) == room for room in rooms)


def test_one_unknown_room_stops_the_whole_update(
    hotel: SmallHotel, core: HotelCore, clock: FixedClock
) -> None:
    """All rooms or none, and another hotel's room is as unknown as one that nobody has."""
    foreign, nobodys = open_hotel(core, clock).room_ids[0], RoomId(uuid4())
    before, told = hotel.rows(), []
    for stranger in (foreign, nobodys):
        with pytest.raises(NotFound) as refused:
            update(hotel, [*hotel.room_ids, stranger], RoomCondition.DIRTY)
        told.append(str(refused.value).replace(str(stranger), "it"))
    assert hotel.rows() == before
    assert told[0] == told[1]


@pytest.mark.parametrize("number", [0, 5_001])
def test_a_bulk_update_has_a_size(hotel: SmallHotel, number: int) -> None:
    """No room is a mistake, and more than 5,000 would outlast the time limit."""
    with pytest.raises(InvalidInput) as refused:
        update(hotel, [RoomId(uuid4())] * number, RoomCondition.DIRTY)
    assert str(refused.value) == "room_ids: must name 1 to 5,000 rooms"


def test_a_bulk_update_may_name_as_many_rooms_as_it_says(hotel: SmallHotel) -> None:
    """Five thousand are not too many: here all of them are one."""
    (room,) = update(hotel, [hotel.room_ids[0]] * 5_000, RoomCondition.DIRTY)
    assert room.condition is RoomCondition.DIRTY


def test_a_bulk_update_needs_a_condition_that_there_is(hotel: SmallHotel) -> None:
    """A word from outside that is no condition is refused by name."""
    bad: Any = "spotless"
    with pytest.raises(InvalidInput, match=r"^condition:"):
        update(hotel, [hotel.room_ids[0]], bad)


def test_only_an_inspector_says_inspected(hotel: SmallHotel) -> None:
    """Reception may report rooms dirty or clean, an inspection is above it."""
    desk, room_ids = hotel.desk(Role.RECEPTION), hotel.room_ids
    desk.run(op.bulk_update_room_status, room_ids=room_ids, condition=RoomCondition.PICKUP)
    with pytest.raises(PermissionDenied, match=r"^setting rooms inspected needs"):
        desk.run(op.bulk_update_room_status, room_ids=room_ids, condition=RoomCondition.INSPECTED)
    assert set(conditions(hotel)) == {RoomCondition.PICKUP}


@given(wanted=st.lists(CONDITIONS, min_size=4, max_size=4))
@settings(max_examples=10)
def test_the_condition_of_rooms_never_changes_what_can_be_sold(
    core: HotelCore, clock: FixedClock, wanted: list[RoomCondition]
) -> None:
    """A dirty house has as many rooms to sell as a clean one."""
    hotel = open_hotel(core, clock)
    hotel.book(2)
    set_all(hotel, wanted)
    assert available(hotel) == [3, 3, 4, 4]
    with hotel.desk().reading() as uow:
        (found,) = op.search_availability(uow, stay=Stay(TODAY, TODAY + DAY))
    assert (found.sellable, len(found.free_rooms)) == (3, 4)


# -- tasks ------------------------------------------------------------------------------------


def new_task(hotel: SmallHotel, kind: TaskKind, **fields: Any) -> HousekeepingTask:
    """Create a task on the first room."""
    return hotel.desk().run(
        op.create_housekeeping_task, room_id=hotel.room_ids[0], kind=kind, **fields
    )


CLEANED = {
    RoomCondition.DIRTY: RoomCondition.CLEAN,
    RoomCondition.PICKUP: RoomCondition.CLEAN,
    RoomCondition.CLEAN: RoomCondition.CLEAN,
    RoomCondition.INSPECTED: RoomCondition.INSPECTED,
}
INSPECTED = {
    RoomCondition.DIRTY: None,
    RoomCondition.PICKUP: None,
    RoomCondition.CLEAN: RoomCondition.INSPECTED,
    RoomCondition.INSPECTED: RoomCondition.INSPECTED,
}


@pytest.mark.parametrize("kind", TaskKind)
@pytest.mark.parametrize("condition", RoomCondition)
def test_completing_a_task_moves_the_room_on(
    hotel: SmallHotel, core: HotelCore, kind: TaskKind, condition: RoomCondition
) -> None:
    """Cleaning makes clean, an inspection makes a clean room inspected, and both are reported."""
    expected = (INSPECTED if kind is TaskKind.INSPECTION else CLEANED)[condition]
    update(hotel, [hotel.room_ids[0]], condition)
    task = new_task(hotel, kind)
    heard: list[Event] = []
    core.events.subscribe(HousekeepingTaskCompleted, heard.append)
    core.events.subscribe(RoomStatusChanged, heard.append)
    if expected is None:
        with pytest.raises(ActionRefused) as refused:
            hotel.desk().run(op.complete_housekeeping_task, task_id=task.id)
        assert refused.value.reasons == ("room_not_clean",)
        assert (conditions(hotel)[0], heard) == (condition, [])
        return
    done, room = hotel.desk().run(op.complete_housekeeping_task, task_id=task.id)
    assert (done.status, done.completed_by) == (TaskStatus.DONE, "ana")
    assert room.condition is conditions(hotel)[0] is expected
    assert done.completed_at == hotel.clock.now()
    completed = HousekeepingTaskCompleted(
        hotel_id=hotel.hotel_id, task_id=task.id, room_id=room.id, kind=kind
    )
    moved_on = RoomStatusChanged(
        hotel_id=hotel.hotel_id, room_id=room.id, previous=condition, condition=expected
    )
    assert heard == [completed, *([moved_on] if expected is not condition else [])]


def test_a_task_is_completed_once(hotel: SmallHotel) -> None:
    """A second completion is refused, so a room dirty again is not clean by an old task."""
    task = new_task(hotel, TaskKind.DEPARTURE)
    hotel.desk().run(op.complete_housekeeping_task, task_id=task.id)
    update(hotel, [hotel.room_ids[0]], RoomCondition.DIRTY)
    with pytest.raises(ActionRefused) as refused:
        hotel.desk().run(op.complete_housekeeping_task, task_id=task.id)
    assert (refused.value.action, refused.value.reasons) == (
        "complete_housekeeping_task",
        ("task_not_open",),
    )
    assert conditions(hotel)[0] is RoomCondition.DIRTY


def test_an_inspection_needs_an_inspector(hotel: SmallHotel) -> None:
    """Who may clean may not approve it."""
    task = new_task(hotel, TaskKind.INSPECTION)
    with pytest.raises(PermissionDenied, match=r"^completing an inspection needs"):
        hotel.desk(Role.RECEPTION).run(op.complete_housekeeping_task, task_id=task.id)
    _, room = hotel.desk(Role.MANAGER).run(op.complete_housekeeping_task, task_id=task.id)
    assert room.condition is RoomCondition.INSPECTED


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"due": TODAY - DAY}, "due"),
        ({"due": "tomorrow"}, "due"),
        ({"priority": 0}, "priority"),
        ({"priority": 10}, "priority"),
        ({"priority": True}, "priority"),
        ({"assignee": ""}, "assignee"),
        ({"note": "x" * 501}, "note"),
        ({"kind": "polish"}, "kind"),
    ],
)
def test_a_task_with_bad_fields_is_refused_by_name(
    hotel: SmallHotel, fields: dict[str, Any], named: str
) -> None:
    """Nothing is written for a task that cannot be right."""
    before = hotel.rows()
    with pytest.raises(InvalidInput, match=f"^{named}:"):
        new_task(hotel, **{"kind": TaskKind.STAY_OVER, **fields})
    assert hotel.rows() == before


def test_no_task_is_due_on_a_day_that_is_over(hotel: SmallHotel) -> None:
    """The refusal says which day is the first that may be given."""
    with pytest.raises(InvalidInput) as refused:
        new_task(hotel, TaskKind.STAY_OVER, due=TODAY - DAY)
    assert str(refused.value) == f"due: must not be before the business date, {TODAY}"


def test_tasks_and_rooms_of_another_hotel_are_unknown(
    hotel: SmallHotel, core: HotelCore, clock: FixedClock
) -> None:
    """No task is made on a foreign room, and no foreign task is completed."""
    other = open_hotel(core, clock)
    task = new_task(other, TaskKind.DEPARTURE)
    before, desk = other.rows(), hotel.desk()
    calls: list[Callable[[], object]] = [
        lambda: desk.run(op.complete_housekeeping_task, task_id=task.id),
        lambda: desk.run(op.complete_housekeeping_task, task_id=TaskId(uuid4())),
        lambda: desk.run(
            op.create_housekeeping_task, room_id=other.room_ids[0], kind=TaskKind.DEPARTURE
        ),
    ]
    assert all(type(refusal(call)) is NotFound for call in calls)
    assert other.rows() == before


def test_a_task_is_due_today_unless_told(hotel: SmallHotel) -> None:
    """The list of a day has the tasks that were made without a date, most urgent first."""
    routine = new_task(hotel, TaskKind.STAY_OVER)
    urgent = new_task(hotel, TaskKind.DEPARTURE, priority=1, assignee="eva", note="baby cot")
    new_task(hotel, TaskKind.INSPECTION, due=TODAY + DAY)
    with hotel.desk().reading() as uow:
        page = uow.housekeeping.page(TaskFilter(due=TODAY, status=TaskStatus.OPEN))
    assert page.items == (urgent, routine)
    assert (routine.priority, routine.assignee, routine.note) == (5, None, None)


# -- maintenance ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", MaintenanceKind)
def test_a_blocked_room_is_off_sale_as_far_as_its_kind_says(
    hotel: SmallHotel, kind: MaintenanceKind
) -> None:
    """Out of service stays on sale; the others take one unit a night, on or off the count."""
    blocked = block(hotel, hotel.room_ids[0], kind=kind, begins=1)
    taken = int(kind.off_sale)
    assert available(hotel) == [4, 4 - taken, 4 - taken, 4]
    with hotel.desk().reading() as uow:
        counters = uow.inventory.nights(blocked.period)
        free = uow.rooms.free(hotel.type_id, blocked.period)
        assert uow.maintenance.overlapping(blocked.period) == (blocked,)
    assert {c.out_of_order for c in counters} == {int(kind is MaintenanceKind.OUT_OF_ORDER)}
    assert {c.out_of_inventory for c in counters} == {int(kind is MaintenanceKind.OUT_OF_INVENTORY)}
    assert (hotel.room_ids[0] in {room.id for room in free}) is not kind.off_sale


@settings(max_examples=25)
@given(
    kind=st.sampled_from(MaintenanceKind),
    begins=st.integers(0, 3),
    nights=st.integers(1, 4),
    passed=st.integers(0, 8),
)
@example(kind=MaintenanceKind.OUT_OF_ORDER, begins=0, nights=3, passed=1)
def test_a_released_room_comes_back_for_the_nights_to_come(
    core: HotelCore, clock: FixedClock, kind: MaintenanceKind, begins: int, nights: int, passed: int
) -> None:
    """Nights past stay blocked, those to come are as if nothing had been, and once only."""
    hotel = open_hotel(core, clock)
    period = Stay(hotel.today, hotel.today + 8 * DAY)
    blocked = block(hotel, hotel.room_ids[0], kind=kind, begins=begins, nights=nights)
    for _ in range(passed):
        hotel.close_day()

    def release() -> MaintenancePeriod:
        return hotel.desk().run(op.release_room, maintenance_id=blocked.id)

    if passed >= begins + nights:
        error = refusal(release)
        assert isinstance(error, ActionRefused)
        assert (error.action, error.reasons) == ("release_room", ("period_is_over",))
    else:
        assert release().released_at == clock.now()
        assert available(hotel) == [4, 4, 4, 4]
        error = refusal(release)
        assert isinstance(error, ActionRefused)
        assert (error.action, error.reasons) == ("release_room", ("already_released",))
    with hotel.desk().reading() as uow:
        chart = [entry.night for entry in uow.room_nights.chart(period)]
        off = [c.night for c in uow.inventory.nights(period) if c.available < 4]
    consumed = [night for night in blocked.period if night < hotel.today]
    assert chart == off == (consumed if kind.off_sale else [])
    assert untold(hotel) == []
    assert core.prove(hotel.hotel_id).ok


@pytest.mark.parametrize("kind", OFF_SALE)
def test_a_room_is_not_blocked_under_a_guest(hotel: SmallHotel, kind: MaintenanceKind) -> None:
    """Neither in house, nor due out today, nor assigned to an arrival; no override helps."""
    staying, _ = hotel.move_in(2)
    leaving, _ = hotel.move_in(1)
    hotel.close_day()
    coming, _ = hotel.book(1, begins=1)
    hotel.desk().run(op.assign_room, booking_id=coming.id, room_id=hotel.room_ids[2])
    before = hotel.rows()
    for booking in (staying, leaving, coming):
        room_id = hotel.booking(booking.id).room_id
        assert room_id is not None
        with pytest.raises(RoomTaken) as refused:
            block(hotel, room_id, kind=kind, nights=3, force_reason="water damage")
        taken = hotel.today + DAY * (booking == coming)
        assert (refused.value.room_id, refused.value.nights) == (room_id, (taken,))
        assert hotel.rows() == before


def test_a_room_is_blocked_once(hotel: SmallHotel) -> None:
    """Two periods that take the room off sale never share a night; side by side they may be."""
    block(hotel, hotel.room_ids[0], nights=2)
    with pytest.raises(RoomTaken) as refused:
        block(hotel, hotel.room_ids[0], begins=1, nights=2)
    assert refused.value.nights == (TODAY + DAY,)
    block(hotel, hotel.room_ids[0], begins=2)
    block(hotel, hotel.room_ids[0], kind=MaintenanceKind.OUT_OF_SERVICE)
    assert available(hotel) == [3, 3, 3, 3]


@pytest.mark.parametrize("kind", OFF_SALE)
def test_a_room_that_is_needed_for_what_is_sold_is_blocked_only_by_force(
    core: HotelCore, clock: FixedClock, kind: MaintenanceKind
) -> None:
    """A manager may do it with a reason, which the audit keeps; the house is then oversold."""
    hotel = open_hotel(core, clock, rooms=1)
    hotel.book(1, begins=1)
    before = hotel.rows()
    with pytest.raises(SoldOut) as refused:
        block(hotel, hotel.room_ids[0], kind=kind)
    assert refused.value.nights == (TODAY + DAY,)
    assert hotel.rows() == before
    blocked = block(hotel, hotel.room_ids[0], kind=kind, force_reason="water damage")
    assert available(hotel) == [0, -1, 1, 1]
    with hotel.desk().reading() as uow:
        entry = uow.audit.page(AuditFilter(resource_id=blocked.id)).items[0]
    assert (entry.operation, entry.reason) == ("block_room", "water damage")
    hotel.desk().run(op.release_room, maintenance_id=blocked.id)
    assert available(hotel) == [1, 0, 1, 1]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"begins": -1}, "period"),
        ({"nights": 0}, "period"),
        ({"kind": "broken"}, "kind"),
        ({"force_reason": ""}, "reason"),
    ],
)
def test_a_period_that_cannot_be_is_refused_by_name(
    hotel: SmallHotel, changes: dict[str, Any], named: str
) -> None:
    """A period in the past, an empty one, an unknown kind and an empty reason write nothing."""
    before = hotel.rows()
    with pytest.raises(InvalidInput, match=f"^{named}:"):
        block(hotel, hotel.room_ids[0], **changes)
    assert hotel.rows() == before


def test_no_period_begins_on_a_day_that_is_over(hotel: SmallHotel) -> None:
    """The refusal says which day is the first that may be given."""
    with pytest.raises(InvalidInput) as refused:
        block(hotel, hotel.room_ids[0], begins=-1)
    assert str(refused.value) == f"period: must not begin before the business date, {TODAY}"


def test_only_who_may_override_blocks_a_room_that_is_sold(hotel: SmallHotel) -> None:
    """A reason alone is not enough, and the refusal says what was asked for."""
    with pytest.raises(PermissionDenied, match=r"^blocking a room that is sold needs"):
        hotel.clerk().run(
            op.block_room,
            room_id=hotel.room_ids[0],
            kind=MaintenanceKind.OUT_OF_ORDER,
            period=Stay(TODAY, TODAY + DAY),
            reason="paint",
            force_reason="water damage",
        )


def test_maintenance_of_another_hotel_is_unknown(
    hotel: SmallHotel, core: HotelCore, clock: FixedClock
) -> None:
    """A foreign room is not blocked and a foreign period not released."""
    other = open_hotel(core, clock)
    period = block(other, other.room_ids[0])
    before, desk = other.rows(), hotel.desk()
    for key in (period.id, MaintenanceId(uuid4())):
        with pytest.raises(NotFound):
            desk.run(op.release_room, maintenance_id=key)
    with pytest.raises(NotFound):
        block(hotel, other.room_ids[1])
    assert other.rows() == before


@pytest.mark.parametrize("role", [Role.GUEST, Role.STAFF, Role.RECEPTION])
def test_only_a_manager_blocks_and_releases(hotel: SmallHotel, role: Role) -> None:
    """Taking rooms off sale costs revenue, so the front desk does not decide it."""
    blocked, desk = block(hotel, hotel.room_ids[0]), hotel.desk(role)
    attempts: list[Callable[[], object]] = [
        lambda: desk.run(op.release_room, maintenance_id=blocked.id),
        lambda: desk.run(
            op.block_room,
            room_id=hotel.room_ids[1],
            kind=MaintenanceKind.OUT_OF_SERVICE,
            period=Stay(TODAY, TODAY + DAY),
            reason="paint",
        ),
    ]
    assert all(type(refusal(attempt)) is PermissionDenied for attempt in attempts)


@pytest.mark.race
def test_of_many_who_release_a_room_exactly_one_does(hotel: SmallHotel) -> None:
    """The unit goes back on sale once, and the others are told that they were late."""
    blocked, desk = block(hotel, hotel.room_ids[0]), hotel.desk()
    with ThreadPoolExecutor(8) as pool:
        runs = [
            pool.submit(refusal, lambda: desk.run(op.release_room, maintenance_id=blocked.id))
            for _ in range(8)
        ]
        errors = [run.result() for run in runs]
    assert errors.count(None) == 1
    assert {type(error) for error in errors if error} <= {ActionRefused, StaleVersion}
    assert available(hotel) == [4, 4, 4, 4]


@pytest.mark.race
def test_a_room_goes_to_a_guest_or_to_maintenance(core: HotelCore, clock: FixedClock) -> None:
    """Whoever is first has it, and the counters agree with the outcome."""
    hotel = open_hotel(core, clock, rooms=2)
    for day in range(10):
        booking, _ = hotel.book(1, begins=day)
        room_id = hotel.room_ids[0]

        def assign(booking_id: Any = booking.id, room_id: RoomId = room_id) -> object:
            return hotel.desk().run(op.assign_room, booking_id=booking_id, room_id=room_id)

        def withdraw(day: int = day, room_id: RoomId = room_id) -> object:
            return block(hotel, room_id, begins=day, nights=1)

        with ThreadPoolExecutor(2) as pool:
            runs = [pool.submit(refusal, attempt) for attempt in (assign, withdraw)]
            errors = [run.result() for run in runs]
        assert errors.count(None) == 1
        assert {type(error) for error in errors if error} == {RoomTaken}
    assert core.prove(hotel.hotel_id).ok
