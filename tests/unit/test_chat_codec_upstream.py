"""Requests as Chat upstreams get them."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest
from openai.types.chat.completion_create_params import CompletionCreateParams
from pydantic import TypeAdapter

from modelserver.dialects.codec import Encoded
from modelserver.dialects.openai_chat.client_request import decode_request
from modelserver.dialects.openai_chat.upstream_request import encode_request
from modelserver.errors import InvalidRequest, Unsupported
from modelserver.ir.card import ModelCard, ReasoningCard
from modelserver.ir.parts import (
    Audio,
    CacheHint,
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
from tests.support.chat_codec import ABLE, ORIGIN, SEALER, profile

PLAIN = ModelCard()
HI = Message(role="user", parts=(Text(text="hi"),))
CALL = ToolCall(id="c1", name="f", arguments="{}")
OFFICIAL: TypeAdapter[Any] = TypeAdapter(CompletionCreateParams)


def request(*messages: Message, dialect: Any = "anthropic", **fields: Any) -> Request:
    return Request(dialect=dialect, model="m", messages=messages or (HI,), **fields)


def encoded(asked: Request, card: ModelCard = ABLE, **quirks: Any) -> Encoded:
    return encode_request(asked, profile(card, **quirks))


def body(asked: Request, card: ModelCard = ABLE, **quirks: Any) -> dict[str, Any]:
    return orjson.loads(encoded(asked, card, **quirks).body)  # type: ignore[no-any-return]


def messages(
    *conversation: Message, card: ModelCard = ABLE, dialect: Any = "anthropic", system: Any = (), **quirks: Any
) -> Any:
    return body(request(*conversation, dialect=dialect, system=system), card, **quirks)["messages"]


def codes(asked: Request, card: ModelCard = ABLE, **quirks: Any) -> list[str]:
    return [loss.code for loss in encoded(asked, card, **quirks).losses]


def user(*parts: Part) -> Message:
    return Message(role="user", parts=parts)


def assistant(*parts: Part) -> Message:
    return Message(role="assistant", parts=parts)


def result(id: str, *content: Any, **fields: Any) -> ToolResult:
    return ToolResult(
        call_id=id, content=tuple(Text(text=each) if isinstance(each, str) else each for each in content), **fields
    )


CANONICAL = {
    "model": "m",
    "messages": [
        {"role": "system", "content": "A"},
        {"role": "developer", "content": [{"type": "text", "text": "B"}, {"type": "text", "text": "C"}]},
        {"role": "user", "content": "hi", "name": "ann"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "see", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo", "detail": "low"}},
                {"type": "image_url", "image_url": {"url": "https://e.example/a.png"}},
                {"type": "input_audio", "input_audio": {"data": "UklGR", "format": "wav"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0"}},
            ],
        },
        {"role": "assistant", "content": None, "refusal": "no"},
        {"role": "system", "content": "D"},
        {
            "role": "assistant",
            "content": "t",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1'}},
                {"id": "c2", "type": "custom", "custom": {"name": "p", "input": "x"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "A"},
        {
            "role": "tool",
            "tool_call_id": "c2",
            "content": [{"type": "text", "text": "B"}, {"type": "text", "text": "C"}],
        },
        {"role": "assistant", "audio": {"id": "a1"}, "content": None},
    ],
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_completion_tokens": 99,
    "temperature": 0.5,
    "top_p": 0.9,
    "presence_penalty": 1,
    "frequency_penalty": -1,
    "seed": 7,
    "stop": ["a", "b"],
    "n": 2,
    "logprobs": True,
    "top_logprobs": 3,
    "tools": [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False},
        },
        {
            "type": "custom",
            "custom": {"name": "p", "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "s: x"}}},
        },
    ],
    "tool_choice": {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
    },
    "parallel_tool_calls": False,
    "response_format": {
        "type": "json_schema",
        "json_schema": {"name": "p", "schema": {"type": "object"}, "strict": True},
    },
    "reasoning_effort": "none",
    "verbosity": "low",
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "explicit", "ttl": "30m"},
    "web_search_options": {"search_context_size": "low"},
    "metadata": {"k": "v"},
    "user": "ann",
    "safety_identifier": "s",
    "service_tier": "flex",
}


def test_a_request_of_mapped_fields_is_written_as_it_came_D2() -> None:
    assert body(decode_request(orjson.dumps(CANONICAL))) == CANONICAL


def test_unknown_fields_stay_within_the_dialect_D7() -> None:
    asked = decode_request(orjson.dumps({**CANONICAL, "vendor_x": {"b": 1}}))

    assert body(asked)["vendor_x"] == {"b": 1}
    assert "vendor_x" not in body(attrs.evolve(asked, dialect="anthropic"))


def test_one_request_is_one_text_D3() -> None:
    asked = decode_request(orjson.dumps(CANONICAL))

    assert encoded(asked).body == encoded(decode_request(orjson.dumps(CANONICAL))).body


TURNS = (
    user(Text(text="u1")),
    assistant(Reasoning(text="r"), ToolCall(id="c1", name="a.b", arguments="{}")),
    user(result("c1", "A", Image(source=Inline(media_type="image/png", b64="iVBOR"))), Text(text="what?")),
    assistant(Text(text="a2")),
    Message(role="system", parts=(Text(text="S"),), authority="system"),
    user(Text(text="u3")),
    assistant(ToolCall(id="c1", name="g", arguments="")),
    user(result("c1", "late", is_error=True)),
    assistant(Text(text="a4")),
    user(Text(text="u5")),
)


@pytest.mark.parametrize(
    "quirks", [{}, {"system_first_only": True, "bridge_after_tool": True, "merge_roles": True}], ids=["plain", "bent"]
)
def test_the_beginning_of_a_conversation_begins_its_continuation_D4(quirks: Any) -> None:
    whole = messages(*TURNS, card=PLAIN, **quirks)
    for end in (1, 3, 6, 8, 10):
        part = messages(*TURNS[:end], card=PLAIN, **quirks)

        assert whole[: len(part)] == part


CONVERSATIONS = [
    pytest.param((HI, user(Text(text="b"))), [("user", "hi"), ("user", "b")], id="D13 two user messages"),
    pytest.param(
        (HI, assistant(Text(text="a")), HI, Message(role="system", parts=(Text(text="B"),), authority="system")),
        [("user", "hi"), ("assistant", "a"), ("user", "hi"), ("system", "B")],
        id="D11 an instruction at its place",
    ),
    pytest.param(
        (HI, Message(role="system", parts=(Text(text="B"),), authority="developer")),
        [("user", "hi"), ("developer", "B")],
        id="H1 of a developer",
    ),
    pytest.param(
        (assistant(CALL, attrs.evolve(CALL, id="c2")), user(result("c2", "B"), result("c1", "A"), Text(text="go on"))),
        [("assistant", None), ("tool", "A"), ("tool", "B"), ("user", "go on")],
        id="D16 results in the order of calls",
    ),
    pytest.param(
        (assistant(CALL), HI),
        [("assistant", None), ("tool", "Error: No result was provided for this call."), ("user", "hi")],
        id="D18 a missing result",
    ),
    pytest.param((user(result("cX", "A")),), [("user", "Tool result: A")], id="D19 a result without a call"),
    pytest.param((user(result("cX", "")), HI), [("user", "hi")], id="D19 an empty one"),
    pytest.param(
        (assistant(CALL), user(result("c1", "bad", is_error=True))),
        [("assistant", None), ("tool", "Error: bad")],
        id="D22 an error",
    ),
    pytest.param(
        (assistant(CALL), user(result("c1", "Error 5", is_error=True))),
        [("assistant", None), ("tool", "Error 5")],
        id="D22 says so itself",
    ),
    pytest.param((assistant(CALL), user(result("c1"))), [("assistant", None), ("tool", "")], id="H3 an empty result"),
    pytest.param(
        (HI, assistant(Text(text="a"), Text(text="b")), HI),
        [("user", "hi"), ("assistant", "ab"), ("user", "hi")],
        id="assistant text is joined",
    ),
    pytest.param(
        (HI, assistant(Reasoning(text="r", seal=Seal(kind="signature", payload="E"))), HI),
        [("user", "hi"), ("user", "hi")],
        id="nothing but foreign reasoning",
    ),
    pytest.param(
        (
            HI,
            assistant(Text(text="The (")),
        ),
        [("user", "hi"), ("assistant", "The ("), ("user", "Continue.")],
        id="H3 prefill",
    ),
    pytest.param(
        (user(Document(source=PlainText(text="line"), title="Notes")),),
        [("user", "Notes\nline")],
        id="H23 a text document",
    ),
    pytest.param(
        (user(Document(source=Inline(media_type="text/plain", b64="bGluZQ=="))),),
        [("user", "line")],
        id="H23 inline text",
    ),
    pytest.param(
        (HI, assistant(Text(text="a"), Opaque(dialect="gemini", type="code", raw={}, fallback="b")), HI),
        [("user", "hi"), ("assistant", "ab"), ("user", "hi")],
        id="H27 hosted parts",
    ),
]


@pytest.mark.parametrize(("conversation", "expected"), CONVERSATIONS)
def test_a_conversation_is_written(conversation: tuple[Message, ...], expected: object) -> None:
    assert expected == [(message["role"], message["content"]) for message in messages(*conversation)]


def test_the_image_of_a_result_follows_all_results_D21() -> None:
    image = Image(source=Inline(media_type="image/png", b64="iVBOR"))
    conversation = (assistant(CALL), user(result("c1", "shot", image), Text(text="what is it?")))

    assert messages(*conversation, card=PLAIN)[1:] == [
        {"role": "tool", "tool_call_id": "c1", "content": "shot\n[image 1 of call c1 follows]"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Image 1 of call c1:"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR"}},
                {"type": "text", "text": "what is it?"},
            ],
        },
    ]


def test_the_image_of_a_result_stays_where_the_model_takes_it_D21() -> None:
    image = Image(source=Inline(media_type="image/png", b64="iVBOR"))
    (_, said) = messages(assistant(CALL), user(result("c1", "shot", image)))

    assert [part["type"] for part in said["content"]] == ["text", "image_url"]


@pytest.mark.parametrize(
    ("quirks", "length"),
    [pytest.param({}, 40, id="OpenAI"), pytest.param({"id_pattern": "[a-zA-Z0-9]{9}", "id_max": 9}, 9, id="Mistral")],
)
def test_a_long_id_is_cut_alike_in_call_and_result_D24(quirks: Any, length: int) -> None:
    long = "call_" + "x" * 55
    asked, answered = messages(assistant(attrs.evolve(CALL, id=long)), user(result(long, "A")), **quirks)

    assert asked["tool_calls"][0]["id"] == answered["tool_call_id"]
    assert len(answered["tool_call_id"]) == length


def test_a_name_that_is_not_legal_is_spelled_and_found_again_D26() -> None:
    name = "a.b" * 24
    made = encoded(request(tools=(FunctionTool(name=name),)))
    wire = orjson.loads(made.body)["tools"][0]["function"]["name"]

    assert len(wire) <= 64
    assert made.reading.tools[wire].name == name


def test_a_namespace_is_part_of_the_name_D27() -> None:
    made = encoded(request(tools=(FunctionTool(name="find", namespace="crm"),), dialect="responses"))

    assert orjson.loads(made.body)["tools"][0]["function"]["name"] == "crm__find"
    assert (made.reading.tools["crm__find"].name, made.reading.tools["crm__find"].namespace) == ("find", "crm")


CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
OPEN = {"type": "object", "properties": {"a": {"type": "string"}}}

STRICT = [
    pytest.param("anthropic", CLOSED, True, (True, []), id="closed"),
    pytest.param("anthropic", OPEN, True, (False, ["strict_dropped"]), id="D29 open"),
    pytest.param("responses", OPEN, True, (True, []), id="the service judges its own"),
    pytest.param("anthropic", OPEN, None, (None, []), id="not said"),
]


@pytest.mark.parametrize(("dialect", "schema", "strict", "expected"), STRICT)
def test_strict_is_said_of_schemas_that_can_be(
    dialect: Any, schema: Any, strict: bool | None, expected: object
) -> None:
    asked = request(dialect=dialect, tools=(FunctionTool(name="f", schema=schema, strict=strict),))
    function = body(asked)["tools"][0]["function"]

    assert expected == (function.get("strict"), codes(asked))
    assert function["parameters"] == schema


def test_a_root_that_is_a_reference_is_expanded_H8() -> None:
    schema = {"$ref": "#/$defs/A", "$defs": {"A": CLOSED}}
    asked = request(tools=(FunctionTool(name="f", schema=schema, strict=True),))

    assert body(asked)["tools"][0]["function"]["parameters"] == {"$defs": {"A": CLOSED}, **CLOSED}


def test_a_custom_tool_is_a_function_where_the_model_has_none_H10() -> None:
    tool = CustomTool(name="p", description="d", syntax="lark", grammar="s: x")
    call = ToolCall(id="c", name="p", arguments='a"b', kind="custom")
    made = encoded(request(assistant(call), user(result("c", "A")), tools=(tool,)), PLAIN)
    sent = orjson.loads(made.body)

    assert made.reading.tools["p"].kind == "custom"
    assert sent["tools"][0]["function"]["parameters"]["required"] == ["input"]
    assert sent["tools"][0]["function"]["description"] == (
        "d\n\nThe input is free text, not JSON.\n\nIt must match this lark grammar:\n```\ns: x\n```"
    )
    assert sent["messages"][0]["tool_calls"][0]["function"]["arguments"] == '{"input":"a\\"b"}'


def test_a_builtin_of_another_dialect_is_declared_as_a_function_H28() -> None:
    tool = BuiltinTool(name="bash", type="bash_20250124", dialect="anthropic", raw={})
    made = encoded(request(tools=(tool,)))

    assert orjson.loads(made.body)["tools"][0]["function"]["parameters"] == {
        "type": "object",
        "properties": {"command": {"type": "string"}, "restart": {"type": "boolean"}},
    }
    assert made.reading.tools["bash"].kind == "client_builtin"


F, G = FunctionTool(name="f"), FunctionTool(name="g")
NAMED = {"type": "function", "function": {"name": "f"}}
ONE = ToolChoice(mode="required", only=("f",))
SOME = ToolChoice(mode="auto", only=("f",))

CHOICES = [
    pytest.param(ToolChoice(mode="auto"), ABLE, {}, ("auto", 2, []), id="auto"),
    pytest.param(ToolChoice(mode="none"), ABLE, {}, ("none", 2, []), id="none"),
    pytest.param(ToolChoice(mode="required"), ABLE, {}, ("required", 2, []), id="required"),
    pytest.param(ToolChoice(mode="required"), ABLE, {"tool_choice": "any"}, ("any", 2, []), id="Mistral's word"),
    pytest.param(
        ToolChoice(mode="required"),
        ABLE,
        {"tool_choice": "no_required"},
        ("auto", 2, ["tool_choice_relaxed"]),
        id="not forced",
    ),
    pytest.param(ONE, ABLE, {}, (NAMED, 2, []), id="one"),
    pytest.param(ONE, ABLE, {"tool_choice": "string_only"}, ("required", 1, []), id="llama.cpp"),
    pytest.param(ONE, ABLE, {"tool_choice": "no_required"}, ("auto", 1, ["tool_choice_relaxed"]), id="DeepSeek"),
    pytest.param(
        SOME,
        ABLE,
        {},
        ({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [NAMED]}}, 2, []),
        id="allowed tools",
    ),
    pytest.param(SOME, PLAIN, {}, ("auto", 1, []), id="D36 filtered"),
    pytest.param(
        ToolChoice(mode="auto", only=("x",)), PLAIN, {}, ("auto", 2, ["tool_choice_relaxed"]), id="D36 unknown names"
    ),
]


@pytest.mark.parametrize(("choice", "card", "quirks", "expected"), CHOICES)
def test_a_tool_choice_is_written(choice: ToolChoice, card: ModelCard, quirks: Any, expected: object) -> None:
    asked = request(tools=(F, G), tool_choice=choice)
    sent = body(asked, card, **quirks)

    assert expected == (sent["tool_choice"], len(sent["tools"]), codes(asked, card, **quirks))


def test_parallel_calls_are_forbidden_where_they_can_be_D38() -> None:
    asked = request(tools=(F,), parallel_tools=False)

    assert body(asked)["parallel_tool_calls"] is False
    assert codes(asked, parallel_field=False) == ["parallel_not_enforced"]
    assert "parallel_tool_calls" not in body(attrs.evolve(asked, parallel_tools=True))


SEARCH = HostedTool(
    family="web_search", dialect="anthropic", raw={"user_location": {"type": "approximate", "city": "Rome"}}
)


def test_a_search_is_converted_dropped_or_refused_D79() -> None:
    asked = request(tools=(SEARCH,))

    assert body(asked)["web_search_options"] == {
        "user_location": {"type": "approximate", "approximate": {"city": "Rome"}}
    }
    assert codes(asked, PLAIN) == ["hosted_tool_dropped:web_search"]
    with pytest.raises(Unsupported) as caught:
        encoded(attrs.evolve(asked, tool_choice=ToolChoice(mode="required", hosted="web_search")), PLAIN)
    assert caught.value.param == "tools[0]"


LIMITS = [
    pytest.param({"max_output": 1024}, ABLE, {}, {"max_completion_tokens": 1024}, [], id="H11"),
    pytest.param(
        {"max_output": 1024},
        ABLE,
        {"max_tokens_field": "max_tokens"},
        {"max_tokens": 1024},
        [],
        id="H11 the older name",
    ),
    pytest.param(
        {"max_output": 99}, ModelCard(max_output=9), {}, {"max_completion_tokens": 9}, ["max_tokens_lowered"], id="D39"
    ),
    pytest.param(
        {"sampling": Sampling(temperature=0.7)}, ModelCard(sampling="none"), {}, {}, ["temperature_dropped"], id="H12"
    ),
    pytest.param({"sampling": Sampling(temperature=1)}, ModelCard(sampling="none"), {}, {}, [], id="H12 the default"),
    pytest.param(
        {"sampling": Sampling(temperature=0)}, PLAIN, {"temperature_zero": 1e-8}, {"temperature": 1e-8}, [], id="Groq"
    ),
    pytest.param({"sampling": Sampling(top_k=40)}, PLAIN, {}, {}, ["top_k_dropped"], id="H13"),
    pytest.param({"sampling": Sampling(top_k=40)}, PLAIN, {"top_k": True}, {"top_k": 40}, [], id="H13 taken"),
    pytest.param(
        {"sampling": Sampling(presence=1)}, ModelCard(penalties=False), {}, {}, ["penalties_dropped"], id="penalties"
    ),
    pytest.param({"sampling": Sampling(stop=("END",))}, ModelCard(stop_max=4), {}, {"stop": ["END"]}, [], id="stop"),
    pytest.param({"sampling": Sampling(stop=("END",))}, ModelCard(stop_max=0), {}, {}, [], id="D42 enforced here"),
    pytest.param(
        {"sampling": Sampling(logprobs=True)}, ModelCard(logprobs=False), {}, {}, ["logprobs_dropped"], id="H15"
    ),
    pytest.param({"service_tier": "standard_only"}, PLAIN, {}, {"service_tier": "default"}, [], id="H31"),
    pytest.param({"service_tier": "odd"}, PLAIN, {}, {}, ["service_tier_dropped"], id="H31 unknown"),
    pytest.param(
        {"identity": Identity(user="ann", metadata={"k": "v"})},
        PLAIN,
        {},
        {"safety_identifier": "u_3"},
        [],
        id="H31 users are pseudonyms",
    ),
    pytest.param({"ignored": (Ignored(name="prediction"),)}, PLAIN, {}, {}, ["field_dropped:prediction"], id="D10"),
    pytest.param({"cache": CacheSpec(key="k")}, PLAIN, {}, {"prompt_cache_key": "k"}, [], id="H20 key"),
    pytest.param(
        {"stream": True}, PLAIN, {}, {"stream": True, "stream_options": {"include_usage": True}}, [], id="H35"
    ),
    pytest.param({"stream": True}, PLAIN, {"stream_usage": "never"}, {"stream": True}, [], id="H35 forbidden"),
    pytest.param(
        {}, PLAIN, {"stream_only": True}, {"stream": True, "stream_options": {"include_usage": True}}, [], id="H39"
    ),
    pytest.param({"stream": True}, PLAIN, {"no_stream": True}, {}, [], id="H39 the reverse"),
]


@pytest.mark.parametrize(("fields", "card", "quirks", "expected", "losses"), LIMITS)
def test_fields_are_written(fields: Any, card: ModelCard, quirks: Any, expected: Any, losses: list[str]) -> None:
    asked = request(**fields)
    sent = body(asked, card, **quirks)

    assert expected == {key: value for key, value in sent.items() if key not in ("model", "messages")}
    assert losses == codes(asked, card, **quirks)


THINKS = ModelCard(reasoning=ReasoningCard(kind="effort", efforts=("low", "medium", "high")))

EFFORTS = [
    pytest.param(ReasoningSpec(effort="xhigh"), THINKS, {}, {"reasoning_effort": "high"}, id="D55 clipped"),
    pytest.param(ReasoningSpec(budget=5000), THINKS, {}, {"reasoning_effort": "medium"}, id="D55 a budget"),
    pytest.param(ReasoningSpec(mode="off"), THINKS, {}, {"reasoning_effort": "low"}, id="D55 off where it can't be"),
    pytest.param(ReasoningSpec(mode="between_tools"), THINKS, {}, {"reasoning_effort": "low"}, id="H19 between tools"),
    pytest.param(ReasoningSpec(mode="on"), THINKS, {}, {}, id="H19 on"),
    pytest.param(
        ReasoningSpec(effort="minimal"),
        THINKS,
        {"effort_map": {"minimal": "low"}},
        {"reasoning_effort": "low"},
        id="effort_map",
    ),
    pytest.param(ReasoningSpec(effort="high"), PLAIN, {}, {}, id="a model that does not think"),
    pytest.param(
        ReasoningSpec(effort="medium"),
        PLAIN,
        {"reasoning_ask": "thinking_type+reasoning_effort", "effort_map": {"medium": "high"}},
        {"thinking": {"type": "enabled"}, "reasoning_effort": "high"},
        id="DeepSeek",
    ),
    pytest.param(
        ReasoningSpec(mode="off"),
        PLAIN,
        {"reasoning_ask": "thinking_type"},
        {"thinking": {"type": "disabled"}},
        id="DeepSeek off",
    ),
    pytest.param(
        ReasoningSpec(budget=900, show="omitted"),
        PLAIN,
        {"reasoning_ask": "reasoning_object"},
        {"reasoning": {"max_tokens": 900, "exclude": True}},
        id="OpenRouter",
    ),
    pytest.param(
        ReasoningSpec(mode="off"),
        PLAIN,
        {"reasoning_ask": "enable_thinking"},
        {"chat_template_kwargs": {"enable_thinking": False}},
        id="vLLM",
    ),
]


@pytest.mark.parametrize(("spec", "card", "quirks", "expected"), EFFORTS)
def test_reasoning_is_asked_for(spec: ReasoningSpec, card: ModelCard, quirks: Any, expected: Any) -> None:
    sent = body(request(reasoning=spec), card, **quirks)

    assert expected == {key: value for key, value in sent.items() if key not in ("model", "messages")}


JSON = ResponseFormat(kind="json")
SCHEMA = ResponseFormat(kind="schema", schema=OPEN)
WANTED = "Answer with a single JSON object and nothing else."
BY_SCHEMA = f"{WANTED} It must be valid by this JSON Schema:\n" + orjson.dumps(OPEN).decode()

FORMATS = [
    pytest.param(JSON, "responses", {}, {"type": "json_object"}, "", id="H16 json of OpenAI"),
    pytest.param(JSON, "gemini", {}, {"type": "json_object"}, WANTED, id="H16 json of Gemini needs the word"),
    pytest.param(
        SCHEMA,
        "gemini",
        {},
        {"type": "json_schema", "json_schema": {"name": "response", "schema": OPEN}},
        "",
        id="D43 schema",
    ),
    pytest.param(
        SCHEMA, "gemini", {"json_schema": "json_object"}, {"type": "json_object"}, BY_SCHEMA, id="schema in words"
    ),
    pytest.param(
        SCHEMA,
        "gemini",
        {"json_schema": "format_schema"},
        {"type": "json_object", "schema": OPEN},
        "",
        id="schema beside the type",
    ),
    pytest.param(SCHEMA, "gemini", {"json_schema": "none"}, None, BY_SCHEMA, id="nothing but words"),
]


@pytest.mark.parametrize(("format", "dialect", "quirks", "expected", "sentence"), FORMATS)
def test_a_format_is_asked_for(
    format: ResponseFormat, dialect: Any, quirks: Any, expected: object, sentence: str
) -> None:
    sent = body(request(dialect=dialect, format=format), **quirks)

    assert expected == sent.get("response_format")
    assert [{"role": "system", "content": sentence}] * bool(sentence) == sent["messages"][:-1]


SYSTEM = (Text(text="A"), Text(text="B"))
BENT = [
    pytest.param({}, [("system", [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}])], id="one message"),
    pytest.param({"single_system": True}, [("system", "A\n\nB")], id="single_system"),
    pytest.param({"content_string": True}, [("system", "A\n\nB")], id="content_string"),
]


@pytest.mark.parametrize(("quirks", "expected"), BENT)
def test_instructions_are_written(quirks: Any, expected: list[Any]) -> None:
    said = messages(HI, system=SYSTEM, **quirks)

    assert [*expected, ("user", "hi")] == [(message["role"], message["content"]) for message in said]


def test_a_developer_is_the_system_where_there_is_none() -> None:
    asked = decode_request(
        orjson.dumps(
            {"model": "m", "messages": [{"role": "developer", "content": "A"}, {"role": "user", "content": "hi"}]}
        )
    )

    assert body(asked, developer_role=False)["messages"][0]["role"] == "system"


def test_a_late_instruction_is_a_reminder_where_only_the_first_may_be_one() -> None:
    late = Message(role="system", parts=(Text(text="B"),))

    assert messages(HI, late, system_first_only=True)[1] == {
        "role": "user",
        "content": "<system-reminder>\nB\n</system-reminder>",
    }


def test_a_bridge_stands_between_tool_and_user() -> None:
    said = messages(assistant(CALL), user(result("c1", "A"), Text(text="go")), bridge_after_tool=True)

    assert [message["role"] for message in said] == ["assistant", "tool", "assistant", "user"]


@pytest.mark.parametrize(
    ("quirk", "expected"),
    [
        pytest.param(True, (None,), id="null"),
        pytest.param(False, ("",), id="empty"),
        pytest.param("omit", (), id="left out"),
    ],
)
def test_no_content_beside_calls(quirk: Any, expected: tuple[Any, ...]) -> None:
    first = messages(assistant(CALL), user(result("c1", "A")), assistant_null=quirk)[0]

    assert expected == tuple(first[key] for key in first if key == "content")


def test_cache_markers_go_where_they_are_known_H20() -> None:
    marked = user(Text(text="S", cache=CacheHint(ttl_s=3600)))

    assert messages(marked)[0]["content"] == [
        {"type": "text", "text": "S", "prompt_cache_breakpoint": {"mode": "explicit"}}
    ]
    assert messages(marked, card=PLAIN)[0]["content"] == "S"
    assert messages(marked, card=PLAIN, cache_control=True)[0]["content"] == [
        {"type": "text", "text": "S", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    ]


def test_a_body_is_bent_as_the_provider_needs_it() -> None:
    asked = request(
        sampling=Sampling(seed=7, top_p=0.5), tools=(attrs.evolve(F, strict=False),), identity=Identity(user="a")
    )

    sent = body(
        asked,
        PLAIN,
        drop=["top_p", "tools[].function.strict"],
        rename={"seed": "random_seed"},
        add={"usage": {"include": True}},
        allow=["model", "messages", "tools", "random_seed", "top_p", "usage"],
    )

    assert set(sent) == {"model", "messages", "tools", "random_seed", "usage"}
    assert "strict" not in sent["tools"][0]["function"]


def test_the_place_is_the_providers() -> None:
    made = encoded(request(), path="/deployments/d/chat/completions", query={"api-version": "1"})

    assert (made.path, made.query) == ("/deployments/d/chat/completions", {"api-version": "1"})
    assert encoded(request()).path == "/chat/completions"


def sealed(text: str, payload: str = "", origin: Origin = ORIGIN) -> Reasoning:
    """As a client of another dialect gives it back."""
    envelope = SEALER.wrap(Seal(kind="signature", payload=payload, origin=origin), text)
    return Reasoning(text=text, seal=Seal(kind="signature", payload=envelope))


DEEPSEEK = {"reasoning_back": "reasoning_content:tools"}
BACK = [
    pytest.param((sealed("r"), CALL), DEEPSEEK, {"reasoning_content": "r"}, id="D57 D85 with calls"),
    pytest.param((sealed("r"), Text(text="a")), DEEPSEEK, {}, id="D57 without"),
    pytest.param((CALL,), DEEPSEEK, {"reasoning_content": ""}, id="D57 lost"),
    pytest.param((sealed("r"), CALL), {}, {}, id="D85 nobody asked"),
    pytest.param((Reasoning(text="r"), CALL), {"reasoning_back": "reasoning"}, {"reasoning": "r"}, id="unsealed"),
    pytest.param(
        (sealed("r", origin=attrs.evolve(ORIGIN, provider="q")), CALL),
        {"reasoning_back": "reasoning"},
        {},
        id="D85 another provider's",
    ),
    pytest.param(
        (sealed("r", origin=attrs.evolve(ORIGIN, account="b")), CALL),
        {"reasoning_back": "reasoning"},
        {},
        id="D50 another account's",
    ),
    pytest.param((attrs.evolve(sealed("r"), text="R"), CALL), {"reasoning_back": "reasoning"}, {}, id="D87 edited"),
    pytest.param(
        (Reasoning(text="r", seal=Seal(kind="signature", payload="EqQB")), CALL),
        {"reasoning_back": "reasoning"},
        {},
        id="another dialect's",
    ),
    pytest.param(
        (sealed("r", '{"type":"reasoning.text","index":0,"signature":"S"}'), CALL),
        {"reasoning_back": "reasoning_details"},
        {"reasoning_details": [{"type": "reasoning.text", "index": 0, "signature": "S", "text": "r"}]},
        id="OpenRouter",
    ),
]


@pytest.mark.parametrize(("parts", "quirks", "expected"), BACK)
def test_reasoning_goes_back_to_its_maker_alone(parts: tuple[Part, ...], quirks: Any, expected: Any) -> None:
    first = messages(assistant(*parts), user(result("c1", "A")), **quirks)[0]

    assert expected == {key: first[key] for key in first if key.startswith("reasoning")}


def test_reasoning_goes_back_in_the_content() -> None:
    (first, *_) = messages(assistant(sealed("r"), Text(text="a")), HI, reasoning_back="content_chunks")

    assert first["content"] == [
        {"type": "thinking", "thinking": [{"type": "text", "text": "r"}]},
        {"type": "text", "text": "a"},
    ]


def test_the_signature_of_a_call_goes_back() -> None:
    envelope = SEALER.wrap(Seal(kind="thought", payload="AY89", origin=ORIGIN), "")
    call = attrs.evolve(CALL, seal=Seal(kind="thought", payload=envelope))

    assert messages(assistant(call), user(result("c1", "A")))[0]["tool_calls"][0]["extra_content"] == {
        "google": {"thought_signature": "AY89"}
    }


IMAGE = user(Image(source=Url(url="https://e.example/a.png")))
REFUSALS = [
    pytest.param(request(rejected=(Rejected(param="thread", why="x"),)), ABLE, {}, "thread", id="D9"),
    pytest.param(request(n=2), PLAIN, {}, "n", id="D41"),
    pytest.param(request(sampling=Sampling(stop=("a",) * 5)), ModelCard(stop_max=4), {}, "stop", id="D42"),
    pytest.param(
        request(sampling=Sampling(stop=("a",))),
        ModelCard(stop_max=0),
        {"emulate_stop": False},
        "stop",
        id="D42 not enforced",
    ),
    pytest.param(request(modalities=frozenset(("audio",))), PLAIN, {}, "modalities", id="H24 spoken answers"),
    pytest.param(request(IMAGE), ABLE, {"images": "data"}, "messages", id="H22"),
    pytest.param(request(IMAGE), ModelCard(vision=False), {}, "messages", id="no images"),
    pytest.param(
        request(user(Audio(source=Inline(media_type="audio/wav", b64="UklGR")))), PLAIN, {}, "messages", id="H24 audio"
    ),
    pytest.param(
        request(user(Audio(source=Inline(media_type="audio/ogg", b64="T2"))), dialect="gemini"),
        ABLE,
        {},
        "contents",
        id="H24 ogg",
    ),
    pytest.param(
        request(user(Document(source=FileRef(provider="anthropic", id="f")))),
        ABLE,
        {},
        "messages",
        id="a file kept elsewhere",
    ),
    pytest.param(
        request(user(Document(source=Inline(media_type="application/x", b64="AA")))),
        ABLE,
        {},
        "messages",
        id="H23 other types",
    ),
    pytest.param(
        request(tools=(HostedTool(family="mcp", dialect="responses", raw={}),)), ABLE, {}, "tools[0]", id="H27 mcp"
    ),
    pytest.param(
        request(tools=(F, attrs.evolve(F, description="d"))), ABLE, {}, "tools[1]", id="H7 one name, two tools"
    ),
]


@pytest.mark.parametrize(("asked", "card", "quirks", "param"), REFUSALS)
def test_what_cannot_be_asked_is_refused(asked: Request, card: ModelCard, quirks: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        encoded(asked, card, **quirks)

    assert caught.value.param == param


def test_a_loss_is_a_refusal_where_none_may_be_D10() -> None:
    target = attrs.evolve(profile(PLAIN), refuse_losses=True)

    with pytest.raises(Unsupported) as caught:
        encode_request(request(sampling=Sampling(top_k=4)), target)

    assert caught.value.param == "top_k"


OFFICIALS = [
    *(pytest.param(request(*case.values[0]), id=str(case.id)) for case in CONVERSATIONS),
    pytest.param(request(*TURNS, system=SYSTEM), id="a long conversation"),
    pytest.param(request(HI, assistant(Refusal(text="no")), HI), id="a refusal"),
    pytest.param(request(tools=(F, CustomTool(name="p"), SEARCH), tool_choice=ONE, parallel_tools=False), id="tools"),
    pytest.param(
        request(format=SCHEMA, reasoning=ReasoningSpec(effort="high"), max_output=5, stream=True), id="fields"
    ),
]


@pytest.mark.parametrize("asked", OFFICIALS)
def test_what_is_sent_has_the_official_shape(asked: Request) -> None:
    for card in (attrs.evolve(ABLE, result_media=False), PLAIN):
        sent = encoded(asked, card).body
        walk(OFFICIAL.validate_json(sent), orjson.loads(sent))


def walk(checked: Any, sent: Any) -> None:
    """Lists are checked only as they are read."""
    if isinstance(sent, dict):
        for key, member in sent.items():
            walk(checked[key], member)
    elif isinstance(sent, list):
        for one, member in zip(checked, sent, strict=True):
            walk(one, member)
