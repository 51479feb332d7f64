"""An adapter is found by its vendor, and one that cannot be loaded is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from hotelcore.errors import PmsFailure
from hotelcore.pms import ENTRY_POINT_GROUP, adapter_of, known_vendors


def install(folder: Path, vendor: str, source: str) -> None:
    """Write a package that registers an adapter, as an installer leaves it."""
    (folder / f"{vendor}_adapter.py").write_text(source, encoding="utf-8")
    about = folder / f"{vendor}_adapter-1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Name: {vendor}-adapter\nVersion: 1\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(
        f"[{ENTRY_POINT_GROUP}]\n{vendor} = {vendor}_adapter:Adapter\n", encoding="utf-8"
    )


def test_an_installed_adapter_is_imported_when_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the package registered is given, by the vendor's name."""
    install(tmp_path, "good", "class Adapter: ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert "good" in known_vendors()
    assert getattr(adapter_of("good"), "__name__", "") == "Adapter"


@pytest.mark.parametrize(
    ("vendor", "source", "kind"),
    [
        ("lost", "import nothing_of_that_name", ModuleNotFoundError),
        ("empty", "", AttributeError),
        ("strange", "SETTINGS = {}\nSETTINGS['secret word']", KeyError),
        ("zero", "raise ZeroDivisionError('secret word')", ZeroDivisionError),
    ],
)
def test_an_adapter_that_cannot_be_loaded_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    vendor: str,
    source: str,
    kind: type[Exception],
) -> None:
    """Whatever its import raises is a PmsFailure in our own words, with that as its cause."""
    install(tmp_path, vendor, source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PmsFailure) as failed:
        adapter_of(vendor)
    assert str(failed.value) == (
        f"{vendor}: its adapter cannot be imported ({kind.__name__}): "
        "install its package anew, or update it"
    )
    assert type(failed.value.__cause__) is kind
