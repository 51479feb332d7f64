"""Runs every example as a reader would: as a program of its own, in an empty directory."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted(Path(__file__).parent.parent.glob("examples/*.py"))
LINES = {"letters_for_certain": 4, "quick_start": 4, "one_transaction": 4, "with_asyncio": 9}


def run(example: Path, folder: Path, *arguments: str) -> list[str]:
    """Run an example where even a warning fails it, and return the lines that it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", str(example), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_every_example_is_known_here() -> None:
    """A new example cannot stay untested: its lines have to be told above."""
    assert {example.stem for example in EXAMPLES} == set(LINES)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_runs_as_it_is_and_leaves_nothing_behind(example: Path, tmp_path: Path) -> None:
    """Without arguments an example prints its story and writes no file."""
    assert len(run(example, tmp_path)) == LINES[example.stem]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.long
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.stem)
def test_an_example_runs_again_on_a_database_that_was_given(
    example: Path, tmp_path: Path, database_url: str
) -> None:
    """An example works on both databases, and twice: each run makes a hotel of its own."""
    for _ in range(2):
        assert len(run(example, tmp_path, database_url)) == LINES[example.stem]
