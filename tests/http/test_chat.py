"""`POST /v1/chat/completions`: what reaches the provider and what comes back, byte for byte."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.support.front import BEARER, CHAT_PATH, MESSAGES, PROVIDER_KEY, chat_body, front, request, settings
from tests.support.upstream import Close, RawUpstream, Wait, chunk, json_answer, sse_answer, sse_head

# Odd in every way that a rewriting of the JSON would lose.
WHOLE = (
    b'{ "id":"c1", "object":"chat.completion","created":1,"model":"m-2026","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"\\u00e9\\ud83d\\ude00 \\/ \xe2\x80\xa8"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3},"x":1.10,"big":123456789012345678901234,'
    b'"twice":1,"twice":2 }\n'
)
FIRST = (
    b': hello\n\ndata: {"id":"c1", "model":"m-2026","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n'
    b'event: x\r\ndata:{"id":"c1","model":"m-2026","choices":[{"delta":{"content":"\xe2\x80\xa8\\u00e9"}, "index":0}]}'
    b"\r\n\r\n"
)
LAST = (
    b'data: {"id":"c1","model":"m-2026","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"new":[1.0]}\n\n'
    b"data: [DONE]\n\n"
)
USAGE = b'data: {"id":"c1","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}\n\n'
DONE = b"data: [DONE]\n\n"


async def test_a_whole_answer_passes_with_its_own_bytes(upstream: RawUpstream, way: str) -> None:
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url), way) as server:
        answer = await server.chat()

    assert (answer.status, answer.header("Content-Type"), answer.body) == (200, "application/json", WHOLE)


async def test_a_stream_passes_with_its_own_bytes(upstream: RawUpstream, way: str) -> None:
    upstream.script(sse_answer([FIRST, LAST]))
    async with front(settings(upstream.url), way) as server:
        answer = await server.chat(stream=True)

    assert (answer.status, answer.body) == (200, FIRST + LAST)
    assert answer.header("Content-Type") == "text/event-stream; charset=utf-8"
    assert answer.header("Cache-Control") == "no-cache"
    assert answer.header("X-Accel-Buffering") == "no"
    assert answer.header("Content-Encoding") is None


async def test_every_frame_leaves_when_it_is_whole(upstream: RawUpstream) -> None:
    gate = asyncio.Event()
    whole, half = FIRST + LAST[:20], LAST[20:]
    upstream.script(sse_head(), chunk(whole), Wait(gate), chunk(half), chunk(b""))
    async with front(settings(upstream.url)) as server:
        caller = await server.connect()
        await caller.send(request("POST", CHAT_PATH, BEARER, chat_body(stream=True)))
        await caller.head()
        size = int(await caller.until(b"\r\n"), 16)
        first = await caller.reader.readexactly(size)
        gate.set()
        rest = await caller.until(b"\r\n0\r\n\r\n")

    assert first == FIRST
    assert LAST in rest


async def test_a_stream_that_ends_with_its_connection_passes(upstream: RawUpstream) -> None:
    upstream.script(sse_answer([FIRST, LAST], chunked=False), Close())
    async with front(settings(upstream.url)) as server:
        assert (await server.chat(stream=True)).body == FIRST + LAST


async def test_a_missing_done_is_not_added(upstream: RawUpstream) -> None:
    finish = LAST.removesuffix(DONE)
    upstream.script(sse_answer([FIRST, finish]))
    async with front(settings(upstream.url)) as server:
        assert (await server.chat(stream=True)).body == FIRST + finish


async def test_a_last_frame_without_its_blank_line_gets_one(upstream: RawUpstream) -> None:
    upstream.script(sse_answer([FIRST, LAST.rstrip(b"\n")]))
    async with front(settings(upstream.url)) as server:
        assert (await server.chat(stream=True)).body == FIRST + LAST


async def test_the_connection_is_used_again_after_either_kind_of_answer(upstream: RawUpstream) -> None:
    upstream.default = lambda asked: [sse_answer([FIRST, LAST]) if asked.json().get("stream") else json_answer(WHOLE)]
    async with front(settings(upstream.url)) as server:
        caller = await server.connect()
        for streams in (True, False, True):
            await caller.send(request("POST", CHAT_PATH, BEARER, chat_body(stream=streams)))

            assert (await caller.answer()).body == (FIRST + LAST if streams else WHOLE)
    assert len(upstream.connections) == 1


async def test_pipelined_requests_are_answered_in_order(upstream: RawUpstream, way: str) -> None:
    upstream.default = lambda asked: [json_answer({"choices": [{}], "echo": asked.json()["user"]})]
    async with front(settings(upstream.url), way) as server:
        caller = await server.connect()
        await caller.send(b"".join(request("POST", CHAT_PATH, BEARER, chat_body(user=str(i))) for i in range(3)))

        assert [(await caller.answer()).json()["echo"] for _ in range(3)] == ["0", "1", "2"]


async def test_a_client_of_http_1_0_gets_a_stream_that_ends_with_the_connection(upstream: RawUpstream) -> None:
    upstream.script(sse_answer([FIRST, LAST]))
    async with front(settings(upstream.url)) as server:
        caller = await server.connect()
        await caller.send(request("POST", CHAT_PATH, BEARER, chat_body(stream=True)).replace(b"HTTP/1.1", b"HTTP/1.0"))
        answer = await caller.answer()

    assert (answer.header("Transfer-Encoding"), answer.body) == (None, FIRST + LAST)


REQUESTS = [
    pytest.param(b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}', id="plain"),
    pytest.param(
        b'\r\n{ "messages" : [{"content":"\\u00e9 \\/","role":"user","x":1.10}],\t"model"\n: "\\u006d",'
        b'"seed":123456789012345678901234,"vendor":{"a":1,"a":2},"stream":null}\n',
        id="odd spelling, long integers, unknown fields, nested duplicates",
    ),
    pytest.param(
        json.dumps(
            {"model": "m", "messages": MESSAGES, "api_base": "http://evil", "extra_headers": {"a": "b"}}
        ).encode(),
        id="fields that look like instructions",
    ),
    pytest.param(chat_body(messages=[{"role": "user", "content": "x" * 300_000}]), id="large"),
]


@pytest.mark.parametrize("body", REQUESTS)
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_request_reaches_the_provider_with_its_own_bytes(
    upstream: RawUpstream, framing: str, body: bytes
) -> None:
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url)) as server:
        if framing == "length":
            answer = await server.chat(body)
        else:
            coded = b"".join(chunk(body[at : at + 50_000]) for at in range(0, len(body), 50_000)) + chunk(b"")
            answer = await server.chat(coded, {**BEARER, "Transfer-Encoding": "chunked"})

    assert answer.status == 200
    assert [(asked.method, asked.path, asked.body) for asked in upstream.requests] == [
        ("POST", "/v1/chat/completions", body)
    ]


async def test_a_trailing_slash_is_served(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url)) as server:
        answer = await server.ask("POST", f"{CHAT_PATH}/?x=1", BEARER, chat_body())

    assert (answer.status, answer.body) == (200, WHOLE)
    assert upstream.requests[0].path == CHAT_PATH


RENAMED = """
[[models]]
model_id = "house"
aliases = ["old-house"]
route = "up/inner/name"
"""


@pytest.mark.parametrize("name", ["house", "old-house"])
async def test_under_another_name_only_the_model_is_changed_both_ways(upstream: RawUpstream, name: str) -> None:
    upstream.script(json_answer(WHOLE))
    upstream.script(sse_answer([FIRST, LAST]))
    async with front(settings(upstream.url, RENAMED)) as server:
        body = b'{ "messages":[{"role":"user","content":"model"}] , "model" : "%b" }' % name.encode()
        whole = await server.chat(body)
        streamed = await server.chat(body.replace(b" }", b',"stream":true,"stream_options":{"include_usage":true}}'))

    assert whole.body == WHOLE.replace(b"m-2026", name.encode())
    assert streamed.body == (FIRST + LAST).replace(b"m-2026", name.encode())
    assert upstream.requests[0].body == body.replace(b'"%b"' % name.encode(), b'"inner/name"')


DISGUISES = [
    pytest.param(b'{"model":"secret","messages":[],"model":"m"}', "model", id="twice"),
    pytest.param(b'{"model":"m","messages":[],"\\u006dodel":"secret"}', "model", id="twice, one escaped"),
    pytest.param(b'{"model":"m","messages":[],"mode\\u006c":"secret"}', "model", id="twice, the other escaped"),
    pytest.param(b'{"stream":true,"model":"m","messages":[],"stream":false}', "stream", id="another field"),
]


@pytest.mark.parametrize(("body", "param"), DISGUISES)
async def test_a_field_that_is_read_here_may_stand_only_once(upstream: RawUpstream, body: bytes, param: str) -> None:
    body = body.replace(b"[]", json.dumps(MESSAGES).encode())
    async with front(settings(upstream.url)) as server:
        answer = await server.chat(body)

    assert answer.error() == (400, "invalid_request_error", None, param)
    assert upstream.requests == []


DEFAULTS = '[[models]]\nmodel_id = "warm"\nroute = "up/warm"\nparams = { temperature = 0.7 }\n'
PARAMS = [
    pytest.param({}, 0.7, id="absent"),
    pytest.param({"temperature": None}, 0.7, id="null"),
    pytest.param({"temperature": 0}, 0, id="zero"),
    pytest.param({"temperature": 1.5}, 1.5, id="given"),
]


@pytest.mark.parametrize(("fields", "expected"), PARAMS)
async def test_a_default_of_the_catalogue_is_sent_where_the_client_sends_none(
    upstream: RawUpstream, fields: dict[str, Any], expected: float
) -> None:
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url, DEFAULTS)) as server:
        await server.chat(model="warm", **fields)

    assert upstream.requests[0].json() == {"model": "warm", "messages": MESSAGES, "temperature": expected}


async def test_a_model_without_defaults_is_sent_none(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url, DEFAULTS)) as server:
        await server.chat()

    assert "temperature" not in upstream.requests[0].json()


OPTIONS = [
    pytest.param({}, {"include_usage": True}, False, id="not asked: asked for here, kept back"),
    pytest.param({"stream_options": None}, {"include_usage": True}, False, id="null"),
    pytest.param({"stream_options": {"include_usage": False}}, {"include_usage": True}, False, id="refused"),
    pytest.param(
        {"stream_options": {"include_obfuscation": False}},
        {"include_obfuscation": False, "include_usage": True},
        False,
        id="another option",
    ),
    pytest.param({"stream_options": {"include_usage": True}}, {"include_usage": True}, True, id="asked"),
]


@pytest.mark.parametrize(("fields", "sent", "gets_it"), OPTIONS)
async def test_usage_is_always_asked_for_and_given_to_those_who_asked(
    upstream: RawUpstream, fields: dict[str, Any], sent: dict[str, bool], gets_it: bool
) -> None:
    finish = LAST.removesuffix(DONE)
    upstream.script(sse_answer([FIRST, finish, USAGE, DONE]))
    async with front(settings(upstream.url)) as server:
        answer = await server.chat(stream=True, **fields)

    assert upstream.requests[0].json()["stream_options"] == sent
    assert answer.body == FIRST + finish + (USAGE if gets_it else b"") + DONE


async def test_a_request_without_a_stream_is_sent_no_options(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url)) as server:
        await server.chat(stream=False)

    assert "stream_options" not in upstream.requests[0].json()


@pytest.mark.parametrize("word", ["always", "never"])
async def test_a_provider_that_refuses_the_option_is_not_sent_it(upstream: RawUpstream, word: str) -> None:
    finish = LAST.removesuffix(DONE)
    upstream.script(sse_answer([FIRST, finish, USAGE, DONE]))
    async with front(settings(upstream.url, provider=f'quirks = {{ stream_usage = "{word}" }}')) as server:
        answer = await server.chat(stream=True, stream_options={"include_usage": True})

    assert upstream.requests[0].json() == {"model": "m", "messages": MESSAGES, "stream": True}
    assert answer.body == FIRST + finish + USAGE + DONE


AZURE = (
    """quirks = { auth = "api-key", path = "/deployments/{model}/chat/completions", query = { api-version = "1 &" } }"""
)


async def test_a_versioned_deployment_is_called_at_its_own_path(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url, RENAMED, provider=AZURE)) as server:
        await server.chat(model="house")

    (asked,) = upstream.requests
    assert asked.path == "/v1/deployments/inner%2Fname/chat/completions?api-version=1+%26"
    assert (asked.header("api-key"), asked.header("Authorization")) == (PROVIDER_KEY, None)


async def test_a_model_of_a_pattern_is_asked_for_by_its_own_name(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url, '[[models]]\nmodel_id = "here/*"\nroute = "up/*"\n')) as server:
        answer = await server.chat(model="here/org/q:1b")

    assert upstream.requests[0].json()["model"] == "org/q:1b"
    assert answer.json()["model"] == "here/org/q:1b"


async def test_json_where_a_stream_was_asked_for_becomes_one(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url)) as server:
        answer = await server.chat(stream=True)
    frames = answer.body.split(b"\n\n")

    assert answer.header("Content-Type") == "text/event-stream; charset=utf-8"
    assert frames[-2:] == [b"data: [DONE]", b""]
    assert [json.loads(frame[6:])["choices"][0]["finish_reason"] for frame in frames[:-2]] == [None, None, "stop"]


async def test_the_mock_answers_without_a_provider() -> None:
    async with front(settings(more='[[models]]\nmodel_id = "mock"\nroute = "mock/mock"\n')) as server:
        whole = await server.chat(model="mock")
        streamed = await server.chat(model="mock", stream=True)

    assert whole.json()["choices"][0]["finish_reason"] == "stop"
    assert streamed.body.endswith(b"data: [DONE]\n\n")
