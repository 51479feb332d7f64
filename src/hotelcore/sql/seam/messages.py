"""What PostgreSQL is sent in an exchange, and the note of which message an error is of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

__all__ = ["BEGUN", "Message", "move_place", "note_place", "noted_place"]

Message: TypeAlias = tuple[str, Sequence[Any]]
"""A statement for PostgreSQL with ``$1`` for a parameter, and the parameters, of any type."""

BEGUN = "hotelcore_begun"
"""Under which name a connection keeps an exchange that was begun and has not been ended."""
# Under which name a driver's error remembers the message that it is of.
_PLACE = "hotelcore_place"


def note_place(error: Exception, place: int) -> None:
    """Note in PostgreSQL's error which message of an exchange it is of, from 0."""
    setattr(error, _PLACE, place)


def move_place(error: BaseException, by: int) -> None:
    """Count the place that is noted in an error from an earlier message on."""
    if hasattr(error, _PLACE):
        setattr(error, _PLACE, getattr(error, _PLACE) + by)


def noted_place(error: BaseException) -> int:
    """Return which message of an exchange failed; -1 for an error of anything else."""
    place: int = getattr(getattr(error, "orig", None), _PLACE, -1)
    return place
