"""Every error that hotelcore raises, in one family.

A message says what happened, why, and what to do. It never carries driver text, SQL, a secret or a
guest's personal data; what a program needs to react stands in the attributes. All of them survive
pickling, so they cross process borders whole.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType
from uuid import UUID

from attrs import define

__all__ = [
    "ActionRefused",
    "AlreadyExists",
    "AmountRefused",
    "BusinessDayBlocked",
    "Conflict",
    "CurrencyMismatch",
    "DatabaseBusy",
    "DatabaseFailure",
    "FolioClosed",
    "HotelcoreError",
    "IdempotencyConflict",
    "IdentityRefused",
    "InvalidInput",
    "LeaseLost",
    "LimitExceeded",
    "ListenersFailed",
    "MissingExtra",
    "NoKeys",
    "NotFound",
    "PermissionDenied",
    "PmsFailure",
    "ReadOnly",
    "Refused",
    "RoomTaken",
    "RowSecurityMissing",
    "SchemaMismatch",
    "SealBroken",
    "SecretWithheld",
    "SoldOut",
    "StaleVersion",
    "TenantMismatch",
    "TransactionTimeout",
    "TransportFailure",
    "UnboundStatement",
    "UnitAborted",
    "UnknownEvent",
    "UnknownKey",
    "WaitTimeout",
]


class HotelcoreError(Exception):
    """Anything that hotelcore refuses or cannot do; catch it to catch them all."""

    def __str__(self) -> str:
        return self.message()

    def message(self) -> str:
        """Say what happened, why, and what to do."""
        return (self.__doc__ or type(self).__name__).splitlines()[0]


class Refused(HotelcoreError):
    """A rule of the hotel forbids the command; nothing was changed."""


class Conflict(HotelcoreError):
    """Somebody else was there first; read again and decide anew."""


class LimitExceeded(HotelcoreError):
    """A time limit of the unit of work ran out; nothing of it was kept."""


# -- bad input -------------------------------------------------------------------------------


@define(slots=False, eq=False)
class InvalidInput(HotelcoreError, ValueError):
    """A value was given that can never be right; nothing was written."""

    field: str
    reason: str

    def message(self) -> str:
        """Name the field and the rule it broke, never the value."""
        return f"{self.field}: {self.reason}"


@define(slots=False, eq=False)
class CurrencyMismatch(HotelcoreError, ValueError):
    """Amounts of two currencies met in one sum or comparison."""

    left: str
    right: str

    def message(self) -> str:
        """Name both currencies."""
        return f"{self.left} and {self.right} do not mix: convert before you compare or add"


@define(slots=False, eq=False)
class NotFound(HotelcoreError, LookupError):
    """This hotel has no such record; another hotel's id looks exactly the same."""

    kind: str
    id: UUID | str

    def message(self) -> str:
        """Name the kind of record and the id that was asked for."""
        if self.kind == "hotel":  # A unit asks for no other than its own.
            return "this hotel is not registered: run register_hotel"
        return f"this hotel has no {self.kind} {self.id}"


# -- who may do what -------------------------------------------------------------------------


@define(slots=False, eq=False)
class PermissionDenied(Refused):
    """The actor's role does not hold the permission that the operation needs."""

    role: str
    permission: str
    operation: str
    role_is_known: bool = True

    def message(self) -> str:
        """Name the role, the permission and the operation."""
        needs = f"{self.operation} needs {self.permission}"
        if not self.role_is_known:
            return f"{needs}, and the policy knows no role {self.role}: add it, or name another"
        return f"{needs}, which the role {self.role} does not have"


@define(slots=False, eq=False)
class TenantMismatch(Refused):
    """A record or an event of one hotel met a handle of another."""

    what: str

    def message(self) -> str:
        """Name the kind of thing, never the other hotel."""
        return f"this {self.what} belongs to another hotel than the acting one"


_IDENTITY_REASONS: Mapping[str, str] = MappingProxyType(
    {
        "token_malformed": "the token is not one that can be read",
        "algorithm_refused": "its algorithm is not among those allowed for its key",
        "key_unknown": "it names a key that the verifier does not have",
        "signature_wrong": "its signature is not that of the key",
        "issuer_wrong": "another issuer made it",
        "audience_wrong": "it was made for another audience",
        "expired": "its time is over; get a new one",
        "not_yet_valid": "its time has not come; compare the clocks of issuer and server",
        "claim_missing": "a claim that it must have is missing",
        "claim_malformed": "a claim does not have the form that it must have",
    }
)


@define(slots=False, eq=False)
class IdentityRefused(HotelcoreError):
    """Nobody acts on this token or these claims; nothing was opened.

    ``reason`` is a stable code; ``claim`` is the name of the claim it is about, where it is
    about one. Nothing of the token, the claims' values or another library's words is in it.
    """

    reason: str
    claim: str | None = None

    def message(self) -> str:
        """Say why, without anything that the token said."""
        about = "" if self.claim is None else f" ({self.claim})"
        return f"this identity is refused: {_IDENTITY_REASONS.get(self.reason, self.reason)}{about}"


# -- refusals of the trade -------------------------------------------------------------------

_WHAT_TO_DO: Mapping[str, str] = MappingProxyType(
    {
        # of a booking
        "wrong_status": "its status does not allow that; possible_actions tells what it allows",
        "arrival_not_reached": "the business date is before the arrival; wait, or amend the stay",
        "arrival_not_passed": "the guest may still come; close the day with it in no_shows",
        "stay_is_over": "its last day has passed; make a new booking",
        "hold_expired": "its hold has ended; make a new booking",
        "no_room": "no room of its type is free on all its nights; name another, or amend the stay",
        "room_occupied": "somebody is in the room; check that guest out, or name another room",
        "room_not_ready": "the room is not clean enough, or off sale; see to it, or name another",
        "balance_open": "a folio is not at zero; settle it, or give an unsettled_reason",
        "sold_out": "a night is full; amend the stay, or give a force_reason",
        "not_permitted": "the actor's role does not have the permission",
        # of a guest
        "anonymised": "the guest was erased for good; register a new one",
        "booking_open": "the guest is in house or expected; end those bookings first",
        # of rooms and tasks
        "task_not_open": "the task is done or cancelled already; create a new one",
        "room_not_clean": "only a clean room can be inspected; complete a cleaning task first",
        "already_released": "the room came back before; nothing is left to do",
        "period_is_over": "the period has ended by itself; nothing is left to do",
        # of a business day
        "local_date_not_reached": "the day is not over in the hotel's time zone; wait until it is",
        "departure_overdue": "check the guest out, or amend the stay",
        "arrival_unresolved": "check in, amend or cancel the booking, or name it in no_shows",
        "room_taken": "the room is not free for one more night; move the guest, or free the room",
        "no_open_folio": "open a folio for the booking",
    }
)


def _explained(code: str) -> str:
    """Return a reason's code with what it means; a host's own codes stand alone."""
    return f"{code} ({_WHAT_TO_DO[code]})" if code in _WHAT_TO_DO else code


@define(slots=False, eq=False)
class ActionRefused(Refused):
    """The booking's state or surroundings do not allow the action; reasons are stable codes.

    ``status`` is the booking's, None for what is refused to a guest, a room or a task.
    """

    action: str
    reasons: tuple[str, ...]
    status: str | None = None

    def message(self) -> str:
        """Name the action, the booking's status, and every reason with what to do."""
        state = "" if self.status is None else f" for a booking that is {self.status}"
        why = "; ".join(map(_explained, self.reasons))
        return f"{self.action} is not possible{state}: {why}"


@define(slots=False, eq=False)
class SoldOut(Refused):
    """A room type has no unit left on at least one night of the stay."""

    room_type_id: UUID
    nights: tuple[date, ...]

    def message(self) -> str:
        """Name the nights that are full, and what else to ask for."""
        return (
            f"no room of this type is left on {_dates(self.nights)}: name other nights or another"
            " type, or give a force_reason"
        )


@define(slots=False, eq=False)
class RoomTaken(Refused, Conflict):
    """The room is occupied, assigned or out of order on at least one night.

    Without ``nights``, somebody was in the room at the moment in which another guest was to enter.
    """

    room_id: UUID
    nights: tuple[date, ...]

    def message(self) -> str:
        """Name the nights on which the room is not free, and what else to ask for."""
        if not self.nights:
            return "somebody is in the room: check that guest out, or name another room"
        return f"the room is not free on {_dates(self.nights)}: name another room, or other nights"


@define(slots=False, eq=False)
class FolioClosed(Refused):
    """A closed folio accepts no line."""

    folio_id: UUID

    def message(self) -> str:
        """Say where the amount could go instead."""
        return f"folio {self.folio_id} is closed already: post to an open folio of the booking"


@define(slots=False, eq=False)
class AmountRefused(Refused):
    """An amount passes what the ledger allows."""

    reason: str

    def message(self) -> str:
        """Say which limit the amount passed."""
        return self.reason


@define(slots=False, eq=False)
class BusinessDayBlocked(Refused):
    """The business day cannot close before these matters are settled.

    A reason is a stable code, where it is about a booking with its confirmation number behind it.
    ``local_date`` is the date in the hotel's time zone where that is the reason.
    """

    business_date: date
    reasons: tuple[str, ...]
    local_date: date | None = None

    def message(self) -> str:
        """Name the day and every open matter, with what to do."""
        numbers = defaultdict[str, list[str]](list)
        for reason in self.reasons:
            code, *number = reason.split(maxsplit=1)
            numbers[code] += number
        matters = (f"{_explained(code)} {', '.join(n)}".strip() for code, n in numbers.items())
        today = f" while it is {self.local_date} there" if self.local_date else ""
        return f"{self.business_date} cannot close{today}: {'; '.join(matters)}"


# -- conflicts -------------------------------------------------------------------------------


@define(slots=False, eq=False)
class StaleVersion(Conflict):
    """The record changed since it was read."""

    kind: str
    id: UUID

    def message(self) -> str:
        """Tell the caller to read again."""
        return f"{self.kind} {self.id} was changed by somebody else: read it again"


@define(slots=False, eq=False)
class AlreadyExists(Conflict):
    """A value that must be unique in its scope is taken."""

    kind: str
    field: str

    def message(self) -> str:
        """Name the record and the field, never the value."""
        if (self.kind, self.field) == ("hotel", "id"):  # The actor names it, so it is its own.
            return "this hotel is registered already"
        return f"another {self.kind} already has this {self.field}"


@define(slots=False, eq=False)
class IdempotencyConflict(Conflict):
    """The idempotency key was used before, with other arguments."""

    operation: str

    def message(self) -> str:
        """Say what a key stands for."""
        return (
            f"this idempotency key already stands for another call of {self.operation}: "
            "use a new key for new arguments"
        )


# -- limits and the database -----------------------------------------------------------------


@define(slots=False, eq=False)
class WaitTimeout(LimitExceeded):
    """The wait for a connection or a lock passed its limit."""

    seconds: float

    def message(self) -> str:
        """Name the limit."""
        return f"waited {self.seconds:g} s for a connection or lock: try again, or raise wait_limit"


@define(slots=False, eq=False)
class TransactionTimeout(LimitExceeded):
    """The unit of work passed its time limit and was rolled back."""

    seconds: float

    def message(self) -> str:
        """Name the limit."""
        return (
            f"not finished after {self.seconds:g} s and rolled back: do less, or raise time_limit"
        )


class LeaseLost(Conflict):
    """Another worker took this delivery over, since its lease had ended: let it go.

    Give the relay a longer lease if a handler needs more time.
    """


class DatabaseBusy(Conflict):
    """The database asks for the whole transaction again (deadlock, serialization, busy)."""


@define(slots=False, eq=False)
class DatabaseFailure(HotelcoreError):
    """The database failed in a way that a new attempt of the same unit does not mend."""

    kind: str
    remedy: str = "see the database's own log"

    def message(self) -> str:
        """Name the class of failure and what mends it; the driver's own words stay out of it."""
        return f"the database failed ({self.kind}): {self.remedy}"


@define(slots=False, eq=False)
class ReadOnly(HotelcoreError):
    """A write was tried where only reading is possible."""

    reason: str

    def message(self) -> str:
        """Point at what writes."""
        return self.reason


@define(slots=False, eq=False)
class UnboundStatement(HotelcoreError):
    """A statement was refused, because it is not bound to the acting hotel."""

    what: str
    remedy: str

    def message(self) -> str:
        """Name the table or the part of the statement, and what to write instead."""
        return f"a statement is not bound to the acting hotel, by {self.what}: {self.remedy}"


class UnitAborted(Conflict):
    """A command of this unit failed, so nothing of the unit was kept; try it in a savepoint."""


@define(slots=False, eq=False)
class SchemaMismatch(HotelcoreError):
    """The database's tables are not those that this version needs."""

    found: str
    needed: str
    remedy: str

    def message(self) -> str:
        """Say what is there, what is needed, and what mends it."""
        return f"the database has {self.found}, this version needs {self.needed}: {self.remedy}"


@define(slots=False, eq=False)
class RowSecurityMissing(HotelcoreError):
    """PostgreSQL would not keep this role to the rows of one hotel.

    ``problems`` holds everything that was found, each with the SQL by which an administrator mends
    it. It is for the application's own role: the owner of the tables and an administrator stay
    what they are.
    """

    problems: Mapping[str, str]

    def message(self) -> str:
        """Name each problem and what mends it."""
        found = (f"\n- {problem}: {remedy}" for problem, remedy in self.problems.items())
        return (
            "PostgreSQL would not keep this role to the rows of one hotel: connect as a role that"
            " neither owns the tables nor is an administrator. If it is meant to be that one, mend"
            f" it as an administrator:{''.join(found)}"
        )


@define(slots=False, eq=False)
class MissingExtra(HotelcoreError, ImportError):
    """A feature was used whose optional packages are not installed."""

    feature: str
    extra: str

    def message(self) -> str:
        """Give the command that installs them."""
        return f"{self.feature} needs more packages: pip install 'hotelcore[{self.extra}]'"


@define(slots=False, eq=False)
class UnknownEvent(HotelcoreError, LookupError):
    """An event was met whose name or version this hotelcore does not know."""

    name: str
    version: int

    def message(self) -> str:
        """Name the event's kind and version, and say what knows them."""
        return (
            f"this hotelcore does not know version {self.version} of the event {self.name}: "
            "a newer one wrote it, so update hotelcore here"
        )


@define(slots=False, eq=False)
class TransportFailure(HotelcoreError):
    """A broker could not be reached, or did not confirm that it stored a batch of events."""

    transport: str
    reason: str

    def message(self) -> str:
        """Name the broker and the reason; the driver's own words stay out of it."""
        return f"{self.transport}: {self.reason}"


@define(slots=False, eq=False)
class ListenersFailed(HotelcoreError):
    """Listeners of an event still failed when their attempts, or the time for them, ran out.

    ``event`` is its wire name, ``listeners`` names their functions. What they raised is the host's
    own: the bus told its ``error`` signal of each.
    """

    event: str
    listeners: tuple[str, ...]
    attempts: int

    def message(self) -> str:
        """Name the event, the listeners and the attempts, never what a listener said."""
        return (
            f"after {self.attempts} attempts these listeners of {self.event} still fail: "
            f"{', '.join(self.listeners)}; the bus's error signal tells what they raised"
        )


@define(slots=False, eq=False)
class PmsFailure(HotelcoreError):
    """A property management system refused, failed or sent what it must not."""

    vendor: str
    reason: str

    def message(self) -> str:
        """Name the vendor and the reason, never what the vendor sent."""
        return f"{self.vendor}: {self.reason}"


# -- secrets ---------------------------------------------------------------------------------


class NoKeys(HotelcoreError):
    """Something was to be sealed or opened without keys: give HotelCore a key ring as keys=."""


@define(slots=False, eq=False)
class UnknownKey(HotelcoreError, LookupError):
    """The key ring has no key of this number."""

    number: int

    def message(self) -> str:
        """Name the number, and say where the key comes from."""
        return (
            f"the key ring has no key {self.number}: add it, or take it back from where keys are "
            "kept, until nothing is sealed under it any more"
        )


class SealBroken(HotelcoreError):
    """A sealed value does not open: it was changed or moved, or its key is missing from the ring.

    Put the key back into the ring; if it is there, enter the value anew. What exactly is wrong is
    not told, since that would help whoever changed it.
    """


@define(slots=False, eq=False)
class SecretWithheld(HotelcoreError, TypeError):
    """A secret or a key was to be pickled or copied."""

    kind: str

    def message(self) -> str:
        """Say what to do instead."""
        return f"a {self.kind} is never pickled or copied: hand over the object itself"


def _dates(nights: Sequence[date]) -> str:
    """Show at most seven dates, so that a long stay does not flood a log line."""
    shown = ", ".join(night.isoformat() for night in nights[:7])
    return shown if len(nights) <= 7 else f"{shown} and {len(nights) - 7} more nights"
