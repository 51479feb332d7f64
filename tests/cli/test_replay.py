"""A replay drops nothing, and says of the database what the file says."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from hotelcore import HotelCore
from hotelcore.cli import main
from hotelcore.cli.replay.rows import agendas, read_rows, rooms_needed
from tests.cli.demand import MONTHS, gzip_file, plain_file, stay

pytestmark = pytest.mark.long

DAY = timedelta(days=1)
Cells = Mapping[str, str]
Report = dict[str, Any]  # What a program reads from the command is JSON.

# Every oddity of the real file, and what follows from it by hand:
ODDITIES = [
    # three equal rows are three bookings: 3 x 2 nights, 453.00
    stay(),
    stay(),
    stay(),
    # day uses cost nothing, whatever their rate, and one comes while all A rooms are taken
    stay("2015-07-02", 0, adr="0", reservation_status_date="2015-07-02"),
    stay("2015-07-02", 0, adr="120"),
    # a negative rate: 10 nights, -63.80; booked as D, given H
    stay(nights=10, adr="-6.38", reserved_room_type="D", assigned_room_type="H"),
    # missing children, and a change of room type: 3 nights, 300.00
    stay("2015-07-02", 3, adr="100", children="NA", assigned_room_type="D"),
    # children left empty: 1 night, 99.90
    stay("2015-07-03", 1, adr="99.9", children=""),
    # nobody at all: 1 night, 50.00
    stay("2015-07-10", 1, adr="50", adults="0"),
    # four nights for nothing
    stay("2015-07-20", 4, adr="0", lead_time="60"),
    # 69 nights, 1,380.69
    stay("2015-08-01", 69, adr="20.01", lead_time="0"),
    # cancelled: on arrival, when booked, before it was booked, after the arrival
    stay(
        "2015-07-01",
        5,
        lead_time="0",
        reservation_status="Canceled",
        reservation_status_date="2015-07-01",
    ),
    stay(
        "2015-09-30",
        2,
        lead_time="30",
        reservation_status="Canceled",
        reservation_status_date="2015-08-31",
    ),
    stay(
        "2015-09-01",
        2,
        lead_time="3",
        reservation_status="Canceled",
        reservation_status_date="2015-01-01",
    ),
    stay(
        "2015-09-01",
        0,
        lead_time="3",
        reservation_status="Canceled",
        reservation_status_date="2015-12-01",
    ),
    # nobody came: after a status date long before, for a day use, for one night
    stay(
        "2015-07-02",
        4,
        lead_time="112",
        reservation_status="No-Show",
        reservation_status_date="2015-03-13",
    ),
    stay("2015-07-02", 0, reservation_status="No-Show", reservation_status_date="2015-07-02"),
    stay("2015-10-02", 1, reservation_status="No-Show", reservation_status_date="2015-10-02"),
    # in another hotel: 2 nights, 160.00
    stay("2015-07-01", 2, hotel="City Hotel", adr="80"),
]
RESORT = {
    "hotel": "Resort Hotel",
    "bookings": 18,
    "canceled": 4,
    "no_show": 3,
    "checked_out": 11,
    "room_nights": 94,
    "revenue": "2219.79",
    "peak_rooms": 5,
    "arrivals_by_month": {"2015-07": 13, "2015-08": 1, "2015-09": 3, "2015-10": 1},
}
CITY = {
    "hotel": "City Hotel",
    "bookings": 1,
    "canceled": 0,
    "no_show": 0,
    "checked_out": 1,
    "room_nights": 2,
    "revenue": "160.00",
    "peak_rooms": 1,
    "arrivals_by_month": {"2015-07": 1},
}


def replayed(capsys: pytest.CaptureFixture[str], *arguments: object) -> list[Report]:
    """Replay with ``--json`` and return what it says of each hotel; every check must hold."""
    code = main(["replay", *map(str, arguments), "--json"])
    out = capsys.readouterr().out
    assert code == 0, out
    hotels: list[Report] = json.loads(out)["hotels"]
    for hotel in hotels:
        assert hotel["checked"]
        assert all(check["ok"] for check in hotel["checked"]), hotel["checked"]
    return hotels


def shown(hotel: Report, expected: Report) -> Report:
    """Return those figures of a report that are expected."""
    return {name: hotel[name] for name in expected}


@pytest.mark.parametrize("write", [plain_file, gzip_file])
def test_every_oddity_becomes_a_booking(
    write: Any, database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rows that no tidy data set would have give the figures reckoned by hand, hotel by hotel."""
    file = write(tmp_path, ODDITIES)
    resort, city = replayed(capsys, file, "--database", database_url)
    assert shown(resort, RESORT) == RESORT
    assert shown(city, CITY) == CITY


def test_a_database_takes_the_same_file_again(
    database_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each run has hotels of its own, so a second one in the same database says the same."""
    file = plain_file(tmp_path, ODDITIES)
    first = replayed(capsys, file, "--database", database_url)
    second = replayed(capsys, file, "--database", database_url)
    ids = {hotel["hotel_id"] for hotel in first + second}
    assert len(ids) == 4
    assert [shown(hotel, RESORT) for hotel in first] == [shown(h, RESORT) for h in second]


def test_the_commands_are_those_of_the_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A row is lived in the commands that it takes, and every day is closed by one more."""
    [hotel] = replayed(capsys, plain_file(tmp_path, [stay()]))
    # The hotel, a type, its rooms; guest, booking, check-in, payment, check-out, cleaning; and
    # the days from 21 June to 3 July.
    assert hotel["commands"] == 3 + 6 + 13


def test_a_limit_takes_the_first_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """``--limit-rows`` counts rows of the file, whatever their hotel."""
    rows = [stay(), stay(hotel="City Hotel"), stay()]
    hotels = replayed(capsys, plain_file(tmp_path, rows), "--limit-rows", 2)
    assert [(hotel["hotel"], hotel["bookings"]) for hotel in hotels] == [
        ("Resort Hotel", 1),
        ("City Hotel", 1),
    ]


def test_people_read_the_same_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without ``--json`` the report is plain text with the figures and every check."""
    assert main(["replay", str(plain_file(tmp_path, ODDITIES))]) == 0
    out = capsys.readouterr().out
    for words in ("Resort Hotel", "2219.79 EUR", "City Hotel", "160.00 EUR"):
        assert words in out
    assert "FAILED" not in out


def test_a_failed_check_is_said_and_fails_the_command(
    sqlite_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the database does not keep what it was given, the exit code is 1 and the check named."""
    core = HotelCore(sqlite_url)
    core.create_schema()
    with core.engine.connect() as connection, connection.begin():
        connection.execute(
            text(
                "CREATE TRIGGER sabotage AFTER INSERT ON hc_room_key BEGIN"
                " UPDATE hc_room_availability SET rooms = rooms + 1; END"
            )
        )
    core.close()
    file = plain_file(tmp_path, [stay()])
    assert main(["replay", str(file), "--database", sqlite_url]) == 1
    assert "FAILED  every counter equals its recomputation" in capsys.readouterr().out


# -- rooms ------------------------------------------------------------------------------------

WALK_IN = {"lead_time": "0"}
HOUSES: Mapping[str, tuple[list[Cells], dict[str, int]]] = {
    "one after the other": ([stay("2015-07-01", 2), stay("2015-07-03", 2)], {"A": 1}),
    "at the same time": ([stay("2015-07-01", 3), stay("2015-07-03", 2)], {"A": 2}),
    "booked after the other was cancelled": (
        [
            stay(reservation_status="Canceled", reservation_status_date="2015-06-25"),
            stay(lead_time="5"),
        ],
        {"A": 1},
    ),
    "booked before the other was cancelled": (
        [
            stay(reservation_status="Canceled", reservation_status_date="2015-06-26"),
            stay(lead_time="5"),
        ],
        {"A": 2},
    ),
    "come on the day after a no-show": (
        [stay("2015-07-01", 3, reservation_status="No-Show"), stay("2015-07-02", 1, **WALK_IN)],
        {"A": 1},
    ),
    "booked when a no-show was still awaited": (
        [stay("2015-07-01", 3, reservation_status="No-Show"), stay("2015-07-02", 1)],
        {"A": 2},
    ),
    "come after another moved to a better type": (
        [stay("2015-07-01", 3, assigned_room_type="B"), stay("2015-07-02", 1, **WALK_IN)],
        {"A": 1, "B": 1},
    ),
    "day uses one after the other": ([stay(nights=0), stay(nights=0)], {"A": 1}),
    "a day use beside a guest who stays": (
        [stay("2015-07-01", 2), stay("2015-07-02", 0)],
        {"A": 2},
    ),
    "a day use after a guest has left": (
        [stay("2015-07-01", 1), stay("2015-07-02", 0)],
        {"A": 1},
    ),
    "a day use in a better type": (
        [stay("2015-07-02", 0, assigned_room_type="B")],
        {"A": 1, "B": 1},
    ),
}


@pytest.mark.parametrize("house", HOUSES)
def test_the_house_is_as_large_as_it_must_be(
    house: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each type gets the rooms that its bookings need at once, and they suffice."""
    rows, expected = HOUSES[house]
    file = plain_file(tmp_path, rows)
    assert rooms_needed(agendas(read_rows(file))) == expected
    replayed(capsys, file)


# -- truths reckoned independently ------------------------------------------------------------


def truths(rows: list[Cells]) -> Report:
    """Reckon what a replay must say of one hotel, straight from the cells."""
    outcomes = Counter(row["reservation_status"] for row in rows)
    months, house, revenue = Counter[str](), Counter[date](), Decimal(0)
    for row in rows:
        arrival = arrival_of(row)
        months[f"{arrival.year}-{arrival.month:02}"] += 1
        if row["reservation_status"] == "Check-Out":
            nights = int(row["stays_in_weekend_nights"]) + int(row["stays_in_week_nights"])
            revenue += Decimal(row["adr"]) * nights
            house.update(arrival + n * DAY for n in range(nights))
    return {
        "bookings": len(rows),
        "canceled": outcomes["Canceled"],
        "no_show": outcomes["No-Show"],
        "checked_out": outcomes["Check-Out"],
        "room_nights": house.total(),
        "revenue": f"{revenue:.2f}",
        "peak_rooms": max(house.values(), default=0),
        "arrivals_by_month": dict(months),
    }


def arrival_of(row: Cells) -> date:
    """Return the arrival date."""
    month = MONTHS.index(row["arrival_date_month"]) + 1
    return date(int(row["arrival_date_year"]), month, int(row["arrival_date_day_of_month"]))


def test_the_real_file_gives_its_truths(
    shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The first 2,000 bookings of the real resort hotel are all lived, to the cent."""
    path = shared_data / "data" / "hotel_bookings_h1.csv.gz"
    with gzip.open(path, "rt", newline="") as lines:
        rows: list[Cells] = list(islice(csv.DictReader(lines), 2_000))
    [hotel] = replayed(capsys, path, "--limit-rows", 2_000)
    expected = truths(rows)
    assert shown(hotel, expected) == expected


rates = st.decimals(min_value="-10", max_value="400", places=2, allow_nan=False)
some_rows = st.lists(
    st.builds(
        lambda arrival, nights, lead, status, later, reserved, assigned, rate: stay(
            str(date(2016, 2, 25) + arrival * DAY),
            nights,
            lead_time=str(lead),
            reservation_status=status,
            reservation_status_date=str(date(2016, 2, 20) + later * DAY),
            reserved_room_type=reserved,
            assigned_room_type=assigned,
            adr=str(rate),
        ),
        arrival=st.integers(0, 6),
        nights=st.integers(0, 4),
        lead=st.integers(0, 5),
        status=st.sampled_from(["Check-Out", "Check-Out", "Canceled", "No-Show"]),
        later=st.integers(0, 14),
        reserved=st.sampled_from("ABC"),
        assigned=st.sampled_from("ABC"),
        rate=rates,
    ),
    min_size=1,
    max_size=14,
)


@settings(max_examples=20)
@given(rows=some_rows)
def test_any_rows_fit_the_house_that_is_built_for_them(
    rows: list[Cells], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever comes, changes type or stays away, the rooms suffice and the figures are exact."""
    [hotel] = replayed(capsys, plain_file(tmp_path, rows))
    expected = truths(rows)
    assert shown(hotel, expected) == expected
