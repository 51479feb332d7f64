"""Folios: append-only ledgers of what a guest owes and has paid.

A line's ``amount`` is its effect on the balance: charges and refunds raise it, allowances and
payments lower it, and a void is the exact opposite of the line it reverses.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from enum import StrEnum

from attrs import frozen

from hotelcore.domain import fields
from hotelcore.domain.money import Money
from hotelcore.errors import AmountRefused, InvalidInput
from hotelcore.ids import BookingId, FolioId, FolioLineId, GuestId, HotelId

__all__ = [
    "ROOM_CHARGE",
    "Folio",
    "FolioLine",
    "FolioStatus",
    "LineKind",
    "allowance_of",
    "refund_of",
    "refunds_of",
    "remaining",
    "void_of",
]

ROOM_CHARGE = "room"
"""The code of the one charge that a booking gets for each of its nights."""


class FolioStatus(StrEnum):
    """An open folio takes lines; a closed one is settled, until its booking is taken back."""

    OPEN = "open"
    CLOSED = "closed"


class LineKind(StrEnum):
    """What a line is. Charges and refunds are owed, payments and allowances are credits.

    A void is the exact opposite of the line that it refers to.
    """

    CHARGE = "charge"
    ALLOWANCE = "allowance"
    PAYMENT = "payment"
    REFUND = "refund"
    VOID = "void"


_CREDIT = frozenset({LineKind.ALLOWANCE, LineKind.PAYMENT})


@frozen(kw_only=True)
class Folio:
    """One bill of a booking. ``balance`` is what is still owed; negative means credit."""

    id: FolioId = fields.identifier()
    hotel_id: HotelId = fields.identifier()
    booking_id: BookingId = fields.identifier()
    guest_id: GuestId = fields.identifier()
    status: FolioStatus = fields.choice(FolioStatus, default=FolioStatus.OPEN)
    balance: Money = fields.money()
    opened_at: datetime = fields.instant()
    closed_at: datetime | None = fields.instant(optional=True)
    attributes: fields.Attributes = fields.attributes()
    version: int = fields.version()


@frozen(kw_only=True)
class FolioLine:
    """One posted line; it is never changed and never deleted.

    ``business_date`` is the hotel's day on which it was posted, ``service_date`` the day on
    which the service was used. ``refers_to`` names the line that this one reverses, lowers,
    refunds or moves. ``night`` is set on room charges only.
    """

    id: FolioLineId = fields.identifier()
    hotel_id: HotelId = fields.identifier()
    folio_id: FolioId = fields.identifier()
    booking_id: BookingId = fields.identifier()
    kind: LineKind = fields.choice(LineKind)
    code: str = fields.text(50)
    description: str = fields.text(500, least=0)
    amount: Money = fields.money()
    business_date: date = fields.day()
    service_date: date = fields.day()
    night: date | None = fields.day(optional=True)
    refers_to: FolioLineId | None = fields.identifier(optional=True)
    posted_at: datetime = fields.instant()
    posted_by: str = fields.text(200)

    @property
    def is_charge(self) -> bool:
        """Whether the line is a charge, posted here or moved here."""
        return self.kind is LineKind.CHARGE

    def __attrs_post_init__(self) -> None:
        # A night may be sold below zero (a rebate on a package); nothing else may.
        signed = self.kind is LineKind.VOID or self.night is not None
        wrong = self.amount.minor > 0 if self.kind in _CREDIT else self.amount.minor < 0
        if wrong and not signed:
            raise InvalidInput("amount", f"has the wrong sign for a {self.kind}")
        if self.kind in (LineKind.VOID, LineKind.REFUND) and self.refers_to is None:
            raise InvalidInput("refers_to", f"a {self.kind} names the line it belongs to")


def remaining(original: FolioLine, referring: Iterable[FolioLine]) -> Money:
    """Return what is left of ``original`` after the lines that refer to it.

    For a charge that is the part not yet allowed or voided, for a payment the part not yet
    refunded or voided. Voids of those allowances and refunds must be among ``referring`` too; a
    charge that was moved elsewhere, and what refers to that, may be and does not count.
    """
    known = tuple(referring)
    direct = {line.id for line in known if line.refers_to == original.id and not line.is_charge}
    left = original.amount
    for line in known:
        if line.id in direct or line.refers_to in direct:
            left = left + line.amount
    return abs(left) if original.kind is LineKind.PAYMENT else left


def void_of(original: FolioLine, referring: tuple[FolioLine, ...]) -> Money:
    """Return the amount of the void of ``original``: its exact opposite.

    Raises `AmountRefused` when it is a void itself, or when lines refer to it already: those
    have to be voided first, so that no line is reversed twice.
    """
    if original.kind is LineKind.VOID:
        raise AmountRefused("a void cannot be voided: post the line anew")
    if any(line.kind is LineKind.VOID and line.refers_to == original.id for line in referring):
        raise AmountRefused("the line is already voided")
    if remaining(original, referring) != _abs_if_payment(original):
        raise AmountRefused("allowances or refunds refer to the line: void those first")
    return -original.amount


def _abs_if_payment(line: FolioLine) -> Money:
    """Return the full size of a line, in the sense in which `remaining` counts it."""
    return abs(line.amount) if line.kind is LineKind.PAYMENT else line.amount


def allowance_of(charge: FolioLine, referring: tuple[FolioLine, ...], amount: Money) -> Money:
    """Return the line amount of an allowance of ``amount`` on ``charge``, if so much is left."""
    if not charge.is_charge:
        raise AmountRefused("an allowance lowers a charge, and this line is none")
    return -_within(amount, remaining(charge, referring), "the allowance", "of the charge")


def refund_of(payment: FolioLine, referring: tuple[FolioLine, ...], amount: Money) -> Money:
    """Return the line amount of a refund of ``amount`` on ``payment``, if so much is left."""
    if payment.kind is not LineKind.PAYMENT:
        raise AmountRefused("a refund gives a payment back, and this line is none")
    return _within(amount, remaining(payment, referring), "the refund", "of the payment")


def refunds_of(lines: Sequence[FolioLine], amount: Money) -> tuple[tuple[FolioLine, Money], ...]:
    """Spread a refund of ``amount`` over a folio's payments, the oldest first.

    ``lines`` are all lines of the folio. Gives each payment to refund with its part; together
    they are ``amount``, or less when less is left of the payments.
    """
    parts: list[tuple[FolioLine, Money]] = []
    for payment in lines:
        if payment.kind is LineKind.PAYMENT:
            part = min(amount, remaining(payment, lines))
            if part.minor > 0:
                parts.append((payment, part))
                amount -= part
    return tuple(parts)


def _within(amount: Money, left: Money, what: str, of_what: str) -> Money:
    if amount.minor <= 0:
        raise InvalidInput("amount", "must be more than zero")
    if amount > left:
        raise AmountRefused(f"{what} of {amount} passes what is left {of_what}: {left}")
    return amount
