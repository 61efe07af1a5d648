"""Log lines to a stream that may not take them: a pipe that nobody reads must not hold up the server."""

from __future__ import annotations

import logging
import os
import select
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol, TextIO

MAX_WAITING_CHARS: Final = 4_000_000
"""Text that waits for the stream to take it; what comes beyond that is lost, and counted."""
CLOSING_S: Final = 1.0
"""How long the last lines may take to leave."""

_LOGGER: Final = logging.getLogger("modelserver")


class Lines(Protocol):
    """What takes log lines."""

    def write(self, text: str, /) -> int:
        """Take some lines."""
        ...

    def flush(self) -> None:
        """Let them out."""
        ...

    def isatty(self) -> bool:
        """Whether a person looks on."""
        ...


@contextmanager
def never_waiting(stream: TextIO) -> Iterator[Lines]:
    """The stream, for the length of the block, with writes that return at once whatever is at its other end."""
    try:
        descriptor = stream.fileno()
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
    except (OSError, ValueError, AttributeError):  # in memory, closed, or none at all
        yield stream
        return
    if is_file:
        yield stream
        return
    stream.flush()
    output = Output(descriptor, is_terminal=stream.isatty())
    try:
        yield output
    finally:
        output.close()


class Output:
    """Writes to a descriptor in a thread of its own, which nothing waits for.

    The descriptor and not the stream, whose lock would be held by that thread when the interpreter ends.
    """

    def __init__(self, descriptor: int, *, is_terminal: bool = False) -> None:
        self._descriptor = descriptor
        self._is_terminal = is_terminal
        self._changed = threading.Condition()
        self._waiting: list[str] = []
        self._size = 0
        self._lost = 0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="log output", daemon=True)
        self._thread.start()

    def isatty(self) -> bool:
        """See `Lines`."""
        return self._is_terminal

    def flush(self) -> None:
        """See `Lines`; nothing is kept back."""

    def write(self, text: str, /) -> int:
        """See `Lines`; never waits."""
        lost = 0
        with self._changed:
            if self._size + len(text) > MAX_WAITING_CHARS:
                self._lost += text.count("\n")
                return len(text)
            if self._lost and not self._size:
                lost, self._lost = self._lost, 0
            self._waiting.append(text)
            self._size += len(text)
            self._changed.notify()
        if lost:
            _LOGGER.warning("%d log lines were lost: what reads the log did not keep up", lost)
        return len(text)

    def close(self) -> None:
        """Let what waits leave, for a second at most."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(CLOSING_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closed:
                    self._changed.wait()
                text = "".join(self._waiting)
                self._waiting.clear()
            if not text:
                return
            self._write(text.encode("utf-8", "backslashreplace"))
            with self._changed:
                self._size -= len(text)

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._descriptor, left) :]
            except BlockingIOError:  # somebody else's choice for a descriptor that several share
                select.select((), (self._descriptor,), (), 1.0)
            except OSError:  # nobody will ever read it
                return
