"""What the front desk does with bills: charge, allow, take and give back money, correct, close.

Nothing here changes a posted line: every correction is a line of its own that refers to the
original. A folio is locked before it is judged, so two corrections of one line never both pass.
"""

from __future__ import annotations

from datetime import date

from hotelcore.access import Permission
from hotelcore.domain.folios import (
    Folio,
    FolioLine,
    LineKind,
    allowance_of,
    refund_of,
    void_of,
)
from hotelcore.domain.money import Money
from hotelcore.errors import AmountRefused, InvalidInput
from hotelcore.ids import BookingId, FolioId, FolioLineId, GuestId
from hotelcore.operations.declaring import operation
from hotelcore.operations.posting import (
    add_folio,
    close_at_zero,
    folio_ahead,
    in_hotel_currency,
    lock_open_folio,
    new_line,
    post_lines,
    refund_line,
)
from hotelcore.text import clean_text
from hotelcore.unit_of_work import UnitOfWork

__all__ = [
    "close_folio",
    "grant_allowance",
    "move_charge",
    "open_folio",
    "post_charge_to_folio",
    "record_payment",
    "refund_payment",
    "void_charge",
]


@operation(Permission.FOLIOS_CHARGE)
def open_folio(uow: UnitOfWork, *, booking_id: BookingId, guest_id: GuestId | None = None) -> Folio:
    """Open one more folio of a booking, for ``guest_id`` or else for the booking's guest.

    A booking may have several, for instance one for its company, and may get one after check-out
    for a late charge. Raises `NotFound` for an unknown booking or guest.
    """
    uow.ahead(uow.hotels.current)
    uow.ahead(uow.bookings.get, booking_id)
    if guest_id is not None:
        uow.ahead(uow.guests.get, guest_id)
    _ = uow.hotel  # as everybody locks it first
    booking = uow.bookings.get(booking_id)
    owner = booking.guest_id if guest_id is None else uow.guests.get(guest_id).id
    with uow.together(later=True):
        return add_folio(uow, booking, owner)


@operation(Permission.FOLIOS_CHARGE)
def post_charge_to_folio(
    uow: UnitOfWork,
    *,
    folio_id: FolioId,
    code: str,
    amount: Money,
    description: str = "",
    service_date: date | None = None,
) -> FolioLine:
    """Charge ``amount``, above zero and in the hotel's currency, to an open folio.

    ``code`` says what for (1 to 50 characters, the hotel's own list), ``description`` is what
    the guest reads. The line gets the current business date; ``service_date``, if the service
    was used on another day, changes nothing in that. Raises `FolioClosed`, `NotFound`,
    `InvalidInput`, `CurrencyMismatch`.
    """
    folio_ahead(uow, folio_id)
    charged = in_hotel_currency(uow, amount)
    folio = lock_open_folio(uow, folio_id)
    line = new_line(
        uow,
        folio,
        LineKind.CHARGE,
        code,
        charged,
        description=description,
        service_date=service_date,
    )
    with uow.together(later=True):
        post_lines(uow, folio, [line])
    return line


@operation(Permission.FOLIOS_CORRECT)
def grant_allowance(
    uow: UnitOfWork, *, line_id: FolioLineId, amount: Money, reason: str
) -> FolioLine:
    """Take ``amount``, above zero, off a charge.

    All allowances of a charge together never pass it: `AmountRefused` otherwise, and for a line
    that is no charge. ``reason`` has 1 to 500 characters. Raises `FolioClosed` and `NotFound`.
    """
    _line_ahead(uow, line_id)
    why, granted = _reason(uow, reason), in_hotel_currency(uow, amount)
    charge, folio = _lock_line(uow, line_id)
    effect = allowance_of(charge, uow.folios.referring_to(line_id), granted)
    line = _correction(uow, folio, charge, LineKind.ALLOWANCE, effect, why)
    with uow.together(later=True):
        post_lines(uow, folio, [line])
    return line


@operation(Permission.FOLIOS_CHARGE)
def record_payment(
    uow: UnitOfWork, *, folio_id: FolioId, amount: Money, method: str, description: str = ""
) -> FolioLine:
    """Record that ``amount``, above zero and in the hotel's currency, was paid.

    ``method`` says how (1 to 50 characters, such as cash or card). Never give a card's number
    here or in the description. More than is owed may be paid: the folio is then in credit. The
    line's ``amount`` is its effect on the balance, so it is negative.
    """
    folio_ahead(uow, folio_id)
    how, paid = clean_text("method", method, most=50), in_hotel_currency(uow, amount)
    folio = lock_open_folio(uow, folio_id)
    line = new_line(uow, folio, LineKind.PAYMENT, how, -paid, description=description)
    with uow.together(later=True):
        post_lines(uow, folio, [line])
    return line


@operation(Permission.FOLIOS_REFUND)
def refund_payment(
    uow: UnitOfWork, *, line_id: FolioLineId, amount: Money, reason: str
) -> FolioLine:
    """Give ``amount``, above zero, of a payment back, by the payment's own method.

    All refunds of a payment together never pass it: `AmountRefused` otherwise, and for a line
    that is no payment. ``reason`` has 1 to 500 characters. Raises `FolioClosed` and `NotFound`.
    """
    _line_ahead(uow, line_id)
    why, given = _reason(uow, reason), in_hotel_currency(uow, amount)
    payment, folio = _lock_line(uow, line_id)
    effect = refund_of(payment, uow.folios.referring_to(line_id), given)
    line = refund_line(uow, folio, payment, effect, why)
    with uow.together(later=True):
        post_lines(uow, folio, [line])
    return line


@operation(Permission.FOLIOS_CORRECT)
def void_charge(uow: UnitOfWork, *, line_id: FolioLineId, reason: str) -> FolioLine:
    """Reverse a charge or an allowance with its exact opposite, on the current business date.

    A line is voided once at most, and a charge with allowances only after those: `AmountRefused`
    otherwise, and for payments and refunds, whose money really moved. ``reason`` has 1 to 500
    characters. Raises `FolioClosed` and `NotFound`.
    """
    _line_ahead(uow, line_id)
    why = _reason(uow, reason)
    original, folio = _lock_line(uow, line_id)
    if original.kind in (LineKind.PAYMENT, LineKind.REFUND):
        raise AmountRefused("money that moved is not voided: refund a payment, pay a refund anew")
    effect = void_of(original, uow.folios.referring_to(line_id))
    line = _correction(uow, folio, original, LineKind.VOID, effect, why)
    with uow.together(later=True):
        post_lines(uow, folio, [line], voided=original.kind)
    return line


@operation(Permission.FOLIOS_CORRECT)
def move_charge(
    uow: UnitOfWork, *, line_id: FolioLineId, to_folio_id: FolioId
) -> tuple[FolioLine, FolioLine]:
    """Move a charge whole to another open folio, of the same booking or of another.

    Returns the void on the folio that it leaves and the new charge, equal in amount, on the one
    that it enters. Raises `AmountRefused` for a line that is no charge, or is voided, moved or
    lowered already, `InvalidInput` for the folio that it is on, `FolioClosed` and `NotFound`.
    """
    uow.ahead(uow.hotels.current)
    uow.ahead(uow.folios.line, line_id)
    _ = uow.hotel  # Read before anything is locked: the order of locks.
    charge = uow.folios.line(line_id)
    if not charge.is_charge:
        raise AmountRefused("only a charge moves to another folio, and this line is none")
    if charge.folio_id == to_folio_id:
        raise InvalidInput("to_folio_id", "must be another folio than the charge's own")
    source, target = _lock_both(uow, charge, to_folio_id)
    effect = void_of(charge, uow.folios.referring_to(line_id))
    left = _correction(uow, source, charge, LineKind.VOID, effect, f"moved to folio {to_folio_id}")
    entered = new_line(
        uow,
        target,
        LineKind.CHARGE,
        charge.code,
        charge.amount,
        description=charge.description,
        service_date=charge.service_date,
        night=charge.night,
        refers_to=charge.id,
    )
    with uow.together(later=True):
        post_lines(uow, source, [left])
        post_lines(uow, target, [entered])
    return left, entered


def _lock_both(uow: UnitOfWork, charge: FolioLine, to_folio_id: FolioId) -> tuple[Folio, Folio]:
    """Lock the folio of a charge and another one, and return them.

    In the order of ids, so that two moves in opposite directions wait and do not deadlock.
    """
    both = sorted((charge.folio_id, to_folio_id))
    for folio_id in both:
        uow.ahead(uow.folios.lock, folio_id)
    uow.ahead(uow.folios.referring_to, charge.id)
    folios = {folio_id: lock_open_folio(uow, folio_id) for folio_id in both}
    return folios[charge.folio_id], folios[to_folio_id]


@operation(Permission.FOLIOS_CHARGE)
def close_folio(uow: UnitOfWork, *, folio_id: FolioId) -> Folio:
    """Close a folio; afterwards it accepts nothing, unless its booking is reinstated.

    Raises `AmountRefused` unless its balance is zero, `FolioClosed` if it is closed already, and
    `NotFound`.
    """
    folio = lock_open_folio(uow, folio_id)
    with uow.together(later=True):
        return close_at_zero(uow, folio)


def _reason(uow: UnitOfWork, reason: str) -> str:
    """Note in the audit entry why a line is posted, and return it for the line itself."""
    uow.reason(reason)
    return clean_text("reason", reason, most=500)


def _line_ahead(uow: UnitOfWork, line_id: FolioLineId) -> None:
    """Have the hotel and a line asked for with the next question."""
    uow.ahead(uow.hotels.current)
    uow.ahead(uow.folios.line, line_id)


def _lock_line(uow: UnitOfWork, line_id: FolioLineId) -> tuple[FolioLine, Folio]:
    """Return a line and its folio, locked and open; a line never changes, so it is read first."""
    line = uow.folios.line(line_id)
    folio_ahead(uow, line.folio_id)
    uow.ahead(uow.folios.referring_to, line_id)
    return line, lock_open_folio(uow, line.folio_id)


def _correction(
    uow: UnitOfWork, folio: Folio, original: FolioLine, kind: LineKind, effect: Money, why: str
) -> FolioLine:
    """Build a line that corrects ``original``: for the same service, but posted today."""
    return new_line(
        uow,
        folio,
        kind,
        original.code,
        effect,
        description=why,
        service_date=original.service_date,
        refers_to=original.id,
    )
