"""A client's Chat request, read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from modelserver.dialects.openai_chat.client_request import decode_request
from modelserver.errors import InvalidRequest, Unsupported
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
from modelserver.ir.request import (
    AudioSpec,
    CacheSpec,
    CustomTool,
    FunctionTool,
    HostedTool,
    Identity,
    Ignored,
    Rejected,
    Request,
    ResponseFormat,
    Sampling,
    ToolChoice,
)

USER = {"role": "user", "content": "hi"}


def read(**fields: Any) -> Request:
    return decode_request(orjson.dumps({"model": "m", "messages": [USER], **fields}))


def messages_of(*messages: Any) -> tuple[Message, ...]:
    return read(messages=list(messages)).messages


def parts_of(message: Any) -> tuple[Any, ...]:
    return messages_of(USER, message)[1].parts


def call(id: str, name: str = "f", arguments: str = "{}", **more: Any) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}, **more}


FIELDS = [
    pytest.param({"stream": True}, "stream", True, id="stream"),
    pytest.param({"stream": True}, "stream_usage", False, id="no usage unless asked for"),
    pytest.param({"stream_options": {"include_usage": True}}, "stream_usage", True, id="usage asked for"),
    pytest.param({"max_completion_tokens": 5, "max_tokens": 9}, "max_output", 5, id="the newer limit wins"),
    pytest.param({"max_tokens": 9}, "max_output", 9, id="the older limit"),
    pytest.param({"max_completion_tokens": None, "max_tokens": 9}, "max_output", 9, id="null is absent"),
    pytest.param({"n": 2}, "n", 2, id="n"),
    pytest.param({"verbosity": "low"}, "verbosity", "low", id="verbosity"),
    pytest.param({"parallel_tool_calls": False}, "parallel_tools", False, id="parallel calls"),
    pytest.param({"service_tier": "flex"}, "service_tier", "flex", id="service tier"),
    pytest.param({"modalities": ["text", "audio"]}, "modalities", frozenset(("text", "audio")), id="modalities"),
    pytest.param(
        {"audio": {"voice": "alloy", "format": "wav"}}, "audio_out", AudioSpec(voice="alloy", format="wav"), id="audio"
    ),
    pytest.param(
        {"user": "ann", "safety_identifier": "s", "metadata": {"k": "v"}},
        "identity",
        Identity(user="ann", safety_id="s", metadata={"k": "v"}),
        id="identity",
    ),
    pytest.param(
        {"prompt_cache_key": "k", "prompt_cache_options": {"mode": "explicit", "ttl": "30m"}},
        "cache",
        CacheSpec(key="k", ttl_s=1800, mode="explicit"),
        id="cache options",
    ),
    pytest.param(
        {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
        "cache",
        CacheSpec(ttl_s=3600, auto_mark=True),
        id="a cache marker on the request",
    ),
    pytest.param(
        {"temperature": 0.5, "top_p": 0.9, "presence_penalty": 1, "frequency_penalty": -1, "seed": 7, "top_k": 40},
        "sampling",
        Sampling(temperature=0.5, top_p=0.9, presence=1, frequency=-1, seed=7, top_k=40),
        id="sampling",
    ),
    pytest.param({"stop": "END"}, "sampling", Sampling(stop=("END",)), id="H13 one stop string"),
    pytest.param({"stop": ["a", "b"]}, "sampling", Sampling(stop=("a", "b")), id="stop strings"),
    pytest.param(
        {"logprobs": True, "top_logprobs": 3},
        "sampling",
        Sampling(logprobs=True, top_logprobs=3),
        id="log probabilities",
    ),
    pytest.param({"logprobs": 2}, "sampling", Sampling(logprobs=True, top_logprobs=2), id="logprobs as a count"),
    pytest.param({"response_format": {"type": "text"}}, "format", ResponseFormat(kind="text"), id="format text"),
    pytest.param({"response_format": {"type": "json_object"}}, "format", ResponseFormat(kind="json"), id="format json"),
    pytest.param(
        {"response_format": {"type": "json_schema", "json_schema": {"name": "p", "strict": True, "schema": {"a": 1}}}},
        "format",
        ResponseFormat(kind="schema", name="p", strict=True, schema={"a": 1}),
        id="format schema",
    ),
    pytest.param(
        {"response_format": {"type": "json_object", "schema": {"a": 1}}},
        "format",
        ResponseFormat(kind="schema", schema={"a": 1}),
        id="a schema beside the type",
    ),
    pytest.param(
        {"vendor_x": {"b": 1}, "min_p": 0.1}, "extra", {"vendor_x": {"b": 1}, "min_p": 0.1}, id="D7 unknown fields"
    ),
    pytest.param({"store": False}, "ignored", (), id="store false says nothing"),
    pytest.param(
        {"store": True, "logit_bias": {"5": 1}, "prediction": {"type": "content", "content": "x"}},
        "ignored",
        (Ignored(name="logit_bias"), Ignored(name="prediction"), Ignored(name="store")),
        id="D10 hints that others do without",
    ),
]


@pytest.mark.parametrize(("fields", "name", "expected"), FIELDS)
def test_a_field_is_read(fields: dict[str, Any], name: str, expected: object) -> None:
    assert expected == getattr(read(**fields), name)


REASONING = [
    pytest.param({"reasoning_effort": "high"}, ("default", "high", None, None), id="effort"),
    pytest.param({"reasoning_effort": "none"}, ("off", "none", None, None), id="effort none"),
    pytest.param({"reasoning_effort": "odd"}, ("default", None, None, None), id="an effort nobody knows"),
    pytest.param(
        {"reasoning": {"effort": "low", "exclude": True}}, ("default", "low", None, "omitted"), id="OpenRouter"
    ),
    pytest.param({"reasoning": {"max_tokens": 900, "enabled": True}}, ("on", None, 900, None), id="OpenRouter budget"),
    pytest.param({"thinking": {"type": "enabled", "budget_tokens": 2048}}, ("on", None, 2048, None), id="thinking"),
    pytest.param({"thinking": {"type": "disabled"}}, ("off", None, None, None), id="thinking disabled"),
    pytest.param({"chat_template_kwargs": {"enable_thinking": False}}, ("off", None, None, None), id="vLLM"),
    pytest.param(
        {"extra_body": {"google": {"thinking_config": {"thinking_budget": -1, "include_thoughts": True}}}},
        ("default", None, -1, "auto"),
        id="Gemini's OpenAI endpoint",
    ),
    pytest.param(
        {"google": {"thinking_config": {"thinking_level": "HIGH", "include_thoughts": False}}},
        ("default", "high", None, "omitted"),
        id="Gemini's level",
    ),
]


@pytest.mark.parametrize(("fields", "expected"), REASONING)
def test_a_wish_for_reasoning_is_read(fields: dict[str, Any], expected: object) -> None:
    spec = read(**fields).reasoning

    assert spec is not None
    assert expected == (spec.mode, spec.effort, spec.budget, spec.show)
    assert spec.raw == fields


@pytest.mark.parametrize(
    ("fields", "params"),
    [
        pytest.param({"moderation": {"model": "m"}}, ["moderation"], id="D9 moderation"),
        pytest.param({"response_format": {"type": "grammar"}}, ["response_format.type"], id="D9 a vendor's format"),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "video_url", "video_url": {"url": "https://e"}}]}]},
            ["messages[0].content[0].type"],
            id="D9 a part nobody knows",
        ),
        pytest.param(
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f1"}}]}]},
            ["messages[0].content[0].file.file_id"],
            id="D9 a file of the provider",
        ),
    ],
)
def test_what_cannot_cross_is_named(fields: dict[str, Any], params: list[str]) -> None:
    assert params == [rejected.param for rejected in read(**fields).rejected]


def test_a_wrong_field_is_refused_with_its_path() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(messages=[{"role": "user", "content": [{"type": "text"}]}])

    assert caught.value.param == "messages[0].content[0].text"


TOOLS = [
    pytest.param(
        {
            "tools": [
                {
                    "type": "function",
                    "function": {"name": "f", "description": "d", "parameters": {"a": 1}, "strict": True},
                }
            ]
        },
        (FunctionTool(name="f", description="d", schema={"a": 1}, strict=True),),
        id="function",
    ),
    pytest.param({"tools": [{"function": {"name": "f"}}]}, (FunctionTool(name="f"),), id="function without a type"),
    pytest.param(
        {"tools": [{"type": "function", "function": {"name": "f"}, "cache_control": {"type": "ephemeral"}}]},
        (FunctionTool(name="f", cache=CacheHint()),),
        id="D20 cache marker",
    ),
    pytest.param(
        {
            "tools": [
                {
                    "type": "custom",
                    "custom": {
                        "name": "c",
                        "format": {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: x"}},
                    },
                }
            ]
        },
        (CustomTool(name="c", syntax="lark", grammar="start: x"),),
        id="custom with a grammar",
    ),
    pytest.param({"tools": [{"type": "custom", "custom": {"name": "c"}}]}, (CustomTool(name="c"),), id="custom"),
    pytest.param(
        {"web_search_options": {"search_context_size": "low"}},
        (HostedTool(family="web_search", dialect="chat", raw={"search_context_size": "low"}),),
        id="H27 search",
    ),
    pytest.param({"functions": [{"name": "f"}]}, (FunctionTool(name="f"),), id="legacy functions"),
]


@pytest.mark.parametrize(("fields", "expected"), TOOLS)
def test_tools_are_read(fields: dict[str, Any], expected: object) -> None:
    assert expected == read(**fields).tools


CHOICES = [
    pytest.param({"tool_choice": "auto"}, ToolChoice(mode="auto"), id="auto"),
    pytest.param({"tool_choice": "none"}, ToolChoice(mode="none"), id="none"),
    pytest.param({"tool_choice": "required"}, ToolChoice(mode="required"), id="required"),
    pytest.param({"tool_choice": "any"}, ToolChoice(mode="required"), id="Mistral's any"),
    pytest.param(
        {"tool_choice": {"type": "function", "function": {"name": "f"}}},
        ToolChoice(mode="required", only=("f",)),
        id="one function",
    ),
    pytest.param(
        {"tool_choice": {"type": "custom", "custom": {"name": "c"}}},
        ToolChoice(mode="required", only=("c",)),
        id="one custom tool",
    ),
    pytest.param(
        {
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": "f"}}]},
            }
        },
        ToolChoice(mode="auto", only=("f",)),
        id="D36 allowed tools",
    ),
    pytest.param({"function_call": {"name": "f"}}, ToolChoice(mode="required", only=("f",)), id="legacy name"),
    pytest.param({"function_call": "none"}, ToolChoice(mode="none"), id="legacy none"),
]


@pytest.mark.parametrize(("fields", "expected"), CHOICES)
def test_a_tool_choice_is_read(fields: dict[str, Any], expected: object) -> None:
    assert expected == read(**fields).tool_choice


def test_a_client_of_the_older_functions_is_known_and_gets_one_call() -> None:
    request = read(functions=[{"name": "f"}])

    assert (request.legacy_functions, request.parallel_tools) == (True, False)


def test_only_the_leading_instructions_are_the_system_text() -> None:
    request = read(
        messages=[
            {"role": "system", "content": "A"},
            {"role": "developer", "content": [{"type": "text", "text": "B"}, {"type": "text", "text": "C"}]},
            USER,
            {"role": "system", "content": "D"},
        ]
    )

    assert [part.text for part in request.system] == ["A", "B", "C"]
    assert request.messages == (
        Message(role="user", parts=(Text(text="hi"),)),
        Message(role="system", parts=(Text(text="D"),), authority="system"),
    )


def test_two_user_messages_stay_two_D13() -> None:
    assert len(messages_of(USER, USER)) == 2


PARTS = [
    pytest.param({"type": "text", "text": "x"}, Text(text="x"), id="text"),
    pytest.param(
        {"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}},
        Text(text="x", cache=CacheHint(ttl_s=43_200)),
        id="H20 breakpoint",
    ),
    pytest.param(
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
        Text(text="x", cache=CacheHint()),
        id="marker",
    ),
    pytest.param(
        {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,/9j/4AA", "detail": "low"}},
        Image(source=Inline(media_type="image/jpeg", b64="/9j/4AA"), detail="low"),
        id="D77 H21 jpg",
    ),
    pytest.param(
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,R0lGODlh"}},
        Image(source=Inline(media_type="image/gif", b64="R0lGODlh")),
        id="a wrong media type",
    ),
    pytest.param(
        {"type": "image_url", "image_url": "https://e.example/a.png"},
        Image(source=Url(url="https://e.example/a.png")),
        id="Mistral's bare URL",
    ),
    pytest.param(
        {"type": "input_audio", "input_audio": {"data": "UklGR", "format": "wav"}},
        Audio(source=Inline(media_type="audio/wav", b64="UklGR"), format="wav"),
        id="H24 audio",
    ),
    pytest.param(
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERi0", "filename": "a.pdf"}},
        Document(source=Inline(media_type="application/pdf", b64="JVBERi0"), title="a.pdf"),
        id="D77 H23 file",
    ),
    pytest.param(
        {"type": "file", "file": {"file_id": "f1"}}, Document(source=FileRef(provider="chat", id="f1")), id="file id"
    ),
    pytest.param(
        {"type": "odd", "x": 1}, Opaque(dialect="chat", type="odd", raw={"type": "odd", "x": 1}), id="unknown"
    ),
]


@pytest.mark.parametrize(("part", "expected"), PARTS)
def test_a_part_is_read(part: dict[str, Any], expected: object) -> None:
    assert (expected,) == parts_of({"role": "user", "content": [part]})


ANTHROPIC, GEMINI = (Origin(dialect=name, provider="", account="", model="") for name in ("anthropic", "gemini"))


def details(*entries: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": "", "reasoning_details": list(entries)}


ANSWERS = [
    pytest.param({"role": "assistant", "content": ""}, (), id="empty"),
    pytest.param({"role": "assistant", "content": None, "refusal": "no"}, (Refusal(text="no"),), id="refusal"),
    pytest.param({"role": "assistant", "audio": {"id": "a1"}}, (Audio(source=None, ref="a1"),), id="audio"),
    pytest.param(
        {"role": "assistant", "content": None, "tool_calls": [call("c1", arguments="{")]},
        (ToolCall(id="c1", name="f", arguments="{"),),
        id="H9 broken arguments stay text",
    ),
    pytest.param(
        {"role": "assistant", "tool_calls": [{"id": "c1", "type": "custom", "custom": {"name": "p", "input": "x"}}]},
        (ToolCall(id="c1", name="p", arguments="x", kind="custom"),),
        id="custom call",
    ),
    pytest.param(
        {"role": "assistant", "content": "t", "reasoning_content": "r", "reasoning": "r"},
        (Reasoning(text="r"), Text(text="t")),
        id="H18 plain reasoning is unsealed",
    ),
    pytest.param(
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "r"}]},
                {"type": "text", "text": "t"},
            ],
        },
        (Reasoning(text="r"), Text(text="t")),
        id="Mistral's thinking",
    ),
    pytest.param(
        {
            "role": "assistant",
            "thinking_blocks": [
                {"type": "thinking", "thinking": "r", "signature": "EqQB"},
                {"type": "redacted_thinking", "data": "msE1AA"},
            ],
        },
        (
            Reasoning(text="r", seal=Seal(kind="signature", payload="EqQB", origin=ANTHROPIC)),
            Reasoning(form="hidden", seal=Seal(kind="redacted", payload="msE1AA")),
        ),
        id="LiteLLM's blocks",
    ),
    pytest.param(
        {"role": "assistant", "tool_calls": [call("c1", extra_content={"google": {"thought_signature": "AY89"}})]},
        (ToolCall(id="c1", name="f", arguments="{}", seal=Seal(kind="thought", payload="AY89", origin=GEMINI)),),
        id="Gemini's signature on a call",
    ),
    pytest.param(
        {"role": "assistant", "tool_calls": [call("c1", extra_content={"google": {"thought_signature": "msE1AA"}})]},
        (ToolCall(id="c1", name="f", arguments="{}", seal=Seal(kind="thought", payload="msE1AA")),),
        id="an envelope on a call",
    ),
]


@pytest.mark.parametrize(("message", "expected"), ANSWERS)
def test_an_assistant_message_is_read(message: dict[str, Any], expected: object) -> None:
    assert expected == parts_of(message)


DETAILS = [
    pytest.param(
        [{"type": "reasoning.text", "text": "r", "signature": "msE1AA", "format": "modelserver-v1", "index": 0}],
        [("r", "full", Seal(kind="signature", payload="msE1AA"))],
        id="D45 an envelope",
    ),
    pytest.param(
        [{"type": "reasoning.encrypted", "data": "msE1AA", "format": "modelserver-v1", "index": 0}],
        [("", "hidden", Seal(kind="encrypted", payload="msE1AA"))],
        id="D49 an envelope without text",
    ),
    pytest.param(
        [{"type": "reasoning.text", "text": "r", "signature": "forged", "format": "modelserver-v1", "index": 0}],
        [("r", "full", None)],
        id="what claims our format and is no envelope",
    ),
    pytest.param(
        [{"type": "reasoning.text", "text": "r", "signature": "EqQB", "format": "anthropic-claude-v1", "index": 0}],
        [("r", "full", Seal(kind="signature", payload="EqQB", origin=ANTHROPIC))],
        id="a native signature",
    ),
    pytest.param(
        [
            {"type": "reasoning.text", "text": "a", "index": 0},
            {"type": "reasoning.text", "text": "b", "index": 0},
            {"type": "reasoning.text", "signature": "S", "index": 0, "format": "anthropic-claude-v1"},
            {"type": "reasoning.text", "text": "c", "index": 1},
        ],
        [("ab", "full", Seal(kind="signature", payload="S", origin=ANTHROPIC)), ("c", "full", None)],
        id="pieces of a stream are joined",
    ),
    pytest.param(
        [
            {"type": "reasoning.summary", "summary": "s", "format": "openai-responses-v1", "index": 0},
            {"type": "reasoning.encrypted", "data": "gAAA", "id": "rs_1", "format": "openai-responses-v1", "index": 0},
        ],
        [
            ("s", "summary", None),
            (
                "",
                "hidden",
                Seal(
                    kind="encrypted",
                    payload="gAAA",
                    item_id="rs_1",
                    origin=Origin(dialect="responses", provider="", account="", model=""),
                ),
            ),
        ],
        id="OpenAI's by OpenRouter",
    ),
]


@pytest.mark.parametrize(("entries", "expected"), DETAILS)
def test_reasoning_details_are_read(entries: list[Any], expected: object) -> None:
    assert expected == [(part.text, part.form, part.seal) for part in parts_of(details(*entries))]


def test_results_of_a_turn_are_one_message_and_know_their_tool() -> None:
    messages = messages_of(
        {"role": "assistant", "tool_calls": [call("c1", "f"), call("c2", "g")]},
        {"role": "tool", "tool_call_id": "c2", "content": "B"},
        {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "A"}]},
        USER,
    )

    assert messages[1:] == (
        Message(
            role="user",
            parts=(
                ToolResult(call_id="c2", name="g", content=(Text(text="B"),)),
                ToolResult(call_id="c1", name="f", content=(Text(text="A"),)),
            ),
        ),
        Message(role="user", parts=(Text(text="hi"),)),
    )


def test_calls_without_ids_and_their_results_find_each_other() -> None:
    messages = messages_of(
        USER,
        {"role": "assistant", "tool_calls": [call("", "f"), call("", "g")]},
        {"role": "tool", "tool_call_id": "", "content": "A"},
        {"role": "tool", "tool_call_id": "", "content": "B"},
    )
    calls, results = messages[1].parts, messages[2].parts

    assert [part.id for part in calls if isinstance(part, ToolCall)] == [
        part.call_id for part in results if isinstance(part, ToolResult)
    ]
    assert len({part.id for part in calls if isinstance(part, ToolCall)}) == 2


def test_a_function_message_answers_the_last_call_of_its_name() -> None:
    messages = messages_of(
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "A"},
    )
    (asked,), (answered,) = messages[1].parts, messages[2].parts

    assert isinstance(asked, ToolCall)
    assert answered == ToolResult(call_id=asked.id, name="f", content=(Text(text="A"),))


def test_an_instruction_that_is_no_text_is_refused() -> None:
    image = {"type": "image_url", "image_url": {"url": "https://e.example/a.png"}}

    with pytest.raises(Unsupported) as caught:
        read(messages=[{"role": "system", "content": [image]}, USER])

    assert caught.value.param == "messages[0].content"


def test_a_rejected_field_says_why() -> None:
    assert read(moderation={"model": "m"}).rejected == (
        Rejected(param="moderation", why="its results can't be had from another provider's model"),
    )
