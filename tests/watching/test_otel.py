"""What a core tells arrives in OpenTelemetry, under the names of its conventions."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import frozen
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from sqlalchemy import URL, make_url

from hotelcore import HotelCore, Role
from hotelcore.clock import FixedClock
from hotelcore.errors import AlreadyExists, DatabaseBusy, PermissionDenied
from hotelcore.lists import GuestFilter
from hotelcore.operations import add_rooms, register_guest
from hotelcore.unit_of_work import UnitOfWork
from hotelcore.watching.otel import instrument
from tests.small_hotel import SmallHotel, open_hotel

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
CANARY = "Zaunkönig-7"


@frozen
class Observed:
    """A hotel under OpenTelemetry, and what has arrived there since it was opened."""

    hotel: SmallHotel
    tracing: TracerProvider
    _spans: InMemorySpanExporter
    _metrics: InMemoryMetricReader

    def spans(self) -> dict[str, ReadableSpan]:
        """Return the last span of each name."""
        return {span.name: span for span in self._spans.get_finished_spans()}

    def points(self, name: str) -> list[Any]:  # Any: the SDK has a class for each instrument
        """Return the points of a metric."""
        data = self._metrics.get_metrics_data()
        assert data is not None
        [scope] = data.resource_metrics[0].scope_metrics
        return [
            p for metric in scope.metrics if metric.name == name for p in metric.data.data_points
        ]

    def all(self) -> str:
        """Return all that has arrived, as a text."""
        data = self._metrics.get_metrics_data()
        assert data is not None
        return "".join(span.to_json() for span in self._spans.get_finished_spans()) + data.to_json()


@pytest.fixture
def observed(schema_url: str) -> Generator[Observed]:
    """Return a hotel under OpenTelemetry, on SQLite and PostgreSQL in turn."""
    spans, metrics, tracing = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    tracing.add_span_processor(SimpleSpanProcessor(spans))
    metering = MeterProvider([metrics])
    with closing(HotelCore(schema_url, clock=FixedClock(NOON))) as core:
        core.create_schema()
        hotel = open_hotel(core)
        instrument(core.watch, tracer_provider=tracing, meter_provider=metering)
        yield Observed(hotel, tracing, spans, metrics)
    metering.shutdown()
    tracing.shutdown()


def host_of(url: URL) -> object:
    """Return the address of the tests' server, or the directory of its socket."""
    return url.host or url.query["host"]


def place(hotel: SmallHotel) -> dict[str, object]:
    """Return the attributes by which the conventions name the database of a hotel."""
    url = make_url(hotel.core.engine.url)
    if url.get_backend_name() == "sqlite":
        return {"db.system.name": "sqlite"}
    return {
        "db.system.name": "postgresql",
        "db.namespace": url.database,
        "server.address": host_of(url),
    }


def test_a_statement_is_a_span(observed: Observed) -> None:
    """A span tells what was run where, for which hotel, when and for how long."""
    hotel = observed.hotel
    with hotel.desk.reading() as uow:
        uow.guests.page(GuestFilter())
    span = observed.spans()["SELECT hc_guest"]
    assert span.kind is SpanKind.CLIENT
    assert span.status.status_code is StatusCode.UNSET
    attributes = dict(span.attributes or {})
    attributes.pop("server.port", None)
    assert attributes == {
        **place(hotel),
        "db.operation.name": "SELECT",
        "db.collection.name": "hc_guest",
        "db.query.summary": "SELECT hc_guest",
        "db.response.returned_rows": 1,
        "hotelcore.hotel.id": str(hotel.hotel_id),
    }
    began = int(NOON.timestamp()) * 10**9
    assert span.start_time == began
    assert span.end_time is not None
    [seconds] = observed.points("db.client.operation.duration")
    assert span.end_time - began == pytest.approx(seconds.sum * 1e9, abs=1)


def test_a_span_stands_under_the_hosts(observed: Observed) -> None:
    """Statements and units belong to what the host is doing."""
    with observed.tracing.get_tracer("host").start_as_current_span("check in") as host:
        observed.hotel.desk.run(register_guest, last_name="Second")
    spans = observed.spans()
    for name in ("INSERT hc_guest", "register_guest"):
        parent = spans[name].parent
        assert parent is not None
        assert parent.span_id == host.get_span_context().span_id


def test_metrics_have_few_series(observed: Observed) -> None:
    """Statements are measured by what the conventions name, without a hotel or a value."""
    hotel = observed.hotel
    for name in (CANARY, "Second"):
        hotel.desk.run(register_guest, last_name=name)
    with hotel.desk.reading() as uow:
        uow.guests.page(GuestFilter())
    points = observed.points("db.client.operation.duration")
    [insert] = [p for p in points if p.attributes["db.query.summary"] == "INSERT hc_guest"]
    assert (insert.count, insert.explicit_bounds[0]) == (2, 0.001)
    assert "hotelcore.hotel.id" not in insert.attributes
    rows = observed.points("db.client.response.returned_rows")
    assert [p.sum for p in rows if p.attributes["db.query.summary"] == "SELECT hc_guest"] == [3]
    assert CANARY not in observed.all()


def test_a_batch_is_one_operation(observed: Observed) -> None:
    """A statement with many sets of parameters is told as the conventions have it."""
    hotel = observed.hotel
    hotel.desk.run(add_rooms, room_type_id=hotel.room_type_id, numbers=["7", "8", "9"])
    attributes = observed.spans()["BATCH INSERT hc_room"].attributes or {}
    assert attributes["db.operation.name"] == "BATCH INSERT"
    assert attributes["db.operation.batch.size"] == 3


def test_an_error_is_told_by_its_class(observed: Observed) -> None:
    """A statement that failed is an error; a unit that was refused has only its class."""
    hotel = observed.hotel
    with pytest.raises(AlreadyExists):
        hotel.desk.run(add_rooms, room_type_id=hotel.room_type_id, numbers=[hotel.rooms[0].number])
    with pytest.raises(PermissionDenied):
        hotel.acting(Role.STAFF).run(register_guest, last_name=CANARY)
    spans = observed.spans()
    assert spans["INSERT hc_room"].status.status_code is StatusCode.ERROR
    assert (spans["INSERT hc_room"].attributes or {})["error.type"] == "UniqueViolation"
    assert spans["register_guest"].status.status_code is StatusCode.UNSET
    assert (spans["register_guest"].attributes or {})["error.type"] == "PermissionDenied"
    assert CANARY not in observed.all()


def test_a_unit_is_told_with_its_attempts(observed: Observed) -> None:
    """A unit is a span and a measurement, and each attempt after the first a retry."""
    attempts: list[int] = []

    def stubborn(uow: UnitOfWork) -> None:
        attempts.append(1)
        if len(attempts) < 3:
            raise DatabaseBusy

    observed.hotel.desk.run(stubborn)
    [unit] = observed.points("hotelcore.unit.duration")
    assert unit.attributes["hotelcore.unit.ending"] == "committed"
    assert [point.value for point in observed.points("hotelcore.unit.retries")] == [2]
    span = observed.spans()[unit.attributes["hotelcore.unit.name"]]
    assert span.kind is SpanKind.INTERNAL
    assert (span.attributes or {})["hotelcore.unit.attempts"] == 3


def test_a_unit_that_failed_is_an_error(observed: Observed) -> None:
    """What no caller asked for is an error of the service."""

    def broken(uow: UnitOfWork) -> None:
        raise ZeroDivisionError(CANARY)

    with pytest.raises(ZeroDivisionError):
        observed.hotel.desk.run(broken)
    [span] = observed.spans().values()
    assert span.status.status_code is StatusCode.ERROR
    assert not span.events


def test_the_pool_is_observed(observed: Observed) -> None:
    """The pool is read when metrics are collected."""
    engine = observed.hotel.core.engine
    with engine.connect(), engine.connect():
        used = observed.points("db.client.connection.count")
    assert {p.attributes["db.client.connection.state"]: p.value for p in used} == {
        "used": 2,
        "idle": 0,
    }
    [most] = observed.points("db.client.connection.max")
    [waiting] = observed.points("db.client.connection.pending_requests")
    assert (most.value, waiting.value) == (15, 0)
    expected = "sqlite"
    if engine.dialect.name == "postgresql":
        expected = f"{host_of(engine.url)}:{engine.url.port or 5432}/{engine.url.database}"
    assert most.attributes["db.client.connection.pool.name"] == expected


def test_a_span_lasts_as_long_as_it_took(observed: Observed) -> None:
    """The length of a span is by the clock of the core."""
    clock = observed.hotel.core._clock
    assert isinstance(clock, FixedClock)

    def slow(uow: UnitOfWork) -> None:
        clock.advance(timedelta(seconds=3))

    observed.hotel.desk.run(slow)
    [span] = observed.spans().values()
    assert span.start_time is not None
    assert span.end_time is not None
    assert 3e9 <= span.end_time - span.start_time < 4e9
