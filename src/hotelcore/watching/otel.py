"""Spans and metrics for OpenTelemetry, from what a core tells; comes with the ``otel`` extra.

Names and attributes are those of its conventions for database clients:
https://opentelemetry.io/docs/specs/semconv/db/database-spans/ and
https://opentelemetry.io/docs/specs/semconv/db/database-metrics/. They know no unit of work, so what
tells of one is named ``hotelcore.unit``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from hotelcore.errors import MissingExtra
from hotelcore.watching import Database, Ending, PoolUse, StatementRan, UnitEnded, Watch

try:
    from opentelemetry.context import Context
    from opentelemetry.metrics import (
        CallbackOptions,
        Meter,
        MeterProvider,
        Observation,
        get_meter,
    )
    from opentelemetry.trace import (
        SpanKind,
        Status,
        StatusCode,
        Tracer,
        TracerProvider,
        get_tracer,
        set_span_in_context,
    )
except ImportError:
    raise MissingExtra("OpenTelemetry", "otel") from None

__all__ = ["instrument"]

_SCOPE = "hotelcore"
_POSTGRESQL_PORT = 5432
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Both as the conventions for metrics have them.
_SECONDS = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
_ROWS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000]

Attributes: TypeAlias = Mapping[str, str | int]
_Read: TypeAlias = Iterable[tuple[int | None, Attributes]]


def instrument(
    watch: Watch,
    *,
    tracer_provider: TracerProvider | None = None,
    meter_provider: MeterProvider | None = None,
) -> None:
    """Send what ``watch`` tells to OpenTelemetry, from now on; call it once a core.

    Without a provider it is the one that the process has set. A statement becomes a span under
    whichever is current where it runs, and so does a unit of work, beside its statements, with its
    attempts. ``error.type`` is the class of the library's error. A hotel's id stands in spans
    alone, for metrics keep a series of each value.
    """
    meter = get_meter(_SCOPE, meter_provider=meter_provider)
    tracer = get_tracer(_SCOPE, tracer_provider=tracer_provider)
    reporter = _Reporter(tracer, meter, _place(watch.database))
    watch.statement_ran.connect(reporter.statement_ran)
    watch.unit_ended.connect(reporter.unit_ended)
    _observe_pool(watch, meter)


class _Reporter:
    """Makes spans and measurements of what it is told, ``where`` the database is."""

    def __init__(self, tracer: Tracer, meter: Meter, where: Attributes) -> None:
        self._tracer = tracer
        self._where = where
        self._statements = meter.create_histogram(
            "db.client.operation.duration",
            unit="s",
            description="Duration of database client operations.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._rows = meter.create_histogram(
            "db.client.response.returned_rows",
            unit="{row}",
            description="The actual number of records returned by the database operation.",
            explicit_bucket_boundaries_advisory=_ROWS,
        )
        self._units = meter.create_histogram(
            "hotelcore.unit.duration",
            unit="s",
            description="Duration of units of work, with all attempts.",
            explicit_bucket_boundaries_advisory=_SECONDS,
        )
        self._retries = meter.create_counter(
            "hotelcore.unit.retries",
            unit="{attempt}",
            description="How often a unit of work was run again.",
        )

    def statement_ran(self, _: Watch, statement: StatementRan) -> None:
        """Report a statement."""
        attributes = {**self._where, **_described(statement)}
        context = self._span(_summary(statement), SpanKind.CLIENT, attributes, statement)
        self._statements.record(statement.seconds, attributes, context)
        if statement.verb == "SELECT" and statement.error is None:
            self._rows.record(statement.rows, attributes, context)

    def unit_ended(self, _: Watch, unit: UnitEnded) -> None:
        """Report a unit of work."""
        attributes = {"hotelcore.unit.name": unit.name, "hotelcore.unit.ending": str(unit.ending)}
        if unit.error is not None:
            attributes["error.type"] = unit.error
        context = self._span(unit.name, SpanKind.INTERNAL, attributes, unit)
        self._units.record(unit.seconds, attributes, context)
        if unit.attempts > 1:
            self._retries.add(unit.attempts - 1, {"hotelcore.unit.name": unit.name}, context)

    def _span(
        self, name: str, kind: SpanKind, attributes: Attributes, told: StatementRan | UnitEnded
    ) -> Context:
        """Make the span of something that is over already, and return a context with it."""
        began = (told.at - _EPOCH) // timedelta(microseconds=1) * 1000
        every = {**attributes, **_of_span(told)}
        span = self._tracer.start_span(name, kind=kind, attributes=every, start_time=began)
        if told.error is not None and not _refused(told):
            span.set_status(Status(StatusCode.ERROR))
        span.end(began + round(told.seconds * 1e9))
        return set_span_in_context(span)


def _described(statement: StatementRan) -> Attributes:
    """Describe a statement in what has few values."""
    attributes = {
        "db.operation.name": _batch(statement) + statement.verb,
        "db.query.summary": _summary(statement),
    }
    if len(statement.tables) == 1:
        attributes["db.collection.name"] = statement.tables[0]
    if statement.error is not None:
        attributes["error.type"] = statement.error
    return attributes


def _of_span(told: StatementRan | UnitEnded) -> Attributes:
    """Return what has too many values for a metric."""
    attributes: dict[str, str | int] = {}
    if told.hotel_id is not None:
        attributes["hotelcore.hotel.id"] = str(told.hotel_id)
    match told:
        case UnitEnded():
            attributes["hotelcore.unit.attempts"] = told.attempts
        case StatementRan(calls=calls) if calls > 1:
            attributes["db.operation.batch.size"] = calls
        case StatementRan(verb="SELECT"):
            attributes["db.response.returned_rows"] = told.rows
        case _:
            pass
    return attributes


def _summary(statement: StatementRan) -> str:
    return _batch(statement) + statement.name


def _batch(statement: StatementRan) -> str:
    return "BATCH " if statement.calls > 1 else ""


def _refused(told: StatementRan | UnitEnded) -> bool:
    """Tell whether this was a refusal, which is an answer and no fault of the service."""
    return isinstance(told, UnitEnded) and told.ending is Ending.REFUSED


def _place(database: Database) -> Attributes:
    attributes: dict[str, str | int] = {"db.system.name": database.system}
    if database.name is not None:
        attributes["db.namespace"] = database.name
    if database.host is not None:
        attributes["server.address"] = database.host
        if database.port is not None and database.port != _POSTGRESQL_PORT:
            attributes["server.port"] = database.port
    return attributes


# -- the pool -----------------------------------------------------------------------------------


def _observe_pool(watch: Watch, meter: Meter) -> None:
    """Have the use of the pool read whenever metrics are collected."""
    pool = {"db.client.connection.pool.name": _pool_name(watch.database)}

    def observe(name: str, unit: str, what: str, read: Callable[[PoolUse], _Read]) -> None:
        def observed(_: CallbackOptions) -> Iterable[Observation]:
            use = watch.pool_use()
            return [
                Observation(number, {**pool, **attributes})
                for number, attributes in (read(use) if use is not None else ())
                if number is not None
            ]

        meter.create_observable_up_down_counter(name, [observed], unit=unit, description=what)

    observe(
        "db.client.connection.count",
        "{connection}",
        "The number of connections that are currently in the state that an attribute says.",
        lambda use: [
            (use.in_use, {"db.client.connection.state": "used"}),
            (use.idle, {"db.client.connection.state": "idle"}),
        ],
    )
    observe(
        "db.client.connection.max",
        "{connection}",
        "The maximum number of open connections allowed.",
        lambda use: [(use.most, {})],
    )
    observe(
        "db.client.connection.pending_requests",
        "{request}",
        "The number of units of work that currently wait for a connection.",
        lambda use: [(use.waiting, {})],
    )


def _pool_name(database: Database) -> str:
    """Name a pool as the conventions advise where nobody has named it; a file is just SQLite."""
    if database.host is None:
        return database.name or database.system
    return f"{database.host}:{database.port or _POSTGRESQL_PORT}/{database.name}"
