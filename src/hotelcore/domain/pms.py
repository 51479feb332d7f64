"""The hotel's connection to its property management system, and what maps to what there."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from attrs import frozen

from hotelcore.domain import fields
from hotelcore.ids import HotelId, PmsConfigId

__all__ = ["ExternalMapping", "ExternalPMSConfig", "PmsResource"]


class PmsResource(StrEnum):
    """What is synchronised."""

    ROOM_TYPE = "room_type"
    ROOM = "room"
    GUEST = "guest"
    BOOKING = "booking"


@frozen(kw_only=True)
class ExternalPMSConfig:
    """The one PMS that a hotel is connected to.

    It never holds the PMS's key, only says by ``has_key`` whether one is kept, sealed.
    """

    id: PmsConfigId = fields.identifier()
    hotel_id: HotelId = fields.identifier()
    vendor: str = fields.text(50)
    external_hotel_id: str = fields.text(200)
    connected_at: datetime = fields.instant()
    last_synced_at: datetime | None = fields.instant(optional=True)
    has_key: bool = fields.flag()
    attributes: fields.Attributes = fields.attributes()
    version: int = fields.version()


@frozen(kw_only=True)
class ExternalMapping:
    """One record there is one record here.

    ``fingerprint`` is that of the record as last taken over, so an unchanged one is recognised.
    """

    hotel_id: HotelId = fields.identifier()
    config_id: PmsConfigId = fields.identifier()
    resource: PmsResource = fields.choice(PmsResource)
    external_id: str = fields.text(200)
    internal_id: UUID = fields.identifier()
    fingerprint: str = fields.text(64)
