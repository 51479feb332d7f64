"""The unit of work over SQL: one connection, one transaction, one actor."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import date, datetime
from operator import attrgetter
from secrets import token_bytes
from typing import ParamSpec, TypeVar
from uuid import UUID

import attrs
from attrs import AttrsInstance, define, field, frozen

from hotelcore.access import Permission, Policy
from hotelcore.clock import Clock
from hotelcore.domain.audit import (
    AuditLogEntry,
    Outcome,
    check_record,
    check_states,
    personal_between,
    text_of_change,
)
from hotelcore.domain.hotels import Hotel
from hotelcore.errors import (
    DatabaseFailure,
    InvalidInput,
    PermissionDenied,
    ReadOnly,
    UnitAborted,
)
from hotelcore.events.catalogue import CATALOGUE, Event
from hotelcore.events.trace import Trace
from hotelcore.ids import AuditEntryId, GuestId, HotelId
from hotelcore.operations.declaring import permission_of
from hotelcore.sql.audit.chain import NewEntry, add_entries, lock_head
from hotelcore.sql.audit.log import SqlAuditLog
from hotelcore.sql.events.event_log import SqlEventLog
from hotelcore.sql.events.outbox import write_events
from hotelcore.sql.repositories.availability import SqlInventory
from hotelcore.sql.repositories.bookings import SqlBookings, SqlRoomKeys
from hotelcore.sql.repositories.business_day import SqlBusinessDays
from hotelcore.sql.repositories.folios import SqlFolios
from hotelcore.sql.repositories.guests import SqlGuests
from hotelcore.sql.repositories.hotels import SqlHotels
from hotelcore.sql.repositories.housekeeping import SqlHousekeeping
from hotelcore.sql.repositories.pms import SqlPmsConnections
from hotelcore.sql.repositories.room_nights import SqlRoomNights
from hotelcore.sql.repositories.rooms import SqlMaintenance, SqlRooms, SqlRoomTypes
from hotelcore.sql.sealing.sealed import Sealing, SqlSealedValues
from hotelcore.sql.sealing.subject_keys import SqlSubjectKeys
from hotelcore.sql.seam.statements import Statements
from hotelcore.sql.seam.translation import NOBODYS_KEY, UniqueViolation
from hotelcore.subscriptions import Subscriptions
from hotelcore.tenancy import Actor, same_hotel
from hotelcore.text import clean_text
from hotelcore.vault import KeyProvider
from hotelcore.watching import Watch

__all__ = ["Commission", "Refusals", "SqlUnitOfWork"]

P = ParamSpec("P")
R = TypeVar("R")

# Crockford's base 32 leaves out I, L, O and U, which are misread or misheard on the telephone.
_ALPHABET = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ"
# Which of these each random byte means: all of them equally often.
_LETTERS = _ALPHABET * (256 // len(_ALPHABET))
_NUMBER_LENGTH = 10


@frozen(kw_only=True)
class Commission:
    """On whose behalf a unit of work runs, who watches, what tells the time and gives ids."""

    actor: Actor
    policy: Policy
    clock: Clock
    new_id: Callable[[], UUID]
    subscriptions: Subscriptions
    watch: Watch
    trace: Trace = Trace()
    keys: KeyProvider | None = None


@define
class Refusals:
    """What the actor of a unit of work was not allowed to do, until it is in the audit log."""

    commission: Commission
    entries: list[NewEntry] = field(factory=list)

    def require(self, permission: Permission, what: str) -> None:
        """Raise `PermissionDenied` unless the actor has ``permission``, and note that."""
        try:
            self.commission.policy.authorize(self.commission.actor.role, permission, what)
        except PermissionDenied as denied:
            self.entries.append(NewEntry(self._entry_of(denied)))
            raise

    def _entry_of(self, denied: PermissionDenied) -> AuditLogEntry:
        actor = self.commission.actor
        return AuditLogEntry(
            id=AuditEntryId(self.commission.new_id()),
            hotel_id=actor.hotel_id,
            outcome=Outcome.DENIED,
            at=self.commission.clock.now(),
            subject=actor.subject,
            role=actor.role,
            operation=denied.operation,
            permission=denied.permission,
            resource="hotel",
            resource_id=actor.hotel_id,
            changes=(),
            correlation_id=self.commission.trace.correlation_id,
        )


@define
class _Command:
    """The command that is running, and what it has noted so far.

    ``about`` is the record that changed first, ``changes`` are the texts of all changes.
    """

    id: AuditEntryId
    name: str
    business_date: date | None = None
    about: tuple[str, UUID] | None = None
    changes: list[str] = field(factory=list)
    reason: str | None = None


class _OnDemand:
    """What a unit of work makes when it is first asked for: few units need many of these."""

    _name: str

    def __init__(self, make: Callable[[SqlUnitOfWork], object]) -> None:
        self._make = make

    def __set_name__(self, _: type, name: str) -> None:
        self._name = name

    def __get__(self, uow: SqlUnitOfWork, _: type) -> object:
        # From here on Python finds it in the unit itself.
        made = vars(uow)[self._name] = self._make(uow)
        return made


def _on_demand(make: Callable[[SqlUnitOfWork], R]) -> R:
    # Typed as what it gives, like the fields of attrs: pyright compares a protocol with that.
    return _OnDemand(make)  # type: ignore[return-value]  # for the reason above


class SqlUnitOfWork:
    """The `hotelcore.unit_of_work.UnitOfWork` over the statements of one connection.

    It neither begins nor ends the transaction; `hotelcore.sql.transactions` does, so that the same
    unit works in a transaction of the host's.
    """

    def __init__(self, run: Statements, refusals: Refusals) -> None:
        self._run = run
        self._commission = commission = refusals.commission
        self._refusals = refusals
        self._now = commission.clock.now()
        self._command: _Command | None = None
        # How many commands are running, each inside the one before.
        self._depth = 0
        # Whether the unit is there for one operation alone, until inline handlers work in it.
        self.is_one_operation = False
        self._aborted = False
        self._entries: list[NewEntry] = []
        self._events: list[Event] = []
        run.may_write = False

    # It leads to no unit of work: what leads in a circle waits for the garbage collector.
    _sealing = _on_demand(
        lambda uow: Sealing(uow.hotel_id, uow._commission.keys, uow._refusals.require)
    )
    _subjects = _on_demand(lambda uow: SqlSubjectKeys(uow._run, uow._sealing))
    hotels = _on_demand(lambda uow: SqlHotels(uow._run))
    room_types = _on_demand(lambda uow: SqlRoomTypes(uow._run))
    rooms = _on_demand(lambda uow: SqlRooms(uow._run))
    maintenance = _on_demand(lambda uow: SqlMaintenance(uow._run))
    inventory = _on_demand(lambda uow: SqlInventory(uow._run))
    room_nights = _on_demand(lambda uow: SqlRoomNights(uow._run))
    guests = _on_demand(lambda uow: SqlGuests(uow._run, uow._subjects))
    bookings = _on_demand(lambda uow: SqlBookings(uow._run))
    keys = _on_demand(lambda uow: SqlRoomKeys(uow._run))
    folios = _on_demand(lambda uow: SqlFolios(uow._run))
    housekeeping = _on_demand(lambda uow: SqlHousekeeping(uow._run))
    business_days = _on_demand(lambda uow: SqlBusinessDays(uow._run))
    pms = _on_demand(lambda uow: SqlPmsConnections(uow._run, uow._sealing))
    sealed = _on_demand(lambda uow: SqlSealedValues(uow._run, uow._sealing))
    events = _on_demand(lambda uow: SqlEventLog(uow._run, uow._commission.subscriptions.durables))

    # -- who, where, when ---------------------------------------------------------------------

    @property
    def actor(self) -> Actor:
        """Who acts, and in which hotel."""
        return self._commission.actor

    @property
    def hotel_id(self) -> HotelId:
        """The acting hotel."""
        return self._commission.actor.hotel_id

    @property
    def hotel(self) -> Hotel:
        """The acting hotel's record, read once."""
        hotel = self.hotels.current()
        if self._command is not None and self._command.business_date is None:
            self._command.business_date = hotel.business_date
        return hotel

    def now(self) -> datetime:
        """Return the instant of this unit, UTC."""
        return self._now

    def new_id(self) -> UUID:
        """Return a fresh UUIDv7."""
        return self._commission.new_id()

    def new_confirmation_number(self) -> str:
        """Return 50 random bits in letters and digits that are hard to misread."""
        return token_bytes(_NUMBER_LENGTH).translate(_LETTERS).decode()

    @property
    def audit(self) -> SqlAuditLog:
        """Audit entries; needs `Permission.ADMIN_VIEW`."""
        self.require(Permission.ADMIN_VIEW, "audit")
        return SqlAuditLog(self._run, self._subjects)

    # -- commands -----------------------------------------------------------------------------

    def require(self, permission: Permission, what: str) -> None:
        """Raise `PermissionDenied` unless the actor has ``permission``."""
        self._refusals.require(permission, what)

    def may(self, permission: Permission) -> bool:
        """Tell whether the actor has ``permission``."""
        return self._commission.policy.allows(self.actor.role, permission)

    @contextmanager
    def command(self, name: str, permission: Permission) -> Generator[None]:
        """Run the body as one audited command, or as a part of the one that is running."""
        self.require(permission, name)
        self._run.refuse_if_read_only()
        self._refuse_if_aborted()
        self._depth += 1
        try:
            if self._command is not None:
                yield
            else:
                with self._audited(name):
                    yield
        except BaseException:
            # Whoever swallows it: half a command, also one inside another, is never kept.
            self._aborted = True
            raise
        finally:
            self._depth -= 1

    @contextmanager
    def _audited(self, name: str) -> Generator[None]:
        self._command = _Command(AuditEntryId(self.new_id()), name)
        self._run.may_write = True
        try:
            yield
            self._entries.append(NewEntry(self._entry_of(self._command), self._command.changes))
        finally:
            self._command, self._run.may_write = None, False

    def changed(
        self,
        resource: str,
        resource_id: UUID,
        before: AttrsInstance | None,
        after: AttrsInstance | None,
        *,
        guest_id: GuestId | None = None,
    ) -> None:
        """Note a change for the audit entry of the running command."""
        command = self._running()
        check_record(resource, resource_id, guest_id)
        check_states(before, after)
        personal, sealed = personal_between(before, after), None
        if personal is not None:
            # Now, and not at the end: what is sealed must be so before a guest is forgotten.
            sealed = self._subjects.sealed(
                personal,
                resource_id,
                guest_id,
                is_new=before is None,
                entry_id=command.id,
                index=len(command.changes),
            )
        command.changes.append(
            text_of_change(resource, resource_id, before, after, guest_id=guest_id, sealed=sealed)
        )
        command.about = command.about or (resource, resource_id)

    def reason(self, text: str) -> None:
        """Note why the running command does what it does."""
        self._running().reason = clean_text("reason", text, most=500)

    def emit(self, event: Event) -> None:
        """Report a fact in this transaction."""
        # A host's own class may have no wire name, as what is no event at all has none.
        if CATALOGUE.get(getattr(event, "wire_name", "")) is not type(event):
            raise InvalidInput("event", "must be of an event class of the catalogue")
        same_hotel(self.hotel_id, event.hotel_id, "event")
        self._running()
        self._events.append(event)

    def ahead(self, question: Callable[P, object], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Have a repository's question sent with the next one."""
        if not callable(question) or permission_of(question) is not None:
            raise InvalidInput("question", "must be a method of a repository, and no command")
        refused, aborted = len(self._refusals.entries), self._aborted
        self._run.ahead(lambda: question(*args, **kwargs))
        del self._refusals.entries[refused:]  # nobody has asked yet
        self._aborted = aborted  # a command inside it was not run

    @contextmanager
    def together(self, *, later: bool = False) -> Generator[None]:
        """Have the writes of the body sent in one exchange."""
        # Of a unit that is this one operation, nobody but the operation could catch an error.
        waits = later and self.is_one_operation and self._depth == 1
        with self._run.together(later=waits):
            yield

    @contextmanager
    def savepoint(self) -> Generator[None]:
        """Run the body so that its failure undoes only the body."""
        self._run.refuse_if_read_only()
        self._refuse_if_aborted()
        entries, events = len(self._entries), len(self._events)
        noted = self._command and attrs.evolve(self._command, changes=[*self._command.changes])
        try:
            with self._run.savepoint():
                yield
        except BaseException:
            del self._entries[entries:], self._events[events:]
            self._command = noted
            self._aborted = False
            self.hotels.forget()  # what it knows may be undone
            self._subjects.forget()
            raise

    def _running(self) -> _Command:
        if self._command is None:
            raise ReadOnly("only an operation reports: declare yours with @operation")
        return self._command

    def _refuse_if_aborted(self) -> None:
        if self._aborted:
            raise UnitAborted

    def _entry_of(self, command: _Command) -> AuditLogEntry:
        resource, resource_id = command.about or ("hotel", self.hotel_id)
        return AuditLogEntry(
            id=command.id,
            hotel_id=self.hotel_id,
            at=self._now,
            business_date=command.business_date,
            subject=self.actor.subject,
            role=self.actor.role,
            operation=command.name,
            resource=resource,
            resource_id=resource_id,
            changes=(),
            reason=command.reason,
            correlation_id=self._commission.trace.correlation_id,
        )

    # -- the end of the transaction -----------------------------------------------------------

    def owns_its_transaction(self) -> None:
        """Let statements go together, and the last one commit: nobody else looks there."""
        self._run.alone = True

    @contextmanager
    def own_writing(self) -> Generator[Statements]:
        """Lend the statements for what the unit itself stores beside its commands."""
        self._run.may_write = True
        try:
            yield self._run
        except UniqueViolation:
            raise DatabaseFailure(NOBODYS_KEY) from None
        finally:
            self._run.may_write = False

    def tell_inline(self) -> tuple[Event, ...]:
        """Tell the inline subscriptions, and return the events, theirs too.

        Raises `UnitAborted` if a command failed and the host went on as if nothing had happened.
        """
        self.is_one_operation = False  # from here on others work in it
        # The list grows while it is read, by what the handlers themselves cause.
        for event in self._events:
            for handler in self._commission.subscriptions.inline_of(event):
                self._refuse_if_aborted()
                self._run.flush_if_refusable()  # a handler is told of what was not refused
                handler(self, event)
        self._refuse_if_aborted()
        return tuple(self._events)

    def store(self) -> bool:
        """Store the events and the audit entries, those of what was refused too.

        The hotel's log is locked from here on, so nothing that waits for anybody may come after.
        Returns whether the transaction was committed with that already.
        """
        entries = sorted([*self._entries, *self._refusals.entries], key=attrgetter("entry.id"))
        if not entries:  # nor an event then, as each is a command's
            self._run.flush()
            return False
        with self.own_writing() as run:
            head = lock_head(run)  # with it the last writes go, which may be refused
            self._refusals.entries.clear()
            write_events(
                run,
                self._events,
                new_id=self.new_id,
                at=self._now,
                trace=self._commission.trace,
            )
            add_entries(run, self._commission.keys, head, entries)
        return run.committed
