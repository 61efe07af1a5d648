"""Requests of clients of the Messages API, read."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from modelserver.dialects.anthropic import CODEC
from modelserver.dialects.anthropic.client_request import decode_request
from modelserver.errors import InvalidRequest, Unsupported
from modelserver.ir.parts import (
    CacheHint,
    Citation,
    Document,
    FileRef,
    Image,
    Inline,
    Message,
    Opaque,
    PlainText,
    Reasoning,
    Seal,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from modelserver.ir.request import (
    BuiltinTool,
    CacheSpec,
    FunctionTool,
    HostedTool,
    Ignored,
    ReasoningSpec,
    Rejected,
    Request,
    ResponseFormat,
    Sampling,
    ToolChoice,
)
from tests.support.anthropic import ADAPTIVE, profile, sent

SCHEMA = {"type": "object", "properties": {"q": {"type": "string"}}}


def read(content: Any = "hi", **members: Any) -> Request:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": content}], **members}
    return decode_request(orjson.dumps(body))


PNG = {"type": "base64", "media_type": "image/png", "data": "iVBOR"}
PLACE = {"type": "char_location", "cited_text": "c", "document_index": 0, "document_title": "D"}

BLOCKS = [
    pytest.param("hi", Text(text="hi"), id="a string"),
    pytest.param(
        [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}, "x": 1}],
        Text(text="a", cache=CacheHint(ttl_s=3600), extra={"x": 1}),
        id="text with a mark",
    ),
    pytest.param(
        [{"type": "text", "text": "a", "citations": [PLACE]}],
        Text(text="a", citations=(Citation(kind="document", title="D", cited_text="c", raw=PLACE),)),
        id="text with a citation",
    ),
    pytest.param(
        [{"type": "image", "source": PNG}], Image(source=Inline(media_type="image/png", b64="iVBOR")), id="an image"
    ),
    pytest.param(
        [{"type": "image", "source": {"type": "url", "url": "https://e.example/a"}}],
        Image(source=Url(url="https://e.example/a")),
        id="an image by URL",
    ),
    pytest.param(
        [{"type": "document", "source": {"type": "file", "file_id": "file_1"}, "title": "T", "context": "C"}],
        Document(source=FileRef(provider="anthropic", id="file_1"), title="T", context="C"),
        id="a file",
    ),
    pytest.param(
        [
            {
                "type": "document",
                "source": {"type": "content", "content": [{"type": "text", "text": "a"}]},
                "citations": {"enabled": True},
            }
        ],
        Document(
            source=PlainText(text="a"),
            citations_enabled=True,
            extra={"source": {"type": "content", "content": [{"type": "text", "text": "a"}]}},
        ),
        id="a document of blocks",
    ),
    pytest.param(
        [
            {
                "type": "search_result",
                "source": "https://e.example",
                "title": "T",
                "content": [{"type": "text", "text": "found"}],
            }
        ],
        Document(
            source=PlainText(text="https://e.example\nfound"),
            title="T",
            extra={
                "search_result": {
                    "type": "search_result",
                    "source": "https://e.example",
                    "title": "T",
                    "content": [{"type": "text", "text": "found"}],
                }
            },
        ),
        id="a search result",
    ),
    pytest.param(
        [{"type": "thinking", "thinking": "hm", "signature": "msE1x"}],
        Reasoning(text="hm", seal=Seal(kind="signature", payload="msE1x")),
        id="a thought",
    ),
    pytest.param(
        [{"type": "thinking", "thinking": "hm", "signature": ""}], Reasoning(text="hm"), id="a thought nobody signed"
    ),
    pytest.param(
        [{"type": "redacted_thinking", "data": "EmwK"}],
        Reasoning(form="hidden", seal=Seal(kind="redacted", payload="EmwK")),
        id="a hidden thought",
    ),
    pytest.param(
        [{"type": "tool_use", "id": "t", "name": "f", "input": {"b": 1, "a": 2}, "caller": {"type": "direct"}}],
        ToolCall(id="t", name="f", arguments='{"b":1,"a":2}', extra={"caller": {"type": "direct"}}),
        id="a call",
    ),
    pytest.param(
        [{"type": "tool_use", "id": "t", "name": "f", "input": {"_raw": '{"a'}}],
        ToolCall(id="t", name="f", arguments='{"a'),
        id="D33 H9 a call whose arguments were no JSON",
    ),
    pytest.param(
        [{"type": "tool_result", "tool_use_id": "t", "content": "42", "is_error": True}],
        ToolResult(call_id="t", content=(Text(text="42"),), is_error=True),
        id="a result",
    ),
    pytest.param(
        [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "image", "source": PNG}]}],
        ToolResult(call_id="t", content=(Image(source=Inline(media_type="image/png", b64="iVBOR")),)),
        id="a result with an image",
    ),
    pytest.param(
        [{"type": "tool_result", "tool_use_id": "t", "content": [{"type": "tool_reference", "tool_name": "g"}]}],
        ToolResult(call_id="t", extra={"content": [{"type": "tool_reference", "tool_name": "g"}]}),
        id="H6 a result that only this API knows",
    ),
    pytest.param(
        [{"type": "news", "x": 1}],
        Opaque(dialect="anthropic", type="news", raw={"type": "news", "x": 1}),
        id="an unknown block",
    ),
]


@pytest.mark.parametrize(("content", "expected"), BLOCKS)
def test_a_block_is_read(content: Any, expected: Any) -> None:
    assert read(content).messages == (Message(role="user", parts=(expected,)),)


TOOLS = [
    pytest.param(
        {"name": "f", "description": "d", "input_schema": SCHEMA, "strict": True, "eager_input_streaming": True},
        FunctionTool(name="f", description="d", schema=SCHEMA, strict=True, extra={"eager_input_streaming": True}),
        id="a function",
    ),
    pytest.param(
        {"type": "custom", "name": "f", "input_schema": SCHEMA, "cache_control": {"type": "ephemeral"}},
        FunctionTool(name="f", schema=SCHEMA, cache=CacheHint(), extra={"type": "custom"}),
        id="a function that says so",
    ),
    pytest.param(
        bash := {"type": "bash_20250124", "name": "bash"},
        BuiltinTool(name="bash", type="bash_20250124", dialect="anthropic", raw=bash),
        id="H28 a tool of the client's",
    ),
    pytest.param(
        search := {"type": "web_search_20260209", "name": "web_search", "max_uses": 2},
        HostedTool(family="web_search", dialect="anthropic", raw=search),
        id="H27 a hosted tool",
    ),
    pytest.param(
        coded := {"name": "f", "input_schema": SCHEMA, "allowed_callers": ["code_execution_20250825"]},
        HostedTool(family="other", dialect="anthropic", raw=coded),
        id="a function for the provider's code only",
    ),
]


@pytest.mark.parametrize(("tool", "expected"), TOOLS)
def test_a_tool_is_read(tool: dict[str, Any], expected: Any) -> None:
    assert read(tools=[tool]).tools == (expected,)


CHOICES = [
    pytest.param({"type": "auto"}, ToolChoice(mode="auto"), None, id="auto"),
    pytest.param({"type": "none"}, ToolChoice(mode="none"), None, id="none"),
    pytest.param({"type": "any", "disable_parallel_tool_use": True}, ToolChoice(mode="required"), False, id="any"),
    pytest.param({"type": "tool", "name": "f"}, ToolChoice(mode="required", only=("f",)), None, id="by name"),
    pytest.param(
        {"type": "tool", "name": "web_search"}, ToolChoice(mode="required", hosted="web_search"), None, id="hosted"
    ),
]


@pytest.mark.parametrize(("choice", "expected", "parallel"), CHOICES)
def test_a_choice_is_read(choice: dict[str, Any], expected: ToolChoice, parallel: bool | None) -> None:
    tools = [{"name": "f", "input_schema": SCHEMA}, {"type": "web_search_20250305", "name": "web_search"}]
    request = read(tools=tools, tool_choice=choice)

    assert expected == request.tool_choice
    assert parallel is request.parallel_tools


ENABLED = {"type": "enabled", "budget_tokens": 5000}

FIELDS = [
    pytest.param({"system": "S"}, "system", (Text(text="S"),), id="system"),
    pytest.param(
        {"stop_sequences": ["END"], "temperature": 0.5, "top_k": 4},
        "sampling",
        Sampling(temperature=0.5, top_k=4, stop=("END",)),
        id="sampling",
    ),
    pytest.param(
        {"thinking": ENABLED},
        "reasoning",
        ReasoningSpec(mode="on", budget=5000, show="auto", raw=ENABLED),
        id="a budget",
    ),
    pytest.param(
        {"thinking": {"type": "disabled"}},
        "reasoning",
        ReasoningSpec(mode="off", raw={"type": "disabled"}),
        id="thinking off",
    ),
    pytest.param({"output_config": {"effort": "xhigh"}}, "reasoning", ReasoningSpec(effort="xhigh"), id="an effort"),
    pytest.param(
        {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
        "format",
        ResponseFormat(kind="schema", schema=SCHEMA),
        id="a format",
    ),
    pytest.param(
        {"output_format": {"type": "json_schema", "schema": SCHEMA}},
        "format",
        ResponseFormat(kind="schema", schema=SCHEMA),
        id="a format by its older name",
    ),
    pytest.param({"cache_control": {"type": "ephemeral"}}, "cache", CacheSpec(auto_mark=True), id="a mark for all"),
    pytest.param({"service_tier": "standard_only"}, "service_tier", "standard_only", id="a tier"),
    pytest.param({"stream": True}, "stream", True, id="a stream"),
    pytest.param({"vendor_x": 1}, "extra", {"vendor_x": 1}, id="D7 an unknown field"),
    pytest.param(
        {"mcp_servers": [{}]},
        "rejected",
        (Rejected(param="mcp_servers", why="mcp_servers is not supported for this model."),),
        id="D9 MCP servers",
    ),
    pytest.param(
        {"inference_geo": "eu"},
        "rejected",
        (Rejected(param="inference_geo", why="inference_geo is not supported for this model."),),
        id="D9 residency",
    ),
    pytest.param(
        {"container": "c_1"},
        "rejected",
        (Rejected(param="container", why="container is not supported for this model."),),
        id="D9 a container",
    ),
    pytest.param(
        {"max_tokens": 0},
        "rejected",
        (Rejected(param="max_tokens", why="max_tokens is not supported for this model."),),
        id="D9 H11 a cache fill",
    ),
    pytest.param(
        {"tools": [{"type": "computer_toolset_20260801", "name": "computer"}]},
        "rejected",
        (Rejected(param="tools[0]", why="tools[0]: this tool is not supported for this model."),),
        id="D9 a toolset",
    ),
    pytest.param(
        {"context_management": {"edits": []}, "speed": "fast"},
        "ignored",
        (Ignored(name="context_management"), Ignored(name="speed")),
        id="what others do without",
    ),
    pytest.param({"speed": "standard", "container": {}}, "ignored", (), id="defaults are no loss"),
    pytest.param(
        {"tools": [{"name": "f", "input_schema": SCHEMA, "defer_loading": True, "input_examples": [{"q": "tea"}]}]},
        "ignored",
        (Ignored(name="tools.defer_loading"), Ignored(name="tools.input_examples")),
        id="D10 what others do without in a tool",
    ),
    pytest.param(
        {"tools": [{"name": "f", "input_schema": SCHEMA, "defer_loading": False}]},
        "ignored",
        (),
        id="D10 a default of a tool is no loss",
    ),
]


@pytest.mark.parametrize(("members", "field", "expected"), FIELDS)
def test_a_field_is_read(members: dict[str, Any], field: str, expected: Any) -> None:
    assert expected == getattr(read(**members), field)


def test_d80_the_attribution_stays_with_this_api() -> None:
    line = "x-anthropic-billing-header: cc_version=1; cch=abc;"
    blocks = read(system=[{"type": "text", "text": line}, {"type": "text", "text": "S"}])
    string = read(system=f"{line}\nS")

    assert blocks.system == string.system == (Text(text="S"),)
    assert sent(blocks, profile())[0]["system"] == [{"type": "text", "text": line}, {"type": "text", "text": "S"}]


def test_an_instruction_in_the_middle_stays_there() -> None:
    body = {
        "model": "m",
        "max_tokens": 9,
        "messages": [
            {"role": "user", "content": "q"},
            {"role": "system", "content": "B", "output_config": {"effort": "low"}},
        ],
    }
    request = decode_request(orjson.dumps(body))

    assert request.messages[1].authority == "system"
    written = orjson.loads(CODEC.encode_request(request, profile(ADAPTIVE)).body)["messages"][1]
    assert written == {
        "role": "system",
        "content": [{"type": "text", "text": "B"}],
        "output_config": {"effort": "low"},
    }


def test_d32_input_keeps_its_digits() -> None:
    call = b'{"type":"tool_use","id":"t","name":"f","input":{"n":12345678901234567890123}}'
    body = b'{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[' + call + b"]}]}"

    assert decode_request(body).messages[0].parts == (
        ToolCall(id="t", name="f", arguments='{"n":12345678901234567890123}'),
    )


def test_a_count_needs_no_limit() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'

    assert decode_request(body, counting=True).max_output is None


WRONG = [
    pytest.param({"max_tokens": None}, "max_tokens", id="no limit"),
    pytest.param({"max_tokens": "9"}, "max_tokens", id="a limit that is text"),
    pytest.param({"model": ""}, "model", id="no model"),
    pytest.param({"messages": None}, "messages", id="no messages"),
    pytest.param({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role", id="an unknown role"),
    pytest.param({"messages": [{"role": "user"}]}, "messages[0].content", id="no content"),
    pytest.param(
        {"messages": [{"role": "user", "content": [{"text": "x"}]}]}, "messages[0].content[0].type", id="no type"
    ),
    pytest.param(
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text", id="no text"
    ),
    pytest.param(
        {"messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "x"}}]}]},
        "messages[0].content[0].source.type",
        id="an unknown source",
    ),
    pytest.param(
        {"messages": [{"role": "user", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": "x"}]}]},
        "messages[0].content[0].input",
        id="an input that is text",
    ),
    pytest.param({"tools": [{"name": "f"}]}, "tools[0].input_schema", id="no schema"),
    pytest.param({"tools": [{"input_schema": {}}]}, "tools[0].name", id="no name"),
    pytest.param({"tool_choice": {"type": "x"}}, "tool_choice.type", id="an unknown choice"),
    pytest.param({"temperature": 2}, "temperature", id="too warm"),
    pytest.param({"thinking": {"type": "enabled"}}, "thinking.budget_tokens", id="no budget"),
    pytest.param({"thinking": {"type": "deep"}}, "thinking.type", id="an unknown mode"),
    pytest.param({"output_config": {"effort": "huge"}}, "output_config.effort", id="an unknown effort"),
    pytest.param({"cache_control": {"type": "ephemeral", "ttl": "9h"}}, "cache_control.ttl", id="an unknown ttl"),
    pytest.param({"system": 3}, "system", id="system that is a number"),
]


@pytest.mark.parametrize(("members", "param"), WRONG)
def test_d9_what_is_wrong_is_named_by_the_clients_path(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(**members)

    assert caught.value.param == param


def test_d96_a_thread_is_refused() -> None:
    with pytest.raises(Unsupported) as caught:
        read(thread={"type": "create"})

    assert caught.value.code == "thread_unsupported_request"
