"""What the takeover of every kind of record shares: which are new, which changed, which are ours.

A record is known by its external id, and what was last taken over of it by a fingerprint. One that
cannot be followed is told and not remembered, so the next run that is sent it tries again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar
from uuid import UUID

from attrs import field, frozen

from hotelcore import wire
from hotelcore.domain.pms import ExternalMapping, ExternalPMSConfig, PmsResource
from hotelcore.errors import InvalidInput, PmsFailure, Refused
from hotelcore.operations.pms_sync.report import Hindrance, NotFollowed, Taken
from hotelcore.unit_of_work import UnitOfWork

__all__ = ["Takeover", "Told"]

_MOST_NAMED = 7
"""The most records that one error names."""


class _Record(Protocol):
    @property
    def external_id(self) -> str: ...


R = TypeVar("R", bound=_Record)
T = TypeVar("T")


@frozen
class Told(Generic[R]):
    """The latest records of one kind: those never taken over, those that changed since, and all."""

    resource: PmsResource
    latest: Mapping[str, R]
    new: Sequence[R]
    changed: Sequence[R]

    @property
    def to_take(self) -> tuple[R, ...]:
        """Those that are new or changed."""
        return (*self.new, *self.changed)


@frozen
class Takeover:
    """One synchronisation: what it found out and what it could not follow."""

    uow: UnitOfWork
    config: ExternalPMSConfig
    found: dict[PmsResource, dict[str, UUID]] = field(factory=lambda: defaultdict(dict))
    adopted: set[UUID] = field(factory=set)
    """Ids of what was here before the record that it is now known by."""
    not_followed: list[NotFollowed] = field(factory=list)

    def told(self, resource: PmsResource, records: Iterable[R]) -> Told[R]:
        """Find out which of the records are new, and which of the known ones changed."""
        latest = {record.external_id: record for record in records}
        known = self.uow.pms.mappings(resource, latest)
        self.found[resource].update((key, known[key].internal_id) for key in known)
        new = [record for key, record in latest.items() if key not in known]
        changed = [
            record
            for key, record in latest.items()
            if key in known and known[key].fingerprint != wire.fingerprint(record)
        ]
        return Told(resource, latest, new, changed)

    def take(
        self,
        told: Told[R],
        create: Callable[[Told[R]], Sequence[UUID | None]],
        change: Callable[[R, UUID], Hindrance | None],
    ) -> Taken:
        """Create the new records, change the changed ones, and store their mappings.

        ``create`` gives our id of each new record, or None for one that is left, and ``change``
        what keeps a record from being followed.
        """
        found, hindered = self.found[told.resource], len(self.not_followed)
        new = zip(told.new, create(told), strict=True) if told.new else ()
        created = [(record, ours) for record, ours in new if ours is not None]
        found.update((record.external_id, ours) for record, ours in created)
        hindrances = self.each(
            told, told.changed, lambda record: change(record, found[record.external_id])
        )
        updated = [
            record
            for record, hindrance in zip(told.changed, hindrances, strict=True)
            if not self.is_hindered(told.resource, record, hindrance)
        ]
        self._remember(told, (*(record for record, _ in created), *updated))
        left = len(self.not_followed) - hindered
        unchanged = len(told.latest) - len(created) - len(updated) - left
        return Taken(created=len(created), updated=len(updated), unchanged=unchanged)

    def is_hindered(
        self, resource: PmsResource, record: _Record, hindrance: Hindrance | None
    ) -> bool:
        """Tell whether something keeps a record from being followed, and note what it is."""
        if hindrance is not None:
            self.not_followed.append(
                NotFollowed(resource=resource, external_id=record.external_id, reason=hindrance)
            )
        return hindrance is not None

    def each(self, told: Told[R], records: Iterable[R], work: Callable[[R], T]) -> list[T]:
        """Do something with each of some records; a refusal names the record."""
        done: list[T] = []
        for record in records:
            try:
                done.append(work(record))
            except (Refused, InvalidInput) as refusal:
                named = f"{told.resource} {record.external_id}"
                raise self.failure(f"{named} cannot be taken over: {refusal}") from refusal
        return done

    def failure(self, reason: str) -> PmsFailure:
        """Build the error that stops the run."""
        return PmsFailure(self.config.vendor, reason)

    def _remember(self, told: Told[R], records: Iterable[R]) -> None:
        renewed = [
            ExternalMapping(
                hotel_id=self.uow.hotel_id,
                config_id=self.config.id,
                resource=told.resource,
                external_id=record.external_id,
                internal_id=self.found[told.resource][record.external_id],
                fingerprint=wire.fingerprint(record),
            )
            for record in records
        ]
        with self.uow.together(later=True):
            self.uow.pms.put_mappings(renewed, twice=lambda: self._twice(told))

    def _twice(self, told: Told[R]) -> PmsFailure:
        """Name the records that are one here, as far as this run was sent them."""
        found = self.found[told.resource]
        sharing: defaultdict[UUID, list[str]] = defaultdict(list)
        for external_id, ours in found.items():
            sharing[ours].append(external_id)
        doubles = [sorted(names) for names in sharing.values() if len(names) > 1]
        if doubles:
            return self.are_one(told.resource, doubles[0])
        suspects = [r.external_id for r in told.new if found.get(r.external_id) in self.adopted]
        return self.are_one(told.resource, sorted(suspects), "and one of an earlier run")

    def are_one(self, resource: PmsResource, named: Collection[str], *more: str) -> PmsFailure:
        """Build the error for records there that are one here."""
        names = [*list(named)[:_MOST_NAMED], *more]
        return self.failure(
            f"two records there are one {resource} here ({', '.join(names)}): correct one there"
        )

    def learn(self, resource: PmsResource, external_ids: Iterable[str]) -> None:
        """Look up the records that are named and that no one has told in this run."""
        found = self.found[resource]
        known = self.uow.pms.mappings(resource, set(external_ids).difference(found))
        found.update((key, known[key].internal_id) for key in known)

    def here(self, resource: PmsResource, external_id: str, *, named_by: str) -> UUID:
        """Return our id of a record that was told, or looked up by `learn`.

        ``named_by`` is the kind and the external id of the record that names it.
        """
        known = self.found[resource].get(external_id)
        if known is None:
            what = f"{named_by} names the {resource} {external_id}, which was never sent"
            raise self.failure(f"{what}: fetch everything again")
        return known
