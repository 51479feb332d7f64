"""Small files in the shape of the "hotel booking demand" data set."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

MONTHS: Sequence[str] = (
    "January February March April May June July August September October November December".split()
)
STAY: Mapping[str, str] = {
    "hotel": "Resort Hotel",
    "is_canceled": "0",
    "lead_time": "10",
    "arrival_date_year": "2015",
    "arrival_date_month": "July",
    "arrival_date_day_of_month": "1",
    "stays_in_weekend_nights": "1",
    "stays_in_week_nights": "1",
    "adults": "2",
    "children": "0",
    "babies": "0",
    "distribution_channel": "Direct",
    "reserved_room_type": "A",
    "assigned_room_type": "A",
    "adr": "75.5",
    "reservation_status": "Check-Out",
    "reservation_status_date": "2015-07-03",
}
"""One row: two guests who stay two nights from 1 July 2015 and pay 75.50 for each."""


def stay(arrival: str = "2015-07-01", nights: int = 2, **cells: str) -> dict[str, str]:
    """Make a row of `STAY` with other dates and cells."""
    year, month, day = arrival.split("-")
    dates = {
        "arrival_date_year": year,
        "arrival_date_month": MONTHS[int(month) - 1],
        "arrival_date_day_of_month": str(int(day)),
        "stays_in_weekend_nights": str(nights // 3),
        "stays_in_week_nights": str(nights - nights // 3),
    }
    return {**STAY, **dates, **cells}


def as_csv(rows: Iterable[Mapping[str, str]]) -> bytes:
    """Write rows as the file has them."""
    text = io.StringIO(newline="")
    table = csv.DictWriter(text, list(STAY))
    table.writeheader()
    table.writerows(rows)
    return text.getvalue().encode()


def plain_file(folder: Path, rows: Iterable[Mapping[str, str]]) -> Path:
    """Write rows to a plain file."""
    path = folder / "bookings.csv"
    path.write_bytes(as_csv(rows))
    return path


def gzip_file(folder: Path, rows: Iterable[Mapping[str, str]]) -> Path:
    """Write rows to a compressed file, under a name that does not say so."""
    path = folder / "bookings"
    path.write_bytes(gzip.compress(as_csv(rows)))
    return path
