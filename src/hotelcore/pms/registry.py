"""Adapters by vendor, found by entry point, so that any installed package can bring one.

A package declares, in its ``pyproject.toml``::

    [project.entry-points."hotelcore.pms"]
    acme = "acme_hotelcore:AcmeAdapter"
"""

from __future__ import annotations

from importlib.metadata import entry_points

from hotelcore.errors import PmsFailure

__all__ = ["ENTRY_POINT_GROUP", "adapter_of", "known_vendors"]

ENTRY_POINT_GROUP = "hotelcore.pms"
"""The group of entry points in which an adapter registers its vendor."""


def known_vendors() -> tuple[str, ...]:
    """Return the names of all installed adapters, sorted; none of them is imported."""
    return tuple(sorted(entry_points(group=ENTRY_POINT_GROUP).names))


def adapter_of(vendor: str) -> object:
    """Import and return what the package of ``vendor`` registered: its adapter's factory.

    Its arguments are the vendor's own. Raises `PmsFailure` for a vendor that is not installed, is
    there twice, or whose package cannot be imported; what the import raised is its cause.
    """
    found = entry_points(group=ENTRY_POINT_GROUP, name=vendor)
    if not found:
        known = ", ".join(known_vendors()) or "none"
        raise PmsFailure(vendor, f"no adapter is installed (installed: {known})")
    if len(found) > 1:
        raise PmsFailure(vendor, f"{len(found)} packages bring an adapter: uninstall all but one")
    (only,) = found
    try:
        return only.load()
    except Exception as error:  # a package may raise anything while it is imported
        why = f"its adapter cannot be imported ({type(error).__name__})"
        raise PmsFailure(vendor, f"{why}: install its package anew, or update it") from error
