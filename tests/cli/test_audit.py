"""``hotelcore audit``: whole logs, tampered ones, heads that were kept, and exports."""

from __future__ import annotations

import hmac
import json
from base64 import b64encode
from collections.abc import Iterator
from contextlib import closing
from os import urandom
from pathlib import Path

import pytest
from sqlalchemy import delete, text, update

from hotelcore import HotelCore
from hotelcore import operations as op
from hotelcore.cli import main
from hotelcore.sql.audit.chain import AUDIT_HEAD, BEGINNING
from hotelcore.sql.audit.log import AUDIT_LOG
from hotelcore.vault import Key, KeyRing
from tests.audit.tampering import UNLOCKING
from tests.small_hotel import SmallHotel, open_hotel

MATERIAL = urandom(32)


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PMS_ENCRYPTION_KEY", b64encode(MATERIAL).decode())


@pytest.fixture
def hotel(schema_url: str) -> Iterator[SmallHotel]:
    """Return a hotel whose log is under the key of the environment."""
    with closing(HotelCore(schema_url, keys=KeyRing({1: MATERIAL}))) as core:
        core.create_schema()
        yield open_hotel(core)


def exported(url: str, file: Path) -> list[dict[str, object]]:
    """Export to a file and return its lines."""
    assert main(["audit", "export", "--database", url, "--output", str(file)]) == 0
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_whole_logs_verify(
    hotel: SmallHotel, schema_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every hotel is verified, or the one that is asked for."""
    other = open_hotel(hotel.core)
    assert main(["audit", "verify", "--database", schema_url, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"]
    found = {each["head"]["hotel_id"]: each["entries"] for each in document["hotels"]}
    assert found == {str(hotel.hotel_id): 4, str(other.hotel_id): 4}
    asked = ["audit", "verify", "--database", schema_url, "--hotel", str(other.hotel_id)]
    assert main(asked) == 0
    assert capsys.readouterr().out == f"{other.hotel_id}  4 entries: whole\n"


def test_an_export_can_be_checked_without_the_library(
    hotel: SmallHotel, schema_url: str, tmp_path: Path
) -> None:
    """Each mac is the HMAC of the mac before it and the entry, as the guide says."""
    hotel.desk.run(op.register_guest, last_name="Zoë Núñez")
    *entries, last = exported(schema_url, tmp_path / "log")
    mac, secret = bytes(32), Key(1, MATERIAL).derived("hotelcore/audit")
    for entry in entries:
        told = entry.pop("mac")
        content = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        mac = hmac.digest(secret, mac + content.encode(), "sha256")
        assert told == mac.hex()
    assert last["head"] == {
        "hotel_id": str(hotel.hotel_id),
        "sequence": 5,
        "mac": mac.hex(),
        "key_number": 1,
    }


def test_a_tampered_log_fails(
    hotel: SmallHotel, schema_url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The place and the kind are told, and an export is made all the same."""
    with hotel.core.engine.begin() as connection:
        for statement in UNLOCKING[connection.dialect.name]:
            connection.execute(text(statement))
        connection.execute(
            update(AUDIT_LOG).where(AUDIT_LOG.c.sequence == 2).values(subject="nobody")
        )
    assert main(["audit", "verify", "--database", schema_url]) == 1
    assert "  at 2: broken\n" in capsys.readouterr().out
    file = tmp_path / "log"
    assert main(["audit", "export", "--database", schema_url, "--output", str(file)]) == 1
    assert len(file.read_text().splitlines()) == 5
    assert "1 problems" in capsys.readouterr().err


@pytest.mark.parametrize("kept_as", ["export", "document"])
def test_a_kept_head_shows_what_was_cut_off(
    hotel: SmallHotel,
    schema_url: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    kept_as: str,
) -> None:
    """Heads are taken from an export or from the document of a verification."""
    file = tmp_path / "kept"
    if kept_as == "export":
        exported(schema_url, file)
    else:
        main(["audit", "verify", "--database", schema_url, "--json"])
        file.write_text(capsys.readouterr().out)
    command = ["audit", "verify", "--database", schema_url, "--head", str(file)]
    hotel.desk.run(op.register_guest, last_name="Later")
    assert main(command) == 0
    with hotel.core.engine.begin() as connection:
        for statement in UNLOCKING[connection.dialect.name]:
            connection.execute(text(statement))
        connection.execute(delete(AUDIT_LOG))
        connection.execute(update(AUDIT_HEAD).values(sequence=0, mac=BEGINNING))
    capsys.readouterr()
    assert main(command[:-2]) == 0
    assert main(command) == 1
    assert "  at 1: cut off\n" in capsys.readouterr().out


def test_a_file_without_heads_is_refused(
    hotel: SmallHotel, schema_url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """What is no file of ours, or is not there, gets a plain word."""
    file = tmp_path / "kept"
    for content in (None, "hello", "[1]", '{"head": {}}', '{"hotels": 1}'):
        if content is not None:
            file.write_text(content)
        command = ["audit", "verify", "--database", schema_url, "--head", str(file)]
        assert main(command) == 1
        assert "must be a file that hotelcore audit wrote" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["", "{}", '{"hotels": []}', '{"sequence": 1}\n'])
def test_a_file_that_holds_no_head_is_refused(
    hotel: SmallHotel,
    schema_url: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    content: str,
) -> None:
    """An export that was cut short shows no end of a log, so nothing is called whole by it."""
    file = tmp_path / "kept"
    file.write_text(content)
    assert main(["audit", "verify", "--database", schema_url, "--head", str(file)]) == 1
    printed = capsys.readouterr()
    assert "whole" not in printed.out
    assert "holds no head" in printed.err
    assert "name an export that ended well" in printed.err


@pytest.mark.parametrize("action", ["verify", "export"])
def test_a_hotel_without_a_kept_head_is_told(
    hotel: SmallHotel,
    schema_url: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    action: str,
) -> None:
    """A file with the heads of other hotels makes no hotel's log whole, and says what to do."""
    file = tmp_path / "kept"
    exported(schema_url, file)
    other = open_hotel(hotel.core)
    command = ["audit", action, "--database", schema_url, "--head", str(file)]
    for arguments in (command, [*command, "--hotel", str(other.hotel_id)]):
        assert main(arguments) == 1
        printed = capsys.readouterr()
        assert f"{other.hotel_id}  4 entries: whole" not in printed.out
        assert f"hotelcore: {other.hotel_id}: the file has no head of this hotel" in printed.err
        assert str(hotel.hotel_id) not in printed.err
    assert main([*command, "--hotel", str(hotel.hotel_id)]) == 0


def test_a_document_names_the_hotels_without_a_kept_head(
    hotel: SmallHotel, schema_url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Programs read which hotels' ends are not shown."""
    file = tmp_path / "kept"
    exported(schema_url, file)
    other = open_hotel(hotel.core)
    capsys.readouterr()
    command = ["audit", "verify", "--database", schema_url, "--json", "--head", str(file)]
    assert main(command) == 1
    document = json.loads(capsys.readouterr().out)
    assert not document["ok"]
    assert document["without_head"] == [str(other.hotel_id)]
