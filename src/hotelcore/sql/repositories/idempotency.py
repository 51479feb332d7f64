"""Idempotency keys: the same call under the same key has one effect and one result, ever."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

import attrs
from sqlalchemy import (
    Column,
    ForeignKeyConstraint,
    String,
    Table,
    TypedColumns,
    bindparam,
    select,
    update,
)

from hotelcore import wire
from hotelcore.errors import IdempotencyConflict, InvalidInput
from hotelcore.sql import schema
from hotelcore.sql.changing import inserts_into, left_as_it_is
from hotelcore.sql.seam.statements import Statements, acting_hotel

__all__ = ["ERASED", "IDEMPOTENCY", "claim", "settle"]

ERASED = ("register_guest", "amend_guest", "anonymise_guest")
"""The operations whose stored results are erased with the guest that they return."""


class IdempotencyColumns(TypedColumns):
    """A key's columns; ``result`` is the encoded result of the operation."""

    hotel_id: Column[UUID] = schema.hotel_column()
    operation: Column[str] = Column(String(100), primary_key=True)
    key: Column[str] = Column(String(200), primary_key=True)
    fingerprint: Column[str] = Column(String(64), nullable=False)
    result: Column[wire.Json] = Column(schema.Json, nullable=True)
    created_at: Column[datetime] = Column(schema.Instant, nullable=False)


IDEMPOTENCY = Table(
    "hc_idempotency",
    schema.METADATA,
    IdempotencyColumns,
    # Deferred, because the hotel that `register_hotel` adds comes after the claim of its key.
    ForeignKeyConstraint(
        ["hotel_id"], ["hc_hotel.hotel_id"], deferrable=True, initially="DEFERRED"
    ),
)
"""The table of idempotency keys, each with its result."""
_c = IDEMPOTENCY.c
_CLAIMS = inserts_into(IDEMPOTENCY, left_as_it_is)
_THIS = (
    _c.hotel_id == acting_hotel(),
    _c.operation == bindparam("its_operation"),
    _c.key == bindparam("its_key"),
)
_FIND = select(_c.fingerprint, _c.result).where(*_THIS)
_SETTLE = update(IDEMPOTENCY).where(*_THIS).values(result=bindparam("result"))


def claim(
    run: Statements, *, operation: str, key: str, fingerprint: str, at: datetime
) -> list[wire.Json] | None:
    """Take the key for this unit; None if it is ours now, else the stored result in a list.

    While another unit holds the key, this waits for its end: after a rollback the key is free
    again, after a commit its result is there. Raises `IdempotencyConflict` if the key stands for
    other arguments.
    """
    taken = run.write(
        _CLAIMS[run.dialect],
        operation=operation,
        key=key,
        fingerprint=fingerprint,
        result=None,
        created_at=at,
    )
    if taken:
        return None
    found = run.first(_FIND, tuple, its_operation=operation, its_key=key)
    if found is None or found[0] != fingerprint:
        raise IdempotencyConflict(operation)
    return [found[1]]


def settle(run: Statements, *, operation: str, key: str, result: object, kind: object) -> None:
    """Store the result under the claimed key, as one of the type ``kind``.

    Raises `InvalidInput` for personal data that `hotelcore.operations.anonymise_guest` would not
    find again, and for what could not be built again when the key comes a second time.
    """
    if operation not in ERASED and _is_personal(result):
        raise InvalidInput("operation", "returns a guest's data under a key: return the id instead")
    run.write(_SETTLE, its_operation=operation, its_key=key, result=_storable(result, kind))


def _storable(result: object, kind: object) -> wire.Json:
    try:
        encoded = wire.encode(result)
        wire.decode(encoded, kind)
    except InvalidInput as refusal:
        where = "" if refusal.field in ("value", "kind") else f" in its field {refusal.field}"
        raise InvalidInput(
            "operation",
            f"returned what its annotation does not say or what cannot be stored{where}, so it "
            f"cannot be run under a key: {refusal.reason}",
        ) from None
    return encoded


def _is_personal(value: object) -> bool:
    if isinstance(value, tuple | list | frozenset):
        return any(_is_personal(item) for item in value)
    if isinstance(value, Mapping):
        return any(_is_personal(item) for item in value.values())
    kind = type(value)
    return attrs.has(kind) and any(
        "personal" in field.metadata or _is_personal(getattr(value, field.name))
        for field in attrs.fields(kind)
    )
