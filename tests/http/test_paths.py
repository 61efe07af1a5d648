"""What every path has in common: methods, slashes, request ids, CORS, and errors in the envelope of the path."""

from __future__ import annotations

import json
import re

import pytest

from modelserver.version import __version__
from tests.support.front import BEARER, CHAT_PATH, Answer, Front, front, request, settings
from tests.support.upstream import RawUpstream, json_answer, sse_answer

WHOLE = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
FRAMES = [{"choices": [{"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}]}, "[DONE]"]

HEALTH = [
    pytest.param("/health", {"status": "ok", "version": __version__}, id="health"),
    pytest.param("/healthz", {"status": "ok", "version": __version__}, id="healthz"),
    pytest.param("/health/ready", {"status": "ready"}, id="ready"),
    pytest.param("/readyz", {"status": "ready"}, id="readyz"),
]


@pytest.mark.parametrize("slash", ["", "/", "/?x=1"])
@pytest.mark.parametrize(("path", "expected"), HEALTH)
async def test_health_is_public_and_never_cached(
    server: Front, path: str, expected: dict[str, str], slash: str
) -> None:
    answer = await server.ask("GET", path + slash)

    assert (answer.status, answer.json(), answer.header("Cache-Control")) == (200, expected, "no-store")


async def test_health_asks_no_provider(server: Front, upstream: RawUpstream) -> None:
    for path in ("/health", "/health/ready"):
        await server.ask("GET", path, BEARER)

    assert upstream.connections == []


async def test_while_draining_ready_is_a_503_that_says_when_and_health_goes_on(server: Front) -> None:
    server.gateway.begin_drain()
    live, ready, slashed = [await server.ask("GET", path) for path in ("/health", "/readyz", "/health/ready/")]

    assert [answer.status for answer in (live, ready, slashed)] == [200, 503, 503]
    assert (ready.json(), ready.header("Retry-After")) == ({"status": "draining"}, "5")
    assert [answer.header("Connection") for answer in (live, ready)] == ["close", "close"]


GETS = ["/", "/health", "/healthz/", "/readyz", "/health/ready", "/v1/models", "/v1/models/m", "/api/v1/models/"]


@pytest.mark.parametrize("path", GETS)
async def test_a_head_is_a_get_without_its_body(server: Front, path: str) -> None:
    full = await server.ask("GET", path)
    caller = await server.connect()
    await caller.send(request("HEAD", path, {"Connection": "close"}))
    answer = await caller.answer(bodiless=True)

    assert (answer.status, answer.header("Content-Type")) == (200, full.header("Content-Type"))
    assert answer.header("Content-Length") == str(len(full.body))
    assert await caller.rest() == b""


UNKNOWN = [
    "//",
    "/v1",
    "/v1/",
    "/v2/models",
    "//v1/models",
    "/v1/chat",
    "/v1/files",
    "/V1/models",
    "/v1/chat/completions/x",
    "/health/x",
    "/favicon.ico",
    "/.env",
    "/v1/../etc/passwd",
    "/%2e%2e/",
    "/x%0d%0aX-Evil:%201",
    "/" + "a" * 8000,
]


@pytest.mark.parametrize("path", UNKNOWN)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_an_unknown_path_is_a_404_in_the_envelope_of_openai(server: Front, method: str, path: str) -> None:
    answer = await server.ask(method, path)

    assert answer.error() == (404, "invalid_request_error", "not_found", None)
    assert len(answer.body) < 300


NO_PATHS = [
    pytest.param("OPTIONS", "*", id="the server as a whole"),
    pytest.param("CONNECT", "example.com:443", id="a tunnel"),
]


@pytest.mark.parametrize(("method", "target"), NO_PATHS)
async def test_a_target_that_is_no_path_is_a_404(
    server: Front, method: str, target: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = await server.ask(method, target)

    assert answer.error() == (404, "invalid_request_error", "not_found", None)
    assert "failed" not in caplog.text


@pytest.mark.parametrize("path", ["/api/", "/api/v1", "/api/v1/model", "/api/v1/models/gpt", "/api/x%0ay"])
async def test_under_api_it_has_the_envelope_of_the_catalogue(server: Front, path: str) -> None:
    answer = await server.ask("GET", path)

    assert (answer.status, answer.header("Content-Type")) == (404, "application/json")
    assert answer.json() == {"success": False, "message": "There is nothing at this path."}


METHODS = [
    pytest.param("GET", CHAT_PATH, "POST", id="GET of a completion"),
    pytest.param("HEAD", CHAT_PATH, "POST", id="HEAD of a completion"),
    pytest.param("PUT", f"{CHAT_PATH}/", "POST", id="with a slash"),
    pytest.param("POST", "/v1/models", "GET, HEAD", id="POST to the list"),
    pytest.param("DELETE", "/v1/models/a/b", "GET, HEAD, POST", id="DELETE of a model"),
    pytest.param("PATCH", "/healthz", "GET, HEAD", id="PATCH of health"),
    pytest.param("OPTIONS", "/v1/models", "GET, HEAD", id="OPTIONS without CORS"),
    pytest.param("POST", "/", "GET, HEAD", id="POST to the page"),
    pytest.param("TRACE", "/health", "GET, HEAD", id="TRACE"),
]


@pytest.mark.parametrize(("method", "path", "allowed"), METHODS)
async def test_another_method_is_a_405_that_says_which_there_are(
    server: Front, method: str, path: str, allowed: str
) -> None:
    answer = await server.ask(method, path, BEARER)

    assert (answer.status, answer.header("Allow")) == (405, allowed)
    assert method == "HEAD" or answer.error() == (405, "invalid_request_error", "method_not_allowed", None)


async def test_a_405_under_api_has_its_envelope(server: Front) -> None:
    answer = await server.ask("POST", "/api/v1/models")

    assert (answer.status, answer.header("Allow"), answer.json()["success"]) == (405, "GET, HEAD", False)
    assert list(answer.json()) == ["success", "message"]


EXPECTATIONS = [
    pytest.param("GET", "/nowhere", "<script>", 404, id="unknown path, nonsense"),
    pytest.param("POST", "/nowhere", "100-continue", 404, id="unknown path"),
    pytest.param("PUT", CHAT_PATH, "100-continue", 405, id="another method"),
]


@pytest.mark.parametrize(("method", "path", "expectation", "status"), EXPECTATIONS)
async def test_a_body_is_not_asked_for_where_nobody_reads_it(
    server: Front, method: str, path: str, expectation: str, status: int
) -> None:
    answer = await server.ask(method, path, {"Expect": expectation, "X-Request-Id": "mine", "Content-Length": "5"})

    assert answer.error()[0] == status
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert answer.header("X-Request-Id") == "mine"
    assert b"script" not in answer.body


async def one_of_everything(server: Front, headers: dict[str, str]) -> list[Answer]:
    return [
        await server.ask("GET", "/health", headers),
        await server.ask("GET", "/v1/models", headers),
        await server.ask("GET", "/v1/models/none", headers),
        await server.ask("GET", "/api/v1/models", headers),
        await server.ask("GET", "/api/v1/models", {**headers, "If-None-Match": "*"}),
        await server.ask("HEAD", "/api/v1/models?type=x", headers),
        await server.ask("GET", "/nowhere", headers),
        await server.ask("PUT", "/v1/models", headers),
        await server.chat(headers={**BEARER, **headers}),
        await server.chat(headers={**BEARER, **headers}, stream=True),
        await server.chat(b"no json", headers={**BEARER, **headers}),
        await server.chat(headers=headers),
    ]


async def test_every_answer_has_nosniff_an_id_of_its_own_and_our_name(upstream: RawUpstream, way: str) -> None:
    upstream.default = lambda asked: [sse_answer(FRAMES) if asked.json().get("stream") else json_answer(WHOLE)]
    async with front(settings(upstream.url), way) as server:
        answers = await one_of_everything(server, {})
    ids = {str(answer.header("X-Request-Id")) for answer in answers}

    assert {answer.header("X-Content-Type-Options") for answer in answers} == {"nosniff"}
    assert {answer.header("Server") for answer in answers} == {"modelserver"}
    assert len(ids) == len(answers)
    assert all(re.fullmatch("req_[0-9a-f]{24}", each) for each in ids)


async def test_a_sane_id_of_the_client_is_kept_everywhere(upstream: RawUpstream) -> None:
    upstream.default = lambda asked: [sse_answer(FRAMES) if asked.json().get("stream") else json_answer(WHOLE)]
    async with front(settings(upstream.url)) as server:
        answers = await one_of_everything(server, {"X-Request-Id": "a-Z_0.9:/+="})

    assert {answer.header("X-Request-Id") for answer in answers} == {"a-Z_0.9:/+="}


INSANE = [
    pytest.param("", id="empty"),
    pytest.param("a b", id="blank"),
    pytest.param("<script>", id="markup"),
    pytest.param('a"b', id="quote"),
    pytest.param("a" * 129, id="long"),
    pytest.param("\xe9\xff", id="not ASCII"),
    pytest.param("a\tb", id="tab"),
]


@pytest.mark.parametrize("given", INSANE)
async def test_another_id_is_replaced(server: Front, given: str) -> None:
    answer = await server.ask("GET", "/health", {"X-Request-Id": given})

    assert str(answer.header("X-Request-Id")).startswith("req_")


PREFLIGHT = {
    "Origin": "https://app.example",
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization, content-type",
}
CORS = 'cors = ["https://app.example", "http://localhost:3000"]'


async def test_a_preflight_needs_no_key_and_asks_no_provider(upstream: RawUpstream) -> None:
    async with front(settings(upstream.url, server=CORS)) as server:
        answer = await server.ask("OPTIONS", CHAT_PATH, PREFLIGHT)

    assert (answer.status, answer.body) == (204, b"")
    assert answer.header("Access-Control-Allow-Origin") == "https://app.example"
    assert answer.header("Access-Control-Allow-Headers") == "authorization, content-type"
    assert "POST" in str(answer.header("Access-Control-Allow-Methods"))
    assert answer.header("Vary") == "Origin"
    assert answer.header("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize("wanted", ["\xff", "a<b>", ""])
async def test_a_preflight_is_told_back_header_names_only(wanted: str) -> None:
    async with front(settings(server=CORS)) as server:
        answer = await server.ask("OPTIONS", CHAT_PATH, {**PREFLIGHT, "Access-Control-Request-Headers": wanted})

    assert (answer.status, answer.header("Access-Control-Allow-Headers")) == (204, "*")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "https://app.example.evil", "null", "https://app.example:444"]
)
async def test_another_origin_is_allowed_nothing(origin: str) -> None:
    async with front(settings(server=CORS)) as server:
        preflight = await server.ask("OPTIONS", CHAT_PATH, {**PREFLIGHT, "Origin": origin})
        call = await server.ask("GET", "/v1/models", {"Origin": origin})

    assert [each.header("Access-Control-Allow-Origin") for each in (preflight, call)] == [None, None]


async def test_answers_and_errors_name_the_origin_that_may_read_them(upstream: RawUpstream) -> None:
    upstream.script(sse_answer(FRAMES))
    origin = {"Origin": "http://localhost:3000"}
    async with front(settings(upstream.url, server=CORS)) as server:
        answers = [
            await server.chat(headers={**BEARER, **origin}, stream=True),
            await server.chat(headers=origin),
            await server.ask("GET", "/nowhere", origin),
            await server.ask("GET", "/v1/models", origin),
        ]

    assert {answer.header("Access-Control-Allow-Origin") for answer in answers} == {"http://localhost:3000"}
    assert all("Origin" in str(answer.header("Vary")) for answer in answers)


async def test_a_star_allows_every_origin() -> None:
    async with front(settings(server='cors = ["*"]')) as server:
        answer = await server.ask("GET", "/v1/models", {"Origin": "https://any.example"})

    assert answer.header("Access-Control-Allow-Origin") == "*"


async def test_without_cors_nothing_is_said_of_it(server: Front) -> None:
    answer = await server.ask("GET", "/v1/models", {"Origin": "https://app.example"})

    assert [name for name, _ in answer.headers if name.lower().startswith("access-control")] == []


async def test_a_bug_is_a_500_with_the_request_id_and_nothing_else(
    server: Front, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("the inner secret")

    monkeypatch.setattr(type(server.gateway.snapshot), "offer", fail)
    answer = await server.chat(headers={**BEARER, "X-Request-Id": "my-id"})

    assert answer.error() == (500, "server_error", "server_error", None)
    assert "my-id" in answer.json()["error"]["message"]
    assert "secret" not in json.dumps(answer.json())
    assert "request my-id failed" in caplog.text
