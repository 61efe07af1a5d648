"""Requests and whole answers between a client and a provider that both speak the Messages API.

Whatever duplicates or escapes a body holds, the model that the upstream sees is the one that was authorised.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from modelserver.dialects.anthropic import ANTHROPIC
from modelserver.dialects.anthropic.relay import forward, read_answer, read_request
from modelserver.errors import InvalidRequest, Unsupported, UpstreamFailed
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from tests.support.anthropic import text, turn, use

MESSAGES = b'"messages":[{"role":"user","content":"a"}]'
PLAIN = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "a"}]}


def body(*members: bytes) -> bytes:
    """A body of a model, a limit, one message, and the members given."""
    return b"{" + b",".join((b'"model":"m"', b'"max_tokens":9', MESSAGES, *members)) + b"}"


def sent(wire: bytes, *, target: str = "up", params: Mapping[str, bytes] | None = None, **quirks: Any) -> bytes:
    ask = read_request(wire)
    return forward(ask, target=target, params=params or {}, ask_usage=True, drop_options=True, quirks=quirks)


def test_the_record_says_where_and_how() -> None:
    assert ANTHROPIC.place("up", True) == ("/v1/messages", {})
    assert ANTHROPIC.headers == {"anthropic-version": "2023-06-01"}
    assert ANTHROPIC.keepalive == b'event: ping\ndata: {"type":"ping"}\n\n'


ASKS = [
    pytest.param(b'"stream":true', (True, True), id="a stream, which always has usage"),
    pytest.param(b'"stream":false', (False, False), id="no stream"),
    pytest.param(b'"stream":null', (False, False), id="null is absent"),
    pytest.param(b'"x":1', (False, False), id="nothing said"),
]


@pytest.mark.parametrize(("member", "expected"), ASKS)
def test_what_the_gateway_must_know_is_read(member: bytes, expected: tuple[bool, bool]) -> None:
    ask = read_request(body(member))

    assert ("m", *expected) == (ask.model, ask.stream, ask.wants_usage)


ACCEPTED = [
    pytest.param({"max_tokens": 0}, id="a limit of nothing only fills the cache"),
    pytest.param({"system": "Be brief."}, id="instructions as a text"),
    pytest.param({"system": [text("Be brief.", cache_control={"type": "ephemeral"})]}, id="instructions as blocks"),
    pytest.param({"messages": [turn("user", text("a")), turn("assistant", use("t"))]}, id="blocks"),
    pytest.param({"messages": [turn("critic", {"type": "vendor_block", "x": [1]})]}, id="new roles and blocks"),
    pytest.param({"messages": [turn("assistant")]}, id="a turn without blocks"),
    pytest.param({"temperature": 1, "top_p": 0.0, "top_k": 0, "stop_sequences": []}, id="sampling at its bounds"),
    pytest.param(dict.fromkeys(("system", "tools", "thinking", "top_k", "thread", "stream")), id="null is absent"),
    pytest.param({"tools": [{"name": "f", "input_schema": {}}], "tool_choice": {"type": "any"}}, id="a function"),
    pytest.param({"tools": [{"type": "vendor_tool_20300101"}]}, id="a tool of a new type"),
    pytest.param({"tools": [], "tool_choice": {"type": "vendor"}}, id="a choice of a new type"),
    pytest.param({"thinking": {"type": "enabled"}}, id="thinking without a budget"),
    pytest.param({"thinking": {"type": "deeply", "budget_tokens": 100}}, id="thinking of a new type"),
    pytest.param({"output_config": {"effort": "extreme", "task_budget": {"total": 1}}}, id="a new effort"),
    pytest.param({"service_tier": "turbo", "speed": "warp", "inference_geo": "eu"}, id="new words"),
    pytest.param({"container": "c1"}, id="a container by its id"),
    pytest.param({"container": {"skills": []}, "context_management": {}, "mcp_servers": [{}]}, id="betas"),
    pytest.param({"vendor": [None, {"a": 1}], "fallbacks": 7}, id="fields that are not known"),
]


@pytest.mark.parametrize("members", ACCEPTED)
def test_a_request_is_accepted(members: dict[str, Any]) -> None:
    wire = orjson.dumps({**PLAIN, **members})

    assert wire is sent(wire, target="m")


REFUSED = [
    pytest.param({"model": None}, "model", id="no model"),
    pytest.param({"model": 1}, "model", id="a model that is no string"),
    pytest.param({"model": ""}, "model", id="a model without a name"),
    pytest.param({"max_tokens": None}, "max_tokens", id="no limit"),
    pytest.param({"max_tokens": -1}, "max_tokens", id="a limit below zero"),
    pytest.param({"max_tokens": 1.5}, "max_tokens", id="half a token"),
    pytest.param({"max_tokens": True}, "max_tokens", id="a limit that is a boolean"),
    pytest.param({"messages": None}, "messages", id="no messages"),
    pytest.param({"messages": []}, "messages", id="messages of none"),
    pytest.param({"messages": "a"}, "messages", id="messages that are a text"),
    pytest.param({"messages": [turn("user"), 7]}, "messages[1]", id="a message that is no object"),
    pytest.param({"messages": [{"content": "a"}]}, "messages[0].role", id="no role"),
    pytest.param({"messages": [{"role": 1, "content": "a"}]}, "messages[0].role", id="a role that is no string"),
    pytest.param({"messages": [{"role": "user"}]}, "messages[0].content", id="no content"),
    pytest.param({"messages": [{"role": "user", "content": None}]}, "messages[0].content", id="content is null"),
    pytest.param({"messages": [{"role": "user", "content": {}}]}, "messages[0].content", id="content is an object"),
    pytest.param({"messages": [turn("user", text("a"), {})]}, "messages[0].content[1].type", id="a block without type"),
    pytest.param(
        {"messages": [{"role": "user", "content": ["a"]}]}, "messages[0].content[0]", id="a block that is a text"
    ),
    pytest.param({"system": {}}, "system", id="instructions that are an object"),
    pytest.param({"system": ["a"]}, "system[0]", id="instructions that are texts"),
    pytest.param({"stream": 1}, "stream", id="stream is a number"),
    pytest.param({"stop_sequences": "a"}, "stop_sequences", id="a stop that is no list"),
    pytest.param({"stop_sequences": ["a", 1]}, "stop_sequences[1]", id="a stop that is no text"),
    pytest.param({"temperature": 1.1}, "temperature", id="too hot"),
    pytest.param({"temperature": "1"}, "temperature", id="a temperature that is a text"),
    pytest.param({"top_p": -0.1}, "top_p", id="top_p below zero"),
    pytest.param({"top_k": -1}, "top_k", id="top_k below zero"),
    pytest.param({"tools": {}}, "tools", id="tools that are no list"),
    pytest.param({"tools": ["f"]}, "tools[0]", id="a tool that is no object"),
    pytest.param({"tools": [{"type": 1}]}, "tools[0].type", id="a tool's type that is no string"),
    pytest.param({"tools": [{"input_schema": {}}]}, "tools[0].name", id="a function without a name"),
    pytest.param({"tools": [{"type": "custom", "name": "f"}]}, "tools[0].input_schema", id="one without a schema"),
    pytest.param({"tool_choice": "auto"}, "tool_choice", id="a choice that is a text"),
    pytest.param({"tool_choice": {}}, "tool_choice.type", id="a choice without a type"),
    pytest.param({"tool_choice": {"type": "tool"}}, "tool_choice.name", id="a choice that names no tool"),
    pytest.param(
        {"tool_choice": {"type": "auto", "disable_parallel_tool_use": 1}},
        "tool_choice.disable_parallel_tool_use",
        id="parallel calls are a number",
    ),
    pytest.param({"thinking": True}, "thinking", id="thinking that is a boolean"),
    pytest.param({"thinking": {}}, "thinking.type", id="thinking without a type"),
    pytest.param({"thinking": {"type": "enabled", "budget_tokens": 0}}, "thinking.budget_tokens", id="no budget"),
    pytest.param({"thinking": {"type": "adaptive", "display": 1}}, "thinking.display", id="a display that is no word"),
    pytest.param({"output_config": []}, "output_config", id="an output_config that is a list"),
    pytest.param({"output_config": {"effort": 1}}, "output_config.effort", id="an effort that is no word"),
    pytest.param({"output_config": {"format": {}}}, "output_config.format.type", id="a format without a type"),
    pytest.param({"output_format": {"type": "x", "schema": 1}}, "output_format.schema", id="a schema that is none"),
    pytest.param({"metadata": "u"}, "metadata", id="metadata that are a text"),
    pytest.param({"metadata": {"user_id": 1}}, "metadata.user_id", id="a user that is a number"),
    pytest.param({"service_tier": 1}, "service_tier", id="a tier that is no word"),
    pytest.param({"speed": 1}, "speed", id="a speed that is no word"),
    pytest.param({"cache_control": {}}, "cache_control.type", id="a cache mark without a type"),
    pytest.param({"cache_control": {"type": "ephemeral", "ttl": 5}}, "cache_control.ttl", id="a life that is a number"),
    pytest.param({"inference_geo": 1}, "inference_geo", id="a place that is no word"),
    pytest.param({"container": []}, "container", id="a container that is a list"),
    pytest.param({"diagnostics": 1}, "diagnostics", id="diagnostics that are a number"),
    pytest.param({"context_management": []}, "context_management", id="context management that is a list"),
    pytest.param({"mcp_servers": {}}, "mcp_servers", id="servers that are no list"),
    pytest.param({"mcp_servers": ["x"]}, "mcp_servers[0]", id="a server that is no object"),
    pytest.param({"Model": "n"}, "Model", id="another spelling of model"),
]


@pytest.mark.parametrize(("members", "param"), REFUSED)
def test_a_wrong_field_is_refused_by_its_path(members: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_request(orjson.dumps({**PLAIN, **members}))

    assert param == refused.value.param
    assert refused.value.message


@pytest.mark.parametrize("key", ["model", "messages", "max_tokens"])
def test_a_required_field_that_is_absent_is_refused(key: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_request(orjson.dumps({name: value for name, value in PLAIN.items() if name != key}))

    assert (f"{key} is required.", key) == (refused.value.message, refused.value.param)


@pytest.mark.parametrize("thread", [{"type": "new"}, "x", {}])
def test_d96_a_thread_is_refused_with_the_code_that_makes_the_libraries_send_the_whole(thread: Any) -> None:
    with pytest.raises(Unsupported) as refused:
        read_request(orjson.dumps({"thread": thread}))

    assert (refused.value.param, refused.value.code) == ("thread", "thread_unsupported_request")


TWICE = [
    pytest.param(b'"model":"n"', "model", id="the model"),
    pytest.param(b'"mod\\u0065l":"n"', "model", id="the model, escaped"),
    pytest.param(b'"stream":true,"stream":false', "stream", id="stream"),
    pytest.param(b'"max_tokens":9999', "max_tokens", id="the limit"),
    pytest.param(b'"thread":{},"thread":null', "thread", id="a thread behind null"),
]


@pytest.mark.parametrize(("member", "param"), TWICE)
def test_a_field_that_is_read_may_not_stand_twice(member: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_request(body(member))

    assert param == refused.value.param


FORWARDED = [
    pytest.param(
        b' {\n"model"\t: "m" ,"max_tokens":9,' + MESSAGES + b',"x" : {"b":1, "a":[ 7e0 ]}\n}\n',
        {},
        b' {\n"model"\t: "up" ,"max_tokens":9,' + MESSAGES + b',"x" : {"b":1, "a":[ 7e0 ]}\n}\n',
        id="spaces, numbers and the order of keys stay",
    ),
    pytest.param(
        b'{"mod\\u0065l":"m","max_tokens":9,' + MESSAGES + b"}",
        {},
        b'{"mod\\u0065l":"up","max_tokens":9,' + MESSAGES + b"}",
        id="an escaped name",
    ),
    pytest.param(
        body(b'"metadata":{"model":"n","model":"o"}'),
        {},
        body(b'"metadata":{"model":"n","model":"o"}').replace(b'"m"', b'"up"', 1),
        id="nested names stay",
    ),
    pytest.param(
        body(),
        {"temperature": b"0.50", "top_p": b"1", "top_k": b"4", "stop": b'["a"]'},
        body(b'"temperature":0.50', b'"top_p":1', b'"top_k":4', b'"stop_sequences":["a"]').replace(b'"m"', b'"up"', 1),
        id="settings are added under the names of this API",
    ),
    pytest.param(
        body(),
        {"stop": b' "a"'},
        body(b'"stop_sequences":[ "a"]').replace(b'"m"', b'"up"', 1),
        id="one stop becomes a list",
    ),
    pytest.param(
        body(b'"temperature":0', b'"top_k": null'),
        {"temperature": b"1", "top_k": b"4"},
        body(b'"temperature":0', b'"top_k": 4').replace(b'"m"', b'"up"', 1),
        id="the client's own stay, null is none",
    ),
    pytest.param(
        body(),
        {"max_tokens": b"1", "max_completion_tokens": b"1", "seed": b"1", "presence_penalty": b"1", "n": b"2"},
        body().replace(b'"m"', b'"up"', 1),
        id="what this API lacks or the client has to say is left out",
    ),
]


@pytest.mark.parametrize(("wire", "params", "expected"), FORWARDED)
def test_a_request_leaves_with_the_edits_of_its_route_alone(
    wire: bytes, params: dict[str, bytes], expected: bytes
) -> None:
    assert expected == sent(wire, params=params)


QUIRKS = [
    pytest.param(
        {"drop": ("metadata", "x.a")}, [b'"metadata":{}', b'"x":{"a":1,"b":7e0}'], [b'"x":{"b":7e0}'], id="drop"
    ),
    pytest.param({"rename": {"speed": "pace"}}, [b'"speed" : "fast"'], [b'"pace" : "fast"'], id="rename"),
    pytest.param({"add": {"x": 1, "y": 2}}, [b'"x": null', b'"y":3'], [b'"x": 1', b'"y":3'], id="add"),
    pytest.param({"allow": ("x",)}, [b'"y":1', b'"x":7e0'], [b'"x":7e0'], id="allow"),
    pytest.param({"drop": ("max_tokens", "messages", "model")}, [], [], id="what is needed stays"),
    pytest.param({"rename": {"x": "model"}}, [b'"x":"other"'], [], id="no other model"),
    pytest.param({"id_max": 9}, [b'"x" : 1'], [b'"x" : 1'], id="quirks that concern other things"),
]


@pytest.mark.parametrize(("quirks", "given", "expected"), QUIRKS)
def test_quirks_edit_fields_and_nothing_else_H41(
    quirks: dict[str, Any], given: list[bytes], expected: list[bytes]
) -> None:
    assert body(*expected) == sent(body(*given), target="m", **quirks)


def test_quirks_apply_to_the_params_of_a_model() -> None:
    out = sent(body(), target="m", params={"top_k": b"4", "temperature": b"1"}, drop=("top_k",))

    assert body(b'"temperature":1') == out


def message(*content: Any, **fields: Any) -> bytes:
    return orjson.dumps({"id": "msg_1", "type": "message", "model": "up", "content": list(content), **fields})


COUNTS = {"input_tokens": 5, "cache_read_input_tokens": 3, "output_tokens": 2}
ANSWERS = [
    pytest.param(message(text("Hello"), usage=COUNTS), (Usage(input=8, output=2, cache_read=3), 5), id="text"),
    pytest.param(message(), (None, 0), id="nothing said, nothing reported"),
    pytest.param(
        message({"type": "thinking", "thinking": "abc", "signature": "EqQB"}, text("de"), usage=None),
        (None, 5),
        id="thinking counts, its seal does not",
    ),
    pytest.param(message(use("t", input={"q": "tea", "n": [1, {"m": "x"}]})), (None, 7), id="the input of a call"),
    pytest.param(
        message({"type": "web_search_tool_result", "content": [{"title": "x"}]}), (None, 0), id="a result does not"
    ),
    pytest.param(message({"type": "compaction", "content": "abc"}), (None, 3), id="a compaction"),
    pytest.param(message(7, None, {"type": [1], "text": 5, "content": "x"}, usage=[1]), (None, 0), id="odd shapes"),
    pytest.param(
        message(usage={"input_tokens": -1, "output_tokens": "x"}), (Usage(), 0), id="what is no count is not told"
    ),
    pytest.param(b'{"content":[{"type":"text","text":"\\ud83d"}]}', (None, 1), id="half of an emoji"),
    pytest.param(b'{"content":[{"input":' + b"[" * 900 + b'"abc"' + b"]" * 900 + b"}]}", (None, 3), id="deep"),
]


@pytest.mark.parametrize(("wire", "expected"), ANSWERS)
def test_a_whole_answer_is_read(wire: bytes, expected: tuple[Usage | None, int]) -> None:
    answer = read_answer(wire)

    assert not isinstance(answer, Complaint)
    assert expected == (answer.usage, answer.output_chars)


NO_ANSWERS = [
    pytest.param(b"", "The provider's answer is not JSON.", id="nothing"),
    pytest.param(b"<html>", "The provider's answer is not JSON.", id="HTML"),
    pytest.param(b'{"content":[NaN]}', "The provider's answer is not JSON.", id="NaN"),
    pytest.param(b"[" * 5000, "The provider's answer is not JSON.", id="deeper than can be read"),
    pytest.param(b"null", "The provider's answer is not a JSON object.", id="null"),
    pytest.param(b"[]", "The provider's answer is not a JSON object.", id="a list"),
    pytest.param(b"{}", "The provider's answer has no content.", id="an empty object"),
    pytest.param(b'{"content":"x"}', "The provider's answer has no content.", id="content that is a text"),
]


@pytest.mark.parametrize(("wire", "expected"), NO_ANSWERS)
def test_what_is_no_answer_fails(wire: bytes, expected: str) -> None:
    with pytest.raises(UpstreamFailed) as failed:
        read_answer(wire)

    assert (expected, "upstream_invalid_response") == (failed.value.message, failed.value.code)


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        pytest.param(b'{"type":"error","error":{"type":"overloaded_error","message":"m"}}', 529, id="an error"),
        pytest.param(b'{"type":"error"}', 502, id="an error that says nothing"),
        pytest.param(message(error={"type": "rate_limit_error"}), 429, id="an error beside content"),
        pytest.param(b'{"error":"gone"}', 502, id="an error that is a text"),
    ],
)
def test_an_error_in_a_200_is_a_complaint(wire: bytes, status: int) -> None:
    answer = read_answer(wire)

    assert isinstance(answer, Complaint)
    assert status == answer.status


RENAMED = [
    pytest.param(b'{ "model" : "up", "content":[7e0]}', b'{ "model" : "mine", "content":[7e0]}', id="the name"),
    pytest.param(b'{"mod\\u0065l":"u\\u0070"}', b'{"mod\\u0065l":"mine"}', id="escapes"),
    pytest.param(b'{"model":"a","model":"b"}', b'{"model":"a","model":"mine"}', id="the one that counts"),
    pytest.param(b'{"x":{"model":"up"}}', b'{"x":{"model":"up"}}', id="none at top level"),
    pytest.param(b'{"model":null}', b'{"model":null}', id="null"),
]


@pytest.mark.parametrize(("wire", "expected"), RENAMED)
def test_an_answer_is_renamed(wire: bytes, expected: bytes) -> None:
    assert expected == ANTHROPIC.rename(wire, "mine")
