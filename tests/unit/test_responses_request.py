"""Requests of other dialects, written for a Responses upstream."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
import orjson
import pytest
from openai.types.responses.response_create_params import (
    ResponseCreateParamsNonStreaming,
    ResponseCreateParamsStreaming,
)
from pydantic import TypeAdapter

from modelserver.dialects.codec import Encoded
from modelserver.dialects.openai_responses.request import encode_request
from modelserver.errors import InvalidRequest, Unsupported
from modelserver.ir.card import ModelCard, ReasoningCard
from modelserver.ir.parts import (
    Audio,
    CacheHint,
    DialectName,
    Document,
    FileRef,
    Image,
    Inline,
    Message,
    Opaque,
    Origin,
    Part,
    PlainText,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from modelserver.ir.profile import Profile
from modelserver.ir.request import (
    BuiltinTool,
    CacheSpec,
    CustomTool,
    FunctionTool,
    HostedTool,
    Identity,
    Ignored,
    ReasoningSpec,
    Rejected,
    Request,
    ResponseFormat,
    Sampling,
    ToolChoice,
)
from modelserver.policy.seals import EnvelopeSealer, pseudonym

SEALER = EnvelopeSealer(b"key")
ORIGIN = Origin(dialect="responses", provider="openai", account="a", model="gpt-5")
PLAIN = ModelCard(custom_tools=True, allowed_tools=True, strict_tools=True, hosted=frozenset(("web_search",)))
THINKING = attrs.evolve(
    PLAIN,
    sampling="none",
    logprobs=False,
    reasoning=ReasoningCard(kind="effort", efforts=("minimal", "low", "medium", "high"), can_disable=False),
)
ADAPTER_WHOLE = TypeAdapter(ResponseCreateParamsNonStreaming)
ADAPTER_STREAM = TypeAdapter(ResponseCreateParamsStreaming)

OPEN = {"type": "object", "properties": {"q": {"type": "string"}}}
CLOSED = {**OPEN, "required": ["q"], "additionalProperties": False}


def profile(card: ModelCard = PLAIN, **quirks: Any) -> Profile:
    return Profile(
        model="gpt-5", origin=ORIGIN, card=card, quirks=quirks, sealer=SEALER, pseudonym=pseudonym(b"key", "tenant")
    )


def said(role: str, *parts: Part | str, **fields: Any) -> Message:
    return Message(
        role=role, parts=tuple(Text(text=part) if isinstance(part, str) else part for part in parts), **fields
    )  # type: ignore[arg-type]


def chat(*messages: Message, dialect: DialectName = "chat", **fields: Any) -> Request:
    return Request(dialect=dialect, model="fast", messages=messages or (said("user", "hi"),), **fields)


def encode(request: Request, card: ModelCard = PLAIN, **quirks: Any) -> tuple[dict[str, Any], Encoded]:
    """The body, which the official client's own types accept, and all of the encoding."""
    encoded = encode_request(request, profile(card, **quirks))
    body = orjson.loads(encoded.body)
    check(body)
    assert encoded.body == encode_request(request, profile(card, **quirks)).body
    assert encoded.path == "/responses"
    assert body["store"] is False
    return body, encoded


def check(body: dict[str, Any]) -> None:
    """Validate against `openai`'s types, which want ids on assistant messages that the service does not."""
    items = [
        {
            **item,
            "id": "msg_0",
            "type": "message",
            "status": "completed",
            "content": [annotated(part) for part in item["content"]],
        }
        if item.get("role") == "assistant"
        else item
        for item in body["input"]
    ]
    adapter: TypeAdapter[Any] = ADAPTER_STREAM if body.get("stream") else ADAPTER_WHOLE
    consume(adapter.validate_python({**body, "input": items}))


def annotated(part: dict[str, Any]) -> dict[str, Any]:
    return {"annotations": [], **part} if part["type"] == "output_text" else part


def consume(value: object) -> None:
    """Iterables are validated only while they are read."""
    if isinstance(value, Mapping):
        for member in value.values():
            consume(member)
    elif isinstance(value, Iterable) and not isinstance(value, str | bytes):
        for member in value:
            consume(member)


def codes(encoded: Encoded) -> list[str]:
    return [loss.code for loss in encoded.losses]


def text(role: str, *texts: str) -> dict[str, Any]:
    kind = "output_text" if role == "assistant" else "input_text"
    return {"role": role, "content": [{"type": kind, "text": one} for one in texts]}


CALL = ToolCall(id="c1", name="f", arguments='{"q":1}')
CALL_2 = ToolCall(id="c2", name="f", arguments="")
WIRE_CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"q":1}'}
WIRE_CALL_2 = {"type": "function_call", "call_id": "c2", "name": "f", "arguments": ""}


def result(id: str, *content: Text | Image | Document, **fields: Any) -> ToolResult:
    return ToolResult(call_id=id, content=content, **fields)


def output(id: str, said: object) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": id, "output": said}


PNG = Image(source=Inline(media_type="image/png", b64="iVBOR"))
WIRE_PNG = {"type": "input_image", "image_url": "data:image/png;base64,iVBOR", "detail": "auto"}
PDF = Document(source=Inline(media_type="application/pdf", b64="JVBERi0"), title="a.pdf")

ITEMS = [
    pytest.param(
        (said("user", "u1"), said("assistant", "a1"), said("user", "u2"), said("system", "B", authority="system")),
        [text("user", "u1"), text("assistant", "a1"), text("user", "u2"), text("developer", "B")],
        id="D11 H1 an instruction in the middle stays at its place",
    ),
    pytest.param(
        (said("assistant", CALL), said("system", "B"), said("user", result("c1", Text(text="42")))),
        [WIRE_CALL, output("c1", "42"), text("developer", "B")],
        id="D12 H1 and never separates a call from its result",
    ),
    pytest.param(
        (said("user", "a"), said("user", "b"), said("assistant", "c")),
        [text("user", "a"), text("user", "b"), text("assistant", "c")],
        id="D13 H2 boundaries are kept",
    ),
    pytest.param(
        (
            said("assistant", CALL, CALL_2),
            said("user", result("c2", Text(text="B")), result("c1", Text(text="A")), "go"),
        ),
        [WIRE_CALL, WIRE_CALL_2, output("c1", "A"), output("c2", "B"), text("user", "go")],
        id="D16 H4 results leave in call order before the text",
    ),
    pytest.param(
        (said("assistant", CALL), said("user", "go on")),
        [WIRE_CALL, output("c1", "Error: No result was provided for this call."), text("user", "go on")],
        id="D18 H4 a missing result is made up",
    ),
    pytest.param(
        (said("user", result("x", Text(text="late")), result("y"))),
        [text("user", "Tool result: late")],
        id="D19 H4 an orphan becomes text, an empty one vanishes",
    ),
    pytest.param(
        (said("assistant", CALL), said("user", result("c1", Text(text="shot"), PNG))),
        [WIRE_CALL, output("c1", [{"type": "input_text", "text": "shot"}, WIRE_PNG])],
        id="D21 H6 an image in a result",
    ),
    pytest.param(
        (said("assistant", CALL), said("user", result("c1", Text(text="boom"), is_error=True))),
        [WIRE_CALL, output("c1", "Error: boom")],
        id="D22 H6 an error is said",
    ),
    pytest.param(
        (said("assistant", CALL), said("user", result("c1", Text(text="ERROR 5"), is_error=True))),
        [WIRE_CALL, output("c1", "ERROR 5")],
        id="H6 and not twice",
    ),
    pytest.param(
        (said("assistant", CALL), said("user", result("c1"))), [WIRE_CALL, output("c1", "")], id="H3 empty result"
    ),
    pytest.param(
        (said("assistant", Text(text=""), CALL), said("user", result("c1", Text(text="A")))),
        [WIRE_CALL, output("c1", "A")],
        id="H3 empty text beside a call is nothing",
    ),
    pytest.param(
        (said("user", "q"), said("assistant", "The answer is (")),
        [text("user", "q"), text("assistant", "The answer is (")],
        id="H3 a prefill is sent as it is",
    ),
    pytest.param(
        (said("assistant", "Looking.", CALL, "Done."), said("user", result("c1", Text(text="A")))),
        [text("assistant", "Looking."), WIRE_CALL, text("assistant", "Done."), output("c1", "A")],
        id="H33 text around a call, without ids",
    ),
    pytest.param(
        (said("assistant", Refusal(text="No."), phase="commentary"),),
        [{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}],
        id="H25 a refusal; no phase from elsewhere",
    ),
    pytest.param(
        (said("user", Image(source=Url(url="https://img.example/cat.png"), detail="low"), PNG),),
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": "https://img.example/cat.png", "detail": "low"},
                    WIRE_PNG,
                ],
            }
        ],
        id="D77 H21 images",
    ),
    pytest.param(
        (said("user", Image(source=Inline(media_type="image/jpg", b64="/9j/4AA"), detail="low")),),
        [
            {
                "role": "user",
                "content": [{"type": "input_image", "image_url": "data:image/jpeg;base64,/9j/4AA", "detail": "low"}],
            }
        ],
        id="H21 jpg is jpeg",
    ),
    pytest.param(
        (
            said(
                "user",
                PDF,
                Document(source=Inline(media_type="application/pdf", b64="JVBERi0")),
                Document(source=Url(url="https://e.example/a.pdf")),
                Document(source=FileRef(provider="responses", id="file-1")),
                Document(source=PlainText(text="line"), title="Notes"),
            ),
        ),
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0"},
                    {
                        "type": "input_file",
                        "filename": "document.pdf",
                        "file_data": "data:application/pdf;base64,JVBERi0",
                    },
                    {"type": "input_file", "file_url": "https://e.example/a.pdf"},
                    {"type": "input_file", "file_id": "file-1"},
                    {"type": "input_text", "text": "Notes\nline"},
                ],
            }
        ],
        id="D77 H23 documents",
    ),
    pytest.param(
        (
            said(
                "assistant",
                Opaque(dialect="anthropic", type="x", raw={}),
                Opaque(dialect="gemini", type="y", raw={}, fallback="f"),
            ),
        ),
        [text("assistant", "f")],
        id="what only another dialect knows shows its fallback",
    ),
    pytest.param(
        (said("user", "a", name="ann"), said("user", "b", name="bob")),
        [text("user", "ann: a"), text("user", "bob: b")],
        id="H2 two names become prefixes",
    ),
    pytest.param(
        (said("assistant", Audio(source=None, ref="audio_1", transcript="spoken")),),
        [text("assistant", "spoken")],
        id="H24 an earlier audio answer is its transcript",
    ),
]


@pytest.mark.parametrize(("messages", "items"), ITEMS)
def test_the_conversation(messages: tuple[Message, ...] | Message, items: list[dict[str, Any]]) -> None:
    body, _ = encode(chat(*(messages if isinstance(messages, tuple) else (messages,))))

    assert items == body["input"]


def test_d4_the_beginning_of_a_conversation_begins_its_encoding() -> None:
    turns = tuple(
        message
        for turn in range(4)
        for message in (
            said("user", f"u{turn}"),
            said("assistant", "Looking.", ToolCall(id="call_0", name=f"f.{turn}", arguments="{}")),
            said("user", result("call_0", Text(text="r"))),
        )
    )
    inputs = [encode(chat(*turns[: 3 * count]))[0]["input"] for count in range(1, 5)]

    assert all(later[: len(earlier)] == earlier for earlier, later in itertools.pairwise(inputs))
    ids = [item["call_id"] for item in inputs[-1] if item.get("type") == "function_call"]
    assert len(ids) == len(set(ids)), "D25"


def test_d24_long_ids_agree() -> None:
    long = "x" * 70
    call = attrs.evolve(CALL, id=long)
    body, _ = encode(chat(said("assistant", call), said("user", result(long, Text(text="A")))))

    assert body["input"][0]["call_id"] == body["input"][1]["call_id"]
    assert len(body["input"][0]["call_id"]) <= 64


FIELDS = [
    pytest.param({"system": (Text(text="A"), Text(text="B"))}, {"instructions": "A\n\nB"}, [], id="H1 instructions"),
    pytest.param({"stream": True}, {"stream": True}, [], id="stream"),
    pytest.param({"max_output": 4000}, {"max_output_tokens": 4000}, [], id="H11 limit"),
    pytest.param({"max_output": 3}, {"max_output_tokens": 16}, [], id="H11 the least limit"),
    pytest.param(
        {"sampling": Sampling(temperature=0.7, top_p=0.9)}, {"temperature": 0.7, "top_p": 0.9}, [], id="H12 sampling"
    ),
    pytest.param(
        {"sampling": Sampling(top_k=3, presence=0.5, seed=7, logit_bias={"1": 2})},
        {},
        ["top_k_dropped", "penalties_dropped", "field_dropped:logit_bias"],
        id="H13 what has no field here; seed goes silently",
    ),
    pytest.param({"sampling": Sampling(stop=("a", "b", "c", "d", "e"))}, {}, [], id="D42 H13 stop is enforced by us"),
    pytest.param(
        {"sampling": Sampling(logprobs=True, top_logprobs=2)},
        {"include": ["message.output_text.logprobs"], "top_logprobs": 2},
        [],
        id="H15 logprobs",
    ),
    pytest.param({"format": ResponseFormat(kind="text")}, {}, [], id="H16 plain text"),
    pytest.param(
        {"format": ResponseFormat(kind="json")}, {"text": {"format": {"type": "json_object"}}}, [], id="D43 H16 json"
    ),
    pytest.param(
        {"format": ResponseFormat(kind="json"), "dialect": "gemini"},
        {
            "text": {"format": {"type": "json_object"}},
            "instructions": "Answer with a single JSON object and nothing else.",
        },
        [],
        id="H16 json wants the word in the prompt",
    ),
    pytest.param(
        {"format": ResponseFormat(kind="schema", schema=OPEN, name="p", strict=True), "verbosity": "low"},
        {
            "text": {
                "format": {"type": "json_schema", "name": "p", "schema": OPEN, "strict": True},
                "verbosity": "low",
            }
        },
        [],
        id="D43 H8 a schema between OpenAI's dialects is copied",
    ),
    pytest.param(
        {"format": ResponseFormat(kind="schema", schema=CLOSED), "dialect": "gemini"},
        {"text": {"format": {"type": "json_schema", "name": "response", "schema": CLOSED, "strict": False}}},
        [],
        id="H16 strict unstated is false",
    ),
    pytest.param(
        {"identity": Identity(user="ann@example.org", metadata={"k": "v"})},
        {"safety_identifier": pseudonym(b"key", "tenant")("ann@example.org"), "metadata": {"k": "v"}},
        [],
        id="H31 the user is a pseudonym",
    ),
    pytest.param(
        {"identity": Identity(metadata={"user_id": "v"}, conversation_hint="c"), "dialect": "anthropic"},
        {"prompt_cache_key": pseudonym(b"key", "tenant")("c")[2:]},
        [],
        id="H20 H31 a cache key of the conversation; foreign metadata stays here",
    ),
    pytest.param({"cache": CacheSpec(key="k")}, {"prompt_cache_key": "k"}, [], id="H20 a cache key passes"),
    pytest.param({"service_tier": "auto"}, {}, [], id="H31 tier auto"),
    pytest.param({"service_tier": "fast"}, {"service_tier": "priority"}, [], id="H31 tier fast"),
    pytest.param(
        {"service_tier": "standard_only", "dialect": "anthropic"},
        {"service_tier": "default"},
        [],
        id="H31 tier standard",
    ),
    pytest.param(
        {"service_tier": "odd", "dialect": "gemini"}, {}, ["service_tier_dropped"], id="H31 a tier that only it knows"
    ),
    pytest.param(
        {"ignored": (Ignored(name="prediction"),)}, {}, ["field_dropped:prediction"], id="D10 what is ignored is said"
    ),
    pytest.param({"parallel_tools": False}, {}, [], id="H30 without tools"),
    pytest.param(
        {"reasoning": ReasoningSpec(effort="high")}, {}, ["reasoning_dropped"], id="H19 a model that does not think"
    ),
]


@pytest.mark.parametrize(("asked", "fields", "losses"), FIELDS)
def test_fields(asked: dict[str, Any], fields: dict[str, Any], losses: list[str]) -> None:
    body, encoded = encode(chat(**asked))
    rest = {key: value for key, value in body.items() if key not in ("model", "input", "store")}

    assert fields == rest
    assert losses == codes(encoded)


ENCRYPTED = ["reasoning.encrypted_content"]
REASONING = [
    pytest.param(None, "chat", {}, id="nothing asked"),
    pytest.param(
        ReasoningSpec(effort="xhigh"), "chat", {"effort": "high", "summary": "auto"}, id="D55 clipped downwards"
    ),
    pytest.param(ReasoningSpec(mode="off"), "chat", {"effort": "minimal"}, id="D55 H19 none, else the lowest"),
    pytest.param(ReasoningSpec(effort="none"), "gemini", {"effort": "minimal"}, id="H19 effort none"),
    pytest.param(
        ReasoningSpec(mode="on", budget=5000), "anthropic", {"effort": "medium", "summary": "auto"}, id="D55 budget"
    ),
    pytest.param(
        ReasoningSpec(mode="on", show="omitted"), "anthropic", {}, id="H19 on without effort, text not wanted"
    ),
    pytest.param(ReasoningSpec(budget=-1, show="auto"), "gemini", {"summary": "auto"}, id="H19 the model decides"),
    pytest.param(
        ReasoningSpec(effort="low", show="detailed"), "responses", {"effort": "low", "summary": "detailed"}, id="own"
    ),
]


@pytest.mark.parametrize(("spec", "dialect", "expected"), REASONING)
def test_reasoning(spec: ReasoningSpec | None, dialect: DialectName, expected: dict[str, Any]) -> None:
    body, _ = encode(chat(dialect=dialect, reasoning=spec), THINKING)

    assert expected == body.get("reasoning", {})
    assert body["include"] == ENCRYPTED


def test_effort_words_of_a_provider() -> None:
    body, encoded = encode(chat(reasoning=ReasoningSpec(effort="high")), THINKING, effort_map={"low": "low"})

    assert body["reasoning"] == {"summary": "auto"}
    assert codes(encoded) == ["reasoning_dropped"]


def test_h12_a_thinking_model_takes_no_sampling() -> None:
    sampling = Sampling(temperature=0.2, top_p=1, logprobs=True)
    body, encoded = encode(chat(sampling=sampling), THINKING)

    assert not {"temperature", "top_p", "top_logprobs"} & body.keys()
    assert codes(encoded) == ["temperature_dropped", "logprobs_dropped"]


def sealed(payload: str, text: str, origin: Origin = ORIGIN, **fields: Any) -> Reasoning:
    seal = Seal(kind="encrypted", payload=payload, item_id="rs_1", origin=origin)
    return Reasoning(text=text, seal=Seal(kind="signature", payload=SEALER.wrap(seal, text)), **fields)


def thought(*texts: str) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": one} for one in texts]
    return {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "gAAA"}


OTHER = attrs.evolve(ORIGIN, account="b")
SEALS = [
    pytest.param(sealed("gAAA", "I think."), thought("I think."), [], id="D47 the item with its own id and ciphertext"),
    pytest.param(sealed("gAAA", "", form="hidden"), thought(), [], id="D47 ciphertext alone"),
    pytest.param(sealed("gAAA", "OneTwo", sections=(0, 3)), thought("One", "Two"), [], id="sections are kept"),
    pytest.param(
        Reasoning(text="x", seal=Seal(kind="encrypted", payload="gAAA", item_id="rs_1")), thought("x"), [], id="native"
    ),
    pytest.param(sealed("gAAA", "x", OTHER), None, ["seal_dropped"], id="D50 another account's is dropped"),
    pytest.param(
        attrs.evolve(sealed("gAAA", "x"), text="y"), None, ["seal_dropped"], id="D87 edited text drops the seal"
    ),
    pytest.param(
        Reasoning(text="x", seal=Seal(kind="signature", payload="EqQB")), None, ["seal_dropped"], id="a foreign native"
    ),
    pytest.param(
        Reasoning(text="x", seal=Seal(kind="signature", payload="msE1forged")), None, ["seal_dropped"], id="D51 forged"
    ),
    pytest.param(Reasoning(text="x"), None, ["reasoning_dropped"], id="text alone goes nowhere"),
    pytest.param(sealed("", "x"), None, [], id="an own one without ciphertext"),
]


@pytest.mark.parametrize(("part", "item", "losses"), SEALS)
def test_seals(part: Reasoning, item: dict[str, Any] | None, losses: list[str]) -> None:
    body, encoded = encode(chat(said("user", "q"), said("assistant", part, "a"), dialect="anthropic"), THINKING)

    assert [text("user", "q"), *([item] if item else []), text("assistant", "a")] == body["input"]
    assert losses == codes(encoded)


def test_h20_cache_hints() -> None:
    card = attrs.evolve(PLAIN, cache="explicit_openai")
    system = (Text(text="S", cache=CacheHint(ttl_s=3600)),)
    message = said("user", Text(text="doc", cache=CacheHint(ttl_s=86400)))
    body, _ = encode(chat(message, system=system, cache=CacheSpec(mode="explicit", ttl_s=1800)), card)
    plain, _ = encode(chat(message, system=system))
    mark = {"mode": "explicit"}

    assert body["input"] == [
        {"role": "developer", "content": [{"type": "input_text", "text": "S", "prompt_cache_breakpoint": mark}]},
        {
            "role": "user",
            "content": [{"type": "input_text", "text": "doc", "prompt_cache_breakpoint": {**mark, "ttl": "12h"}}],
        },
    ]
    assert body["prompt_cache_options"] == {"mode": "explicit", "ttl": "30m"}
    assert ("S", [text("user", "doc")]) == (plain["instructions"], plain["input"])


F = FunctionTool(name="f", schema=OPEN)
WIRE_F = {"type": "function", "name": "f", "parameters": OPEN, "strict": False}
PATCH = CustomTool(name="apply_patch", description="Patch.", syntax="lark", grammar="start: /.+/s")
TOOLS = [
    pytest.param((F,), "chat", PLAIN, [WIRE_F], [], id="D28 strict is written, optional properties stay optional"),
    pytest.param(
        (FunctionTool(name="f"),),
        "chat",
        PLAIN,
        [{**WIRE_F, "parameters": {"type": "object", "properties": {}}}],
        [],
        id="H8 no parameters",
    ),
    pytest.param(
        (attrs.evolve(F, strict=True),),
        "anthropic",
        PLAIN,
        [WIRE_F],
        ["strict_dropped"],
        id="D29 strict with an open object",
    ),
    pytest.param(
        (attrs.evolve(F, strict=True, schema=CLOSED),),
        "anthropic",
        PLAIN,
        [{**WIRE_F, "parameters": CLOSED, "strict": True}],
        [],
        id="H8 strict with a closed one",
    ),
    pytest.param(
        (attrs.evolve(F, strict=True),),
        "chat",
        PLAIN,
        [{**WIRE_F, "strict": True}],
        [],
        id="H8 between OpenAI's dialects the service judges",
    ),
    pytest.param(
        (attrs.evolve(F, strict=True, schema={"$ref": "#/$defs/A", "$defs": {"A": CLOSED}}),),
        "gemini",
        PLAIN,
        [{**WIRE_F, "parameters": {"$defs": {"A": CLOSED}, **CLOSED}, "strict": True}],
        [],
        id="H8 a reference at the root is expanded",
    ),
    pytest.param(
        (attrs.evolve(F, name="a" * 30 + "." + "b" * 39, description="d"),),
        "anthropic",
        PLAIN,
        [{**WIRE_F, "name": "a" * 30 + "_" + "b" * 24 + "_" + "d5a3e4d6", "description": "d"}],
        [],
        id="D26 a long name with dots",
    ),
    pytest.param(
        (attrs.evolve(F, namespace="crm", name="find"),),
        "responses",
        PLAIN,
        [{**WIRE_F, "name": "crm__find"}],
        [],
        id="D27 a namespace is flattened",
    ),
    pytest.param(
        (PATCH,),
        "chat",
        PLAIN,
        [
            {
                "type": "custom",
                "name": "apply_patch",
                "description": "Patch.",
                "format": {"type": "grammar", "syntax": "lark", "definition": "start: /.+/s"},
            }
        ],
        [],
        id="H10 a custom tool",
    ),
    pytest.param(
        (PATCH,),
        "chat",
        attrs.evolve(PLAIN, custom_tools=False),
        [
            {
                "type": "function",
                "name": "apply_patch",
                "description": "Patch.\n\nThe input is free text, not JSON.\n\nIt must match this lark grammar:\n"
                "```\nstart: /.+/s\n```",
                "parameters": {
                    "type": "object",
                    "properties": {"input": {"type": "string"}},
                    "required": ["input"],
                    "additionalProperties": False,
                },
                "strict": False,
            }
        ],
        [],
        id="H10 a custom tool as a function",
    ),
    pytest.param(
        (HostedTool(family="web_search", dialect="anthropic", raw={"allowed_domains": ["e.example"], "max_uses": 3}),),
        "anthropic",
        PLAIN,
        [{"type": "web_search", "filters": {"allowed_domains": ["e.example"]}}],
        [],
        id="D79 H27 a search that both have",
    ),
    pytest.param(
        (F, HostedTool(family="web_fetch", dialect="anthropic", raw={})),
        "anthropic",
        PLAIN,
        [WIRE_F],
        ["hosted_tool_dropped:web_fetch"],
        id="D79 H27 a hosted tool that is not here",
    ),
    pytest.param(
        (F, F),
        "chat",
        PLAIN,
        [WIRE_F],
        [],
        id="H7 the same declaration twice",
    ),
]


@pytest.mark.parametrize(("tools", "dialect", "card", "expected", "losses"), TOOLS)
def test_tools(
    tools: tuple[Any, ...], dialect: DialectName, card: ModelCard, expected: list[dict[str, Any]], losses: list[str]
) -> None:
    body, encoded = encode(chat(dialect=dialect, tools=tools), card)
    for one in (*expected, *body["tools"]):
        if len(one.get("name", "")) == 64:
            one["name"] = one["name"][:56]

    assert expected == body["tools"]
    assert losses == codes(encoded)


G = FunctionTool(name="g")
CHOICES = [
    pytest.param(ToolChoice(mode="auto"), {}, PLAIN, "auto", ["f", "g"], [], id="auto"),
    pytest.param(ToolChoice(mode="none"), {}, PLAIN, "none", ["f", "g"], [], id="none keeps the tools"),
    pytest.param(ToolChoice(mode="required"), {}, PLAIN, "required", ["f", "g"], [], id="required"),
    pytest.param(
        ToolChoice(mode="required", only=("f",)), {}, PLAIN, {"type": "function", "name": "f"}, ["f", "g"], [], id="one"
    ),
    pytest.param(
        ToolChoice(mode="auto", only=("f", "g")),
        {},
        PLAIN,
        {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g"}],
        },
        ["f", "g"],
        [],
        id="D36 several",
    ),
    pytest.param(
        ToolChoice(mode="auto", only=("f",)),
        {},
        attrs.evolve(PLAIN, allowed_tools=False),
        "auto",
        ["f"],
        [],
        id="D36 a card that can't restrict filters",
    ),
    pytest.param(
        ToolChoice(mode="auto", only=("x",)),
        {},
        PLAIN,
        "auto",
        ["f", "g"],
        ["tool_choice_relaxed"],
        id="D36 unknown names restrict nothing",
    ),
    pytest.param(
        ToolChoice(mode="required", only=("f",)),
        {},
        attrs.evolve(PLAIN, forced_tools=False),
        "auto",
        ["f"],
        ["tool_choice_relaxed"],
        id="D37 a card that can't force",
    ),
    pytest.param(
        ToolChoice(mode="required"),
        {"tool_choice": "no_required"},
        PLAIN,
        "auto",
        ["f", "g"],
        ["tool_choice_relaxed"],
        id="quirk",
    ),
]


@pytest.mark.parametrize(("choice", "quirks", "card", "expected", "names", "losses"), CHOICES)
def test_h29_tool_choice(
    choice: ToolChoice, quirks: dict[str, Any], card: ModelCard, expected: Any, names: list[str], losses: list[str]
) -> None:
    body, encoded = encode(chat(tools=(F, G), tool_choice=choice, parallel_tools=False), card, **quirks)

    assert expected == body["tool_choice"]
    assert names == [tool["name"] for tool in body["tools"]]
    assert body["parallel_tool_calls"] is False, "D38"
    assert losses == codes(encoded)


def test_h10_custom_calls_in_the_history() -> None:
    call = ToolCall(id="c1", name="apply_patch", arguments='a "b"', kind="custom")
    messages = (said("assistant", call), said("user", result("c1", Text(text="ok"))))
    native, _ = encode(chat(*messages, tools=(PATCH,)))
    wrapped, _ = encode(chat(*messages, tools=(PATCH,)), attrs.evolve(PLAIN, custom_tools=False))

    assert native["input"] == [
        {"type": "custom_tool_call", "call_id": "c1", "name": "apply_patch", "input": 'a "b"'},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "ok"},
    ]
    assert wrapped["input"] == [
        {"type": "function_call", "call_id": "c1", "name": "apply_patch", "arguments": '{"input":"a \\"b\\""}'},
        output("c1", "ok"),
    ]


def test_d32_big_integers_in_schemas_stay_exact() -> None:
    schema = {"type": "object", "properties": {"n": {"const": 12345678901234567890123}}}
    encoded = encode_request(chat(tools=(FunctionTool(name="f", schema=schema),)), profile())

    assert b'"const":12345678901234567890123}' in encoded.body


REFUSED = [
    pytest.param({"n": 2}, PLAIN, {}, "n", id="D41 H14 n"),
    pytest.param({"modalities": frozenset(("audio",))}, PLAIN, {}, "modalities", id="H24 audio out"),
    pytest.param({"sampling": Sampling(stop=("x",))}, PLAIN, {"emulate_stop": False}, "stop", id="H13 no emulation"),
    pytest.param(
        {"rejected": (Rejected(param="thread", why="w"),), "dialect": "anthropic"},
        PLAIN,
        {},
        "thread",
        id="D9 rejected",
    ),
    pytest.param(
        {"messages": (said("user", Audio(source=Inline(media_type="audio/wav", b64="UklGR"), format="wav")),)},
        PLAIN,
        {},
        None,
        id="H24 audio in",
    ),
    pytest.param(
        {"messages": (said("user", PDF),)}, attrs.evolve(PLAIN, pdf=False), {}, None, id="H23 a card without pdf"
    ),
    pytest.param(
        {"messages": (said("user", Image(source=FileRef(provider="gemini", id="f"))),)}, PLAIN, {}, None, id="H21 file"
    ),
    pytest.param(
        {"tools": (HostedTool(family="mcp", dialect="anthropic", raw={}),)}, PLAIN, {}, "tools[0]", id="H27 mcp"
    ),
    pytest.param(
        {
            "tools": (HostedTool(family="web_fetch", dialect="anthropic", raw={}),),
            "tool_choice": ToolChoice(mode="required", hosted="web_fetch"),
        },
        PLAIN,
        {},
        "tools[0]",
        id="D79 forced",
    ),
    pytest.param(
        {"tools": (BuiltinTool(name="bash", type="bash_2031", dialect="anthropic", raw={}),)},
        PLAIN,
        {},
        "tools[0]",
        id="H28 an unknown client-run tool of another dialect",
    ),
]


@pytest.mark.parametrize(("asked", "card", "quirks", "param"), REFUSED)
def test_what_would_change_the_answer_is_refused(
    asked: dict[str, Any], card: ModelCard, quirks: dict[str, Any], param: str | None
) -> None:
    request = Request(**{"dialect": "chat", "model": "fast", "messages": (said("user", "hi"),), **asked})
    with pytest.raises(Unsupported) as refusal:
        encode_request(request, profile(card, **quirks))

    assert param == refusal.value.param


def test_h7_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidRequest, match=r"tools\[1\]"):
        encode_request(chat(tools=(F, attrs.evolve(F, schema=CLOSED))), profile())


def test_d10_losses_are_refused_where_asked_for() -> None:
    strict = attrs.evolve(profile(), refuse_losses=True)
    with pytest.raises(Unsupported) as refusal:
        encode_request(chat(sampling=Sampling(top_k=1)), strict)

    assert refusal.value.param == "top_k"


def test_h24_audio_where_the_card_has_it() -> None:
    part = Audio(source=Inline(media_type="audio/wav", b64="UklGR"))
    card = attrs.evolve(PLAIN, audio_in=True)
    body = orjson.loads(encode_request(chat(said("user", part)), profile(card)).body)

    assert body["input"][0]["content"] == [{"type": "input_audio", "input_audio": {"data": "UklGR", "format": "wav"}}]


def test_quirks_change_the_finished_body() -> None:
    request = chat(tools=(F,), system=(Text(text="S"),), stream=True)
    quirks = {
        "drop": ["tools[].strict", "include", "input[].nothing"],
        "rename": {"instructions": "system"},
        "add": {"usage": {"include": True}},
    }
    body = orjson.loads(encode_request(request, profile(THINKING, **quirks)).body)

    assert "strict" not in body["tools"][0]
    assert "include" not in body
    assert (body["system"], body["usage"]) == ("S", {"include": True})


def test_the_reading_knows_the_names() -> None:
    _, encoded = encode(chat(tools=(attrs.evolve(F, name="f.x"),), dialect="gemini"))

    assert encoded.reading.tools["f_x"].name == "f.x"
