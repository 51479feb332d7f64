"""What all contracts have in common: they need no pytest, and fail in the words of a promise."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hotelcore.testing import contracts
from hotelcore.testing.contracts import PromiseBroken, promises_of
from hotelcore.testing.contracts.promises import promise

CONTRACTS = [getattr(contracts, name) for name in contracts.__all__ if name.endswith("Contract")]

_WITHOUT_PYTEST = """
import sys
import hotelcore.testing.contracts
assert not {"pytest", "hypothesis", "faststream", "_pytest"} & set(sys.modules)
"""


def test_importing_needs_no_pytest() -> None:
    """Who only imports the contracts gets neither pytest nor a broker's packages."""
    subprocess.run([sys.executable, "-c", _WITHOUT_PYTEST], check=True)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_check_is_one_promise(contract: type) -> None:
    """Each check names its promise in a sentence that no other has."""
    words = list(promises_of(contract).values())
    assert len(set(words)) == len(words) > 0
    assert all(each[0].isupper() and each.endswith(".") for each in words)


def test_any_failure_says_which_promise_broke() -> None:
    """A false assertion and an error of any kind are told under the promise's words."""

    class Kept:
        @promise("It holds.")
        def test_it(self, error: Exception) -> None:
            """Break the promise in the way that is given."""
            raise error

    for error, seen in (
        (AssertionError("It does not."), "It does not."),
        (KeyError("lost"), "It raised KeyError: 'lost'"),
    ):
        with pytest.raises(PromiseBroken) as broken:
            Kept().test_it(error)
        assert str(broken.value) == f"Promise broken: It holds. {seen}"
        assert broken.value.__cause__ is error
    with pytest.raises(KeyboardInterrupt):  # what is no failure of the implementation goes through
        Kept().test_it(KeyboardInterrupt())  # type: ignore[arg-type]  # that is it


_A_HOSTS_TEST = """
import pytest
from hotelcore.access import POLICY, Permission, Policy
from hotelcore.testing.contracts import PolicyContract

class Careless(Policy):
    def rights_of(self, role):
        return super().rights_of(role.lower())

class TestCareless(PolicyContract):
    @pytest.fixture
    def policy(self):
        return Careless({role: POLICY.rights_of(role) for role in POLICY.roles})
"""


@pytest.mark.long
def test_a_host_needs_one_import_and_one_fixture(tmp_path: Path) -> None:
    """In a run of its own a subclass is found, and its failure begins with the promise."""
    (tmp_path / "test_host.py").write_text(_A_HOSTS_TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "--rootdir", "."]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 1, ended.stdout + ended.stderr
    broken = "Promise broken: A role that a policy does not know may do nothing."
    assert f"{broken} The unknown role 'ADMIN' has" in ended.stdout
    assert "9 passed" in ended.stdout
