"""One event loop in a thread of its own, for engines that speak asyncio alone."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from threading import Thread
from typing import Any, TypeVar

__all__ = ["LoopThread"]

_CLOSE_SECONDS = 5.0

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for callers that are not async.

    The thread is a daemon: a program that forgets to close it still ends.
    """

    def __init__(self, name: str) -> None:
        self._loop = asyncio.new_event_loop()
        self._closed = asyncio.Event()
        self._thread = Thread(target=self._live, name=name, daemon=True)
        self._thread.start()

    def _live(self) -> None:
        # The runner ends what still runs when the loop ends.
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._wait())

    async def _wait(self) -> None:
        await self._closed.wait()

    def run(self, work: Coroutine[Any, Any, T], *, seconds: float) -> T:  # Any: nothing is sent in
        """Return what ``work`` returns; raises `TimeoutError` if that takes too long.

        Whatever ends the wait, Ctrl-C included, also ends the work.
        """
        running = asyncio.run_coroutine_threadsafe(asyncio.wait_for(work, seconds), self._loop)
        try:
            return running.result()
        finally:
            running.cancel()

    def close(self) -> None:
        """End what still runs, and the thread; what does not let itself be ended is left behind."""
        self._loop.call_soon_threadsafe(self._closed.set)
        self._thread.join(_CLOSE_SECONDS)
