"""What a repository sees of the seam, be it the library's or a host's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias, TypeVar

from sqlalchemy.sql.base import Executable
from sqlalchemy.sql.dml import UpdateBase

from hotelcore.errors import HotelcoreError
from hotelcore.sql.seam.forms import AnyRow, Parameters

__all__ = ["MakeError", "Runner"]

T = TypeVar("T")
MakeError: TypeAlias = Callable[[], HotelcoreError]
"""Makes the error of a write when it is needed; for missed rows it may ask for more first."""


class Runner(Protocol):
    """What a repository runs statements on: `Statements`, or a host's ``HostStatements``."""

    @property
    def dialect(self) -> str:
        """The database's name, ``sqlite`` or ``postgresql``, where a statement differs."""
        ...

    def all(
        self, statement: Executable, build: Callable[[AnyRow], T], /, **values: object
    ) -> list[T]:
        """Run a statement that gives rows and build one ``T`` of each."""
        ...

    def some(
        self, statement: Executable, build: Callable[[AnyRow], T], most: int, /, **values: object
    ) -> tuple[list[T], AnyRow | None]:
        """Run a statement and build a ``T`` of each of the first rows; see `Statements`."""
        ...

    def first(
        self, statement: Executable, build: Callable[[AnyRow], T], /, **values: object
    ) -> T | None:
        """Run a statement and build a ``T`` of its first row; None if there is no row."""
        ...

    def write(self, statement: UpdateBase, /, **values: object) -> int:
        """Run a statement that changes rows and return how many it changed."""
        ...

    def write_many(self, statement: UpdateBase, rows: Sequence[Parameters]) -> int:
        """Run one statement with many parameter sets; return the rows changed."""
        ...

    def must_write(
        self,
        statement: UpdateBase,
        rows: Sequence[Parameters],
        *,
        taken: MakeError | None = None,
        missed: MakeError | None = None,
        wanted: int | None = None,
    ) -> None:
        """Run a statement once for each of ``rows``, which may be refused; see `Statements`."""
        ...
