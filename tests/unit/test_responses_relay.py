"""Requests and whole answers between a client and a provider that both speak the Responses API.

Whatever duplicates or escapes a body holds, the model that the upstream sees is the one that was authorised, and what
the request names of that which the provider keeps is known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest

from modelserver.dialects.openai_responses import RESPONSES
from modelserver.dialects.openai_responses.relay import forward, read_answer, read_request
from modelserver.errors import InvalidRequest, Unsupported, UpstreamFailed
from modelserver.ir.types import Complaint, Reference
from modelserver.ir.usage import Usage

INPUT = b'"input":[{"role":"user","content":"a"}]'
PLAIN: Mapping[str, Any] = {"model": "m", "input": "a"}


def body(*members: bytes) -> bytes:
    """A body of a model, one message, and the members given."""
    return b"{" + b",".join((b'"model":"m"', INPUT, *members)) + b"}"


def sent(wire: bytes, *, target: str = "up", params: Mapping[str, bytes] | None = None) -> bytes:
    return forward(read_request(wire), target=target, params=params or {}, ask_usage=True, drop_options=True)


def part(text: str, kind: str = "input_text") -> dict[str, Any]:
    return {"type": kind, "text": text}


def message(*parts: Any, role: str = "user", **fields: Any) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": list(parts), **fields}


def test_the_record_says_where_and_how() -> None:
    assert RESPONSES.place("up", True) == ("/responses", {})
    assert RESPONSES.headers == {}
    assert RESPONSES.passed_headers == ("openai-beta",)
    assert RESPONSES.keepalive == b": ping\n\n"
    assert RESPONSES.replay is None
    assert RESPONSES.listing is None


ASKS = [
    pytest.param(b'"stream":true', (True, True), id="a stream, which always has usage"),
    pytest.param(b'"stream":false', (False, False), id="no stream"),
    pytest.param(b'"stream":null', (False, False), id="null is absent"),
    pytest.param(b'"x":1', (False, False), id="nothing said"),
]


@pytest.mark.parametrize(("member", "expected"), ASKS)
def test_what_the_gateway_must_know_is_read(member: bytes, expected: tuple[bool, bool]) -> None:
    ask = read_request(body(member))

    assert ("m", *expected, ()) == (ask.model, ask.stream, ask.wants_usage, ask.references)


ACCEPTED = [
    pytest.param({"input": "a"}, id="input as a text"),
    pytest.param({"input": []}, id="no items"),
    pytest.param({"input": [message(part("a")), message(part("b", "output_text"), role="assistant")]}, id="messages"),
    pytest.param({"input": [{"role": "critic", "content": None}]}, id="a new role, content is null"),
    pytest.param({"input": [message({"type": "vendor_part", "x": [1]})]}, id="a new part"),
    pytest.param({"input": [{"type": "vendor_item", "x": 1, "id": "v_1"}]}, id="a new item"),
    pytest.param({"input": [{"type": "function_call_output", "call_id": "c", "output": "1"}]}, id="a result"),
    pytest.param({"input": [{"type": "reasoning", "id": "rs_1", "summary": [], "content": 1}]}, id="reasoning"),
    pytest.param({"tools": [{"type": "function", "name": "f", "parameters": None, "strict": True}]}, id="a function"),
    pytest.param({"tools": [{"type": "vendor_search", "x": 1}, {"type": "local_shell"}]}, id="hosted tools"),
    pytest.param({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "custom"}]}]}, id="a namespace"),
    pytest.param({"tools": []}, id="no tools"),
    pytest.param({"tool_choice": "required"}, id="a choice by word"),
    pytest.param({"tool_choice": {"type": "vendor_search"}}, id="a choice of a hosted tool"),
    pytest.param({"tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{}]}}, id="allowed tools"),
    pytest.param({"reasoning": {"effort": "gigantic", "summary": "epic", "x": 1}}, id="new words for reasoning"),
    pytest.param({"text": {"verbosity": "tiny", "format": {"type": "grammar"}}}, id="a new format"),
    pytest.param({"text": {"format": {"type": "json_schema", "name": "n", "schema": {}}}}, id="a schema"),
    pytest.param({"service_tier": "warp", "truncation": "never", "prompt_cache_retention": "9d"}, id="new words"),
    pytest.param({"include": ["vendor.thing"]}, id="something else to include"),
    pytest.param({"max_output_tokens": 1, "max_tool_calls": 0}, id="the least limits"),
    pytest.param({"background": False, "conversation": None, "prompt": None}, id="no state is asked for"),
    pytest.param({"previous_response_id": None, "store": True}, id="storing is the provider's affair"),
    pytest.param({"context_management": [{"type": "compaction"}]}, id="compaction"),
    pytest.param({"metadata": {"a": 1}, "vendor": {"input": [1]}}, id="unknown fields"),
    pytest.param(dict.fromkeys(("instructions", "tools", "text", "temperature", "include")), id="null is absent"),
]


@pytest.mark.parametrize("fields", ACCEPTED)
def test_a_request_passes_as_it_came(fields: dict[str, Any]) -> None:
    wire = orjson.dumps({**PLAIN, **fields})

    assert wire is sent(wire, target="m")


WRONG = [
    pytest.param({"model": None}, "model", id="no model"),
    pytest.param({"model": 5}, "model", id="a model that is no string"),
    pytest.param({"model": ""}, "model", id="an empty model"),
    pytest.param({"input": None}, "input", id="no input"),
    pytest.param({"input": {"role": "user"}}, "input", id="input that is an object"),
    pytest.param({"input": ["a"]}, "input[0]", id="an item that is no object"),
    pytest.param({"input": [{}]}, "input[0].type", id="an item that says nothing"),
    pytest.param({"input": [{"type": 1, "id": "x"}]}, "input[0].type", id="a type that is no string"),
    pytest.param({"input": [{"type": "message", "content": "a"}]}, "input[0].role", id="a message of nobody"),
    pytest.param({"input": [{"role": 1}]}, "input[0].role", id="a role that is no string"),
    pytest.param({"input": [{"role": "user", "content": 1}]}, "input[0].content", id="content that is a number"),
    pytest.param({"input": ["a", message("b")][1:]}, "input[0].content[0]", id="a part that is no object"),
    pytest.param({"input": [message({"text": "a"})]}, "input[0].content[0].type", id="a part without a type"),
    pytest.param({"input": [{"type": "item_reference"}]}, "input[0].id", id="a reference to nothing"),
    pytest.param({"input": [{"id": 5}]}, "input[0].id", id="a short reference that is no string"),
    pytest.param({"input": [{"id": ""}]}, "input[0].id", id="an empty reference"),
    pytest.param({"previous_response_id": ""}, "previous_response_id", id="an empty id"),
    pytest.param({"previous_response_id": ["a"]}, "previous_response_id", id="an id that is no string"),
    pytest.param({"instructions": ["a"]}, "instructions", id="instructions that are no string"),
    pytest.param({"stream": 1}, "stream", id="stream is no boolean"),
    pytest.param({"stream_options": {"include_obfuscation": 1}}, "stream_options.include_obfuscation", id="obfuscated"),
    pytest.param({"store": "no"}, "store", id="store is no boolean"),
    pytest.param({"background": "yes"}, "background", id="background is no boolean"),
    pytest.param({"max_output_tokens": 0}, "max_output_tokens", id="no output"),
    pytest.param({"max_output_tokens": 1.5}, "max_output_tokens", id="half a token"),
    pytest.param({"max_tool_calls": -1}, "max_tool_calls", id="fewer calls than none"),
    pytest.param({"temperature": 2.1}, "temperature", id="too hot"),
    pytest.param({"temperature": True}, "temperature", id="a temperature that is a boolean"),
    pytest.param({"top_p": -0.1}, "top_p", id="top_p below zero"),
    pytest.param({"top_logprobs": 21}, "top_logprobs", id="too many alternatives"),
    pytest.param({"tools": {}}, "tools", id="tools that are no list"),
    pytest.param({"tools": [1]}, "tools[0]", id="a tool that is no object"),
    pytest.param({"tools": [{"name": "f"}]}, "tools[0].type", id="a tool without a type"),
    pytest.param({"tools": [{"type": "function"}]}, "tools[0].name", id="a function without a name"),
    pytest.param({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters", id="schema"),
    pytest.param({"tools": [{"type": "function", "name": "f", "strict": 1}]}, "tools[0].strict", id="strictness"),
    pytest.param({"tools": [{"type": "custom", "name": "f", "description": 1}]}, "tools[0].description", id="words"),
    pytest.param({"tools": [{"type": "namespace", "name": "n"}]}, "tools[0].tools", id="an empty namespace"),
    pytest.param({"tools": [{"type": "namespace", "name": "n", "tools": [1]}]}, "tools[0].tools[0]", id="inner tool"),
    pytest.param({"tool_choice": "any"}, "tool_choice", id="a word that is no choice"),
    pytest.param({"tool_choice": []}, "tool_choice", id="a choice that is a list"),
    pytest.param({"tool_choice": {"type": "function"}}, "tool_choice.name", id="a choice of no function"),
    pytest.param({"tool_choice": {"type": "allowed_tools", "mode": "auto"}}, "tool_choice.tools", id="no allowed ones"),
    pytest.param({"parallel_tool_calls": 1}, "parallel_tool_calls", id="parallel is no boolean"),
    pytest.param({"reasoning": "high"}, "reasoning", id="reasoning that is no object"),
    pytest.param({"reasoning": {"effort": 3}}, "reasoning.effort", id="an effort that is no word"),
    pytest.param({"text": {"format": "json"}}, "text.format", id="a format that is no object"),
    pytest.param({"text": {"format": {}}}, "text.format.type", id="a format without a type"),
    pytest.param({"text": {"format": {"type": "json_schema"}}}, "text.format.schema", id="a format without a schema"),
    pytest.param({"text": {"verbosity": 1}}, "text.verbosity", id="a verbosity that is no word"),
    pytest.param({"include": ["a", 1]}, "include[1]", id="a number to include"),
    pytest.param({"metadata": []}, "metadata", id="metadata that is no object"),
    pytest.param({"user": 1}, "user", id="a user that is a number"),
    pytest.param({"service_tier": 1}, "service_tier", id="a tier that is a number"),
    pytest.param({"truncation": True}, "truncation", id="a truncation that is a boolean"),
    pytest.param({"prompt_cache_options": {"prewarm": 1}}, "prompt_cache_options.prewarm", id="prewarm"),
    pytest.param({"context_management": {}}, "context_management", id="management that is no list"),
    pytest.param({"context_management": [{}]}, "context_management[0].type", id="management of no type"),
]


@pytest.mark.parametrize(("fields", "param"), WRONG)
def test_a_wrong_request_is_refused_with_the_path(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_request(orjson.dumps({**PLAIN, **fields}))

    assert param == refused.value.param


REPEATED = [
    pytest.param(b'"model":"n"', "model", id="two models"),
    pytest.param(b'"mod\\u0065l":"n"', "model", id="one of them escaped"),
    pytest.param(b'"Model":"n"', "Model", id="one of them capital"),
    pytest.param(b'"MODEL":null', "MODEL", id="one of them null"),
    pytest.param(INPUT, "input", id="two inputs"),
    pytest.param(b'"Input":[]', "Input", id="another spelling of the input"),
    pytest.param(b'"Previous_Response_Id":"resp_2"', "Previous_Response_Id", id="another spelling of a reference"),
    pytest.param(
        '"previous_re\u017fponse_id":"resp_2"'.encode(),
        "previous_re\u017fponse_id",
        id="a letter that counts as one of it",
    ),
    pytest.param(b'"BACKGROUND":true', "BACKGROUND", id="another spelling of the background"),
    pytest.param(b'"previous_response_id":"a","previous_response_id":"b"', "previous_response_id", id="two ids"),
    pytest.param(b'"store":true,"store":false', "store", id="two of another field"),
]


@pytest.mark.parametrize(("member", "param"), REPEATED)
def test_a_field_that_is_read_has_one_spelling_and_stands_once(member: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_request(body(member))

    assert param == refused.value.param


NOT_KEPT = [
    pytest.param({"background": True}, "background", "without it", id="background"),
    pytest.param({"conversation": "conv_1"}, "conversation", "store=false", id="a conversation"),
    pytest.param({"conversation": {"id": "conv_1"}}, "conversation", "store=false", id="a conversation as an object"),
    pytest.param({"prompt": {"id": "pmpt_1"}}, "prompt", "instructions and input", id="a stored prompt"),
]


@pytest.mark.parametrize(("fields", "param", "instead"), NOT_KEPT)
def test_state_that_is_not_kept_is_refused_with_what_to_do_instead(
    fields: dict[str, Any], param: str, instead: str
) -> None:
    with pytest.raises(Unsupported) as refused:
        read_request(orjson.dumps({**PLAIN, **fields}))

    assert (param, "unsupported_parameter") == (refused.value.param, refused.value.code)
    assert instead in refused.value.message


REFERENCES = [
    pytest.param({"previous_response_id": "resp_1"}, {"previous_response_id": "resp_1"}, id="a response"),
    pytest.param(
        {"previous_response_id": "resp_1", "input": None}, {"previous_response_id": "resp_1"}, id="with no input"
    ),
    pytest.param(
        {"input": [message(part("a")), {"type": "item_reference", "id": "msg_1"}]},
        {"input[1].id": "msg_1"},
        id="an item",
    ),
    pytest.param({"input": [{"id": "msg_1"}]}, {"input[0].id": "msg_1"}, id="an item in short"),
    pytest.param({"input": [{"type": None, "id": "msg_1"}]}, {"input[0].id": "msg_1"}, id="an item without a type"),
    pytest.param(
        {"input": [{"type": "", "id": "msg_1", "role": None, "x": 1}]}, {"input[0].id": "msg_1"}, id="more beside it"
    ),
    pytest.param({"input": [message(id="msg_1"), {"role": "user", "id": "msg_2"}]}, {}, id="messages have ids too"),
    pytest.param(
        {"prompt_cache_options": {"comparison_response_id": "resp_2"}},
        {"prompt_cache_options.comparison_response_id": "resp_2"},
        id="a response to compare with",
    ),
    pytest.param(
        {"previous_response_id": "resp_1", "input": [{"id": "a"}, {"type": "item_reference", "id": "b"}]},
        {"previous_response_id": "resp_1", "input[0].id": "a", "input[1].id": "b"},
        id="all of them",
    ),
]


@pytest.mark.parametrize(("fields", "expected"), REFERENCES)
def test_what_the_provider_keeps_is_a_reference(fields: dict[str, Any], expected: dict[str, str]) -> None:
    ask = read_request(orjson.dumps({**PLAIN, **fields}))

    assert tuple(Reference(param=param, id=id) for param, id in expected.items()) == ask.references


MODELS = [
    pytest.param(b'{"model":"m",' + INPUT + b"}", b'{"model":"up",' + INPUT + b"}", id="first"),
    pytest.param(
        b' {\n"model"\t: "m" , ' + INPUT + b"\n}\n", b' {\n"model"\t: "up" , ' + INPUT + b"\n}\n", id="spaces"
    ),
    pytest.param(b'{"mod\\u0065l":"m",' + INPUT + b"}", b'{"mod\\u0065l":"up",' + INPUT + b"}", id="an escaped name"),
    pytest.param(
        body(b'"x":{"model":"n","model":"o"}', b'"temperature":7e-1', b'"top_logprobs" : 0'),
        b'{"model":"up",' + INPUT + b',"x":{"model":"n","model":"o"},"temperature":7e-1,"top_logprobs" : 0}',
        id="other bytes stay as they are",
    ),
]


@pytest.mark.parametrize(("wire", "expected"), MODELS)
def test_the_target_becomes_the_model(wire: bytes, expected: bytes) -> None:
    assert expected == sent(wire)


PARAMS = [
    pytest.param({"temperature": b"0.7"}, b"", b',"temperature":0.7', id="added"),
    pytest.param({"temperature": b"0.7"}, b',"temperature":1e0', b',"temperature":1e0', id="the client's own wins"),
    pytest.param({"temperature": b"0.7"}, b',"temperature":null', b',"temperature":0.7', id="null is none"),
    pytest.param({"max_tokens": b"9"}, b"", b',"max_output_tokens":9', id="a limit by its old name"),
    pytest.param({"max_completion_tokens": b"9"}, b"", b',"max_output_tokens":9', id="a limit by its new name"),
    pytest.param({"max_completion_tokens": b"9", "max_tokens": b"8"}, b"", b',"max_output_tokens":9', id="both names"),
    pytest.param({"max_tokens": b"9"}, b',"max_output_tokens":5', b',"max_output_tokens":5', id="a limit of its own"),
    pytest.param({"top_p": b"1", "temperature": b"0"}, b"", b',"temperature":0,"top_p":1', id="several"),
    pytest.param(
        {"top_k": b"1", "stop": b'"x"', "seed": b"1", "presence_penalty": b"1", "frequency_penalty": b"1"},
        b"",
        b"",
        id="what this API has no field for is left out",
    ),
]


@pytest.mark.parametrize(("params", "given", "expected"), PARAMS)
def test_the_params_of_a_model_are_added(params: dict[str, bytes], given: bytes, expected: bytes) -> None:
    start = b'{"model":"m",' + INPUT

    assert start + expected + b"}" == sent(start + given + b"}", target="m", params=params)


CALL = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "add", "arguments": '{"a":1}'}
TALK = {
    "type": "message",
    "id": "msg_1",
    "content": [{"type": "output_text", "text": "Hi", "annotations": [{"x": "y"}]}],
}
THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [part("Hm", "summary_text")], "encrypted_content": "abcdef"}
COUNTS = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}


def answer(*output: Any, **fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": "completed", "model": "up", "output": [*output], **fields}


ANSWERS = [
    pytest.param(answer(THOUGHT, TALK, CALL), 14, id="reasoning, text and a call; neither seals nor citations"),
    pytest.param(answer(), 0, id="no items"),
    pytest.param(answer(None, 5, {"type": 7, "content": {"a": ["xy"]}}), 2, id="items of no shape"),
    pytest.param(answer({"type": "image_generation_call", "id": "ig_1", "result": "AAAA"}), 0, id="a picture"),
    pytest.param(answer({"type": "shell_call", "action": {"commands": ["ls"]}}), 2, id="a command"),
    pytest.param({"output": []}, 0, id="nothing but an output"),
    pytest.param(answer(TALK, status="incomplete", error=None), 2, id="an answer that was cut"),
    pytest.param(answer(TALK, object="response.compaction", status=None), 2, id="a compaction"),
    pytest.param(answer(TALK, status=["x"]), 2, id="a status of no shape"),
]


@pytest.mark.parametrize(("parsed", "chars"), ANSWERS)
def test_an_answer_is_read(parsed: dict[str, Any], chars: int) -> None:
    whole = read_answer(orjson.dumps(parsed))

    assert not isinstance(whole, Complaint)
    assert (parsed, chars, None) == (whole.parsed, whole.output_chars, whole.usage)


def test_the_usage_of_an_answer_is_read_with_its_hosted_calls() -> None:
    search = {"type": "web_search_call", "id": "ws_1"}
    whole = read_answer(orjson.dumps(answer(search, search, usage=COUNTS, service_tier="flex")))

    assert not isinstance(whole, Complaint)
    assert Usage(input=5, output=2, server_calls={"web_search": 2}, tier="flex") == whole.usage


KEPT = [
    pytest.param(answer(THOUGHT, TALK, store=True), ("resp_1", "rs_1", "msg_1"), id="stored"),
    pytest.param(answer(TALK), ("resp_1", "msg_1"), id="nothing said: storing is the default"),
    pytest.param(answer(TALK, store=None), ("resp_1", "msg_1"), id="null"),
    pytest.param(answer(TALK, store=False), (), id="not stored"),
    pytest.param(answer(TALK, TALK), ("resp_1", "msg_1"), id="each once"),
    pytest.param(answer({"id": 5}, {"id": ""}, {}, None, id=["x"]), (), id="ids of no shape"),
]


@pytest.mark.parametrize(("parsed", "expected"), KEPT)
def test_the_ids_of_what_the_provider_keeps_are_told(parsed: dict[str, Any], expected: tuple[str, ...]) -> None:
    whole = read_answer(orjson.dumps(parsed))

    assert not isinstance(whole, Complaint)
    assert expected == whole.ids


ERRORS = [
    pytest.param({"error": {"message": "no", "code": "rate_limit_exceeded"}}, (429, "no"), id="an error alone"),
    pytest.param(answer(status="failed", error={"message": "no", "code": "server_error"}), (500, "no"), id="failed"),
    pytest.param(answer(status="failed"), (502, None), id="failed without words"),
    pytest.param(answer(status="cancelled"), (502, None), id="cancelled"),
    pytest.param({"error": "no"}, (502, "no"), id="an error as a text"),
]


@pytest.mark.parametrize(("parsed", "expected"), ERRORS)
def test_an_error_in_spite_of_the_status_is_a_complaint(
    parsed: dict[str, Any], expected: tuple[int, str | None]
) -> None:
    complaint = read_answer(orjson.dumps(parsed))

    assert isinstance(complaint, Complaint)
    assert expected == (complaint.status, complaint.message)


NO_ANSWERS = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"<html>", id="a page"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b"{}", id="an empty object"),
    pytest.param(b'{"output":{}}', id="an output that is no list"),
    pytest.param(b'{"choices":[]}', id="an answer of another API"),
    pytest.param(orjson.dumps(answer(status="queued")), id="queued"),
    pytest.param(orjson.dumps(answer(TALK, status="in_progress")), id="in progress"),
]


@pytest.mark.parametrize("wire", NO_ANSWERS)
def test_what_is_no_answer_is_the_upstreams_failure(wire: bytes) -> None:
    with pytest.raises(UpstreamFailed) as failed:
        read_answer(wire)

    assert failed.value.code == "upstream_invalid_response"


RENAMES = [
    pytest.param(
        b'{"a":{"model":"x"}, "model" : "up","output":[ ]}',
        b'{"a":{"model":"x"}, "model" : "mine","output":[ ]}',
        id="its own",
    ),
    pytest.param(b'{"output":[{"model":"x"}]}', b'{"output":[{"model":"x"}]}', id="none is added"),
    pytest.param(b'{"model":null,"output":[]}', b'{"model":null,"output":[]}', id="null stays"),
]


@pytest.mark.parametrize(("wire", "expected"), RENAMES)
def test_an_answer_is_renamed(wire: bytes, expected: bytes) -> None:
    assert expected == RESPONSES.rename(wire, "mine")
