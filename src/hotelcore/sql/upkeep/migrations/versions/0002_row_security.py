"""Row-level security on PostgreSQL: each transaction sees the rows of one hotel."""

from __future__ import annotations

from alembic.operations import Operations

from hotelcore.sql.upkeep.migrations.parts import protected

revision = "0002"
down_revision = "0001"

_OF_ONE_HOTEL = (
    "hc_hotel",
    "hc_audit_head",
    "hc_audit_log",
    "hc_business_day",
    "hc_guest",
    "hc_subject_key",
    "hc_idempotency",
    "hc_pms_config",
    "hc_room_type",
    "hc_external_mapping",
    "hc_room",
    "hc_room_availability",
    "hc_booking",
    "hc_maintenance",
    "hc_booking_night",
    "hc_folio",
    "hc_housekeeping_task",
    "hc_room_key",
    "hc_room_night",
    "hc_folio_line",
)
_RELAYED = ("hc_outbox", "hc_feed", "hc_inbox", "hc_dead_letter")


def upgrade(op: Operations) -> None:
    """Protect every table."""
    for table in _OF_ONE_HOTEL:
        protected(op, table)
    for table in _RELAYED:
        protected(op, table, relayed=True)
