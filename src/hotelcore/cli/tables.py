"""The tables of a command that works on those that are there already."""

from __future__ import annotations

import os
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from hotelcore.core import HotelCore
from hotelcore.sql.schema import TableNames
from hotelcore.sql.upkeep.upgrading import check
from hotelcore.vault import KEY_VARIABLE, KeyProvider, KeyRing

__all__ = ["add_table_names", "core_over", "names_in", "whole_number"]


def add_table_names(parser: ArgumentParser) -> None:
    """Declare how the tables are called."""
    parser.add_argument("--prefix", help="what their names begin with (hc_)")
    parser.add_argument("--schema", help="the PostgreSQL schema that they are in")


def names_in(arguments: Namespace) -> TableNames:
    """Return the names that were given; `InvalidInput` for what cannot be names."""
    if arguments.prefix is None:
        return TableNames(schema=arguments.schema)
    return TableNames(prefix=arguments.prefix, schema=arguments.schema)


@contextmanager
def core_over(
    url: str, names: TableNames, *, keys: KeyProvider | None = None
) -> Iterator[HotelCore]:
    """Give a core over tables of this version; `SchemaMismatch` where they are not.

    It has the keys of the environment, if there are any and no others are given: what a command
    does is in the audit log under the same keys as all else.
    """
    check(url, names)
    with closing(HotelCore(url, names=names, keys=keys or _keys_set())) as core:
        yield core


def _keys_set() -> KeyRing | None:
    is_set = any(name.startswith(KEY_VARIABLE) for name in os.environ)
    return KeyRing.from_environment() if is_set else None


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """Give what reads a whole number in this range from the command line."""

    def read(text: str) -> int:
        if text.isdecimal() and text.isascii() and len(text) < 20 and least <= int(text) <= most:
            return int(text)
        raise ArgumentTypeError(f"must be a whole number from {least} to {most}")

    return read
