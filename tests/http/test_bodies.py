"""Request bodies that are wrong: each is refused with the right status and envelope, and never is it our fault."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import pytest

from modelserver.web import body as body_module
from tests.support.front import BEARER, CHAT_PATH, MESSAGES, Answer, Front, chat_body, front, request, settings
from tests.support.upstream import RawUpstream, chunk

INVALID = "invalid_request_error"
CHUNKED = {**BEARER, "Transfer-Encoding": "chunked"}

NOT_JSON = [
    pytest.param(b"", id="empty"),
    pytest.param(b"   ", id="blanks"),
    pytest.param(b"{", id="cut"),
    pytest.param(b'{"model":"m","messages":[{"role":"user","content":"Hi"}]', id="cut at the end"),
    pytest.param(b"{'model': 'm'}", id="Python"),
    pytest.param(b"model=m&messages=Hi", id="form"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[]", id="list"),
    pytest.param(b'"m"', id="string"),
    pytest.param(b"1", id="number"),
    pytest.param(b'{"model":"m"}{"model":"m"}', id="two objects"),
    pytest.param(b'\xef\xbb\xbf{"model":"m","messages":[]}', id="byte order mark"),
    pytest.param('{"model":"m","messages":[]}'.encode("utf-16"), id="UTF-16"),
    pytest.param(b'{"model":"\xff","messages":[]}', id="bytes that are no UTF-8"),
    pytest.param(b'{"model":"\\ud800","messages":[]}', id="half a surrogate pair"),
    pytest.param(b'{"model":"m","messages":[],"top_p":NaN}', id="NaN"),
    pytest.param(b'{"model":"m","messages":[],"top_p":Infinity}', id="infinity"),
    pytest.param(b'{"model":"m","messages":[],"top_p":01}', id="leading zero"),
    pytest.param(b'{"model":"m","messages":[],}', id="trailing comma"),
    pytest.param(b'{"model":"m\n","messages":[]}', id="raw line end in a string"),
    pytest.param(b'{"model":"m","x":' + b"[" * 200 + b"]" * 200 + b"}", id="nested 200 deep"),
    pytest.param(b"[" * 100_000, id="opened 100 000 times"),
    pytest.param(b'{"a":' * 100_000, id="objects opened 100 000 times"),
    pytest.param(b"\x1f\x8b\x08\x00" + bytes(100), id="gzip without saying so"),
    pytest.param(bytes(1000), id="zeros"),
]


@pytest.mark.parametrize("body", NOT_JSON)
async def test_what_is_no_json_object_is_a_400(server: Front, upstream: RawUpstream, body: bytes) -> None:
    answer = await server.chat(body)

    assert answer.error()[:3] == (400, INVALID, None)
    assert len(answer.body) < 500
    assert upstream.connections == []


WRONG = [
    pytest.param({"model": None}, "model", id="no model"),
    pytest.param({"model": 1}, "model", id="model"),
    pytest.param({"model": ""}, "model", id="empty model"),
    pytest.param({"messages": None}, "messages", id="no messages"),
    pytest.param({"messages": []}, "messages", id="empty messages"),
    pytest.param({"messages": "Hi"}, "messages", id="messages"),
    pytest.param({"messages": [1]}, "messages[0]", id="message"),
    pytest.param({"messages": [{"content": "x"}]}, "messages[0].role", id="no role"),
    pytest.param({"messages": [*MESSAGES, {"role": "user"}]}, "messages[1].content", id="no content"),
    pytest.param(
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content[0].text", id="text"
    ),
    pytest.param(
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "ftp://x"}}]}]},
        "messages[0].content[0].image_url.url",
        id="image",
    ),
    pytest.param({"stream": "yes"}, "stream", id="stream"),
    pytest.param({"stream": 1}, "stream", id="stream as a number"),
    pytest.param({"stream_options": []}, "stream_options", id="stream_options"),
    pytest.param({"temperature": "0.7"}, "temperature", id="temperature"),
    pytest.param({"temperature": 2.1}, "temperature", id="temperature over its range"),
    pytest.param({"temperature": True}, "temperature", id="boolean as a number"),
    pytest.param({"top_p": -0.1}, "top_p", id="top_p"),
    pytest.param({"max_tokens": 0}, "max_tokens", id="max_tokens"),
    pytest.param({"max_tokens": 1.5}, "max_tokens", id="max_tokens as a fraction"),
    pytest.param({"max_completion_tokens": "9"}, "max_completion_tokens", id="max_completion_tokens"),
    pytest.param({"tools": {}}, "tools", id="tools"),
    pytest.param({"tools": [{"type": "function"}]}, "tools[0].function", id="tool"),
    pytest.param({"tool_choice": "maybe"}, "tool_choice", id="tool_choice"),
    pytest.param({"stop": 1}, "stop", id="stop"),
    pytest.param({"n": 0}, "n", id="n"),
    pytest.param({"seed": "x"}, "seed", id="seed"),
    pytest.param({"response_format": "json"}, "response_format", id="response_format"),
    pytest.param({"logit_bias": []}, "logit_bias", id="logit_bias"),
    pytest.param({"user": 1}, "user", id="user"),
    pytest.param({"metadata": "x"}, "metadata", id="metadata"),
    pytest.param({"presence_penalty": 3}, "presence_penalty", id="presence_penalty"),
]


@pytest.mark.parametrize(("fields", "param"), WRONG)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_wrong_field_is_a_400_that_names_it(
    server: Front, upstream: RawUpstream, fields: dict[str, Any], param: str, stream: bool
) -> None:
    answer = await server.chat(**{"stream": stream, **fields})

    assert answer.error()[:2] == (400, INVALID)
    assert answer.error()[3] == param
    assert upstream.connections == []


UNCALLABLE = """
[providers.nokey]
base_url = "http://127.0.0.1:9/v1"
key = "$NOT_SET"
[[models]]
model_id = "unreachable"
route = "nokey/x"
[[models]]
model_id = "painter"
types = "image_generation"
route = "up/painter"
[[models]]
model_id = "hidden"
route = "up/hidden"
[groups.default]
models = ["!hidden"]
"""
MODELS = [
    pytest.param("mm", (404, INVALID, "model_not_found", "model"), id="unknown"),
    pytest.param("hidden", (404, INVALID, "model_not_found", "model"), id="not for this caller"),
    pytest.param("x" * 100_000, (404, INVALID, "model_not_found", "model"), id="long"),
    pytest.param("\u2028<script>\x00", (404, INVALID, "model_not_found", "model"), id="strange"),
    pytest.param("painter", (400, INVALID, "unsupported_value", "model"), id="of another type"),
    pytest.param("unreachable", (503, "server_error", "no_provider_key", None), id="without a provider key"),
]


@pytest.mark.parametrize(("model", "expected"), MODELS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_model_that_can_not_be_called_is_refused(
    upstream: RawUpstream, model: str, expected: tuple[object, ...], stream: bool
) -> None:
    async with front(settings(upstream.url, UNCALLABLE)) as server:
        answer = await server.chat(model=model, stream=stream)

    assert answer.error() == expected
    assert answer.header("X-Should-Retry") == "false"  # waiting changes nothing
    assert len(answer.body) < 500
    assert upstream.connections == []


async def test_a_missing_provider_key_is_named_with_a_time_to_come_back(upstream: RawUpstream) -> None:
    async with front(settings(upstream.url, UNCALLABLE)) as server:
        answer = await server.chat(model="unreachable")

    assert "NOT_SET" in answer.json()["error"]["message"]
    assert str(answer.header("Retry-After")).isdigit()


async def test_a_hidden_model_is_answered_exactly_like_one_that_is_not_there(upstream: RawUpstream) -> None:
    async with front(settings(upstream.url, UNCALLABLE)) as server:
        hidden, absent = await server.chat(model="hidden"), await server.chat(model="hiddem")

    assert hidden.body.replace(b"hidden", b"hiddem") == absent.body


TOO_LONG = (413, INVALID, "request_too_large", None)
SMALL = 'max_body = "1KB"'


async def ends(server: Front, data: bytes) -> Answer:
    """The answer to what is sent on a new connection, which the server closes with it."""
    caller = await server.connect()
    await caller.send(data)
    answer = await caller.answer()
    assert answer.header("Connection") == "close"
    caller.writer.write_eof()
    assert await caller.rest() == b""
    return answer


async def test_a_body_over_the_limit_is_refused_by_its_length_alone(way: str) -> None:
    async with front(settings(server=SMALL), way) as server:
        answer = await ends(server, request("POST", CHAT_PATH, {**BEARER, "Content-Length": "1001"}))

    assert answer.error() == TOO_LONG


async def test_a_body_over_the_limit_that_is_there_is_refused(way: str) -> None:
    async with front(settings(server=SMALL), way) as server:
        answer = await ends(server, request("POST", CHAT_PATH, BEARER, chat_body(user="x" * 2000)))

    assert answer.error() == TOO_LONG


async def test_chunks_are_counted_while_they_come(way: str) -> None:
    async with front(settings(server=SMALL), way) as server:
        answer = await ends(server, request("POST", CHAT_PATH, CHUNKED, chunk(b" " * 600) + chunk(b" " * 600)))

    assert answer.error() == TOO_LONG


async def test_a_chunked_body_that_is_there_whole_is_counted_too(way: str) -> None:
    async with front(settings(server=SMALL), way) as server:
        answer = await ends(server, request("POST", CHAT_PATH, CHUNKED, chunk(b" " * 1001) + chunk(b"")))

    assert answer.error() == TOO_LONG


async def test_a_body_of_exactly_the_limit_is_read(way: str) -> None:
    async with front(settings(server=SMALL), way) as server:
        answer = await server.chat(b"{}".ljust(1000))

    assert answer.error() == (400, INVALID, None, "model")


CODINGS = [
    pytest.param("gzip", 415, id="gzip"),
    pytest.param("GZIP", 415, id="in capitals"),
    pytest.param("deflate", 415, id="deflate"),
    pytest.param("br", 415, id="br"),
    pytest.param("identity, gzip", 415, id="in a list"),
    pytest.param("nonsense", 415, id="unknown"),
    pytest.param("identity", 400, id="identity"),
    pytest.param(" Identity ", 400, id="identity in other words"),
    pytest.param("", 400, id="empty"),
]


@pytest.mark.parametrize(("coding", "status"), CODINGS)
async def test_a_coded_body_is_a_415(server: Front, coding: str, status: int) -> None:
    answer = await server.chat(b"\x1f\x8b no body", {**BEARER, "Content-Encoding": coding})

    assert answer.error()[:3] == (status, INVALID, "unsupported_encoding" if status == 415 else None)
    assert (answer.header("Connection") == "close") is (status == 415)


async def test_a_coded_body_is_a_415_also_where_a_host_decodes_it(way: str) -> None:
    async with front(settings(), way) as server:
        answer = await server.chat(gzip.compress(chat_body()), {**BEARER, "Content-Encoding": "gzip"})

    assert answer.error() == (415, INVALID, "unsupported_encoding", None)


@pytest.mark.usefixtures("quick_sweep")
@pytest.mark.parametrize("name", ["STALLED_S", "SLOWEST_S"])
async def test_a_body_that_does_not_come_is_a_408(name: str, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    monkeypatch.setattr(body_module, name, 0.02)
    async with front(settings(), way) as server:
        answer = await ends(server, request("POST", CHAT_PATH, {**BEARER, "Content-Length": "99"}, b"{"))

    assert answer.error() == (408, INVALID, "request_timeout", None)
    assert answer.header("X-Should-Retry") is None


@pytest.mark.usefixtures("quick_sweep")
async def test_a_body_that_trickles_is_a_408_in_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "SLOWEST_S", 0.1)
    async with front(settings()) as server:
        caller = await server.connect()
        await caller.send(request("POST", CHAT_PATH, {**BEARER, "Content-Length": "999999"}))
        answering = asyncio.ensure_future(caller.answer())
        while not answering.done():
            caller.writer.write(b" ")
            await asyncio.wait([answering], timeout=0.005)

    assert answering.result().error() == (408, INVALID, "request_timeout", None)


BROKEN = [
    pytest.param([b"zz\r\n"], id="size that is none, with the head"),
    pytest.param([b"", b"zz\r\n"], id="size that is none, later"),
    pytest.param([b"2\r\n{}", b"XX0\r\n\r\n"], id="chunk longer than it says"),
    pytest.param([b"fffffffffffffffff\r\n"], id="size beyond 64 bits"),
    pytest.param([b"-2\r\n{}\r\n"], id="negative size"),
]


@pytest.mark.parametrize("pieces", BROKEN)
async def test_a_broken_transfer_coding_is_a_400(server: Front, pieces: list[bytes]) -> None:
    caller = await server.connect()
    await caller.send(request("POST", CHAT_PATH, CHUNKED, pieces[0]))
    for piece in pieces[1:]:
        await server.ask("GET", "/health")  # lets the server read what came before
        await caller.send(piece)

    assert (await caller.answer()).error()[:2] == (400, INVALID)


CUT = [
    pytest.param({**BEARER, "Content-Length": "99"}, b'{"model":', id="length"),
    pytest.param(CHUNKED, chunk(b'{"model":'), id="chunks"),
]


@pytest.mark.parametrize(("headers", "piece"), CUT)
async def test_a_client_that_leaves_within_its_body_costs_nothing(
    upstream: RawUpstream, way: str, headers: dict[str, str], piece: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with front(settings(upstream.url), way) as server:
        caller = await server.connect()
        await caller.send(request("POST", CHAT_PATH, headers, piece))
        while not server.gateway.open_calls:
            await asyncio.sleep(0)
        caller.leave()
        while server.gateway.open_calls:
            await asyncio.sleep(0)

        assert (await server.ask("GET", "/health")).status == 200
    assert upstream.connections == []
    assert "Traceback" not in caplog.text


async def test_a_body_may_come_in_any_pieces(upstream: RawUpstream) -> None:
    async with front(settings(upstream.url)) as server:
        caller = await server.connect()
        body = json.dumps({"model": "none", "messages": MESSAGES}).encode()
        await caller.send(request("POST", CHAT_PATH, {**BEARER, "Content-Length": str(len(body))}))
        for byte in body:
            await caller.send(bytes([byte]))
            await asyncio.sleep(0)

        assert (await caller.answer()).error()[:3] == (404, INVALID, "model_not_found")


async def test_the_connection_goes_on_after_a_refusal_that_read_the_body(server: Front) -> None:
    caller = await server.connect()
    for body in (b"{", b"[]", chat_body(model="none")):
        await caller.send(request("POST", CHAT_PATH, BEARER, body))

        assert (await caller.answer()).status in (400, 404)
