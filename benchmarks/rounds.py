"""Times works side by side, so that whatever else the machine does meets all of them alike.

In each round every work runs once, in an order that moves on from round to round. Before each
round a loop of known length is timed, and the half of the rounds in which it took longer is left
out: then somebody else had the processor. What is compared are medians of the rest.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from time import perf_counter
from typing import TypeAlias

__all__ = ["Preparation", "Work", "medians", "seconds", "stated"]

Work: TypeAlias = Callable[[], object]
Preparation: TypeAlias = Callable[[], Work]
"""Makes a work ready that can run once only; that is not timed."""

_WARM_UP = 3
_CONTROL = 20_000


def stated(work: Work) -> Preparation:
    """Make a preparation of a work that needs none."""
    return lambda: work


def medians(works: Mapping[str, Preparation], rounds: int) -> dict[str, float]:
    """Return the median seconds of each work."""
    for _ in range(_WARM_UP):
        for prepare in works.values():
            prepare()()
    names, times = list(works), []
    with _without_collection():
        for number in range(rounds):
            turn = number % len(names)
            times.append(_round(works, names[turn:] + names[:turn]))
    quiet = sorted(times, key=_control_of)[: max(1, rounds // 2)]
    return {name: median(taken[name] for _, taken in quiet) for name in names}


def seconds(work: Work) -> float:
    """Time one run."""
    begun = perf_counter()
    work()
    return perf_counter() - begun


def _round(
    works: Mapping[str, Preparation], order: Sequence[str]
) -> tuple[float, dict[str, float]]:
    ready = {name: works[name]() for name in order}
    gc.collect()
    control = seconds(_control)
    return control, {name: seconds(work) for name, work in ready.items()}


def _control_of(of_round: tuple[float, dict[str, float]]) -> float:
    return of_round[0]


def _control() -> int:
    return sum(range(_CONTROL))


@contextmanager
def _without_collection() -> Generator[None]:
    """Collect garbage between the rounds only, and not what was there before them."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
