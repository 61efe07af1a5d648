"""What the readers of output items share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from modelserver.dialects.codec import Reading
from modelserver.ir.events import BlockEnd, BlockStart, Delta, StreamEvent
from modelserver.ir.parts import Part

Event = Mapping[str, Any]
Out = list[StreamEvent]


class Reader(Protocol):
    """An item that is being read."""

    index: int
    type: str

    def feed(self, kind: str, event: Event, out: Out) -> None:
        """An event of the item."""
        ...

    def end(self, item: Event, out: Out) -> None:
        """The item is over; `item` is empty where the upstream did not repeat it."""
        ...


class Blocks:
    """What the readers of one answer share: the numbering of blocks, and what was in them.

    Attributes:
        called: There is a call that the client must run.
        refused: There is text by which the model declined.
    """

    __slots__ = ("called", "calls", "count", "reading", "refused", "response_id")

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.response_id = ""
        self.count = 0
        self.calls = 0
        self.called = False
        self.refused = False

    def end(self, part: Part, out: Out) -> None:
        """The open block is complete."""
        out.append(BlockEnd(0, self.count, part))
        self.count += 1

    def whole(self, part: Part, out: Out, *, empty: Part | None = None, text: str = "") -> None:
        """A block that comes all at once."""
        out.append(BlockStart(0, self.count, part if empty is None else empty))
        if text:
            out.append(Delta(0, self.count, text))
        self.end(part, out)


def missing(said: str, full: object) -> str:
    """What of the full text was not said yet; nothing where the two differ, as what was shown can't be taken back."""
    if type(full) is not str or len(full) <= len(said):
        return ""
    return full[len(said) :] if full.startswith(said) else ""
