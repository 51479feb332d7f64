"""Hotels that are connected to another system, each with a key of its own there."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from hashlib import sha256

from hotelcore import Actor, HotelCore, KeyRing, Role, Secret, new_id
from hotelcore.core import Desk
from hotelcore.ids import HotelId
from hotelcore.operations import connect_pms, register_hotel

__all__ = ["MATERIALS", "desk_of", "open_house", "ring", "secrets_of"]

MATERIALS: Mapping[int, bytes] = {n: sha256(f"key {n}".encode()).digest() for n in (1, 2, 3)}


def ring(*numbers: int) -> KeyRing:
    """Return a ring of the keys with these numbers."""
    return KeyRing({number: MATERIALS[number] for number in numbers})


def desk_of(core: HotelCore, hotel_id: HotelId, role: Role = Role.ADMIN) -> Desk:
    """Return the handle of somebody in a hotel."""
    return core.acting_as(Actor(hotel_id=hotel_id, subject=role, role=role))


def open_house(core: HotelCore, secret: str | None = None) -> HotelId:
    """Register a hotel, and connect it if there is a secret."""
    hotel_id = HotelId(new_id())
    desk = desk_of(core, hotel_id)
    desk.run(
        register_hotel,
        name="Harbour",
        time_zone="Etc/UTC",
        currency="EUR",
        business_date=date(2026, 1, 1),
    )
    if secret is not None:
        desk.run(connect_pms, vendor="acme", external_hotel_id="H1", api_key=Secret(secret))
    return hotel_id


def secrets_of(core: HotelCore, hotels: Collection[HotelId]) -> dict[HotelId, str]:
    """Open the key of each hotel."""
    found = {}
    for hotel_id in hotels:
        with desk_of(core, hotel_id).reading() as uow:
            found[hotel_id] = uow.pms.api_key().reveal()
    return found
