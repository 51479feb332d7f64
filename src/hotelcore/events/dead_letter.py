"""What a durable subscription gave up."""

from __future__ import annotations

from datetime import datetime

from attrs import frozen

from hotelcore.events.envelope import Envelope

__all__ = ["DeadLetter"]


@frozen(kw_only=True)
class DeadLetter:
    """An event that a durable subscription gave up.

    ``failure`` is the class of the last error, never its text; ``attempts`` counts all that were
    made; ``died_at`` is UTC.
    """

    subscription: str
    envelope: Envelope
    attempts: int
    failure: str
    died_at: datetime
