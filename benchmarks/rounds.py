"""Times works side by side, so that whatever else the machine does meets all of them alike.

In each round every work runs once, in an order that moves on from round to round. Time in which
this thread, or the server's process that works for it, stood in line for a processor is taken off:
then somebody else had it. Of the timings of a work the calmer half counts, by how long that was and
by how long a loop of known length took just before. What is compared are the medians of that half.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import TypeAlias

from attrs import frozen

__all__ = ["QUESTIONS", "Preparation", "Queue", "Work", "medians", "stated"]

Work: TypeAlias = Callable[[], object]
Preparation: TypeAlias = Callable[[], Work]
"""Makes a work ready that can run once only; that is not timed."""

QUESTIONS = 10
"""How many times a timing asks a question: a process that is at work has warm caches."""

_MOST_WARM_UP = 3
_CONTROL = 20_000


def stated(work: Work) -> Preparation:
    """Make a preparation of a work that needs none."""
    return lambda: work


@frozen
class Queue:
    """Where this thread and some processes of a server wait until they get a processor.

    Linux tells for how long (https://docs.kernel.org/scheduler/sched-stats.html); elsewhere, and of
    a server on another machine, nothing is known, and nothing taken off.
    """

    processes: Collection[int] = ()

    def seconds(self) -> float:
        """Return for how long they have waited since they began."""
        tasks = ["thread-self", *map(str, self.processes)]
        return sum(_waited(Path("/proc", task, "schedstat")) for task in tasks)


def _waited(path: Path) -> float:
    try:
        return int(path.read_text().split()[1]) / 1e9
    except OSError:
        return 0.0


@frozen
class Timing:
    """The seconds that a work took, and how much it was disturbed."""

    seconds: float
    disturbance: float


def medians(
    works: Mapping[str, Preparation], rounds: int, queue: Queue = Queue(), times: int = 1
) -> dict[str, float]:
    """Return the median seconds of each work, which each timing does several ``times``.

    Garbage was collected just before, so a short work that is done once meets cold caches.
    """
    for _ in range(min(_MOST_WARM_UP, rounds // 5)):
        for prepare in works.values():
            prepare()()
    names = list(works)
    timings: dict[str, list[Timing]] = {name: [] for name in names}
    with _without_collection():
        for number in range(rounds):
            turn = number % len(names)
            for name in names[turn:] + names[:turn]:
                timings[name].append(_timed(works[name], queue, times))
    return {name: _calm_median(timings[name]) for name in names}


def _timed(prepare: Preparation, queue: Queue, times: int) -> Timing:
    works = [prepare() for _ in range(times)]
    gc.collect()
    control, _ = _seconds(lambda: sum(range(_CONTROL)), queue)
    taken, waited = _seconds(lambda: [work() for work in works], queue)
    return Timing(taken / times, control + waited / times)


def _seconds(work: Work, queue: Queue) -> tuple[float, float]:
    before, begun = queue.seconds(), perf_counter()
    work()
    taken, waited = perf_counter() - begun, queue.seconds() - before
    return taken - waited, waited


def _calm_median(timings: Collection[Timing]) -> float:
    calm = sorted(timings, key=lambda timing: timing.disturbance)[: max(1, len(timings) // 2)]
    return median(timing.seconds for timing in calm)


@contextmanager
def _without_collection() -> Generator[None]:
    """Collect garbage between the timings only, and not what was there before them."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
