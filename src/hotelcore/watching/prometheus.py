"""Metrics for Prometheus, from what a core tells; comes with the ``prometheus`` extra.

========================================  ==========  ==========================
name                                      kind        labels
========================================  ==========  ==========================
``hotelcore_statement_seconds``           histogram   ``statement``, ``error``
``hotelcore_statement_rows_total``        counter     ``statement``
``hotelcore_unit_seconds``                histogram   ``unit``
``hotelcore_units_total``                 counter     ``unit``, ``ending``, ``error``
``hotelcore_unit_retries_total``          counter     ``unit``
``hotelcore_pool_connections``            gauge       ``state``: ``used`` or ``idle``
``hotelcore_pool_connections_most``       gauge
``hotelcore_pool_waiting``                gauge
========================================  ==========  ==========================

``error`` is the class of the library's error, and empty where there was none.
"""

from __future__ import annotations

from collections.abc import Iterable

from hotelcore.errors import MissingExtra
from hotelcore.watching import StatementRan, UnitEnded, Watch

try:
    from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram, Metric
    from prometheus_client.core import GaugeMetricFamily
    from prometheus_client.registry import Collector
except ImportError:
    raise MissingExtra("Prometheus", "prometheus") from None

__all__ = ["instrument"]

# From a row by its key to the time limit of a unit, which is 10 s by default.
_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)


def instrument(watch: Watch, *, registry: CollectorRegistry = REGISTRY) -> None:
    """Keep metrics of what ``watch`` tells in a registry, from now on.

    A registry takes those of one core; prometheus_client raises `ValueError` for a second one.
    """
    metrics = _Metrics(registry)
    registry.register(_Pool(watch))
    watch.statement_ran.connect(metrics.statement_ran)
    watch.unit_ended.connect(metrics.unit_ended)


class _Metrics:
    """Counts and measures what it is told."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._statements = Histogram(
            "hotelcore_statement_seconds",
            "Seconds of a statement, with the reading of its rows.",
            ["statement", "error"],
            registry=registry,
            buckets=_SECONDS,
        )
        self._rows = Counter(
            "hotelcore_statement_rows",
            "Rows that a statement gave or changed.",
            ["statement"],
            registry=registry,
        )
        self._seconds = Histogram(
            "hotelcore_unit_seconds",
            "Seconds of a unit of work, with all its attempts.",
            ["unit"],
            registry=registry,
            buckets=_SECONDS,
        )
        self._units = Counter(
            "hotelcore_units",
            "Units of work that came to an end.",
            ["unit", "ending", "error"],
            registry=registry,
        )
        self._retries = Counter(
            "hotelcore_unit_retries",
            "How often a unit of work was run again.",
            ["unit"],
            registry=registry,
        )

    def statement_ran(self, _: Watch, statement: StatementRan) -> None:
        """Count a statement."""
        self._statements.labels(statement.name, statement.error or "").observe(statement.seconds)
        self._rows.labels(statement.name).inc(statement.rows)

    def unit_ended(self, _: Watch, unit: UnitEnded) -> None:
        """Count a unit of work."""
        self._seconds.labels(unit.name).observe(unit.seconds)
        self._units.labels(unit.name, unit.ending, unit.error or "").inc()
        self._retries.labels(unit.name).inc(unit.attempts - 1)


class _Pool(Collector):
    """Reads the use of the pool whenever the registry is collected."""

    def __init__(self, watch: Watch) -> None:
        self._watch = watch

    def collect(self) -> Iterable[Metric]:
        """Return the gauges of the pool, as far as it counts."""
        use = self._watch.pool_use()
        if use is None:
            return
        connections = GaugeMetricFamily(
            "hotelcore_pool_connections", "Open connections, by what they do.", labels=["state"]
        )
        connections.add_metric(["used"], use.in_use)
        connections.add_metric(["idle"], use.idle)
        yield connections
        if use.most is not None:
            what = "How many connections may be open."
            yield GaugeMetricFamily("hotelcore_pool_connections_most", what, use.most)
        if use.waiting is not None:
            what = "How many units of work wait for a connection."
            yield GaugeMetricFamily("hotelcore_pool_waiting", what, use.waiting)
