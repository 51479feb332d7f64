"""Roles, permissions and the one table that joins them; whatever is not in it is denied."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import StrEnum
from types import MappingProxyType

from attrs import field, frozen

from hotelcore.errors import InvalidInput, PermissionDenied

__all__ = ["POLICY", "Permission", "Policy", "Role", "role_named"]


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


_ROLE_NAME = re.compile(r"[a-z][a-z0-9_]{0,19}")


def role_named(value: object) -> Role | str:
    """Return the `Role` of this name, or the name of a role of the host's own.

    Raises `InvalidInput` for what cannot name a role: a name has 1 to 20 of the letters a to z,
    digits and underscores, and begins with a letter.
    """
    if not isinstance(value, str) or not _ROLE_NAME.fullmatch(value):
        reason = "must be a name of 1 to 20 lower-case letters, digits or _, with a letter first"
        raise InvalidInput("role", reason)
    return Role(value) if value in set(Role) else value


def _rights(roles: object) -> Mapping[str, frozenset[Permission]]:
    if not isinstance(roles, Mapping):
        raise InvalidInput("roles", "must map the name of each role to its permissions")
    rights = {role_named(role): _permissions(given) for role, given in roles.items()}
    ceiling = rights.setdefault(Role.ADMIN, frozenset(Permission))
    for role in sorted(rights):
        if not rights[role] <= ceiling:
            lacking = ", ".join(sorted(rights[role] - ceiling))
            raise InvalidInput("roles", f"{role} may not have what admin lacks: {lacking}")
    return MappingProxyType(rights)


def _permissions(given: object) -> frozenset[Permission]:
    """Return ``given`` as permissions; a single text is refused, since it would be its letters."""
    if isinstance(given, str | bytes | Mapping) or not isinstance(given, Collection):
        raise InvalidInput("roles", "must give each role a list or set of permissions")
    known = set(Permission)
    if not all(isinstance(one, str) and one in known for one in given):
        raise InvalidInput("roles", "must name only permissions that hotelcore.access lists")
    return frozenset(map(Permission, given))


@frozen
class Policy:
    """What each role may do. Nothing changes it after it is built.

    ``roles`` maps the name of a role, a `Role` or one of your own (1 to 20 lower-case letters,
    digits and underscores), to its permissions or their names. A role that is left out is denied
    everything, also one of `Role`; only ``admin`` has every permission where it is left out.

    Raises `InvalidInput` for a permission that does not exist, for what cannot name a role, and
    for a role with a permission that ``admin`` lacks.
    """

    _by_role: Mapping[str, frozenset[Permission]] = field(alias="roles", converter=_rights)

    def with_roles(self, roles: Mapping[str, Collection[Permission | str]]) -> Policy:
        """Return a policy that has these roles beside or instead of its own; checked as a whole."""
        if not isinstance(roles, Mapping):
            raise InvalidInput("roles", "must map the name of each role to its permissions")
        return Policy({**self._by_role, **roles})

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of the roles that it knows, those with the fewest rights first."""
        return tuple(sorted(self._by_role, key=lambda role: (len(self._by_role[role]), role)))

    def rights_of(self, role: str) -> frozenset[Permission]:
        """Return what ``role`` may do: nothing, where the policy does not know it."""
        try:
            return self._by_role.get(role, frozenset())
        except TypeError:  # what has no hash
            raise InvalidInput("role", "must be the name of a role") from None

    def allows(self, role: str, permission: Permission) -> bool:
        """Tell whether ``role`` has ``permission``; what the policy does not know, nobody has."""
        rights = self.rights_of(role)
        try:
            return permission in rights
        except TypeError:  # what has no hash
            raise InvalidInput("permission", "must be a Permission") from None

    def authorize(self, role: str, permission: Permission, operation: str) -> None:
        """Raise `PermissionDenied` unless ``role`` has ``permission``, needed for ``operation``."""
        if not self.allows(role, permission):
            known = role in self._by_role
            raise PermissionDenied(role, permission, operation, role_is_known=known)

    def __hash__(self) -> int:
        return hash(frozenset(self._by_role.items()))

    def __reduce__(self) -> tuple[type[Policy], tuple[dict[str, frozenset[Permission]]]]:
        # A read-only view cannot be pickled; what is unpickled is checked like any other.
        return Policy, (dict(self._by_role),)


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

POLICY = Policy(
    {
        Role.GUEST: frozenset[Permission](),
        Role.STAFF: _STAFF,
        Role.RECEPTION: _RECEPTION,
        Role.MANAGER: _MANAGER,
        Role.ADMIN: frozenset(Permission),
    }
)
"""The library's own policy, which holds where a core is given no other."""
