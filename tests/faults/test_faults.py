"""The planted faults fit the code. That each is caught is shown by ``nox -s faults``."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.faults.planting import FAULTS, ROOT, Fault

pytestmark = pytest.mark.long  # the places of faults are the same on every Python
FEWEST = 30


def test_there_are_faults() -> None:
    """There are many, each with a name of its own."""
    assert len(FAULTS) >= FEWEST
    assert max(Counter(fault.name for fault in FAULTS).values()) == 1


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_has_its_place(fault: Fault) -> None:
    """Each change of it has exactly one place in its file, and changes what is there."""
    for change in fault.changes:
        code = (ROOT / change.file).read_text()
        assert change.made_in(code) != code


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_the_tests_of_a_fault_exist(fault: Fault) -> None:
    """There are tests for it, and each file or function that it names is there."""
    assert fault.tests
    for test in fault.tests:
        file, _, function = test.partition("::")
        assert f"def {function.partition('[')[0]}" in (ROOT / file).read_text()
