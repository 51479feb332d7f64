"""The packaged migrations, and what runs them; needs the ``migrations`` extra.

A migration is a function ``upgrade(op)`` that is handed its `alembic.operations.Operations`.
Alembic's global ``alembic.op`` is left alone, so ours can run inside a migration of the host's and
in several threads at once. There is no downgrade: a ledger that is dropped does not come back.
"""

from __future__ import annotations

from sqlalchemy import Connection

from hotelcore.errors import MissingExtra
from hotelcore.sql.schema import TableNames
from hotelcore.sql.upkeep.creation import VERSION

try:
    from alembic.config import Config
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext, MigrationStep
    from alembic.script import ScriptDirectory
except ImportError:
    raise MissingExtra("migrations", "migrations") from None

__all__ = ["configuration", "run_migrations"]


def configuration(connection: Connection | None = None) -> Config:
    """Give the configuration with which Alembic's own commands work on these migrations.

    ``history`` and the like need no database; those that look at one use ``connection`` and the
    library's own names. The next migration is written by ``alembic.command.revision`` with
    ``autogenerate=True`` and the next number as ``rev_id``, on a database at the newest revision;
    `hotelcore.sql.upkeep.creation.HEAD` then moves on to it.
    """
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", "hotelcore.sql.upkeep:migrations")
    return config


def run_migrations(connection: Connection, names: TableNames) -> None:
    """Run the migrations that the database lacks, in the transaction that is open.

    What they do goes by the names that `hotelcore.sql.upkeep.creation.in_schema` put in force.
    """
    scripts = ScriptDirectory.from_config(configuration())

    def steps(current: tuple[str, ...], _: MigrationContext) -> list[MigrationStep]:
        lacking = list(scripts.iterate_revisions("head", current, implicit_base=True))
        return [
            MigrationStep.upgrade_from_script(scripts.revision_map, script)
            for script in reversed(lacking)
        ]

    context = MigrationContext.configure(
        connection,
        opts={"fn": steps, "version_table": names.in_statement(VERSION.name)},
    )
    context.run_migrations(op=Operations(context))
