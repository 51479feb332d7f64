"""What is under which key: the values that are sealed, and the macs of the audit log."""

from __future__ import annotations

from collections import Counter

from attrs import frozen
from sqlalchemy import func, select

from hotelcore.sql.audit.log import AUDIT_LOG
from hotelcore.sql.sealing.sealed import sealed_by_key
from hotelcore.sql.seam.statements import Statements, acting_hotel

__all__ = ["KeyUse", "use_of_keys"]

_c = AUDIT_LOG.c
_ENTRIES = (
    select(_c.key_number, func.count().label("number"))
    .where(_c.hotel_id == acting_hotel(), _c.key_number.is_not(None))
    .group_by(_c.key_number)
)


@frozen
class KeyUse:
    """How much is under each key, by its number.

    ``sealed`` counts values; under None, those that are no envelopes. ``audit`` counts the entries
    of audit logs, which stay under the key that they were written under.
    """

    sealed: Counter[int | None]
    audit: Counter[int]

    def __add__(self, other: KeyUse) -> KeyUse:
        return KeyUse(self.sealed + other.sealed, self.audit + other.audit)


def use_of_keys(run: Statements) -> KeyUse:
    """Count what the acting hotel has under each key."""
    entries = run.all(_ENTRIES, lambda row: (row.key_number, row.number))
    return KeyUse(sealed_by_key(run), Counter(dict(entries)))
