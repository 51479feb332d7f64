"""What is kept in memory: a page of entities beside tuples, and a sync of many bookings."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence

from benchmarks.contestants.ours import Ours
from benchmarks.contestants.raw import Raw
from benchmarks.house import MOST
from benchmarks.orders import Orders
from benchmarks.report import Report
from hotelcore.lists import BookingFilter

__all__ = ["memory"]

_SYNCS = (100, 200, 400)
_PART = 500


def memory(ours: Ours, raw: Raw, in_parts: Sequence[int], report: Report) -> None:
    """Measure what a page of 1,000 bookings keeps, and the peaks of syncs of several sizes."""
    tuples = _kept(lambda: raw.first_bookings(MOST))
    entities = _kept(lambda: _page(ours))
    rows: list[list[object]] = [
        ["1,000 bookings as tuples", _kib(tuples), ""],
        ["1,000 bookings as entities", _kib(entities), f"{entities / tuples:.2f} x the tuples"],
    ]
    orders = Orders(ours.core, ours.desk, ours.house)
    for number in _SYNCS:
        peak = _peak(ours.take_over(orders.takeover(number)))
        rows.append([f"peak of a sync of {number:,}", _kib(peak), f"{_kib(peak / number)} each"])
    for number in in_parts:
        # Each part alone: what the other system sent is the host's to keep.
        peaks = [_peak(work) for work in ours.take_over_in_parts(orders.snapshot(number), _PART)]
        row = f"highest peak of {number:,} in parts of {_PART}"
        rows.append([row, _kib(max(peaks)), f"in {len(peaks)} transactions"])
    report.table("memory", ["", "", ""], rows)


def _page(ours: Ours) -> object:
    with ours.desk.reading() as uow:
        return uow.bookings.page(BookingFilter(), limit=MOST).items


def _kept(ask: Callable[[], object]) -> int:
    ask()  # so that what is made once is there
    tracemalloc.start()
    answer = ask()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del answer
    return kept


def _peak(work: Callable[[], object]) -> int:
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def _kib(size: float) -> str:
    return f"{size / 1024:,.1f} KiB"
