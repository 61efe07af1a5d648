"""What a client asks for, whatever dialect it speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import attrs

from modelserver.ir.parts import CacheHint, DialectName, Extra, Message, Text

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
EFFORTS: tuple[Effort, ...] = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""In rising order."""


@attrs.frozen(kw_only=True, slots=True)
class FunctionTool:
    """A function that the client runs."""

    name: str
    description: str | None = None
    schema: Mapping[str, Any] | None = None
    """JSON Schema of the arguments, key order kept; None: not given."""
    strict: bool | None = None
    namespace: str | None = None
    cache: CacheHint | None = None
    defer: bool = False
    examples: tuple[Any, ...] = ()
    extra: Extra = attrs.field(factory=dict)


@attrs.frozen(kw_only=True, slots=True)
class CustomTool:
    """A tool whose input is free text, within a grammar if there is one."""

    name: str
    description: str | None = None
    syntax: Literal["lark", "regex"] | None = None
    grammar: str | None = None
    namespace: str | None = None
    extra: Extra = attrs.field(factory=dict)


@attrs.frozen(kw_only=True, slots=True)
class HostedTool:
    """A tool that the provider runs."""

    family: str
    """`web_search web_fetch code_execution file_search image_generation mcp computer tool_search maps other`."""
    dialect: DialectName
    raw: Extra
    """The client's own declaration."""


@attrs.frozen(kw_only=True, slots=True)
class BuiltinTool:
    """A tool without a schema that the client runs (Anthropic bash, OpenAI shell)."""

    name: str
    type: str
    dialect: DialectName
    raw: Extra


Tool = FunctionTool | CustomTool | HostedTool | BuiltinTool


@attrs.frozen(kw_only=True, slots=True)
class ToolChoice:
    """Whether, and which, tools must be called. Forcing one by name is `required` with one name in `only`."""

    mode: Literal["auto", "none", "required"]
    only: tuple[str, ...] | None = None
    hosted: str | None = None
    """The hosted family that is forced."""


@attrs.frozen(kw_only=True, slots=True)
class ResponseFormat:
    """What the answer's text must look like."""

    kind: Literal["text", "json", "schema"]
    name: str | None = None
    description: str | None = None
    schema: Mapping[str, Any] | None = None
    strict: bool | None = None


@attrs.frozen(kw_only=True, slots=True)
class Sampling:
    """Numbers as the client wrote them; ranges are the encoders' business."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    presence: float | None = None
    frequency: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    logprobs: bool = False
    top_logprobs: int | None = None
    logit_bias: Mapping[str, float] | None = None


@attrs.frozen(kw_only=True, slots=True)
class ReasoningSpec:
    """How much to think, and what to show of it."""

    mode: Literal["default", "off", "on", "between_tools"] = "default"
    effort: Effort | None = None
    budget: int | None = None
    """Tokens; -1 lets the model decide."""
    show: Literal["auto", "concise", "detailed", "summarized", "omitted"] | None = None
    want_sealed: bool = False
    raw: Extra = attrs.field(factory=dict)


@attrs.frozen(kw_only=True, slots=True)
class AudioSpec:
    """The voice and format of a spoken answer."""

    voice: str | None = None
    format: str | None = None


@attrs.frozen(kw_only=True, slots=True)
class CacheSpec:
    """Wishes about the prompt cache as a whole."""

    key: str | None = None
    ttl_s: int | None = None
    mode: Literal["auto", "explicit"] | None = None
    auto_mark: bool = False
    """Anthropic's top-level `cache_control`."""


@attrs.frozen(kw_only=True, slots=True)
class Identity:
    """Whom the request is for."""

    user: str | None = None
    safety_id: str | None = None
    metadata: Mapping[str, Any] = attrs.field(factory=dict)
    conversation_hint: str | None = None
    """Only for keeping a conversation at one account."""


@attrs.frozen(kw_only=True, slots=True)
class StateRef:
    """References to state that a provider keeps."""

    previous_response_id: str | None = None
    conversation: str | None = None
    item_references: tuple[str, ...] = ()
    store: bool | None = None
    background: bool = False


@attrs.frozen(kw_only=True, slots=True)
class Rejected:
    """A field that can't cross to another dialect without changing what was asked for (mark R)."""

    param: str
    """The client's own path."""
    why: str


@attrs.frozen(kw_only=True, slots=True)
class Ignored:
    """A field that another dialect does without (mark I), set to something other than its default."""

    name: str


@attrs.frozen(kw_only=True, slots=True)
class Request:
    """A request, read."""

    dialect: DialectName
    model: str
    system: tuple[Text, ...] = ()
    """The leading run of instructions, one part of the wire each."""
    messages: tuple[Message, ...] = ()
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tools: bool | None = None
    format: ResponseFormat | None = None
    sampling: Sampling = Sampling()
    reasoning: ReasoningSpec | None = None
    max_output: int | None = None
    """Upper bound of generated tokens, reasoning included."""
    n: int = 1
    stream: bool = False
    stream_usage: bool = True
    """The client wants usage in the stream."""
    verbosity: Literal["low", "medium", "high"] | None = None
    modalities: frozenset[str] = frozenset(("text",))
    audio_out: AudioSpec | None = None
    cache: CacheSpec = CacheSpec()
    identity: Identity = Identity()
    service_tier: str | None = None
    state: StateRef | None = None
    legacy_functions: bool = False
    """The client used `functions` and `function_call`: answers use them too."""
    resume: str | None = None
    """Of the `Finish` that this request goes on after."""
    rejected: tuple[Rejected, ...] = ()
    """What a foreign upstream must refuse."""
    ignored: tuple[Ignored, ...] = ()
    """What a foreign upstream loses."""
    extra: Extra = attrs.field(factory=dict)
    """Unmapped fields of the client's dialect."""


@attrs.frozen(kw_only=True, slots=True)
class Loss:
    """Something that the target dialect can't say."""

    path: str
    """The client's own field path."""
    code: str
    """A loss code (`stop_dropped`), shown in `x-modelserver-dropped`."""
