"""Parts of an answer while they are generated, and the pieces of calls."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Final

import orjson

from modelserver.ir.parts import Audio, Citation, Image, Part, Reasoning, Refusal, Seal, Text, TokenLogprob, ToolCall
from modelserver.wire.json_text import StringUnwrapper, dumps_exact


class Kind(enum.Enum):
    """What a block becomes."""

    TEXT = enum.auto()
    REASONING = enum.auto()
    REFUSAL = enum.auto()
    CALL = enum.auto()
    AUDIO = enum.auto()
    IMAGE = enum.auto()


EMPTY: Final[Mapping[Kind, Part]] = {
    Kind.TEXT: Text(text=""),
    Kind.REASONING: Reasoning(),
    Kind.REFUSAL: Refusal(text=""),
    Kind.AUDIO: Audio(source=None),
}
"""Parts of which nothing has to be known when they begin."""


class Block:
    """A part in the making; `held` is what has not been told yet."""

    __slots__ = ("citations", "detail", "held", "image", "kind", "number", "ref", "said", "start", "transcript")

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.number = -1
        self.said: list[str] = []
        self.held: list[tuple[str, tuple[TokenLogprob, ...]]] = []
        self.detail: dict[str, Any] | None = None
        """The `reasoning_details` entry, pieces joined."""
        self.citations: list[Citation] = []
        self.start = 0
        """Where a text begins in the message."""
        self.transcript = ""
        self.ref: str | None = None
        self.image: Image | None = None

    def told(self) -> str:
        """Its text so far."""
        return "".join((*self.said, *(text for text, _ in self.held)))

    def is_over(self) -> bool:
        """Nothing more needs to come."""
        return True

    def is_ready(self, *, closing: bool) -> bool:
        """Enough is known to begin it."""
        return True


class CallBlock(Block):
    """A call in the making."""

    __slots__ = ("custom", "id", "name", "named", "over", "part", "pieces", "raw", "seal", "unwrapper")

    def __init__(self, *, pieces: bool) -> None:
        super().__init__(Kind.CALL)
        self.id = ""
        self.name = ""
        self.raw: list[str] = []
        """Arguments as they came."""
        self.pieces = pieces
        """The name comes in pieces (quirk `name_fragments`)."""
        self.named = False
        self.over = False
        """Another call has taken its place."""
        self.custom = False
        """The upstream itself calls a tool with free text."""
        self.seal: Seal | None = None
        self.unwrapper: StringUnwrapper | None = None
        self.part: ToolCall | None = None

    def is_over(self) -> bool:
        """Nothing more needs to come: another took its place, or its arguments are complete."""
        return self.over or self.is_complete()

    def is_complete(self) -> bool:
        """Its arguments are complete JSON."""
        text = "".join(self.raw).rstrip()
        if text[-1:] != "}" or self.custom:
            return False
        try:
            orjson.loads(text)
        except ValueError:
            return False
        return True

    def is_ready(self, *, closing: bool) -> bool:
        """It has a name, and an id as far as one is to be expected."""
        if not self.name:
            return False
        return closing or bool(self.raw) or (bool(self.id) and not self.pieces)


def read_fragment(fragment: Mapping[str, Any]) -> tuple[str, str, str, bool]:
    """Id, name and arguments of a piece of a call, each empty where it has none; and whether it is free text."""
    function = fragment.get("function")
    custom = fragment.get("custom")
    is_custom = fragment.get("type") == "custom" or (type(custom) is dict and type(function) is not dict)
    # Snowflake puts an empty `custom` beside a function.
    fields = custom if is_custom else function
    id = fragment.get("id")
    id = id if type(id) is str else ""
    if type(fields) is not dict:
        return id, "", "", False
    name, arguments = fields.get("name"), fields.get("input" if is_custom else "arguments")
    if type(arguments) is not str:
        arguments = dumps_exact(arguments).decode() if type(arguments) is dict else ""
    return id, name if type(name) is str else "", arguments, is_custom


def read_signature(fragment: Mapping[str, Any]) -> str:
    """The signature of a call as Gemini's OpenAI endpoint hands it out; empty where it has none."""
    extra = fragment.get("extra_content")
    google = extra.get("google") if type(extra) is dict else None
    signature = google.get("thought_signature") if type(google) is dict else None
    return signature if type(signature) is str else ""
