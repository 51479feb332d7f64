"""Who may do what, as the answer file says it: written by hand from the design, not from the code.

``other`` means the arguments of another hotel: where they hold an id, it is not found; where they
hold none, the call is allowed in the actor's own hotel and touches nothing of the other.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from hotelcore import Role

__all__ = ["ANSWERS", "CALLS", "Answers"]

Answers: TypeAlias = Mapping[Role, str]


def _read() -> dict[tuple[str, str], Answers]:
    with Path(__file__).with_suffix(".csv").open(encoding="utf-8", newline="") as file:
        return {
            (row["call"], row["hotel"]): {role: row[role] for role in Role}
            for row in csv.DictReader(file)
        }


ANSWERS = _read()
"""For every call, in the ``own`` and against the ``other`` hotel, the answer to each role."""

CALLS = sorted({call for call, _ in ANSWERS})
"""Every call: an operation, one with an argument that needs more, or a reading."""
