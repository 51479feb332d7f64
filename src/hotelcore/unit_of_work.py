"""One transaction of one actor in one hotel: the repositories, the events, the audit, the time."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import ParamSpec, Protocol
from uuid import UUID

from attrs import AttrsInstance

from hotelcore import repositories as repo
from hotelcore.access import Permission
from hotelcore.domain.hotels import Hotel
from hotelcore.events.catalogue import Event
from hotelcore.ids import GuestId, HotelId
from hotelcore.tenancy import Actor

__all__ = ["UnitOfWork"]

P = ParamSpec("P")


class UnitOfWork(Protocol):
    """What an operation works on. It becomes real as a whole or not at all.

    Everything in it is bound to the actor's hotel. Reading units refuse every write with
    `ReadOnly`. A unit is used by one thread or task at a time and is dead once its handle is left.
    """

    @property
    def actor(self) -> Actor:
        """Who acts, and in which hotel."""
        ...

    @property
    def hotel_id(self) -> HotelId:
        """The acting hotel."""
        ...

    @property
    def hotel(self) -> Hotel:
        """The acting hotel's record, read once; while a unit writes, its date stands still."""
        ...

    @property
    def hotels(self) -> repo.Hotels:
        """The hotel's own record, to change it."""
        ...

    @property
    def room_types(self) -> repo.RoomTypes:
        """Room types."""
        ...

    @property
    def rooms(self) -> repo.Rooms:
        """Rooms."""
        ...

    @property
    def maintenance(self) -> repo.Maintenance:
        """Dated withdrawals of rooms."""
        ...

    @property
    def inventory(self) -> repo.Inventory:
        """Counters by room type and night."""
        ...

    @property
    def room_nights(self) -> repo.RoomNights:
        """Who has which room on which night."""
        ...

    @property
    def guests(self) -> repo.Guests:
        """Guests."""
        ...

    @property
    def bookings(self) -> repo.Bookings:
        """Bookings and their nights."""
        ...

    @property
    def keys(self) -> repo.RoomKeys:
        """Room keys."""
        ...

    @property
    def folios(self) -> repo.Folios:
        """Folios and their lines."""
        ...

    @property
    def housekeeping(self) -> repo.Housekeeping:
        """Housekeeping tasks."""
        ...

    @property
    def business_days(self) -> repo.BusinessDays:
        """Closed business days."""
        ...

    @property
    def audit(self) -> repo.AuditLog:
        """Audit entries; needs `Permission.ADMIN_VIEW`."""
        ...

    @property
    def pms(self) -> repo.PmsConnections:
        """The PMS connection and its mappings."""
        ...

    @property
    def sealed(self) -> repo.SealedValues:
        """The values that are stored sealed."""
        ...

    @property
    def events(self) -> repo.EventLog:
        """The events that were committed."""
        ...

    def now(self) -> datetime:
        """Return the instant of this unit, UTC: the same one from its begin to its end."""
        ...

    def new_id(self) -> UUID:
        """Return a fresh UUIDv7."""
        ...

    def new_confirmation_number(self) -> str:
        """Return a random confirmation number: 10 characters that are hard to misread."""
        ...

    def require(self, permission: Permission, what: str) -> None:
        """Raise `PermissionDenied` unless the actor has ``permission``, needed for ``what``."""
        ...

    def may(self, permission: Permission) -> bool:
        """Tell whether the actor has ``permission``, by the policy of the core."""
        ...

    def command(self, name: str, permission: Permission) -> AbstractContextManager[None]:
        """Run the body as one audited command. A command inside a command is part of it."""
        ...

    def changed(
        self,
        resource: str,
        resource_id: UUID,
        before: AttrsInstance | None,
        after: AttrsInstance | None,
        *,
        guest_id: GuestId | None = None,
    ) -> None:
        """Note a change for the audit entry of the running command.

        The states are attrs records, or None where there is none. Of a field that is marked
        personal the entry shows only that it changed. With keys its value is sealed: under the key
        of ``guest_id``, the guest whom the record tells of, until the guest is anonymised; if that
        guest has none, it is not kept. Without it the key is the record's own, and only a guest's
        is ever deleted. ``guest_id`` itself stays in the entry. Raises `InvalidInput` for what is
        no UUID or no record, a dict of its fields among them, `ReadOnly` outside of an operation.
        """
        ...

    def reason(self, text: str) -> None:
        """Note why the running command does what it does; `InvalidInput` above 500 characters."""
        ...

    def ahead(self, question: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Have a repository's ``question`` sent with the next one, because it will be asked too.

        Over a network a round trip is most of what a question costs, and this spares it. It is a
        hint: an implementation may do nothing. Whoever gives it asks the question itself
        afterwards, in the order of the hints, since that is the order in which records are locked.
        What is written in between makes it be asked again.
        """
        ...

    def together(self, *, later: bool = False) -> AbstractContextManager[None]:
        """Have the writes of the body sent in one exchange, at its end or with a read inside it.

        Over a network this spares their round trips. An error of a write may come from a later
        line, at the latest from the end of the body: catch it around the body and not inside. If
        several writes are refused, one of their errors is raised. A body inside another is part of
        it. ``later`` says that the operation does not mind getting their errors from a later line:
        if it is all that the unit does, the writes go with what comes next, at the latest with what
        ends the unit. An implementation may also send each write at once.
        """
        ...

    def emit(self, event: Event) -> None:
        """Report a fact in this transaction; `TenantMismatch` for another hotel's event."""
        ...

    def savepoint(self) -> AbstractContextManager[None]:
        """Run the body so that its failure undoes only the body, events and audit included."""
        ...
