"""Faults of a provider before anything has gone to the client: what the client is told, and how often it was tried."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from modelserver.gateway import attempts
from modelserver.policy import faults
from tests.support.front import KEY, PROVIDER_KEY
from tests.support.upstream import (
    Close,
    RawUpstream,
    Received,
    Reset,
    Script,
    Stall,
    Step,
    Wait,
    chunk,
    chunked,
    head,
    json_answer,
    sse_answer,
    sse_head,
)
from tests.support.waiting import until
from tests.support.watched import watched

SHORT = 'timeout = { first = "100ms", whole = "100ms", idle = "300ms" }'
JSON = {"Content-Type": "application/json"}
CHUNKED = {"Transfer-Encoding": "chunked"}
CHOICE = {"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}
GOOD = json_answer({"id": "c1", "object": "chat.completion", "model": "m", "choices": [CHOICE]})
EVENT = {"id": "c1", "choices": [{"index": 0, "delta": {"content": "Hi."}, "finish_reason": None}]}
FINISH = {"id": "c1", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}
GOOD_STREAM = sse_answer([EVENT, FINISH, "[DONE]"])

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow one another at once."""
    monkeypatch.setattr(attempts, "backoff_s", lambda *_, **__: 0.0)
    monkeypatch.setattr(faults, "_RATE_LIMIT_WAIT_S", 0.0)


def good(request: Received) -> Script:
    return [GOOD_STREAM if request.json().get("stream") else GOOD]


def patience(told: tuple[Any, ...]) -> str:
    """Short time limits where one is to be reached; elsewhere a slow machine must not reach one."""
    return SHORT if told is TIMEOUT else ""


def leaky(upstream: RawUpstream) -> dict[str, Any]:
    """An error that says everything it must not."""
    message = f"Key {PROVIDER_KEY} of {KEY} refused at {upstream.url}/v1 (127.0.0.1:{upstream.port}).\nTry again."
    return {"error": {"message": message, "type": "some_error", "param": None, "code": "some_code"}}


UPSTREAM_ERROR = (502, "server_error", "upstream_error", None)
UNREACHABLE = (502, "server_error", "upstream_unreachable", None)
INVALID = (502, "server_error", "upstream_invalid_response", None)
TIMEOUT = (504, "server_error", "upstream_timeout", None)


# No connection.


@BOTH
async def test_a_provider_that_refuses_is_tried_twice(upstream: RawUpstream, stream: bool) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        async with watched(upstream, "retries = 5", url=f"http://127.0.0.1:{taken.getsockname()[1]}") as gateway:
            answer = await gateway.chat(stream=stream)

    assert answer.error() == UNREACHABLE
    assert answer.header("X-ModelServer-Attempts") == "2"


@BOTH
async def test_a_provider_without_an_address_is_tried_twice(upstream: RawUpstream, stream: bool) -> None:
    async with watched(upstream, "retries = 5", url="http://provider.invalid") as gateway:
        answer = await gateway.chat(stream=stream)

    assert answer.error() == UNREACHABLE
    assert answer.header("X-ModelServer-Attempts") == "2"
    assert b"provider.invalid" not in answer.body


@BOTH
async def test_a_provider_that_does_not_accept_is_a_timeout(
    upstream: RawUpstream, stream: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watched(upstream, 'retries = 5\ntimeout = { connect = "20ms" }') as gateway:

        async def never(*_: object, **__: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(gateway.transport, "_connect_to", never)
        answer = await gateway.chat(stream=stream)

    assert answer.error() == TIMEOUT
    assert answer.header("X-ModelServer-Attempts") == "2"


# No answer, or none that makes sense. Steps, what the client is told, how often it is tried with `retries = 1`.

NO_ANSWER = [
    pytest.param([Reset()], UPSTREAM_ERROR, 2, id="reset"),
    pytest.param([Close()], UPSTREAM_ERROR, 2, id="FIN"),
    pytest.param([b"\x00\xff garbage\r\n\r\n", Stall()], UPSTREAM_ERROR, 2, id="garbage"),
    pytest.param(
        [head(200, [("Content-Length", "2"), ("Content-Length", "3")]), b"{}", Stall()],
        UPSTREAM_ERROR,
        2,
        id="two lengths",
    ),
    pytest.param(
        [head(200, {"Content-Length": "2", **CHUNKED}), b"{}", Stall()], UPSTREAM_ERROR, 2, id="length and chunks"
    ),
    pytest.param([head(200, {"A": "a" * 20_000}), Stall()], UPSTREAM_ERROR, 2, id="a head without end"),
    pytest.param([head(103) * 3, Close()], UPSTREAM_ERROR, 2, id="1xx only"),
    pytest.param([head(100), Stall()], TIMEOUT, 1, id="1xx, then silence"),
    pytest.param([Stall()], TIMEOUT, 1, id="silence"),
    pytest.param([b"HTTP/1.1 200 OK\r\nContent-", Stall()], TIMEOUT, 1, id="silence within the head"),
]
NO_BODY = [
    pytest.param([Stall()], TIMEOUT, 1, id="silence"),
    pytest.param([Reset()], UPSTREAM_ERROR, 2, id="reset"),
    pytest.param([b"zz\r\n", Stall()], UPSTREAM_ERROR, 2, id="malformed chunk size"),
    pytest.param([b"5\r\n{", Close()], UPSTREAM_ERROR, 2, id="FIN within a chunk"),
]


@BOTH
@pytest.mark.parametrize(("steps", "told", "tries"), NO_ANSWER)
async def test_no_answer(
    upstream: RawUpstream, stream: bool, steps: list[Step], told: tuple[Any, ...], tries: int
) -> None:
    upstream.default = steps
    async with watched(upstream, f"retries = 1\n{patience(told)}") as gateway:
        answer = await gateway.chat(stream=stream)

    assert answer.error() == told
    assert [request.connection for request in upstream.requests] == list(range(tries))


@pytest.mark.parametrize(("steps", "told", "tries"), NO_BODY)
async def test_no_whole_body(upstream: RawUpstream, steps: list[Step], told: tuple[Any, ...], tries: int) -> None:
    upstream.default = [head(200, {**JSON, **CHUNKED}), *steps]
    async with watched(upstream, f"retries = 1\n{patience(told)}") as gateway:
        answer = await gateway.chat()

    assert answer.error() == told
    assert len(upstream.requests) == tries


@pytest.mark.parametrize(("steps", "told", "tries"), NO_BODY)
async def test_no_stream_behind_its_head(
    upstream: RawUpstream, steps: list[Step], told: tuple[Any, ...], tries: int
) -> None:
    upstream.default = [sse_head(), *steps]
    async with watched(upstream, f"retries = 1\n{patience(told)}") as gateway:
        answer = await gateway.chat(stream=True)

    assert answer.error() == told
    assert len(upstream.requests) == tries


@BOTH
async def test_a_second_try_on_a_fresh_connection_helps(upstream: RawUpstream, stream: bool) -> None:
    upstream.script(Reset())
    upstream.default = good
    async with watched(upstream, "retries = 2") as gateway:
        answer = await gateway.chat(stream=stream)

    assert answer.status == 200
    assert [request.connection for request in upstream.requests] == [0, 1]
    assert answer.header("X-ModelServer-Attempts") == "2"


@BOTH
@pytest.mark.parametrize("end", [Reset(), Close()], ids=["reset", "FIN"])
async def test_a_stale_pooled_connection_is_no_try(upstream: RawUpstream, stream: bool, end: Step) -> None:
    upstream.script_from(good)
    upstream.script(end)
    upstream.default = good
    async with watched(upstream) as gateway:
        await gateway.chat(stream=stream)
        await gateway.rests()
        answer = await gateway.chat(stream=stream)

    assert answer.status == 200
    assert [request.connection for request in upstream.requests] == [0, 0, 1]
    assert answer.header("X-ModelServer-Attempts") == "1"


@BOTH
@pytest.mark.parametrize("late", [False, True], ids=["in the same breath", "later"])
async def test_an_answer_too_many_reaches_nobody(upstream: RawUpstream, stream: bool, late: bool) -> None:
    gate = asyncio.Event()
    theirs = json_answer({"choices": [{"message": {"content": "somebody else's"}}]})
    first = GOOD_STREAM if stream else GOOD
    upstream.script(*([first, Wait(gate), theirs] if late else [first + theirs]))
    upstream.default = good
    async with watched(upstream) as gateway:
        await gateway.chat(stream=stream)
        gate.set()
        await upstream.closed()
        answer = await gateway.chat(stream=stream)

    assert answer.status == 200
    assert b"somebody else's" not in answer.body
    assert upstream.requests[1].connection == 1


@BOTH
async def test_a_head_may_come_slowly(upstream: RawUpstream, stream: bool) -> None:
    gates = [asyncio.Event() for _ in range(4)]
    raw = GOOD_STREAM if stream else GOOD
    pieces: list[Step] = []
    for number, gate in enumerate(gates):
        pieces += [raw[number * 8 : number * 8 + 8], Wait(gate)]
    upstream.script(*pieces, raw[32:])
    async with watched(upstream) as gateway:
        caller = await gateway.ask(stream=stream)
        connection = await upstream.opened()
        for number, gate in enumerate(gates, 1):
            await until(lambda number=number: connection.sent_bytes >= number * 8)  # type: ignore[misc]
            gate.set()
        answer = await gateway.hear(caller)

    assert answer.status == 200


async def test_a_body_may_come_byte_by_byte(upstream: RawUpstream) -> None:
    body = GOOD.partition(b"\r\n\r\n")[2]
    upstream.script(head(200, {**JSON, **CHUNKED}), chunked([bytes([byte]) for byte in body]))
    async with watched(upstream) as gateway:
        answer = await gateway.chat()

    assert (answer.status, answer.body) == (200, body)


# Statuses. What the client is told, how often it is tried with `retries = 2`.

STATUSES = [
    (400, (400, "invalid_request_error", "some_code", None), 1),
    (401, (502, "server_error", "upstream_auth_error", None), 1),
    (402, (502, "server_error", "upstream_quota", None), 1),
    (403, (502, "server_error", "upstream_auth_error", None), 1),
    (404, (404, "invalid_request_error", "model_not_found", "model"), 1),
    (408, TIMEOUT, 3),
    (409, UPSTREAM_ERROR, 3),
    (413, (413, "invalid_request_error", "request_too_large", None), 1),
    (418, UPSTREAM_ERROR, 1),
    (422, (400, "invalid_request_error", "some_code", None), 1),
    (429, (429, "rate_limit_error", "rate_limit_exceeded", None), 3),
    (451, UPSTREAM_ERROR, 1),
    (500, UPSTREAM_ERROR, 3),
    (502, UPSTREAM_ERROR, 3),
    (503, (503, "server_error", "overloaded", None), 3),
    (504, TIMEOUT, 3),
    (529, (503, "server_error", "overloaded", None), 3),
    (599, UPSTREAM_ERROR, 3),
    (201, UPSTREAM_ERROR, 1),
    (206, UPSTREAM_ERROR, 1),
    (300, UPSTREAM_ERROR, 1),
    (999, UPSTREAM_ERROR, 1),
]


@BOTH
@pytest.mark.parametrize(("status", "told", "tries"), [pytest.param(*row, id=str(row[0])) for row in STATUSES])
async def test_a_status(upstream: RawUpstream, stream: bool, status: int, told: tuple[Any, ...], tries: int) -> None:
    upstream.default = [json_answer(leaky(upstream), status)]
    async with watched(upstream, "retries = 2") as gateway:
        answer = await gateway.chat(stream=stream)

    assert answer.error() == told
    assert len(upstream.requests) == tries
    assert b"some_error" not in answer.body


@BOTH
@pytest.mark.parametrize("status", [101, 204, 205, 304])
async def test_a_status_without_a_body(upstream: RawUpstream, stream: bool, status: int) -> None:
    upstream.default = [head(status, {"Connection": "Upgrade", "Upgrade": "h2c"} if status == 101 else {})]
    async with watched(upstream, "retries = 2") as gateway:
        answer = await gateway.chat(stream=stream)

    assert answer.error() == UPSTREAM_ERROR
    assert len(upstream.requests) == 1


@BOTH
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_takes_neither_key_nor_prompt_elsewhere(
    upstream: RawUpstream, stream: bool, status: int
) -> None:
    async with RawUpstream([GOOD]) as elsewhere:
        upstream.default = [json_answer({}, status, {"Location": f"{elsewhere.url}/v1/chat/completions"})]
        async with watched(upstream, "retries = 2") as gateway:
            answer = await gateway.chat(stream=stream)

        assert answer.error() == UPSTREAM_ERROR
        assert len(upstream.requests) == 1
        assert elsewhere.connections == []
        assert str(elsewhere.port).encode() not in answer.body
        assert answer.header("Location") is None


BODIES_OF_ERRORS = [
    pytest.param([json_answer(b"<html>no</html>", 404, {"X": "y"})], UPSTREAM_ERROR, id="404 in HTML"),
    pytest.param(
        [json_answer({"error": {"message": "Quota.", "code": "insufficient_quota"}}, 429)],
        (502, "server_error", "upstream_quota", None),
        id="429 for want of money",
    ),
    pytest.param([head(500, CHUNKED), chunk(b'{"error"'), Reset()], UPSTREAM_ERROR, id="500, cut"),
    pytest.param([head(500, CHUNKED), chunk(b'{"error"'), Stall()], UPSTREAM_ERROR, id="500, then silence"),
    pytest.param(
        [head(401, {"Content-Length": "9"}), b"{", Close()],
        (502, "server_error", "upstream_auth_error", None),
        id="401, cut",
    ),
    pytest.param([json_answer(b"\xff\xfe", 500)], UPSTREAM_ERROR, id="500, not UTF-8"),
    pytest.param([json_answer(b"[" * 100_000, 500)], UPSTREAM_ERROR, id="500, nested without end"),
    pytest.param([json_answer(b"x" * 40_000_000, 500)], UPSTREAM_ERROR, id="500, without end"),
    pytest.param(
        [json_answer(b"\x0b", 503, {"Content-Encoding": "br"})],
        (503, "server_error", "overloaded", None),
        id="503 in br",
    ),
]


@BOTH
@pytest.mark.parametrize(("steps", "told"), BODIES_OF_ERRORS)
async def test_the_body_of_an_error(
    upstream: RawUpstream, stream: bool, steps: list[Step], told: tuple[Any, ...]
) -> None:
    upstream.default = steps
    async with watched(upstream, 'timeout = { idle = "300ms" }') as gateway:
        answer = await gateway.chat(stream=stream)

    assert answer.error() == told


async def test_what_a_provider_says_is_cut_at_500_characters(upstream: RawUpstream) -> None:
    upstream.default = [json_answer({"error": {"message": "ab " * 5_000}}, 400)]
    async with watched(upstream) as gateway:
        answer = await gateway.chat()

    assert len(answer.json()["error"]["message"]) == 500


# Retry-After: what the provider says, the least and the most that the client is told.

IN_TWO_HOURS = format_datetime(datetime.now(UTC) + timedelta(hours=2), usegmt=True)
RETRY_AFTER = [
    pytest.param({"Retry-After": "3"}, 3, 3, id="seconds"),
    pytest.param({"Retry-After": "0"}, 0, 0, id="at once"),
    pytest.param({"Retry-After": "0.2"}, 1, 1, id="a fraction"),
    pytest.param({"Retry-After": IN_TWO_HOURS}, 7_000, 7_200, id="a date"),
    pytest.param({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0, 0, id="a date that is past"),
    pytest.param({"retry-after-ms": "1500"}, 2, 2, id="milliseconds"),
    pytest.param({"retry-after-ms": "1500", "Retry-After": "9"}, 2, 2, id="milliseconds win"),
    pytest.param({}, 1, 60, id="nothing"),
    pytest.param({"Retry-After": "-5"}, 1, 60, id="negative"),
    pytest.param({"Retry-After": "999999999"}, 1, 60, id="absurd"),
    pytest.param({"Retry-After": "9" * 400}, 1, 60, id="more absurd"),
    pytest.param({"Retry-After": "soon"}, 1, 60, id="words"),
    pytest.param({"Retry-After": "Wed, 21 Oct 9999 07:28:00 GMT"}, 1, 60, id="a date that is absurd"),
]


@pytest.mark.parametrize(("headers", "least", "most"), RETRY_AFTER)
@pytest.mark.parametrize("status", [429, 503])
async def test_retry_after(upstream: RawUpstream, status: int, headers: dict[str, str], least: int, most: int) -> None:
    upstream.default = [json_answer({"error": {"message": "Slow."}}, status, headers)]
    async with watched(upstream) as gateway:
        answer = await gateway.chat()

    assert answer.status == status
    assert least <= int(answer.header("Retry-After") or -1) <= most


# 200, and yet no answer. With `retries = 1`.

NONSENSE: Sequence[Any] = [
    pytest.param([json_answer(b"<!doctype html><html>Login</html>")], id="HTML as JSON"),
    pytest.param([head(200, {"Content-Type": "text/html", "Content-Length": "6"}), b"<html>"], id="HTML"),
    pytest.param([json_answer(b"")], id="empty"),
    pytest.param([json_answer(b"{}")], id="an empty object"),
    pytest.param([json_answer(b"null")], id="null"),
    pytest.param([json_answer(b"[]")], id="a list"),
    pytest.param([json_answer({"choices": []})], id="no choices"),
    pytest.param([json_answer({"choices": None})], id="null for choices"),
    pytest.param([json_answer({"choices": {"a": 1}})], id="an object for choices"),
    pytest.param([json_answer(b'{"choices":[{"message":{}}')], id="half an object"),
    pytest.param([json_answer(b'{"choices":[{"message":{"content":"\xff"}}]}')], id="not UTF-8"),
    pytest.param([json_answer(b'{"choices":[NaN]}')], id="NaN"),
    pytest.param([json_answer(b"[" * 200_000)], id="nested without end"),
    pytest.param([json_answer(GOOD, headers={"Content-Encoding": "br"})], id="br"),
    pytest.param([json_answer(GOOD, headers={"Content-Encoding": "gzip"})], id="gzip that is none"),
]


@BOTH
@pytest.mark.parametrize("steps", NONSENSE)
async def test_200_and_yet_no_answer(upstream: RawUpstream, stream: bool, steps: list[Step]) -> None:
    upstream.default = steps
    async with watched(upstream, "retries = 1") as gateway:
        answer = await gateway.chat(stream=stream)

    assert answer.error() == INVALID
    assert len(upstream.requests) == 2


async def test_a_stream_although_json_was_asked_for_is_no_answer(upstream: RawUpstream) -> None:
    upstream.default = [GOOD_STREAM]
    async with watched(upstream, "retries = 1") as gateway:
        answer = await gateway.chat()

    assert answer.error() == INVALID
    assert len(upstream.requests) == 2


@BOTH
@pytest.mark.parametrize(
    ("code", "told", "tries"),
    [
        (None, UPSTREAM_ERROR, 2),
        ("server_error", UPSTREAM_ERROR, 2),
        (503, (503, "server_error", "overloaded", None), 2),
        ("429", (429, "rate_limit_error", "rate_limit_exceeded", None), 2),
        (401, (502, "server_error", "upstream_auth_error", None), 1),
        (200, UPSTREAM_ERROR, 2),
        (700, UPSTREAM_ERROR, 2),
    ],
)
async def test_an_error_in_a_200_has_the_status_that_it_names(
    upstream: RawUpstream, stream: bool, code: object, told: tuple[Any, ...], tries: int
) -> None:
    error = leaky(upstream)
    error["error"]["code"] = code
    upstream.default = [json_answer(error)]
    async with watched(upstream, "retries = 1") as gateway:
        answer = await gateway.chat(stream=stream)

    assert answer.error() == told
    assert len(upstream.requests) == tries


USAGES = [
    pytest.param(None, id="null"),
    pytest.param([], id="a list"),
    pytest.param("many", id="a word"),
    pytest.param({"prompt_tokens": -1, "completion_tokens": -1}, id="negative"),
    pytest.param({"prompt_tokens": 2**41, "completion_tokens": 2**90}, id="huge"),
    pytest.param({"prompt_tokens": 1.5, "completion_tokens": True}, id="no integers"),
    pytest.param({"prompt_tokens": {"a": 1}}, id="nested"),
]


@pytest.mark.parametrize("usage", USAGES)
async def test_usage_that_is_none_passes_and_is_estimated(upstream: RawUpstream, usage: object) -> None:
    raw = json_answer({"id": "c1", "choices": [CHOICE], "usage": usage})
    upstream.default = [raw]
    async with watched(upstream) as gateway:
        answer = await gateway.chat()
        line = gateway.lines()[0]

    assert answer.body == raw.partition(b"\r\n\r\n")[2]
    assert 0 < line["input_tokens"] < 1_000
    assert 0 < line["output_tokens"] < 1_000


@BOTH
async def test_a_client_that_leaves_ends_the_call(upstream: RawUpstream, stream: bool) -> None:
    upstream.default = [Stall()]
    async with watched(upstream) as gateway:
        caller = await gateway.ask(stream=stream)
        await upstream.received()
        caller.leave()

        assert (await upstream.closed(within_s=1)).closed_by_peer
