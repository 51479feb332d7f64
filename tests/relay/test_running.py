"""A relay that runs: it wakes when there is something to do, waits in peace, and ends well."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from queue import Empty, Queue
from threading import Event as Flag
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from hotelcore import HotelCore, Role, TableNames
from hotelcore.errors import InvalidInput
from hotelcore.events.catalogue import BookingCreated, RoomStatusChanged
from hotelcore.events.envelope import Envelope
from hotelcore.relay import Relay
from hotelcore.relay.bell import Bell
from hotelcore.subscriptions import Delivery, Subscriptions
from tests.hindrances import linger, run_all
from tests.relay.scene import MINUTE, PATIENCE, House, Scene, Trouble, at_work, new_room, running
from tests.small_hotel import open_hotel, written_statements

pytestmark = pytest.mark.long

# Longer than any test may take: whatever happens earlier has not waited for it.
NEVER = timedelta(days=1)
SOON = timedelta(milliseconds=20)


class Mail(Queue[tuple[UUID, int]]):
    """What a durable subscription handled: records and sequences, to wait for."""

    def __init__(self, on: Subscriptions) -> None:
        super().__init__()
        on.durable(RoomStatusChanged, name="mail")(self.handle)

    def handle(self, delivery: Delivery[RoomStatusChanged]) -> None:
        """Note that the event came."""
        self.put((delivery.event.room_id, delivery.envelope.sequence))

    def awaited(self) -> tuple[UUID, int]:
        """Return the next one, as soon as it comes."""
        return self.get(timeout=PATIENCE)


# -- waking up ----------------------------------------------------------------------------------


def test_a_commit_wakes_the_relay(scene: Scene) -> None:
    """It hears at once of what another connection commits, again and again, without looking."""
    house, room, mail = scene.house(), new_room(), Mail(scene.on)
    with running(Relay(scene.core, poll=NEVER)):
        for sequence in range(1, 9):
            house.reports(room)
            assert mail.awaited() == (room, sequence)
    assert scene.lanes_waiting() == 0


_WRITER = """
import sys
from uuid import UUID
from hotelcore import Actor, HotelCore, Role
from tests.relay.scene import House

core = HotelCore(sys.argv[1])
hotel_id, room = UUID(sys.argv[2]), UUID(sys.argv[3])
desk = core.acting_as(Actor(hotel_id=hotel_id, subject="writer", role=Role.ADMIN))
for line in sys.stdin:
    House(hotel_id, desk).reports(room)
    print("reported", flush=True)
core.close()
"""


def test_a_commit_of_another_process_wakes_the_relay(scene: Scene) -> None:
    """Whoever commits, the relay hears of it."""
    house, room, mail = scene.house(), new_room(), Mail(scene.on)
    url = scene.core.engine.url.render_as_string(hide_password=False)
    with (
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, url, str(house.hotel_id), str(room)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
        running(Relay(scene.core, poll=NEVER)),
    ):
        assert process.stdin is not None
        for sequence in range(1, 4):
            process.stdin.write("report\n")
            process.stdin.flush()
            assert mail.awaited() == (room, sequence)
        process.stdin.close()
        assert process.wait(PATIENCE) == 0


_CROWDED = """
import resource, sys
from uuid import UUID
from hotelcore import Actor, HotelCore, Role
from hotelcore.relay import Relay
from hotelcore.subscriptions import Subscriptions
from tests.relay.scene import House, running
from tests.relay.test_running import NEVER, Mail

resource.setrlimit(resource.RLIMIT_NOFILE, (2_048, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
files = [open("/dev/null") for _ in range(1_100)]
core = HotelCore(sys.argv[1], subscriptions=Subscriptions())
hotel_id, room = UUID(sys.argv[2]), UUID(sys.argv[3])
mail = Mail(core.subscriptions)
house = House(hotel_id, core.acting_as(Actor(hotel_id=hotel_id, subject="root", role=Role.ADMIN)))
with running(Relay(core, poll=NEVER)):
    for sequence in range(1, 4):
        house.reports(room)
        assert mail.awaited() == (room, sequence)
core.close()
"""


def test_a_relay_works_beside_very_many_open_files(scene: Scene) -> None:
    """A process with more than 1,024 of them is woken and works as any other."""
    house, url = scene.house(), scene.core.engine.url.render_as_string(hide_password=False)
    subprocess.run(
        [sys.executable, "-c", _CROWDED, url, str(house.hotel_id), str(new_room())], check=True
    )


@pytest.mark.parametrize(
    "names", [TableNames(prefix="inn_"), TableNames(prefix="inn_", schema="hotels")]
)
def test_a_commit_is_heard_under_any_table_names(postgresql_url: str, names: TableNames) -> None:
    """The announcement goes by the names that the host chose, and no other relay's."""
    on = Subscriptions()
    mail, room = Mail(on), new_room()
    core = HotelCore(postgresql_url, names=names, subscriptions=on)
    if names.schema:
        run_all(core.engine, [f"CREATE SCHEMA {names.schema}"])
    core.create_schema()
    house = open_hotel(core)
    with running(Relay(core, poll=NEVER)):
        for sequence in range(1, 4):
            House(house.hotel_id, house.desk).reports(room)
            assert mail.awaited() == (room, sequence)
    core.close()


def test_a_database_in_memory_has_a_relay_too() -> None:
    """Nobody else can commit there, so it looks by itself, and shares the one connection."""
    core = HotelCore("sqlite://")
    core.create_schema()
    mail, room = Mail(core.subscriptions), new_room()
    house = open_hotel(core)
    with running(Relay(core, poll=NEVER)):
        for sequence in range(1, 4):
            House(house.hotel_id, house.desk).reports(room)
            assert mail.awaited() == (room, sequence)
    core.close()


def test_a_worker_that_is_free_wakes_the_relay(scene: Scene) -> None:
    """One worker works off many records, each as soon as the one before it is done."""
    house, rooms, mail = scene.house(), [new_room() for _ in range(12)], Mail(scene.on)
    house.reports(*rooms)
    with running(Relay(scene.core, workers=1, poll=NEVER)):
        assert {mail.awaited()[0] for _ in rooms} == set(rooms)


def test_a_flood_is_worked_off_without_waiting(scene: Scene) -> None:
    """Batch follows batch while more waits than goes into one."""
    house, rooms, mail = scene.house(), [new_room() for _ in range(25)], Mail(scene.on)
    house.reports(*rooms)
    with running(Relay(scene.core, batch=10, poll=NEVER)):
        assert {mail.awaited()[0] for _ in rooms} == set(rooms)


@pytest.mark.parametrize("batch", [1, 2, 100])
def test_a_relay_waits_where_nothing_is_to_be_done(scene: Scene, batch: int) -> None:
    """Between two events it asks the database nothing, whatever the size of its batches."""
    house, room, mail = scene.house(), new_room(), Mail(scene.on)
    house.reports(room)
    with running(Relay(scene.core, batch=batch, poll=NEVER)):
        mail.awaited()
        with written_statements(scene.core.engine) as statements, pytest.raises(Empty):
            mail.get(timeout=0.3)
    takes = [each for each in statements if each.startswith("UPDATE hc_feed")]
    assert len(takes) <= 5


# -- a connection that is lost ------------------------------------------------------------------


def terminate_listeners(engine: Engine) -> int:
    """End the connections on which a bell listens, as a server does that goes down."""
    with engine.begin() as connection:
        ended = connection.execute(
            text(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
            )
        )
        return len(ended.all())


def test_a_bell_listens_again_after_its_connection_was_lost(
    postgresql_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It leaves the database in peace for as long as it was told, then hears of commits again."""
    core = HotelCore(postgresql_url)
    core.create_schema()
    hotel, bell = open_hotel(core), Bell(core.engine, TableNames())
    bell.wait(NEVER.total_seconds())  # to listen
    assert terminate_listeners(core.engine) == 1
    for _ in range(1_000):
        bell.wait(0.01)
        if "cannot hear" in caplog.text:
            break
    with at_work(lambda: bell.wait(NEVER.total_seconds())):  # to listen again
        pass
    with at_work(lambda: bell.wait(NEVER.total_seconds())):
        hotel.booked()
    bell.close()
    core.close()


def test_a_relay_survives_the_loss_of_its_connection(postgresql_url: str) -> None:
    """It goes on handling events, at the latest after the time between two looks."""
    core = HotelCore(postgresql_url)
    core.create_schema()
    mail, room, hotel = Mail(core.subscriptions), new_room(), open_hotel(core)
    house = House(hotel.hotel_id, hotel.desk)
    with running(Relay(core, poll=SOON)):
        for sequence in range(1, 6, 2):
            house.reports(room)
            assert mail.awaited() == (room, sequence)
            terminate_listeners(core.engine)
            house.reports(room)
            assert mail.awaited() == (room, sequence + 1)
    core.close()


def test_a_relay_asks_again_a_database_that_failed(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """It says so in the log and goes on once the database does."""
    house, room, mail = scene.house(), new_room(), Mail(scene.on)
    with running(Relay(scene.core, poll=SOON)):
        house.reports(room)
        mail.awaited()
        run_all(scene.core.engine, ["ALTER TABLE hc_feed RENAME TO elsewhere"])
        try:
            house.reports(room)
            with pytest.raises(Empty):
                mail.get(timeout=0.2)
        finally:
            run_all(scene.core.engine, ["ALTER TABLE elsewhere RENAME TO hc_feed"])
        assert mail.awaited() == (room, 2)
    assert "the relay tries again" in caplog.text
    assert "hc_feed" not in caplog.text


def test_a_busy_relay_still_looks_whose_pause_is_over(postgresql_url: str) -> None:
    """A batch that the broker refused is sent again while workers keep on ringing."""
    core = HotelCore(postgresql_url)
    core.create_schema()
    hotel = open_hotel(core)
    house, rooms = House(hotel.hotel_id, hotel.desk), [new_room() for _ in range(600)]
    handled: list[int] = []
    handled_when_sent: list[int] = []

    @core.subscriptions.durable(RoomStatusChanged, name="mail")
    def take_time(delivery: Delivery[RoomStatusChanged]) -> None:
        handled.append(delivery.envelope.sequence)
        if len(handled_when_sent) < 2:
            linger(0.005)

    class Refusing:
        def send(self, batch: Sequence[Envelope]) -> None:
            handled_when_sent.append(len(handled))
            if len(handled_when_sent) == 1:
                raise Trouble

    house.reports(*rooms)
    relay = Relay(core, transport=Refusing(), workers=1, batch=1_000, poll=SOON)
    with running(relay):
        while len(handled) < len(rooms):
            linger(0.05)
    core.close()
    assert len(handled_when_sent) == 2
    assert handled_when_sent[1] < len(rooms)


# -- the end ------------------------------------------------------------------------------------


def test_a_relay_that_is_stopped_lets_its_handlers_finish(scene: Scene) -> None:
    """The event under way is handled, the next one is left as if nobody had begun it."""
    house, room = scene.house(), new_room()
    begun, go_on = Flag(), Flag()
    got: list[tuple[int, int]] = []

    @scene.on.durable(RoomStatusChanged, name="mail")
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        begun.set()
        assert go_on.wait(PATIENCE)
        got.append((delivery.envelope.sequence, delivery.attempt))

    house.reports(room, room)
    relay = Relay(scene.core, poll=NEVER)
    with at_work(relay.run):
        assert begun.wait(PATIENCE)
        relay.stop()
        assert got == []
        go_on.set()
    assert got == [(1, 1)]
    assert scene.lanes_waiting() == 1
    scene.work()
    assert got == [(1, 1), (2, 1)]


def test_what_waits_for_a_worker_at_the_end_keeps_its_count(scene: Scene) -> None:
    """An event that failed before, and that nobody came to again, has failed as often as before."""
    house, rooms = scene.house(), [new_room(), new_room()]
    begun, go_on = Flag(), Flag()
    got: list[int] = []

    @scene.on.durable(RoomStatusChanged, name="mail")
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        got.append(delivery.attempt)
        if delivery.attempt == 1:
            raise Trouble
        begun.set()
        assert go_on.wait(PATIENCE)

    house.reports(*rooms)
    scene.work()
    scene.clock.advance(MINUTE)
    relay = Relay(scene.core, workers=1, poll=NEVER)
    with at_work(relay.run):
        assert begun.wait(PATIENCE)
        relay.stop()
        go_on.set()
    assert got == [1, 1, 2]
    scene.work()
    assert got == [1, 1, 2, 2]


def test_a_relay_may_be_stopped_at_any_time(scene: Scene) -> None:
    """Before it runs, twice, and after its end; what arrives for it then is known all the same."""
    house, mail = scene.house(), Mail(scene.on)
    early = Relay(scene.core, poll=NEVER)
    early.stop()
    with at_work(early.run):
        pass
    late = Relay(scene.core, poll=NEVER)
    with running(late):
        late.stop()
    late.stop()
    house.reports(new_room())
    scene.number()
    [envelope] = house.log()
    late.receive(envelope)
    assert mail.empty()
    scene.work()
    assert mail.awaited()[1] == 1


def test_a_relay_that_has_ended_runs_again(scene: Scene) -> None:
    """One that works until idle does so each time that it is asked, and may then serve on."""
    house, room, mail = scene.house(), new_room(), Mail(scene.on)
    relay = Relay(scene.core, poll=NEVER)
    for sequence in range(1, 4):
        house.reports(room)
        relay.run_until_idle()
        assert mail.get_nowait() == (room, sequence)
    with running(relay):
        house.reports(room)
        assert mail.awaited() == (room, 4)
    assert scene.lanes_waiting() == 0


def test_a_relay_that_was_stopped_takes_nothing_up(scene: Scene) -> None:
    """It returns at once, so what waits is there for another, which need not wait for a lease."""
    house, room, mail = scene.house(), new_room(), Mail(scene.on)
    relay = Relay(scene.core, poll=NEVER)
    with running(relay):
        pass
    house.reports(room)
    relay.run_until_idle()
    relay.run()
    assert mail.empty()
    scene.work()
    assert mail.get_nowait() == (room, 1)


def test_a_relay_runs_in_one_thread_at_a_time(scene: Scene) -> None:
    """A second thread is refused before it takes anything up, and the first works on."""
    house, room, mail = scene.house(), new_room(), Mail(scene.on)
    relay = Relay(scene.core, poll=NEVER)
    with running(relay):
        house.reports(room)
        assert mail.awaited() == (room, 1)
        for run in (relay.run_until_idle, relay.run):
            with pytest.raises(InvalidInput, match=r"^relay: runs already"):
                run()
        house.reports(room)
        assert mail.awaited() == (room, 2)


def test_what_a_handler_commits_as_it_ends_is_worked_too(scene: Scene) -> None:
    """Until idle means also what the last handler caused, and what that one caused."""
    house, room = scene.house(), new_room()
    got: list[int] = []

    @scene.on.durable(RoomStatusChanged, name="mail", role=Role.RECEPTION)
    def handle(delivery: Delivery[RoomStatusChanged]) -> None:
        got.append(delivery.envelope.sequence)
        if len(got) < 30:
            house.reports(room)

    house.reports(room)
    with at_work(Relay(scene.core, poll=NEVER).run_until_idle):
        pass
    assert got == [*range(1, 31)]


def test_only_a_synchronous_core_has_a_relay(scene: Scene) -> None:
    """Its handlers are plain functions in threads."""
    with pytest.raises(InvalidInput, match="core"):
        Relay(scene.core.engine)  # type: ignore[arg-type]  # bad on purpose


# -- those who write ----------------------------------------------------------------------------


def test_a_slow_handler_delays_no_booking(scene: Scene) -> None:
    """While it takes its time before its transaction, bookings are made, and free workers go on."""
    hotel = open_hotel(scene.core)
    begun, go_on = Flag(), Flag()
    quick = Queue[UUID]()

    @scene.on.durable(BookingCreated, name="slow")
    def take_time(delivery: Delivery[BookingCreated]) -> None:
        begun.set()
        assert go_on.wait(PATIENCE)

    @scene.on.durable(BookingCreated, name="quick")
    def handle(delivery: Delivery[BookingCreated]) -> None:
        quick.put(delivery.event.booking_id)

    with running(Relay(scene.core, workers=5, poll=NEVER)):
        first, _ = hotel.booked()
        assert begun.wait(PATIENCE)
        more = [hotel.booked()[0].id for _ in range(3)]
        assert {quick.get(timeout=PATIENCE) for _ in range(4)} == {first.id, *more}
        go_on.set()


def test_a_durable_subscription_costs_a_booking_nothing(scene: Scene) -> None:
    """The booking's transaction has the same statements with it as without it."""
    hotel = open_hotel(scene.core)
    hotel.booked()  # the first one opens the counters of its night
    with written_statements(scene.core.engine) as without:
        hotel.booked()
    scene.on.durable(BookingCreated, name="mail")(lambda _: None)
    with written_statements(scene.core.engine) as with_it:
        hotel.booked()
    assert with_it == without
