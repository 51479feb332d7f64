"""Old events in new classes: each stored version is lifted, step by step, to the newest one.

A step works on the wire form, so it needs no class of the old version. It is a plain function of a
payload of its version that returns one of the next, and leaves what it was given as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from hotelcore.errors import InvalidInput, UnknownEvent
from hotelcore.events.catalogue import CATALOGUE, Event, event_of
from hotelcore.wire import Json

__all__ = ["UPCASTERS", "Upcaster", "Upcasters", "complete", "opened"]

Upcaster: TypeAlias = Callable[[Mapping[str, Json]], dict[str, Json]]
"""Takes a payload of one version and returns it as one of the next."""

Upcasters: TypeAlias = Mapping[tuple[str, int], Upcaster]
"""Each step by the wire name and the version that it lifts by one."""


def complete(upcasters: Upcasters, catalogue: Mapping[str, type[Event]]) -> Upcasters:
    """Return ``upcasters`` if they lift every older version in ``catalogue``, and nothing else.

    Raises `InvalidInput` that names the step that is missing or leads nowhere.
    """
    needed = {(name, old) for name, kind in catalogue.items() for old in range(1, kind.version)}
    for name, version in sorted(needed ^ upcasters.keys()):
        fault = "is missing" if (name, version) in needed else "leads to no version"
        raise InvalidInput("upcasters", f"the step of {name} from version {version} {fault}")
    return MappingProxyType(dict(upcasters))


UPCASTERS: Upcasters = complete({}, CATALOGUE)
"""The library's own steps. No event has an older version yet."""


def opened(
    name: str,
    version: int,
    payload: Json,
    *,
    catalogue: Mapping[str, type[Event]] = CATALOGUE,
    upcasters: Upcasters = UPCASTERS,
) -> Event:
    """Return the event that ``payload`` is in ``version`` of the event called ``name``.

    Raises `UnknownEvent` for a name that is not in ``catalogue`` or a version that its class has
    not reached, and `InvalidInput` for a payload that is not of that version.
    """
    kind = catalogue.get(name)
    if kind is None or not 1 <= version <= kind.version:
        raise UnknownEvent(name, version)
    for old in range(version, kind.version):
        payload = _lifted(upcasters[name, old], payload, old)
    return event_of(kind, payload)


def _lifted(upcaster: Upcaster, payload: Json, version: int) -> Json:
    if type(payload) is not dict:
        raise InvalidInput("payload", "must be an object")
    try:
        return upcaster(payload)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        # The step's own words may quote the payload.
        raise InvalidInput("payload", f"is not of version {version}") from None
