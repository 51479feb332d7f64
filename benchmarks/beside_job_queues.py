"""Durable subscriptions beside two job queues on the same PostgreSQL, in one run.

    pip install -e ".[postgres,procrastinate]" --group bench
    python benchmarks/beside_job_queues.py postgresql://…/an_empty_database

Each is given the same number of jobs that do nothing, beforehand, and works them off with its own
defaults. Ours keeps the order of each record, moves the lane in the handler's own transaction and
counts the numbering of the events too; the rate of the numbering alone stands in
`relay_events.py`.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import timedelta
from time import perf_counter
from typing import Any

import psycopg
from pgqueuer import PgQueuer
from pgqueuer.db import PsycopgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode
from procrastinate import App, PsycopgConnector
from sqlalchemy import make_url

from benchmarks.relay_events import filled, opened
from hotelcore import HotelCore
from hotelcore.events.catalogue import RoomStatusChanged
from hotelcore.relay import Relay
from hotelcore.subscriptions import Delivery, Subscriptions

JOBS = 2_000
ROUNDS = 3


def dsn(url: str) -> str:
    """Return what psycopg takes."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def ours(core: HotelCore, records: int) -> float:
    """Return the deliveries a second of a relay with one durable subscription."""
    core.subscriptions = Subscriptions()

    @core.subscriptions.durable(RoomStatusChanged, name=f"beside-{perf_counter()}")
    def do_nothing(_: Delivery[RoomStatusChanged]) -> None:
        pass

    desk, _, _ = opened(core)
    filled(core, desk, records=records, events=JOBS)
    begun = perf_counter()
    Relay(core, poll=timedelta(seconds=1)).run_until_idle()
    return JOBS / (perf_counter() - begun)


async def of_procrastinate(url: str) -> float:
    """Return the jobs a second of procrastinate."""
    app = App(connector=PsycopgConnector(conninfo=dsn(url)))

    @app.task(name="nothing")
    async def nothing() -> None:
        pass

    async with app.open_async():
        await nothing.batch_defer_async(*[{} for _ in range(JOBS)])
        begun = perf_counter()
        await app.run_worker_async(wait=False, listen_notify=False, install_signal_handlers=False)
        return JOBS / (perf_counter() - begun)


async def prepare(url: str) -> None:
    """Create the tables of both queues."""
    app = App(connector=PsycopgConnector(conninfo=dsn(url)))
    async with app.open_async():
        await app.schema_manager.apply_schema_async()
    connection: Any = await psycopg.AsyncConnection.connect(dsn(url), autocommit=True)
    async with connection:
        await Queries(PsycopgDriver(connection)).install()


async def of_pgqueuer(url: str) -> float:
    """Return the jobs a second of pgqueuer."""
    # `Any`: psycopg's connection, whose row type is of no interest here.
    connection: Any = await psycopg.AsyncConnection.connect(dsn(url), autocommit=True)
    async with connection:
        driver = PsycopgDriver(connection)
        await Queries(driver).enqueue(["nothing"] * JOBS, [None] * JOBS, [0] * JOBS)
        worker = PgQueuer(driver)

        @worker.entrypoint("nothing")
        async def nothing(_: Job) -> None:
            pass

        begun = perf_counter()
        await worker.run(batch_size=100, mode=QueueExecutionMode.drain)
        return JOBS / (perf_counter() - begun)


def main(url: str) -> None:
    """Measure the three in turn and print the best round of each."""
    asyncio.run(prepare(url))
    core = HotelCore(url)
    figures: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        for name, rate in (
            ("hotelcore, 20 records", ours(core, 20)),
            ("hotelcore, 1,000 records", ours(core, 1_000)),
            ("procrastinate", asyncio.run(of_procrastinate(url))),
            ("pgqueuer, batches of 100", asyncio.run(of_pgqueuer(url))),
        ):
            figures.setdefault(name, []).append(rate)
    for name, rates in figures.items():
        print(f"  {name:28} {max(rates):8,.0f} a second")
    core.close()


if __name__ == "__main__":
    main(sys.argv[1])
