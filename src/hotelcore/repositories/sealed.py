"""What the hotel stores sealed, whatever it is."""

from __future__ import annotations

from typing import Protocol

from hotelcore.domain.sealed import Resealed

__all__ = ["SealedValues"]


class SealedValues(Protocol):
    """Every value of the hotel that is stored sealed, whatever it is."""

    def reseal(self, *, limit: int) -> Resealed:
        """Seal up to ``limit`` values anew that are not under the current key.

        A value that somebody changes meanwhile keeps the change. `NoKeys` if the core has none.
        """
        ...
