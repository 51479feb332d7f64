"""Runs every Python block of the README and the documentation as a test.

The blocks of a page share their names and run from top to bottom, in an empty directory of the
page's own. Console blocks are not run.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, chdir
from typing import Any

import pytest
from sybil import Sybil
from sybil.integration.pytest import SybilItem
from sybil.parsers.myst import PythonCodeBlockParser, SkipParser


def enter_empty_directory(namespace: dict[str, Any]) -> None:  # Any: Sybil's own signature
    """Let the blocks of a page write files without leaving them in the checkout."""
    page = namespace["leave_directory"] = ExitStack()
    page.enter_context(chdir(page.enter_context(tempfile.TemporaryDirectory())))


def leave_directory(namespace: dict[str, Any]) -> None:  # Any: Sybil's own signature
    """Go back to where the tests were started and delete what the page wrote."""
    namespace["leave_directory"].close()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), SkipParser()],
    pattern="*.md",
    setup=enter_empty_directory,
    teardown=leave_directory,
).pytest()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the blocks of each page back in order after the tests were shuffled."""
    blocks = [item for item in items if isinstance(item, SybilItem)]
    blocks.sort(key=lambda item: (item.path, item.example.line))
    items[:] = [*(item for item in items if not isinstance(item, SybilItem)), *blocks]
