"""How much the machine searches, by profile, and the databases that it plays on."""

from __future__ import annotations

from datetime import timedelta
from itertools import count
from pathlib import Path

from hypothesis import HealthCheck, settings
from sqlalchemy import create_engine

from hotelcore.clock import Clock
from hotelcore.core import AsyncHotelCore, HotelCore
from hotelcore.sql.schema import TableNames
from hotelcore.sql.seam.limits import Limits
from hotelcore.testing.machine import MakeCore
from tests.small_hotel import KEYS

# Examples and steps of each; `nightly` is for a night on a machine of its own.
_CI = (60, 30)
_AMOUNTS = {
    "smoke": (4, 20),
    "dev": (25, 30),
    "ci": _CI,
    "faults": _CI,
    "nightly": (20_000, 50),
}


def machine_settings(examples: int | None = None) -> settings:
    """Return the settings of the profile in use, with fewer ``examples`` if told."""
    most, steps = _AMOUNTS[settings.get_current_profile_name()]
    return settings(
        max_examples=most if examples is None else min(most, examples),
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def awaited(folder: Path) -> MakeCore:
    """Return what makes cores for asyncio, each over a SQLite file of its own in the folder."""
    numbers = count()

    async def make_core(clock: Clock) -> AsyncHotelCore:
        core = AsyncHotelCore(f"sqlite:///{folder / f'world{next(numbers)}.db'}", clock=clock)
        await core.create_schema()
        return core

    return make_core


def of_a_host(folder: Path) -> MakeCore:
    """Return what makes cores as a host would: over its own engine, with names and limits."""
    numbers = count()

    def make_core(clock: Clock) -> HotelCore:
        engine = create_engine(f"sqlite:///{folder / f'host{next(numbers)}.db'}", pool_size=2)
        with engine.begin() as connection:
            connection.exec_driver_sql("CREATE TABLE hosts_own (id INTEGER PRIMARY KEY)")
        core = HotelCore(
            engine,
            names=TableNames(prefix="rooms_"),
            limits=Limits(wait_limit=timedelta(seconds=2), time_limit=timedelta(seconds=20)),
            clock=clock,
            keys=KEYS,
        )
        core.create_schema()
        return core

    return make_core


def in_memory(clock: Clock) -> HotelCore:
    """Return a core over an empty SQLite database in memory."""
    core = HotelCore("sqlite://", clock=clock)
    core.create_schema()
    return core
