"""What a cancellation or a no-show costs, as agreed when the booking was made."""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from attrs import frozen

from hotelcore.domain import fields
from hotelcore.domain.money import Money, sum_money
from hotelcore.domain.stays import Stay

__all__ = ["CancellationCause", "CancellationPolicy", "Fee", "FeeKind"]

_WHOLE = 10_000


class CancellationCause(StrEnum):
    """Why a booking was cancelled, as far as other systems are told."""

    REQUESTED = "requested"
    HOLD_EXPIRED = "hold_expired"


class FeeKind(StrEnum):
    """What a fee is reckoned from."""

    NONE = "none"
    FIRST_NIGHT = "first_night"
    SHARE = "share"


@frozen(kw_only=True)
class Fee:
    """A fee on a booking: nothing, the first night, or a share of the whole.

    ``basis_points`` says how much of it: 10,000 is all of it, 2,500 a quarter.
    """

    kind: FeeKind = fields.choice(FeeKind, default=FeeKind.NONE)
    basis_points: int = fields.count(0, _WHOLE, default=_WHOLE)

    def of(self, first_night: Money, total: Money) -> Money:
        """Return the fee, never below zero and never above ``total``."""
        nothing = Money.zero(total.currency)
        if self.kind is FeeKind.NONE:
            return nothing
        reckoned_from = first_night if self.kind is FeeKind.FIRST_NIGHT else total
        return max(nothing, min(reckoned_from.percent(self.basis_points), total))


@frozen(kw_only=True)
class CancellationPolicy:
    """The terms of one booking: a snapshot, so that tomorrow's terms do not change it.

    A cancellation at least ``free_days`` days before arrival is free, a later one costs
    ``late_fee``, a no-show ``no_show_fee``. The default costs nothing, ever.
    """

    free_days: int = fields.count(0, 999, default=0)
    late_fee: Fee = fields.instance(Fee, default=True)
    no_show_fee: Fee = fields.instance(Fee, default=True)

    def cancellation_fee(self, stay: Stay, prices: tuple[Money, ...], on: date) -> Money | None:
        """Return the fee for cancelling ``on`` a business date; None for a stay without nights."""
        if not prices:
            return None
        free = (stay.arrival - on).days >= self.free_days and on <= stay.arrival
        fee = Fee() if free else self.late_fee
        return fee.of(prices[0], sum_money(prices, prices[0].currency))

    def fee_for_no_show(self, prices: tuple[Money, ...]) -> Money | None:
        """Return the fee for a guest who never came; None for a stay without nights."""
        if not prices:
            return None
        return self.no_show_fee.of(prices[0], sum_money(prices, prices[0].currency))
