"""Rotation: sealing what a hotel keeps sealed anew, under the current key."""

from __future__ import annotations

from hotelcore.access import Permission
from hotelcore.domain.sealed import Resealed
from hotelcore.errors import InvalidInput
from hotelcore.operations.declaring import operation
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["reseal_secrets"]

_MOST = 1_000


@operation(Permission.HOTEL_MANAGE)
def reseal_secrets(uow: UnitOfWork, *, limit: int = 500) -> Resealed:
    """Seal up to ``limit`` (1 to 1,000) values of the hotel anew under the current key.

    Run it until nothing is ``more``; `hotelcore keys rotate` does, for every hotel. It may be
    stopped at any point and run twice at once. Values under the current key are left alone. Raises
    `InvalidInput` for another limit, `NoKeys` if the core was given no keys.
    """
    if not 1 <= limit <= _MOST:
        raise InvalidInput("limit", f"must be a whole number from 1 to {_MOST}")
    _ = uow.hotel  # read, so that a hotel that is not registered is named
    return uow.sealed.reseal(limit=limit)
