"""What travels: an event's wire form with the facts about its delivery."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from attrs import frozen

from hotelcore import wire
from hotelcore.events.catalogue import Event, payload
from hotelcore.ids import EventId, HotelId

__all__ = ["Envelope"]


@frozen(kw_only=True)
class Envelope:
    """One event on its way. Within one ``key`` the order is the order of the commits."""

    id: EventId
    hotel_id: HotelId
    name: str
    key: UUID
    occurred_at: datetime
    correlation_id: str | None
    payload: wire.Json

    @classmethod
    def around(
        cls, event: Event, *, id: EventId, occurred_at: datetime, correlation_id: str | None
    ) -> Envelope:
        """Seal an event; ``id`` is fresh, ``occurred_at`` the instant of its unit of work."""
        return cls(
            id=id,
            hotel_id=event.hotel_id,
            name=event.wire_name,
            key=event.key,
            occurred_at=occurred_at,
            correlation_id=correlation_id,
            payload=payload(event),
        )
