"""What a cache would spare: the same answers from the database, from Redis and from memory.

An answer in memory that is handed out as it is may be one that another process has made untrue. One
that must never be has to ask the database whether it still holds; here that is the cheapest
question there is, one row by its key.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import redis
from attrs import frozen

from benchmarks.contestants.ours import Ours
from benchmarks.house import DAY, PAGE, TODAY
from benchmarks.report import Report
from benchmarks.rounds import QUESTIONS, Queue, Work, medians, stated
from hotelcore import Stay, wire
from hotelcore.domain.availability import RoomAvailability
from hotelcore.domain.guests import Guest
from hotelcore.domain.pms import ExternalPMSConfig
from hotelcore.lists import GuestFilter
from hotelcore.operations import connect_pms
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["caches"]

_REDIS = os.environ.get("HOTELCORE_TEST_REDIS", "redis://127.0.0.1:6379")
_KEY = "hotelcore-benchmark"
_MONTH = Stay(TODAY, TODAY + 30 * DAY)
_SOME = GuestFilter(vip=False)


@frozen
class _Question:
    """A question of a unit of work, and the type of its answer."""

    ask: Callable[[UnitOfWork], object]
    kind: Any  # an annotation, as `wire.decode` takes it


_QUESTIONS: Mapping[str, _Question] = {
    "what is left on 30 nights": _Question(
        lambda uow: uow.inventory.nights(_MONTH), tuple[RoomAvailability, ...]
    ),
    "50 guests": _Question(lambda uow: uow.guests.page(_SOME, limit=PAGE).items, tuple[Guest, ...]),
    "the PMS connection": _Question(lambda uow: uow.pms.current(), ExternalPMSConfig),
}


def caches(ours: Ours, rounds: int, queue: Queue, report: Report) -> None:
    """Time each question beside what would answer it from a cache."""
    ours.desk.run(connect_pms, vendor="bench", external_hotel_id="1")
    with redis.Redis.from_url(_REDIS) as server:
        rows = [
            _compared(name, question, ours, server, rounds, queue)
            for name, question in _QUESTIONS.items()
        ]
        server.delete(_KEY)
    head = ["", "database", "Redis", "memory, if it still holds", "memory, unasked"]
    report.table("caches", head, rows)


def _compared(
    name: str,
    question: _Question,
    ours: Ours,
    server: redis.Redis,
    rounds: int,
    queue: Queue,
) -> list[object]:
    answer = _asked(ours, question.ask)
    server.set(_KEY, json.dumps(wire.encode(answer)))
    kept = {name: answer}

    def from_redis() -> object:
        return wire.decode(json.loads(server.get(_KEY)), question.kind)  # type: ignore[arg-type]  # redis-py types its answers for both of its kinds of client

    def still_holding() -> object:
        _asked(ours, lambda uow: uow.folios.get(ours.house.folio_id))
        return kept[name]

    assert from_redis() == answer
    works: dict[str, Work] = {
        "database": partial(_asked, ours, question.ask),
        "redis": from_redis,
        "holding": still_holding,
        "unasked": partial(kept.get, name),
    }
    prepared = {key: stated(work) for key, work in works.items()}
    taken = medians(prepared, rounds, queue, QUESTIONS)
    basis = taken.pop("database")
    ratios = (f"{seconds / basis:.2f}" for seconds in taken.values())
    return [name, f"{basis * 1e3:,.2f} ms", *ratios]


def _asked(ours: Ours, ask: Callable[[UnitOfWork], object]) -> object:
    with ours.desk.reading() as uow:
        return ask(uow)
