"""What every transport promises, over each of them: answers whole or not at all, and nobody else's."""

from __future__ import annotations

import asyncio
import gzip
import zlib
from pathlib import Path

import pytest

from modelserver.errors import UpstreamFailed
from modelserver.upstream import answer as answers
from tests.fault.conftest import Carrier, rest
from tests.support.upstream import (
    Close,
    RawUpstream,
    Reset,
    Send,
    Stall,
    Step,
    Wait,
    chunk,
    chunked,
    head,
    json_answer,
)
from tests.support.waiting import until

CHUNKED = {"Transfer-Encoding": "chunked"}
BODY = bytes(range(256)) * 40
GOOD = json_answer({"good": True})
LATE = json_answer({"late": True})

WHOLE = [
    pytest.param([head(200, {"Content-Length": "10240"}), BODY], True, id="Content-Length"),
    pytest.param([head(200, CHUNKED), chunked([BODY[:1], BODY[1:]])], True, id="chunks"),
    pytest.param([head(200, CHUNKED), chunked([BODY[i : i + 1] for i in range(len(BODY))])], True, id="tiny chunks"),
    pytest.param([head(200, {"Content-Length": "10240", "Connection": "close"}), BODY], False, id="announced close"),
    pytest.param([head(200), BODY, Close()], False, id="up to the close"),
    pytest.param([b"HTTP/1.0 200 OK\r\nContent-Length: 10240\r\n\r\n", BODY], False, id="HTTP/1.0"),
    pytest.param([head(100), head(103, {"Link": "x"}), head(200, CHUNKED), chunked([BODY])], True, id="after two 1xx"),
    pytest.param([head(200, CHUNKED), b"2800;a=b\r\n" + BODY + b"\r\n0\r\nX: y\r\n\r\n"], True, id="a trailer"),
]


@pytest.mark.parametrize(("steps", "kept"), WHOLE)
async def test_a_body_is_the_same_in_every_framing(
    carrier: Carrier, upstream: RawUpstream, steps: list[Step], kept: bool
) -> None:
    upstream.script(*steps)
    upstream.script(GOOD)
    first = await carrier.fetch(f"{upstream.url}/a")
    second = await carrier.fetch(f"{upstream.url}/b")

    assert (first, second) == ((200, BODY), (200, b'{"good":true}'))
    assert [request.connection for request in upstream.requests] == ([0, 0] if kept else [0, 1])


async def test_a_head_may_come_byte_by_byte(carrier: Carrier, upstream: RawUpstream) -> None:
    gates = [asyncio.Event() for _ in GOOD]
    steps: list[Step] = []
    for gate, byte in zip(gates, GOOD, strict=True):
        steps += [Send(bytes([byte])), Wait(gate)]
    upstream.script(*steps)
    sending = asyncio.create_task(carrier.fetch(upstream.url))
    for sent, gate in enumerate(gates, 1):
        await upstream.opened()
        await until(lambda sent=sent: upstream.connections[0].sent_bytes >= sent)  # type: ignore[misc]
        gate.set()

    assert await sending == (200, b'{"good":true}')


NO_ANSWER = [
    pytest.param([Reset()], id="a reset"),
    pytest.param([Close()], id="a FIN"),
    pytest.param([b"HTTP/1.1 200 OK\r\nContent-", Reset()], id="a reset within the head"),
    pytest.param([b"HTTP/1.1 200 OK\r\nContent-", Close()], id="a FIN within the head"),
    pytest.param([b"SSH-2.0-OpenSSH_9.6\r\n", Stall()], id="another protocol"),
    pytest.param([b"HTTP/1.1 2OO OK\r\n\r\n", Stall()], id="a status that is no number"),
    pytest.param([b"\x16\x03\x01\x02\x00\x01", Stall()], id="TLS"),
    pytest.param([head(200, [("Content-Length", "2"), ("Content-Length", "5")]), b"{}abc", Stall()], id="two lengths"),
    pytest.param([head(200, {"Content-Length": "-1"}), Stall()], id="a negative length"),
    pytest.param(
        [head(200, {"Content-Length": "2", **CHUNKED}), chunked([b"{}"]), Stall()], id="a length beside the chunks"
    ),
    pytest.param([head(200, {"A": "b" * 10_000}), Stall()], id="a header without end"),
    pytest.param([head(200, {f"A{i}": "b" for i in range(200)}), Stall()], id="headers without end"),
    pytest.param([head(103), Close()], id="nothing but a 1xx"),
]


@pytest.mark.parametrize("steps", NO_ANSWER)
async def test_what_is_no_answer_is_an_error_at_once(
    carrier: Carrier, upstream: RawUpstream, steps: list[Step]
) -> None:
    upstream.script(*steps)
    with pytest.raises(UpstreamFailed) as caught:
        await carrier.fetch(upstream.url)
    await upstream.closed()

    assert caught.value.code == "upstream_error"
    assert len(upstream.requests) == 1


CUT = [
    pytest.param([head(200, {"Content-Length": "9"}), b"{}", Close()], id="a FIN before the length"),
    pytest.param([head(200, {"Content-Length": "9"}), b"{}", Reset()], id="a reset before the length"),
    pytest.param([head(200, CHUNKED), chunk(b"{}"), Close()], id="a FIN before the last chunk"),
    pytest.param([head(200, CHUNKED), chunk(b"{}"), Reset()], id="a reset before the last chunk"),
    pytest.param([head(200, CHUNKED), b"9\r\n{}", Close()], id="a FIN within a chunk"),
    pytest.param([head(200, CHUNKED), chunk(b"{}"), b"0\r\n", Close()], id="a FIN within the last chunk"),
    pytest.param([head(200), b"{}", Reset()], id="a reset where the close is the end"),
    pytest.param([head(200, CHUNKED), chunk(b"{}"), b"zz\r\n", Stall()], id="a malformed chunk size"),
    pytest.param([head(200, CHUNKED), chunk(b"{}"), b"-1\r\n", Stall()], id="a negative chunk size"),
    pytest.param([head(200, CHUNKED), chunk(b"{}"), b"f" * 17, b"\r\n", Stall()], id="a chunk size over 64 bits"),
    pytest.param(
        [head(200, CHUNKED), chunk(b"{}"), b"2\r\n{}XX2\r\n", Stall()], id="a chunk that goes on after its end"
    ),
]


@pytest.mark.parametrize("steps", CUT)
async def test_a_body_that_is_cut_never_ends_well(carrier: Carrier, upstream: RawUpstream, steps: list[Step]) -> None:
    gate = asyncio.Event()
    upstream.script(*steps[:2], Wait(gate), *steps[2:])
    answer = await carrier.send(upstream.url)
    reading = asyncio.create_task(answer.read())
    await until(reading.done)
    gate.set()

    with pytest.raises(UpstreamFailed) as caught:
        await rest(answer)
    answer.close()

    assert caught.value.code == "upstream_error"
    assert reading.result() == b"{}"
    await upstream.closed()


@pytest.mark.parametrize("steps", CUT)
async def test_a_reader_that_waits_learns_of_a_cut(carrier: Carrier, upstream: RawUpstream, steps: list[Step]) -> None:
    """Not only at its next read: a malformed chunk must not leave it waiting."""
    gate = asyncio.Event()
    upstream.script(*steps[:2], Wait(gate), *steps[2:])
    answer = await carrier.send(upstream.url)
    await answer.read()
    reading = asyncio.create_task(rest(answer))
    await asyncio.sleep(0)
    gate.set()

    with pytest.raises(UpstreamFailed):
        await reading
    answer.close()


async def test_reading_again_after_the_end_gives_nothing(carrier: Carrier, upstream: RawUpstream) -> None:
    upstream.script(GOOD)
    answer = await carrier.send(upstream.url)
    await rest(answer)

    assert [await answer.read(), await answer.read()] == [b"", b""]


async def test_a_cancelled_read_loses_nothing(carrier: Carrier, upstream: RawUpstream) -> None:
    gate = asyncio.Event()
    upstream.script(head(200, CHUNKED), Wait(gate), chunked([b"abc"]))
    answer = await carrier.send(upstream.url)
    reading = asyncio.create_task(answer.read())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    gate.set()

    assert await rest(answer) == b"abc"


async def test_closing_an_answer_before_its_end_closes_the_connection(carrier: Carrier, upstream: RawUpstream) -> None:
    upstream.script(head(200, CHUNKED), chunk(b"{}"), Stall())
    answer = await carrier.send(upstream.url)
    await answer.read()
    answer.close()
    answer.close()

    assert (await upstream.closed()).closed_by_peer


async def test_a_stream_that_is_finished_with_keeps_its_connection(carrier: Carrier, upstream: RawUpstream) -> None:
    gate = asyncio.Event()
    upstream.script(head(200, CHUNKED), chunk(b"{}"), Wait(gate), chunk(b""))
    upstream.script(GOOD)
    answer = await carrier.send(upstream.url)
    await answer.read()
    answer.finish()
    answer.close()
    gate.set()
    await answer.read()
    await carrier.fetch(upstream.url)

    assert len(upstream.connections) == 1


async def test_a_stream_that_does_not_end_is_let_go_of(
    carrier: Carrier, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "LINGER_S", 0.01)
    upstream.script(head(200, CHUNKED), chunk(b"{}"), Stall())
    answer = await carrier.send(upstream.url)
    await answer.read()
    answer.finish()
    answer.close()

    assert (await upstream.closed()).closed_by_peer


async def test_cancelling_while_the_provider_thinks_closes_the_connection(
    carrier: Carrier, upstream: RawUpstream
) -> None:
    upstream.script(Stall())
    sending = asyncio.create_task(carrier.send(upstream.url))
    await upstream.received()
    sending.cancel()
    await asyncio.wait([sending])

    assert sending.cancelled()
    assert (await upstream.closed()).closed_by_peer


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
async def test_a_redirect_is_an_answer_and_not_followed(carrier: Carrier, upstream: RawUpstream, status: int) -> None:
    async with RawUpstream() as elsewhere:
        upstream.script(json_answer({}, status, {"Location": f"{elsewhere.url}/v1"}))
        found = await carrier.fetch(upstream.url)

        assert (found, elsewhere.connections) == ((status, b"{}"), [])


@pytest.mark.parametrize(("status", "kept"), [(204, True), (304, True), (205, False), (101, False)])
async def test_a_status_without_a_body_ends_at_its_head(
    carrier: Carrier, upstream: RawUpstream, status: int, kept: bool
) -> None:
    upstream.script(head(status, {"Connection": "upgrade", "Upgrade": "x"} if status == 101 else {}))
    upstream.script(GOOD)
    first = await carrier.fetch(upstream.url)
    second = await carrier.fetch(upstream.url)

    assert (first, second) == ((status, b""), (200, b'{"good":true}'))
    assert upstream.requests[1].connection == (0 if kept else 1)


@pytest.mark.parametrize("status", [205, 299, 400, 418, 429, 500, 529, 599, 999])
async def test_every_status_is_told(carrier: Carrier, upstream: RawUpstream, status: int) -> None:
    upstream.script(json_answer({}, status))

    assert (await carrier.send(upstream.url)).status == status


async def test_the_headers_are_those_of_the_request_and_no_others(carrier: Carrier, upstream: RawUpstream) -> None:
    upstream.default = [GOOD]
    await carrier.fetch(f"{upstream.url}/v1/x?a=%2F&b=c%20d", headers={"X-Own": "1", "Accept": "text/x"})
    await carrier.fetch(f"{upstream.url}/v1", None, headers={})
    post, get = upstream.requests

    host = ("Host", f"127.0.0.1:{upstream.port}")
    assert sorted(post.headers) == [("Accept", "text/x"), ("Content-Length", "2"), host, ("X-Own", "1")]
    assert get.headers == (host,)
    assert (post.method, get.method, post.body, get.body) == ("POST", "GET", b"{}", b"")
    assert post.path.endswith("/v1/x?a=%2F&b=c%20d")


async def test_no_cookie_is_kept(carrier: Carrier, upstream: RawUpstream) -> None:
    upstream.default = [json_answer({}, headers={"Set-Cookie": "a=b; Path=/"})]
    for _ in range(2):
        await carrier.fetch(f"http://localhost:{upstream.port}/v1")  # no jar takes a cookie from a bare address

    assert [request.header("Cookie") for request in upstream.requests] == [None, None]


async def test_no_proxy_comes_from_the_environment(
    own: Carrier, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    upstream.script(GOOD)

    assert (await own.fetch(upstream.url))[0] == 200


async def test_no_password_comes_from_the_environment(
    carrier: Carrier, upstream: RawUpstream, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login someone password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    upstream.script(GOOD)
    await carrier.fetch(upstream.url)

    assert upstream.requests[0].header("Authorization") is None


PLAIN = b'{"text":"' + b"abc" * 5_000 + b'"}'
RAW_DEFLATE = zlib.compressobj(wbits=-15)
CODED = [
    pytest.param("gzip", gzip.compress(PLAIN), id="gzip"),
    pytest.param("GZIP", gzip.compress(PLAIN), id="upper case"),
    pytest.param("x-gzip", gzip.compress(PLAIN[:99]) + gzip.compress(PLAIN[99:]), id="gzip in two members"),
    pytest.param("deflate", zlib.compress(PLAIN), id="deflate"),
    pytest.param("deflate", RAW_DEFLATE.compress(PLAIN) + RAW_DEFLATE.flush(), id="deflate without its frame"),
    pytest.param("identity", PLAIN, id="identity"),
    pytest.param("", PLAIN, id="an empty name"),
]


@pytest.mark.parametrize("step", [1, 7, 1 << 20], ids=["byte by byte", "in small pieces", "whole"])
@pytest.mark.parametrize(("coding", "body"), CODED)
async def test_a_coded_body_is_decoded(
    carrier: Carrier, upstream: RawUpstream, coding: str, body: bytes, step: int
) -> None:
    pieces = [body[at : at + step] for at in range(0, len(body), step)]
    upstream.script(head(200, {"Content-Encoding": coding, **CHUNKED}), chunked(pieces))

    assert await carrier.fetch(upstream.url) == (200, PLAIN)


BADLY_CODED = [
    pytest.param("br", b"\x0b\x02\x80{}\x03", "upstream_invalid_response", id="br"),
    pytest.param("gzip, br", gzip.compress(PLAIN), "upstream_invalid_response", id="two codings"),
    pytest.param("gzip", PLAIN, "upstream_invalid_response", id="gzip that is none"),
    pytest.param("deflate", b"\x78" + PLAIN, "upstream_invalid_response", id="deflate that is none"),
    pytest.param("gzip", gzip.compress(PLAIN)[:-9], "upstream_error", id="gzip that stops early"),
    pytest.param("gzip", gzip.compress(PLAIN) + b"junk", "upstream_invalid_response", id="junk after gzip"),
    pytest.param("deflate", zlib.compress(PLAIN) * 2, "upstream_invalid_response", id="junk after deflate"),
    pytest.param("gzip", gzip.compress(PLAIN)[:-8] + bytes(8), "upstream_invalid_response", id="a wrong checksum"),
]


@pytest.mark.parametrize(("coding", "body", "code"), BADLY_CODED)
async def test_a_badly_coded_body_is_an_error(
    carrier: Carrier, upstream: RawUpstream, coding: str, body: bytes, code: str
) -> None:
    upstream.script(json_answer(body, headers={"Content-Encoding": coding}))
    answer = await carrier.send(upstream.url)
    with pytest.raises(UpstreamFailed) as caught:
        await rest(answer)

    assert (answer.status, caught.value.code) == (200, code)


async def test_an_empty_body_may_claim_any_coding(carrier: Carrier, upstream: RawUpstream) -> None:
    upstream.script(json_answer(b"", 500, {"Content-Encoding": "gzip"}))

    assert await carrier.fetch(upstream.url) == (500, b"")


async def test_a_bomb_is_decoded_in_small_pieces(carrier: Carrier, upstream: RawUpstream) -> None:
    upstream.script(json_answer(gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"}))
    answer = await carrier.send(upstream.url)
    sizes = []
    while data := await answer.read():
        sizes.append(len(data))

    assert sum(sizes) == 50_000_000
    assert max(sizes) <= 1 << 20


async def test_a_reader_that_does_not_read_holds_the_provider_up(carrier: Carrier, upstream: RawUpstream) -> None:
    piece, count = bytes(1 << 20), 100
    upstream.script(head(200, {"Content-Length": str(len(piece) * count)}), *[Send(piece)] * count)
    answer = await carrier.send(upstream.url)
    connection = await upstream.opened()
    before = -1
    while before != connection.sent_bytes:  # whatever sockets and proxies between hold
        before = connection.sent_bytes
        await asyncio.sleep(0.05)

    assert connection.sent_bytes < 50 << 20
    assert len(await rest(answer)) == len(piece) * count


async def test_a_burst_of_tiny_chunks_leaves_the_connection_in_order(carrier: Carrier, upstream: RawUpstream) -> None:
    """More chunks than aiohttp holds without pausing its parser, all in one receive."""
    pieces = [b"x"] * 20_000
    upstream.script(head(200, CHUNKED) + chunked(pieces))
    upstream.script(head(200, CHUNKED) + chunked([b"ab", b"cd", b"ef"]))
    first = await carrier.fetch(upstream.url)
    second = await carrier.fetch(upstream.url)

    assert first == (200, b"x" * 20_000)
    assert second == (200, b"abcdef")
