"""OpenAI's client library for Node against the running server."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.support.dialogue import CALL, REASONING, SEALS, UPSTREAMS, Upstream, seals_in
from tests.support.front import front, settings
from tests.support.node import Node, client_for_node
from tests.support.upstream import (
    Close,
    RawUpstream,
    Reset,
    Stall,
    Step,
    Wait,
    chunk,
    event,
    json_answer,
    sse_answer,
    sse_head,
)

pytestmark = [pytest.mark.sdk, pytest.mark.asyncio(loop_scope="module")]

SAID = 'This is the mock model. You said: "Hello!"'

MOCK = """
[[models]]
model_id = "mock"
route = "mock/mock"
owned_by = "us"
"""
# Models at their providers' own APIs, each named by its dialect.
NATIVE = """
[providers.{each.dialect}-api]
base_url = "{url}"
key = "native-secret-0123456789"
speaks = ["{each.dialect}"]
[[models]]
model_id = "{each.dialect}"
route = "{each.dialect}-api/{each.model}"
"""
BEGUN = sse_head() + b"".join(
    chunk(event({"choices": [{"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}]}))
    for text in ("Half ", "an answer")
)
# The gateway runs in the same loop: after a few turns of it, the client has been sent what has come.
TURNS = (Wait(0.0),) * 8
ERROR_FRAME = {"error": {"message": "The engine broke down.", "type": "server_error", "code": "engine"}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def upstream() -> AsyncIterator[RawUpstream]:
    """The provider of the model `m`."""
    async with RawUpstream() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(node_libraries: Path, upstream: RawUpstream) -> AsyncIterator[Node]:
    native = "".join(NATIVE.format(each=each, url=upstream.url) for each in UPSTREAMS)
    async with (
        front(settings(upstream.url, MOCK + native)) as server,
        client_for_node("chat", node_libraries, f"http://127.0.0.1:{server.port}") as running,
    ):
        yield running


def error(kind: str, status: int | None, code: str, type: str, **more: Any) -> dict[str, Any]:
    """An error as the library shows it."""
    known = {"class": kind, "isAPIError": True, "status": status, "code": code, "type": type}
    return {**known, "param": None, "retryAfter": None, **more}


INVALID, SERVER = "invalid_request_error", "server_error"

REFUSED = [
    pytest.param(
        json_answer(ERROR_FRAME, status=400), error("BadRequestError", 400, "engine", INVALID), id="bad request"
    ),
    pytest.param(
        json_answer(ERROR_FRAME, status=401),
        error("InternalServerError", 502, "upstream_auth_error", SERVER),
        id="the server's own key is refused",
    ),
    pytest.param(
        json_answer(ERROR_FRAME, status=429, headers={"Retry-After": "40"}),
        error("RateLimitError", 429, "rate_limit_exceeded", "rate_limit_error", retryAfter="40"),
        id="rate limit",
    ),
    pytest.param(
        json_answer(ERROR_FRAME, status=500),
        error("InternalServerError", 502, "upstream_error", SERVER),
        id="the provider's fault",
    ),
    pytest.param(
        json_answer(ERROR_FRAME, status=503),
        error("InternalServerError", 503, "overloaded", SERVER, retryAfter="5"),
        id="overloaded",
    ),
]

# An error in a stream has no status: the library has begun to read by then.
CUT = error("APIError", None, "upstream_error", SERVER)
BROKEN = [
    pytest.param([Reset()], CUT, id="reset"),
    pytest.param([Close()], CUT, id="closed"),
    pytest.param([chunk(b"")], CUT, id="ended in good order, without a finish"),
    pytest.param([chunk(event("[DONE]")), chunk(b"")], CUT, id="done, without a finish"),
    pytest.param([chunk(event(ERROR_FRAME)), chunk(b"")], CUT, id="an error in the stream"),
    pytest.param(
        [chunk(event("not JSON")), chunk(b"")],
        error("APIError", None, "upstream_invalid_response", SERVER),
        id="an event that is not JSON",
    ),
]


async def test_a_completion_is_complete(node: Node) -> None:
    seen = await node.run("create")

    assert seen.pop("requestID").startswith("req_")
    assert seen == {"object": "chat.completion", "model": "mock", "text": SAID, "finish": "stop", "sums": True}


async def test_a_stream_is_read_to_its_end(node: Node) -> None:
    seen = await node.run("stream")

    assert seen == {"text": SAID, "finishes": ["stop"], "usages": [], "ended": True}


async def test_a_stream_ends_with_its_usage_where_it_is_wanted(node: Node) -> None:
    seen = await node.run("streamWithUsage")

    assert (seen["text"], len(seen["usages"])) == (SAID, 1)


async def test_a_stream_read_by_its_events_gathers_the_answer(node: Node) -> None:
    seen = await node.run("streamEvents")

    assert (seen["text"], seen["finish"], seen["deltas"] > 1) == (SAID, "stop", True)


async def test_a_providers_stream_is_read_to_its_end(node: Node, upstream: RawUpstream) -> None:
    finish = {"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    upstream.script(sse_answer([finish, "[DONE]"]))

    assert await node.run("stream", "m") == {"text": "Hi", "finishes": ["stop"], "usages": [], "ended": True}


async def test_a_tool_is_called_and_its_result_is_read(node: Node) -> None:
    seen = await node.run("tools")

    assert (seen["finish"], seen["names"], seen["arguments"]) == ("tool_calls", ["weather"], [["city"]])
    assert "12 degrees" in seen["text"]


async def test_a_streamed_tool_call_is_gathered(node: Node) -> None:
    seen = await node.run("streamedTools")

    assert seen == {"finish": "tool_calls", "call": ["function", "weather", "string"]}


async def test_tools_run_by_the_library_lead_to_the_answer(node: Node) -> None:
    seen = await node.run("runTools")

    assert (seen["cities"], "12 degrees" in seen["text"]) == (["string"], True)


async def test_the_models_are_listed(node: Node) -> None:
    assert await node.run("models") == {"ids": ["m", "mock", "anthropic", "gemini", "responses"]}


async def test_a_model_is_found(node: Node) -> None:
    assert await node.run("model") == {"entry": ["mock", "model", "us", "number"]}


async def test_a_wrong_key_is_an_authentication_error(node: Node) -> None:
    expected = error("AuthenticationError", 401, "authentication_error", "authentication_error")

    assert expected == await node.fail("create", key="sk-ms-wrong")


@pytest.mark.parametrize("scenario", ["create", "stream", "model"])
async def test_an_unknown_model_is_not_found(node: Node, scenario: str) -> None:
    expected = error("NotFoundError", 404, "model_not_found", INVALID, param="model")

    assert expected == await node.fail(scenario, "nobody")


async def test_a_wrong_field_is_a_bad_request_that_names_it(node: Node) -> None:
    refused = await node.fail("tooHot")

    assert (refused["class"], refused["status"], refused["param"]) == ("BadRequestError", 400, "temperature")


@pytest.mark.parametrize("scenario", ["create", "stream"])
@pytest.mark.parametrize(("answer", "expected"), REFUSED)
async def test_a_providers_refusal_has_its_class(
    node: Node, upstream: RawUpstream, answer: bytes, expected: dict[str, Any], scenario: str
) -> None:
    upstream.script(answer)

    assert expected == await node.fail(scenario, "m")


@pytest.mark.parametrize(("steps", "expected"), BROKEN)
async def test_a_stream_that_breaks_off_is_an_error_and_not_an_answer(
    node: Node, upstream: RawUpstream, steps: list[Step], expected: dict[str, Any]
) -> None:
    upstream.script(BEGUN, *TURNS, *steps)

    seen = await node.run("stream", "m")

    assert seen["error"].pop("message")
    assert {"text": "Half an answer", "finishes": [], "usages": [], "error": expected} == seen


async def test_a_client_that_leaves_ends_the_providers_stream(node: Node, upstream: RawUpstream) -> None:
    upstream.script(BEGUN, Stall())

    assert await node.run("leave", "m") == {"first": "Half "}

    assert (await upstream.closed(upstream.requests[-1].connection)).closed_by_peer


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("each", [pytest.param(each, id=each.dialect) for each in UPSTREAMS])
async def test_a_tool_conversation_over_a_native_api_keeps_its_seals_D45_D46(
    node: Node, upstream: RawUpstream, each: Upstream, streamed: bool
) -> None:
    answer = each.streamed if streamed else each.whole
    upstream.script(answer(0))
    upstream.script(answer(1))

    seen = await node.run("converseInStreams" if streamed else "converse", each.dialect)

    assert seen == {"reasoning": REASONING, "call": ["function", "weather", CALL], "text": "Sunny."}
    assert seals_in(each.dialect, json.loads(upstream.requests[-1].body)) == [SEALS[each.dialect]]
