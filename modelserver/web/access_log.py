"""One line a request."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any, Final

import orjson

from modelserver.web.logs import instant
from modelserver.web.output import Lines

FLUSH_S: Final = 0.2
MAX_WAITING: Final = 10_000


class AccessLog:
    """Lines gathered for a fifth of a second, then written at once: a write for each would cost more than a relay.

    `style` is `text`, `json`, or None for text on a terminal and JSON otherwise.
    """

    def __init__(self, style: str | None = None, stream: Lines | None = None) -> None:
        self._stream: Lines = sys.stderr if stream is None else stream
        self._text = self._stream.isatty() if style is None else style == "text"
        self._waiting: list[dict[str, Any]] = []
        self._timer: asyncio.TimerHandle | None = None

    def add(self, fields: dict[str, Any]) -> None:
        """Note a request; fields that are None are left out."""
        self._waiting.append(fields)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self.flush)
        elif len(self._waiting) >= MAX_WAITING:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered; a stream that can't be written to loses it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        line = _text_line if self._text else _json_line
        try:
            self._stream.write("".join(map(line, waiting)))
            self._stream.flush()
        except (OSError, ValueError):
            return


def _json_line(fields: dict[str, Any]) -> str:
    said = {name: value for name, value in fields.items() if value is not None}
    said["time"] = instant(fields["time"])
    line = orjson.dumps(said).decode()
    # JSON may hold U+2028 and its like as they are, but readers of lines may take them for ends of lines.
    return f"{line if line.isprintable() else json.dumps(said)}\n"


def _text_line(fields: dict[str, Any]) -> str:
    """`12:00:01 200 POST /v1/chat/completions 812ms model=gpt-5 …`"""
    path = _word(fields["path"])
    head = f"{instant(fields['time'])[11:19]} {fields['status']} {fields['method']} {path} {fields['ms']}ms"
    rest = (
        f" {name}={_word(value)}"
        for name, value in fields.items()
        if value is not None and name not in ("time", "status", "method", "path", "ms", "event")
    )
    return f"{head}{''.join(rest)}\n"


def _word(value: object) -> str:
    """The value as one word; what could look like more than that, or like another line, is quoted and escaped."""
    text = str(value)
    return text if text.isprintable() and " " not in text and '"' not in text else json.dumps(text)
