"""The sections that set the four contestants side by side: reads and writes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TypeAlias

from attrs import frozen
from sqlalchemy import Engine

from benchmarks.agreement import same_answers, same_rows
from benchmarks.contestants import READS, Contestant
from benchmarks.contestants.django_orm import DjangoOrm
from benchmarks.contestants.orm import Orm
from benchmarks.contestants.ours import Ours
from benchmarks.contestants.raw import Raw
from benchmarks.orders import Order, Orders
from benchmarks.report import BASIS, Report, ratios_to
from benchmarks.rounds import QUESTIONS, Preparation, Queue, Work, medians, stated

__all__ = ["Sides", "far", "reads", "writes"]

Pairing: TypeAlias = Mapping[str, Preparation]
"""One work as each contestant does it."""
Timed: TypeAlias = tuple[str, Pairing, int, int]
"""A work's name, the work, in how many rounds it is timed, and how often in each."""

# How many commands a timing gives.
_COMMANDS = 3
# Each check-in takes a room, and there are some 300 free ones for four contestants.
_MOST_ARRIVALS = 20
# A night can be sold 10,000 times beyond its rooms, and four contestants sell it in each round.
_SYNCS, _MOST_SYNCED = 6, 60_000


@frozen
class Sides:
    """The contestants over one database, and where those wait who work for them."""

    raw: Raw
    ours: Ours
    orm: Orm
    django: DjangoOrm
    queue: Callable[[], Queue]

    @property
    def all(self) -> Sequence[Contestant]:
        """All four, the one that the others are compared with first."""
        return (self.raw, self.ours, self.orm, self.django)

    def doing(self, work: Callable[[Contestant], Work]) -> Pairing:
        """Let each of them prepare a work."""
        return {who.name: partial(work, who) for who in self.all}


def reads(sides: Sides, rounds: int, report: Report) -> None:
    """Time the six questions."""
    _compared("reads", _questions(sides, rounds), sides.queue(), report)


def _questions(sides: Sides, rounds: int) -> list[Timed]:
    found = same_answers(sides.all)
    return [
        (f"{question} ({found[question]:,})", _asking(sides, ask), rounds, QUESTIONS)
        for question, ask in READS.items()
    ]


def _asking(sides: Sides, ask: Callable[[Contestant], object]) -> Pairing:
    return {who.name: stated(partial(ask, who)) for who in sides.all}


def writes(sides: Sides, rounds: int, synced: int, report: Report) -> None:
    """Time the four kinds of writing; of the last a second run, which finds nothing to do."""
    orders = Orders(sides.ours.core, sides.ours.desk, sides.ours.house)
    booking = sides.doing(lambda who: who.create_booking(orders.order()))
    arriving = sides.doing(lambda who: who.check_in(orders.arrival()))
    cleaning = sides.doing(lambda who: who.set_condition(orders.cleaning()))
    for pairing in (booking, arriving, cleaning, _Taking(orders, 10).over(sides)):
        print("the same rows:", same_rows(sides.ours.core.engine, pairing), flush=True)
    taking, syncs = _Taking(orders, synced), min(_SYNCS, _MOST_SYNCED // synced)
    works = [
        ("booking with folio", booking, rounds, _COMMANDS),
        ("check-in", arriving, min(rounds, _MOST_ARRIVALS), _COMMANDS),
        ("status of all rooms", cleaning, max(_SYNCS, rounds // 5), 1),
        (f"sync of {synced:,}", taking.over(sides), syncs, 1),
        ("the same sync again", taking.again(sides), syncs, 1),
    ]
    _compared("writes", works, sides.queue(), report)
    _beside_separate_inserts("booking", sides, orders, rounds, report)


def far(sides: Sides, rounds: int, report: Report) -> None:
    """Time what a desk asks and does all day, where the database is on another machine."""
    orders = Orders(sides.ours.core, sides.ours.desk, sides.ours.house)
    booking = sides.doing(lambda who: who.create_booking(orders.order()))
    arriving = sides.doing(lambda who: who.check_in(orders.arrival()))
    works = [
        *_questions(sides, rounds),
        ("booking with folio", booking, rounds, _COMMANDS),
        ("check-in", arriving, min(rounds, _MOST_ARRIVALS), _COMMANDS),
    ]
    _compared("far", works, sides.queue(), report)
    _beside_separate_inserts("booking, far", sides, orders, rounds, report)


def _beside_separate_inserts(
    section: str, sides: Sides, orders: Orders, rounds: int, report: Report
) -> None:
    """Time a booking beside its rows inserted one by one, each committed or all together."""
    ways: dict[str, Callable[[Order], Work]] = {
        "its rows, each INSERT committed": sides.raw.create_booking_separately,
        "its rows, in one transaction": sides.raw.create_booking,
        "the booking by hotelcore": sides.ours.create_booking,
    }
    works = {way: partial(_ordered, make, orders) for way, make in ways.items()}
    taken = medians(works, rounds, sides.queue(), _COMMANDS)
    basis, *_ = taken.values()
    rows = [[way, f"{taken[way] * 1e3:,.2f} ms", f"{taken[way] / basis:.2f}"] for way in ways]
    report.table(section, ["", "", "times"], rows)


def _ordered(make: Callable[[Order], Work], orders: Orders) -> Work:
    return make(orders.order())


class _Taking:
    """Takes a number of bookings over, and the same ones again."""

    def __init__(self, orders: Orders, number: int) -> None:
        self._orders, self._number = orders, number
        self._last: dict[str, Work] = {}

    def over(self, sides: Sides) -> Pairing:
        """Let each contestant take over what is new."""
        return sides.doing(self._new)

    def again(self, sides: Sides) -> Pairing:
        """Let each contestant take over what it took over last."""

        def last(who: Contestant) -> Work:
            _analyse(sides.ours.core.engine)
            return _returning(self._last[who.name], 0)

        return sides.doing(last)

    def _new(self, who: Contestant) -> Work:
        self._last[who.name] = who.take_over(self._orders.takeover(self._number))
        return _returning(self._last[who.name], self._number)


def _analyse(engine: Engine) -> None:
    """Let the database look at its tables, as PostgreSQL would by itself within a minute."""
    with engine.begin() as connection:
        connection.exec_driver_sql("ANALYZE")


def _returning(work: Work, expected: object) -> Work:
    def checked() -> None:
        assert work() == expected

    return checked


def _compared(section: str, works: Iterable[Timed], queue: Queue, report: Report) -> None:
    taken = {}
    for work, pairing, rounds, times in works:
        taken[work] = medians(pairing, rounds, queue, times)
        print(work, {name: round(s * 1e3, 3) for name, s in taken[work].items()}, flush=True)
    report.ratios(
        section,
        {work: ratios_to(BASIS, seconds) for work, seconds in taken.items()},
        {work: seconds[BASIS] for work, seconds in taken.items()},
    )
