"""Signals of blinker that host and library can rely on, and the functions that hosts hand in.

A receiver is kept, called in the order of connection, and isolated: what it raises stays with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any, TypeVar

from blinker import ANY, Signal

from hotelcore.errors import InvalidInput

__all__ = ["Announcement", "check_runs", "name_of"]

_log = logging.getLogger("hotelcore.signals")

Receiver = TypeVar("Receiver", bound=Callable[..., Any])  # Any: as blinker itself declares it


# -- functions of a host's ----------------------------------------------------------------------


def name_of(function: object) -> str:
    """Return the name that the code gives a function: its repr may show a guest's data."""
    function = _innermost(function)
    named = function if hasattr(function, "__qualname__") else type(function)
    places = (getattr(named, "__module__", None), getattr(named, "__qualname__", None))
    return ".".join(place for place in places if isinstance(place, str))


def check_runs(field: str, function: object, *, awaits: bool) -> None:
    """Refuse what a call would not run to its end: a generator and, unless awaited, ``async def``.

    A `partial` and an object's ``__call__`` are looked into. Raises `InvalidInput` on ``field``.
    """
    if not callable(function):
        raise InvalidInput(field, "must be a function")
    innermost = _innermost(function)
    for form in (innermost, type(innermost).__call__):
        if isgeneratorfunction(form) or isasyncgenfunction(form):
            raise InvalidInput(field, "must not be a generator, which nobody would run")
        if iscoroutinefunction(form) and not awaits:
            raise InvalidInput(field, "must be a plain function: nobody would await an async one")


def _innermost(function: object) -> object:
    while isinstance(function, partial):
        function = function.func
    return function


# -- signals ------------------------------------------------------------------------------------


class _InOrder(set[Any]):  # Any: blinker's keys are of several types
    """What blinker asks for where receivers are to be called in the order of connection."""

    def __init__(self) -> None:
        super().__init__()
        self._keys: dict[Any, None] = {}  # Any: as above

    def add(self, key: object) -> None:
        super().add(key)
        self._keys[key] = None

    def discard(self, key: object) -> None:
        super().discard(key)
        self._keys.pop(key, None)

    def __iter__(self) -> Iterator[Any]:  # Any: as above
        return iter(self._keys)

    def copy(self) -> _InOrder:
        return self | ()

    def __or__(self, more: Any) -> _InOrder:  # Any: blinker adds one of its sets to another
        both = _InOrder()
        for key in (*self, *more):
            both.add(key)
        return both


class Announcement(Signal):
    """A signal of blinker whose receivers are kept, called in order of connection, and isolated.

    A receiver is called with the sender and with the facts as keywords: ``receiver(bus, **facts)``.
    """

    set_class = _InOrder

    def connect(self, receiver: Receiver, sender: object = ANY, weak: bool = False) -> Receiver:
        """Call ``receiver`` with every announcement, or with those of the one ``sender``.

        Other than blinker's own it is kept unless ``weak``. Raises `InvalidInput` for an async
        function or a generator, which would never run.
        """
        check_runs("receiver", receiver, awaits=False)
        return super().connect(receiver, sender, weak)

    def announce(self, sender: object, **facts: object) -> None:
        """Tell every receiver. One that fails is logged; it stops no other and is not announced."""
        if self.is_muted:
            return
        for receiver in self.receivers_for(sender):
            try:
                receiver(sender, **facts)
            except Exception as error:  # noqa: BLE001  # isolation: any fault stays inside
                # Its text may hold personal data of the host's, so only its class is named.
                _log.error("receiver of a signal failed: %s", type(error).__name__)
