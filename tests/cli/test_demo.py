"""The demo through its real command line: its proofs hold, and its figures can be had again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from hotelcore.cli import demo, main
from hotelcore.cli.demo.refusals import Refusal
from hotelcore.cli.demo.report import Story

pytestmark = pytest.mark.long

FEW = ("--rooms", "20", "--days", "3")
LIMIT = 240  # seconds; far beyond what any of these takes
ESCAPE = "\x1b"

# What a day in a hotel is made of; the demo has to do all of it.
DEEDS = {
    "add_room_type",
    "add_rooms",
    "amend_stay",
    "assign_rooms",
    "block_room",
    "bulk_update_room_status",
    "cancel_booking_with_refund",
    "check_in_guest",
    "check_out_guest",
    "close_business_day",
    "complete_housekeeping_task",
    "confirm_booking",
    "create_booking_with_folio",
    "create_housekeeping_task",
    "expire_holds",
    "grant_allowance",
    "mark_no_show",
    "move_charge",
    "move_room",
    "open_folio",
    "post_charge_to_folio",
    "record_payment",
    "refund_payment",
    "register_guest",
    "register_hotel",
    "reinstate_booking",
    "release_room",
    "void_charge",
}

# A document as json gives it: its shape is what the tests look at.
Document = dict[str, Any]


def demonstrated(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the demo as a user would, with its output into files."""
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "hotelcore", "demo", *arguments],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        env={**os.environ, **changes},
    )


def document(*arguments: str) -> Document:
    """Run the demo with ``--json`` and return what it prints; it must succeed."""
    done = demonstrated(*arguments, "--json")
    assert done.returncode == 0, done.stderr
    printed: Document = json.loads(done.stdout)
    return printed


def story_of(printed: Document) -> Document:
    """Return the document without what the machine's speed and the database's kind decide."""
    speed = ("seconds", "commands_per_second", "database")
    return {name: value for name, value in printed.items() if name not in speed}


@pytest.fixture(scope="module")
def printed() -> Document:
    """Return the document of one small demo on its own temporary database."""
    return document(*FEW)


@pytest.fixture
def engine(sqlite_url: str) -> Engine:
    """Return an engine on the database that a test gives to the demo."""
    return create_engine(sqlite_url)


def test_every_proof_holds_on_both_databases(database_url: str) -> None:
    """The demo succeeds, says so, and each proof of each hotel says so too."""
    found = document(*FEW, "--database", database_url)
    assert found["ok"] is True
    assert found["database"] == database_url.partition(":")[0].partition("+")[0]
    assert [hotel["rooms"] for hotel in found["hotels"]] == [20, 12]
    proofs = [proof for hotel in found["hotels"] for proof in hotel["proofs"]]
    assert len(proofs) >= 2 * 10
    assert all(proof["ok"] for proof in proofs)


def test_the_same_seed_tells_the_same_story_on_any_database(
    printed: Document, database_url: str
) -> None:
    """Figures, charts, commands and refusals repeat to the last digit, wherever they are kept."""
    assert story_of(document(*FEW, "--database", database_url)) == story_of(printed)


def test_another_seed_tells_another_story(printed: Document) -> None:
    """The seed decides what happens."""
    other = document(*FEW, "--seed", "2")
    assert other["hotels"][0]["days"] != printed["hotels"][0]["days"]


def test_two_demos_live_beside_each_other_in_one_database(sqlite_url: str, engine: Engine) -> None:
    """A database that has hotels already gets two more, and every proof still holds."""
    first, second = (story_of(document(*FEW, "--database", sqlite_url)) for _ in range(2))
    assert first == second
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM hc_hotel")).scalar_one() == 4


def test_the_figures_of_a_day_fit_together(printed: Document) -> None:
    """In house, occupancy, ADR and RevPAR of each day are of one and the same set of stays."""
    for hotel in printed["hotels"]:
        before = 0
        for day in hotel["days"]:
            sold, revenue = day["rooms_sold"], Decimal(day["room_revenue"])
            assert day["in_house"] == sold == before + day["arrivals"] - day["departures"]
            assert abs(Decimal(day["adr"]) * sold - revenue) <= Decimal("0.01") * sold
            share = Decimal(sold) / day["rooms_available"]
            assert abs(Decimal(day["occupancy_percent"]) - 100 * share) <= Decimal("0.05")
            assert abs(Decimal(day["rev_par"]) - Decimal(day["adr"]) * share) <= Decimal("0.02")
            before = day["in_house"]


def test_another_hotel_s_ids_are_answered_like_unknown_ones(printed: Document) -> None:
    """Seven kinds of record are asked for, and each is refused in the words for an unknown id."""
    assert len(printed["refusals"]) == 7
    for refusal in printed["refusals"]:
        assert refusal["foreign"] == refusal["unknown"]
        assert refusal["foreign"].startswith("NotFound: this hotel has no ")


def test_a_week_of_a_busy_house_has_every_deed_in_it() -> None:
    """Given some days and rooms, the demo performs every command that a hotel's day is made of."""
    found = document("--rooms", "200", "--days", "7")
    done = {name for hotel in found["hotels"] for name in hotel["commands"]}
    # Only the small hotel keeps its rooms for guests who do not come, and there they are few.
    assert done | {"mark_no_show"} == DEEDS
    chart = found["hotels"][0]["chart"]
    assert len(chart["nights"]) == 7
    assert [len(room["nights"]) for room in chart["rooms"]] == [7] * 12


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_the_smallest_demo_is_one_room_for_one_day(seed: str) -> None:
    """A house that can hardly sell anything closes its day like any other."""
    assert document("--rooms", "1", "--days", "1", "--seed", seed)["ok"] is True


@pytest.mark.parametrize("no_color", ["", "1"])
def test_output_into_a_file_has_no_escape_codes(no_color: str) -> None:
    """Whatever NO_COLOR says, what is no terminal gets plain text, the summary last."""
    done = demonstrated(*FEW, NO_COLOR=no_color)
    assert done.returncode == 0, done.stderr
    assert ESCAPE not in done.stdout + done.stderr
    assert done.stdout.isascii()
    assert "FAILED" not in done.stdout
    assert done.stdout.splitlines()[-1].endswith(" a second")


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    """Without ``--database`` the demo's file is gone when the demo is."""
    done = demonstrated(*FEW, "--json", TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--rooms=0", "--rooms=5001", "--days=0", "--days=1.5"])
def test_a_senseless_number_is_usage(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers out of range end with code 2 and say what is in range."""
    with pytest.raises(SystemExit) as ended:
        main(["demo", option])
    assert ended.value.code == 2
    assert "must be a whole number from 1 to" in capsys.readouterr().err


def test_a_proof_that_fails_fails_the_demo(
    sqlite_url: str, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One counter that is off by one turns the exit code to 1."""

    def tampered(*arguments: object) -> list[Refusal]:
        with engine.begin() as connection:
            connection.execute(text("UPDATE hc_room_availability SET rooms = rooms + 1"))
        return [Refusal(kind="room", foreign="no", unknown="no")]

    monkeypatch.setattr(demo, "refusals", tampered)
    assert main(["demo", *FEW, "--json", "--database", sqlite_url]) == 1


@pytest.mark.parametrize(
    ("foreign", "unknown"), [("there is one", "no"), *[["nothing was refused"] * 2]]
)
def test_an_answer_that_gives_another_hotel_away_is_no_proof(foreign: str, unknown: str) -> None:
    """Other words for a foreign id, or no refusal at all, fail the check; so does no question."""
    refusal = Refusal(kind="room", foreign=foreign, unknown=unknown)
    for refusals in ([refusal], []):
        story = Story(database="sqlite", seed=1, hotels=[], refusals=refusals, seconds=1)
        assert not story.isolation.ok
        assert not story.ok
