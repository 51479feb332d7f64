"""The promises of a policy: what it does not grant is denied, to everybody, everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import partial

from hotelcore.access import Permission, Policy, Role
from hotelcore.clock import FixedClock
from hotelcore.core import Desk, HotelCore
from hotelcore.domain.audit import Outcome
from hotelcore.errors import InvalidInput, PermissionDenied
from hotelcore.ids import HotelId
from hotelcore.lists import AuditFilter, every
from hotelcore.tenancy import Actor
from hotelcore.testing.contracts.promises import promise, refusal
from hotelcore.testing.hotels import NOON, open_sample_hotel
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["PolicyContract"]

_STRANGERS = ("nobody", "root", "ADMIN", "Admin", " admin", "admin ", "admin\0", "", "*", "None")
_CLERK = "contract_clerk"


class PolicyContract:
    """Subclass it under a name that begins with ``Test``, and give the fixture ``policy``.

    ``policy`` returns the `hotelcore.access.Policy` that your core is made with, whether it is one
    of yours by its roles alone or of a subclass. Every check is one promise, for every role that
    the policy knows and for some that nobody may know.
    """

    @promise("No role may do what admin may not.")
    def test_no_role_exceeds_admin(self, policy: Policy) -> None:
        """Compare each role's permissions with those of admin."""
        ceiling = policy.rights_of(Role.ADMIN)
        for role in policy.roles:
            more = policy.rights_of(role) - ceiling
            assert not more, f"The role {role} has {_listed(more)}, which admin lacks."

    @promise("A role that a policy does not know may do nothing.")
    def test_an_unknown_role_may_do_nothing(self, policy: Policy) -> None:
        """Ask for roles that are left out, and for names that only look like a role's."""
        known = set(policy.roles)
        for stranger in (*(role.value for role in Role), *_STRANGERS):
            if stranger not in known:
                rights = policy.rights_of(stranger)
                assert not rights, f"The unknown role {stranger!r} has {_listed(rights)}."
                for permission in Permission:
                    what = f"To authorize the unknown role {stranger!r} for {permission}"
                    _denial(policy, stranger, permission, what)

    @promise("What a policy does not grant is denied, and what it grants is allowed.")
    def test_what_is_not_granted_is_denied(self, policy: Policy) -> None:
        """Hold ``authorize`` against ``rights_of``, for every role and every permission."""
        for role, permission in _matrix(policy):
            if permission not in policy.rights_of(role):
                what = f"To authorize {role} for {permission}, which rights_of leaves out,"
                _denial(policy, role, permission, what)
                continue
            try:
                policy.authorize(role, permission, "contract")
            except PermissionDenied as denied:
                seen = f"rights_of gives {role} {permission}, and authorize denies it."
                raise AssertionError(seen) from denied

    @promise("A denial names the role, the permission that it lacks and the operation.")
    def test_a_denial_says_who_lacked_what(self, policy: Policy) -> None:
        """Read what the error says, for every role and every permission that it lacks."""
        for role, permission in [*_matrix(policy), ("nobody", Permission.ADMIN_VIEW)]:
            if permission not in policy.rights_of(role):
                denied = _denial(policy, role, permission, f"To authorize {role} for {permission}")
                said = (denied.role, denied.permission, denied.operation)
                assert said == (role, permission, "contract"), f"For {role} it named {said}."

    @promise("A role holds permissions of hotelcore.access and nothing else.")
    def test_rights_are_known_permissions(self, policy: Policy) -> None:
        """Look at everything that each role holds."""
        for role in policy.roles:
            other = [held for held in policy.rights_of(role) if not isinstance(held, Permission)]
            assert not other, f"The role {role} holds {other!r}."

    @promise("Nothing changes what a policy grants after it is built.")
    def test_nothing_changes_what_is_granted(self, policy: Policy) -> None:
        """Ask it everything, try to add to what it answers, and ask again."""
        before = _granted(policy)
        for role in (*policy.roles, *_STRANGERS):
            for permission in Permission:
                _ask(policy, role, permission)
            held = policy.rights_of(role)
            assert isinstance(held, frozenset), f"What rights_of gives {role} can be added to."
        assert _granted(policy) == before, "It grants something else once it was asked."

    @promise("Taking a role's permissions away never enables anything.")
    def test_taking_a_role_away_enables_nothing(self, policy: Policy) -> None:
        """Empty each role but admin in turn, and compare what all the others have."""
        before = _granted(policy)
        for role in policy.roles:
            if role != Role.ADMIN:
                after = _granted(policy.with_roles({role: ()}))
                assert not after[role], f"The role {role} kept {_listed(after[role])}."
                for other, rights in after.items():
                    more = rights - before.get(other, frozenset())
                    assert not more, f"Without {role}, {other} has {_listed(more)} more."

    @promise("A permission that does not exist is refused when a policy is made.")
    def test_an_unknown_permission_is_refused(self, policy: Policy) -> None:
        """Try to give a role what nobody knows."""
        for wrong in ("NO_SUCH_PERMISSION", "bookings_view", "", "*"):
            what = f"To give a role the permission {wrong!r}"
            refusal(InvalidInput, partial(policy.with_roles, {_CLERK: [wrong]}), what)

    @promise("A role that exceeds admin is refused when a policy is made.")
    def test_a_role_above_admin_is_refused(self, policy: Policy) -> None:
        """Take a permission from admin and give it to somebody else."""
        for permission in Permission:
            less = policy.rights_of(Role.ADMIN) - {permission}
            roles = {Role.ADMIN: less, _CLERK: {permission}}
            what = f"To give a role {permission}, which admin lacks,"
            refusal(InvalidInput, partial(policy.with_roles, roles), what)

    @promise("A core asks the policy for each permission, and records whom it denies.")
    def test_every_permission_is_asked(self, policy: Policy) -> None:
        """Run a command for every role and permission in a hotel, and read its audit log."""
        core = HotelCore("sqlite://", policy=policy, clock=FixedClock(NOON))
        try:
            core.create_schema()
            _run_the_matrix(core, policy)
        finally:
            core.close()


def _run_the_matrix(core: HotelCore, policy: Policy) -> None:
    # The policy may give nobody what it takes to open a hotel and to read its audit log.
    hotel = open_sample_hotel(HotelCore(core.engine, clock=FixedClock(NOON)))
    denied = 0
    for role, permission in [*_matrix(policy), ("nobody", Permission.BOOKINGS_VIEW)]:
        rights = policy.rights_of(role)
        due = permission in rights and Permission.BOOKINGS_VIEW in rights
        ran = _ran(_desk(core, hotel.hotel_id, role), permission)
        assert ran is due, f"A command of {role} that needs {permission} {_WENT[ran]}."
        denied += not ran
    with hotel.desk.reading() as uow:
        which = AuditFilter(outcome=Outcome.DENIED)
        entries = list(every(lambda after: uow.audit.page(which, after=after, limit=500)))
    seen = f"{denied} commands were denied, and the audit log tells of {len(entries)}."
    assert len(entries) == denied, seen


_WENT = {True: "ran, though the role does not have that", False: "was denied, though the role may"}


def _desk(core: HotelCore, hotel_id: HotelId, role: str) -> Desk:
    return core.acting_as(Actor(hotel_id=hotel_id, subject="contract", role=role))


def _ran(desk: Desk, permission: Permission) -> bool:
    def command(uow: UnitOfWork) -> None:
        with uow.command("contract", permission):
            pass

    try:
        desk.run(command)
    except PermissionDenied:
        return False
    return True


def _matrix(policy: Policy) -> Iterator[tuple[str, Permission]]:
    return ((role, permission) for role in policy.roles for permission in Permission)


def _granted(policy: Policy) -> Mapping[str, frozenset[Permission]]:
    return {role: frozenset(policy.rights_of(role)) for role in policy.roles}


def _denial(policy: Policy, role: str, permission: Permission, what: str) -> PermissionDenied:
    return refusal(PermissionDenied, partial(policy.authorize, role, permission, "contract"), what)


def _ask(policy: Policy, role: str, permission: Permission) -> None:
    with suppress(PermissionDenied):
        policy.authorize(role, permission, "contract")


def _listed(permissions: Iterable[object]) -> str:
    return ", ".join(sorted(map(str, permissions)))
