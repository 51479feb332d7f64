"""``hotelcore db``: bring the tables of a database to this version, or say where they are."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from hotelcore.cli.output import Output
from hotelcore.errors import SchemaMismatch
from hotelcore.sql.creation import HEAD
from hotelcore.sql.schema import TableNames
from hotelcore.sql.upgrading import check, current, upgrade

__all__ = ["add_arguments", "run"]


def add_arguments(parser: ArgumentParser) -> None:
    """Declare the actions, and where the tables are."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    for action, purpose in (
        ("upgrade", "run the migrations that the database lacks"),
        ("current", "print the revision that the tables are at"),
        ("check", "fail unless the revision, every table and every column are there"),
    ):
        of_action = actions.add_parser(action, help=purpose, description=f"{purpose.capitalize()}.")
        of_action.add_argument(
            "--database", metavar="URL", required=True, help="where the tables are"
        )
        of_action.add_argument("--prefix", default="hc_", help="what their names begin with (hc_)")
        of_action.add_argument("--schema", help="the PostgreSQL schema that they are in")
        of_action.add_argument("--json", action="store_true", help="print one JSON document")


def run(arguments: Namespace) -> int:
    """Do the action; `SchemaMismatch` and other failures are the caller's to report."""
    output = Output(as_json=arguments.json)
    names = TableNames(prefix=arguments.prefix, schema=arguments.schema)
    if arguments.action == "check":
        _check(output, arguments.database, names)
        return 0
    if arguments.action == "upgrade":
        upgrade(arguments.database, names)
    revision = current(arguments.database, names)
    output.line(revision or "none")
    output.document({"revision": revision, "needed": HEAD})
    return 0


def _check(output: Output, database: str, names: TableNames) -> None:
    try:
        check(database, names)
    except SchemaMismatch as mismatch:
        output.document({"ok": False, "problem": str(mismatch)})
        raise
    output.line(f"revision {HEAD}, every table and column is there")
    output.document({"ok": True, "problem": None})
