"""The connection to a property management system: made, given another key, removed."""

from __future__ import annotations

from collections.abc import Mapping

from hotelcore.access import Permission
from hotelcore.domain.fields import Attributes, JsonValue
from hotelcore.domain.pms import ExternalPMSConfig
from hotelcore.events.catalogue import PmsConnected, PmsDisconnected
from hotelcore.ids import PmsConfigId
from hotelcore.operations.declaring import operation
from hotelcore.unit_of_work import UnitOfWork
from hotelcore.vault import Secret

__all__ = ["change_pms_key", "connect_pms", "disconnect_pms"]


@operation(Permission.PMS_MANAGE)
def connect_pms(
    uow: UnitOfWork,
    *,
    vendor: str,
    external_hotel_id: str,
    api_key: Secret | None = None,
    attributes: Mapping[str, JsonValue] | None = None,
) -> ExternalPMSConfig:
    """Connect the hotel to its property management system; a hotel has one at most.

    ``vendor`` is the adapter's registered name, ``external_hotel_id`` the hotel's id there.
    ``api_key`` is kept sealed, and ``uow.pms.api_key()`` gives it to who may manage the connection.
    Raises `AlreadyExists` if the hotel is connected, `InvalidInput` for bad text, `NoKeys` for a
    key that cannot be sealed because the core was given no keys.
    """
    config = ExternalPMSConfig(
        id=PmsConfigId(uow.new_id()),
        hotel_id=uow.hotel.id,  # read, so that a hotel that is not registered is named
        vendor=vendor,
        external_hotel_id=external_hotel_id,
        connected_at=uow.now(),
        attributes=Attributes(attributes),
    )
    uow.pms.add(config)
    if api_key is not None:
        config = uow.pms.set_key(config, api_key)
    uow.changed("pms_config", config.id, None, config)
    uow.emit(PmsConnected(hotel_id=uow.hotel_id, config_id=config.id, vendor=vendor))
    return config


@operation(Permission.PMS_MANAGE)
def change_pms_key(uow: UnitOfWork, *, api_key: Secret | None) -> ExternalPMSConfig:
    """Keep another key of the property management system, or None to keep none any longer.

    Raises `NotFound` if the hotel is not connected, `NoKeys` as `connect_pms` does.
    """
    config = uow.pms.lock()
    changed = uow.pms.set_key(config, api_key)
    uow.changed("pms_config", config.id, config, changed)
    return changed


@operation(Permission.PMS_MANAGE)
def disconnect_pms(uow: UnitOfWork) -> ExternalPMSConfig:
    """Remove the connection and its mappings; rooms, guests and bookings stay.

    Raises `NotFound` if the hotel is not connected.
    """
    config = uow.pms.lock()
    uow.pms.remove(config)
    uow.changed("pms_config", config.id, config, None)
    uow.emit(PmsDisconnected(hotel_id=uow.hotel_id, config_id=config.id, vendor=config.vendor))
    return config
