"""Event streams in bytes, written and read."""

from __future__ import annotations

import json
import re
import zlib
from typing import Any

from tests.support.speech import Call

_FRAME_END = re.compile(rb"\r\n\r\n|\n\n")


def sse(data: Any, name: str | None = None, *, end: str = "\n") -> bytes:
    """An event: its name, if it has one, and its data as JSON or, if it is text, as it is."""
    text = data if isinstance(data, str) else json.dumps(data, separators=(",", ":"))
    line = f"event: {name}{end}" if name else ""
    return f"{line}data: {text}{end}{end}".encode()


def named(data: Any) -> bytes:
    """An event that is called as its type."""
    return sse(data, data["type"])


def events_of(body: bytes) -> list[tuple[str | None, Any]]:
    """Name and data of each event of a whole stream; what is not JSON as text, comments and blank lines left out."""
    found: list[tuple[str | None, Any]] = []
    *frames, rest = _FRAME_END.split(body)
    assert not rest.strip(), f"the stream ends within an event: {rest!r}"
    for frame in frames:
        fields = [line.partition(b": ")[::2] for line in frame.splitlines() if line and not line.startswith(b":")]
        data = b"\n".join(value for name, value in fields if name == b"data").decode()
        name = next((value.decode() for name, value in fields if name == b"event"), None)
        if data:
            found.append((name, data if data == "[DONE]" else json.loads(data)))
    return found


def call_id(call: Call) -> str:
    """The id that a provider gives to a call: the same for the same one."""
    return f"call_{zlib.crc32(repr(call.arguments).encode())}"


def halves(text: str) -> list[str]:
    """The text in two pieces, as a stream hands it out; nothing for no text."""
    middle = len(text) // 2
    return [piece for piece in (text[:middle], text[middle:]) if piece]


def picture_of(url: str) -> tuple[str, str]:
    """Media type and base64 in a data URL."""
    head, comma, data = url.partition(",")
    assert comma
    assert head.startswith("data:")
    assert head.endswith(";base64")
    return head[5:-7], data
