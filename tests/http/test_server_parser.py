"""What is no HTTP request gets a JSON answer, and nothing that could be read in two ways gets through."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest

from tests.support.serving import Running, serving, split_answer

HOST = b"Host: x\r\n"
GET = b"GET / HTTP/1.1\r\n" + HOST
POST = b"POST /echo HTTP/1.1\r\n" + HOST
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    async with serving() as running:
        yield running


REFUSED = [
    pytest.param(POST + b"Content-Length: 5\r\n" + CHUNKED + b"\r\n" + SMUGGLED, 400, id="length then chunked"),
    pytest.param(POST + CHUNKED + b"Content-Length: 5\r\n\r\n" + SMUGGLED, 400, id="chunked then length"),
    pytest.param(POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400, id="the same length twice"),
    pytest.param(POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400, id="two lengths"),
    pytest.param(POST + b"Content-Length: 1, 1\r\n\r\na", 400, id="list of lengths"),
    pytest.param(POST + b"Content-Length: +1\r\n\r\na", 400, id="signed length"),
    pytest.param(POST + b"Content-Length: 0x1\r\n\r\na", 400, id="hexadecimal length"),
    pytest.param(POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400, id="length past 64 bits"),
    pytest.param(POST + b"Transfer-Encoding: xchunked\r\n\r\n" + SMUGGLED, 400, id="unknown coding"),
    pytest.param(POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n" + SMUGGLED, 400, id="vertical tab before the coding"),
    pytest.param(POST + b"Transfer-Encoding: identity\r\n\r\n", 400, id="identity"),
    pytest.param(POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + SMUGGLED, 400, id="chunked is not last"),
    pytest.param(POST + CHUNKED + CHUNKED + b"\r\n" + SMUGGLED, 400, id="chunked twice"),
    pytest.param(POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + SMUGGLED, 501, id="gzip inside chunked"),
    pytest.param(b"POST /echo HTTP/1.0\r\n" + CHUNKED + b"\r\n" + SMUGGLED, 400, id="chunked in HTTP/1.0"),
    pytest.param(POST + b"Content-Length : 1\r\n\r\na", 400, id="blank before the colon"),
    pytest.param(GET + b"X-A: a\r\n b\r\n\r\n", 400, id="folded header"),
    pytest.param(b"GET / HTTP/1.1\r\n Host: x\r\n\r\n", 400, id="blank before the first header"),
    pytest.param(b"GET / HTTP/1.1\nHost: x\n\n", 400, id="bare line feeds"),
    pytest.param(GET + b"X-A: a\nX-B: b\r\n\r\n", 400, id="bare line feed in a header"),
    pytest.param(GET + b"X-A: a\rX-B: b\r\n\r\n", 400, id="bare carriage return"),
    pytest.param(GET + b"X-A: a\x00b\r\n\r\n", 400, id="NUL in a header"),
    pytest.param(b"GET / HTTP/1.1\r\n\r\n", 400, id="no host"),
    pytest.param(GET + HOST + b"\r\n", 400, id="two hosts"),
    pytest.param(b"GET /\r\n\r\n", 505, id="HTTP/0.9"),
    pytest.param(b"GET / HTTP/1.2\r\n" + HOST + b"\r\n", 400, id="HTTP/1.2"),
    pytest.param(b"GET / HTTP/2.0\r\n" + HOST + b"\r\n", 505, id="HTTP/2.0 in the words of 1"),
    pytest.param(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, id="HTTP/2 preface"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="TLS"),
    pytest.param(b"<script>alert(1)</script>\r\n\r\n", 400, id="not HTTP"),
    pytest.param(b"GET /<script>\xff HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="bytes in the path"),
    pytest.param(b"GET http://[::1 HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="broken address"),
    pytest.param(b"FROB / HTTP/1.1\r\n" + HOST + b"\r\n", 400, id="unknown method"),
    pytest.param(b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414, id="long path"),
    pytest.param(GET + b"X-A: " + b"a" * 9000 + b"\r\n\r\n", 431, id="long header"),
    pytest.param(GET + b"a" * 9000 + b": a\r\n\r\n", 431, id="long header name"),
    pytest.param(GET + b"".join(b"X-%d: 1\r\n" % n for n in range(200)) + b"\r\n", 431, id="many headers"),
]


@pytest.mark.parametrize(("request_bytes", "status"), REFUSED)
async def test_a_malformed_request_is_refused_in_json(server: Running, request_bytes: bytes, status: int) -> None:
    answer, headers, body = split_answer(await server.exchange(request_bytes))

    assert answer == status
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["type"] == "invalid_request_error"
    assert headers["content-type"] == "application/json"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-request-id"].startswith("req_")
    assert headers["connection"] == "close"
    assert headers["server"] == "modelserver"
    assert server.gateway.seen == []


@pytest.mark.parametrize(("request_bytes", "status"), REFUSED)
async def test_the_verdict_does_not_depend_on_the_cuts(server: Running, request_bytes: bytes, status: int) -> None:
    cut = request_bytes.index(b"\r") if b"\r" in request_bytes else 3
    client = await server.connect()
    await client.send(request_bytes[:cut])
    await server.exchange(GET + b"Connection: close\r\n\r\n")  # by then the first piece has been parsed
    await client.send(request_bytes[cut:])
    answer, _, _ = split_answer(await client.read_all())

    assert answer == status
    assert server.gateway.seen == ["/"]


REFLECTED = [
    pytest.param(b"GET / HTTP/1.1\r\nHo st: needle\r\n\r\n", id="header"),
    pytest.param(b"needle\r\n\r\n", id="start line"),
    pytest.param(b"GET /needle" + b"a" * 9000 + b" HTTP/1.1\r\n\r\n", id="long path"),
    pytest.param(b"GET http://[needle HTTP/1.1\r\nHost: x\r\n\r\n", id="address"),
    pytest.param(POST + CHUNKED + b"\r\nneedle\r\n", id="chunk size"),
]


@pytest.mark.parametrize("request_bytes", REFLECTED)
async def test_nothing_of_a_malformed_request_is_reflected_or_logged(
    server: Running, request_bytes: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    raw = await server.exchange(request_bytes)

    assert raw.startswith(b"HTTP/1.0 4")
    assert b"needle" not in raw
    assert "needle" not in caplog.text


PASSING = [
    pytest.param(b"\r\n\r\n" + GET + b"Connection: close\r\n\r\n", id="empty lines before the request"),
    pytest.param(b"GET / HTTP/1.0\r\n\r\n", id="HTTP/1.0"),
    pytest.param(
        POST + b"Connection: close\r\nTransfer-Encoding: Chunked\r\n\r\n1;a=b\r\nx\r\n0\r\nX-T: 1\r\n\r\n",
        id="chunk extension and trailer",
    ),
]


@pytest.mark.parametrize("request_bytes", PASSING)
async def test_what_is_unusual_but_clear_is_served(server: Running, request_bytes: bytes) -> None:
    assert b" 200 OK\r\n" in (await server.exchange(request_bytes))[:20]


async def test_a_body_that_breaks_while_it_is_read_ends_the_reading(server: Running) -> None:
    client = await server.connect()
    await client.send(POST + CHUNKED + b"\r\n3\r\nabc\r\n")
    await server.exchange(GET + b"Connection: close\r\n\r\n")  # by then the handler reads
    await client.send(b"nonsense\r\n")
    raw = await client.read_all()

    assert raw.startswith(b"HTTP/1.1 400 ")
    assert raw.endswith(b"broken body")


async def test_garbage_behind_a_request_does_not_harm_it(server: Running) -> None:
    client = await server.connect()
    await client.send(POST + b"Content-Length: 3\r\n\r\nabc")
    first = await client.read_answer()
    await client.send(b"garbage\r\n\r\n")
    second, _, _ = split_answer(await client.read_all())

    assert first == (200, b"abc")
    assert second == 400


async def test_many_malformed_requests_write_one_line_and_no_traceback(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.clear()
    for _ in range(20):
        await server.exchange(b"garbage\r\n\r\n")

    assert [(record.levelno, record.exc_info) for record in caplog.records] == [(logging.WARNING, None)]


async def test_what_no_handler_catches_is_a_500_that_says_nothing(
    server: Running, caplog: pytest.LogCaptureFixture
) -> None:
    raw = await server.exchange(b"GET /bug HTTP/1.1\r\nHost: x\r\n\r\n")
    status, headers, body = split_answer(raw)

    assert (status, body["error"]["type"]) == (500, "server_error")
    assert headers["x-request-id"] in body["error"]["message"]
    assert b"secret" not in raw
    assert headers["x-request-id"] in caplog.text
    assert "ZeroDivisionError" in caplog.text


async def test_bodies_are_not_decompressed(server: Running) -> None:
    raw = await server.exchange(POST + b"Connection: close\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc")

    assert raw.endswith(b"\r\n\r\nabc")
