"""What the client sees of every way in which a provider can fail: before the first byte, and after it."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket

import pytest

from tests.support.front import BEARER, CHAT_PATH, PROVIDER_KEY, Answer, Front, chat_body, front, request, settings
from tests.support.upstream import (
    Close,
    RawUpstream,
    Reset,
    Stall,
    Step,
    Wait,
    chunk,
    head,
    json_answer,
    sse_answer,
    sse_head,
)

ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
BEGIN = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
FINISH = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"
WHOLE = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
QUICK = "timeout = { connect = '200ms', first = '50ms', whole = '50ms', idle = '50ms', total = '5s' }"

INVALID = "invalid_request_error"
SERVER = "server_error"


def refusal(status: int, message: str = "no", **fields: object) -> bytes:
    return json_answer({"error": {"message": message, **fields}}, status=status)


STATUSES = [
    pytest.param(refusal(400), (400, INVALID, None, None), id="400"),
    pytest.param(
        refusal(400, param="messages[0]", code="bad"), (400, INVALID, "bad", "messages[0]"), id="400 with names"
    ),
    pytest.param(
        refusal(400, code="context_length_exceeded"), (400, INVALID, "context_length_exceeded", None), id="too long"
    ),
    pytest.param(
        refusal(400, code="content_filter"), (400, INVALID, "content_policy_violation", None), id="refused by policy"
    ),
    pytest.param(refusal(422), (400, INVALID, None, None), id="422"),
    pytest.param(refusal(413), (413, INVALID, "request_too_large", None), id="413"),
    pytest.param(refusal(401), (502, SERVER, "upstream_auth_error", None), id="401"),
    pytest.param(refusal(403), (502, SERVER, "upstream_auth_error", None), id="403"),
    pytest.param(refusal(402), (502, SERVER, "upstream_quota", None), id="402"),
    pytest.param(refusal(404), (404, INVALID, "model_not_found", "model"), id="404 in JSON"),
    pytest.param(head(404, {"Content-Length": "2"}) + b"no", (502, SERVER, "upstream_error", None), id="404 as text"),
    pytest.param(refusal(408), (504, SERVER, "upstream_timeout", None), id="408"),
    pytest.param(refusal(504), (504, SERVER, "upstream_timeout", None), id="504"),
    pytest.param(refusal(503), (503, SERVER, "overloaded", None), id="503"),
    pytest.param(refusal(529), (503, SERVER, "overloaded", None), id="529"),
    pytest.param(refusal(409), (502, SERVER, "upstream_error", None), id="409"),
    pytest.param(refusal(418), (502, SERVER, "upstream_error", None), id="418"),
    pytest.param(refusal(500), (502, SERVER, "upstream_error", None), id="500"),
    pytest.param(refusal(429), (429, "rate_limit_error", "rate_limit_exceeded", None), id="429"),
    pytest.param(refusal(429, code="insufficient_quota"), (502, SERVER, "upstream_quota", None), id="429 of quota"),
    pytest.param(head(204), (502, SERVER, "upstream_error", None), id="204"),
    pytest.param(json_answer(WHOLE, status=205), (502, SERVER, "upstream_error", None), id="205"),
    pytest.param(head(304), (502, SERVER, "upstream_error", None), id="304"),
    pytest.param(json_answer(WHOLE, status=201), (502, SERVER, "upstream_error", None), id="201"),
    pytest.param(json_answer(WHOLE, status=999), (502, SERVER, "upstream_error", None), id="999"),
]


@pytest.mark.parametrize(("wire", "expected"), STATUSES)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_status_becomes_ours(
    upstream: RawUpstream, wire: bytes, expected: tuple[object, ...], stream: bool
) -> None:
    upstream.script(wire)
    async with front(settings(upstream.url)) as server:
        answer = await server.chat(stream=stream)

    assert answer.error() == expected
    assert answer.header("X-ModelServer-Provider") == "up"
    assert (answer.header("Retry-After") is not None) is (answer.status in (429, 503))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_never_followed(upstream: RawUpstream, status: int) -> None:
    async with RawUpstream(default=[json_answer(WHOLE)]) as elsewhere:
        upstream.script(head(status, {"Location": f"{elsewhere.url}/v1/chat/completions", "Content-Length": "0"}))
        async with front(settings(upstream.url)) as server:
            answer = await server.chat()

        assert answer.error() == (502, SERVER, "upstream_error", None)
        assert elsewhere.connections == []
    assert len(upstream.requests) == 1


BROKEN: list[object] = [
    pytest.param((Reset(),), "upstream_error", id="reset before the status"),
    pytest.param((Close(),), "upstream_error", id="end before the status"),
    pytest.param((b"hello\r\n\r\n", Close()), "upstream_error", id="no HTTP"),
    pytest.param((b"HTTP/1.1 200 OK\r\nContent-Le", Close()), "upstream_error", id="half a head"),
    pytest.param(
        (head(200, [("Content-Length", "2"), ("Content-Length", "3")]) + b"{}", Close()),
        "upstream_error",
        id="two lengths",
    ),
    pytest.param((head(200, {"Content-Length": "99"}) + b"{", Reset()), "upstream_error", id="reset in the body"),
    pytest.param((head(200, {"Content-Length": "99"}) + b"{", Close()), "upstream_error", id="body shorter than told"),
    pytest.param((head(200, {"Transfer-Encoding": "chunked"}) + b"zz\r\n", Stall()), "upstream_error", id="bad chunk"),
    pytest.param((json_answer(b""),), "upstream_invalid_response", id="empty"),
    pytest.param((json_answer(b"<html>"),), "upstream_invalid_response", id="HTML"),
    pytest.param((json_answer({}),), "upstream_invalid_response", id="empty object"),
    pytest.param((json_answer(None),), "upstream_invalid_response", id="null"),
    pytest.param((json_answer({"choices": []}),), "upstream_invalid_response", id="no choices"),
    pytest.param((json_answer(b'{"choices":[{"x":NaN}]}'),), "upstream_invalid_response", id="NaN"),
    pytest.param((json_answer(b"[" * 100_000),), "upstream_invalid_response", id="deep"),
    pytest.param(
        (json_answer(b"x", headers={"Content-Encoding": "br"}),), "upstream_invalid_response", id="unasked coding"
    ),
    pytest.param((sse_answer([BEGIN, FINISH, DONE]),), "upstream_invalid_response", id="stream where JSON was asked"),
]


@pytest.mark.parametrize(("steps", "code"), BROKEN)
async def test_an_answer_that_makes_no_sense_is_a_502(
    upstream: RawUpstream, steps: tuple[Step, ...], code: str
) -> None:
    upstream.script(*steps)
    async with front(settings(upstream.url)) as server:
        answer = await server.chat()

    assert answer.error() == (502, SERVER, code, None)


CODINGS = [
    pytest.param(gzip.compress(json.dumps(WHOLE).encode()), 200, id="gzip"),
    pytest.param(b"no gzip", 502, id="not as it says"),
    pytest.param(gzip.compress(json.dumps(WHOLE).encode())[:-9], 502, id="cut"),
    pytest.param(gzip.compress(bytes(40_000_000)), 502, id="bomb"),
]


@pytest.mark.parametrize(("body", "status"), CODINGS)
async def test_a_body_that_is_coded_unasked_is_decoded_within_the_limit(
    upstream: RawUpstream, body: bytes, status: int
) -> None:
    upstream.script(json_answer(body, headers={"Content-Encoding": "gzip"}))
    async with front(settings(upstream.url)) as server:
        answer = await server.chat()

    assert (answer.status, answer.header("Content-Encoding")) == (status, None)


async def test_an_answer_over_the_limit_is_a_502(upstream: RawUpstream) -> None:
    upstream.script(json_answer({**WHOLE, "pad": "x" * 32_000_000}))
    async with front(settings(upstream.url)) as server:
        answer = await server.chat()

    assert answer.error() == (502, SERVER, "upstream_too_large", None)


async def test_nobody_at_the_address_is_a_502() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        async with front(settings(f"http://127.0.0.1:{taken.getsockname()[1]}")) as server:
            answer = await server.chat()

    assert answer.error() == (502, SERVER, "upstream_unreachable", None)


SILENCES = [
    pytest.param((Stall(),), False, id="no status"),
    pytest.param((Stall(),), True, id="no status, stream"),
    pytest.param((sse_head(), Stall()), True, id="no event"),
    pytest.param((sse_head(), chunk(ROLE), Stall()), True, id="no content"),
    pytest.param((head(200, {"Content-Length": "9"}), Stall()), False, id="no body"),
    pytest.param((head(200, {"Content-Length": "9"}) + b"{", Stall()), False, id="half a body"),
]


@pytest.mark.usefixtures("quick_sweep")
@pytest.mark.parametrize(("steps", "stream"), SILENCES)
async def test_silence_is_a_504_and_the_provider_is_let_go_of(
    upstream: RawUpstream, steps: tuple[Step, ...], stream: bool
) -> None:
    upstream.script(*steps)
    async with front(settings(upstream.url, provider=QUICK)) as server:
        answer = await server.chat(stream=stream)
        await upstream.closed(within_s=1.0)

    assert answer.error() == (504, SERVER, "upstream_timeout", None)


FIRST = [
    pytest.param((sse_answer([DONE]),), "upstream_invalid_response", id="only the end"),
    pytest.param((sse_answer([ROLE]),), "upstream_error", id="no content"),
    pytest.param((sse_answer([ROLE, DONE]),), "upstream_error", id="end without a finish"),
    pytest.param((sse_head(), chunk(ROLE), Reset()), "upstream_error", id="reset"),
    pytest.param((sse_answer([b"data: {no json}\n\n"]),), "upstream_invalid_response", id="no JSON"),
    pytest.param((sse_answer([b"data: 7\n\n"]),), "upstream_invalid_response", id="no object"),
    pytest.param((sse_answer([b"data: \xff\n\n"]),), "upstream_invalid_response", id="no UTF-8"),
    pytest.param((sse_answer([b"<html>\n\n"]),), "upstream_invalid_response", id="HTML"),
    pytest.param((json_answer(b"<html>", headers={}),), "upstream_invalid_response", id="HTML called JSON"),
]


@pytest.mark.parametrize(("steps", "code"), FIRST)
async def test_a_stream_that_fails_before_its_content_has_a_true_status(
    upstream: RawUpstream, steps: tuple[Step, ...], code: str
) -> None:
    upstream.script(*steps)
    async with front(settings(upstream.url)) as server:
        answer = await server.chat(stream=True)

    assert answer.error() == (502, SERVER, code, None)


ERRORS_IN_200 = [
    pytest.param({"message": "slow down", "code": 429}, 429, id="number in code"),
    pytest.param({"message": "slow down", "code": "503"}, 503, id="number as text"),
    pytest.param({"message": "bad", "code": 400}, 400, id="the caller's fault"),
    pytest.param({"message": "oops", "code": "oops"}, 502, id="a word"),
    pytest.param("oops", 502, id="a string"),
]


@pytest.mark.parametrize(("error", "status"), ERRORS_IN_200)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_an_error_in_a_200_has_its_own_status(
    upstream: RawUpstream, error: object, status: int, stream: bool
) -> None:
    upstream.script(sse_answer([ROLE, {"error": error}]) if stream else json_answer({"error": error}))
    async with front(settings(upstream.url)) as server:
        assert (await server.chat(stream=stream)).status == status


async def begun(server: Front, upstream: RawUpstream, *steps: Step) -> Answer:
    """The answer to a stream whose first content has reached the client before the provider goes on."""
    gate = asyncio.Event()
    upstream.script(sse_head(), chunk(BEGIN), Wait(gate), *steps)
    caller = await server.connect()
    await caller.send(request("POST", CHAT_PATH, BEARER, chat_body(stream=True)))
    status, headers = await caller.head()
    first = await caller.until(BEGIN + b"\r\n")
    gate.set()
    return Answer(status, headers, first.partition(b"\r\n")[2][:-2] + await caller.chunks())


def ended_with_error(answer: Answer, code: str) -> None:
    """The stream holds what came, then one error event, and no sign of success."""
    assert (answer.status, answer.body[: len(BEGIN)]) == (200, BEGIN)
    event, end = answer.body[len(BEGIN) :].split(b"\n\n")
    error = json.loads(event.removeprefix(b"data: "))["error"]
    assert (end, list(error), error["code"]) == (b"", ["message", "type", "param", "code"], code)


AFTER = [
    pytest.param((Reset(),), "upstream_error", id="reset"),
    pytest.param((Close(),), "upstream_error", id="end of the connection"),
    pytest.param((chunk(b""),), "upstream_error", id="polite end"),
    pytest.param((chunk(DONE), chunk(b"")), "upstream_error", id="done without a finish"),
    pytest.param((b"zz\r\n", Stall()), "upstream_error", id="bad chunk"),
    pytest.param((chunk(FINISH[:30]), chunk(b"")), "upstream_error", id="half a frame"),
    pytest.param((chunk(b"data: {]\n\n" + FINISH + DONE), chunk(b"")), "upstream_invalid_response", id="no JSON"),
    pytest.param((chunk(b"data: []\n\n" + FINISH + DONE), chunk(b"")), "upstream_invalid_response", id="no object"),
    pytest.param((chunk(b"data: \xff\n\n" + FINISH + DONE), chunk(b"")), "upstream_invalid_response", id="no UTF-8"),
    pytest.param((chunk(b"<html>\n\n" + FINISH + DONE), chunk(b"")), "upstream_invalid_response", id="HTML"),
    pytest.param(
        (chunk(b'data: {"error":{"message":"x"}}\n\n' + DONE), chunk(b"")), "upstream_error", id="error event"
    ),
    pytest.param(
        (chunk(b'data: {"error":{"code":429}}\n\n'), chunk(b"")), "rate_limit_exceeded", id="error with status"
    ),
]


@pytest.mark.usefixtures("quick_sweep")
@pytest.mark.parametrize(("steps", "code"), AFTER)
async def test_a_failure_after_bytes_is_one_error_event_and_no_success(
    upstream: RawUpstream, way: str, steps: tuple[Step, ...], code: str
) -> None:
    async with front(settings(upstream.url), way) as server:
        answer = await begun(server, upstream, *steps)

    ended_with_error(answer, code)
    assert len(upstream.requests) == 1


@pytest.mark.usefixtures("quick_sweep")
async def test_silence_after_bytes_is_one_error_event_and_no_success(upstream: RawUpstream, way: str) -> None:
    # Only the wait after the first content is short: a busy machine may be slow to begin.
    async with front(settings(upstream.url, provider="timeout = { idle = '200ms' }"), way) as server:
        answer = await begun(server, upstream, Stall())

    ended_with_error(answer, "upstream_timeout")
    assert len(upstream.requests) == 1


CUTS = [
    pytest.param((Reset(),), id="reset"),
    pytest.param((Close(),), id="end of the connection"),
    pytest.param((chunk(b"data: [DO"), chunk(b"")), id="half the end"),
]


@pytest.mark.parametrize("steps", CUTS)
async def test_a_cut_after_the_finish_loses_nothing_and_adds_nothing(
    upstream: RawUpstream, steps: tuple[Step, ...]
) -> None:
    async with front(settings(upstream.url)) as server:
        answer = await begun(server, upstream, chunk(FINISH), *steps)

    assert (answer.status, answer.body) == (200, BEGIN + FINISH)


SECRETS = f"key {PROVIDER_KEY} at api.inner.example:8443, Bearer abcdefgh12345678, sk-abcdefgh12345678 "


@pytest.mark.parametrize("status", [200, 400, 404, 409, 429, 500, 503])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_what_a_provider_says_is_redacted_and_cut(upstream: RawUpstream, status: int, stream: bool) -> None:
    message = f"{SECRETS}127.0.0.1:{upstream.port}\nline " + "x" * 5000
    upstream.script(refusal(status, message))
    async with front(settings(upstream.url)) as server:
        answer = await server.chat(stream=stream)

    assert answer.status >= 400
    assert PROVIDER_KEY not in answer.body.decode()
    assert "12345678" not in answer.body.decode()
    assert f"127.0.0.1:{upstream.port}" not in answer.body.decode()
    assert len(answer.json()["error"]["message"]) <= 700


async def test_an_error_event_within_a_stream_is_redacted_too(upstream: RawUpstream) -> None:
    failure = b'data: {"error":{"code":500,"message":"%b"}}\n\n' % SECRETS.encode()
    async with front(settings(upstream.url)) as server:
        answer = await begun(server, upstream, chunk(failure), chunk(b""))

    ended_with_error(answer, "upstream_error")
    assert PROVIDER_KEY not in answer.body.decode()


async def test_a_provider_that_answers_twice_answers_nobody_else(upstream: RawUpstream) -> None:
    other = json_answer({**WHOLE, "secret": "of another caller"})
    upstream.script(json_answer(WHOLE) + other)
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url)) as server:
        answers = [await server.chat(), await server.chat()]

    assert [answer.status for answer in answers] == [200, 200]
    assert b"secret" not in answers[1].body


async def test_a_pooled_connection_that_has_died_is_replaced_unseen(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE), Close())
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url)) as server:
        first = await server.chat()
        await upstream.closed()
        second = await server.chat()

    assert [first.status, second.status] == [200, 200]
    assert second.header("X-ModelServer-Attempts") == "1"
