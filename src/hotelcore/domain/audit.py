"""Audit entries: who did what to which record, when, what changed; and whether all are there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime
from enum import StrEnum
from functools import cache
from typing import TypeAlias
from uuid import UUID

import attrs
from attrs import frozen

from hotelcore import wire
from hotelcore.domain import fields
from hotelcore.errors import InvalidInput
from hotelcore.ids import AuditEntryId, GuestId, HotelId
from hotelcore.text import clean_text

__all__ = [
    "HIDDEN",
    "AuditHead",
    "AuditLogEntry",
    "AuditProblem",
    "AuditReport",
    "Change",
    "Fault",
    "Outcome",
    "check_record",
    "check_states",
    "personal_between",
    "text_of_change",
]

HIDDEN = "…"
"""What stands in an entry for a guest's own data."""

_HIDDEN = wire.text_of(HIDDEN)
_LONGEST_RESOURCE = 50
_MOST_ENTRIES = 2**63 - 1
_MOST_SEALED = 2**20
_MOST_KEYS = 2**32 - 1


class Outcome(StrEnum):
    """How what an entry tells of ended: it was done, or the actor was not allowed to."""

    DONE = "done"
    DENIED = "denied"


@frozen(kw_only=True)
class Change:
    """What happened to one record: the fields that differ, before and after, in wire form.

    A guest's personal data is in neither: such a field shows only that it changed. Where the core
    has keys, ``sealed`` holds what it was (base64), which the log opens for who may read it. It is
    sealed under the key of ``guest_id``, the guest whom a host's record tells of; without that,
    under the key of ``resource_id``, which for a guest's own record is the guest's.
    """

    resource: str = fields.text(_LONGEST_RESOURCE)
    resource_id: UUID = fields.identifier()
    before: wire.Json
    after: wire.Json
    sealed: str | None = fields.text(_MOST_SEALED, optional=True)
    guest_id: GuestId | None = fields.identifier(optional=True)

    def revealed(self, before: wire.Json, after: wire.Json) -> Change:
        """Return the change with the personal data in its place."""
        return attrs.evolve(
            self, before=_with(self.before, before), after=_with(self.after, after), sealed=None
        )


@frozen(kw_only=True)
class AuditLogEntry:
    """One successful command, or one refusal for want of a permission.

    Every command leaves exactly one entry, written in its transaction. ``sequence`` counts the
    hotel's entries from 1, without gaps. ``changes`` come in the order in which they were made;
    ``resource`` and ``resource_id`` are those of the first, the record that the command is about.
    ``business_date`` is the day that was open when the command began, if it looked. ``reason`` is
    what the actor gave for an override or a correction. A refusal (``outcome`` is ``denied``)
    names the ``permission`` that was missing, and nothing changed.
    """

    id: AuditEntryId = fields.identifier()
    hotel_id: HotelId = fields.identifier()
    sequence: int = fields.count(0, _MOST_ENTRIES, default=0)  # 0 until it is in the log
    outcome: Outcome = fields.choice(Outcome, default=Outcome.DONE)
    at: datetime = fields.instant()
    business_date: date | None = fields.day(optional=True)
    subject: str = fields.text(200)
    role: str = fields.text(20)
    operation: str = fields.text(100)
    permission: str | None = fields.text(100, optional=True)
    resource: str = fields.text(_LONGEST_RESOURCE)
    resource_id: UUID = fields.identifier()
    changes: tuple[Change, ...] = fields.instances(Change)
    reason: str | None = fields.text(500, optional=True)
    correlation_id: str | None = fields.text(200, optional=True)


# An attrs class of our own; attrs offers no narrower name for "any of them".
Entity: TypeAlias = attrs.AttrsInstance

_SILENT = frozenset({"id", "hotel_id", "version"})


def text_of_change(
    resource: str,
    resource_id: UUID,
    before: Entity | None,
    after: Entity | None,
    *,
    guest_id: GuestId | None = None,
    sealed: str | None = None,
) -> str:
    """Return the difference of two states of one record as the JSON text of a `Change`.

    None stands for not existing. It is a text from here on, since a sync has tens of thousands of
    them: as objects they would take three times the memory until the end of the transaction. What
    it is of has passed `check_record` and `check_states`. Raises `InvalidInput` for what does not
    travel, and for more that is ``sealed`` than a change may hold.
    """
    texts = {
        "after": _shown(after, other=before),
        "before": _shown(before, other=after),
        "guest_id": guest_id and wire.text_of(guest_id),
        "resource": wire.text_of(resource),
        "resource_id": wire.text_of(resource_id),
        "sealed": sealed and wire.text_of(clean_text("sealed", sealed, most=_MOST_SEALED)),
    }
    return _object((name, text) for name, text in texts.items() if text)


def check_record(resource: str, resource_id: UUID, guest_id: GuestId | None) -> None:
    """Raise `InvalidInput` for what names no record, or no guest of whom a record tells."""
    clean_text("resource", resource, most=_LONGEST_RESOURCE)
    fields.check_id("resource_id", resource_id)
    if guest_id is not None:
        fields.check_id("guest_id", guest_id)


def check_states(before: object, after: object) -> None:
    """Raise `InvalidInput` for a state that is neither a record nor None."""
    for name, state in (("before", before), ("after", after)):
        if state is not None and not attrs.has(type(state)):
            raise InvalidInput(name, "must be a record of an attrs class, or None")


def personal_between(before: Entity | None, after: Entity | None) -> list[wire.Json] | None:
    """Return the personal data that differs, before and after; None if there is none of it."""
    parts = (_personal(before, other=after), _personal(after, other=before))
    return list(parts) if any(parts) else None


def _shown(entity: Entity | None, *, other: Entity | None) -> str:
    """Show the fields in which ``entity`` differs from ``other``; from nothing, those not None."""
    if entity is None:
        return "null"
    hidden = _personal_of(type(entity))
    return _object(
        (name, _redacted(value) if name in hidden else wire.text_of(value))
        for name, value in _different(entity, other, _told_of(type(entity)))
    )


def _object(texts: Iterable[tuple[str, str]]) -> str:
    """Write an object of texts, whose names are plain and come in order."""
    return "{" + ",".join([f'"{name}":{text}' for name, text in texts]) + "}"


def _personal(entity: Entity | None, *, other: Entity | None) -> dict[str, wire.Json]:
    if entity is None:
        return {}
    different = _different(entity, other, _personal_of(type(entity)))
    return {name: wire.encode(value) for name, value in different if value is not None}


def _different(
    entity: Entity, other: Entity | None, names: Iterable[str]
) -> Iterator[tuple[str, object]]:
    """Give those of the named fields that differ, with their values."""
    if other is None:
        for name in names:
            if (value := getattr(entity, name)) is not None:
                yield name, value
        return
    for name in names:
        value, others = getattr(entity, name), getattr(other, name, None)
        # Most fields of a record that changed are the same objects as before.
        if value is not others and value != others:
            yield name, value


@cache
def _told_of(kind: type[Entity]) -> tuple[str, ...]:
    """Name the fields of a class that stand in the log, in the order in which they stand there."""
    return tuple(sorted({field.name for field in attrs.fields(kind)} - _SILENT))


@cache
def _personal_of(kind: type[Entity]) -> tuple[str, ...]:
    """Name those of them that are personal."""
    told = attrs.fields_dict(kind)
    return tuple(name for name in _told_of(kind) if "personal" in told[name].metadata)


def _redacted(value: object) -> str:
    """Say only whether there is a value."""
    return "null" if value is None else _HIDDEN


def _with(shown: wire.Json, personal: wire.Json) -> wire.Json:
    if isinstance(shown, dict) and isinstance(personal, dict):
        return {**shown, **personal}
    return shown


# -- the chain --------------------------------------------------------------------------------


@frozen(kw_only=True)
class AuditHead:
    """The end of a hotel's audit log: the number of its entries, and the mac of the last.

    The mac stands for every entry up to there. Kept outside the database, as JSON by
    `hotelcore.wire.encode`, it shows later that none of them was cut off or written anew.
    ``key_number`` is that of the key behind the mac; None where the core had no keys.
    """

    hotel_id: HotelId = fields.identifier()
    sequence: int = fields.count(0, _MOST_ENTRIES)
    mac: str = fields.text(64)
    key_number: int | None = fields.count(1, _MOST_KEYS, optional=True)


class Fault(StrEnum):
    """What is wrong at a place of an audit log.

    A mac that does not fit cannot say how it came about: an entry that was edited, exchanged with
    another or moved here, one that somebody forged, all look alike.
    """

    BROKEN = "broken"
    """The entry is not what was written after the entry before it."""
    REMOVED = "removed"
    """Entries are missing from here on."""
    TWICE = "twice"
    """Another entry has this sequence already."""
    UNKEYED = "unkeyed"
    """The entry is under no key, as anybody could have written it."""
    UNKNOWN_KEY = "unknown key"
    """The entry is under a key that the core does not have."""
    CUT_OFF = "cut off"
    """Entries are missing at the end: the log was longer once."""
    REWRITTEN = "rewritten"
    """Here the log is another one than when the given head was exported."""
    HEAD = "head"
    """The head in the database is not that of the log's last entry."""


@frozen
class AuditProblem:
    """One thing that is wrong: what, and from which sequence on."""

    sequence: int
    fault: Fault


@frozen(kw_only=True)
class AuditReport:
    """What the verification of a hotel's audit log found.

    ``entries`` were read, the last good one is at ``head``. ``found`` counts all problems, of which
    ``problems`` are the first.
    """

    head: AuditHead
    entries: int
    found: int
    problems: tuple[AuditProblem, ...]

    @property
    def ok(self) -> bool:
        """Whether every entry is there and as it was written."""
        return not self.found
