"""``hotelcore access``: show who may do what."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from contextlib import closing

from hotelcore.access import POLICY, Permission, Policy
from hotelcore.cli.output import Output
from hotelcore.cli.purposes import sentence
from hotelcore.operations import OPERATIONS
from hotelcore.operations.declaring import permission_of

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the actions and what each of them takes."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    purpose = "print which role has which permission, and which operation needs which"
    matrix = actions.add_parser("matrix", help=purpose, description=sentence(purpose))
    matrix.add_argument(
        "--app",
        metavar="MODULE:NAME",
        help="where your HotelCore is, to see its policy and your operations (the library's own)",
    )
    matrix.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: Namespace) -> int:
    """Print the matrix. Reads no database."""
    output, policy = Output(as_json=arguments.json), _policy(arguments.app)
    # Only now: an app declares operations of its own.
    operations = {
        name: needed for name, work in OPERATIONS.items() if (needed := permission_of(work))
    }
    _print_roles(output, policy)
    _print_operations(output, policy, operations)
    output.document(
        {
            "roles": {role: sorted(policy.rights_of(role)) for role in policy.roles},
            "operations": dict(sorted(operations.items())),
        }
    )
    return 0


def _policy(app: str | None) -> Policy:
    if app is None:
        return POLICY
    from hotelcore.cli.apps import core_named  # only an app needs the database's side

    with closing(core_named(app)) as core:
        return core.policy


def _print_roles(output: Output, policy: Policy) -> None:
    output.table(
        ("permission", *policy.roles),
        [(permission, *_marks(policy, {permission})) for permission in Permission],
    )


def _print_operations(output: Output, policy: Policy, operations: Mapping[str, Permission]) -> None:
    order = list(Permission)
    by_permission = sorted(operations.items(), key=lambda one: (order.index(one[1]), one[0]))
    output.line()
    output.table(
        ("operation", "needs", *policy.roles),
        [
            # Without the right to look, no unit of work is opened in which to run it.
            (name, needed, *_marks(policy, {needed, Permission.BOOKINGS_VIEW}))
            for name, needed in by_permission
        ],
    )


def _marks(policy: Policy, needed: set[Permission]) -> list[str]:
    """Return for each role whether it has all that is needed."""
    return ["x" if needed <= policy.rights_of(role) else "-" for role in policy.roles]
