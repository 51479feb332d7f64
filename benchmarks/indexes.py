"""What the indexes earn, and whether other hotels slow one down: the library against itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from sqlalchemy import URL

from benchmarks.contestants import READS
from benchmarks.contestants.ours import Ours
from benchmarks.data import Size, built, without_indexes
from benchmarks.house import House
from benchmarks.places import Place
from benchmarks.report import Report
from benchmarks.rounds import QUESTIONS, Queue, medians, stated

__all__ = ["growth", "indexes"]

# Has a session read whole tables, as if they had no index, keys included:
# https://www.postgresql.org/docs/current/runtime-config-query.html
_READING_TABLES = " ".join(
    f"-c enable_{way}=off" for way in ("indexscan", "indexonlyscan", "bitmapscan")
)


def indexes(place: Place, url: URL, house: House, rounds: int, report: Report) -> None:
    """Ask the six questions with the indexes, with the tables' own keys alone, and without any."""
    urls = {"with": url, "keys alone": without_indexes(place, url)}
    if place.name == "postgresql":  # SQLite cannot be kept from using a key
        urls["none"] = url.update_query_dict({"options": _READING_TABLES})
    ways = list(urls)
    cores = {way: Ours(url, house) for way, url in urls.items()}
    rows = [
        [
            question,
            *(_ms(taken[way]) for way in ways),
            *(_gain(taken[way], taken["with"]) for way in ways[1:]),
        ]
        for question, taken in _taken(place, cores, rounds).items()
    ]
    gains = [f"faster than {way}" for way in ways[1:]]
    report.table("indexes", ["", *ways, *gains], rows)


def growth(place: Place, sizes: Sequence[Size], rounds: int, report: Report) -> None:
    """Ask the first hotel the six questions beside more and more other hotels."""
    names = [f"{size.hotels:,} hotels, {size.bookings:,} bookings" for size in sizes]
    houses = {name: built(place, size) for name, size in zip(names, sizes, strict=True)}
    cores = {name: Ours(url, house) for name, (url, house) in houses.items()}
    rows = [
        [question, _ms(taken[names[0]]), *(f"{taken[n] / taken[names[0]]:.2f}" for n in names[1:])]
        for question, taken in _taken(place, cores, rounds).items()
    ]
    report.table("growth", ["", *names], rows)


def _taken(
    place: Place, cores: Mapping[str, Ours], rounds: int
) -> Mapping[str, Mapping[str, float]]:
    """Return the seconds of each question, by core."""
    for core in cores.values():
        core.folio_balance()  # to be connected, so that the queue has its process
    queue = Queue({p for core in cores.values() for p in place.queue(core.url).processes})
    taken = {
        question: medians(
            {name: stated(partial(ask, core)) for name, core in cores.items()},
            rounds,
            queue,
            QUESTIONS,
        )
        for question, ask in READS.items()
    }
    for core in cores.values():
        core.close()
    return taken


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.2f} ms"


def _gain(before: float, after: float) -> str:
    return f"{1 - after / before:.0%}"
