"""Counting tokens with the Messages API."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.anthropic import ANTHROPIC
from modelserver.dialects.dialect import Counter
from modelserver.errors import InvalidRequest, Unsupported, UpstreamFailed
from modelserver.ir.request import HostedTool, Request, Sampling, ToolChoice
from modelserver.ir.types import NOWHERE, Complaint
from tests.support.anthropic import MANUAL, chat, profile, thinks, tool

WIRE = b'{"messages":[{"role":"user","content":"a"}], "model" :"m","temperature":7e-1}'


def counter() -> Counter:
    found = ANTHROPIC.counter
    assert found is not None
    return found


def test_a_request_needs_no_limit_and_leaves_with_its_bytes() -> None:
    ask = counter().read_request(WIRE, NOWHERE)

    assert (ask.model, ask.stream) == ("m", False)
    assert counter().forward(ask, "m") == WIRE
    assert counter().forward(ask, "up") == WIRE.replace(b'"m"', b'"up"')
    assert counter().place("up") == ("/v1/messages/count_tokens", {})


def test_a_count_is_never_streamed() -> None:
    ask = counter().read_request(WIRE[:-1] + b',"stream":true}', NOWHERE)

    assert (ask.stream, ask.wants_usage) == (False, False)


REFUSED = [
    pytest.param(b'{"model":"m"}', "messages", id="no messages"),
    pytest.param(b'{"messages":[{"role":"user","content":"a"}]}', "model", id="no model"),
    pytest.param(WIRE[:-1] + b',"max_tokens":-1}', "max_tokens", id="a limit below zero"),
    pytest.param(WIRE[:-1] + b',"model":"n"}', "model", id="two models"),
    pytest.param(WIRE[:-1] + b',"thread":{}}', "thread", id="a thread"),
]


@pytest.mark.parametrize(("wire", "param"), REFUSED)
def test_a_wrong_request_is_refused(wire: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        counter().read_request(wire, NOWHERE)

    assert param == refused.value.param


ANSWERS = [
    pytest.param(b'{"input_tokens":14}', 14, id="a count"),
    pytest.param(b'{"context_management":{"original_input_tokens":9},"input_tokens": 0}', 0, id="zero, and more"),
    pytest.param(
        b'{"type":"error","error":{"type":"not_found_error","message":"m"}}',
        Complaint(status=404, message="m", type="not_found_error", in_json=True),
        id="an error",
    ),
]


@pytest.mark.parametrize(("wire", "expected"), ANSWERS)
def test_an_answer_is_read(wire: bytes, expected: int | Complaint) -> None:
    assert expected == counter().read_answer(wire)


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"5",
        b"{}",
        b'{"input_tokens":null}',
        b'{"input_tokens":"5"}',
        b'{"input_tokens":5.0}',
        b'{"input_tokens":true}',
        b'{"input_tokens":-1}',
        b'{"input_tokens":1099511627777}',
    ],
)
def test_what_is_no_count_fails(wire: bytes) -> None:
    with pytest.raises(UpstreamFailed) as failed:
        counter().read_answer(wire)

    assert failed.value.code == "upstream_invalid_response"


def test_a_count_is_written() -> None:
    assert counter().encode_answer(14) == b'{"input_tokens":14}'


def test_a_request_is_decoded_without_a_limit() -> None:
    request = counter().decode_request(WIRE)

    assert (request.model, request.max_output, request.sampling.temperature) == ("m", None, 0.7)


def test_a_thread_is_not_decoded() -> None:
    with pytest.raises(Unsupported):
        counter().decode_request(WIRE[:-1] + b',"thread":{}}')


def encoded(request: Request, **card: Any) -> dict[str, Any]:
    found = counter().encode_request(request, profile(attrs.evolve(MANUAL, **card)))
    assert found.path == "/v1/messages/count_tokens"
    assert found.headers == {"anthropic-version": "2023-06-01"}
    wire: dict[str, Any] = orjson.loads(found.body)
    return wire


SEARCH = HostedTool(family="web_search", dialect="responses", raw={"type": "web_search"})
F = {"name": "f", "input_schema": {"type": "object", "properties": {}}}
MESSAGES = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
BARE = {"model": "claude-x", "messages": MESSAGES}
ENCODED = [
    pytest.param(chat(), BARE, id="the messages"),
    pytest.param(
        chat(
            sampling=Sampling(temperature=0.5, top_k=4, stop=("x",)),
            max_output=9,
            stream=True,
            service_tier="default",
        ),
        BARE,
        id="how to generate does not count",
    ),
    pytest.param(chat(tools=(tool("f"),)), {**BARE, "tools": [F]}, id="a function"),
    pytest.param(chat(tools=(tool("f"), SEARCH)), {**BARE, "tools": [F]}, id="a hosted tool is left out"),
    pytest.param(chat(tools=(SEARCH,), tool_choice=ToolChoice(mode="auto")), BARE, id="and the choice of none"),
    pytest.param(
        chat(tools=(tool("f"), SEARCH), tool_choice=ToolChoice(mode="required", hosted="web_search")),
        {**BARE, "tools": [F]},
        id="and the choice of that one",
    ),
    pytest.param(
        chat(tools=(tool("f"), SEARCH), tool_choice=ToolChoice(mode="required", only=("f",))),
        {**BARE, "tools": [F], "tool_choice": {"type": "tool", "name": "f"}},
        id="the choice of another stays",
    ),
    pytest.param(
        chat(reasoning=thinks(budget=2000), max_output=9000),
        {**BARE, "thinking": {"type": "enabled", "budget_tokens": 2000}},
        id="thinking",
    ),
]


@pytest.mark.parametrize(("request_", "expected"), ENCODED)
def test_a_request_of_another_dialect_is_written_for_the_counter(request_: Request, expected: dict[str, Any]) -> None:
    assert expected == encoded(request_)


def test_servers_and_hosted_tools_of_this_api_are_left_out_and_those_that_the_client_runs_stay() -> None:
    memory = {"type": "memory_20250818", "name": "memory"}
    search = {"type": "web_search_20250305", "name": "web_search"}
    body = {**orjson.loads(WIRE), "tools": [memory, search, F], "mcp_servers": [{"name": "x"}]}
    wire = encoded(counter().decode_request(orjson.dumps(body)))

    assert wire["tools"] == [memory, F]
    assert wire.keys() == {"model", "messages", "tools"}
