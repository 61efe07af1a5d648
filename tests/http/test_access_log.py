"""The access log: one line a request, in both styles, whatever is in the request."""

from __future__ import annotations

import asyncio
import io
import json
import re
from typing import Any

import pytest

from modelserver import serve
from modelserver.web.access_log import AccessLog
from tests.support.front import BEARER, CHAT_PATH, KEY, PROVIDER_KEY, Front, chat_body, front, request, settings
from tests.support.upstream import RawUpstream, Reset, Stall, Wait, chunk, json_answer, sse_answer, sse_head
from tests.support.waiting import until

USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
WHOLE = {"choices": [{"index": 0, "message": {"content": "an answer"}, "finish_reason": "stop"}], "usage": USAGE}
BEGIN = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
PATTERN = '[[models]]\nmodel_id = "here/*"\nroute = "up/*"\n'


class Lines:
    """A gateway's access log, written at its end."""

    def __init__(self, style: str = "json") -> None:
        self._stream = io.StringIO()
        self.log = AccessLog(style, self._stream)

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    def objects(self) -> list[dict[str, Any]]:
        assert self.text.endswith("\n")
        return [json.loads(line) for line in self.text.removesuffix("\n").split("\n")]


async def test_a_call_is_one_object_with_what_became_of_it(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE))
    lines = Lines()
    async with front(settings(upstream.url), access_log=lines.log) as server:
        await server.chat(headers={**BEARER, "X-Request-Id": "mine"})
    (line,) = lines.objects()

    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert 0 <= line.pop("first_ms") <= line.pop("ms")
    assert line == {
        "event": "request",
        "id": "mine",
        "method": "POST",
        "path": CHAT_PATH,
        "status": 200,
        "key": "alice",
        "model": "m",
        "provider": "up",
        "attempts": 1,
        "input_tokens": 5,
        "output_tokens": 7,
    }


async def test_a_stream_and_an_estimate_are_marked(upstream: RawUpstream) -> None:
    upstream.script(sse_answer([BEGIN, END]))
    lines = Lines()
    async with front(settings(upstream.url), access_log=lines.log) as server:
        await server.chat(stream=True)
    (line,) = lines.objects()

    assert (line["stream"], line["estimated"]) == (True, True)
    assert line["output_tokens"] > 0


async def test_in_text_it_is_one_line_with_words(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE))
    lines = Lines("text")
    async with front(settings(upstream.url), access_log=lines.log) as server:
        await server.chat(headers={**BEARER, "X-Request-Id": "mine"})

    assert re.fullmatch(
        r"\d\d:\d\d:\d\d 200 POST /v1/chat/completions [\d.]+ms id=mine key=alice model=m provider=up attempts=1"
        r" first_ms=[\d.]+ input_tokens=5 output_tokens=7\n",
        lines.text,
    )


async def broken_stream(server: Front, upstream: RawUpstream) -> None:
    """A stream that breaks when its first content has reached the client."""
    gate = asyncio.Event()
    upstream.script(sse_head(), chunk(BEGIN), Wait(gate), Reset())
    caller = await server.connect()
    await caller.send(request("POST", CHAT_PATH, BEARER, chat_body(stream=True)))
    await caller.until(BEGIN)
    gate.set()
    await caller.until(b"\r\n0\r\n\r\n")


async def outcomes(server: Front, upstream: RawUpstream) -> list[tuple[int, str | None]]:
    """Status and error of one request of every kind, as expected."""
    await server.ask("GET", "/health")
    await server.ask("GET", "/nowhere?secret=1")
    await server.ask("PUT", "/api/v1/models")
    await server.ask("HEAD", "/v1/models")
    await server.chat(headers={})
    await server.chat(b"no json")
    await server.chat(model="none")
    upstream.script(json_answer({"error": {"message": "no"}}, status=500))
    await server.chat()
    await broken_stream(server, upstream)
    return [
        (200, None),
        (404, "not_found"),
        (405, "method"),
        (200, None),
        (401, "authentication_error"),
        (400, "invalid"),
        (404, "model_not_found"),
        (502, "upstream_error"),
        (200, "upstream_error"),
    ]


async def test_every_request_has_one_line_with_its_outcome(upstream: RawUpstream, way: str) -> None:
    lines = Lines()
    async with front(settings(upstream.url), way, access_log=lines.log) as server:
        expected = await outcomes(server, upstream)

    assert [(line["status"], line.get("error")) for line in lines.objects()] == expected
    assert len({line["id"] for line in lines.objects()}) == len(expected)


async def test_a_client_that_leaves_has_a_line_too(upstream: RawUpstream, way: str) -> None:
    upstream.script(Stall())
    lines = Lines()
    async with front(settings(upstream.url), way, access_log=lines.log) as server:
        caller = await server.connect()
        await caller.send(request("POST", CHAT_PATH, BEARER, chat_body()))
        await upstream.received()
        caller.leave()
        await upstream.closed()
        await until(lambda: not server.gateway.open_calls, "the end of the call")
    (line,) = lines.objects()

    assert (line["status"], line["error"], line["model"]) == (499, "cancelled", "m")


async def test_a_bug_has_a_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = Lines()

    def fail(*_: object) -> None:
        raise ZeroDivisionError

    async with front(settings(), access_log=lines.log) as logged:
        monkeypatch.setattr(type(logged.gateway.snapshot), "offer", fail)
        await logged.chat()
    (line,) = lines.objects()

    assert (line["status"], line["error"]) == (500, "server")


STYLES = pytest.mark.parametrize("style", ["json", "text"])


@STYLES
async def test_nothing_secret_is_in_it(upstream: RawUpstream, style: str) -> None:
    lines = Lines(style)
    async with front(settings(upstream.url), access_log=lines.log) as server:
        for headers in (BEARER, {"x-api-key": KEY}, {"Authorization": f"Basic {KEY}"}, {"x-api-key": f"{KEY}x"}):
            upstream.script(json_answer({**WHOLE, "error": {"message": PROVIDER_KEY}}))
            await server.chat(headers=headers, user="a private prompt")
            await server.ask("GET", f"/v1/models?key={KEY}&api_key={KEY}", headers)

    assert lines.text.count("\n") == 8
    for secret in (KEY, PROVIDER_KEY, "?", "api_key", "private", "an answer", f"127.0.0.1:{upstream.port}"):
        assert secret not in lines.text


INJECTIONS = [
    "/x%0a12:00:00%20200%20GET%20/forged",
    "/x%0d%0aforged",
    "/v1/models/%0aforged",
    "/x%1b[31mred",
    "/x%e2%80%a8line%c2%85separators",
    "/x%e2%80%aebidi",
    "/x%00",
    "/x%ff%fe",
    "/x%ed%a0%80",
    "/x%20key=admin%20status=200",
    "/x%22y",
]


@STYLES
@pytest.mark.parametrize("path", INJECTIONS)
async def test_a_path_can_not_forge_a_line_or_a_word(style: str, path: str) -> None:
    lines = Lines(style)
    async with front(settings(), access_log=lines.log) as server:
        await server.ask("GET", path)
    (line,) = lines.text.splitlines()

    assert line.isprintable()
    assert style == "json" or re.fullmatch(r'\d\d:\d\d:\d\d 404 GET ("/(\\.|[^"\\])*"|/\S*) [\d.]+ms id=\S+ .*', line)


@STYLES
@pytest.mark.parametrize("name", ["a\nforged", "a b key=admin", 'a"b', "\u2028\u202e\x1b[0m", "é模型", "x" * 100_000])
async def test_a_model_can_not_either_and_is_cut(upstream: RawUpstream, style: str, name: str) -> None:
    lines = Lines(style)
    async with front(settings(upstream.url), access_log=lines.log) as server:
        await server.chat(model=name)
    (line,) = lines.text.removesuffix("\n").split("\n")

    assert len(line) < 1000
    assert line.isprintable()
    assert " key=admin " not in line.replace(json.dumps(name), "")


async def test_the_lines_of_one_moment_are_written_at_once_and_within_a_second(upstream: RawUpstream) -> None:
    lines = Lines()
    async with front(settings(upstream.url), access_log=lines.log) as server:
        await asyncio.gather(*(server.ask("GET", "/health") for _ in range(20)))
        async with asyncio.timeout(1.0):
            while not lines.text:
                await asyncio.sleep(0.01)

        assert len(lines.objects()) == 20


async def test_a_log_that_can_not_be_written_stops_nothing() -> None:
    stream = io.StringIO()
    log = AccessLog("json", stream)
    stream.close()
    async with front(settings(), access_log=log) as server:
        assert (await server.ask("GET", "/health")).status == 200
        log.flush()

        assert (await server.ask("GET", "/health")).status == 200


async def test_the_server_writes_it_in_the_configured_style() -> None:
    stream, stop = io.StringIO(), asyncio.Event()
    address: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    config = settings(server='log = "json"')
    task = asyncio.create_task(
        serve(config, log=stream, listen=("127.0.0.1", 0), started=address.set_result, stop=stop)
    )
    server = Front((await address)[1])
    await server.ask("GET", "/health")
    stop.set()
    await task
    (line,) = [line for line in map(json.loads, stream.getvalue().splitlines()) if line.get("event") == "request"]

    assert (line["path"], line["status"]) == ("/health", 200)
