"""The log of a serving process: one line an event, as text for people or JSON for machines."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache

import orjson

from modelserver.web.output import Lines

LOGGER = logging.getLogger("modelserver")

# The libraries' own loggers, so that what they say lands in the same place and form.
_SOURCES = ("modelserver", "aiohttp", "asyncio")
_COLOURS = {"WARNING": "33", "ERROR": "31", "CRITICAL": "31"}


class TextLines(logging.Formatter):
    """`12:00:00 INFO text`, in UTC; a traceback follows on lines of its own."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record, without its end."""
        level = record.levelname
        if self._colour and level in _COLOURS:
            level = f"\x1b[{_COLOURS[level]}m{level}\x1b[0m"
        when = datetime.fromtimestamp(record.created, UTC).strftime("%H:%M:%S")
        line = f"{when} {level} {_printable(record.getMessage())}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonLines(logging.Formatter):
    """One JSON object a line: `time` (UTC), `level`, `message`, what `extra={"fields": …}` holds, `traceback`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of one record, without its end."""
        fields: dict[str, object] = {
            "time": instant(record.created),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        fields |= getattr(record, "fields", {})
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(fields, default=str).decode()


def instant(unix_s: float) -> str:
    """A moment as logs have it: `2026-11-24T12:00:01.250Z`."""
    second = int(unix_s)
    return f"{_second(second)}.{int((unix_s - second) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _second(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _printable(text: str) -> str:
    # A line break or an escape sequence in a message would let its author write log lines, or into the terminal.
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


@contextmanager
def logging_to(stream: Lines, style: str | None, *, colour: bool = False) -> Iterator[None]:
    """Write the log to `stream` for the length of the block; style None: text on a terminal, JSON elsewhere."""
    text = style == "text" if style else stream.isatty()
    output = logging.StreamHandler(stream)
    output.setFormatter(TextLines(colour=colour and stream.isatty()) if text else JsonLines())
    before = [(source := logging.getLogger(name), source.level, source.propagate) for name in _SOURCES]
    for source, _, _ in before:
        source.addHandler(output)
        source.propagate = False
        source.setLevel(logging.INFO if source is LOGGER else logging.WARNING)
    try:
        yield
    finally:
        for source, level, propagate in before:
            source.removeHandler(output)
            source.setLevel(level)
            source.propagate = propagate


class Notices:
    """Log lines about things that can happen thousands of times a second.

    Of each subject one line is written in `every_s` seconds; the next one says how many were left out.
    """

    def __init__(self, *, every_s: float = 10.0, now_s: Callable[[], float] = time.monotonic) -> None:
        self._every_s = every_s
        self._now_s = now_s
        self._last_s: dict[str, float] = {}
        self._left_out: dict[str, int] = {}

    def say(self, subject: str, text: str = "", *, exc: BaseException | None = None) -> None:
        """Warn of `subject`, a fixed phrase, with `text` after it; with `exc` it is an error with its traceback."""
        now_s = self._now_s()
        last_s = self._last_s.get(subject)
        if last_s is not None and now_s - last_s < self._every_s:
            self._left_out[subject] = self._left_out.get(subject, 0) + 1
            return
        self._last_s[subject] = now_s
        line = f"{subject}: {text}" if text else subject
        if more := self._left_out.pop(subject, 0):
            line = f"{line} ({more} more since the last such line)"
        if exc is None:
            LOGGER.warning("%s", line)
        else:
            LOGGER.error("%s", line, exc_info=exc)
