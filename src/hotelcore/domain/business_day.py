"""A closed business day and the figures that a manager reads from it."""

from __future__ import annotations

from datetime import date, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, DivisionByZero, InvalidOperation

from attrs import frozen

from hotelcore.domain import fields
from hotelcore.domain.money import EXACT, Money
from hotelcore.ids import HotelId

__all__ = ["BusinessDay"]

# As many digits as Python gives by default, whatever the caller's own decimal context says.
_SHARES = Context(prec=28, rounding=ROUND_HALF_EVEN, traps=[DivisionByZero, InvalidOperation])


@frozen(kw_only=True)
class BusinessDay:
    """One business day as the night audit closed it; there is one per hotel and date.

    All figures come from one set of stays: the nights that were posted when the day was closed.
    Room revenue goes by the night, the ledger by the date of posting. So a night that a late guest
    missed, charged at check-in under the rule `UnresolvedArrival.KEEP` after its own day was
    closed, is in the ledger but in no business day. The denominator is
    ``rooms_available = rooms - out_of_inventory``; rooms out of order stay in it, as in the
    Uniform System of Accounts for the Lodging Industry and in STR's supply.
    """

    hotel_id: HotelId = fields.identifier()
    date: date = fields.day()
    rooms: int = fields.count(0, fields.MOST)
    out_of_inventory: int = fields.count(0, fields.MOST)
    out_of_order: int = fields.count(0, fields.MOST)
    rooms_sold: int = fields.count(0, fields.MOST)
    room_revenue: Money = fields.money()
    arrivals: int = fields.count(0, fields.MOST)
    departures: int = fields.count(0, fields.MOST)
    no_shows: int = fields.count(0, fields.MOST)
    closed_at: datetime = fields.instant()
    closed_by: str = fields.text(200)

    @property
    def rooms_available(self) -> int:
        """Rooms that count for occupancy and RevPAR."""
        return self.rooms - self.out_of_inventory

    @property
    def occupancy(self) -> Decimal:
        """Rooms sold as a share of the rooms available, from 0 to 1 (above when overbooked)."""
        return _ratio(self.rooms_sold, self.rooms_available)

    @property
    def adr(self) -> Money:
        """Average daily rate: room revenue a room sold, rounded half-even."""
        return self._revenue_per(self.rooms_sold)

    @property
    def rev_par(self) -> Money:
        """Revenue per available room: room revenue a room available, rounded half-even."""
        return self._revenue_per(self.rooms_available)

    def _revenue_per(self, rooms: int) -> Money:
        revenue = self.room_revenue
        if not rooms:
            return Money.zero(revenue.currency)
        return Money.rounded(EXACT.divide(revenue.amount, rooms), revenue.currency)


def _ratio(part: int, whole: int) -> Decimal:
    return _SHARES.divide(Decimal(part), whole) if whole else Decimal(0)
