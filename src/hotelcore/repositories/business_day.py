"""The days that night audits closed."""

from __future__ import annotations

from datetime import date
from typing import Protocol

from hotelcore.domain.business_day import BusinessDay

__all__ = ["BusinessDays"]


class BusinessDays(Protocol):
    """The days that night audits closed."""

    def add(self, day: BusinessDay) -> None:
        """Store a closed day; `AlreadyExists` if it was closed before."""
        ...

    def find(self, day: date) -> BusinessDay | None:
        """Return a closed day, or None."""
        ...

    def between(self, first: date, last: date) -> tuple[BusinessDay, ...]:
        """Return the closed days from ``first`` to ``last``, both included, in order."""
        ...
