"""``hotelcore db``: bring tables to this version, look at them, or let a role use them."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

import attrs

from hotelcore.cli.output import Output
from hotelcore.cli.purposes import sentence
from hotelcore.errors import RowSecurityMissing, SchemaMismatch
from hotelcore.sql.schema import TableNames
from hotelcore.sql.upkeep.creation import HEAD
from hotelcore.sql.upkeep.granting import grant
from hotelcore.sql.upkeep.index_use import index_use
from hotelcore.sql.upkeep.role_check import check_row_security
from hotelcore.sql.upkeep.upgrading import check, connected, current, upgrade

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the actions, and where the tables are."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action, purpose in (
        ("upgrade", "run the migrations that the database lacks"),
        ("current", "print the revision that the tables are at"),
        ("check", "fail unless every table and column is there and every key keeps hotels apart"),
        ("indexes", "print how often each index was used, and how large it is"),
        ("grant", "give a PostgreSQL role exactly what an application needs, and no more"),
    ):
        of_action = actions.add_parser(action, help=purpose, description=sentence(purpose))
        of_action.add_argument(
            "--database", metavar="URL", required=True, help="where the tables are"
        )
        of_action.add_argument("--prefix", default="hc_", help="what their names begin with (hc_)")
        of_action.add_argument("--schema", help="the PostgreSQL schema that they are in")
        of_action.add_argument("--json", action="store_true", help="print one JSON document")
        if action == "check":
            of_action.add_argument(
                "--row-security",
                action="store_true",
                help="fail also unless PostgreSQL keeps this role to the rows of one hotel",
            )
        if action == "grant":
            of_action.add_argument("--role", required=True, help="the application's, which exists")


def run(arguments: Namespace) -> int:
    """Do the action; `SchemaMismatch` and other failures are the caller's to report."""
    output = Output(as_json=arguments.json)
    names = TableNames(prefix=arguments.prefix, schema=arguments.schema)
    if arguments.action == "check":
        _check(output, arguments.database, names, row_security=arguments.row_security)
        return 0
    if arguments.action == "indexes":
        _show_indexes(output, arguments.database, names)
        return 0
    if arguments.action == "grant":
        grant(arguments.database, arguments.role, names)
        output.line(f"role {arguments.role} has what an application needs")
        output.document({"role": arguments.role})
        return 0
    if arguments.action == "upgrade":
        upgrade(arguments.database, names)
    revision = current(arguments.database, names)
    output.line(revision or "none")
    output.document({"revision": revision, "needed": HEAD})
    return 0


def _show_indexes(output: Output, database: str, names: TableNames) -> None:
    check(database, names)
    found = index_use(database, names)
    rows = [
        (use.name, use.table, "rule" if use.is_rule else "", _or_unknown(use.uses), _size(use.size))
        for use in found
    ]
    output.table(("index", "table", "", "uses", "KiB"), rows)
    output.document({"indexes": [attrs.asdict(use) for use in found]})


def _or_unknown(number: int | None) -> int | str:
    return "?" if number is None else number


def _size(size: int | None) -> int | str:
    return _or_unknown(None if size is None else size // 1024)


def _check(output: Output, database: str, names: TableNames, *, row_security: bool) -> None:
    try:
        check(database, names)
        if row_security:
            with connected(database, reading=True) as connection:
                check_row_security(connection, names)
    except (SchemaMismatch, RowSecurityMissing) as mismatch:
        output.document({"ok": False, "problem": str(mismatch)})
        raise
    output.line(f"revision {HEAD}, every table and column is there, hotel_id is in every key")
    output.document({"ok": True, "problem": None})
