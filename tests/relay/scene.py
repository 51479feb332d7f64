"""A few hotels, a clock that stands still, and relays that work until nothing is due."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from threading import Thread
from typing import TypeAlias
from uuid import UUID

from attrs import frozen
from sqlalchemy import Engine, delete, select

from hotelcore import Actor, HotelCore, Permission, Role, new_id
from hotelcore.clock import FixedClock
from hotelcore.core import Desk
from hotelcore.domain.rooms import RoomCondition
from hotelcore.events.catalogue import (
    Event,
    HousekeepingTaskCompleted,
    PmsRoomSynced,
    RoomStatusChanged,
)
from hotelcore.events.dead_letter import DeadLetter
from hotelcore.events.envelope import Envelope
from hotelcore.events.transport import EventTransport
from hotelcore.ids import HotelId, RoomId, TaskId
from hotelcore.lists import GuestFilter
from hotelcore.operations import operation, register_hotel
from hotelcore.relay import Relay
from hotelcore.relay.feeding import Feeder
from hotelcore.sql.events.dead_letters import DEAD_LETTERS
from hotelcore.sql.events.feed import FEED
from hotelcore.sql.events.inbox import INBOX
from hotelcore.sql.events.outbox import OUTBOX
from hotelcore.subscriptions import Subscriptions
from hotelcore.unit_of_work import UnitOfWork

NOON = datetime(2026, 12, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)

PATIENCE = 30.0
"""Seconds after which something that must happen is taken never to happen."""

Kind: TypeAlias = type[RoomStatusChanged] | type[HousekeepingTaskCompleted] | type[PmsRoomSynced]
KINDS: Sequence[Kind] = (RoomStatusChanged, HousekeepingTaskCompleted, PmsRoomSynced)
"""Kinds of events that are all kept in the order of one room."""


class Trouble(Exception):
    """What a handler fails with."""


@operation(Permission.HOUSEKEEPING)
def report(uow: UnitOfWork, *events: Event) -> None:
    """Report events, without anything having happened."""
    for event in events:
        uow.emit(event)


def fact(kind: Kind, hotel_id: HotelId, room_id: RoomId) -> Event:
    """Make an event of this kind about a room."""
    if kind is RoomStatusChanged:
        dirty, clean = RoomCondition.DIRTY, RoomCondition.CLEAN
        return RoomStatusChanged(
            hotel_id=hotel_id, room_id=room_id, previous=dirty, condition=clean
        )
    if kind is PmsRoomSynced:
        return PmsRoomSynced(hotel_id=hotel_id, room_id=room_id, external_id="101")
    return HousekeepingTaskCompleted(
        hotel_id=hotel_id, room_id=room_id, task_id=TaskId(new_id()), kind="departure"
    )


def new_room() -> RoomId:
    """Return the id of a room of which nothing is known but its events."""
    return RoomId(new_id())


@frozen
class House:
    """A hotel, and its administrator's handle."""

    hotel_id: HotelId
    desk: Desk

    def reports(
        self, *rooms: RoomId, kind: Kind = RoomStatusChanged, desk: Desk | None = None
    ) -> None:
        """Report one event of each room, in one transaction."""
        facts = [fact(kind, self.hotel_id, room_id) for room_id in rooms]
        (desk or self.desk).run(report, *facts)

    def log(self) -> Sequence[Envelope]:
        """Return the events that have a position, in their order."""
        with self.desk.reading() as uow:
            return uow.events.behind(0)

    def of_record(self, key: UUID) -> Sequence[Envelope]:
        """Return the events of one record, in their order."""
        with self.desk.reading() as uow:
            return uow.events.of_record(key)

    def dead(self) -> Sequence[DeadLetter]:
        """Return the dead letters."""
        with self.desk.reading() as uow:
            return uow.events.dead()

    def guests(self) -> list[str]:
        """Return the last names of the guests, in the order in which they were registered."""
        with self.desk.reading() as uow:
            guests = uow.guests.page(GuestFilter(), limit=1_000).items
        return [guest.last_name for guest in sorted(guests, key=lambda guest: guest.id)]


@frozen
class Scene:
    """A core whose clock stands still, and its subscriptions."""

    core: HotelCore
    clock: FixedClock

    @classmethod
    def over(cls, engine: Engine) -> Scene:
        """Begin with a core of its own in a database in which no event waits."""
        with engine.begin() as connection:
            for table in (DEAD_LETTERS, INBOX, FEED, OUTBOX):
                connection.execute(delete(table))
        clock = FixedClock(NOON)
        return cls(HotelCore(engine, clock=clock, subscriptions=Subscriptions()), clock)

    @property
    def on(self) -> Subscriptions:
        """The subscriptions, to make some."""
        return self.core.subscriptions

    def house(self) -> House:
        """Open a hotel."""
        hotel_id = HotelId(new_id())
        desk = self.core.acting_as(Actor(hotel_id=hotel_id, subject="root", role=Role.ADMIN))
        desk.run(
            register_hotel,
            name="Harbour",
            time_zone="Etc/UTC",
            currency="EUR",
            business_date=date(2026, 12, 1),
        )
        return House(hotel_id, desk)

    def other_core(self, subscriptions: Subscriptions | None = None) -> HotelCore:
        """Make the core of another process, which by default subscribes to nothing."""
        return HotelCore(self.core.engine, clock=self.clock, subscriptions=subscriptions)

    def work(self, *, batch: int = 100, workers: int = 2, lease: timedelta = MINUTE) -> None:
        """Work until nothing is due at this instant."""
        Relay(self.core, batch=batch, workers=workers, lease=lease).run_until_idle()

    def number(self) -> None:
        """Give all events their positions, without telling anybody."""
        Relay(self.other_core()).run_until_idle()

    def work_it_all(self) -> None:
        """Work, and let the pauses pass, until nothing is left to be tried again."""
        self.work()
        while self.lanes_waiting():
            self.clock.advance(DAY)
            self.work()

    def lanes_waiting(self) -> int:
        """Count the lanes that are not idle."""
        with self.core.engine.connect() as connection:
            lanes = select(INBOX.c.key).where(INBOX.c.due_at.is_not(None))
            return len(connection.execute(lanes).all())

    def feeder(
        self,
        transport: EventTransport | None = None,
        *,
        batch: int = 100,
        core: HotelCore | None = None,
    ) -> Feeder:
        """Make what feeds the batches of a relay, to feed one at a time."""
        return Feeder(core or self.core, transport=transport, batch=batch, lease=MINUTE)


@contextmanager
def at_work(*jobs: Callable[[], object]) -> Generator[None]:
    """Do jobs in threads of their own while the body runs, and wait for their ends."""
    failures: list[BaseException] = []

    def do(job: Callable[[], object]) -> None:
        try:
            job()
        except BaseException as failure:  # noqa: BLE001  # the test's own thread raises it
            failures.append(failure)

    # Daemons: a job that never ends fails its test and stops no other.
    threads = [Thread(target=do, args=[job], daemon=True) for job in jobs]
    for thread in threads:
        thread.start()
    yield
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()
    for failure in failures:
        raise failure


@contextmanager
def running(*relays: Relay) -> Generator[None]:
    """Let relays run while the body runs."""
    with at_work(*(relay.run for relay in relays)):
        try:
            yield
        finally:
            for relay in relays:
                relay.stop()
