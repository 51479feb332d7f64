"""A way to a broker that can be cut and mended, as a network does it."""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Self


class Proxy:
    """Passes on to ``target`` whatever comes to ``port`` while it is not cut.

    ``target`` is a host with a port, or the path of a local socket.
    """

    def __init__(self, target: tuple[str, int] | str) -> None:
        self._target = target
        self._ends: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._serve()

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        for end in [self._listener, *self._ends]:
            with suppress(OSError):  # it ended by itself
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def say(self, words: bytes) -> None:
        """Tell every client something that the broker never said."""
        for near in self._ends[::2]:
            near.sendall(words)

    def mend(self) -> None:
        """Accept connections again, at the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._serve()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cut()

    def _serve(self) -> None:
        Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # closed by `cut`
            while True:
                near, _ = listener.accept()
                far = socket.socket(
                    socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET
                )
                far.connect(self._target)
                self._ends += [near, far]
                Thread(target=_pass_on, args=(near, far), daemon=True).start()
                Thread(target=_pass_on, args=(far, near), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):  # one of the two ended
        while data := source.recv(65_536):
            sink.sendall(data)
    for end in source, sink:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
