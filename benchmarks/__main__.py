"""Runs the benchmarks on one kind of database: ``python -m benchmarks sqlite`` or ``postgresql``.

``nox -s bench`` does it for both. What is measured, and how to read it, stands in
``docs/explanation/speed.md``, into which the figures are written.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

import attrs
from sqlalchemy import URL

from benchmarks.asynchronous import asynchronous
from benchmarks.caches import caches
from benchmarks.contestants.django_orm import DjangoOrm
from benchmarks.contestants.orm import Orm
from benchmarks.contestants.ours import Ours
from benchmarks.contestants.raw import Raw
from benchmarks.data import Size, built
from benchmarks.each_index import each_index
from benchmarks.house import House
from benchmarks.indexes import growth, indexes
from benchmarks.long_line import long_line
from benchmarks.memory import memory
from benchmarks.places import Place, place_for
from benchmarks.replay import replay
from benchmarks.report import Report
from benchmarks.side_by_side import Sides, far, reads, writes


class Run:
    """One run of the program, with a database that is built when a section wants it."""

    def __init__(self, place: Place, chosen: Namespace) -> None:
        self.place, self.chosen = place, chosen
        self.report = Report(place.name)

    @cached_property
    def database(self) -> tuple[URL, House]:
        """The database of most sections."""
        chosen = self.chosen
        return built(self.place, Size(chosen.hotels, chosen.bookings, chosen.first))

    @cached_property
    def sides(self) -> Sides:
        """The contestants over it."""
        return self._sides_over(*self.database)

    def _sides_over(self, url: URL, house: House) -> Sides:
        four = (Raw(url, house), Ours(url, house), Orm(url, house), DjangoOrm(url, house))
        return Sides(*four, queue=lambda: self.place.queue(url))

    def indexes(self) -> None:
        """Compare with a copy, which no connection may be open for."""
        indexes(self.place, *self.database, self.chosen.rounds, self.report)

    def each_index(self) -> None:
        """Take each index away in turn, on PostgreSQL."""
        if self.place.name == "postgresql":
            each_index(*self.database, attrs.evolve(self.report, page="indexes.md"))

    def far(self) -> None:
        """Compare the contestants over a long line, on a copy of the database."""
        if self.place.name == "postgresql":
            url, house = self.database
            with long_line(self.place.copy_of(url), self.chosen.round_trip / 1e3) as line:
                far(self._sides_over(line, house), self.chosen.rounds, self.report)

    def growth(self) -> None:
        """Compare databases of several sizes."""
        growth(self.place, self.chosen.sizes, self.chosen.rounds, self.report)

    def reads(self) -> None:
        """Compare the contestants."""
        reads(self.sides, self.chosen.rounds, self.report)

    def writes(self) -> None:
        """Compare the contestants."""
        writes(self.sides, self.chosen.rounds, self.chosen.sync, self.report)

    def asynchronous(self) -> None:
        """Compare with psycopg's own asyncio connection."""
        if self.place.name == "postgresql":
            asynchronous(self.place, *self.database, self.chosen.rounds, self.report)

    def caches(self) -> None:
        """Compare with what is kept nearer: SQLite is as near as can be."""
        if self.place.name == "postgresql":
            url, house = self.database
            ours = Ours(url, house)
            caches(ours, self.chosen.rounds, self.place.queue(url), self.report)
            ours.close()

    def memory(self) -> None:
        """Look at what is kept."""
        url, house = self.database
        ours, raw = Ours(url, house), Raw(url, house)
        memory(ours, raw, self.chosen.in_parts, self.report)
        ours.close()
        raw.close()

    def replay(self) -> None:
        """Live through a real hotel's bookings."""
        replay(self.place, self.chosen.replayed, self.report)


# In this order: a copy needs a database that nobody is in, to read is to leave no traces, and what
# 500 guests wrote is not what one contestant has to write again.
SECTIONS: Mapping[str, Callable[[Run], None]] = {
    "indexes": Run.indexes,
    "each-index": Run.each_index,
    "far": Run.far,
    "reads": Run.reads,
    "caches": Run.caches,
    "writes": Run.writes,
    "memory": Run.memory,
    "asyncio": Run.asynchronous,
    "replay": Run.replay,
    "growth": Run.growth,
}
_ON_DEMAND = ("caches", "growth")  # one wants Redis, the other an hour
_BY_DEFAULT = [name for name in SECTIONS if name not in _ON_DEMAND]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the chosen sections."""
    chosen = _parser().parse_args(arguments)
    wanted = chosen.sections or _BY_DEFAULT
    with place_for(chosen.database) as place:
        run = Run(place, chosen)
        for name, section in SECTIONS.items():
            if name in wanted:
                section(run)
        if "sides" in vars(run):
            for who in run.sides.all:
                who.close()


def _parser() -> ArgumentParser:
    parser = ArgumentParser("python -m benchmarks", description="hotelcore beside others")
    parser.add_argument("database", help="sqlite, postgresql, or the URL of a PostgreSQL server")
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--hotels", type=int, default=1, metavar="N")
    parser.add_argument("--bookings", type=int, default=50_000, help="of all hotels", metavar="N")
    parser.add_argument("--first", type=int, default=50_000, help="of the first", metavar="N")
    parser.add_argument("--rounds", type=int, default=60, metavar="N")
    parser.add_argument(
        "--round-trip", type=float, default=1.0, help="of the section far", metavar="MS"
    )
    parser.add_argument("--sync", type=int, default=10_000, help="bookings synced", metavar="N")
    parser.add_argument(
        "--in-parts",
        type=int,
        nargs="+",
        default=[1_000, 4_000],
        metavar="N",
        help="bookings synced in parts, of the section memory",
    )
    parser.add_argument("--replayed", type=int, default=2_000, help="bookings", metavar="N")
    parser.add_argument(
        "--sizes",
        type=_size,
        nargs="+",
        default=[Size(1, 50_000), Size(20, 500_000)],
        metavar="HOTELS:BOOKINGS",
        help="of the section growth",
    )
    return parser


def _size(text: str) -> Size:
    hotels, bookings = text.split(":")
    return Size(int(hotels), int(bookings), min(int(bookings), 50_000))


if __name__ == "__main__":
    main()
