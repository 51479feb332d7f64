"""Records that are asked for by many ids at once."""

from __future__ import annotations

from collections.abc import Container, Iterable
from uuid import UUID

from hotelcore.errors import NotFound

__all__ = ["refuse_unknown"]


def refuse_unknown(resource: str, wanted: Iterable[UUID], known: Container[UUID]) -> None:
    """Raise `NotFound` for the first of the ids that is not known."""
    for key in wanted:
        if key not in known:
            raise NotFound(resource, key)
