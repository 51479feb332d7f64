"""Lines on folios: built, stored, noted and reported alike for every operation that bills.

The hotel comes first in the order of locks and its business date is that of every line, so who
calls these has read ``uow.hotel`` before anything was locked. Folios come last, after rooms, and by
id.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date

import attrs

from hotelcore import errors
from hotelcore.domain.bookings import Booking, BookingNight
from hotelcore.domain.folios import (
    ROOM_CHARGE,
    Folio,
    FolioLine,
    FolioStatus,
    LineKind,
    refunds_of,
)
from hotelcore.domain.money import Money, sum_money
from hotelcore.events.catalogue import (
    AllowanceGranted,
    AllowanceVoided,
    ChargePosted,
    ChargeVoided,
    Event,
    FolioClosed,
    PaymentReceived,
    PaymentRefunded,
)
from hotelcore.ids import BookingId, FolioId, FolioLineId, GuestId
from hotelcore.unit_of_work import UnitOfWork

__all__ = [
    "add_folio",
    "add_folios",
    "charge_booking",
    "close_at_zero",
    "close_settled_folios",
    "folio_ahead",
    "in_hotel_currency",
    "line_event",
    "lock_open_folio",
    "new_line",
    "post_lines",
    "post_nights",
    "refund_credit",
    "refund_line",
    "room_charge",
]


# -- lines ------------------------------------------------------------------------------------


def in_hotel_currency(uow: UnitOfWork, amount: object) -> Money:
    """Return ``amount`` if it is money above zero in the hotel's currency."""
    if not isinstance(amount, Money):
        raise errors.InvalidInput("amount", "must be Money")
    if amount.currency != uow.hotel.currency:
        raise errors.CurrencyMismatch(uow.hotel.currency, amount.currency)
    if amount.minor <= 0:
        raise errors.InvalidInput("amount", "must be more than zero")
    return amount


def new_line(
    uow: UnitOfWork,
    folio: Folio,
    kind: LineKind,
    code: str,
    amount: Money,
    *,
    description: str = "",
    service_date: date | None = None,
    night: date | None = None,
    refers_to: FolioLineId | None = None,
) -> FolioLine:
    """Build a line of the current business date; the service is of that date if not told.

    ``amount`` is the effect on the balance: payments and allowances are negative.
    """
    business_date = uow.hotel.business_date
    return FolioLine(
        id=FolioLineId(uow.new_id()),
        hotel_id=uow.hotel_id,
        folio_id=folio.id,
        booking_id=folio.booking_id,
        kind=kind,
        code=code,
        description=description,
        amount=amount,
        business_date=business_date,
        service_date=business_date if service_date is None else service_date,
        night=night,
        refers_to=refers_to,
        posted_at=uow.now(),
        posted_by=uow.actor.subject,
    )


def room_charge(uow: UnitOfWork, folio: Folio, night: BookingNight) -> FolioLine:
    """Build the charge of one night, at the price fixed on it, for the service of that night."""
    day = night.night
    kind = LineKind.CHARGE
    return new_line(uow, folio, kind, ROOM_CHARGE, night.price, service_date=day, night=day)


def refund_line(
    uow: UnitOfWork, folio: Folio, payment: FolioLine, amount: Money, reason: str
) -> FolioLine:
    """Build the refund of ``amount`` of a payment, by the payment's own method."""
    return new_line(
        uow,
        folio,
        LineKind.REFUND,
        payment.code,
        amount,
        description=reason,
        refers_to=payment.id,
    )


def post_lines(
    uow: UnitOfWork,
    folio: Folio,
    lines: Sequence[FolioLine],
    *,
    voided: LineKind = LineKind.CHARGE,
) -> Folio:
    """Post lines to one folio, which the transaction has locked; note them and report them.

    ``voided`` is the kind of line that a void among them reverses. Returns the folio as it is then.
    """
    after = attrs.evolve(folio, balance=_balance_after(folio, lines))
    uow.folios.post(lines)
    uow.changed("folio", folio.id, folio, after)
    for line in lines:
        uow.changed("folio_line", line.id, None, line)
        uow.emit(line_event(line, voided=voided))
    return after


def _balance_after(folio: Folio, lines: Sequence[FolioLine]) -> Money:
    try:
        return sum_money((line.amount for line in lines), folio.balance.currency) + folio.balance
    except errors.InvalidInput:
        raise errors.AmountRefused("the balance would pass what a folio can hold") from None


def line_event(line: FolioLine, *, voided: LineKind = LineKind.CHARGE) -> Event:
    """Return the fact that a posted line is, so that all facts of a folio add up to its balance.

    Each is reported with the amount that was paid, refunded, allowed or voided; ``voided`` is the
    kind of line that a void reverses.
    """
    match line.kind:
        case LineKind.CHARGE:
            return _charge_posted(line)
        case LineKind.PAYMENT:
            return _payment_received(line)
        case LineKind.REFUND:
            return _payment_refunded(line)
        case LineKind.ALLOWANCE:
            return _allowance_granted(line)
        case LineKind.VOID if voided is LineKind.ALLOWANCE:
            return _allowance_voided(line)
        case LineKind.VOID:
            return _charge_voided(line)


def _charge_posted(line: FolioLine) -> ChargePosted:
    return ChargePosted(
        hotel_id=line.hotel_id,
        booking_id=line.booking_id,
        folio_id=line.folio_id,
        line_id=line.id,
        code=line.code,
        amount=line.amount,
        service_date=line.service_date,
    )


def _payment_received(line: FolioLine) -> PaymentReceived:
    return PaymentReceived(
        hotel_id=line.hotel_id,
        booking_id=line.booking_id,
        folio_id=line.folio_id,
        line_id=line.id,
        method=line.code,
        amount=-line.amount,
    )


def _payment_refunded(line: FolioLine) -> PaymentRefunded:
    return PaymentRefunded(
        hotel_id=line.hotel_id,
        booking_id=line.booking_id,
        folio_id=line.folio_id,
        line_id=line.id,
        payment_line_id=_original(line),
        amount=line.amount,
    )


def _allowance_granted(line: FolioLine) -> AllowanceGranted:
    return AllowanceGranted(
        hotel_id=line.hotel_id,
        booking_id=line.booking_id,
        folio_id=line.folio_id,
        line_id=line.id,
        charge_line_id=_original(line),
        amount=-line.amount,
    )


def _allowance_voided(line: FolioLine) -> AllowanceVoided:
    return AllowanceVoided(
        hotel_id=line.hotel_id,
        booking_id=line.booking_id,
        folio_id=line.folio_id,
        line_id=line.id,
        voided_line_id=_original(line),
        amount=line.amount,
    )


def _charge_voided(line: FolioLine) -> ChargeVoided:
    return ChargeVoided(
        hotel_id=line.hotel_id,
        booking_id=line.booking_id,
        folio_id=line.folio_id,
        line_id=line.id,
        voided_line_id=_original(line),
        amount=-line.amount,
    )


def _original(line: FolioLine) -> FolioLineId:
    if line.refers_to is None:
        raise errors.InvalidInput("refers_to", f"a {line.kind} names the line it belongs to")
    return line.refers_to


# -- folios -----------------------------------------------------------------------------------


def add_folio(uow: UnitOfWork, booking: Booking, guest_id: GuestId) -> Folio:
    """Open a new folio of the booking, in the hotel's currency, and note it."""
    [folio] = add_folios(uow, [(booking.id, guest_id)])
    return folio


def add_folios(uow: UnitOfWork, owners: Iterable[tuple[BookingId, GuestId]]) -> tuple[Folio, ...]:
    """Open a new folio of each booking and guest, in the hotel's currency, and note them."""
    nothing, opened_at = Money.zero(uow.hotel.currency), uow.now()
    folios = tuple(
        Folio(
            id=FolioId(uow.new_id()),
            hotel_id=uow.hotel_id,
            booking_id=booking_id,
            guest_id=guest_id,
            balance=nothing,
            opened_at=opened_at,
        )
        for booking_id, guest_id in owners
    )
    uow.folios.open_all(folios)
    for folio in folios:
        uow.changed("folio", folio.id, None, folio)
    return folios


def folio_ahead(uow: UnitOfWork, folio_id: FolioId) -> None:
    """Have the hotel and a folio, locked, asked for with the next question."""
    uow.ahead(uow.hotels.current)
    uow.ahead(uow.folios.lock, folio_id)


def lock_open_folio(uow: UnitOfWork, folio_id: FolioId) -> Folio:
    """Lock a folio that is about to get lines; `FolioClosed` if it accepts none."""
    folio_ahead(uow, folio_id)
    _ = uow.hotel  # Read before the folio is locked: the order of locks.
    folio = uow.folios.lock(folio_id)
    if folio.status is not FolioStatus.OPEN:
        raise errors.FolioClosed(folio.id)
    return folio


def close_at_zero(uow: UnitOfWork, folio: Folio) -> Folio:
    """Close an open, locked folio; `AmountRefused` unless its balance is zero."""
    if folio.balance:
        raise errors.AmountRefused(f"a folio closes at balance zero, and {folio.balance} is open")
    closed = uow.folios.close(folio, at=uow.now())
    uow.changed("folio", folio.id, folio, closed)
    uow.emit(FolioClosed(hotel_id=uow.hotel_id, booking_id=folio.booking_id, folio_id=folio.id))
    return closed


def close_settled_folios(uow: UnitOfWork, folios: Iterable[Folio]) -> None:
    """Close each of the folios that is open and has a balance of zero; the others stay."""
    for folio in _open(folios):
        if not folio.balance:
            close_at_zero(uow, folio)


def _open(folios: Iterable[Folio]) -> list[Folio]:
    return [folio for folio in folios if folio.status is FolioStatus.OPEN]


# -- what bookings cost and get back ----------------------------------------------------------
#
# The booking's folios are handed on as they were read and locked, and as each step leaves them: to
# read them again would cost a round trip each time.


def charge_booking(
    uow: UnitOfWork, booking: Booking, folios: Sequence[Folio], code: str, amount: Money
) -> list[Folio]:
    """Post a charge to the booking's open folio that is deepest in credit.

    So a fee is kept from what was paid. A booking without an open folio gets a new one. Returns
    the open folios.
    """
    still_open = _open(folios) or [add_folio(uow, booking, booking.guest_id)]
    deepest = min(still_open, key=lambda folio: folio.balance.minor)
    line = new_line(uow, deepest, LineKind.CHARGE, code, amount)
    charged = post_lines(uow, deepest, [line])
    return [charged if folio is deepest else folio for folio in still_open]


def post_nights(
    uow: UnitOfWork, booking: Booking, nights: Iterable[BookingNight]
) -> tuple[FolioLine, ...]:
    """Charge nights of a booking that are not posted yet to its oldest open folio; mark them.

    Released and posted ones among ``nights`` are left out. A booking without an open folio gets
    a new one.
    """
    due = [night for night in nights if not (night.posted or night.released)]
    if not due:
        return ()
    folios = _open(uow.folios.of_booking(booking.id))
    if not folios:
        folios = [add_folio(uow, booking, booking.guest_id)]
    lines = tuple(room_charge(uow, folios[0], night) for night in due)
    post_lines(uow, folios[0], lines)
    uow.bookings.mark_posted(due)
    return lines


def refund_credit(
    uow: UnitOfWork, folios: Iterable[Folio], reason: str
) -> tuple[Money, list[Folio]]:
    """Give back what a booking's folios together are in credit, payment by payment.

    The oldest payments go first. Returns what was given back, which is never more than is left
    of the payments, zero where nothing is in credit; and the open folios.
    """
    still_open = _open(folios)
    nothing = Money.zero(uow.hotel.currency)
    credit = -sum_money((folio.balance for folio in still_open), nothing.currency)
    given = nothing
    for place, folio in enumerate(still_open):
        part = min(credit - given, -folio.balance)
        if part > nothing:
            still_open[place] = _refund_from(uow, folio, part, reason)
            given += still_open[place].balance - folio.balance
    return given, still_open


def _refund_from(uow: UnitOfWork, folio: Folio, amount: Money, reason: str) -> Folio:
    lines = [
        refund_line(uow, folio, payment, part, reason)
        for payment, part in refunds_of(uow.folios.lines(folio.id), amount)
    ]
    return post_lines(uow, folio, lines) if lines else folio
