"""No operation and no question costs more than was agreed upon, or less without being told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.postgres_server import fresh_database
from tests.speed.counting import CALLS, Meter, metered, stored


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def meter(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Meter]:
    """Return a meter over a database of each kind."""
    with ExitStack() as kept:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path_factory.mktemp('speed') / 'hotel.db'}"
        else:
            url = kept.enter_context(fresh_database(request.getfixturevalue("postgresql_server")))
        yield kept.enter_context(metered(url))


def test_every_operation_and_question_has_agreed_costs() -> None:
    """The file names each of them once, and nothing else."""
    assert list(stored()) == CALLS


@pytest.mark.parametrize("call", CALLS)
def test_a_call_costs_what_was_agreed(meter: Meter, call: str) -> None:
    """Statements and round trips are those in counts.csv, which says how to change them."""
    found = meter.costs_of(call)
    agreed = stored()[call]
    assert found == {name: agreed[name] for name in found}


def test_a_call_costs_the_same_each_time(meter: Meter) -> None:
    """No count depends on what was called before, so the order of the tests does not matter."""
    first, *others = (meter.costs_of("create_booking_with_folio") for _ in range(8))
    assert all(other == first for other in others)
