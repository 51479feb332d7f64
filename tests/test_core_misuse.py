"""Whoever holds the core wrongly is told so by a typed error that says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from hotelcore import Actor, AsyncHotelCore, HotelCore, Role, new_id
from hotelcore import operations as op
from hotelcore.access import Permission
from hotelcore.core import Desk
from hotelcore.errors import DatabaseFailure, InvalidInput, NotFound, ReadOnly, SchemaMismatch
from hotelcore.events.catalogue import BookingCheckedOut, Event
from hotelcore.ids import BookingId, HotelId
from hotelcore.lists import GuestFilter, every
from hotelcore.relay import Relay
from hotelcore.sql.schema import TableNames
from hotelcore.subscriptions import Subscriptions
from hotelcore.unit_of_work import UnitOfWork


@pytest.fixture
def core(database_url: str) -> Iterator[HotelCore]:
    """Return a core over a fresh database without tables."""
    core = HotelCore(database_url)
    yield core
    core.close()


@pytest.fixture
def desk(core: HotelCore) -> Desk:
    """Return the handle of a registered hotel's admin."""
    core.create_schema()
    desk = core.acting_as(Actor(hotel_id=new_id(), subject="owner", role=Role.ADMIN))
    desk.run(
        op.register_hotel,
        name="House",
        time_zone="Etc/UTC",
        currency="EUR",
        business_date=date(2026, 1, 1),
    )
    return desk


async def coroutine(uow: UnitOfWork) -> None:
    """Be no operation."""


WRONG_CORES: list[tuple[Callable[[], object], str]] = [
    (lambda: HotelCore(create_async_engine("sqlite+aiosqlite://")), "AsyncHotelCore"),  # type: ignore[arg-type]  # the mistake
    (lambda: AsyncHotelCore(create_engine("sqlite://")), "use HotelCore"),  # type: ignore[arg-type]  # the mistake
    (lambda: HotelCore("sqlite+aiosqlite://"), "use AsyncHotelCore"),
    (lambda: HotelCore("postgres://localhost/x"), "postgresql://"),
    (lambda: HotelCore("postgresql+asyncpg://localhost/x"), "write postgresql://"),
    (lambda: HotelCore("mysql://localhost/x"), "SQLite or PostgreSQL"),
    (lambda: HotelCore("hotel.db"), "URL"),
    (lambda: HotelCore(3), "URL"),  # type: ignore[arg-type]  # the mistake
    (lambda: HotelCore("sqlite://", names="inn_"), "TableNames"),  # type: ignore[arg-type]  # the mistake
    (lambda: HotelCore("sqlite://", limits=5), "Limits"),  # type: ignore[arg-type]  # the mistake
    (lambda: HotelCore("sqlite://", clock=date.today), "monotonic"),  # type: ignore[arg-type]  # noqa: TID251  # the mistake
    (lambda: HotelCore("sqlite://").acting_as("ana"), "Actor"),  # type: ignore[arg-type]  # the mistake
]


@pytest.mark.parametrize(("make", "hint"), WRONG_CORES)
def test_a_wrong_argument_is_refused_with_a_hint(make: Callable[[], object], hint: str) -> None:
    """Nothing that cannot work is accepted by the constructor."""
    with pytest.raises(InvalidInput, match=hint):
        make()


FALSY: dict[str, tuple[object, ...]] = {
    "limits": ("", 0, (), False),
    "names": ("", 0, {}),
    "clock": ([], 0, ""),
    "subscriptions": ({}, [], 0),
    "policy": ({}, "", 0),
    "row_security": ("false", "", 0, None),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in FALSY.items() for value in values]
)
@pytest.mark.parametrize("kind", [HotelCore, AsyncHotelCore])
def test_what_is_falsy_is_given_all_the_same(kind: Any, name: str, value: object) -> None:
    """Only None stands for what was not given; all else is judged by its type."""
    url = "sqlite://" if kind is HotelCore else "sqlite+aiosqlite://"
    wrong: Any = {name: value}
    with pytest.raises(InvalidInput) as refused:
        kind(url, **wrong)
    assert refused.value.field == name


NO_RELAYS: dict[str, tuple[object, ...]] = {
    "transport": ("nats://127.0.0.1:4222", "", 0, []),
    "feeding": ("no", 0, None),
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in NO_RELAYS.items() for value in values]
)
def test_a_relay_is_given_a_transport_and_not_its_url(name: str, value: object) -> None:
    """What cannot send, and a switch that is neither on nor off, are refused by their names."""
    wrong: Any = {name: value}
    with pytest.raises(InvalidInput) as refused:
        Relay(HotelCore("sqlite://"), **wrong)
    assert refused.value.field == name


FIVE: Any = 5


def received(core: HotelCore, envelope: Any) -> None:
    """Give something to a relay, which is closed again."""
    relay = Relay(core, feeding=False)
    try:
        relay.receive(envelope)
    finally:
        relay.run_until_idle()


@pytest.mark.parametrize(
    ("field", "ask"),
    [
        ("hotel_id", lambda core, hotel_id: core.prove(str(hotel_id))),
        ("hotel_id", lambda core, hotel_id: core.prove(None)),
        ("commands", lambda core, hotel_id: core.prove(hotel_id, commands="5")),
        ("commands", lambda core, hotel_id: core.prove(hotel_id, commands=True)),
        ("commands", lambda core, hotel_id: core.prove(hotel_id, commands=-1)),
        ("hotel_id", lambda core, hotel_id: core.verify_audit(str(hotel_id))),
        ("since", lambda core, hotel_id: core.verify_audit(hotel_id, since={})),
        ("envelope", lambda core, hotel_id: received(core, "x")),
        ("schema", lambda core, hotel_id: TableNames(schema=FIVE)),
        ("role", lambda core, hotel_id: core.policy.rights_of([])),
    ],
)
def test_a_core_is_asked_with_what_it_can_read(
    core: HotelCore, desk: Desk, field: str, ask: Callable[[Any, HotelId], object]
) -> None:
    """Every argument that is of another type is refused by its name, on each database alike."""
    with pytest.raises(InvalidInput) as refused:
        ask(core, desk.actor.hotel_id)
    assert refused.value.field == field


def test_an_async_core_is_asked_alike() -> None:
    """What the one core refuses the other does too, before it looks for its database."""
    core: Any = AsyncHotelCore("sqlite+aiosqlite:////nowhere/hotel.db")
    asks: tuple[Callable[[], Any], ...] = (
        lambda: core.prove("x"),
        lambda: core.prove(new_id(), commands="5"),
        lambda: core.verify_audit("x"),
        lambda: core.verify_audit(new_id(), since={}),
    )
    for ask in asks:
        with pytest.raises(InvalidInput):
            asyncio.run(ask())


class Nameless(Event):
    """An event of a host's own, which has no wire name."""


def reported(event: object, uow: Any) -> None:
    """Report something in a unit."""
    uow.emit(event)


OF_STAYS: tuple[tuple[str, Callable[[object, Any], object]], ...] = (
    ("stay", lambda value, uow: uow.inventory.nights(value)),
    ("stay", lambda value, uow: uow.maintenance.overlapping(value)),
    ("stay", lambda value, uow: uow.rooms.free(new_id(), value)),
    ("period", lambda value, uow: uow.room_nights.chart(value)),
)
NO_STAYS = ("x", None, date(2026, 1, 1), (date(2026, 1, 1), date(2026, 1, 2)))
made: Any = Nameless  # attrs made its arguments
NO_EVENTS: tuple[object, ...] = ({"a": 1}, None, "x", Nameless, made(hotel_id=HotelId(new_id())))


@pytest.mark.parametrize(
    ("field", "ask"),
    [
        *((field, partial(ask, value)) for field, ask in OF_STAYS for value in NO_STAYS),
        *(("event", partial(reported, event)) for event in NO_EVENTS),
        ("permission", lambda uow: uow.may([])),
        ("permission", lambda uow: uow.require([], "x")),
        ("subscription", lambda uow: uow.events.dead(-1)),
        ("subscription", lambda uow: uow.events.dead("x" * 101)),
        ("read", lambda uow: list(every(uow.guests.page(GuestFilter())))),
    ],
)
def test_a_unit_is_asked_with_what_it_can_read(
    desk: Desk, field: str, ask: Callable[[Any], object]
) -> None:
    """Stays, events, permissions and names of another type are refused by the argument's name."""
    with desk.reading() as uow, pytest.raises(InvalidInput) as refused:
        ask(uow)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "lock",
    [
        lambda uow: uow.guests.lock(new_id()),
        lambda uow: uow.guests.share(new_id()),
        lambda uow: uow.bookings.lock(new_id()),
        lambda uow: uow.folios.lock(new_id()),
        lambda uow: uow.rooms.lock([new_id()]),
        lambda uow: uow.hotels.lock(),
    ],
)
def test_a_reading_unit_locks_nothing(desk: Desk, lock: Callable[[Any], object]) -> None:
    """A lock is refused before it is sent, on SQLite too, which has none of a row."""
    with desk.reading() as uow, pytest.raises(ReadOnly, match=r"lock and write through run\(\)"):
        lock(uow)


def test_missing_tables_say_how_to_make_them(core: HotelCore) -> None:
    """The first mistake of a newcomer names its cure."""
    desk = core.acting_as(Actor(hotel_id=new_id(), subject="owner", role=Role.ADMIN))
    with pytest.raises(SchemaMismatch, match="create_schema"):
        desk.run(op.register_guest, last_name="Guest")


def test_an_unreachable_database_is_a_typed_failure(tmp_path: Path) -> None:
    """A missing directory, a directory, and a server that is not there say what to check."""
    for url, hint in (
        (f"sqlite:///{tmp_path}/missing/hotel.db", "directory"),
        (f"sqlite:///{tmp_path}", "SQLite file"),
        ("postgresql://nobody@127.0.0.1:1/x", "check the URL"),
    ):
        with pytest.raises(DatabaseFailure, match=hint):
            HotelCore(url).create_schema()


def test_a_handler_takes_what_it_is_given() -> None:
    """A handler that could not be called is refused when it subscribes, and not at the desk."""
    subscriptions = Subscriptions()
    inline = subscriptions.inline(BookingCheckedOut)
    durable = subscriptions.durable(BookingCheckedOut, name="mail")
    handler: Any  # of another signature than its type says
    for handler in (lambda: None, lambda event: None, lambda uow, event, more: None):
        with pytest.raises(InvalidInput, match=r"handler: must be a function of \(uow, event\)"):
            inline(handler)
    for handler in (lambda: None, lambda uow, event: None):
        with pytest.raises(InvalidInput, match=r"handler: must be a function of \(delivery\)"):
            durable(handler)
    for handler in (lambda *both: None, lambda uow, event, more=1: None):
        inline(handler)


def test_an_operation_has_a_name_of_its_own() -> None:
    """Under the name of one of the library's it would stand in the log as that."""

    def check_in_guest(uow: UnitOfWork) -> None:
        pass

    with pytest.raises(InvalidInput, match="check_in_guest"):
        op.operation(Permission.FRONT_DESK)(check_in_guest)
    assert op.OPERATIONS["check_in_guest"] is op.check_in_guest


@pytest.mark.parametrize("work", [coroutine, "register_guest", None])
def test_only_plain_functions_run(desk: Desk, work: Callable[[UnitOfWork], object]) -> None:
    """A coroutine, which would come back unstarted, and what is no function are refused."""
    with pytest.raises(InvalidInput, match="plain function"):
        desk.run(work)


def test_a_key_is_never_ignored(desk: Desk) -> None:
    """A key belongs to one run; where it could not be kept, it is refused."""
    with (
        pytest.raises(InvalidInput, match="idempotency_key"),
        desk.once("k").transaction(),
    ):
        pytest.fail("the block was entered")


@pytest.mark.parametrize("wrong", ["x", "01a2087a-b71a-7000-a7e0-dba79d69b240", 3, None])
def test_an_id_of_another_type_is_refused_alike(desk: Desk, wrong: BookingId) -> None:
    """Operations and reads want a UUID on both databases, also where a driver would take text."""
    with pytest.raises(InvalidInput, match="UUID"):
        desk.run(op.check_in_guest, booking_id=wrong)
    if wrong is not None:
        with desk.reading() as uow, pytest.raises(InvalidInput, match="UUID"):
            uow.bookings.get(wrong)


def test_a_hotel_that_is_not_there_cannot_be_proved(core: HotelCore, desk: Desk) -> None:
    """Proving an unknown hotel is our `NotFound`; a known one's books hold, with asyncio too."""
    with pytest.raises(NotFound):
        core.prove(HotelId(new_id()))
    assert core.prove(desk.actor.hotel_id, commands=1).ok

    async def proved() -> bool:
        twin = AsyncHotelCore(core.engine.url.set(drivername=_async_driver(core)))
        try:
            return (await twin.prove(desk.actor.hotel_id, commands=1)).ok
        finally:
            await twin.close()

    assert asyncio.run(proved())


def _async_driver(core: HotelCore) -> str:
    return "sqlite" if core.engine.dialect.name == "sqlite" else "postgresql"
