"""Requests and targets for tests of the Anthropic codec, and a check by the official library's types."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.anthropic.request import encode_request
from modelserver.ir.card import ModelCard, ReasoningCard
from modelserver.ir.parts import (
    Document,
    Image,
    Message,
    Origin,
    Part,
    Seal,
    Text,
    ToolCall,
    ToolResult,
)
from modelserver.ir.profile import Profile
from modelserver.ir.request import (
    FunctionTool,
    ReasoningSpec,
    Request,
)
from modelserver.policy.seals import EnvelopeSealer

ORIGIN = Origin(dialect="anthropic", provider="p", account="a1", model="claude-x")
SEALER = EnvelopeSealer(b"installation")
PLAIN = ModelCard(
    top_k=True,
    cache="explicit_anthropic",
    both_temperature_and_top_p=False,
    forced_tools_with_reasoning=False,
    hosted=frozenset(("web_search", "web_fetch", "code_execution")),
)
MANUAL = attrs.evolve(PLAIN, reasoning=ReasoningCard(kind="budget", budget_max=64_000), prefill=True)
ADAPTIVE = attrs.evolve(
    PLAIN,
    schema="anthropic",
    strict_tools=True,
    forced_tools_with_reasoning=True,
    sampling="none",
    mid_system=True,
    reasoning=ReasoningCard(kind="adaptive", efforts=("low", "medium", "high", "xhigh", "max"), between_tools=True),
)
BOUND = attrs.evolve(
    ADAPTIVE,
    forced_tools=False,
    seal_bound=True,
    reasoning=attrs.evolve(ADAPTIVE.reasoning, can_disable=False, default_on=True),
)

OBJECT = {"type": "object", "properties": {}}
PDF, PNG, JPEG = "JVBERi0xLjQK", "iVBORw0KGgoAAAANSUhEUg==", "/9j/4AAQSkZJRg=="


def profile(card: ModelCard = PLAIN, **changes: Any) -> Profile:
    made = Profile(
        model="claude-x", origin=ORIGIN, card=card, sealer=SEALER, pseudonym=lambda user: f"u_{len(user):032x}"
    )
    return attrs.evolve(made, **changes)


def chat(*messages: Message, **fields: Any) -> Request:
    return Request(dialect="chat", model="m", messages=messages or (user("hi"),), **fields)


def user(*parts: str | Part) -> Message:
    return Message(role="user", parts=_parts(parts))


def assistant(*parts: str | Part) -> Message:
    return Message(role="assistant", parts=_parts(parts))


def system(text: str) -> Message:
    return Message(role="system", parts=(Text(text=text),), authority="system")


def call(id: str, name: str = "f", arguments: str = "{}", **fields: Any) -> ToolCall:
    return ToolCall(id=id, name=name, arguments=arguments, **fields)


def result(id: str, *parts: str | Text | Image | Document, **fields: Any) -> ToolResult:
    return ToolResult(call_id=id, content=_parts(parts), **fields)  # type: ignore[arg-type]


def _parts(parts: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(Text(text=part) if isinstance(part, str) else part for part in parts)


def tool(name: str = "f", **fields: Any) -> FunctionTool:
    return FunctionTool(name=name, schema=OBJECT, **fields)


def text(said: str, **members: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, **members}


def use(id: str, name: str = "f", input: Any = None) -> dict[str, Any]:
    return {"type": "tool_use", "id": id, "name": name, "input": input or {}}


def answered(id: str, content: Any = None, **members: Any) -> dict[str, Any]:
    block = {"type": "tool_result", "tool_use_id": id}
    return {**block, **({} if content is None else {"content": content}), **members}


def turn(role: str, *blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def sent(request: Request, target: Profile) -> tuple[dict[str, Any], list[str]]:
    """The body, and the codes of the losses; the body is checked against the library's types."""
    encoded = encode_request(request, target)
    body = orjson.loads(encoded.body)
    check_types(body, beta="anthropic-beta" in encoded.headers)
    return body, [loss.code for loss in encoded.losses]


def check_types(body: dict[str, Any], *, beta: bool) -> None:
    """Fail where a body has something that the library's types lack."""
    pytest.importorskip("pydantic")
    pytest.importorskip("anthropic")
    # Gone from the types, but not from the service of older models.
    known = {key: value for key, value in body.items() if key not in ("temperature", "top_p", "top_k")}

    assert known == _consumed(_params(beta).validate_python(known))


@functools.cache
def _params(beta: bool) -> Any:
    from anthropic.types import message_create_params as plain
    from anthropic.types.beta import message_create_params as with_betas
    from pydantic import TypeAdapter

    return TypeAdapter((with_betas if beta else plain).MessageCreateParams)


def _consumed(value: Any) -> Any:
    """A validated value with its lazy lists read, which is when they are validated."""
    if hasattr(value, "model_dump"):  # blocks of answers are taken back as they are
        return value.model_dump(exclude_unset=True)
    if isinstance(value, dict):
        return {key: _consumed(member) for key, member in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_consumed(member) for member in value]
    return value


def envelope(seal: Seal, visible: str) -> Seal:
    """As a client of this API gives it back."""
    return Seal(kind="signature", payload=SEALER.wrap(seal, visible))


SIGNED = Seal(kind="signature", payload="EqQB", origin=ORIGIN)
FOREIGN = Seal(kind="encrypted", payload="gAAA", item_id="rs_1", origin=attrs.evolve(ORIGIN, dialect="responses"))
OTHER_ACCOUNT = attrs.evolve(SIGNED, origin=attrs.evolve(ORIGIN, account="a2"))
REDACTED = Seal(kind="redacted", payload="EmwK", origin=ORIGIN)

TEA = call("t1", arguments='{"q":"tea"}')
TEA_USE = use("t1", input={"q": "tea"})


def thinks(**fields: Any) -> ReasoningSpec:
    return ReasoningSpec(mode="on", **fields)


F, G = tool("f"), tool("g")


def frames(*events: dict[str, Any]) -> bytes:
    return b"".join(
        b"event: " + event["type"].encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n" for event in events
    )


def begin(usage: dict[str, Any] | None = None) -> dict[str, Any]:
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-y", "content": []}
    return {"type": "message_start", "message": {**message, "usage": usage or {"input_tokens": 9, "output_tokens": 1}}}


def opened(index: int, type: str, **members: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": type, **members}}


def delta(index: int, type: str, **members: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": type, **members}}


def said(index: int, text: str) -> dict[str, Any]:
    return delta(index, "text_delta", text=text)


def argued(index: int, text: str) -> dict[str, Any]:
    return delta(index, "input_json_delta", partial_json=text)


def stopped(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def over(reason: str | None, usage: dict[str, Any] | None = None, **members: Any) -> dict[str, Any]:
    ended = {"stop_reason": reason, "stop_sequence": None, **members}
    return {"type": "message_delta", "delta": ended, "usage": usage or {"output_tokens": 5}}


PING, STOP = {"type": "ping"}, {"type": "message_stop"}
TEXT = (opened(0, "text", text=""), said(0, "Hel"), said(0, "lo"), stopped(0))
