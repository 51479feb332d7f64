"""What travels: a stored event's wire form with the facts about its storing."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from attrs import frozen

from hotelcore import wire
from hotelcore.errors import InvalidInput
from hotelcore.events.catalogue import Event
from hotelcore.events.upcasting import opened
from hotelcore.ids import EventId, HotelId
from hotelcore.tenancy import same_hotel

__all__ = ["Envelope"]


@frozen(kw_only=True)
class Envelope:
    """One stored event. Within one ``key`` of a hotel the order is the order of the commits.

    ``name`` and ``version`` say what ``payload`` holds; ``sequence`` counts the events of one key
    from 1. ``position`` is the event's place in the hotel's log, None until the relay has given it
    one. ``occurred_at`` is UTC, the instant of the unit of work. The rest says what the unit
    belonged to, as `Trace` has it.
    """

    id: EventId
    hotel_id: HotelId
    name: str
    version: int
    key: UUID
    sequence: int
    position: int | None
    occurred_at: datetime
    correlation_id: str | None
    causation_id: EventId | None
    traceparent: str | None
    payload: wire.Json

    def event(self) -> Event:
        """Return the fact itself, as the newest version of its class.

        Raises `UnknownEvent` for a name or version that this library does not know,
        `InvalidInput` for a payload that is not of its version or has another key, and
        `TenantMismatch` for one of another hotel.
        """
        event = opened(self.name, self.version, self.payload)
        same_hotel(self.hotel_id, event.hotel_id, "event")
        if event.key != self.key:
            raise InvalidInput("key", "must be the record that the payload is about")
        return event
