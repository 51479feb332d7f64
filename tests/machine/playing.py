"""How much the machine searches, by profile, and the databases that it plays on."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from hotelcore.clock import Clock
from hotelcore.core import HotelCore

# Examples and steps of each; `nightly` is for a night on a machine of its own.
_AMOUNTS = {"smoke": (4, 20), "dev": (25, 30), "ci": (60, 30), "nightly": (20_000, 50)}


def machine_settings(examples: int | None = None) -> settings:
    """Return the settings of the profile in use, with fewer ``examples`` if told."""
    most, steps = _AMOUNTS[settings.get_current_profile_name()]
    return settings(
        max_examples=most if examples is None else min(most, examples),
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def in_memory(clock: Clock) -> HotelCore:
    """Return a core over an empty SQLite database in memory."""
    core = HotelCore("sqlite://", clock=clock)
    core.create_schema()
    return core
