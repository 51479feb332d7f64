"""asyncio on PostgreSQL: beside psycopg's own asyncio connection, and 500 guests at once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from statistics import median, quantiles
from time import perf_counter

import psycopg
from sqlalchemy import URL
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.contestants.ours import Ours
from benchmarks.contestants.raw import Raw
from benchmarks.house import DAY, MOST, NOW, PAGE, TODAY, House
from benchmarks.places import Place, conninfo
from benchmarks.report import Report
from benchmarks.rounds import Work, medians, stated
from hotelcore import AsyncHotelCore, Money, Stay
from hotelcore import operations as op
from hotelcore.clock import FixedClock
from hotelcore.core import AsyncDesk
from hotelcore.domain.bookings import BookingStatus
from hotelcore.domain.housekeeping import TaskStatus
from hotelcore.domain.rooms import RoomType
from hotelcore.errors import SoldOut
from hotelcore.lists import BookingFilter, TaskFilter
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["asynchronous"]

_TIMES = 20
"""How often a timed work asks: to enter an event loop is not what is compared."""
_GUESTS, _ROOMS = 500, 300
_PATIENT = timedelta(minutes=10)
_PRICE = Money(10_000, "EUR")


def asynchronous(place: Place, url: URL, house: House, rounds: int, report: Report) -> None:
    """Time reads beside the driver, then let many guests want one night."""
    with asyncio.Runner() as runner:
        # The pool's own patience is shorter than the last of the guests has to wait on a busy day.
        engine = create_async_engine(url, pool_size=15, max_overflow=0, pool_timeout=600)
        core = AsyncHotelCore(engine, clock=FixedClock(NOW))
        with_actor = Ours(url, house)
        desk = core.acting_as(with_actor.desk.actor)
        rows = _beside_the_driver(runner, desk, place, url, house, rounds)
        report.table("asyncio", ["", "psycopg", "hotelcore"], rows)
        rush = _prepared(with_actor)
        report.table("500 guests", ["", ""], runner.run(_rush(desk, house, rush)))
        runner.run(engine.dispose())
        with_actor.close()


# -- beside the driver ----------------------------------------------------------------------------


def _questions(house: House) -> dict[str, Callable[[UnitOfWork], object]]:
    coming = BookingFilter(statuses=frozenset({BookingStatus.CONFIRMED}), arriving_from=TODAY)
    due = TaskFilter(due=TODAY, status=TaskStatus.OPEN)
    return {
        "folio balance": lambda uow: uow.folios.get(house.folio_id),
        "page of 50": lambda uow: uow.bookings.page(coming, limit=PAGE),
        "tasks": lambda uow: uow.housekeeping.page(due, limit=MOST),
    }


def _beside_the_driver(
    runner: asyncio.Runner, desk: AsyncDesk, place: Place, url: URL, house: House, rounds: int
) -> list[list[object]]:
    raw, rows = Raw(url, house), list[list[object]]()
    connection = runner.run(psycopg.AsyncConnection.connect(conninfo(url), autocommit=True))

    async def ours(ask: Callable[[UnitOfWork], object]) -> None:
        async with desk.reading() as unit:
            await unit.run(ask)

    async def theirs(sql: str, values: list[object]) -> None:
        cursor = await connection.execute(sql.encode(), values)
        await cursor.fetchall()

    for question, ask in _questions(house).items():
        sql, values = raw.question(question)
        works = {
            "psycopg": _repeated(runner, partial(theirs, sql, values)),
            "hotelcore": _repeated(runner, partial(ours, ask)),
        }
        for work in works.values():
            work()
        prepared = {name: stated(work) for name, work in works.items()}
        taken = medians(prepared, rounds, place.queue(url))
        each = f"{taken['psycopg'] / _TIMES * 1e3:,.2f} ms"
        rows.append([question, each, f"{taken['hotelcore'] / taken['psycopg']:.2f}"])
    runner.run(connection.close())
    raw.close()
    return rows


def _repeated(runner: asyncio.Runner, ask: Callable[[], Awaitable[None]]) -> Work:
    async def often() -> None:
        for _ in range(_TIMES):
            await ask()

    return lambda: runner.run(often())


# -- many at once ---------------------------------------------------------------------------------


def _prepared(ours: Ours) -> RoomType:
    return ours.desk.run(
        op.add_room_type, code="RUSH", name="Rush", base_rate=_PRICE, overbooking_limit=_ROOMS
    )


async def _rush(desk: AsyncDesk, house: House, wanted: RoomType) -> list[list[object]]:
    """Let all guests ask at the same moment for the last rooms of one night."""
    patient, stay = desk.within(wait_limit=_PATIENT, time_limit=_PATIENT), Stay(TODAY, TODAY + DAY)

    async def attempt() -> tuple[bool, float]:
        begun = perf_counter()
        try:
            await patient.run(
                op.create_booking_with_folio,
                guest_id=house.guest_id,
                room_type_id=wanted.id,
                stay=stay,
            )
        except SoldOut:
            return False, perf_counter() - begun
        return True, perf_counter() - begun

    attempts = await asyncio.gather(*(attempt() for _ in range(_GUESTS)))
    booked = sum(got for got, _ in attempts)
    async with desk.reading() as unit:
        ((night,)) = await unit.run(lambda uow: uow.inventory.nights(stay, wanted.id))
    assert booked == night.committed == _ROOMS, (booked, night)
    return _told(booked, [seconds for _, seconds in attempts])


def _told(booked: int, seconds: list[float]) -> list[list[object]]:
    p99 = quantiles(seconds, n=100)[98]
    return [
        ["booked", booked],
        ["told that it is sold out", len(seconds) - booked],
        ["half were answered within", f"{median(seconds):.2f} s"],
        ["99 of 100 within", f"{p99:.2f} s, {p99 / median(seconds):.1f} times that"],
    ]
