"""How events leave for another process: what carries them, and what a carrier promises."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from hotelcore.events.envelope import Envelope

__all__ = ["EventTransport", "Receive"]


class EventTransport(Protocol):
    """Carries batches of events to where they are consumed, at least once and in order."""

    def send(self, batch: Sequence[Envelope]) -> None:
        """Return once all of ``batch`` is stored over there; raise if it may not be.

        A batch that raised is sent again as a whole, so what arrived before arrives twice.
        """
        ...


Receive: TypeAlias = Callable[[Envelope], None]
"""Takes an event that arrived: acknowledge it when this returns, let it come again if it raises."""
