"""``hotelcore replay``: a real hotel's bookings, lived through in the order of the calendar.

The data set is described in `hotelcore.cli.replay.rows`. Every hotel in the file becomes a hotel
of its own. All figures are read back from the database when everything has been lived.
"""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from attrs import Factory, asdict, define, frozen

from hotelcore.cli.database import database_at
from hotelcore.cli.output import Output
from hotelcore.cli.replay.life import Life, live
from hotelcore.cli.replay.rows import CURRENCY, Outcome, Row, agendas, read_rows
from hotelcore.clock import FixedClock
from hotelcore.core import HotelCore
from hotelcore.domain.bookings import BookingStatus
from hotelcore.domain.business_day import BusinessDay
from hotelcore.domain.money import Money, sum_money
from hotelcore.errors import InvalidInput
from hotelcore.lists import BookingFilter, every
from hotelcore.sql.seam.limits import Limits
from hotelcore.sql.upkeep.proofs import Check, Proofs

__all__ = ["add_arguments", "run"]

_STATUS_OF = {
    Outcome.CHECKED_OUT: BookingStatus.CHECKED_OUT,
    Outcome.CANCELED: BookingStatus.CANCELLED,
    Outcome.NO_SHOW: BookingStatus.NO_SHOW,
}
# A whole day of the front desk is one transaction here, on whatever machine.
_A_DAY = Limits(time_limit=timedelta(hours=1))


def add_arguments(parser: ArgumentParser) -> None:
    """Declare what the command takes."""
    parser.add_argument(
        "csv", metavar="CSV", type=Path, help="hotel booking demand data set, plain or gzip"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--limit-rows", metavar="N", type=_positive, help="take the first N rows")
    parser.add_argument(
        "--database",
        metavar="URL",
        help="SQLite or PostgreSQL; by default a SQLite file that is deleted afterwards",
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise ArgumentTypeError("must be a whole number above zero")
    return int(text)


def run(arguments: Namespace) -> int:
    """Replay the file and print what came of it; 0 if every check holds."""
    output = Output(as_json=arguments.json)
    hotels = _by_hotel(read_rows(arguments.csv, arguments.limit_rows))
    with database_at(arguments.database) as url, closing(HotelCore(url)) as core:
        core.create_schema()
        reports = [_replay(core, name, rows, output) for name, rows in hotels.items()]
    for report in reports:
        report.print(output)
    output.document({"hotels": [report.as_json() for report in reports]})
    return 0 if all(report.proofs.ok for report in reports) else 1


def _by_hotel(rows: Iterator[Row]) -> dict[str, list[Row]]:
    hotels: dict[str, list[Row]] = {}
    for row in rows:
        hotels.setdefault(row.hotel, []).append(row)
    if not hotels:
        raise InvalidInput("CSV", "holds no booking")
    return hotels


def _replay(core: HotelCore, name: str, rows: list[Row], output: Output) -> _Report:
    clock = FixedClock(datetime(1970, 1, 1, tzinfo=UTC))
    days = agendas(rows)
    with output.progress(name, len(days)) as step:
        life = live(HotelCore(core.engine, clock=clock, limits=_A_DAY), clock, name, days, step)
    figures = _figures(life)
    proofs = core.prove(life.hotel_id, commands=life.commands)
    checks = (_nothing_dropped(rows, figures), _days_agree(figures), *proofs.checks)
    return _Report(name=name, figures=figures, proofs=Proofs(checks), life=life)


# -- reading back -----------------------------------------------------------------------------


@define
class _Figures:
    """What the database says of a hotel: its closed business days, and its bookings one by one.

    ``nights`` and ``total`` are those of the bookings that were checked out.
    """

    days: tuple[BusinessDay, ...]
    statuses: Counter[BookingStatus] = Factory(Counter)
    months: Counter[str] = Factory(Counter)
    nights: Counter[date] = Factory(Counter)
    total: Money = Money.zero(CURRENCY)

    @property
    def room_nights(self) -> int:
        """All nights that night audits posted."""
        return sum(day.rooms_sold for day in self.days)

    @property
    def revenue(self) -> Money:
        """All room charges that night audits posted."""
        return sum_money((day.room_revenue for day in self.days), CURRENCY)

    @property
    def peak_rooms(self) -> int:
        """The most rooms sold on one night."""
        return max(day.rooms_sold for day in self.days)


def _figures(life: Life) -> _Figures:
    with life.desk.reading() as uow:
        figures = _Figures(uow.business_days.between(*life.days))
        bookings = every(lambda after: uow.bookings.page(BookingFilter(), after=after, limit=1_000))
        for booking in bookings:
            figures.statuses[booking.status] += 1
            figures.months[f"{booking.stay.arrival:%Y-%m}"] += 1
            if booking.status is BookingStatus.CHECKED_OUT:
                figures.nights.update(booking.stay)
                figures.total += booking.total
    return figures


# -- what only a replay can check -------------------------------------------------------------


def _nothing_dropped(rows: list[Row], figures: _Figures) -> Check:
    expected = Counter(_STATUS_OF[row.outcome] for row in rows)
    return Check(
        name="every row is a booking that ended as it says",
        ok=figures.statuses == expected,
        detail=f"{figures.statuses.total():,} bookings, {len(rows):,} rows",
    )


def _days_agree(figures: _Figures) -> Check:
    sold = Counter({day.date: day.rooms_sold for day in figures.days})
    return Check(
        name="the business days agree with the stays",
        ok=sold == figures.nights and figures.revenue == figures.total,
        detail=(
            f"{figures.room_nights:,} nights sold for {figures.revenue}, "
            f"{figures.nights.total():,} spent for {figures.total}"
        ),
    )


# -- printing ---------------------------------------------------------------------------------


@frozen(kw_only=True)
class _Report:
    """What came of one hotel."""

    name: str
    figures: _Figures
    proofs: Proofs
    life: Life

    def as_json(self) -> dict[str, object]:
        """Give the figures and checks; amounts are decimal strings, months ``YYYY-MM``."""
        figures, life = self.figures, self.life
        return {
            "hotel": self.name,
            "hotel_id": str(life.hotel_id),
            "bookings": figures.statuses.total(),
            "canceled": figures.statuses[BookingStatus.CANCELLED],
            "no_show": figures.statuses[BookingStatus.NO_SHOW],
            "checked_out": figures.statuses[BookingStatus.CHECKED_OUT],
            "room_nights": figures.room_nights,
            "revenue": str(figures.revenue.amount),
            "peak_rooms": figures.peak_rooms,
            "arrivals_by_month": {month: figures.months[month] for month in sorted(figures.months)},
            "checked": [asdict(check) for check in self.proofs.checks],
            "seconds": round(life.seconds, 1),
            "commands": life.commands,
            "commands_per_second": round(life.commands / life.seconds),
        }

    def print(self, output: Output) -> None:
        """Print the figures for people."""
        figures, life = self.figures, self.life
        first, last = life.days
        output.heading(f"{self.name}, {first} to {last}")
        output.table(
            ["", "value"],
            [
                ["bookings", figures.statuses.total()],
                ["cancelled", figures.statuses[BookingStatus.CANCELLED]],
                ["no-shows", figures.statuses[BookingStatus.NO_SHOW]],
                ["checked out", figures.statuses[BookingStatus.CHECKED_OUT]],
                ["room-nights", figures.room_nights],
                ["room revenue", figures.revenue],
                ["rooms at the peak", figures.peak_rooms],
            ],
        )
        output.line()
        output.table(["month", "arrivals"], sorted(figures.months.items()))
        output.heading("Checked")
        output.proofs(self.proofs)
        output.line()
        output.line(
            f"{life.commands:,} commands in {life.seconds:.1f} s: "
            f"{life.commands / life.seconds:,.0f} a second"
        )
