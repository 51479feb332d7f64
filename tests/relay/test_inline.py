"""Inline subscriptions: a part of the transaction, for better or worse."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

import pytest

from hotelcore import AsyncHotelCore, Permission, Role, Stay
from hotelcore.core import AsyncUnit, Desk
from hotelcore.errors import (
    DatabaseBusy,
    InvalidInput,
    NotFound,
    PermissionDenied,
    ReadOnly,
    TenantMismatch,
    UnitAborted,
)
from hotelcore.events.catalogue import (
    BookingCreated,
    Event,
    HousekeepingTaskCompleted,
    PmsRoomSynced,
    RoomStatusChanged,
)
from hotelcore.ids import GuestId, HotelId, RoomId, new_id
from hotelcore.lists import AuditFilter, GuestFilter
from hotelcore.operations import (
    anonymise_guest,
    create_booking_with_folio,
    operation,
    register_guest,
)
from hotelcore.subscriptions import Subscriptions
from hotelcore.tenancy import Actor
from hotelcore.unit_of_work import UnitOfWork
from tests.relay.scene import House, Scene, Trouble, fact, new_room, report
from tests.small_hotel import DAY, TODAY, nothing_kept, open_hotel

Work: TypeAlias = Callable[[UnitOfWork], None]
Way: TypeAlias = Callable[[Scene, Desk, Work], None]


def run(scene: Scene, desk: Desk, work: Work) -> None:
    """Do the work as one function."""
    desk.run(work)


def transaction(scene: Scene, desk: Desk, work: Work) -> None:
    """Do the work in a block."""
    with desk.transaction() as uow:
        work(uow)


def joining(scene: Scene, desk: Desk, work: Work) -> None:
    """Do the work in a transaction of the host's."""
    with scene.core.engine.begin() as host, desk.joining(host) as uow:
        work(uow)


async def _async_core(scene: Scene) -> AsyncHotelCore:
    core = AsyncHotelCore(scene.core.engine.url, clock=scene.clock, subscriptions=scene.on)

    @core.events.on(RoomStatusChanged)
    async def forward(event: RoomStatusChanged) -> None:
        scene.core.events.emit(event, hotel_id=event.hotel_id)

    return core


def async_run(scene: Scene, desk: Desk, work: Work) -> None:
    """Do the work as one function, in asyncio."""

    async def main() -> None:
        core = await _async_core(scene)
        try:
            await core.acting_as(desk.actor).run(work)
        finally:
            await core.close()

    asyncio.run(main())


def async_transaction(scene: Scene, desk: Desk, work: Work) -> None:
    """Do the work in a block, in asyncio."""

    async def main() -> None:
        core = await _async_core(scene)
        try:
            async with core.acting_as(desk.actor).transaction() as unit:
                assert isinstance(unit, AsyncUnit)
                await unit.run(work)
        finally:
            await core.close()

    asyncio.run(main())


ways = pytest.mark.parametrize("way", [run, transaction, joining, async_run, async_transaction])


def reporting(house: House, *rooms: RoomId) -> Work:
    """Make a unit that registers a guest and reports events of rooms."""

    def work(uow: UnitOfWork) -> None:
        register_guest(uow, last_name="Before")
        report(uow, *(fact(RoomStatusChanged, house.hotel_id, room) for room in rooms))

    return work


def operations(house: House) -> list[str]:
    """Return what was audited after the hotel was registered, oldest first."""
    with house.desk.reading() as uow:
        entries = uow.audit.page(AuditFilter(), limit=100).items
    return [entry.operation for entry in entries][::-1][1:]


@ways
def test_an_inline_handler_is_part_of_the_transaction(scene: Scene, way: Way) -> None:
    """What it writes is committed and audited with what it answers, before listeners are told."""
    house, room = scene.house(), new_room()
    heard: list[list[str]] = []

    @scene.on.inline(RoomStatusChanged)
    def add(uow: UnitOfWork, event: RoomStatusChanged) -> None:
        assert event.room_id == room
        register_guest(uow, last_name="Inline")

    @scene.core.events.on(RoomStatusChanged)
    def listen(event: RoomStatusChanged) -> None:
        heard.append(house.guests())

    way(scene, house.desk, reporting(house, room, room))
    assert house.guests() == ["Before", "Inline", "Inline"]
    assert operations(house) == ["register_guest", "report", "register_guest", "register_guest"]
    assert heard == [house.guests()] * 2


@ways
def test_a_failing_inline_handler_undoes_everything(scene: Scene, way: Way) -> None:
    """What it raises reaches the caller as it is; no row is left and no listener is told."""
    house = scene.house()
    heard: list[Event] = []
    trouble = Trouble("mine")
    scene.core.events.subscribe(RoomStatusChanged, heard.append)

    @scene.on.inline(RoomStatusChanged)
    def fail(uow: UnitOfWork, event: RoomStatusChanged) -> None:
        register_guest(uow, last_name="Inline")
        raise trouble

    with nothing_kept(scene.core.engine):
        with pytest.raises(Trouble) as raised:
            way(scene, house.desk, reporting(house, new_room()))
        assert raised.value is trouble
    assert heard == []


@ways
def test_events_of_inline_handlers_reach_inline_handlers(scene: Scene, way: Way) -> None:
    """One causes the next, to the last, and all are stored in the order of their causing."""
    house, room = scene.house(), new_room()
    told: list[type[Event]] = []

    @scene.on.inline(RoomStatusChanged)
    def first(uow: UnitOfWork, event: RoomStatusChanged) -> None:
        told.append(type(event))
        report(uow, fact(HousekeepingTaskCompleted, uow.hotel_id, room))

    @scene.on.inline(HousekeepingTaskCompleted)
    def second(uow: UnitOfWork, event: HousekeepingTaskCompleted) -> None:
        told.append(type(event))
        report(uow, fact(PmsRoomSynced, uow.hotel_id, room))

    @scene.on.inline(PmsRoomSynced)
    def third(uow: UnitOfWork, event: PmsRoomSynced) -> None:
        told.append(type(event))
        register_guest(uow, last_name="Last")

    way(scene, house.desk, reporting(house, room, room))
    status, task, synced = RoomStatusChanged, HousekeepingTaskCompleted, PmsRoomSynced
    order = [status, status, task, task, synced, synced]
    assert told == order
    assert [type(each.event()) for each in house.of_record(room)] == order
    assert house.guests() == ["Before", "Last", "Last"]


@ways
def test_a_failure_that_an_inline_handler_swallows_ends_the_unit(scene: Scene, way: Way) -> None:
    """Half a command is never kept: the unit is refused as a whole, and no further one is told."""
    house = scene.house()
    told: list[Event] = []

    @scene.on.inline(RoomStatusChanged)
    def careless(uow: UnitOfWork, event: RoomStatusChanged) -> None:
        with suppress(NotFound):
            anonymise_guest(uow, guest_id=GuestId(new_id()))

    with nothing_kept(scene.core.engine), pytest.raises(UnitAborted):
        way(scene, house.desk, reporting(house, new_room()))
    scene.on.inline(RoomStatusChanged)(lambda uow, event: told.append(event))
    with nothing_kept(scene.core.engine), pytest.raises(UnitAborted):
        way(scene, house.desk, reporting(house, new_room()))
    assert told == []


def test_an_inline_handler_may_try_in_a_savepoint(scene: Scene) -> None:
    """What fails in one is undone alone, its events too; the handlers after it are told."""
    house, room = scene.house(), new_room()
    told: list[type[Event]] = []

    @scene.on.inline(RoomStatusChanged)
    def careful(uow: UnitOfWork, event: RoomStatusChanged) -> None:
        with suppress(NotFound), uow.savepoint():
            register_guest(uow, last_name="Undone")
            report(uow, fact(PmsRoomSynced, uow.hotel_id, room))
            anonymise_guest(uow, guest_id=GuestId(new_id()))
        report(uow, fact(HousekeepingTaskCompleted, uow.hotel_id, room))

    for kind in (RoomStatusChanged, HousekeepingTaskCompleted, PmsRoomSynced):
        scene.on.inline(kind)(lambda uow, event: told.append(type(event)))
    house.reports(room, room)
    assert told == [RoomStatusChanged] * 2 + [HousekeepingTaskCompleted] * 2
    assert house.guests() == []
    assert len(house.of_record(room)) == 4


def test_an_inline_handler_acts_as_who_caused_the_event(scene: Scene) -> None:
    """It may do what the actor may and no more; a refusal undoes what the actor did."""
    house = scene.house()
    actor = Actor(hotel_id=house.hotel_id, subject="ana", role=Role.RECEPTION)
    desk = scene.core.acting_as(actor, correlation_id="request-7")
    actors: list[Actor] = []

    @scene.on.inline(RoomStatusChanged)
    def note(uow: UnitOfWork, event: RoomStatusChanged) -> None:
        actors.append(uow.actor)
        register_guest(uow, last_name="Inline")

    house.reports(new_room(), desk=desk)
    assert actors == [actor]
    with house.desk.reading() as uow:
        entry = uow.audit.page(AuditFilter(), limit=1).items[0]
    assert (entry.operation, entry.subject, entry.correlation_id) == (
        "register_guest",
        "ana",
        "request-7",
    )

    @scene.on.inline(RoomStatusChanged)
    def presume(uow: UnitOfWork, event: RoomStatusChanged) -> None:
        with uow.command("presume", Permission.HOTEL_MANAGE):
            pass

    with nothing_kept(scene.core.engine, refusals=1), pytest.raises(PermissionDenied):
        house.reports(new_room(), desk=desk)
    house.reports(new_room())


def test_an_inline_handler_stays_in_its_hotel(scene: Scene) -> None:
    """Another hotel's records are not there, and another hotel's event is refused."""
    house, other = scene.house(), open_hotel(scene.core)
    refused: list[type[Exception]] = []

    @scene.on.inline(RoomStatusChanged)
    def reach_out(uow: UnitOfWork, event: RoomStatusChanged) -> None:
        with pytest.raises(NotFound):
            uow.guests.get(other.guest_id)
        with pytest.raises(TenantMismatch), uow.savepoint():
            report(uow, fact(PmsRoomSynced, other.hotel_id, event.room_id))
        refused.append(TenantMismatch)

    house.reports(new_room())
    assert refused == [TenantMismatch]


def test_an_inline_handler_writes_by_operations_alone(scene: Scene) -> None:
    """Outside a command it may report nothing, though it is the library that calls it."""
    house = scene.house()

    @scene.on.inline(RoomStatusChanged)
    def write(uow: UnitOfWork, event: RoomStatusChanged) -> None:
        uow.emit(event)

    with nothing_kept(scene.core.engine), pytest.raises(ReadOnly):
        house.reports(new_room())


def test_inline_handlers_come_in_order_at_the_end_of_the_unit(scene: Scene) -> None:
    """They see all that the unit did, also what came after their event, and what others did."""
    hotel = open_hotel(scene.core)
    seen: list[tuple[str, int]] = []

    def look(name: str) -> Callable[[UnitOfWork, BookingCreated], None]:
        def handle(uow: UnitOfWork, event: BookingCreated) -> None:
            assert uow.bookings.get(event.booking_id).guest_id == event.guest_id
            names = [guest.last_name for guest in uow.guests.page(GuestFilter(), limit=9).items]
            seen.append((name, len(names)))
            register_guest(uow, last_name=name)

        return handle

    for name in "abc":
        scene.on.inline(BookingCreated)(look(name))
    with hotel.desk.transaction() as uow:
        create_booking_with_folio(
            uow,
            guest_id=hotel.guest_id,
            room_type_id=hotel.room_type_id,
            stay=Stay(TODAY, TODAY + DAY),
        )
        assert seen == []
        register_guest(uow, last_name="Later")
    assert seen == [("a", 2), ("b", 3), ("c", 4)]


def test_what_a_savepoint_undid_is_told_to_nobody(scene: Scene) -> None:
    """No inline handler hears of an event that its unit took back."""
    house, kept, undone = scene.house(), new_room(), new_room()
    told: list[RoomId] = []
    scene.on.inline(RoomStatusChanged)(lambda uow, event: told.append(event.room_id))
    with house.desk.transaction() as uow:
        with suppress(Trouble), uow.savepoint():
            report(uow, fact(RoomStatusChanged, house.hotel_id, undone))
            raise Trouble
        report(uow, fact(RoomStatusChanged, house.hotel_id, kept))
    assert told == [kept]


def test_a_unit_that_is_run_again_calls_its_inline_handlers_again(scene: Scene) -> None:
    """The database asks for the whole transaction again: one effect is kept, that of the last."""
    house, busy = scene.house(), [DatabaseBusy(), DatabaseBusy()]

    @scene.on.inline(RoomStatusChanged)
    def add(uow: UnitOfWork, event: RoomStatusChanged) -> None:
        register_guest(uow, last_name=f"{len(busy)} left")
        if busy:
            raise busy.pop()

    house.reports(new_room())
    assert house.guests() == ["0 left"]
    assert operations(house) == ["report", "register_guest"]


def test_a_result_under_its_key_is_given_without_calling_them_again(scene: Scene) -> None:
    """The second call under an idempotency key has no effect, so none of theirs either."""
    house, room = scene.house(), new_room()
    told: list[Event] = []
    scene.on.inline(RoomStatusChanged)(lambda uow, event: told.append(event))
    for _ in range(2):
        house.desk.once("key").run(dirty, room)
    assert len(told) == 1
    assert len(house.of_record(room)) == 1


@operation(Permission.HOUSEKEEPING)
def dirty(uow: UnitOfWork, room: RoomId) -> None:
    """Report a room."""
    uow.emit(fact(RoomStatusChanged, uow.hotel_id, room))


def test_what_is_no_inline_handler_is_refused() -> None:
    """An async function would never run to its end inside the transaction."""
    on = Subscriptions()

    async def later(uow: UnitOfWork, event: RoomStatusChanged) -> None:
        raise Trouble

    with pytest.raises(InvalidInput, match="handler"):
        on.inline(RoomStatusChanged)(later)  # type: ignore[arg-type]  # bad on purpose
    with pytest.raises(InvalidInput, match="handler"):
        on.inline(RoomStatusChanged)(None)  # type: ignore[arg-type]  # bad on purpose
    for kind in (Event, UnitOfWork, "room.statusChanged"):
        with pytest.raises(InvalidInput, match="kind"):
            on.inline(kind)  # type: ignore[arg-type, type-var]  # bad on purpose
    event = fact(RoomStatusChanged, HotelId(new_id()), new_room())
    assert on.inline_of(event) == ()
