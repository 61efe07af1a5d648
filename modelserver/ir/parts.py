"""What a conversation is made of: parts and messages."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Literal

import attrs

from modelserver.ir.usage import Usage

DialectName = Literal["chat", "responses", "anthropic", "gemini"]
Extra = Mapping[str, Any]
"""Fields of a wire object that are not mapped, kept for an upstream of the same dialect."""


@attrs.frozen(kw_only=True, slots=True)
class CacheHint:
    """Everything up to and including the part that carries it is a reusable prefix."""

    ttl_s: int | None = None
    """None: the provider's default."""


@attrs.frozen(kw_only=True, slots=True)
class Origin:
    """Who made a sealed payload: only it can read it."""

    dialect: DialectName
    provider: str
    account: str
    """A short keyed hash of the credential, never the credential."""
    model: str


@attrs.frozen(kw_only=True, slots=True)
class Seal:
    """An opaque payload that only its maker can read: a signature, a ciphertext, a thought signature."""

    kind: Literal["signature", "redacted", "encrypted", "thought"]
    payload: str
    """As received; empty when the provider makes none and only the origin matters."""
    item_id: str | None = None
    """The Responses item that it is bound to."""
    origin: Origin | None = None
    """None: made by a provider of the client's own dialect, account unknown."""


@attrs.frozen(kw_only=True, slots=True)
class Inline:
    """Media in the message itself: standard base64, undecoded, without a `data:` prefix."""

    media_type: str
    b64: str


@attrs.frozen(kw_only=True, slots=True)
class Url:
    """Media at an address that the client named."""

    url: str
    media_type: str | None = None


@attrs.frozen(kw_only=True, slots=True)
class FileRef:
    """A file kept by a provider; never crosses to another."""

    provider: DialectName
    id: str
    media_type: str | None = None


@attrs.frozen(kw_only=True, slots=True)
class PlainText:
    """A document that is plain text."""

    text: str


Source = Inline | Url | FileRef | PlainText


@attrs.frozen(kw_only=True, slots=True)
class Citation:
    """Where a piece of text comes from; offsets are code points within the text part, the end exclusive."""

    kind: Literal["url", "document", "other"]
    url: str | None = None
    title: str | None = None
    cited_text: str | None = None
    start: int | None = None
    end: int | None = None
    raw: Extra = attrs.field(factory=dict)


@attrs.frozen(kw_only=True, slots=True)
class Text:
    """Visible text."""

    text: str
    cache: CacheHint | None = None
    citations: tuple[Citation, ...] = ()
    seal: Seal | None = None
    extra: Extra = attrs.field(factory=dict)


@attrs.frozen(kw_only=True, slots=True)
class Image:
    """A picture."""

    source: Source
    detail: Literal["auto", "low", "high", "original"] | None = None
    cache: CacheHint | None = None
    extra: Extra = attrs.field(factory=dict)


@attrs.frozen(kw_only=True, slots=True)
class Audio:
    """Sound: given by the client, or generated."""

    source: Source | None
    format: str | None = None
    """`wav`, `mp3`, `pcm16` …"""
    transcript: str | None = None
    ref: str | None = None
    """Id of an earlier audio answer (Chat)."""
    extra: Extra = attrs.field(factory=dict)


@attrs.frozen(kw_only=True, slots=True)
class Document:
    """A PDF, plain text, or another file."""

    source: Source
    title: str | None = None
    context: str | None = None
    citations_enabled: bool = False
    detail: str | None = None
    cache: CacheHint | None = None
    extra: Extra = attrs.field(factory=dict)


@attrs.frozen(kw_only=True, slots=True)
class ToolCall:
    """The model asks for a tool to be run.

    `arguments` is raw text: JSON for `function` (may be invalid as generated), free text for `custom`, the JSON of the
    provider's own action for `client_builtin`.
    """

    id: str
    name: str
    arguments: str
    namespace: str | None = None
    kind: Literal["function", "custom", "client_builtin"] = "function"
    seal: Seal | None = None
    cache: CacheHint | None = None
    extra: Extra = attrs.field(factory=dict)


@attrs.frozen(kw_only=True, slots=True)
class ToolResult:
    """What a tool gave back, inside a user message."""

    call_id: str
    name: str | None = None
    """Filled from the call when absent."""
    content: tuple[Text | Image | Document, ...] = ()
    is_error: bool = False
    cache: CacheHint | None = None
    extra: Extra = attrs.field(factory=dict)


@attrs.frozen(kw_only=True, slots=True)
class Reasoning:
    """What the model thought.

    `hidden`: redacted or encrypted only, no text. `sections`: offsets in `text` where summary parts begin.
    """

    text: str = ""
    form: Literal["full", "summary", "hidden"] = "full"
    sections: tuple[int, ...] = ()
    seal: Seal | None = None
    extra: Extra = attrs.field(factory=dict)


@attrs.frozen(kw_only=True, slots=True)
class Refusal:
    """Text by which the model declines."""

    text: str


@attrs.frozen(kw_only=True, slots=True)
class Opaque:
    """A part that only its own dialect knows: hosted calls and results, compaction, MCP, anything new."""

    dialect: DialectName
    type: str
    raw: Extra
    fallback: str | None = None
    """Text to show elsewhere; None: nothing."""


Part = Text | Image | Audio | Document | ToolCall | ToolResult | Reasoning | Refusal | Opaque


@attrs.frozen(kw_only=True, slots=True)
class Message:
    """One turn or a piece of one; the boundaries are those of the wire.

    There is no tool role: tool results are parts of a user message. Role `system` means an instruction in the middle.
    """

    role: Literal["system", "user", "assistant"]
    parts: tuple[Part, ...]
    authority: Literal["system", "developer"] | None = None
    """Of role system only."""
    name: str | None = None
    phase: str | None = None
    """`commentary` or `final_answer` (Responses)."""
    extra: Extra = attrs.field(factory=dict)


class FinishReason(enum.Enum):
    """Why a choice ended."""

    STOP = "stop"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    CONTEXT_FULL = "context_full"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"
    PAUSE = "pause"
    MALFORMED_CALL = "malformed_call"
    COMPACTION = "compaction"
    CONTINUATION = "continuation"
    ERROR = "error"
    OTHER = "other"


@attrs.frozen(kw_only=True, slots=True)
class Finish:
    """The end of a choice."""

    reason: FinishReason
    stop_sequence: str | None = None
    detail: str | None = None
    """The provider's text about it."""
    raw: str | None = None
    """The provider's word."""
    resume: str | None = None
    """What the request that goes on with the answer must carry, where it was cut to be continued."""


@attrs.frozen(kw_only=True, slots=True)
class TokenLogprob:
    """How likely a token was; `bytes` is its UTF-8."""

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    top: tuple[TokenLogprob, ...] = ()


@attrs.frozen(kw_only=True, slots=True)
class Choice:
    """One answer."""

    index: int
    parts: tuple[Part, ...]
    finish: Finish
    logprobs: tuple[TokenLogprob, ...] | None = None


@attrs.frozen(kw_only=True, slots=True)
class Response:
    """A whole answer."""

    id: str
    model: str
    """As answered."""
    created: int
    """Unix seconds."""
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    service_tier: str | None = None
    fingerprint: str | None = None
    extra: Extra = attrs.field(factory=dict)


def finished_with_calls(parts: tuple[Part, ...], finish: Finish) -> Finish:
    """The finish by rule: a choice that holds client-side calls ended for them, whatever word the provider used.

    Gemini answers `STOP` with calls, OpenAI `stop` where a function was forced by name, several compatible servers
    always. A limit, a filter and an error keep their own reason.
    """
    if finish.reason in _GIVE_WAY_TO_CALLS and any(isinstance(part, ToolCall) for part in parts):
        return attrs.evolve(finish, reason=FinishReason.TOOL_CALLS)
    return finish


_GIVE_WAY_TO_CALLS = frozenset((FinishReason.STOP, FinishReason.STOP_SEQUENCE, FinishReason.OTHER))
