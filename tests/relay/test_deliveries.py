"""A delivery: who handles it, in which hotel, and in the one transaction that counts."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from threading import Event as Flag
from typing import TypeAlias

import pytest
from sqlalchemy.orm import Session

from hotelcore import Actor, Role
from hotelcore.core import HotelCore
from hotelcore.errors import InvalidInput, LeaseLost, NotFound, PermissionDenied, ReadOnly
from hotelcore.events.catalogue import (
    BookingCreated,
    Event,
    HousekeepingTaskCompleted,
    PmsRoomSynced,
    RoomStatusChanged,
)
from hotelcore.ids import RoomId
from hotelcore.lists import AuditFilter
from hotelcore.operations import register_guest
from hotelcore.subscriptions import Delivery, Subscriptions
from hotelcore.unit_of_work import UnitOfWork
from tests.relay.scene import (
    MINUTE,
    Scene,
    Trouble,
    at_work,
    fact,
    new_room,
    report,
)
from tests.small_hotel import open_hotel

Way: TypeAlias = Callable[[HotelCore, Delivery[Event]], AbstractContextManager[UnitOfWork]]


@contextmanager
def by_transaction(core: HotelCore, delivery: Delivery[Event]) -> Generator[UnitOfWork]:
    """Use the delivery's own transaction."""
    with delivery.transaction() as uow:
        yield uow


@contextmanager
def by_connection(core: HotelCore, delivery: Delivery[Event]) -> Generator[UnitOfWork]:
    """Join a transaction on a connection of the host's."""
    with core.engine.begin() as host, delivery.joining(host) as uow:
        yield uow


@contextmanager
def by_session(core: HotelCore, delivery: Delivery[Event]) -> Generator[UnitOfWork]:
    """Join a transaction of a session of the host's."""
    with Session(core.engine) as session, session.begin(), delivery.joining(session) as uow:
        yield uow


ways = pytest.mark.parametrize("way", [by_transaction, by_connection, by_session])


def write(uow: UnitOfWork, delivery: Delivery[Event]) -> None:
    """Leave a guest that says which event was handled."""
    register_guest(uow, last_name=str(delivery.envelope.sequence))


# -- the transaction ----------------------------------------------------------------------------


@ways
def test_a_failure_in_the_transaction_undoes_it_and_keeps_the_event(scene: Scene, way: Way) -> None:
    """What the handler wrote before it failed is gone, and the event comes again, alone."""
    house, room = scene.house(), new_room()
    attempts: list[tuple[int, int]] = []

    @scene.on.durable(RoomStatusChanged, name="mail", role=Role.RECEPTION)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        attempts.append((delivery.envelope.sequence, delivery.attempt))
        with way(scene.core, delivery) as uow:
            write(uow, delivery)
            if delivery.attempt < 3:
                raise Trouble

    house.reports(room, room)
    scene.work()
    assert attempts == [(1, 1)]
    assert house.guests() == []
    scene.work_it_all()
    assert attempts == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert house.guests() == ["1", "2"]


@ways
def test_a_failure_behind_the_transaction_takes_nothing_back(scene: Scene, way: Way) -> None:
    """The event is handled, the next one comes without a pause, and nothing comes twice."""
    house, room = scene.house(), new_room()
    attempts: list[tuple[int, int]] = []

    @scene.on.durable(RoomStatusChanged, name="mail", role=Role.RECEPTION, attempts=1)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        attempts.append((delivery.envelope.sequence, delivery.attempt))
        with way(scene.core, delivery) as uow:
            write(uow, delivery)
        raise Trouble

    house.reports(room, room, room)
    scene.work()
    assert attempts == [(1, 1), (2, 1), (3, 1)]
    assert house.guests() == ["1", "2", "3"]
    assert house.dead() == []


def test_a_delivery_has_one_transaction(scene: Scene) -> None:
    """Whatever the first was, no second one is opened; the first one counts."""
    house, room = scene.house(), new_room()
    refused: list[str] = []

    @scene.on.durable(RoomStatusChanged, name="mail", role=Role.RECEPTION)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        first = [by_transaction, by_connection, by_session][delivery.envelope.sequence - 1]
        with first(scene.core, delivery) as uow:
            write(uow, delivery)
        for second in (by_transaction, by_connection, by_session):
            with pytest.raises(InvalidInput) as raised, second(scene.core, delivery) as uow:
                write(uow, delivery)
            refused.append(raised.value.field)
        delivery.run(write, delivery)

    house.reports(room, room, room)
    scene.work()
    assert refused == ["delivery"] * 9
    assert house.guests() == ["1", "2", "3"]
    assert house.dead() == []
    assert scene.lanes_waiting() == 0


def test_a_transaction_that_failed_may_be_tried_again(scene: Scene) -> None:
    """A handler that deals with the failure itself has its transaction still before it."""
    house = scene.house()

    @scene.on.durable(RoomStatusChanged, name="mail", role=Role.RECEPTION)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        for way in (by_transaction, by_connection):
            with suppress(Trouble), way(scene.core, delivery) as uow:
                write(uow, delivery)
                raise Trouble
        delivery.run(write, delivery)

    house.reports(new_room())
    scene.work()
    assert house.guests() == ["1"]
    assert scene.lanes_waiting() == 0


def test_a_handler_may_read_and_open_no_transaction(scene: Scene) -> None:
    """It is done when it returns; what it reads with writes nothing."""
    house, room = scene.house(), new_room()
    read: list[str] = []

    @scene.on.durable(RoomStatusChanged, name="mail", role=Role.RECEPTION)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        for _ in range(2):
            with delivery.reading() as uow:
                read.append(uow.hotel.name)
                with pytest.raises(ReadOnly):
                    write(uow, delivery)

    house.reports(room, room)
    with_guests = house.guests()
    scene.work()
    scene.work_it_all()
    assert read == ["Harbour"] * 4
    assert house.guests() == with_guests


def test_what_a_host_never_commits_is_delivered_again(scene: Scene) -> None:
    """Rolled back or left behind, it comes when the lease has ended, and before what follows."""
    house, room = scene.house(), new_room()
    attempts: list[tuple[int, int]] = []

    @scene.on.durable(RoomStatusChanged, name="mail", role=Role.RECEPTION)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        attempts.append((delivery.envelope.sequence, delivery.attempt))
        with scene.core.engine.connect() as host:
            host.begin()
            with delivery.joining(host) as uow:
                write(uow, delivery)
            if delivery.attempt == 1:
                host.rollback()
            elif delivery.attempt > 2:
                host.commit()

    house.reports(room, room)
    for attempt in range(1, 4):
        scene.work()
        assert attempts[:attempt] == [(1, each) for each in range(1, attempt + 1)]
        scene.work_it_all() if attempt == 3 else scene.clock.advance(MINUTE)
    assert house.guests() == ["1", "2"]
    assert attempts == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]


def test_a_savepoint_of_the_host_takes_the_handling_along(scene: Scene) -> None:
    """If it is rolled back and the rest committed, the event was not handled."""
    house, room = scene.house(), new_room()
    got: list[int] = []

    @scene.on.durable(RoomStatusChanged, name="mail", role=Role.RECEPTION)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        got.append(delivery.envelope.sequence)
        with scene.core.engine.begin() as host:
            savepoint = host.begin_nested()
            with delivery.joining(host) as uow:
                write(uow, delivery)
            savepoint.rollback() if delivery.attempt == 1 else savepoint.commit()

    house.reports(room)
    scene.work()
    assert (got, house.guests()) == ([1], [])
    scene.clock.advance(MINUTE)
    scene.work()
    assert (got, house.guests()) == ([1, 1], ["1"])


# -- the lease ----------------------------------------------------------------------------------


@ways
@pytest.mark.parametrize("swallows", [False, True])
def test_who_comes_back_after_his_lease_changes_nothing(
    scene: Scene, way: Way, swallows: bool
) -> None:
    """A second worker handles the event; the first one's transaction is refused and undone."""
    house, room = scene.house(), new_room()
    taken_over, lost = Flag(), Flag()

    @scene.on.durable(RoomStatusChanged, name="mail", role=Role.RECEPTION)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        if (delivery.envelope.sequence, delivery.attempt) != (1, 1):
            delivery.run(register_guest, last_name=f"{delivery.envelope.sequence} again")
            return
        # Set, not advanced: no time limit ends, only the lease.
        scene.clock.set(scene.clock.now() + 2 * MINUTE)
        with at_work(scene.work):
            pass
        taken_over.set()
        try:
            with way(scene.core, delivery) as uow:
                write(uow, delivery)
        except LeaseLost:
            lost.set()
            if not swallows:
                raise

    house.reports(room, room)
    scene.work()
    assert taken_over.is_set()
    assert lost.is_set()
    assert house.guests() == ["1 again", "2 again"]
    assert scene.lanes_waiting() == 0
    assert house.dead() == []


def test_a_worker_whose_lease_ended_may_not_give_up_the_event(scene: Scene) -> None:
    """Its failure is nobody's: no pause, no dead letter, while somebody else handles the event."""
    house = scene.house()
    attempts: list[int] = []

    @scene.on.durable(RoomStatusChanged, name="mail", role=Role.RECEPTION, attempts=2)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        attempts.append(delivery.attempt)
        if delivery.attempt == 1:
            scene.clock.set(scene.clock.now() + 2 * MINUTE)
            with at_work(scene.work):
                pass
            raise Trouble
        delivery.run(write, delivery)

    house.reports(new_room())
    scene.work()
    scene.work_it_all()
    assert attempts == [1, 2]
    assert house.guests() == ["1"]
    assert house.dead() == []


def test_an_event_has_the_whole_lease_to_itself(scene: Scene) -> None:
    """However long those before it in its record took together."""
    house, room = scene.house(), new_room()
    got: list[tuple[int, int]] = []

    @scene.on.durable(RoomStatusChanged, name="mail", role=Role.RECEPTION)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        got.append((delivery.envelope.sequence, delivery.attempt))
        takes = timedelta(seconds=59 if delivery.envelope.sequence % 3 == 0 else 14)
        scene.clock.set(scene.clock.now() + takes)
        with at_work(scene.work):
            pass
        delivery.run(write, delivery)

    house.reports(*[room] * 7)
    scene.work()
    assert got == [(sequence, 1) for sequence in range(1, 8)]
    assert house.guests() == [*"1234567"]


def test_who_waits_for_a_worker_has_the_whole_lease_still(scene: Scene) -> None:
    """An event that was taken with others, and that a worker comes to late, is not overtaken."""
    house, rooms = scene.house(), [new_room(), new_room()]
    got: list[tuple[RoomId, int]] = []

    @scene.on.durable(RoomStatusChanged, name="mail", attempts=1)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        got.append((delivery.event.room_id, delivery.attempt))
        scene.clock.set(scene.clock.now() + timedelta(seconds=45))
        with at_work(scene.work):
            pass

    house.reports(*rooms)
    scene.work(workers=1)
    assert sorted(got) == sorted((room, 1) for room in rooms)
    assert house.dead() == []


def test_a_long_record_lets_others_have_its_worker(scene: Scene) -> None:
    """After half the lease it goes back into the line, at an event's end, and loses nothing."""
    busy, quiet, room = scene.house(), scene.house(), new_room()
    got: list[tuple[bool, int, int]] = []

    @scene.on.durable(RoomStatusChanged, name="mail", attempts=1)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        envelope = delivery.envelope
        got.append((envelope.hotel_id == quiet.hotel_id, envelope.sequence, delivery.attempt))
        scene.clock.set(scene.clock.now() + timedelta(seconds=20))

    busy.reports(*[room] * 9)
    quiet.reports(new_room())
    scene.work(workers=1)
    assert [each for each in got if not each[0]] == [(False, n, 1) for n in range(1, 10)]
    assert got.index((True, 1, 1)) <= 2


# -- who handles it -----------------------------------------------------------------------------


def test_a_handler_acts_in_the_hotel_of_its_event_alone(scene: Scene) -> None:
    """Every handle of a delivery is its hotel's; another hotel's records are not there."""
    hotels = [open_hotel(scene.core) for _ in range(3)]
    others = {hotel.hotel_id: hotels[number - 1] for number, hotel in enumerate(hotels)}
    actors: list[Actor] = []

    @scene.on.durable(BookingCreated, name="mail")
    def handle(delivery: Delivery[BookingCreated]) -> None:
        event, other = delivery.event, others[delivery.event.hotel_id]
        [elsewhere] = bookings[other.hotel_id]
        for handle in (delivery.reading, delivery.transaction):
            with handle() as uow:
                actors.append(uow.actor)
                assert uow.hotel_id == event.hotel_id == delivery.envelope.hotel_id
                assert uow.bookings.get(event.booking_id).guest_id == event.guest_id
                with pytest.raises(NotFound):
                    uow.bookings.get(elsewhere)
                with pytest.raises(NotFound):
                    uow.guests.get(other.guest_id)

    bookings = {hotel.hotel_id: [hotel.booked()[0].id] for hotel in hotels}
    scene.work()
    assert scene.lanes_waiting() == 0  # no assertion failed
    assert {actor.hotel_id for actor in actors} == set(others)
    assert {(actor.subject, actor.role) for actor in actors} == {("subscription:mail", Role.STAFF)}


def test_a_handler_may_do_what_its_role_may(scene: Scene) -> None:
    """Staff, the default, only looks: its write is refused and undone. A role that may, does."""
    house = scene.house()
    roles: list[Role | str] = []

    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        with delivery.transaction() as uow:
            roles.append(uow.actor.role)
            write(uow, delivery)

    scene.on.durable(RoomStatusChanged, name="looks", attempts=1)(handle)
    scene.on.durable(RoomStatusChanged, name="writes", role=Role.RECEPTION)(handle)
    house.reports(new_room())
    scene.work()
    assert set(roles) == {Role.STAFF, Role.RECEPTION}
    assert house.guests() == ["1"]
    [letter] = house.dead()
    assert (letter.subscription, letter.failure) == ("looks", PermissionDenied.__name__)


@ways
def test_what_a_handler_causes_carries_on_where_it_came_from(scene: Scene, way: Way) -> None:
    """Its events name the handled one as their cause, and have its correlation and trace."""
    house, room = scene.house(), new_room()
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    def then(kind: type[HousekeepingTaskCompleted | PmsRoomSynced]) -> Callable[..., None]:
        def handle(delivery: Delivery[Event]) -> None:
            with way(scene.core, delivery) as uow:
                report(uow, fact(kind, uow.hotel_id, RoomId(delivery.envelope.key)))

        return handle

    durable = scene.on.durable
    durable(RoomStatusChanged, name="a", role=Role.RECEPTION)(then(HousekeepingTaskCompleted))
    durable(HousekeepingTaskCompleted, name="b", role=Role.RECEPTION)(then(PmsRoomSynced))
    desk = scene.core.acting_as(house.desk.actor, correlation_id="request-7", traceparent=parent)
    house.reports(room, desk=desk)
    scene.work()
    first, second, third = house.log()
    assert (first.name, second.name, third.name) == (
        RoomStatusChanged.wire_name,
        HousekeepingTaskCompleted.wire_name,
        PmsRoomSynced.wire_name,
    )
    assert (first.causation_id, second.causation_id, third.causation_id) == (
        None,
        first.id,
        second.id,
    )
    assert {(each.correlation_id, each.traceparent) for each in house.log()} == {
        ("request-7", parent)
    }


def test_what_a_handler_writes_is_audited(scene: Scene) -> None:
    """The entry names the subscription, its role and the correlation of the event."""
    house = scene.house()

    @scene.on.durable(RoomStatusChanged, name="mail", role=Role.RECEPTION)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        delivery.run(write, delivery)

    house.reports(new_room(), desk=scene.core.acting_as(house.desk.actor, correlation_id="seven"))
    scene.work()
    with house.desk.reading() as uow:
        entry = uow.audit.page(AuditFilter(), limit=1).items[0]
    assert (entry.operation, entry.subject, entry.role, entry.correlation_id) == (
        "register_guest",
        "subscription:mail",
        Role.RECEPTION,
        "seven",
    )


# -- making subscriptions -----------------------------------------------------------------------


def handle_later(delivery: Delivery[RoomStatusChanged]) -> None:
    """Do nothing with a delivery."""


async def handle_never(delivery: Delivery[RoomStatusChanged]) -> None:
    """Be awaited by nobody."""


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("name", {"name": ""}),
        ("name", {"name": "n" * 101}),
        ("name", {"name": None}),
        ("role", {"role": "owner"}),
        ("role", {"role": Role.GUEST}),
        ("attempts", {"attempts": 0}),
        ("attempts", {"attempts": True}),
        ("attempts", {"attempts": 1_001}),
        ("first_pause", {"first_pause": timedelta(0)}),
        ("first_pause", {"first_pause": 1}),
        ("longest_pause", {"longest_pause": timedelta(days=2)}),
    ],
)
def test_bad_terms_of_a_subscription_are_refused(field: str, options: dict[str, object]) -> None:
    """Each is named, before anything is subscribed."""
    on, terms = Subscriptions(), {"name": "mail", **options}
    with pytest.raises(InvalidInput) as raised:
        on.durable(RoomStatusChanged, **terms)  # type: ignore[arg-type]  # bad on purpose
    assert raised.value.field == field
    assert not on.durables


def test_what_is_no_handler_is_refused() -> None:
    """An async function would never run, a text is no function; nothing is subscribed by it."""
    on = Subscriptions()
    for handler in (handle_never, "handle_later"):
        with pytest.raises(InvalidInput, match="handler"):
            on.durable(RoomStatusChanged, name="mail")(handler)  # type: ignore[arg-type]  # bad on purpose
    for kind in (Event, Delivery, "room.statusChanged"):
        with pytest.raises(InvalidInput, match="kind"):
            on.durable(kind, name="mail")  # type: ignore[arg-type, type-var]  # bad on purpose
    assert not on.durables


def test_a_name_stands_for_one_subscription() -> None:
    """It has one handler for each kind of event, and the same terms for all of them."""
    on = Subscriptions()
    on.durable(RoomStatusChanged, name="mail", attempts=3)(handle_later)
    with pytest.raises(InvalidInput, match="name"):
        on.durable(RoomStatusChanged, name="mail", attempts=3)(handle_later)
    with pytest.raises(InvalidInput, match="name"):
        on.durable(PmsRoomSynced, name="mail", attempts=4)(lambda _: None)
    on.durable(PmsRoomSynced, name="mail", attempts=3)(lambda _: None)
    assert list(on.durables) == ["mail"]
    assert on.durables["mail"].attempts == 3
    assert set(on.handlers_of("mail")) == {"room.statusChanged", "pms.room.synced"}
