"""Tells listeners in this process what was committed.

Delivery is after the commit and best effort: a listener that fails never touches the command, the
others or the emitter. Its failure is logged and sent to the ``error`` signal.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from blinker import Signal

from hotelcore.domain import fields
from hotelcore.errors import InvalidInput
from hotelcore.events.catalogue import CATALOGUE, Event

__all__ = ["EventBus"]

_log = logging.getLogger("hotelcore.events")

E = TypeVar("E", bound=Event)
# A listener's return value is of no interest, so any is fine.
Listener = Callable[[E], Any]


class EventBus:
    """Listeners by event class, called in the order in which they subscribed.

    ``error`` is a blinker signal sent with ``event=``, ``listener=`` and ``error=`` whenever a
    listener raises.
    """

    def __init__(self) -> None:
        self.error = Signal("a listener failed")
        # Listeners of different events share the table, so their argument type is open here.
        self._listeners: defaultdict[type[Event], list[Listener[Any]]] = defaultdict(list)

    def subscribe(self, kind: type[E], listener: Listener[E]) -> None:
        """Call ``listener`` with every committed event of exactly ``kind``.

        Raises `InvalidInput` for a class that is no event, and for a listener that is no plain
        function: an ``async def`` or a generator would never run.
        """
        if kind not in CATALOGUE.values():
            raise InvalidInput("kind", "must be an event class of the catalogue")
        fields.check_plain("listener", listener)
        self._listeners[kind].append(listener)

    def on(self, kind: type[E]) -> Callable[[Listener[E]], Listener[E]]:
        """Subscribe the decorated function to ``kind``."""

        def decorate(listener: Listener[E]) -> Listener[E]:
            self.subscribe(kind, listener)
            return listener

        return decorate

    def publish(self, events: Iterable[Event]) -> None:
        """Hand each event to its listeners; whatever one raises stays with it."""
        for event in events:
            for listener in tuple(self._listeners.get(type(event), ())):
                try:
                    listener(event)
                except Exception as error:  # noqa: BLE001  # isolation: any fault stays inside
                    self._report(event, listener, error)

    def _report(self, event: Event, listener: Listener[Any], error: Exception) -> None:
        # The exception's own text may hold personal data of the host's, so only its class is named.
        _log.error("listener of %s failed: %s", event.wire_name, type(error).__name__)
        self.error.send(self, event=event, listener=listener, error=error)
