"""The first tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic.operations import Operations
from sqlalchemy.sql.naming import conv

from hotelcore.sql.upkeep.migrations.parts import (
    INSTANT,
    JSON,
    announced,
    append_only,
    chained,
    check,
    hotel_follows_from,
    index,
    key,
    of_hotel,
    ordered,
    refers,
)

revision = "0001"
down_revision = None


def upgrade(op: Operations) -> None:
    """Create every table, with its indexes and triggers."""
    _hotel(op)
    _audit_log(op)
    _business_day(op)
    _guest(op)
    _subject_key(op)
    _idempotency(op)
    _outbox(op)
    _feed(op)
    _inbox(op)
    _dead_letter(op)
    _pms_config(op)
    _room_type(op)
    _external_mapping(op)
    _room(op)
    _room_availability(op)
    _booking(op)
    _maintenance(op)
    _booking_night(op)
    _folio(op)
    _housekeeping_task(op)
    _room_key(op)
    _room_night(op)
    _folio_line(op)


def _hotel(op: Operations) -> None:
    op.create_table(
        "hc_hotel",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("time_zone", sa.String(64), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("rules", sa.Text(), nullable=False),
        sa.Column("stripe_customer_id", sa.String(255)),
        sa.Column("stripe_subscription_id", sa.String(255)),
        sa.Column("attributes", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        key("hc_hotel", "hotel_id"),
    )
    index(
        op,
        "hc_hotel",
        "stripe_customer_id",
        "stripe_customer_id",
        where="stripe_customer_id IS NOT NULL",
        unique=True,
    )
    index(
        op,
        "hc_hotel",
        "stripe_subscription_id",
        "stripe_subscription_id",
        where="stripe_subscription_id IS NOT NULL",
        unique=True,
    )


def _audit_log(op: Operations) -> None:
    op.create_table(
        "hc_audit_log",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(10), nullable=False),
        sa.Column("at", INSTANT, nullable=False),
        sa.Column("business_date", sa.Date()),
        sa.Column("subject", sa.String(200), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.Column("operation", sa.String(100), nullable=False),
        sa.Column("permission", sa.String(100)),
        sa.Column("resource", sa.String(50), nullable=False),
        sa.Column("resource_id", sa.Uuid(), nullable=False),
        sa.Column("changes", JSON, nullable=False),
        sa.Column("reason", sa.String(500)),
        sa.Column("correlation_id", sa.String(200)),
        sa.Column("key_number", sa.BigInteger()),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        key("hc_audit_log", "hotel_id", "id"),
        check("hc_audit_log", "outcome", "outcome IN ('done', 'denied')"),
        check("hc_audit_log", "permission", "(outcome = 'denied') = (permission IS NOT NULL)"),
        of_hotel("hc_audit_log"),
    )
    index(op, "hc_audit_log", "sequence", "hotel_id, sequence", unique=True)
    index(op, "hc_audit_log", "at", "hotel_id, at, sequence")
    index(op, "hc_audit_log", "operation", "hotel_id, operation, sequence")
    index(op, "hc_audit_log", "outcome", "hotel_id, outcome, sequence")
    index(op, "hc_audit_log", "resource", "hotel_id, resource, resource_id, sequence")
    index(op, "hc_audit_log", "subject", "hotel_id, subject, sequence")
    append_only(op, "hc_audit_log")
    op.create_table(
        "hc_audit_head",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("mac", sa.LargeBinary(), nullable=False),
        key("hc_audit_head", "hotel_id"),
        of_hotel("hc_audit_head"),
    )
    chained(op, "hc_audit_log", "hc_audit_head")


def _business_day(op: Operations) -> None:
    op.create_table(
        "hc_business_day",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("date", sa.Date(), nullable=False),
        sa.Column("rooms", sa.Integer(), nullable=False),
        sa.Column("out_of_inventory", sa.Integer(), nullable=False),
        sa.Column("out_of_order", sa.Integer(), nullable=False),
        sa.Column("rooms_sold", sa.Integer(), nullable=False),
        sa.Column("room_revenue_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("arrivals", sa.Integer(), nullable=False),
        sa.Column("departures", sa.Integer(), nullable=False),
        sa.Column("no_shows", sa.Integer(), nullable=False),
        sa.Column("closed_at", INSTANT, nullable=False),
        sa.Column("closed_by", sa.String(200), nullable=False),
        key("hc_business_day", "hotel_id", "date"),
        of_hotel("hc_business_day"),
    )


def _guest(op: Operations) -> None:
    op.create_table(
        "hc_guest",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("last_name", sa.String(200), nullable=False),
        sa.Column("first_name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(320)),
        sa.Column("phone", sa.String(50)),
        sa.Column("country", sa.String(3)),
        sa.Column("vip", sa.Boolean(), nullable=False),
        sa.Column("last_name_key", ordered(), nullable=False),
        sa.Column("email_key", ordered()),
        sa.Column("phone_key", ordered()),
        sa.Column("attributes", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("anonymised_at", INSTANT),
        sa.Column("version", sa.Integer(), nullable=False),
        key("hc_guest", "hotel_id", "id"),
        of_hotel("hc_guest"),
    )
    index(op, "hc_guest", "email", "hotel_id, email_key, last_name_key, id")
    index(op, "hc_guest", "name", "hotel_id, last_name_key, id")
    index(op, "hc_guest", "phone", "hotel_id, phone_key, last_name_key, id")


def _subject_key(op: Operations) -> None:
    op.create_table(
        "hc_subject_key",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("subject_id", sa.Uuid(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        key("hc_subject_key", "hotel_id", "subject_id"),
        of_hotel("hc_subject_key"),
    )


def _idempotency(op: Operations) -> None:
    op.create_table(
        "hc_idempotency",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("operation", sa.String(100), nullable=False),
        sa.Column("key", sa.String(200), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("result", JSON),
        sa.Column("created_at", INSTANT, nullable=False),
        key("hc_idempotency", "hotel_id", "operation", "key"),
        sa.ForeignKeyConstraint(
            ["hotel_id"],
            ["hc_hotel.hotel_id"],
            name=conv("fk_hc_idempotency_hotel_id"),
            deferrable=True,
            initially="DEFERRED",
        ),
    )


def _outbox(op: Operations) -> None:
    op.create_table(
        "hc_outbox",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger()),
        sa.Column("occurred_at", INSTANT, nullable=False),
        sa.Column("correlation_id", sa.String(200)),
        sa.Column("causation_id", sa.Uuid()),
        sa.Column("traceparent", sa.String(55)),
        sa.Column("payload", JSON, nullable=False),
        key("hc_outbox", "hotel_id", "id"),
        sa.UniqueConstraint("hotel_id", "key", "sequence", name=conv("uq_hc_outbox_key_sequence")),
        of_hotel("hc_outbox"),
    )
    index(op, "hc_outbox", "turn", "hotel_id, turn", where="position IS NULL")
    index(
        op,
        "hc_outbox",
        "position",
        "hotel_id, position",
        where="position IS NOT NULL",
        unique=True,
    )
    announced(op, "hc_outbox")


def _feed(op: Operations) -> None:
    op.create_table(
        "hc_feed",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("sent", sa.BigInteger(), nullable=False),
        sa.Column("served_at", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT),
        sa.Column("token", sa.Uuid()),
        sa.Column("attempts", sa.Integer(), nullable=False),
        key("hc_feed", "hotel_id"),
        of_hotel("hc_feed"),
    )


def _inbox(op: Operations) -> None:
    op.create_table(
        "hc_inbox",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("subscription", sa.String(100), nullable=False),
        sa.Column("key", sa.Uuid(), nullable=False),
        sa.Column("known", sa.Integer(), nullable=False),
        sa.Column("handled", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", INSTANT),
        sa.Column("token", sa.Uuid()),
        key("hc_inbox", "hotel_id", "subscription", "key"),
        of_hotel("hc_inbox"),
    )
    index(op, "hc_inbox", "due", "hotel_id, due_at", where="due_at IS NOT NULL")


def _dead_letter(op: Operations) -> None:
    op.create_table(
        "hc_dead_letter",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("subscription", sa.String(100), nullable=False),
        sa.Column("event_id", sa.Uuid(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failure", sa.String(200), nullable=False),
        sa.Column("died_at", INSTANT, nullable=False),
        sa.Column("due_at", INSTANT),
        sa.Column("token", sa.Uuid()),
        key("hc_dead_letter", "hotel_id", "subscription", "event_id"),
        refers("hc_dead_letter", "event_id", "hc_outbox"),
    )
    index(op, "hc_dead_letter", "due", "hotel_id, due_at", where="due_at IS NOT NULL")
    index(op, "hc_dead_letter", "event", "hotel_id, event_id")


def _pms_config(op: Operations) -> None:
    op.create_table(
        "hc_pms_config",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("vendor", sa.String(50), nullable=False),
        sa.Column("external_hotel_id", sa.String(200), nullable=False),
        sa.Column("connected_at", INSTANT, nullable=False),
        sa.Column("last_synced_at", INSTANT),
        sa.Column("api_key", sa.LargeBinary()),
        sa.Column("attributes", JSON, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        key("hc_pms_config", "hotel_id", "id"),
        of_hotel("hc_pms_config"),
    )
    index(op, "hc_pms_config", "hotel", "hotel_id", unique=True)


def _room_type(op: Operations) -> None:
    op.create_table(
        "hc_room_type",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("code", ordered(20), nullable=False),
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("base_rate_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("max_occupancy", sa.Integer(), nullable=False),
        sa.Column("overbooking_limit", sa.Integer(), nullable=False),
        sa.Column("attributes", JSON, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        key("hc_room_type", "hotel_id", "id"),
        of_hotel("hc_room_type"),
    )
    index(op, "hc_room_type", "code", "hotel_id, code", unique=True)


def _external_mapping(op: Operations) -> None:
    op.create_table(
        "hc_external_mapping",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("config_id", sa.Uuid(), nullable=False),
        sa.Column("resource", sa.String(20), nullable=False),
        sa.Column("external_id", sa.String(200), nullable=False),
        sa.Column("internal_id", sa.Uuid(), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        key("hc_external_mapping", "hotel_id", "config_id", "resource", "external_id"),
        sa.ForeignKeyConstraint(
            ["hotel_id", "config_id"],
            ["hc_pms_config.hotel_id", "hc_pms_config.id"],
            name=conv("fk_hc_external_mapping_hotel_id_config_id"),
            ondelete="CASCADE",
        ),
        check(
            "hc_external_mapping",
            "resource",
            "resource IN ('room_type', 'room', 'guest', 'booking')",
        ),
    )
    index(
        op,
        "hc_external_mapping",
        "internal_id",
        "hotel_id, internal_id, resource, config_id",
        unique=True,
    )


def _room(op: Operations) -> None:
    op.create_table(
        "hc_room",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("room_type_id", sa.Uuid(), nullable=False),
        sa.Column("number", ordered(20), nullable=False),
        sa.Column("floor", sa.String(20)),
        sa.Column("condition", sa.String(20), nullable=False),
        sa.Column("attributes", JSON, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        key("hc_room", "hotel_id", "id"),
        refers("hc_room", "room_type_id", "hc_room_type"),
        check("hc_room", "condition", "condition IN ('dirty', 'pickup', 'clean', 'inspected')"),
    )
    index(op, "hc_room", "type_number", "hotel_id, room_type_id, number")
    index(op, "hc_room", "number", "hotel_id, number", unique=True)
    hotel_follows_from(op, "hc_room", "room_type_id")


def _room_availability(op: Operations) -> None:
    op.create_table(
        "hc_room_availability",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("room_type_id", sa.Uuid(), nullable=False),
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column("rooms", sa.Integer(), nullable=False),
        sa.Column("out_of_inventory", sa.Integer(), nullable=False),
        sa.Column("out_of_order", sa.Integer(), nullable=False),
        sa.Column("committed", sa.Integer(), nullable=False),
        sa.Column("held", sa.Integer(), nullable=False),
        sa.Column("overbooking_limit", sa.Integer(), nullable=False),
        sa.Column("forced", sa.Integer(), nullable=False),
        key("hc_room_availability", "hotel_id", "room_type_id", "night"),
        refers("hc_room_availability", "room_type_id", "hc_room_type"),
        check(
            "hc_room_availability",
            "never_oversold",
            "committed + held <= rooms - out_of_inventory - out_of_order + "
            "overbooking_limit + forced",
        ),
        check("hc_room_availability", "rooms", "rooms >= 0"),
        check("hc_room_availability", "out_of_inventory", "out_of_inventory >= 0"),
        check("hc_room_availability", "out_of_order", "out_of_order >= 0"),
        check("hc_room_availability", "committed", "committed >= 0"),
        check("hc_room_availability", "held", "held >= 0"),
        check("hc_room_availability", "overbooking_limit", "overbooking_limit >= 0"),
        check("hc_room_availability", "forced", "forced >= 0"),
    )


def _booking(op: Operations) -> None:
    op.create_table(
        "hc_booking",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("confirmation_number", sa.String(40), nullable=False),
        sa.Column("guest_id", sa.Uuid(), nullable=False),
        sa.Column("room_type_id", sa.Uuid(), nullable=False),
        sa.Column("arrival", sa.Date(), nullable=False),
        sa.Column("departure", sa.Date(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("room_id", sa.Uuid()),
        sa.Column("adults", sa.Integer(), nullable=False),
        sa.Column("children", sa.Integer(), nullable=False),
        sa.Column("infants", sa.Integer(), nullable=False),
        sa.Column("channel", sa.String(50), nullable=False),
        sa.Column("total_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("cancellation", sa.Text(), nullable=False),
        sa.Column("hold_until", INSTANT),
        sa.Column("checked_in_at", INSTANT),
        sa.Column("checked_out_at", INSTANT),
        sa.Column("cancelled_at", INSTANT),
        sa.Column("checked_in_on", sa.Date()),
        sa.Column("checked_out_on", sa.Date()),
        sa.Column("no_show_on", sa.Date()),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("attributes", JSON, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        key("hc_booking", "hotel_id", "id"),
        refers("hc_booking", "guest_id", "hc_guest"),
        refers("hc_booking", "room_type_id", "hc_room_type"),
        refers("hc_booking", "room_id", "hc_room"),
        check(
            "hc_booking",
            "status",
            "status IN ('tentative', 'confirmed', 'in_house', 'checked_out', 'cancelled', "
            "'no_show')",
        ),
        check("hc_booking", "stay", "departure >= arrival"),
        check("hc_booking", "in_house", "status <> 'in_house' OR room_id IS NOT NULL"),
    )
    index(op, "hc_booking", "arrival", "hotel_id, arrival, id")
    index(
        op,
        "hc_booking",
        "checked_in_on",
        "hotel_id, checked_in_on",
        where="checked_in_on IS NOT NULL",
    )
    index(
        op,
        "hc_booking",
        "checked_out_on",
        "hotel_id, checked_out_on",
        where="checked_out_on IS NOT NULL",
    )
    index(op, "hc_booking", "departure", "hotel_id, departure, id")
    index(op, "hc_booking", "guest", "hotel_id, guest_id, arrival, id")
    index(op, "hc_booking", "hold_until", "hotel_id, hold_until", where="status = 'tentative'")
    index(op, "hc_booking", "no_show_on", "hotel_id, no_show_on", where="no_show_on IS NOT NULL")
    index(op, "hc_booking", "room", "hotel_id, room_id, arrival, id")
    index(op, "hc_booking", "status_arrival", "hotel_id, status, arrival, id")
    index(op, "hc_booking", "confirmation_number", "hotel_id, confirmation_number", unique=True)
    index(
        op, "hc_booking", "in_house", "hotel_id, room_id", where="status = 'in_house'", unique=True
    )


def _maintenance(op: Operations) -> None:
    op.create_table(
        "hc_maintenance",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("room_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("begins", sa.Date(), nullable=False),
        sa.Column("ends", sa.Date(), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("released_at", INSTANT),
        sa.Column("version", sa.Integer(), nullable=False),
        key("hc_maintenance", "hotel_id", "id"),
        refers("hc_maintenance", "room_id", "hc_room"),
        check(
            "hc_maintenance",
            "kind",
            "kind IN ('out_of_service', 'out_of_order', 'out_of_inventory')",
        ),
        check("hc_maintenance", "period", "ends > begins"),
    )
    index(op, "hc_maintenance", "ends", "hotel_id, ends", where="released_at IS NULL")


def _booking_night(op: Operations) -> None:
    op.create_table(
        "hc_booking_night",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=False),
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column("room_type_id", sa.Uuid(), nullable=False),
        sa.Column("price_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("released", sa.Boolean(), nullable=False),
        sa.Column("posted", sa.Boolean(), nullable=False),
        key("hc_booking_night", "hotel_id", "booking_id", "night"),
        refers("hc_booking_night", "booking_id", "hc_booking"),
        refers("hc_booking_night", "room_type_id", "hc_room_type"),
    )


def _folio(op: Operations) -> None:
    op.create_table(
        "hc_folio",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=False),
        sa.Column("guest_id", sa.Uuid(), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("balance_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("opened_at", INSTANT, nullable=False),
        sa.Column("closed_at", INSTANT),
        sa.Column("attributes", JSON, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        key("hc_folio", "hotel_id", "id"),
        refers("hc_folio", "booking_id", "hc_booking"),
        refers("hc_folio", "guest_id", "hc_guest"),
        check("hc_folio", "status", "status IN ('open', 'closed')"),
        check("hc_folio", "settled", "status = 'open' OR balance_minor = 0"),
    )
    index(op, "hc_folio", "booking", "hotel_id, booking_id, id")
    index(op, "hc_folio", "guest", "hotel_id, guest_id, id")
    index(op, "hc_folio", "status", "hotel_id, status, id")


def _housekeeping_task(op: Operations) -> None:
    op.create_table(
        "hc_housekeeping_task",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("room_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("assignee", sa.String(200)),
        sa.Column("due", sa.Date(), nullable=False),
        sa.Column("booking_id", sa.Uuid()),
        sa.Column("note", sa.String(500)),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("completed_at", INSTANT),
        sa.Column("completed_by", sa.String(200)),
        sa.Column("attributes", JSON, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        key("hc_housekeeping_task", "hotel_id", "id"),
        refers("hc_housekeeping_task", "room_id", "hc_room"),
        refers("hc_housekeeping_task", "booking_id", "hc_booking"),
        check("hc_housekeeping_task", "kind", "kind IN ('departure', 'stay_over', 'inspection')"),
        check("hc_housekeeping_task", "status", "status IN ('open', 'done', 'cancelled')"),
    )
    index(op, "hc_housekeeping_task", "assignee", "hotel_id, assignee, due, priority, id")
    index(op, "hc_housekeeping_task", "due", "hotel_id, due, priority, id")
    index(op, "hc_housekeeping_task", "room", "hotel_id, room_id, due, priority, id")
    index(op, "hc_housekeeping_task", "status", "hotel_id, status, due, priority, id")
    index(
        op,
        "hc_housekeeping_task",
        "departure",
        "hotel_id, booking_id",
        where="kind = 'departure'",
        unique=True,
    )


def _room_key(op: Operations) -> None:
    op.create_table(
        "hc_room_key",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=False),
        sa.Column("room_id", sa.Uuid(), nullable=False),
        sa.Column("valid_until", sa.Date(), nullable=False),
        sa.Column("issued_at", INSTANT, nullable=False),
        sa.Column("revoked_at", INSTANT),
        key("hc_room_key", "hotel_id", "id"),
        refers("hc_room_key", "booking_id", "hc_booking"),
        refers("hc_room_key", "room_id", "hc_room"),
    )
    index(op, "hc_room_key", "booking", "hotel_id, booking_id, id")


def _room_night(op: Operations) -> None:
    op.create_table(
        "hc_room_night",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("room_id", sa.Uuid(), nullable=False),
        sa.Column("night", sa.Date(), nullable=False),
        sa.Column("booking_id", sa.Uuid()),
        sa.Column("maintenance_id", sa.Uuid()),
        key("hc_room_night", "hotel_id", "room_id", "night"),
        refers("hc_room_night", "room_id", "hc_room"),
        refers("hc_room_night", "booking_id", "hc_booking"),
        refers("hc_room_night", "maintenance_id", "hc_maintenance"),
        check("hc_room_night", "one_holder", "(booking_id IS NULL) <> (maintenance_id IS NULL)"),
    )
    index(op, "hc_room_night", "booking", "hotel_id, booking_id, night")
    index(
        op,
        "hc_room_night",
        "maintenance",
        "hotel_id, maintenance_id, night",
        where="maintenance_id IS NOT NULL",
    )
    index(op, "hc_room_night", "night", "hotel_id, night")


def _folio_line(op: Operations) -> None:
    op.create_table(
        "hc_folio_line",
        sa.Column("hotel_id", sa.Uuid(), nullable=False),
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("folio_id", sa.Uuid(), nullable=False),
        sa.Column("booking_id", sa.Uuid(), nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("code", sa.String(50), nullable=False),
        sa.Column("description", sa.String(500), nullable=False),
        sa.Column("amount_minor", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(3), nullable=False),
        sa.Column("business_date", sa.Date(), nullable=False),
        sa.Column("service_date", sa.Date(), nullable=False),
        sa.Column("night", sa.Date()),
        sa.Column("refers_to", sa.Uuid()),
        sa.Column("posted_at", INSTANT, nullable=False),
        sa.Column("posted_by", sa.String(200), nullable=False),
        key("hc_folio_line", "hotel_id", "id"),
        refers("hc_folio_line", "folio_id", "hc_folio"),
        refers("hc_folio_line", "booking_id", "hc_booking"),
        refers("hc_folio_line", "refers_to", "hc_folio_line"),
        check(
            "hc_folio_line", "kind", "kind IN ('charge', 'allowance', 'payment', 'refund', 'void')"
        ),
    )
    index(op, "hc_folio_line", "business_date", "hotel_id, business_date, id")
    index(op, "hc_folio_line", "folio", "hotel_id, folio_id, id")
    index(op, "hc_folio_line", "refers_to", "hotel_id, refers_to, id")
    index(
        op,
        "hc_folio_line",
        "night",
        "hotel_id, booking_id, night",
        where="kind = 'charge' AND night IS NOT NULL AND refers_to IS NULL",
        unique=True,
    )
    index(op, "hc_folio_line", "void", "hotel_id, refers_to", where="kind = 'void'", unique=True)
    append_only(op, "hc_folio_line")
