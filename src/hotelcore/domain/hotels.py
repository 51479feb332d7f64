"""A hotel: the tenant, its time zone, currency, business date and house rules."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from attrs import field, frozen

from hotelcore import clock
from hotelcore.domain import fields
from hotelcore.domain.cancellation import CancellationPolicy
from hotelcore.domain.money import currency
from hotelcore.domain.rooms import RoomCondition
from hotelcore.errors import InvalidInput
from hotelcore.ids import HotelId

__all__ = ["Hotel", "HouseRules", "OverdueDeparture", "UnresolvedArrival"]


class UnresolvedArrival(StrEnum):
    """What the night audit does with a confirmed booking whose guest has not come."""

    NO_SHOW = "no_show"
    KEEP = "keep"
    BLOCK = "block"


class OverdueDeparture(StrEnum):
    """What the night audit does with a guest in house whose departure day has come."""

    EXTEND = "extend"
    BLOCK = "block"


_READY = (RoomCondition.CLEAN, RoomCondition.INSPECTED)


@frozen(kw_only=True)
class HouseRules:
    """How this hotel works where hotels differ.

    ``ready_condition`` is the worst room condition in which a guest may check in (clean or
    inspected). The night audit follows ``unresolved_arrival`` and ``overdue_departure``.
    """

    ready_condition: RoomCondition = fields.choice(RoomCondition, default=RoomCondition.CLEAN)
    unresolved_arrival: UnresolvedArrival = fields.choice(
        UnresolvedArrival, default=UnresolvedArrival.NO_SHOW
    )
    overdue_departure: OverdueDeparture = fields.choice(
        OverdueDeparture, default=OverdueDeparture.BLOCK
    )
    cancellation: CancellationPolicy = fields.instance(CancellationPolicy, default=True)

    def __attrs_post_init__(self) -> None:
        if self.ready_condition not in _READY:
            raise InvalidInput("ready_condition", "must be clean or inspected")

    def is_ready(self, condition: RoomCondition) -> bool:
        """Tell whether a room in ``condition`` may take a guest."""
        return condition in _READY[_READY.index(self.ready_condition) :]


def _zone_name(name: str) -> str:
    return clock.time_zone(name).key


@frozen(kw_only=True)
class Hotel:
    """One hotel. ``business_date`` moves only by the night audit, one day at a time."""

    id: HotelId = fields.identifier()
    name: str = fields.text(200)
    time_zone: str = field(converter=_zone_name)
    currency: str = field(converter=currency)
    business_date: date = fields.day()
    rules: HouseRules = fields.instance(HouseRules, default=True)
    stripe_customer_id: str | None = fields.text(255, optional=True)
    stripe_subscription_id: str | None = fields.text(255, optional=True)
    attributes: fields.Attributes = fields.attributes()
    created_at: datetime = fields.instant()
    version: int = fields.version()
