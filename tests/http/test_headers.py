"""Headers both ways: exactly what is meant to travel does."""

from __future__ import annotations

import pytest

from modelserver.version import __version__
from tests.support.front import BEARER, KEY, PROVIDER_KEY, Answer, front, settings
from tests.support.upstream import RawUpstream, Received, json_answer, sse_answer

WHOLE = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
FRAMES = [{"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}, "[DONE]"]
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

HOSTILE = {
    **BEARER,
    "x-api-key": KEY,
    "x-goog-api-key": KEY,
    "Cookie": "session=1",
    "User-Agent": "curl/8",
    "Accept": "text/html",
    "Accept-Encoding": "gzip, br",
    "Accept-Language": "de",
    "Content-Type": "text/plain",
    "OpenAI-Organization": "org",
    "OpenAI-Beta": "assistants=v2",
    "anthropic-version": "2023-06-01",
    "X-Forwarded-For": "1.2.3.4",
    "X-Real-IP": "1.2.3.4",
    "Forwarded": "for=1.2.3.4",
    "Referer": "http://a.example",
    "X-Request-Id": "mine",
    "X-Stainless-Lang": "js",
    "Connection": "close, x-hop",
    "x-hop": "1",
    "TE": "trailers",
    "Proxy-Authorization": "Basic eDp5",
    "X-ModelServer-Provider": "other",
    "api-key": "x",
}


def sent(asked: Received) -> dict[str, str]:
    """Headers with lower-case names; none may be there twice. Host and length vary and are left out."""
    names = [name.lower() for name, _ in asked.headers]
    assert len(names) == len(set(names))
    return {name.lower(): value for name, value in asked.headers if name.lower() not in ("host", "content-length")}


EXPECTED = {
    "accept": "application/json",
    "accept-encoding": "identity",
    "authorization": f"Bearer {PROVIDER_KEY}",
    "content-type": "application/json",
    "user-agent": f"modelserver/{__version__}",
}
PASSED = {"openai-beta": HOSTILE["OpenAI-Beta"]}
"""Of a client's headers, what is of its dialect."""


FEW_AND_MANY = [pytest.param(BEARER, {}, id="few headers"), pytest.param(HOSTILE, PASSED, id="many headers")]


@pytest.mark.parametrize(("headers", "passed"), FEW_AND_MANY)
async def test_the_provider_gets_exactly_our_headers(
    upstream: RawUpstream, headers: dict[str, str], passed: dict[str, str]
) -> None:
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url)) as server:
        assert (await server.chat(headers=headers)).status == 200

    (asked,) = upstream.requests
    assert sent(asked) == {**EXPECTED, **passed}
    assert asked.header("Host") == f"127.0.0.1:{upstream.port}"
    assert KEY not in str(asked)


async def test_for_a_stream_an_event_stream_is_accepted(upstream: RawUpstream) -> None:
    upstream.script(sse_answer(FRAMES))
    async with front(settings(upstream.url)) as server:
        await server.chat(stream=True)

    assert sent(upstream.requests[0]) == {**EXPECTED, "accept": "text/event-stream"}


async def test_a_trace_travels_on(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE))
    trace = {"traceparent": TRACE, "tracestate": "a=1,b=2"}
    async with front(settings(upstream.url)) as server:
        await server.chat(headers={**HOSTILE, **trace})

    assert sent(upstream.requests[0]) == {**EXPECTED, **PASSED, **trace}


@pytest.mark.parametrize("value", ["\xff", "a\tb"], ids=["not ASCII", "not printable"])
async def test_a_trace_that_is_no_plain_text_does_not(upstream: RawUpstream, value: str) -> None:
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url)) as server:
        answer = await server.chat(headers={**BEARER, "traceparent": value})

    assert (answer.status, sent(upstream.requests[0])) == (200, EXPECTED)


async def test_configured_headers_are_sent_and_win(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE))
    provider = 'headers = { x-team = "research", AUTHORIZATION = "Other x", user-agent = "ours" }'
    async with front(settings(upstream.url, provider=provider)) as server:
        await server.chat(headers=HOSTILE)

    assert sent(upstream.requests[0]) == {
        **EXPECTED,
        **PASSED,
        "x-team": "research",
        "authorization": "Other x",
        "user-agent": "ours",
    }


AUTHS = [
    pytest.param("bearer", {"authorization": f"Bearer {PROVIDER_KEY}"}, id="bearer"),
    pytest.param("api-key", {"api-key": PROVIDER_KEY}, id="Azure"),
    pytest.param("x-api-key", {"x-api-key": PROVIDER_KEY}, id="Anthropic"),
    pytest.param("none", {}, id="none"),
]


@pytest.mark.parametrize(("word", "expected"), AUTHS)
async def test_the_key_goes_into_the_header_that_the_provider_wants(
    upstream: RawUpstream, word: str, expected: dict[str, str]
) -> None:
    upstream.script(json_answer(WHOLE))
    async with front(settings(upstream.url, provider=f'quirks = {{ auth = "{word}" }}')) as server:
        await server.chat(headers=HOSTILE)

    assert sent(upstream.requests[0]) == {
        **{name: value for name, value in EXPECTED.items() if name != "authorization"},
        **PASSED,
        **expected,
    }


FOREIGN = {
    "Set-Cookie": "tracking=1",
    "Server": "cloudflare",
    "Date": "Thu, 01 Jan 1970 00:00:00 GMT",
    "Via": "1.1 inner.example",
    "X-Request-Id": "theirs",
    "OpenAI-Organization": "our-org",
    "OpenAI-Processing-Ms": "987654321",
    "X-RateLimit-Limit-Requests": "1",
    "X-RateLimit-Remaining-Tokens": "2",
    "Access-Control-Allow-Origin": "https://evil.example",
    "Content-Security-Policy": "none",
    "Strict-Transport-Security": "max-age=1",
    "Location": "http://inner.example",
    "X-Should-Retry": "false",
    "Retry-After": "7",
    "Alt-Svc": "h3",
    "CF-Ray": "1",
    "Content-Language": "de",
    "Cache-Control": "public",
    "Connection": "x-hop",
    "x-hop": "1",
    "Trailer": "x-trailer",
}
OURS = {"content-type", "content-length", "date", "server", "x-request-id", "x-content-type-options"}
GENERATION = {"openai-processing-ms", "x-modelserver-provider", "x-modelserver-attempts"}


def names(answer: Answer) -> set[str]:
    return {name.lower() for name, _ in answer.headers}


def foreign(answer: Answer) -> set[tuple[str, str]]:
    return {(name.title(), value) for name, value in answer.headers} & {(n.title(), v) for n, v in FOREIGN.items()}


async def test_of_a_whole_answer_no_header_of_the_provider_comes_through(upstream: RawUpstream) -> None:
    upstream.script(json_answer(WHOLE, headers=FOREIGN))
    async with front(settings(upstream.url)) as server:
        answer = await server.chat()

    assert names(answer) == OURS | GENERATION
    assert foreign(answer) == set()


async def test_of_a_stream_no_header_of_the_provider_comes_through(upstream: RawUpstream) -> None:
    upstream.script(sse_answer(FRAMES, headers=FOREIGN))
    async with front(settings(upstream.url)) as server:
        answer = await server.chat(stream=True)

    expected = OURS - {"content-length"} | GENERATION | {"cache-control", "x-accel-buffering", "transfer-encoding"}
    assert names(answer) == expected
    assert foreign(answer) == set()


@pytest.mark.parametrize("status", [400, 401, 404, 500, 503])
async def test_of_an_error_no_header_of_the_provider_comes_through(upstream: RawUpstream, status: int) -> None:
    upstream.script(json_answer({"error": {"message": "no"}}, status=status, headers=FOREIGN))
    async with front(settings(upstream.url)) as server:
        answer = await server.chat()

    assert names(answer) - {"x-should-retry", "retry-after"} == OURS | GENERATION
    assert foreign(answer) - {("X-Should-Retry", "false"), ("Retry-After", "7")} == set()
    assert answer.header("Content-Type") == "application/json"


RETRIES = [
    pytest.param({"Retry-After": "7"}, "7", id="seconds"),
    pytest.param({"Retry-After": "0"}, "0", id="at once"),
    pytest.param({"Retry-After": "6.2"}, "7", id="fraction"),
    pytest.param({"retry-after-ms": "1500"}, "2", id="milliseconds"),
    pytest.param({"Retry-After": "Thu, 01 Jan 1970 00:00:00 GMT"}, "0", id="date in the past"),
    pytest.param({"Retry-After": "86400"}, "86400", id="a day"),
    pytest.param({"Retry-After": "86401"}, "5", id="more than a day"),
    pytest.param({"Retry-After": "-1"}, "5", id="negative"),
    pytest.param({"Retry-After": "soon"}, "5", id="no number"),
    pytest.param({"Retry-After": "9" * 400}, "5", id="absurd"),
    pytest.param({}, "5", id="none"),
]


@pytest.mark.parametrize(("headers", "expected"), RETRIES)
@pytest.mark.parametrize("status", [429, 503])
async def test_when_to_come_back_is_passed_on_in_whole_seconds(
    upstream: RawUpstream, status: int, headers: dict[str, str], expected: str
) -> None:
    upstream.script(json_answer({"error": {"message": "no"}}, status=status, headers=headers))
    async with front(settings(upstream.url)) as server:
        answer = await server.chat()

    assert (answer.status, answer.header("Retry-After")) == (status, expected)
