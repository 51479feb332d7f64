"""``hotelcore events backlog``: how much there is to do."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from hotelcore.cli.events.answers import counted
from hotelcore.cli.output import Output
from hotelcore.relay.backlog import Backlog, HotelBacklog, SubscriptionBacklog

__all__ = ["print_backlog"]

_HOTEL_HEADERS = ("hotel", "waiting", "oldest, s", "attempts to send")
_TASK_HEADERS = ("hotel", "subscription", "behind", "failing", "overdue, s", "dead letters")


def print_backlog(found: Backlog, output: Output) -> None:
    """Print the figures of each hotel that has something to do, and their sums."""
    if found.hotels:
        rows = [*map(_hotel_row, found.hotels), _total_row(found)]
        output.table(_HOTEL_HEADERS, rows)
    if found.subscriptions:
        tasks = [(str(h.hotel_id), task) for h in found.hotels for task in h.subscriptions]
        tasks += [("total", task) for task in found.subscriptions]
        output.line()
        output.table(_TASK_HEADERS, [_task_row(*task) for task in tasks])
    output.line(f"something waits in {counted(len(found.hotels), 'hotel')}")
    output.document({"total": _total(found), "hotels": [_hotel(each) for each in found.hotels]})


def _hotel_row(hotel: HotelBacklog) -> Sequence[object]:
    oldest = _seconds(hotel.oldest_seconds)
    return str(hotel.hotel_id), hotel.waiting, oldest, hotel.send_attempts


def _total_row(found: Backlog) -> Sequence[object]:
    return "total", found.waiting, _seconds(found.oldest_seconds), found.send_attempts


def _task_row(hotel: str, task: SubscriptionBacklog) -> Sequence[object]:
    overdue = _seconds(task.overdue_seconds)
    return hotel, task.name, task.behind, task.failing, overdue, task.dead_letters


def _seconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:,.1f}"


def _hotel(hotel: HotelBacklog) -> dict[str, object]:
    return {**attrs.asdict(hotel), "hotel_id": str(hotel.hotel_id)}


def _total(found: Backlog) -> dict[str, object]:
    return {
        "waiting": found.waiting,
        "oldest_seconds": found.oldest_seconds,
        "put_off": found.put_off,
        "send_attempts": found.send_attempts,
        "subscriptions": [attrs.asdict(task) for task in found.subscriptions],
    }
