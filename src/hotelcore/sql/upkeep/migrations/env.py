"""What Alembic's own commands run: on the connection of the configuration, under our own names."""

from __future__ import annotations

from alembic import context
from alembic.operations import Operations

from hotelcore.sql.schema import METADATA
from hotelcore.sql.upkeep.creation import VERSION

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION.name,
)
context.run_migrations(op=Operations(context.get_context()))
