"""How the failures of a provider that is reached through its own API look to an OpenAI client."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from modelserver.stores.keyfile import digest
from tests.support.dialogue import ANTHROPIC, GEMINI, RESPONSES, TOOL, UPSTREAMS, Upstream
from tests.support.front import KEY, Front, front
from tests.support.native import ASKED, native
from tests.support.upstream import RawUpstream, Wait, chunk, json_answer, sse_head

CLIENTS = f'[[keys]]\nname = "alice"\nhash = "sha256:{digest(KEY)}"'
LOST: dict[str, Any] = {"presence_penalty": 0.5, "prediction": {"type": "content", "content": "x"}}


@asynccontextmanager
async def talking(each: Upstream, *, retries: int = 0) -> AsyncIterator[tuple[RawUpstream, Front]]:
    async with (
        RawUpstream() as upstream,
        front(native(each, url=upstream.url, defaults=f"retries = {retries}", more=CLIENTS)) as server,
    ):
        yield upstream, server


def anthropic(kind: str, message: str = "no", **fields: Any) -> dict[str, Any]:
    return {"type": "error", "error": {"type": kind, "message": message, **fields}, "request_id": "req_1"}


def google(code: int, status: str, message: str = "no", **details: Any) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message, "status": status}
    if details:
        error["details"] = [details]
    return {"error": error}


def openais(code: str | None, kind: str = "invalid_request_error", message: str = "no") -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


SPENT = {"details": {"error_code": "enforced_spend_limit_reached"}}
KEY_INVALID = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}
RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7.5s"}
LONG = "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."

Case = tuple[Upstream, int, Mapping[str, Any], str]
CASES: Mapping[str, Case] = {
    # Anthropic
    "anthropic 400": (ANTHROPIC, 400, anthropic("invalid_request_error"), "400 invalid_request_error"),
    "anthropic too long": (
        ANTHROPIC,
        400,
        anthropic("invalid_request_error", "prompt is too long: 220000 tokens > 200000 maximum"),
        "400 invalid_request_error context_length_exceeded",
    ),
    "D88 anthropic 401": (
        ANTHROPIC,
        401,
        anthropic("authentication_error"),
        "502 server_error upstream_auth_error",
    ),
    "anthropic 402": (ANTHROPIC, 402, anthropic("billing_error"), "502 server_error upstream_quota"),
    "D88 anthropic 403": (ANTHROPIC, 403, anthropic("permission_error"), "502 server_error upstream_auth_error"),
    "anthropic 404": (ANTHROPIC, 404, anthropic("not_found_error"), "404 invalid_request_error model_not_found"),
    "anthropic 413": (ANTHROPIC, 413, anthropic("request_too_large"), "413 invalid_request_error request_too_large"),
    "anthropic 429": (ANTHROPIC, 429, anthropic("rate_limit_error"), "429 rate_limit_error rate_limit_exceeded"),
    "D73 anthropic 429 of money": (
        ANTHROPIC,
        429,
        anthropic("rate_limit_error", **SPENT),
        "502 server_error upstream_quota",
    ),
    "anthropic 500": (ANTHROPIC, 500, anthropic("api_error"), "502 server_error upstream_error"),
    "anthropic 504": (ANTHROPIC, 504, anthropic("timeout_error"), "504 server_error upstream_timeout"),
    "D73 anthropic 529": (ANTHROPIC, 529, anthropic("overloaded_error"), "503 server_error overloaded"),
    "D72 anthropic in a 200": (ANTHROPIC, 200, anthropic("overloaded_error"), "503 server_error overloaded"),
    # Gemini
    "gemini 400": (GEMINI, 400, google(400, "INVALID_ARGUMENT"), "400 invalid_request_error"),
    "gemini too long": (
        GEMINI,
        400,
        google(400, "INVALID_ARGUMENT", LONG),
        "400 invalid_request_error context_length_exceeded",
    ),
    "D74 gemini key": (
        GEMINI,
        400,
        google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", **KEY_INVALID),
        "502 server_error upstream_auth_error",
    ),
    "D88 gemini 401": (GEMINI, 401, google(401, "UNAUTHENTICATED"), "502 server_error upstream_auth_error"),
    "D88 gemini 403": (GEMINI, 403, google(403, "PERMISSION_DENIED"), "502 server_error upstream_auth_error"),
    "gemini 404": (GEMINI, 404, google(404, "NOT_FOUND"), "404 invalid_request_error model_not_found"),
    "gemini 429": (GEMINI, 429, google(429, "RESOURCE_EXHAUSTED"), "429 rate_limit_error rate_limit_exceeded"),
    "gemini 500": (GEMINI, 500, google(500, "INTERNAL"), "502 server_error upstream_error"),
    "gemini 503": (GEMINI, 503, google(503, "UNAVAILABLE"), "503 server_error overloaded"),
    "gemini 504": (GEMINI, 504, google(504, "DEADLINE_EXCEEDED"), "504 server_error upstream_timeout"),
    "D72 gemini in a 200": (GEMINI, 200, google(503, "UNAVAILABLE"), "503 server_error overloaded"),
    # OpenAI Responses
    "responses 400": (RESPONSES, 400, openais("bad_value"), "400 invalid_request_error bad_value"),
    "responses too long": (
        RESPONSES,
        400,
        openais("context_length_exceeded"),
        "400 invalid_request_error context_length_exceeded",
    ),
    "D88 responses 401": (RESPONSES, 401, openais("invalid_api_key"), "502 server_error upstream_auth_error"),
    "responses 404": (RESPONSES, 404, openais("model_not_found"), "404 invalid_request_error model_not_found"),
    "responses 429": (
        RESPONSES,
        429,
        openais("rate_limit_exceeded", "requests"),
        "429 rate_limit_error rate_limit_exceeded",
    ),
    "responses 429 of money": (
        RESPONSES,
        429,
        openais("insufficient_quota", "insufficient_quota"),
        "502 server_error upstream_quota",
    ),
    "responses 500": (RESPONSES, 500, openais(None, "server_error"), "502 server_error upstream_error"),
    "responses 503": (RESPONSES, 503, openais(None, "server_error"), "503 server_error overloaded"),
}
BEFORE = [pytest.param(*case, id=f"D69 {name}") for name, case in CASES.items()]


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("each", "status", "body", "expected"), BEFORE)
async def test_an_error_before_the_answer(
    each: Upstream, status: int, body: Mapping[str, Any], expected: str, streamed: bool
) -> None:
    async with talking(each) as (upstream, server):
        upstream.script(json_answer(body, status))
        answer = await server.chat(stream=streamed)

    said = answer.error()
    shown = " ".join(str(each) for each in said[:3] if each is not None)
    assert shown == expected.removesuffix("")
    assert "native-secret" not in answer.body.decode()


def event(data: Mapping[str, Any]) -> bytes:
    name = f"event: {data['type']}\n" if "type" in data else ""
    return f"{name}data: {json.dumps(data)}\n\n".encode()


FAILED = {
    "type": "response.failed",
    "sequence_number": 99,
    "response": {
        "id": "resp_1",
        "object": "response",
        "status": "failed",
        "error": {"code": "rate_limit_exceeded", "message": "Rate limit reached. Please try again in 3 s."},
        "output": [],
        "usage": None,
    },
}
IN_STREAM: Mapping[str, tuple[Upstream, bytes, str]] = {
    "D73 anthropic overloaded": (ANTHROPIC, event(anthropic("overloaded_error")), "503 overloaded"),
    "anthropic api_error": (ANTHROPIC, event(anthropic("api_error")), "502 upstream_error"),
    "anthropic rate_limit_error": (ANTHROPIC, event(anthropic("rate_limit_error")), "429 rate_limit_exceeded"),
    "D88 anthropic authentication_error": (
        ANTHROPIC,
        event(anthropic("authentication_error")),
        "502 upstream_auth_error",
    ),
    "gemini 503": (GEMINI, event(google(503, "UNAVAILABLE")), "503 overloaded"),
    "gemini 500": (GEMINI, event(google(500, "INTERNAL")), "502 upstream_error"),
    "gemini 429": (GEMINI, event(google(429, "RESOURCE_EXHAUSTED")), "429 rate_limit_exceeded"),
    "D74 gemini key": (GEMINI, event(google(400, "INVALID_ARGUMENT", **KEY_INVALID)), "502 upstream_auth_error"),
    "responses failed": (RESPONSES, event(FAILED), "429 rate_limit_exceeded"),
    "responses error": (
        RESPONSES,
        event({"type": "error", "code": "server_error", "message": "no", "param": None, "sequence_number": 99}),
        "502 upstream_error",
    ),
}
INSIDE = [pytest.param(*case, id=f"D69 {name}") for name, case in IN_STREAM.items()]
WITH_CONTENT = {"anthropic": 4, "gemini": 1, "responses": 5}
"""How many events of the first answer it takes until its client has been told something."""


@pytest.mark.parametrize(("each", "failure", "expected"), INSIDE)
async def test_an_error_in_a_stream_before_its_content_has_its_status(
    each: Upstream, failure: bytes, expected: str
) -> None:
    """D99"""
    first = b"" if each is GEMINI else each.frames(0)[0]
    async with talking(each) as (upstream, server):
        upstream.script(sse_head() + chunk(first + failure) + b"0\r\n\r\n")
        answer = await server.chat(stream=True)

    status, _, code, _ = answer.error()
    assert f"{status} {code}" == expected


@pytest.mark.parametrize(("each", "failure", "expected"), INSIDE)
async def test_an_error_behind_content_ends_the_stream(each: Upstream, failure: bytes, expected: str) -> None:
    begun = b"".join(each.frames(0)[: WITH_CONTENT[each.dialect]])
    async with talking(each) as (upstream, server):
        # in a read of its own: what comes together with content is still before the answer
        upstream.script(sse_head() + chunk(begun), Wait(0.05), chunk(failure) + b"0\r\n\r\n")
        answer = await server.chat(stream=True)

    assert answer.status == 200
    assert b"I should " in answer.body
    assert b"[DONE]" not in answer.body
    last = answer.body.removesuffix(b"\n\n").rpartition(b"\n\n")[2]
    assert json.loads(last.removeprefix(b"data: "))["error"]["code"] == expected.split()[1]


@pytest.mark.parametrize("each", [pytest.param(each, id=each.dialect) for each in UPSTREAMS])
async def test_what_is_no_answer_is_the_providers_fault(each: Upstream) -> None:
    """D72"""
    async with talking(each) as (upstream, server):
        upstream.script(json_answer({}))
        whole = await server.chat()
        upstream.script(json_answer({}))
        streamed = await server.chat(stream=True)
        upstream.script(json_answer([], 500))
        refused = await server.chat()

    assert whole.error()[:3] == (502, "server_error", "upstream_invalid_response")
    assert streamed.error()[:3] == (502, "server_error", "upstream_invalid_response")
    assert refused.error()[:3] == (502, "server_error", "upstream_error")


async def test_the_pause_that_gemini_asks_for_in_its_body_is_told() -> None:
    async with talking(GEMINI) as (upstream, server):
        upstream.script(json_answer(google(429, "RESOURCE_EXHAUSTED", **RETRY), 429))
        answer = await server.chat()

    assert answer.error()[0] == 429
    assert answer.header("Retry-After") == "8"


async def test_a_header_says_more_of_the_pause_than_the_body() -> None:
    async with talking(GEMINI) as (upstream, server):
        upstream.script(json_answer(google(429, "RESOURCE_EXHAUSTED", **RETRY), 429, {"Retry-After": "3"}))
        answer = await server.chat()

    assert answer.header("Retry-After") == "3"


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("each", [pytest.param(each, id=each.dialect) for each in UPSTREAMS])
async def test_what_was_dropped_is_in_a_header(each: Upstream, streamed: bool) -> None:
    async with talking(each) as (upstream, server):
        upstream.script(each.streamed(0) if streamed else each.whole(0))
        answer = await server.chat(stream=streamed, messages=[ASKED], tools=[TOOL], **LOST)

    codes = (answer.header("x-modelserver-dropped") or "").split(",")
    assert answer.status == 200
    assert sorted(codes) == sorted({"field_dropped:prediction", *(["penalties_dropped"] if each is not GEMINI else [])})


@pytest.mark.sdk
async def test_the_official_client_raises_what_it_raises_for_openai() -> None:
    async with (
        talking(ANTHROPIC) as (upstream, server),
        openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{server.port}/v1", api_key=KEY, max_retries=0) as client,
    ):
        upstream.script(json_answer(anthropic("rate_limit_error"), 429))
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "Hi"}])
        begun = chunk(b"".join(ANTHROPIC.frames(0)[:5]))
        upstream.script(sse_head() + begun, Wait(0.05), chunk(event(anthropic("api_error"))) + b"0\r\n\r\n")
        with pytest.raises(openai.APIError, match="no"):
            async for _ in await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "Hi"}], stream=True
            ):
                pass
