"""A key of its own for each guest, under which the audit log keeps what was known of them.

The log is never changed. Whoever is to be forgotten loses the key, and what is sealed under it can
be opened by nobody any more: https://csrc.nist.gov/pubs/sp/800/88/r1/final, cryptographic erase.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from uuid import UUID

import attrs
from sqlalchemy import Column, ForeignKeyConstraint, Table, TypedColumns, bindparam, delete, select

from hotelcore import wire
from hotelcore.domain.audit import AuditLogEntry, Change
from hotelcore.errors import SealBroken
from hotelcore.ids import AuditEntryId, HotelId
from hotelcore.sql import schema
from hotelcore.sql.changing import inserts_into, left_as_it_is
from hotelcore.sql.inserting import rows_into
from hotelcore.sql.sealing.sealed import Sealing
from hotelcore.sql.seam.forms import Parameters
from hotelcore.sql.seam.statements import Statements, acting_hotel
from hotelcore.vault import KEY_BYTES, Place, Secret, opened_with, sealed_with

__all__ = ["SUBJECT_KEY", "SqlSubjectKeys"]


class SubjectKeyColumns(TypedColumns):
    """A guest's key; ``sealed`` holds the base64 of 32 random bytes."""

    hotel_id: Column[UUID] = schema.hotel_column()
    subject_id: Column[UUID] = schema.id_column("subject_id")
    sealed: Column[bytes] = Column(schema.Sealed, nullable=False)


SUBJECT_KEY = Table(
    "hc_subject_key",
    schema.METADATA,
    SubjectKeyColumns,
    ForeignKeyConstraint(["hotel_id"], ["hc_hotel.hotel_id"]),
)
"""The table of the guests' keys; one that is missing was never needed, or is gone for good."""

_c = SUBJECT_KEY.c
_FIND = select(_c.subject_id, _c.sealed).where(
    _c.hotel_id == acting_hotel(), _c.subject_id.in_(bindparam("wanted", expanding=True))
)
_ADD_NEW = rows_into(SUBJECT_KEY)
_ADD = inserts_into(SUBJECT_KEY, left_as_it_is)
_SHRED = delete(SUBJECT_KEY).where(
    _c.hotel_id == acting_hotel(), _c.subject_id == bindparam("subject")
)
_NONCE_BYTES = 12
_ONLY = 1  # a guest has one key, so its envelopes all have the same number


class SqlSubjectKeys:
    """The keys of the acting hotel's guests, as one unit of work uses them."""

    def __init__(self, run: Statements, sealing: Sealing) -> None:
        self._run = run
        self._sealing = sealing
        self._known: dict[UUID, Secret] = {}
        self._shredded: set[UUID] = set()

    def forget(self) -> None:
        """Forget which keys there are: a rollback may have undone some of them."""
        # What was shredded stays so: at worst, a change after that is kept without its values.
        self._known.clear()

    def add_new(self, subject_ids: Sequence[UUID]) -> None:
        """Make a key for each new guest; nothing is made if the core itself has none."""
        keys = self._new_keys(subject_ids)
        _ADD_NEW.must_write(self._run, self._rows_of(keys))
        self._known.update(keys)

    def _add(self, subject_id: UUID) -> None:
        """Make a key for a guest who has none."""
        keys = self._new_keys([subject_id])
        if self._run.write_many(_ADD[self._run.dialect], self._rows_of(keys)):
            self._known.update(keys)
        else:  # somebody has made it meanwhile
            self._there([subject_id])

    def _new_keys(self, subject_ids: Sequence[UUID]) -> Mapping[UUID, Secret]:
        if self._sealing.keys is None:
            return {}
        return {
            subject_id: Secret(b64encode(os.urandom(KEY_BYTES)).decode())
            for subject_id in subject_ids
        }

    def _rows_of(self, keys: Mapping[UUID, Secret]) -> list[Parameters]:
        return [
            {"subject_id": subject_id, "sealed": self._sealing.seal(_c.sealed, subject_id, key)}
            for subject_id, key in keys.items()
        ]

    def shred(self, subject_id: UUID) -> None:
        """Delete a guest's key, so that nothing that was sealed under it opens again."""
        self._shredded.add(subject_id)
        self._known.pop(subject_id, None)
        self._run.write(_SHRED, subject=subject_id)

    def sealed(
        self,
        personal: wire.Json,
        resource_id: UUID,
        guest_id: UUID | None,
        *,
        is_new: bool,
        entry_id: AuditEntryId,
        index: int,
    ) -> str | None:
        """Return the personal data of a change, sealed for its place in an entry (base64).

        ``is_new`` says that the record was not there before. None if it cannot be sealed: without
        keys, under a guest's key that does not open or is gone, and for a record of a guest who has
        none, as one who was erased is not to be given another.
        """
        key = self._key_of(resource_id, guest_id, is_new=is_new)
        if key is None:
            return None
        aad = _place(self._run.hotel_id, entry_id, index)
        envelope = sealed_with(
            b64decode(key.reveal()),
            os.urandom(_NONCE_BYTES),
            wire.canonical(personal),
            aad=aad,
            number=_ONLY,
        )
        return b64encode(envelope).decode()

    def _key_of(self, resource_id: UUID, guest_id: UUID | None, *, is_new: bool) -> Secret | None:
        """Return the key for a change; a record that names no guest is given one of its own."""
        subject_id, its_own = _whose(resource_id, guest_id), guest_id is None
        if self._sealing.keys is None or subject_id in self._shredded:
            return None
        if subject_id not in self._known:
            never_had_one = its_own and is_new
            if (never_had_one or not self._there([subject_id])) and its_own:
                self._add(subject_id)
        return self._known.get(subject_id)

    def _there(self, subject_ids: Sequence[UUID]) -> bool:
        """Read keys, and tell whether there are any; those that do not open stay unknown."""
        found = self._run.all_of(_FIND, lambda row: (row.subject_id, row.sealed), subject_ids)
        for subject_id, envelope in found:
            try:
                self._known[subject_id] = self._sealing.unseal(_c.sealed, subject_id, envelope)
            except SealBroken:
                continue
        return bool(found)

    # -- reading --------------------------------------------------------------------------------

    def opened(self, entries: Sequence[AuditLogEntry]) -> list[AuditLogEntry]:
        """Return the entries with the personal data that can still be opened in its place."""
        subjects = {
            _whose(change.resource_id, change.guest_id)
            for entry in entries
            for change in entry.changes
            if change.sealed
        }
        if not subjects or self._sealing.keys is None:
            return list(entries)
        self._there(sorted(subjects - self._known.keys()))
        return [self._opened(entry) for entry in entries]

    def _opened(self, entry: AuditLogEntry) -> AuditLogEntry:
        if not any(change.sealed for change in entry.changes):
            return entry
        changes = (self._revealed(entry, index) for index in range(len(entry.changes)))
        return attrs.evolve(entry, changes=tuple(changes))

    def _revealed(self, entry: AuditLogEntry, index: int) -> Change:
        change = entry.changes[index]
        key = self._known.get(_whose(change.resource_id, change.guest_id))
        if key is None or change.sealed is None:
            return change
        aad = _place(entry.hotel_id, entry.id, index)
        try:
            envelope = b64decode(change.sealed, validate=True)
        except NotBase64:
            return change
        plain = opened_with(b64decode(key.reveal()), envelope, aad=aad)
        if plain is None:
            return change
        before, after = json.loads(plain)
        return change.revealed(before, after)


def _whose(resource_id: UUID, guest_id: UUID | None) -> UUID:
    """Return under whose key a change of a record is sealed."""
    return guest_id or resource_id


def _place(hotel_id: HotelId, entry_id: AuditEntryId, index: int) -> bytes:
    place = Place(hotel_id, "hc_audit_log", "changes", entry_id)
    return place.encoded() + index.to_bytes(4, "big")
