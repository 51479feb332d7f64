"""Events as jobs of procrastinate, on a PostgreSQL that is there anyway."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from hotelcore.errors import InvalidInput, MissingExtra, TransportFailure
from hotelcore.events.cloudevents import Binding, headers_and_body
from hotelcore.events.envelope import Envelope
from hotelcore.transports.carrying import (
    STOP_SECONDS,
    Intake,
    Transport,
    checked_name,
    checked_seconds,
)
from hotelcore.transports.connection import Connection

try:
    from procrastinate import App, PsycopgConnector
    from procrastinate.jobs import DeleteJobCondition, Job
    from procrastinate.worker import Worker
except ImportError:
    raise MissingExtra("JobTransport", "procrastinate") from None

__all__ = ["JobTransport"]

# procrastinate puts 23 characters before it to name a channel, of which PostgreSQL takes 63.
_LONGEST_QUEUE = 40

_log = logging.getLogger("hotelcore.transports")


class _ComesAgain(Exception):  # a signal to procrastinate, which nobody else sees
    """The job's event was not received."""


class JobTransport(Transport):
    """One job an event and group, in the queue ``<name>.<group>``; `create_tables` once first.

    A job is worked off once, so ``groups`` names all that are to get the events. The jobs of one
    record share a lock: they run one after the other, in the order of the record's events. A job
    that succeeded is deleted. The jobs of a worker that gave no sign of life for
    ``redeliver_after`` seconds go to another. ``url`` is ``procrastinate+postgresql://…``; name and
    group together have at most 39 characters. The rest as in `Transport`.
    """

    broker_name = "procrastinate"

    def __init__(
        self,
        url: str,
        *,
        name: str = "hotelcore",
        groups: Sequence[str] = ("hotelcore",),
        time_limit: float = 10.0,
        redeliver_after: float = 30.0,
    ) -> None:
        if isinstance(groups, str) or not groups:
            raise InvalidInput("groups", "must name at least one group")
        if max(len(f"{name}.{group}") for group in groups) > _LONGEST_QUEUE:
            raise InvalidInput("groups", f"<name>.<group> must fit in {_LONGEST_QUEUE} characters")
        self._groups = tuple(checked_name("groups", group) for group in groups)
        self._redeliver_after = checked_seconds("redeliver_after", redeliver_after)
        super().__init__(url, name=name, time_limit=time_limit)
        self._connection = Connection(
            new=self._new_app, prepare=self._prepare, close=lambda app: app.close_async()
        )

    def create_tables(self) -> None:
        """Create procrastinate's own tables where they are missing; to upgrade them is up to you.

        Raises `TransportFailure` if the database cannot be reached or does not allow it.
        """
        self._run(self._create_tables())

    async def _create_tables(self) -> None:
        async with self._new_app().open_async() as app:
            if not await app.check_connection_async():
                await app.schema_manager.apply_schema_async()

    def _new_app(self, *, connections: int = 4) -> App:
        return App(
            connector=PsycopgConnector(
                conninfo=self._url.removeprefix("procrastinate+"),
                max_size=connections,
                min_size=1,
                timeout=self._time_limit,
            )
        )

    async def _prepare(self, app: App) -> None:
        await app.open_async()
        if not await app.check_connection_async():
            raise TransportFailure(self.broker_name, "its tables are missing: run create_tables()")

    async def _send(self, batch: Sequence[Envelope]) -> None:
        jobs = [self._job(envelope, group) for group in self._groups for envelope in batch]
        async with self._connection.held() as app:
            await app.job_manager.batch_defer_jobs_async(jobs)

    def _job(self, envelope: Envelope, group: str) -> Job:
        headers, body = headers_and_body(envelope)
        queue = self._queue(group)
        return Job(
            queue=queue,
            lock=f"{queue}/{headers['ce-partitionkey']}",
            queueing_lock=None,
            task_name=self._task,
            task_kwargs={"headers": dict(headers), "body": body.decode()},
        )

    def _queue(self, group: str) -> str:
        return f"{self._name}.{group}"

    @property
    def _task(self) -> str:
        return f"{self._name}.receive"

    async def _consume(
        self, intake: Intake, group: str, concurrency: int
    ) -> Callable[[], Coroutine[Any, Any, None]]:  # Any: nothing is sent into it
        if group not in self._groups:
            raise InvalidInput("group", "must be one of the groups that the transport was made for")
        app = self._new_app(connections=concurrency + 2)

        @app.task(name=self._task, retry=True)
        async def receive(headers: dict[str, str], body: str) -> None:
            if not await intake.take(headers, body.encode(), Binding.NATS):
                raise _ComesAgain

        try:
            await self._prepare(app)
        except BaseException:
            self._connection.leave(app)
            raise
        return self._working(app, self._queue(group), concurrency)

    def _working(
        self, app: App, queue: str, concurrency: int
    ) -> Callable[[], Coroutine[Any, Any, None]]:  # Any: as above
        # Workers of one job each: a worker of several looks for a lock's next job only when its
        # polling interval is over. One listens for new jobs, the others look once a second.
        workers = [self._worker(app, queue, listening=place == 0) for place in range(concurrency)]
        stopping = asyncio.Event()
        rescue = partial(self._rescue, app, queue)
        tasks = [
            asyncio.create_task(_repeated(rescue, self._sign_of_life, stopping)),
            *(asyncio.create_task(_repeated(worker.run, 1, stopping)) for worker in workers),
        ]

        async def stop() -> None:
            # Not by cancelling: a worker that has just begun would overhear it.
            stopping.set()
            for worker in workers:
                worker.stop()  # type: ignore[no-untyped-call]  # it says nothing of its None
            await asyncio.gather(*tasks)
            await app.close_async()

        return stop

    def _worker(self, app: App, queue: str, *, listening: bool) -> Worker:
        return Worker(
            app,
            queues=[queue],
            delete_jobs=DeleteJobCondition.SUCCESSFUL,
            fetch_job_polling_interval=1.0,
            install_signal_handlers=False,
            listen_notify=listening,
            shutdown_graceful_timeout=STOP_SECONDS,
            stalled_worker_timeout=self._redeliver_after,
            update_heartbeat_interval=self._sign_of_life,
        )

    async def _rescue(self, app: App, queue: str) -> None:
        """Put back the jobs of workers that died."""
        stalled = await app.job_manager.get_stalled_jobs(
            queue=queue, seconds_since_heartbeat=self._redeliver_after
        )
        for job in stalled:
            await app.job_manager.retry_job(job)

    @property
    def _sign_of_life(self) -> float:
        # One may be late without its worker being taken for dead.
        return self._redeliver_after / 3

    async def _disconnect(self) -> None:
        await self._connection.close()


async def _repeated(
    work: Callable[[], Awaitable[None]], pause_seconds: float, stopping: asyncio.Event
) -> None:
    while not stopping.is_set():
        try:
            await work()
        except Exception as error:  # noqa: BLE001  # a database that is away comes back
            _log.warning("procrastinate: trying again (%s)", type(error).__name__)
        with suppress(TimeoutError):
            await asyncio.wait_for(stopping.wait(), pause_seconds)
