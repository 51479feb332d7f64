"""``hotelcore access matrix`` prints who may do what, for people and for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from hotelcore import Permission, Role
from hotelcore.access import POLICY
from hotelcore.cli import main
from hotelcore.operations import OPERATIONS
from hotelcore.operations.declaring import permission_of
from tests.access.answers import ANSWERS
from tests.every_operation import NAMES

APP = """
    from hotelcore import HotelCore, Permission
    from hotelcore.access import POLICY
    from hotelcore.operations import operation

    @operation(Permission.FRONT_DESK)
    def valet_parking(uow) -> None: ...

    core = HotelCore(
        "sqlite://",
        policy=POLICY.with_roles(
            {
                "porter": {Permission.BOOKINGS_VIEW, Permission.FRONT_DESK},
                "blind": {Permission.FRONT_DESK},
            }
        ),
    )
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Enter a directory with a host's own core, and forget its module afterwards."""
    (tmp_path / "my_house.py").write_text(dedent(APP))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield "my_house:core"
    sys.modules.pop("my_house", None)


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command and return what it wrote."""
    assert main(["access", "matrix", *arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def tables(text: str) -> dict[str, dict[str, str]]:
    """Read both printed tables: for each line the mark of each role."""
    found: dict[str, dict[str, str]] = {}
    for table in text.strip().split("\n\n"):
        heading, *rows = (line.split() for line in table.splitlines())
        for name, *marks in rows:
            found[name] = dict(zip(heading[1:], marks, strict=True))
    return found


def test_the_matrix_says_what_the_answers_say(capsys: pytest.CaptureFixture[str]) -> None:
    """Each operation's line has a mark for exactly the roles that may run it."""
    found = tables(printed(capsys))
    assert set(found) >= {*Permission, *NAMES}
    for name in NAMES:
        answers = ANSWERS[name, "own"]
        marks = {role.value: "x" if answers[role] == "allowed" else "-" for role in Role}
        assert found[name] == {"needs": str(permission_of(OPERATIONS[name])), **marks}
    for permission in Permission:
        assert found[permission] == {
            role: "x" if permission in POLICY.rights_of(role) else "-" for role in Role
        }


def test_programs_read_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    """``--json`` gives the permissions of each role, and what each operation needs."""
    document = json.loads(printed(capsys, "--json"))
    assert list(document["roles"]) == list(Role)
    for role in Role:
        assert set(document["roles"][role]) == POLICY.rights_of(role)
    for name in NAMES:
        assert document["operations"][name] == permission_of(OPERATIONS[name])


def test_a_hosts_own_policy_and_operations_are_shown(
    app: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its roles have columns, its operations lines; who may not look may not do anything."""
    found = tables(printed(capsys, "--app", app))
    assert found["valet_parking"] == {
        "needs": "FRONT_DESK",
        "guest": "-",
        "blind": "-",
        "staff": "-",
        "porter": "x",
        "reception": "x",
        "manager": "x",
        "admin": "x",
    }
    assert (found["FRONT_DESK"]["blind"], found["check_in_guest"]["blind"]) == ("x", "-")
    assert found["register_guest"]["porter"] == "-"
    assert "porter" in json.loads(printed(capsys, "--app", app, "--json"))["roles"]


def test_what_is_no_app_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """A name that leads nowhere is told in one line."""
    assert main(["access", "matrix", "--app", "no_such_house:core"]) == 1
    assert capsys.readouterr().err.startswith("hotelcore: app: ")
