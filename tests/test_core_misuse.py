"""Whoever holds the core wrongly is told so by a typed error that says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import create_async_engine

from hotelcore import Actor, AsyncHotelCore, HotelCore, Role, new_id
from hotelcore import operations as op
from hotelcore.access import Permission
from hotelcore.core import Desk
from hotelcore.errors import DatabaseFailure, InvalidInput, NotFound, SchemaMismatch
from hotelcore.events.catalogue import BookingCheckedOut
from hotelcore.ids import BookingId, HotelId
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
