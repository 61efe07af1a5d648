"""As a sub-application of a host, and two gateways in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from modelserver.config import Config
from modelserver.stores.keyfile import digest
from modelserver.web.app import create_app
from tests.support.front import BEARER, CHAT_PATH, Front, chat_body, front, request, serving_app, settings
from tests.support.upstream import RawUpstream, Stall, chunk, json_answer, sse_answer, sse_head

WHOLE = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
BEGIN = b'data: {"choices":[{"index":0,"delta":{"content":"Hi"}}]}\n\n'
END = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
BIG = "x" * 3_000_000


@web.middleware
async def of_the_host(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    response = await handler(request)
    if not response.prepared:
        response.headers["X-Host"] = "yes"
    return response


async def hello(request: web.Request) -> web.Response:
    return web.Response(text="hello")


@asynccontextmanager
async def host(config: Config, way: str = "runner", prefix: str = "/llm") -> AsyncIterator[Front]:
    """A host with a page of its own and the gateway below `prefix`."""
    app = web.Application(middlewares=[of_the_host])
    app.router.add_get("/hello", hello)
    gateway = create_app(config)
    app.add_subapp(prefix, gateway)
    async with serving_app(app, way, gateway) as port:
        running = Front(port, gateway, prefix)
        try:
            yield running
        finally:
            for caller in running.callers:
                caller.leave()


@pytest.mark.parametrize("prefix", ["/llm", "/a/b", "/api"])
async def test_every_endpoint_is_below_the_prefix(upstream: RawUpstream, way: str, prefix: str) -> None:
    upstream.script(json_answer(WHOLE))
    upstream.script(sse_answer([BEGIN, END]))
    async with host(settings(upstream.url), way, prefix) as server:
        paths = ("/health", "/readyz/", "/v1/models", "/v1/models/m", "/api/v1/models?type=llm")
        answers = [await server.ask("GET", path) for path in paths]
        answers += [await server.chat(), await server.chat(stream=True)]

    assert [answer.status for answer in answers] == [200] * 7
    assert {answer.header("X-Content-Type-Options") for answer in answers} == {"nosniff"}
    assert answers[-1].body == BEGIN + END


FAILURES = [
    pytest.param("GET", "/nowhere", 404, False, id="unknown path"),
    pytest.param("GET", "/v1/api/x", 404, False, id="a path that looks like the other"),
    pytest.param("GET", "/api/nowhere", 404, True, id="unknown path of the catalogue"),
    pytest.param("GET", CHAT_PATH, 405, False, id="another method"),
    pytest.param("POST", "/api/v1/models", 405, True, id="another method of the catalogue"),
    pytest.param("POST", CHAT_PATH, 401, False, id="no key"),
]


@pytest.mark.parametrize("prefix", ["/llm", "/api"])
@pytest.mark.parametrize(("method", "path", "status", "is_catalogue"), FAILURES)
async def test_errors_have_the_envelope_of_the_path_below_the_prefix(
    prefix: str, method: str, path: str, status: int, is_catalogue: bool
) -> None:
    async with host(settings(), prefix=prefix) as server:
        answer = await server.ask(method, path)

    assert answer.status == status
    assert list(answer.json()) == (["success", "message"] if is_catalogue else ["error"])
    assert (answer.header("Allow") is not None) is (status == 405)
    assert answer.header("X-Request-Id") is not None


async def test_the_host_keeps_its_own_answers(upstream: RawUpstream) -> None:
    async with host(settings(upstream.url)) as server:
        elsewhere = Front(server.port, callers=server.callers)
        page = await elsewhere.ask("GET", "/hello")
        missing = await elsewhere.ask("GET", "/nowhere")

    assert (page.body, page.header("X-Host")) == (b"hello", "yes")
    assert [page.header(name) for name in ("X-Request-Id", "X-Content-Type-Options")] == [None, None]
    assert (missing.status, missing.header("X-Request-Id")) == (404, None)


async def test_the_middlewares_of_the_host_see_our_answers() -> None:
    async with host(settings()) as server:
        assert (await server.ask("GET", "/health")).header("X-Host") == "yes"


async def test_a_body_over_the_limit_of_the_host_is_read_under_our_own(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE))
    async with host(settings(upstream.url)) as server:
        answer = await server.chat(user=BIG)

    assert answer.status == 200
    assert upstream.requests[0].json()["user"] == BIG


async def test_our_limit_holds_under_a_host(upstream: RawUpstream) -> None:
    async with host(settings(upstream.url, server='max_body = "1MB"')) as server:
        answer = await server.chat(user=BIG)

    assert answer.error() == (413, "invalid_request_error", "request_too_large", None)


async def test_a_client_that_leaves_a_host_ends_the_call(upstream: RawUpstream, way: str) -> None:
    upstream.script(sse_head(), chunk(BEGIN), Stall())
    async with host(settings(upstream.url), way) as server:
        caller = await server.connect()
        await caller.send(request("POST", f"/llm{CHAT_PATH}", BEARER, chat_body(stream=True)))
        await caller.until(BEGIN)
        caller.leave()

        assert (await upstream.closed(within_s=1.0)).closed_by_peer


async def test_an_expectation_at_an_unknown_path_is_answered_by_us_below_the_prefix() -> None:
    async with host(settings()) as server:
        answer = await server.ask("GET", "/nowhere", {"Expect": "x"})

    assert answer.error() == (404, "invalid_request_error", "not_found", None)


async def test_two_gateways_in_one_process_share_nothing(upstream: RawUpstream) -> None:
    upstream.default = lambda asked: [json_answer({**WHOLE, "model": "of the first"})]
    other_key = "sk-ms-other-0123456789"
    async with RawUpstream(default=[json_answer({**WHOLE, "model": "of the second"})]) as second_upstream:
        first_config = settings(upstream.url, "limits = { rpm = 1 }")
        second_config = settings(
            second_upstream.url, f'limits = {{ rpm = 1 }}\n[[keys]]\nname = "b"\nhash = "sha256:{digest(other_key)}"\n'
        )
        async with front(first_config) as first, front(second_config, "runner") as second:
            answers = await asyncio.gather(first.chat(), second.chat(), second.chat(headers={"x-api-key": other_key}))
            refused = await asyncio.gather(first.chat(), second.chat())
            foreign = await first.chat(headers={"x-api-key": other_key})

    assert [answer.json()["model"] for answer in answers] == ["of the first", "of the second", "of the second"]
    assert [answer.status for answer in refused] == [429, 429]
    assert foreign.status == 401


async def test_two_gateways_can_be_mounted_in_one_host(upstream: RawUpstream) -> None:
    app = web.Application()
    shut = settings(server='catalogue = "off"')
    first, second = create_app(settings(upstream.url)), create_app(shut)
    app.add_subapp("/one", first)
    app.add_subapp("/two", second)
    async with serving_app(app, "runner", first) as port:
        answers = [await Front(port, prefix=prefix).ask("GET", "/api/v1/models") for prefix in ("/one", "/two")]

    assert [answer.status for answer in answers] == [200, 404]


async def test_a_host_that_stops_closes_the_gateway(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE))
    async with host(settings(upstream.url)) as server:
        await server.chat()
        gateway = server.gateway

    assert (await upstream.closed()).closed_by_peer
    assert gateway.open_calls == 0
