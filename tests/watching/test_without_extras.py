"""Watching itself needs no more packages, and who lacks one is told which extra brings it."""

from __future__ import annotations

import subprocess
import sys

_WITHOUT_EXTRAS = """
import sys
from importlib import import_module
import hotelcore.watching
from hotelcore import HotelCore
from hotelcore.errors import MissingExtra

HotelCore("sqlite://").watch.pool_use()
heavy = {"opentelemetry", "prometheus_client"}
assert heavy.isdisjoint(sys.modules), heavy.intersection(sys.modules)
for package in heavy:
    sys.modules[package] = None  # cannot be imported from now on
for extra in ("otel", "prometheus"):
    try:
        import_module(f"hotelcore.watching.{extra}")
    except MissingExtra as error:
        print(error.extra)
"""


def test_a_missing_package_is_named_by_its_extra() -> None:
    """The core brings neither package, and a module without its package names the extra."""
    ran = subprocess.run(
        [sys.executable, "-c", _WITHOUT_EXTRAS], check=True, capture_output=True, text=True
    )
    assert ran.stdout.split() == ["otel", "prometheus"]
