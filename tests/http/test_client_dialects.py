"""The endpoints of every dialect: whose errors, lists, keys and headers a request gets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from modelserver.gateway.pipes import StreamPipe
from tests.support.front import BEARER, KEY, PROVIDER_KEY, Answer, Front, front, settings
from tests.support.upstream import RawUpstream, json_answer

MOCK = """
[[models]]
model_id = "mock"
route = "mock/mock"
context_length = 8000
max_output = 1000
created = 2025-08-07
desc = "Built in."
features = ["thinking"]
input_modalities = ["text", "image"]
[[models]]
model_id = "house/big:7b"
route = "mock/mock"
"""
ANTHROPIC = {"anthropic-version": "2023-06-01"}
ASKED = {"role": "user", "content": "Hello!"}
SAID = 'This is the mock model. You said: "Hello!"'
GEMINI_PATH = "/v1beta/models/mock:generateContent"
CONTENTS = {"contents": [{"parts": [{"text": "Hello!"}]}]}


@pytest.fixture
async def shop() -> AsyncIterator[Front]:
    async with front(settings(more=MOCK)) as running:
        yield running


async def post(server: Front, path: str, body: object, headers: dict[str, str] | None = None) -> Answer:
    return await server.ask("POST", path, BEARER if headers is None else headers, json.dumps(body).encode())


# Answers.

RESPONSES_BODY: dict[str, Any] = {"model": "mock", "input": "Hello!"}
MESSAGES_BODY: dict[str, Any] = {"model": "mock", "max_tokens": 100, "messages": [ASKED]}


async def test_responses_answers(shop: Front) -> None:
    said = (await post(shop, "/v1/responses", RESPONSES_BODY)).json()

    assert (said["object"], said["status"], said["model"]) == ("response", "completed", "mock")
    assert said["output"][0]["content"][0]["text"] == SAID


async def test_messages_answers(shop: Front) -> None:
    answer = await post(shop, "/v1/messages?beta=true", MESSAGES_BODY)

    said = answer.json()
    assert (said["type"], said["model"], said["stop_reason"]) == ("message", "mock", "end_turn")
    assert said["content"] == [{"type": "text", "text": SAID}]
    assert answer.header("Request-Id") == answer.header("X-Request-Id")


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
@pytest.mark.parametrize("name", ["mock", "house/big:7b", "house%2Fbig%3A7b"])
async def test_gemini_answers_under_each_version(shop: Front, version: str, name: str) -> None:
    said = (await post(shop, f"/{version}/models/{name}:generateContent", CONTENTS)).json()

    assert said["candidates"][0]["content"]["parts"] == [{"text": SAID}]
    assert said["candidates"][0]["finishReason"] == "STOP"


STREAMS = [
    pytest.param("/v1/responses", {**RESPONSES_BODY, "stream": True}, b"event: response.completed\n", id="responses"),
    pytest.param("/v1/messages", {**MESSAGES_BODY, "stream": True}, b"event: message_stop\n", id="anthropic"),
    pytest.param("/v1beta/models/mock:streamGenerateContent?alt=sse", CONTENTS, b'"finishReason":"STOP"', id="gemini"),
]


@pytest.mark.parametrize(("path", "body", "end"), STREAMS)
async def test_a_stream_is_events_to_the_end(shop: Front, path: str, body: object, end: bytes) -> None:
    answer = await post(shop, path, body)

    assert answer.header("Content-Type") == "text/event-stream; charset=utf-8"
    assert end in answer.body.strip().rsplit(b"\n\n", 1)[-1].replace(b"\r\n\r\n", b"")
    assert b"[DONE]" not in answer.body


async def test_a_gemini_stream_without_sse_is_one_array(shop: Front) -> None:
    answer = await post(shop, "/v1beta/models/mock:streamGenerateContent", CONTENTS)

    chunks = answer.json()
    text = "".join(
        part["text"]
        for chunk in chunks
        for part in chunk["candidates"][0]["content"].get("parts", [])
        if "text" in part
    )
    assert answer.header("Content-Type") == "application/json; charset=utf-8"
    assert (text, chunks[-1]["candidates"][0]["finishReason"]) == (SAID, "STOP")


async def test_a_fault_of_ours_within_an_array_leaves_it_an_array(shop: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(StreamPipe, "_next", lambda pipe: 1 / 0)
    answer = await post(shop, "/v1beta/models/mock:streamGenerateContent", CONTENTS)

    *chunks, last = answer.json()
    assert chunks
    assert last["error"]["status"] == "INTERNAL"


# Errors.

ERRORS = [
    pytest.param("/v1/responses", {"model": "mock"}, 400, ("error", "param", "input"), id="responses"),
    pytest.param(
        "/v1/responses", {"model": "none", "input": "a"}, 404, ("error", "code", "model_not_found"), id="R404"
    ),
    pytest.param(
        "/v1/messages", {**MESSAGES_BODY, "model": "no"}, 404, ("error", "type", "not_found_error"), id="A404"
    ),
    pytest.param("/v1/messages", {"model": "mock"}, 400, ("error", "type", "invalid_request_error"), id="anthropic"),
    pytest.param(GEMINI_PATH, {}, 400, ("error", "status", "INVALID_ARGUMENT"), id="gemini"),
    pytest.param("/v1beta/models/no:generateContent", CONTENTS, 404, ("error", "status", "NOT_FOUND"), id="G404"),
    pytest.param("/v1/models/no:generateContent", CONTENTS, 404, ("error", "status", "NOT_FOUND"), id="G404 under v1"),
    pytest.param("/v1beta/models/mock:embedContent", CONTENTS, 404, ("error", "status", "NOT_FOUND"), id="no method"),
    pytest.param("/v1/models/mock", CONTENTS, 404, ("error", "status", "NOT_FOUND"), id="no method under v1"),
    pytest.param("/v1beta/corpora", {}, 404, ("error", "status", "NOT_FOUND"), id="unknown path of Google's"),
    pytest.param("/v1/messages/batches", {}, 404, ("error", "type", "not_found_error"), id="unknown of Anthropic's"),
    pytest.param("/v1/responses/compact", {}, 404, ("error", "code", "not_found"), id="unknown of OpenAI's"),
]


@pytest.mark.parametrize(("path", "body", "status", "said"), ERRORS)
async def test_an_error_is_in_the_dialect_of_its_path(
    shop: Front, path: str, body: object, status: int, said: tuple[str, str, str]
) -> None:
    answer = await post(shop, path, body)

    assert (answer.status, answer.json()[said[0]][said[1]]) == (status, said[2])


async def test_an_error_of_an_array_stream_is_an_array(shop: Front) -> None:
    answer = await post(shop, "/v1beta/models/no:streamGenerateContent", CONTENTS)

    assert [entry["error"]["code"] for entry in answer.json()] == [404]


async def test_a_tuned_model_may_be_called_with_the_key_in_the_query(shop: Front) -> None:
    answer = await post(shop, f"/v1/tunedModels/x:generateContent?key={KEY}", CONTENTS, {})

    assert (answer.status, answer.json()["error"]["status"]) == (404, "NOT_FOUND")


async def test_anthropics_clients_get_their_own_headers(upstream: RawUpstream) -> None:
    limited = settings(more=f"{MOCK}\n[groups.default]\nlimits = {{ rpm = 1 }}")
    async with front(limited) as server:
        answers = [await post(server, "/v1/messages", MESSAGES_BODY) for _ in range(2)]
        listed = await server.ask("GET", "/v1/models", {**BEARER, **ANTHROPIC})

    assert [answer.status for answer in answers] == [200, 429]
    for answer in answers:
        assert answer.header("Anthropic-RateLimit-Requests-Limit") == "1"
        assert answer.header("Anthropic-RateLimit-Requests-Remaining") == "0"
        assert (answer.header("Anthropic-RateLimit-Requests-Reset") or "").endswith("Z")
        assert answer.header("Request-Id") == answer.header("X-Request-Id")
    assert listed.header("Request-Id") == listed.header("X-Request-Id")


async def test_an_anthropic_error_has_the_request_id(shop: Front) -> None:
    answer = await post(shop, "/v1/messages", {}, {**BEARER, "X-Request-Id": "req-mine"})

    assert (answer.json()["request_id"], answer.header("Request-Id")) == ("req-mine", "req-mine")


UNKNOWN_KEYS = [
    pytest.param("/v1/responses", {"Authorization": "Bearer no"}, ("error", "type", "authentication_error"), id="R"),
    pytest.param("/v1/messages", {"x-api-key": "no"}, ("error", "type", "authentication_error"), id="A"),
    pytest.param(GEMINI_PATH, {"x-goog-api-key": "no"}, ("error", "status", "UNAUTHENTICATED"), id="D74 G"),
    pytest.param(f"{GEMINI_PATH}?key=no", {}, ("error", "status", "UNAUTHENTICATED"), id="D74 G by query"),
    pytest.param(GEMINI_PATH, {}, ("error", "status", "UNAUTHENTICATED"), id="G without"),
]


@pytest.mark.parametrize(("path", "headers", "said"), UNKNOWN_KEYS)
async def test_a_wrong_key_is_a_401_in_the_dialect(
    shop: Front, path: str, headers: dict[str, str], said: tuple[str, str, str]
) -> None:
    answer = await post(shop, path, CONTENTS, headers)

    assert (answer.status, answer.json()[said[0]][said[1]]) == (401, said[2])


KEYS = [
    pytest.param("/v1/messages", {"x-api-key": KEY}, MESSAGES_BODY, id="x-api-key"),
    pytest.param("/v1/messages", BEARER, MESSAGES_BODY, id="bearer for Anthropic"),
    pytest.param(GEMINI_PATH, {"x-goog-api-key": KEY}, CONTENTS, id="x-goog-api-key"),
    pytest.param(f"{GEMINI_PATH}?key={KEY}", {}, CONTENTS, id="key in the query"),
    pytest.param(f"/v1/models/mock:generateContent?key={KEY}", {}, CONTENTS, id="key in the query under v1"),
    pytest.param(GEMINI_PATH.replace("v1beta", "v1"), {**BEARER, **ANTHROPIC}, CONTENTS, id="a foreign header"),
]


@pytest.mark.parametrize(("path", "headers", "body"), KEYS)
async def test_every_way_to_send_a_key_works(shop: Front, path: str, headers: dict[str, str], body: object) -> None:
    assert (await post(shop, path, body, headers)).status == 200


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/api/v1/models/x"])
async def test_a_key_in_the_query_is_for_googles_paths_only(shop: Front, path: str) -> None:
    assert (await post(shop, f"{path}?key={KEY}", MESSAGES_BODY, {})).status in (401, 404)


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/responses/"])
async def test_a_websocket_is_a_426(shop: Front, path: str) -> None:
    answer = await shop.ask("GET", path, {**BEARER, "Connection": "Upgrade", "Upgrade": "websocket"})

    assert (answer.status, answer.json()["error"]["code"]) == (426, "websocket_not_supported")
    assert (answer.header("Upgrade"), answer.header("Connection")) == ("HTTP/1.1", "close, Upgrade")


async def test_a_get_of_responses_is_a_405(shop: Front) -> None:
    answer = await shop.ask("GET", "/v1/responses", BEARER)

    assert (answer.status, answer.header("Allow")) == (405, "POST")


async def test_a_thread_is_refused_so_that_clients_resend(shop: Front) -> None:
    answer = await post(shop, "/v1/messages", {**MESSAGES_BODY, "thread": {"type": "create"}})

    assert answer.status == 400
    assert answer.json()["error"]["details"]["error_code"] == "thread_unsupported_request"


STATES = [
    pytest.param({"previous_response_id": "resp_1"}, "previous_response_id", id="previous"),
    pytest.param({"background": True}, "background", id="background"),
    pytest.param({"conversation": "conv_1"}, "conversation", id="conversation"),
]


@pytest.mark.parametrize(("more", "param"), STATES)
async def test_state_of_a_provider_is_refused(shop: Front, more: dict[str, object], param: str) -> None:
    answer = await post(shop, "/v1/responses", {**RESPONSES_BODY, **more})

    assert (answer.status, answer.json()["error"]["param"]) == (400, param)


# Lists.

LISTS = [
    pytest.param("/v1/models", BEARER, "data", "id", "mock", id="OpenAI"),
    pytest.param("/v1/models", {**BEARER, **ANTHROPIC}, "data", "id", "mock", id="Anthropic"),
    pytest.param("/v1/models", {"x-goog-api-key": KEY}, "models", "name", "models/mock", id="Gemini"),
    pytest.param(f"/v1/models?key={KEY}", {}, "models", "name", "models/mock", id="Gemini by query"),
    pytest.param("/v1beta/models", BEARER, "models", "name", "models/mock", id="Gemini by path"),
    pytest.param("/v1alpha/models/", BEARER, "models", "name", "models/mock", id="Gemini by other path"),
]


@pytest.mark.parametrize(("path", "headers", "member", "name", "expected"), LISTS)
async def test_the_list_has_the_shape_of_its_client(
    shop: Front, path: str, headers: dict[str, str], member: str, name: str, expected: str
) -> None:
    answer = await shop.ask("GET", path, headers)

    assert expected in [entry[name] for entry in answer.json()[member]]


async def test_anthropic_pages_its_list(shop: Front) -> None:
    first = (await shop.ask("GET", "/v1/models?limit=2", {**BEARER, **ANTHROPIC})).json()
    rest = (await shop.ask("GET", f"/v1/models?after_id={first['last_id']}", {**BEARER, **ANTHROPIC})).json()

    assert [entry["id"] for page in (first, rest) for entry in page["data"]] == ["m", "mock", "house/big:7b"]
    assert (first["has_more"], rest["has_more"]) == (True, False)


OBJECTS = [
    pytest.param("/v1/models/mock", BEARER, "id", "mock", id="OpenAI"),
    pytest.param("/v1/models/mock", {**BEARER, **ANTHROPIC}, "display_name", "mock", id="Anthropic"),
    pytest.param("/v1beta/models/mock", BEARER, "inputTokenLimit", 8000, id="Gemini"),
    pytest.param("/v1beta/models/house/big:7b", BEARER, "name", "models/house/big:7b", id="slash and colon"),
]


@pytest.mark.parametrize(("path", "headers", "member", "expected"), OBJECTS)
async def test_one_model_has_the_shape_of_its_client(
    shop: Front, path: str, headers: dict[str, str], member: str, expected: object
) -> None:
    answer = await shop.ask("GET", path, headers)

    assert (answer.status, answer.json()[member]) == (200, expected)


async def test_an_unknown_model_is_a_404_in_its_clients_shape(shop: Front) -> None:
    openai = await shop.ask("GET", "/v1/models/no", BEARER)
    anthropic = await shop.ask("GET", "/v1/models/no", {**BEARER, **ANTHROPIC})
    gemini = await shop.ask("GET", "/v1beta/models/no", BEARER)

    assert [each.status for each in (openai, anthropic, gemini)] == [404, 404, 404]
    assert openai.json()["error"]["code"] == "model_not_found"
    assert anthropic.json()["error"]["type"] == "not_found_error"
    assert gemini.json()["error"]["status"] == "NOT_FOUND"


# What goes to an upstream of the same dialect.


def native(url: str, dialect: str, more: str = "") -> Any:
    return settings(url, more, provider=f'speaks = ["{dialect}"]')


MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [{"type": "text", "text": "Hi"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {"input_tokens": 3, "output_tokens": 1},
}


async def test_bytes_pass_between_anthropic_sides(upstream: RawUpstream) -> None:
    raw = json.dumps(MESSAGE, indent=1).encode()
    upstream.script(json_answer(raw))
    headers = [("x-api-key", KEY), ("anthropic-version", "2026-10-21"), ("anthropic-beta", "a-1,b-2"), ("X-Other", "x")]
    body = b'{"messages": [{"role":"user","content":"Hi"}],  "max_tokens":10,"model":"m","new":{"b":1.50,"a":2}}'
    async with front(native(upstream.url, "anthropic")) as server:
        answer = await server.ask("POST", "/v1/messages?beta=true", [*headers, ("anthropic-beta", "c-3")], body)

    (sent,) = upstream.requests
    fields = {name.lower(): value for name, value in sent.headers}
    assert (sent.path, sent.body, answer.body) == ("/v1/messages", body, raw)
    assert (fields["anthropic-version"], fields["anthropic-beta"]) == ("2026-10-21", "a-1,b-2,c-3")
    assert "x-other" not in fields
    assert PROVIDER_KEY in fields.get("authorization", "") + fields.get("x-api-key", "")
    assert KEY not in str(sent.headers)
