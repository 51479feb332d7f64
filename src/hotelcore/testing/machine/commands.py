"""A command as the machine gives it: what is run, what must come of it, and what it changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from attrs import field, frozen

from hotelcore.access import Role

__all__ = ["LEAST_ROLE", "MANNERS", "Command", "Manner", "against", "at_least", "nothing_learnt"]

# The operations differ in arguments and results, so both are open here.

LEAST_ROLE: Mapping[str, Role] = {
    operation: role
    for role, operations in {
        Role.RECEPTION: (
            "create_booking_with_folio confirm_booking assign_room assign_rooms check_in_guest"
            " check_out_guest move_room expire_holds mark_no_show open_folio post_charge_to_folio"
            " record_payment close_folio register_guest amend_guest create_housekeeping_task"
            " complete_housekeeping_task bulk_update_room_status"
        ),
        Role.MANAGER: (
            "amend_stay reinstate_booking cancel_booking_with_refund grant_allowance void_charge"
            " move_charge refund_payment anonymise_guest block_room release_room close_business_day"
        ),
        Role.ADMIN: (
            "register_hotel change_house_rules add_room_type add_rooms retry_dead_letters"
            " replay_events forget_subscription purge_events connect_pms change_pms_key"
            " disconnect_pms sync_pms_data reseal_secrets"
        ),
    }.items()
    for operation in operations.split()
}
"""Who may run each operation: the role named and those above it."""

_RANK = {role: rank for rank, role in enumerate(Role)}


def at_least(role: Role, needed: Role) -> bool:
    """Tell whether ``role`` may do what ``needed`` may."""
    return _RANK[role] >= _RANK[needed]


def nothing_learnt(result: Any) -> None:
    """Take a result that changes nothing the machine knows."""


@frozen(kw_only=True)
class Command:
    """A call of an operation.

    ``doubts`` names the classes of the refusals of which one must come; without any the call must
    succeed. ``learn`` takes the result into the machine's beliefs. ``needs`` is the role for what
    the arguments ask beyond the operation itself. ``event`` is the wire name of what a success
    reports. A command that is not ``sure`` may succeed or be refused.
    """

    operation: Callable[..., Any]
    arguments: Mapping[str, Any]
    doubts: frozenset[str] = frozenset()
    learn: Callable[[Any], None] = nothing_learnt
    needs: Role = Role.GUEST
    event: str | None = None
    sure: bool = True

    @property
    def name(self) -> str:
        """The operation's name."""
        return str(self.operation.__name__)

    @property
    def least_role(self) -> Role:
        """The lowest role that may run it with these arguments."""
        base = LEAST_ROLE[self.name]
        return self.needs if at_least(self.needs, base) else base

    def doubts_of(self, role: Role) -> frozenset[str]:
        """Return the refusals to expect when somebody of ``role`` runs it."""
        if not at_least(role, LEAST_ROLE[self.name]):
            return frozenset({"PermissionDenied"})
        if not at_least(role, self.needs):
            return self.doubts | {"PermissionDenied"}
        return self.doubts


def against(**reasons: bool) -> frozenset[str]:
    """Return the names of the refusals whose reason holds."""
    return frozenset(name for name, holds in reasons.items() if holds)


@frozen
class Manner:
    """How a command is run: by whom (None for the lowest role that may), and in what.

    ``way`` is ``run``; ``transaction``, its one step; ``undone``, in a savepoint that is rolled
    back; or ``abandoned``, in a transaction that is. ``key`` is an idempotency key.
    """

    role: Role | None = None
    way: str = "run"
    key: str | None = field(default=None)


MANNERS = [
    *[Manner()] * 8,
    Manner(key="k1"),
    Manner(key="k2"),
    Manner(way="transaction"),
    Manner(way="undone"),
    Manner(way="abandoned"),
    Manner(role=Role.ADMIN),
    Manner(role=Role.MANAGER),
    Manner(role=Role.RECEPTION),
    Manner(role=Role.STAFF),
    Manner(role=Role.GUEST),
]
"""How commands are run, the plain way the most often."""
