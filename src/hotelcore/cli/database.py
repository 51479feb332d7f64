"""The database of a command that keeps nothing unless it is told where."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["database_at"]


@contextmanager
def database_at(url: str | None) -> Iterator[str]:
    """Give ``url``, or without one that of a SQLite file that lives as long as the body."""
    if url is not None:
        yield url
        return
    with tempfile.TemporaryDirectory(prefix="hotelcore-") as directory:
        yield f"sqlite:///{Path(directory) / 'hotels.db'}"
