"""The "hotel booking demand" data set: its rows, the days they make, and the rooms they need.

Source: N. Antonio, A. de Almeida, L. Nunes, "Hotel booking demand datasets", Data in Brief 22
(2019) 41-49. A row is one booking; it has no key, so equal rows are separate bookings. A stay is
the arrival date and the nights: the status date of a guest who came is not looked at.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import date, timedelta
from enum import StrEnum
from itertools import chain, islice
from pathlib import Path
from typing import TextIO, TypeVar

from attrs import Factory, frozen

from hotelcore.domain.fields import check_day
from hotelcore.domain.money import Money
from hotelcore.domain.stays import Stay
from hotelcore.errors import InvalidInput

__all__ = ["CURRENCY", "Agenda", "Outcome", "Row", "agendas", "read_rows", "rooms_needed"]

CURRENCY = "EUR"
"""The currency of every rate in the data set."""

T = TypeVar("T")

_COLUMNS = (
    "hotel",
    "lead_time",
    "arrival_date_year",
    "arrival_date_month",
    "arrival_date_day_of_month",
    "stays_in_weekend_nights",
    "stays_in_week_nights",
    "adults",
    "children",
    "babies",
    "distribution_channel",
    "reserved_room_type",
    "assigned_room_type",
    "adr",
    "reservation_status",
    "reservation_status_date",
)
# Written out: the names that `calendar` gives depend on the locale of the machine.
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_MISSING = ("", "NA", "NULL")
_DAY = timedelta(days=1)
_GZIP = b"\x1f\x8b"  # how such a file begins; RFC 1952, section 2.3.1


class Outcome(StrEnum):
    """What became of a booking, in the words of the data set."""

    CHECKED_OUT = "Check-Out"
    CANCELED = "Canceled"
    NO_SHOW = "No-Show"


@frozen(kw_only=True)
class Row:
    """One booking. ``number`` is its place in the file from 1; ``rate`` is the price of a night.

    ``booked_on`` is ``lead_time`` days before arrival. ``given_up_on`` is when a cancelled booking
    was cancelled, never before it was made and never after the arrival.
    """

    number: int
    hotel: str
    booked_on: date
    stay: Stay
    outcome: Outcome
    given_up_on: date
    reserved: str
    assigned: str
    adults: int
    children: int
    infants: int
    channel: str
    rate: Money


# -- reading ----------------------------------------------------------------------------------


def read_rows(path: Path, most: int | None = None) -> Iterator[Row]:
    """Read the rows of a CSV file, plain or gzip, one at a time; ``most`` is how many at most.

    Raises `InvalidInput` for a file that cannot be read, is no CSV or lacks a column, and with
    the row and column of a value that makes no sense.
    """
    try:
        with _opened(path) as lines:
            table = csv.DictReader(lines)
            missing = [name for name in _COLUMNS if name not in (table.fieldnames or ())]
            if missing:
                raise InvalidInput("CSV", f"lacks the columns {', '.join(missing)}")
            for number, cells in enumerate(islice(table, most), start=1):
                yield _Reader(number, cells).row()
    except OSError as error:
        raise InvalidInput("CSV", f"cannot be read ({error.strerror or 'damaged'})") from error
    except (UnicodeDecodeError, csv.Error, EOFError, zlib.error) as error:
        raise InvalidInput("CSV", "is no text of comma-separated values") from error


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    with path.open("rb") as file:
        compressed = file.peek(2)[:2] == _GZIP
        binary = gzip.GzipFile(fileobj=file) if compressed else file
        with io.TextIOWrapper(binary, encoding="utf-8-sig", newline="") as lines:
            yield lines


@frozen
class _Reader:
    """Reads the cells of one row."""

    number: int
    cells: Mapping[str, str | None]

    def row(self) -> Row:
        """Build the row."""
        stay = self._stay()
        arrival = stay.arrival
        booked_on = self._value(
            "lead_time", lambda text: check_day("lead_time", arrival - timedelta(_whole(text)))
        )
        status_date = self._value("reservation_status_date", date.fromisoformat)
        return Row(
            number=self.number,
            hotel=self._text("hotel"),
            booked_on=booked_on,
            stay=stay,
            outcome=self._value("reservation_status", Outcome),
            given_up_on=max(booked_on, min(status_date, arrival)),
            reserved=self._text("reserved_room_type"),
            assigned=self._text("assigned_room_type"),
            adults=self._count("adults"),
            children=self._count("children"),
            infants=self._count("babies"),
            channel=self._text("distribution_channel"),
            rate=self._value("adr", lambda text: Money.of(text, CURRENCY)),
        )

    def _stay(self) -> Stay:
        year, day = self._count("arrival_date_year"), self._count("arrival_date_day_of_month")
        month = self._value("arrival_date_month", _MONTHS.index) + 1
        arrival = self._value("arrival_date_day_of_month", lambda _: date(year, month, day))
        nights = self._count("stays_in_weekend_nights") + self._count("stays_in_week_nights")
        return self._value(
            "stays_in_week_nights", lambda _: Stay(arrival, arrival + timedelta(nights))
        )

    def _text(self, column: str) -> str:
        return self._value(column, _filled)

    def _count(self, column: str) -> int:
        return self._value(column, _whole)

    def _value(self, column: str, convert: Callable[[str], T]) -> T:
        try:
            return convert((self.cells[column] or "").strip())
        except (ValueError, OverflowError) as error:
            raise InvalidInput(f"row {self.number}, {column}", "makes no sense there") from error


def _whole(text: str) -> int:
    """Read a count; one that is missing, as ``children`` may be, is none."""
    number = 0 if text in _MISSING else int(text)
    if not 0 <= number <= 9999:
        raise ValueError(text)
    return number


def _filled(text: str) -> str:
    if not text:
        raise ValueError(text)
    return text


# -- days -------------------------------------------------------------------------------------


@frozen
class Agenda:
    """What a day brings, in the order in which the front desk does it."""

    departures: list[Row] = Factory(list)
    bookings: list[Row] = Factory(list)
    cancellations: list[Row] = Factory(list)
    day_uses: list[Row] = Factory(list)
    arrivals: list[Row] = Factory(list)
    no_shows: list[Row] = Factory(list)

    @property
    def ending(self) -> Iterator[Row]:
        """The bookings that end on this day, in whatever way."""
        return chain(self.departures, self.cancellations, self.day_uses, self.no_shows)


def agendas(rows: Iterable[Row]) -> dict[date, Agenda]:
    """Put every row on its days; return each day from the first booking to the last departure."""
    days: dict[date, Agenda] = {}

    def on(day: date) -> Agenda:
        return days.setdefault(day, Agenda())

    for row in rows:
        on(row.booked_on).bookings.append(row)
        match row.outcome:
            case Outcome.CANCELED:
                on(row.given_up_on).cancellations.append(row)
            case Outcome.NO_SHOW:
                on(row.stay.arrival).no_shows.append(row)
            case Outcome.CHECKED_OUT if row.stay.is_day_use:
                on(row.stay.arrival).day_uses.append(row)
            case Outcome.CHECKED_OUT:
                on(row.stay.arrival).arrivals.append(row)
                on(row.stay.departure).departures.append(row)
    first, last = min(days), max(days)
    return {day: on(day) for day in (first + _DAY * n for n in range((last - first).days + 1))}


# -- rooms ------------------------------------------------------------------------------------


class _Need:
    """Counts what each room type must hold at once."""

    def __init__(self) -> None:
        self._sold: Counter[tuple[str, date]] = Counter()
        self.rooms: dict[str, int] = {}

    def sell(self, code: str, nights: Iterable[date]) -> None:
        for night in nights:
            self._sold[code, night] += 1
            self.at_least(code, self._sold[code, night])

    def release(self, code: str, nights: Iterable[date]) -> None:
        for night in nights:
            self._sold[code, night] -= 1

    def at_least(self, code: str, rooms: int) -> None:
        self.rooms[code] = max(self.rooms.get(code, 1), rooms)


def rooms_needed(days: Mapping[date, Agenda]) -> dict[str, int]:
    """Return the rooms of each type with which no booking has to be refused, by type code.

    Until it is cancelled or the guest comes, a booking needs a unit of its reserved type; from the
    arrival on, one of its assigned type. A day use needs a room beside those of the stay-overs.
    """
    need, staying = _Need(), Counter[tuple[str, date]]()
    for day, agenda in days.items():
        for row in agenda.bookings:
            need.at_least(row.reserved, 1)
            need.sell(row.reserved, row.stay)
        for row in agenda.cancellations:
            need.release(row.reserved, row.stay)
        for row in agenda.day_uses:
            need.at_least(row.assigned, staying[row.assigned, day] + 1)
        for row in agenda.arrivals:
            need.release(row.reserved, row.stay)
            need.sell(row.assigned, row.stay)
            staying.update((row.assigned, night) for night in row.stay)
        for row in agenda.no_shows:
            need.release(row.reserved, row.stay)
    return dict(sorted(need.rooms.items()))
