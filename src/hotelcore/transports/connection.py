"""One connection that is opened when it is needed and given up when it failed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Generic, TypeVar

__all__ = ["Connection"]

_MOMENT_SECONDS = 1.0

C = TypeVar("C")


class Connection(Generic[C]):
    """Holds what ``new`` made and ``prepare`` connected; ``close`` disconnects it again.

    As soon as anything fails the connection is given up, so that the next call begins with a new
    one: when to try again is for the caller to say.
    """

    def __init__(
        self,
        *,
        new: Callable[[], C],
        prepare: Callable[[C], Awaitable[None]],
        close: Callable[[C], Awaitable[None]],
    ) -> None:
        self._new, self._prepare, self._close = new, prepare, close
        self._turns = asyncio.Lock()
        self._open: C | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def held(self) -> AsyncGenerator[C]:
        """Give the connection, to several callers at once if need be."""
        connection = await self._connected()
        try:
            yield connection
        except BaseException:
            if self._open is connection:
                self._open = None
                self.leave(connection)
            raise

    def leave(self, connection: C) -> None:
        """Disconnect beside the caller, whose time may be up: what broke can be slow to close."""
        task = asyncio.get_running_loop().create_task(self._closed(connection))
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """Disconnect; what was given up before gets a moment to end too."""
        connection, self._open = self._open, None
        if connection is not None:
            await self._close(connection)
        if self._leaving:
            await asyncio.wait(self._leaving, timeout=_MOMENT_SECONDS)

    async def _connected(self) -> C:
        async with self._turns:
            if self._open is None:
                connection = self._new()
                try:
                    await self._prepare(connection)
                except BaseException:
                    self.leave(connection)
                    raise
                self._open = connection
            return self._open

    async def _closed(self, connection: C) -> None:
        with suppress(Exception):  # it failed before, and nobody needs it any more
            await self._close(connection)
