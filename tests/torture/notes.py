"""Notes that outlive a killed process: one short line each, in a file of its own or a shared one.

A line is handed to the operating system in one piece, so it is there whole when the process is
killed after that, and not at all when it is killed before.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

__all__ = ["Notes", "at_work", "note_at_work", "noted"]

_AT_WORK = "at-work.notes"


class Notes:
    """Appends lines to a file, also while others do."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def add(self, line: str) -> None:
        """Append one line."""
        os.write(self._file, f"{line}\n".encode())


def noted(path: Path) -> Sequence[str]:
    """Return the lines of a file; none if there is no such file yet."""
    return path.read_text().splitlines() if path.exists() else []


def note_at_work(folder: Path) -> None:
    """Note that this process has begun its work, so that to kill it is worth while."""
    Notes(folder / _AT_WORK).add(str(os.getpid()))


def at_work(folder: Path) -> Collection[int]:
    """Return the ids of all processes that ever began their work."""
    return set(map(int, noted(folder / _AT_WORK)))
