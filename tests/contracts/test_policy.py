"""The contract of a policy: ours keeps it, and each promise can be seen broken."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import ClassVar, cast

import pytest

from hotelcore.access import POLICY, Permission, Policy, Role
from hotelcore.errors import PermissionDenied
from hotelcore.testing.contracts import PolicyContract
from tests.contracts.breaking import Case, broken_promise, cases_of

HOUSE = POLICY.with_roles({"spa": [Permission.BOOKINGS_VIEW, Permission.FOLIOS_CHARGE]})
NARROW = Policy(
    {
        Role.ADMIN: frozenset(Permission) - {Permission.PMS_MANAGE},
        "night": [Permission.BOOKINGS_VIEW, Permission.BUSINESS_DAY_CLOSE],
        "sign": [Permission.HOUSEKEEPING],
    }
)


class TestTheStandardPolicy(PolicyContract):
    """The library's own policy."""

    @pytest.fixture(
        params=[POLICY, HOUSE, NARROW, Policy({})], ids=["ours", "with more", "narrowed", "empty"]
    )
    def policy(self, request: pytest.FixtureRequest) -> Policy:
        """Return the standard policy, and some that a host may make of its roles."""
        found: Policy = request.param
        return found


# -- broken ones ----------------------------------------------------------------------------------


class Broken(Policy):
    """A policy that knows the standard roles, and of which one method is replaced."""

    def __init__(self) -> None:
        super().__init__({role: POLICY.rights_of(role) for role in Role})

    def with_roles(self, roles: Mapping[str, Collection[Permission | str]]) -> Policy:
        """Return a policy of the standard class."""
        return POLICY.with_roles(roles)


class Boundless(Broken):
    """Gives the reception what the administrator lacks."""

    def rights_of(self, role: str) -> frozenset[Permission]:
        lacking = {Permission.FOLIOS_REFUND}
        return super().rights_of(role) - (lacking if role == Role.ADMIN else frozenset())


class Hospitable(Broken):
    """Takes whom it does not know for staff."""

    def rights_of(self, role: str) -> frozenset[Permission]:
        return super().rights_of(role if role in self.roles else Role.STAFF)


class Careless(Broken):
    """Trims names before it looks them up in authorize alone."""

    def authorize(self, role: str, permission: Permission, operation: str) -> None:
        super().authorize(role.strip().lower(), permission, operation)


class Lax(Broken):
    """Lets the manager do anything."""

    def authorize(self, role: str, permission: Permission, operation: str) -> None:
        if role != Role.MANAGER:
            super().authorize(role, permission, operation)


class Strict(Broken):
    """Denies the manager what it says the manager may do."""

    def authorize(self, role: str, permission: Permission, operation: str) -> None:
        if role == Role.MANAGER:
            raise PermissionDenied(role=role, permission=permission, operation=operation)
        super().authorize(role, permission, operation)


class Rude(Broken):
    """Denies with another error."""

    def authorize(self, role: str, permission: Permission, operation: str) -> None:
        if permission not in self.rights_of(role):
            raise PermissionError(role)


class Vague(Broken):
    """Denies without saying what was asked for."""

    def authorize(self, role: str, permission: Permission, operation: str) -> None:
        if permission not in self.rights_of(role):
            raise PermissionDenied(role="somebody", permission=permission, operation=operation)


class Wordy(Broken):
    """Has a permission of its own invention."""

    def rights_of(self, role: str) -> frozenset[Permission]:
        return super().rights_of(role) | {cast("Permission", "TEA_MAKE")}


class Growing(Broken):
    """Hands out its own set."""

    def rights_of(self, role: str) -> frozenset[Permission]:
        return cast("frozenset[Permission]", set(super().rights_of(role)))


class Learning(Broken):
    """Grants what was asked for often enough."""

    _asked: ClassVar[list[str]] = []

    def rights_of(self, role: str) -> frozenset[Permission]:
        self._asked.append(role)
        later = len(self._asked) > 100 and role == Role.GUEST
        return super().rights_of(role) | (frozenset({Permission.BOOKINGS_VIEW}) if later else set())


class Sticky(Broken):
    """Keeps what a role had when it is taken away."""

    def with_roles(self, roles: Mapping[str, Collection[Permission | str]]) -> Policy:
        kept = {role: {*self.rights_of(role), *given} for role, given in roles.items()}
        return POLICY.with_roles(kept)


class Swapping(Broken):
    """Gives to the guest what it takes from another."""

    def with_roles(self, roles: Mapping[str, Collection[Permission | str]]) -> Policy:
        return POLICY.with_roles({Role.GUEST: POLICY.rights_of(Role.STAFF), **roles})


class Deaf(Broken):
    """Leaves out what it does not understand, instead of refusing it."""

    def with_roles(self, roles: Mapping[str, Collection[Permission | str]]) -> Policy:
        known = {role: {*given} & set(Permission) for role, given in roles.items()}
        ceiling = known.get(Role.ADMIN, set(Permission))
        return POLICY.with_roles({role: given & ceiling for role, given in known.items()})


class Moody(Broken):
    """Denies what it granted, where a unit of work asks."""

    def authorize(self, role: str, permission: Permission, operation: str) -> None:
        if operation == "unit of work" and role == Role.RECEPTION:
            raise PermissionDenied(role=role, permission=permission, operation=operation)
        super().authorize(role, permission, operation)


CASES: list[Case[type[Broken]]] = [
    ("test_no_role_exceeds_admin", Boundless, "reception|manager has FOLIOS_REFUND"),
    ("test_an_unknown_role_may_do_nothing", Hospitable, "unknown role 'nobody' has BOOKINGS_VIEW"),
    ("test_an_unknown_role_may_do_nothing", Careless, "unknown role 'ADMIN' .* raised nothing"),
    ("test_what_is_not_granted_is_denied", Lax, "manager for .* raised nothing"),
    ("test_what_is_not_granted_is_denied", Strict, "gives manager .*, and authorize denies it"),
    ("test_what_is_not_granted_is_denied", Rude, "raised PermissionError and not Permission"),
    ("test_a_denial_says_who_lacked_what", Vague, r"it named \('somebody'"),
    ("test_rights_are_known_permissions", Wordy, "holds .*TEA_MAKE"),
    ("test_nothing_changes_what_is_granted", Growing, "can be added to"),
    ("test_nothing_changes_what_is_granted", Learning, "something else once it was asked"),
    ("test_taking_a_role_away_enables_nothing", Sticky, "kept BOOKINGS_VIEW"),
    ("test_taking_a_role_away_enables_nothing", Swapping, "guest has BOOKINGS_VIEW more"),
    ("test_an_unknown_permission_is_refused", Deaf, "'NO_SUCH_PERMISSION' raised nothing"),
    ("test_a_role_above_admin_is_refused", Deaf, "which admin lacks, raised nothing"),
    ("test_every_permission_is_asked", Moody, "was denied, though the role may"),
    ("test_every_permission_is_asked", Lax, "of manager .* ran, though"),
]


@pytest.mark.parametrize(("check", "broken", "seen"), CASES)
def test_a_broken_policy_is_told(check: str, broken: type[Broken], seen: str) -> None:
    """Each promise is found broken, in its own words."""
    broken_promise(PolicyContract(), check, seen, policy=broken())


def test_every_promise_can_break() -> None:
    """No check passes whatever it is given."""
    assert cases_of(CASES) == cases_of(PolicyContract)
