"""Responses requests, read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from modelserver.dialects.openai_responses import CODEC
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
    ReasoningSpec,
    Request,
    ResponseFormat,
    Sampling,
    StateRef,
    ToolChoice,
)
from modelserver.policy.seals import EnvelopeSealer

CARD = ModelCard(
    custom_tools=True,
    allowed_tools=True,
    cache="explicit_openai",
    reasoning=ReasoningCard(kind="effort", efforts=("none", "low", "medium", "high")),
)
PROFILE = Profile(
    model="fast",
    origin=Origin(dialect="responses", provider="p", account="a", model="fast"),
    card=CARD,
    sealer=EnvelopeSealer(b"key"),
    pseudonym=lambda user: f"u_{user}",
)


def read(**fields: Any) -> Request:
    return CODEC.decode_request(orjson.dumps({"model": "fast", "input": "hi", **fields}))


def user(*parts: Any) -> Message:
    return Message(role="user", parts=tuple(parts))


CALL_ITEM = {"type": "function_call", "id": "fc_b", "call_id": "c1", "name": "f", "arguments": "{}"}
CALL = ToolCall(id="c1", name="f", arguments="{}", extra={"item_id": "fc_b"})
INPUTS = [
    pytest.param("hi", (), (user(Text(text="hi")),), id="a text"),
    pytest.param(
        [
            {"role": "developer", "content": "A"},
            {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "B"}]},
            {"role": "user", "content": "u1"},
            {"role": "developer", "content": "C"},
        ],
        (Text(text="A"), Text(text="B")),
        (user(Text(text="u1")), Message(role="system", authority="developer", parts=(Text(text="C"),))),
        id="D11 H1 only the leading run is the system's",
    ),
    pytest.param(
        [
            {
                "type": "message",
                "id": "msg_a",
                "role": "assistant",
                "phase": "commentary",
                "content": [{"type": "output_text", "text": "Looking."}],
            },
            CALL_ITEM,
            {"type": "function_call_output", "call_id": "c1", "output": "42"},
            {"role": "user", "content": "go on"},
        ],
        (),
        (
            Message(
                role="assistant",
                phase="commentary",
                parts=(Text(text="Looking.", extra={"item_id": "msg_a", "phase": "commentary"}), CALL),
            ),
            user(ToolResult(call_id="c1", name="f", content=(Text(text="42"),))),
            user(Text(text="go on")),
        ),
        id="H33 a run of the assistant is one message, results are the user's",
    ),
    pytest.param(
        [
            {
                "type": "reasoning",
                "id": "rs_1",
                "summary": [{"type": "summary_text", "text": "One"}, {"type": "summary_text", "text": "Two"}],
                "content": None,
                "encrypted_content": "gAAA",
            },
            {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gBBB"},
            {"type": "reasoning", "id": "rs_3", "summary": []},
        ],
        (),
        (
            Message(
                role="assistant",
                parts=(
                    Reasoning(
                        text="OneTwo",
                        form="summary",
                        sections=(0, 3),
                        seal=Seal(kind="encrypted", payload="gAAA", item_id="rs_1"),
                        extra={"item_id": "rs_1"},
                    ),
                    Reasoning(
                        form="hidden",
                        seal=Seal(kind="encrypted", payload="gBBB", item_id="rs_2"),
                        extra={"item_id": "rs_2"},
                    ),
                ),
            ),
        ),
        id="reasoning",
    ),
    pytest.param(
        [
            {"type": "custom_tool_call", "call_id": "c2", "name": "apply_patch", "input": "*** x"},
            {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "ok"}]},
            {"type": "function_call_output", "call_id": "c9", "output": ""},
        ],
        (),
        (
            Message(role="assistant", parts=(ToolCall(id="c2", name="apply_patch", arguments="*** x", kind="custom"),)),
            user(
                ToolResult(call_id="c2", name="apply_patch", content=(Text(text="ok"),)),
                ToolResult(call_id="c9"),
            ),
        ),
        id="H10 custom calls; adjacent results join",
    ),
    pytest.param(
        [CALL_ITEM, {"type": "function_call_output", "call_id": None, "name": "f", "output": "A"}],
        (),
        (
            Message(role="assistant", parts=(CALL,)),
            user(ToolResult(call_id="c1", name="f", content=(Text(text="A"),))),
        ),
        id="a result without an id is matched by name",
    ),
    pytest.param(
        [
            {
                "role": "user",
                "content": [
                    {"type": "input_image", "image_url": "data:image/jpg;base64,/9j/4AA", "detail": "low"},
                    {"type": "input_image", "image_url": "https://img.example/cat.png"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0"},
                    {"type": "input_file", "file_id": "file-1"},
                    {"type": "input_audio", "input_audio": {"data": "UklGR", "format": "wav"}},
                    {
                        "type": "input_text",
                        "text": "x",
                        "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"},
                    },
                    {"type": "new_part", "x": 1},
                ],
            }
        ],
        (),
        (
            user(
                Image(source=Inline(media_type="image/jpeg", b64="/9j/4AA"), detail="low"),
                Image(source=Url(url="https://img.example/cat.png")),
                Document(source=Inline(media_type="application/pdf", b64="JVBERi0"), title="a.pdf"),
                Document(source=FileRef(provider="responses", id="file-1")),
                Audio(source=Inline(media_type="audio/wav", b64="UklGR"), format="wav"),
                Text(text="x", cache=CacheHint(ttl_s=43200)),
                Opaque(dialect="responses", type="new_part", raw={"type": "new_part", "x": 1}),
            ),
        ),
        id="D77 media, untouched",
    ),
    pytest.param(
        [
            {"type": "shell_call", "call_id": "s", "action": {"commands": ["ls"]}},
            {
                "type": "shell_call_output",
                "call_id": "s",
                "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
            },
        ],
        (),
        (
            Message(
                role="assistant",
                parts=(ToolCall(id="s", name="shell", arguments='{"commands":["ls"]}', kind="client_builtin"),),
            ),
            user(
                ToolResult(
                    call_id="s",
                    name="shell",
                    content=(Text(text="a\nExit code: 0"),),
                    extra={
                        "raw": {
                            "type": "shell_call_output",
                            "call_id": "s",
                            "output": [{"stdout": "a", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
                        }
                    },
                )
            ),
        ),
        id="H28 client-run tools",
    ),
    pytest.param(
        [
            {"type": "image_generation_call", "id": "ig", "result": "iVBOR"},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        ],
        (),
        (
            Message(
                role="assistant",
                parts=(
                    Opaque(
                        dialect="responses",
                        type="image_generation_call",
                        raw={"type": "image_generation_call", "id": "ig", "result": "iVBOR"},
                    ),
                    Refusal(text="No."),
                ),
            ),
            user(Image(source=Inline(media_type="image/png", b64="iVBOR"), extra={"generated": True})),
        ),
        id="a picture of a past turn is shown by the user",
    ),
]


@pytest.mark.parametrize(("value", "system", "messages"), INPUTS)
def test_input(value: Any, system: tuple[Text, ...], messages: tuple[Message, ...]) -> None:
    request = read(input=value)

    assert system == request.system
    assert messages == request.messages


FIELDS = [
    pytest.param({"instructions": "S"}, {"system": (Text(text="S"),)}, id="instructions"),
    pytest.param({"max_output_tokens": 5, "stream": True}, {"max_output": 5, "stream": True}, id="limit, stream"),
    pytest.param(
        {"temperature": 0.5, "top_p": 1, "top_logprobs": 3, "include": ["message.output_text.logprobs"]},
        {"sampling": Sampling(temperature=0.5, top_p=1, logprobs=True, top_logprobs=3)},
        id="sampling",
    ),
    pytest.param(
        {"reasoning": {"effort": "high", "summary": "detailed"}, "include": ["reasoning.encrypted_content"]},
        {
            "reasoning": ReasoningSpec(
                effort="high", show="detailed", want_sealed=True, raw={"effort": "high", "summary": "detailed"}
            )
        },
        id="reasoning",
    ),
    pytest.param(
        {"reasoning": {"effort": "none"}},
        {"reasoning": ReasoningSpec(mode="off", effort="none", raw={"effort": "none"})},
        id="reasoning off",
    ),
    pytest.param(
        {"text": {"format": {"type": "json_schema", "name": "p", "schema": {}, "strict": True}, "verbosity": "low"}},
        {"format": ResponseFormat(kind="schema", name="p", schema={}, strict=True), "verbosity": "low"},
        id="D43 format",
    ),
    pytest.param(
        {"text": {"format": {"type": "json_object"}}}, {"format": ResponseFormat(kind="json")}, id="json format"
    ),
    pytest.param(
        {"prompt_cache_key": "k", "prompt_cache_options": {"mode": "implicit", "ttl": "30m"}},
        {"cache": CacheSpec(key="k", mode="auto", ttl_s=1800)},
        id="cache",
    ),
    pytest.param(
        {"user": "u", "safety_identifier": "s", "metadata": {"a": "b"}},
        {"identity": Identity(user="u", safety_id="s", metadata={"a": "b"})},
        id="identity",
    ),
    pytest.param({"store": True}, {"state": StateRef(store=True)}, id="store"),
    pytest.param(
        {"service_tier": "flex", "parallel_tool_calls": False},
        {"service_tier": "flex", "parallel_tools": False},
        id="tier",
    ),
    pytest.param(
        {
            "tools": [
                {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True, "description": "d"},
                {
                    "type": "custom",
                    "name": "p",
                    "format": {"type": "grammar", "syntax": "lark", "definition": "start: /x/"},
                },
                {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find"}]},
                {"type": "web_search_2025_08_26"},
                {"type": "apply_patch"},
                {"type": "brand_new"},
            ]
        },
        {
            "tools": (
                FunctionTool(name="f", schema={"type": "object"}, strict=True, description="d"),
                CustomTool(name="p", syntax="lark", grammar="start: /x/"),
                FunctionTool(name="find", namespace="crm"),
                HostedTool(family="web_search", dialect="responses", raw={"type": "web_search_2025_08_26"}),
                BuiltinTool(name="apply_patch", type="apply_patch", dialect="responses", raw={"type": "apply_patch"}),
                HostedTool(family="other", dialect="responses", raw={"type": "brand_new"}),
            )
        },
        id="D27 tools",
    ),
    pytest.param(
        {
            "input": [
                {"type": "additional_tools", "tools": [{"type": "function", "name": "f"}]},
                {"type": "tool_search_call", "id": "t"},
                {
                    "type": "tool_search_output",
                    "tools": [{"type": "function", "name": "g"}, {"type": "function", "name": "f"}],
                },
                {"type": "configuration_update", "reasoning": {"effort": "low"}},
                {"role": "user", "content": "hi"},
            ]
        },
        {
            "tools": (FunctionTool(name="f"), FunctionTool(name="g")),
            "reasoning": ReasoningSpec(effort="low", raw={"effort": "low"}),
            "messages": (user(Text(text="hi")),),
        },
        id="D35 items that declare",
    ),
    pytest.param({"tool_choice": "required"}, {"tool_choice": ToolChoice(mode="required")}, id="choice"),
    pytest.param(
        {"tool_choice": {"type": "function", "name": "f"}},
        {"tool_choice": ToolChoice(mode="required", only=("f",))},
        id="choice of one",
    ),
    pytest.param(
        {
            "tool_choice": {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}, {"type": "apply_patch"}, {"type": "web_search"}],
            }
        },
        {"tool_choice": ToolChoice(mode="auto", only=("f", "apply_patch"))},
        id="D36 allowed tools",
    ),
    pytest.param(
        {"tool_choice": {"type": "web_search_preview"}},
        {"tool_choice": ToolChoice(mode="required", hosted="web_search")},
        id="choice of a hosted tool",
    ),
]


@pytest.mark.parametrize(("fields", "expected"), FIELDS)
def test_fields(fields: dict[str, Any], expected: dict[str, Any]) -> None:
    request = read(**fields)

    assert expected == {name: getattr(request, name) for name in expected}


REJECTED = [
    pytest.param({"previous_response_id": "resp_1"}, "previous_response_id", id="D84 previous_response_id"),
    pytest.param({"conversation": "conv"}, "conversation", id="conversation"),
    pytest.param({"background": True}, "background", id="background"),
    pytest.param({"prompt": {"id": "p"}, "input": None}, "prompt", id="prompt"),
    pytest.param({"moderation": {"model": "m"}}, "moderation", id="moderation"),
    pytest.param({"prompt_cache_options": {"prewarm": True}}, "prompt_cache_options.prewarm", id="prewarm"),
    pytest.param({"input": [{"type": "item_reference", "id": "x"}]}, "input[0]", id="item reference"),
    pytest.param({"input": [{"type": "compaction", "encrypted_content": "x"}]}, "input[0]", id="compaction"),
]


@pytest.mark.parametrize(("fields", "param"), REJECTED)
def test_d9_what_another_dialect_must_refuse(fields: dict[str, Any], param: str) -> None:
    assert [param] == [field.param for field in read(**fields).rejected]


def test_what_another_dialect_does_without() -> None:
    request = read(
        truncation="auto",
        max_tool_calls=3,
        background=False,
        context_management=[],
        include=["file_search_call.results"],
        reasoning={"context": "auto"},
        client_metadata={"x": "y"},
    )

    assert [field.name for field in request.ignored] == [
        "max_tool_calls",
        "truncation",
        "reasoning.context",
        "file_search_call.results",
    ]
    assert request.rejected == ()
    assert request.extra["client_metadata"] == {"x": "y"}


WRONG = [
    pytest.param({"model": ""}, "model", id="no model"),
    pytest.param({"input": None}, "input", id="no input"),
    pytest.param({"input": 3}, "input", id="input"),
    pytest.param({"input": ["x"]}, "input[0]", id="item"),
    pytest.param({"input": [{}]}, "input[0].type", id="item without type"),
    pytest.param({"input": [{"role": "bot", "content": "x"}]}, "input[0].role", id="role"),
    pytest.param({"input": [{"role": "user", "content": 3}]}, "input[0].content", id="content"),
    pytest.param(
        {"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text", id="text"
    ),
    pytest.param(
        {"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url", id="image"
    ),
    pytest.param(
        {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:image/png,x"}]}]},
        "input[0].content[0].image_url",
        id="data URL",
    ),
    pytest.param({"input": [{"type": "function_call", "name": "f", "arguments": ""}]}, "input[0].call_id", id="call"),
    pytest.param({"input": [{"type": "function_call_output", "output": ""}]}, "input[0].call_id", id="result"),
    pytest.param({"tools": [{"type": "function"}]}, "tools[0].name", id="tool"),
    pytest.param({"tools": [{"type": "namespace", "name": "n", "tools": [3]}]}, "tools[0].tools[0]", id="inner tool"),
    pytest.param({"tool_choice": "sometimes"}, "tool_choice", id="choice"),
    pytest.param(
        {"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": ["function"], "name": "f"}]}},
        "tool_choice.tools[0].type",
        id="choice of allowed tools",
    ),
    pytest.param({"temperature": 3}, "temperature", id="temperature"),
    pytest.param({"max_output_tokens": 0}, "max_output_tokens", id="limit"),
    pytest.param({"reasoning": {"effort": "huge"}}, "reasoning.effort", id="effort"),
    pytest.param({"text": {"format": {"type": "xml"}}}, "text.format.type", id="format"),
    pytest.param({"include": [3]}, "include[0]", id="include"),
    pytest.param({"stream": 1}, "stream", id="stream"),
]


@pytest.mark.parametrize(("fields", "param"), WRONG)
def test_a_wrong_field_is_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(**fields)

    assert param == refusal.value.param


CANONICAL = [
    pytest.param(
        {
            "instructions": "S",
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "q"}]},
                {
                    "type": "reasoning",
                    "id": "rs_1",
                    "summary": [{"type": "summary_text", "text": "One"}, {"type": "summary_text", "text": "Two"}],
                    "encrypted_content": "gAAA",
                },
                {
                    "role": "assistant",
                    "content": [{"type": "output_text", "text": "Looking."}],
                    "phase": "commentary",
                },
                {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"n": 1}'},
                {"type": "custom_tool_call", "call_id": "c2", "name": "p", "input": "x"},
                {"type": "function_call_output", "call_id": "c1", "output": "42"},
                {
                    "type": "custom_tool_call_output",
                    "call_id": "c2",
                    "output": [
                        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0K", "detail": "auto"}
                    ],
                },
                {"role": "developer", "content": [{"type": "input_text", "text": "mind"}]},
            ],
            "tools": [
                {"type": "function", "name": "f", "parameters": {"type": "object"}, "strict": True},
                {"type": "custom", "name": "p"},
                {"type": "web_search", "external_web_access": True},
                {"type": "apply_patch"},
            ],
            "tool_choice": {"type": "function", "name": "f"},
            "parallel_tool_calls": False,
            "reasoning": {"effort": "high", "summary": "auto", "context": "auto"},
            "text": {
                "format": {"type": "json_schema", "name": "p", "schema": {"type": "object"}, "strict": True},
                "verbosity": "low",
            },
            "include": ["reasoning.encrypted_content", "web_search_call.action.sources"],
            "max_output_tokens": 100,
            "temperature": 0.5,
            "top_p": 0.9,
            "stream": True,
            "store": False,
            "prompt_cache_key": "k",
            "user": "u",
            "safety_identifier": "s",
            "metadata": {"a": "b"},
            "service_tier": "flex",
            "truncation": "auto",
            "client_metadata": {"x": "y"},
        },
        id="everything",
    ),
    pytest.param(
        {
            "input": [
                {"id": "msg_1"},
                {"role": "user", "content": [{"type": "input_text", "text": "q"}]},
                {"type": "item_reference", "id": "fc_1"},
                {"type": "function_call_output", "call_id": "c1", "output": "42"},
            ],
            "store": False,
            "include": ["reasoning.encrypted_content"],
        },
        id="references to items",
    ),
]


@pytest.mark.parametrize("wire", CANONICAL)
def test_d2_what_is_read_is_written_again(wire: dict[str, Any]) -> None:
    body = {"model": "fast", **wire}

    assert body == orjson.loads(CODEC.encode_request(CODEC.decode_request(orjson.dumps(body)), PROFILE).body)


def test_d9_what_is_rejected_elsewhere_passes_here() -> None:
    request = read(previous_response_id="resp_1")
    body = orjson.loads(CODEC.encode_request(request, PROFILE).body)

    assert body["previous_response_id"] == "resp_1"


def test_h28_foreign_client_run_tools_become_functions() -> None:
    tools = (BuiltinTool(name="bash", type="bash_20250124", dialect="anthropic", raw={}),)
    request = Request(dialect="anthropic", model="fast", messages=(user(Text(text="hi")),), tools=tools)
    (tool,) = orjson.loads(CODEC.encode_request(request, PROFILE).body)["tools"]
    unknown = (BuiltinTool(name="bash", type="bash_2031", dialect="anthropic", raw={}),)

    assert (tool["type"], tool["name"], tool["strict"]) == ("function", "bash", False)
    assert {"command", "restart"} == tool["parameters"]["properties"].keys()
    with pytest.raises(Unsupported):
        CODEC.encode_request(Request(dialect="anthropic", model="fast", tools=unknown), PROFILE)
