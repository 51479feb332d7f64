"""Roles, permissions and the one table that joins them; whatever is not in it is denied."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from hotelcore.errors import PermissionDenied

__all__ = ["POLICY", "Permission", "Role", "authorize"]


class Role(StrEnum):
    """What somebody is in a hotel, from no rights to all of them."""

    GUEST = "guest"
    STAFF = "staff"
    RECEPTION = "reception"
    MANAGER = "manager"
    ADMIN = "admin"


class Permission(StrEnum):
    """What an operation may need; each operation declares exactly one."""

    BOOKINGS_VIEW = "BOOKINGS_VIEW"
    BOOKINGS_CREATE = "BOOKINGS_CREATE"
    BOOKINGS_AMEND = "BOOKINGS_AMEND"
    BOOKINGS_CANCEL = "BOOKINGS_CANCEL"
    FRONT_DESK = "FRONT_DESK"
    FOLIOS_CHARGE = "FOLIOS_CHARGE"
    FOLIOS_CORRECT = "FOLIOS_CORRECT"
    FOLIOS_REFUND = "FOLIOS_REFUND"
    GUESTS_EDIT = "GUESTS_EDIT"
    GUESTS_ANONYMISE = "GUESTS_ANONYMISE"
    HOUSEKEEPING = "HOUSEKEEPING"
    HOUSEKEEPING_INSPECT = "HOUSEKEEPING_INSPECT"
    ROOMS_BLOCK = "ROOMS_BLOCK"
    RULES_OVERRIDE = "RULES_OVERRIDE"
    BUSINESS_DAY_CLOSE = "BUSINESS_DAY_CLOSE"
    ADMIN_VIEW = "ADMIN_VIEW"
    HOTEL_MANAGE = "HOTEL_MANAGE"
    PMS_MANAGE = "PMS_MANAGE"


_STAFF = frozenset({Permission.BOOKINGS_VIEW})
_RECEPTION = _STAFF | {
    # A front desk that could not book a guest who walks in would not be one.
    Permission.BOOKINGS_CREATE,
    Permission.FRONT_DESK,
    Permission.FOLIOS_CHARGE,
    Permission.GUESTS_EDIT,
    Permission.HOUSEKEEPING,
}
_MANAGER = _RECEPTION | {
    Permission.BOOKINGS_AMEND,
    Permission.BOOKINGS_CANCEL,
    Permission.FOLIOS_CORRECT,
    Permission.FOLIOS_REFUND,
    Permission.GUESTS_ANONYMISE,
    Permission.HOUSEKEEPING_INSPECT,
    Permission.ROOMS_BLOCK,
    Permission.RULES_OVERRIDE,
    Permission.BUSINESS_DAY_CLOSE,
}

POLICY: Mapping[Role, frozenset[Permission]] = MappingProxyType(
    {
        Role.GUEST: frozenset(),
        Role.STAFF: _STAFF,
        Role.RECEPTION: _RECEPTION,
        Role.MANAGER: _MANAGER,
        Role.ADMIN: frozenset(Permission),
    }
)
"""What each role may do. Each role may do all that the role before it may."""


def authorize(role: Role, permission: Permission, operation: str) -> None:
    """Raise `PermissionDenied` unless the policy gives ``permission`` to ``role``."""
    if permission not in POLICY.get(role, frozenset()):
        raise PermissionDenied(role=role, permission=permission, operation=operation)
