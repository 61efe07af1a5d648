"""`GET /openapi.json`: what it says of the routes, and that real requests and answers are as it says."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from modelserver import errors
from modelserver.catalog.query import PARAMETERS
from modelserver.config import Config, parse_config
from modelserver.config.types import Server
from modelserver.dialects.openai_chat.request import FIELDS
from modelserver.errors import ErrorKind, GatewayError, InvalidRequest
from modelserver.stores.keyfile import digest
from modelserver.version import __version__
from modelserver.web.app import create_app
from modelserver.web.openapi import describe, plain
from modelserver.web.openapi_errors import WORDS
from modelserver.web.openapi_operations import ALIASES, CATALOGUE_PARAMETERS, OPERATIONS
from modelserver.web.routes import ROUTES
from tests.support.client_requests import ABSENT, ANSWERED, ClientRequest
from tests.support.front import BEARER, KEY, Answer, Front, front, serving_app, settings

PATH = "/openapi.json"
METHODS = (":generateContent", ":streamGenerateContent", ":countTokens")
DOCUMENT: dict[str, Any] = json.loads(json.dumps(describe(ROUTES, Server(), "/")))


def mock(server: str = "", limits: str = "") -> Config:
    """The mock, two priced models, and the key of the tests."""
    return parse_config(f"""
[server]
{server}
[[models]]
model_id = "mock"
route = "mock/echo"
aliases = ["echo", "tunedModels/mock"]
desc = "Answers in process."
features = ["tools", "thinking"]
input_modalities = ["text", "image"]
tags = ["coding"]
pricing = {{ input = 1.25, output = 10, cache_read = 0.125 }}
max_output = 100
context_length = 1_000
created = 2025-08-07
[[models]]
model_id = "some/*"
route = "mock/*"
[[keys]]
name = "alice"
hash = "sha256:{digest(KEY)}"
{limits}
""")


@pytest.fixture
async def shop() -> AsyncIterator[Front]:
    async with front(mock()) as running:
        yield running


def valid(schema: Any, value: Any) -> bool:
    """Whether a value is as a schema of the document says."""
    return bool(Draft202012Validator({**schema, "components": DOCUMENT["components"]}).is_valid(value))


def faults(schema: Any, value: Any) -> list[str]:
    """What of a value is not as a schema of the document says."""
    checked = Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    return [f"{error.json_path}: {error.message[:200]}" for error in checked.iter_errors(value)]


def resolved(value: Any) -> Any:
    """What a reference of the document stands for."""
    if "$ref" not in value:
        return value
    found = DOCUMENT
    for key in value["$ref"].removeprefix("#/").split("/"):
        found = found[key]
    return found


def content(method: str, path: str, answer: Answer) -> Any:
    """The schema that the document has for an answer."""
    responses = DOCUMENT["paths"][path][method.lower()]["responses"]
    assert str(answer.status) in responses
    kinds = resolved(responses[str(answer.status)])["content"]
    kind = str(answer.header("Content-Type")).partition(";")[0]
    assert kind in kinds
    return kinds[kind]["schema"]


def test_the_description_is_valid() -> None:
    assert [fault.message for fault in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


@pytest.mark.parametrize("name", DOCUMENT["components"]["schemas"])
def test_every_schema_is_one(name: str) -> None:
    Draft202012Validator.check_schema(DOCUMENT["components"]["schemas"][name])


def test_every_reference_is_to_something() -> None:
    found = {resolved({"$ref": each}) is not None for each in re.findall(r'"\$ref": "([^"]+)"', json.dumps(DOCUMENT))}

    assert found == {True}


def test_every_schema_is_used() -> None:
    used = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(DOCUMENT)))

    assert set(DOCUMENT["components"]["schemas"]) == used


SERVED = {(spec.method, plain(spec.path)) for spec in ROUTES}


def test_every_route_is_described_and_nothing_else() -> None:
    described = {
        (method.upper(), re.sub(rf"(?:{'|'.join(METHODS)})\Z", "", path))
        for path, item in DOCUMENT["paths"].items()
        for method in item
    }

    assert described == {(method, path) for method, path in SERVED if path not in ALIASES}


@pytest.mark.parametrize(("method", "path"), sorted(SERVED))
def test_every_route_has_words(method: str, path: str) -> None:
    operations = OPERATIONS[method, ALIASES.get(path, path)]

    assert all(
        each.id and each.summary and each.tag in {tag["name"] for tag in DOCUMENT["tags"]} for each in operations
    )


def test_no_words_are_for_a_route_that_is_not_there() -> None:
    assert OPERATIONS.keys() <= SERVED
    assert ALIASES.keys() <= {path for _, path in SERVED}


@pytest.mark.parametrize(("alias", "path"), ALIASES.items())
def test_an_alias_is_served_like_its_path(alias: str, path: str) -> None:
    handlers = {spec.handler for spec in ROUTES if spec.path in (alias, path)}

    assert len(handlers) == 1


def test_every_operation_has_an_id_of_its_own() -> None:
    ids = [operation["operationId"] for item in DOCUMENT["paths"].values() for operation in item.values()]

    assert len(ids) == len(set(ids))


def test_every_kind_of_error_has_words() -> None:
    raised = {
        kind.kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, GatewayError) and kind is not GatewayError
    }

    assert raised - {ErrorKind.CANCELLED} == WORDS.keys()  # who has left reads no answer


def test_every_parameter_of_the_catalogue_is_described() -> None:
    assert {each["name"] for each in CATALOGUE_PARAMETERS} == PARAMETERS


def choices() -> list[Any]:
    """A query for each value of each parameter of the catalogue."""
    queries = []
    for each in CATALOGUE_PARAMETERS:
        words = each["schema"].get("enum") or each["schema"].get("items", {}).get("enum") or ["mo"]
        queries += [f"{each['name']}={word}" for word in words]
        queries += [f"{each['name']}={','.join(words)}"] if each["schema"]["type"] == "array" else []
    return queries


@pytest.mark.parametrize("query", choices())
async def test_every_value_that_is_described_is_accepted(shop: Front, query: str) -> None:
    answer = await shop.ask("GET", f"/api/v1/models?{query}")

    assert answer.status == 200
    assert faults(content("GET", "/api/v1/models", answer), answer.json()) == []


HI = [{"role": "user", "content": "Hi"}]
CONTENTS = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}]}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
CHAT = {"model": "mock", "messages": HI}
ANTHROPIC = {**BEARER, "anthropic-version": "2023-06-01"}
GOOGLE = {"x-goog-api-key": KEY}
G = "/v1beta/models/{model}"
CALLS = [
    pytest.param("POST", "/v1/chat/completions", "", BEARER, CHAT, 200, id="chat"),
    pytest.param("POST", "/v1/chat/completions", "", BEARER, {**CHAT, "tools": [TOOL], "n": 2}, 200, id="chat tools"),
    pytest.param("POST", "/v1/responses", "", BEARER, {"model": "mock", "input": "Hi"}, 200, id="responses"),
    pytest.param("POST", "/v1/responses/input_tokens", "", BEARER, {"model": "mock", "input": "Hi"}, 200, id="r count"),
    pytest.param("POST", "/v1/messages", "", BEARER, {**CHAT, "max_tokens": 9}, 200, id="messages"),
    pytest.param("POST", "/v1/messages/count_tokens", "", BEARER, CHAT, 200, id="messages count"),
    pytest.param("POST", f"{G}:generateContent", "", BEARER, CONTENTS, 200, id="gemini"),
    pytest.param("POST", f"{G}:streamGenerateContent", "", BEARER, CONTENTS, 200, id="gemini array"),
    pytest.param("POST", f"{G}:countTokens", "", GOOGLE, CONTENTS, 200, id="gemini count"),
    pytest.param("POST", "/v1/tunedModels/{model}:generateContent", f"?key={KEY}", {}, CONTENTS, 200, id="tuned"),
    pytest.param("GET", "/v1/models", "", {}, None, 200, id="list"),
    pytest.param("GET", "/v1/models", "?limit=1&after_id=mock", ANTHROPIC, None, 200, id="anthropic's list"),
    pytest.param("GET", "/v1/models", "?limit=1&before_id=echo", ANTHROPIC, None, 200, id="anthropic's list back"),
    pytest.param("GET", "/v1/models", "?pageSize=1", GOOGLE, None, 200, id="gemini's list in v1"),
    pytest.param("GET", "/v1beta/models", "?pageSize=1&pageToken=mock", {}, None, 200, id="gemini's list"),
    pytest.param("GET", "/v1/models/{model}", "", {}, None, 200, id="entry"),
    pytest.param("GET", "/v1/models/{model}", "", ANTHROPIC, None, 200, id="anthropic's entry"),
    pytest.param("GET", "/v1alpha/models/{model}", "", {}, None, 200, id="gemini's entry"),
    pytest.param("GET", "/api/v1/models", "", {}, None, 200, id="catalogue"),
    pytest.param("GET", PATH, "", {}, None, 200, id="itself"),
    pytest.param("GET", "/health", "", {}, None, 200, id="health"),
    pytest.param("GET", "/health/ready", "", {}, None, 200, id="ready"),
    pytest.param("POST", "/v1/chat/completions", "", BEARER, {}, 400, id="chat 400"),
    pytest.param("POST", "/v1/chat/completions", "", {}, CHAT, 401, id="chat 401"),
    pytest.param("POST", "/v1/chat/completions", "", BEARER, {**CHAT, "model": "x"}, 404, id="chat 404"),
    pytest.param("POST", "/v1/chat/completions", "", {**BEARER, "Content-Encoding": "gzip"}, CHAT, 415, id="chat 415"),
    pytest.param("POST", "/v1/responses", "", BEARER, {}, 400, id="responses 400"),
    pytest.param("POST", "/v1/messages", "", BEARER, CHAT, 400, id="messages 400"),
    pytest.param("POST", "/v1/messages", "", {}, CHAT, 401, id="messages 401"),
    pytest.param("POST", "/v1/messages", "", BEARER, {**CHAT, "max_tokens": 9, "model": "x"}, 404, id="messages 404"),
    pytest.param("POST", f"{G}:generateContent", "", BEARER, {}, 400, id="gemini 400"),
    pytest.param("POST", f"{G}:streamGenerateContent", "", BEARER, {}, 400, id="gemini array 400"),
    pytest.param("POST", f"{G}:streamGenerateContent", "", {}, CONTENTS, 401, id="gemini array 401"),
    pytest.param("POST", f"{G}:streamGenerateContent", "?alt=sse", BEARER, {}, 400, id="gemini events 400"),
    pytest.param("GET", "/v1/responses", "", {}, None, 405, id="no method"),
    pytest.param("GET", "/v1/models", "", {"x-api-key": "wrong"}, None, 401, id="list 401"),
    pytest.param("GET", "/v1/models", "?limit=0", ANTHROPIC, None, 400, id="anthropic's list 400"),
    pytest.param("GET", "/v1/models", "?pageSize=0", GOOGLE, None, 400, id="gemini's list in v1 400"),
    pytest.param("GET", "/v1beta/models", "?pageToken=x", {}, None, 400, id="gemini's list 400"),
    pytest.param("GET", "/api/v1/models", "?type=x", {}, None, 400, id="catalogue 400"),
]
COMMON = {
    "server", "date", "content-type", "content-length", "connection", "transfer-encoding", "vary",
    "x-content-type-options", "x-accel-buffering",
}  # fmt: skip
BROWSERS = {"access-control-allow-origin", "access-control-expose-headers", "cache-control"}


@pytest.mark.parametrize(("method", "path", "query", "headers", "body", "status"), CALLS)
async def test_a_real_answer_is_as_described(
    shop: Front, method: str, path: str, query: str, headers: dict[str, str], body: Any, status: int
) -> None:
    sent = b"" if body is None else json.dumps(body).encode()
    answer = await shop.ask(method, path.replace("{model}", "mock") + query, headers, sent)

    assert answer.status == status
    assert faults(content(method, path, answer), answer.json()) == []


@pytest.mark.parametrize(("method", "path", "query", "headers", "body", "status"), CALLS)
async def test_a_real_answer_has_no_headers_but_those_described(
    method: str, path: str, query: str, headers: dict[str, str], body: Any, status: int
) -> None:
    sent = b"" if body is None else json.dumps(body).encode()
    async with front(mock(limits="limits = { rpm = 9 }")) as server:
        answer = await server.ask(method, path.replace("{model}", "mock") + query, headers, sent)
    described = resolved(DOCUMENT["paths"][path][method.lower()]["responses"][str(status)])["headers"]
    limits = {name for name in DOCUMENT["components"]["headers"] if "ratelimit" in name}

    ours = {name.lower() for name, _ in answer.headers} - COMMON - BROWSERS
    assert ours - (limits | {"openai-processing-ms"} if status >= 400 else set()) <= set(described)


EVENTS = [
    pytest.param("/v1/chat/completions", "", {**CHAT, "stream": True}, id="chat"),
    pytest.param("/v1/responses", "", {"model": "mock", "input": "Hi", "stream": True}, id="responses"),
    pytest.param("/v1/messages", "", {**CHAT, "max_tokens": 9, "stream": True}, id="messages"),
    pytest.param(f"{G}:streamGenerateContent", "?alt=sse", CONTENTS, id="gemini"),
]


@pytest.mark.parametrize(("path", "query", "body"), EVENTS)
async def test_the_events_of_a_real_stream_are_as_described(shop: Front, path: str, query: str, body: Any) -> None:
    answer = await shop.ask("POST", path.replace("{model}", "mock") + query, BEARER, json.dumps(body).encode())
    schema = content("POST", path, answer)["contentSchema"]
    events = [json.loads(data) for data in re.findall(rb"(?m)^data: (\{.*)", answer.body)]

    assert len(events) > 3
    assert [faults(schema, event) for event in events] == [[]] * len(events)


async def test_a_reached_limit_is_as_described() -> None:
    async with front(mock(limits="limits = { rpm = 1 }")) as server:
        body = json.dumps(CHAT).encode()
        _, answer = [await server.ask("POST", "/v1/chat/completions", BEARER, body) for _ in range(2)]

    assert answer.status == 429
    assert faults(content("POST", "/v1/chat/completions", answer), answer.json()) == []


def test_an_error_of_another_status_is_not_taken_for_one_of_this() -> None:
    schema = resolved(DOCUMENT["paths"]["/v1/messages"]["post"]["responses"]["401"])["content"]["application/json"]
    wrong = {"type": "error", "error": {"type": "rate_limit_error", "message": "x"}}

    assert not valid(schema["schema"], wrong)


CHAT_REQUEST = DOCUMENT["components"]["schemas"]["ChatCompletionRequest"]


def test_every_field_that_is_checked_is_described() -> None:
    assert CHAT_REQUEST["properties"].keys() == FIELDS.keys()


PROBES: tuple[Any, ...] = (
    True, False, 0, 1, -1, 2, 3, -3, 20, 21, 128, 129, 0.5, 1.5, -2.5, "", "x", "auto", "none", "required", [], {},
    ["x"], [1], [{}], {"type": "x"}, {"type": ""}, {"type": "function"}, {"name": "f"}, {"name": ""}, {"x": 100},
    {"x": 101}, {"x": "y"}, {"include_usage": "x"}, {"include_usage": None}, {"format": "wav", "voice": "a"},
    {"format": "wav", "voice": {"id": "x"}}, {"format": "wav"}, {"mode": 1}, {"ttl": None},
    {"type": "content", "content": 1}, {"type": "content", "content": "x"}, {"search_context_size": 1},
    {"user_location": []}, {"model": 1}, {"policy": {}}, {"function": {"name": "f"}}, {"function": {}},
    {"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {"name": "f"}}, {"type": "custom"},
    {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": []}}, {"type": "allowed_tools"},
    {"type": "json_schema"}, {"type": "json_schema", "schema": {}}, {"type": "json_schema", "json_schema": {}},
    {"type": "json_schema", "json_schema": {"strict": 1}}, {"type": "json_object"}, [TOOL], [{"type": "web_search"}],
    [{"type": "function", "function": {"name": "f", "strict": "x"}}], [{"name": "f"}], [{"name": "f", "parameters": 1}],
    [{"type": "custom", "custom": {"name": "f", "format": 1}}], HI, [{"role": "x"}], [{"role": "user"}],
    [{"role": "user", "content": []}], [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
    [{"role": "user", "content": [{"type": "text"}]}], [{"role": "user", "content": [{"type": "new"}]}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}]}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}],
    [{"role": "user", "content": [{"type": "image_url"}]}],
    [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "x"}}]}],
    [{"role": "user", "content": [{"type": "file", "file": {"file_data": 1}}]}],
    [{"role": "tool", "tool_call_id": "a", "content": "x"}], [{"role": "tool", "content": "x"}],
    [{"role": "function", "name": "f", "content": None}], [{"role": "function", "content": "x"}],
    [{"role": "assistant", "content": "x", "tool_calls": []}], [{"role": "assistant", "content": 1}],
    [{"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": ""}}]}],
    [{"role": "assistant", "content": "x", "tool_calls": [{"type": "function"}]}],
    [{"role": "assistant", "content": "x", "tool_calls": [{"type": "custom", "custom": {"name": "f"}}]}],
    [{"role": "assistant", "content": "x", "refusal": 1}], [{"role": "assistant", "content": "x", "audio": {}}],
)  # fmt: skip


def accepted(field: str, value: Any) -> bool:
    try:
        FIELDS[field](value, field)
    except InvalidRequest:
        return False
    return True


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_is_described_as_it_is_checked(field: str) -> None:
    schema = CHAT_REQUEST["properties"][field]
    wrong = [value for value in PROBES if valid(schema, value) is not accepted(field, value)]

    assert wrong == []


OPTIONAL = sorted(FIELDS.keys() - {"model", "messages"})


@pytest.mark.parametrize("field", OPTIONAL)
def test_null_is_as_good_as_absent(field: str) -> None:
    assert faults(CHAT_REQUEST, {**CHAT, field: None}) == []


def asked_of(request: ClientRequest) -> Any:
    """The schema for the body of a request that a client was seen to send."""
    path = re.sub(r"(?<=models/)[^:/?]+", "{model}", request.path.partition("?")[0])
    return DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]["schema"]


SENT = {name: each for name, each in ANSWERED.items() if each.kind != "other"}


@pytest.mark.skipif(not SENT, reason=ABSENT)
@pytest.mark.parametrize("name", SENT)
def test_what_real_clients_send_is_as_described(name: str) -> None:
    assert faults(asked_of(SENT[name]), dict(SENT[name].body or {})) == []


def caching(answer: Answer) -> dict[str, str | None]:
    return {name: answer.header(name) for name in ("Cache-Control", "ETag", "Access-Control-Allow-Origin")}


async def test_it_may_be_kept_by_anyone_for_five_minutes(shop: Front) -> None:
    answer = await shop.ask("GET", PATH, {"Authorization": "Bearer sk-ms-wrong"})
    headers = caching(answer)

    assert (answer.status, answer.header("Content-Type")) == (200, "application/json")
    assert re.fullmatch(r'"[0-9a-f]{64}"', str(headers.pop("ETag")))
    assert headers == {"Cache-Control": "public, max-age=300", "Access-Control-Allow-Origin": "*"}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_known_tag_is_a_304_with_the_same_headers(shop: Front, method: str) -> None:
    full = await shop.ask("GET", PATH)
    known = await shop.ask(method, PATH, {"If-None-Match": f'"x", W/{full.header("ETag")}'})
    other = await shop.ask(method, PATH, {"If-None-Match": '"x"'})

    assert (known.status, known.body, other.status) == (304, b"", 200)
    assert caching(known) == caching(full) == caching(other)


async def test_the_same_settings_give_the_same_bytes(shop: Front) -> None:
    async with front(mock()) as again:
        answers = [await each.ask("GET", path) for each in (shop, again) for path in (PATH, f"{PATH}/")]

    assert len({answer.body for answer in answers}) == 1
    assert json.loads(answers[0].body) == DOCUMENT
    assert DOCUMENT["info"]["version"] == __version__


PLACES = [
    pytest.param("", "", "/", id="alone"),
    pytest.param("/a/llm", "", "/a/llm", id="mounted"),
    pytest.param("", 'public_url = "https://llm.example.org/x/"', "https://llm.example.org/x", id="public"),
    pytest.param("/a", 'public_url = "https://llm.example.org"', "https://llm.example.org", id="public and mounted"),
]


@pytest.mark.parametrize(("prefix", "server", "expected"), PLACES)
async def test_the_server_is_where_clients_find_it(prefix: str, server: str, expected: str) -> None:
    app = gateway = create_app(settings(server=server))
    if prefix:
        app = web.Application()
        app.add_subapp(prefix, gateway)
    async with serving_app(app, "runner", gateway) as port:
        answer = await Front(port, prefix=prefix).ask("GET", PATH)

    assert answer.json()["servers"] == [{"url": expected}]
    assert "/v1/models" in answer.json()["paths"]


WITH_KEY = [{"bearer": []}, {"x-api-key": []}, {"x-goog-api-key": []}]
SECURITY = [
    pytest.param(Server(), "/api/v1/models", "get", [], id="public catalogue"),
    pytest.param(Server(catalogue="keys"), "/api/v1/models", "get", WITH_KEY, id="catalogue for keys"),
    pytest.param(Server(), "/v1/chat/completions", "post", WITH_KEY, id="call"),
    pytest.param(Server(open=True), "/v1/chat/completions", "post", [*WITH_KEY, {}], id="open call"),
    pytest.param(Server(), "/v1/models", "get", [*WITH_KEY, {"key": []}, {}], id="list"),
    pytest.param(Server(), f"{G}:generateContent", "post", [*WITH_KEY, {"key": []}], id="gemini"),
    pytest.param(Server(), "/health", "get", [], id="health"),
]


@pytest.mark.parametrize(("server", "path", "method", "expected"), SECURITY)
def test_it_says_which_key_is_wanted(server: Server, path: str, method: str, expected: list[Any]) -> None:
    assert describe(ROUTES, server, "/")["paths"][path][method]["security"] == expected


async def test_the_page_is_of_a_type_that_is_described(shop: Front) -> None:
    answer = await shop.ask("GET", "/")

    assert content("GET", "/", answer) == {"type": "string"}


STATUSES = [
    pytest.param(Server(), "/api/v1/models", "get", ["200", "304", "400", "500"], id="public catalogue"),
    pytest.param(Server(catalogue="keys"), "/api/v1/models", "get", ["200", "304", "400", "401", "500"], id="keys"),
    pytest.param(Server(catalogue="off"), "/api/v1/models", "get", ["400", "404", "500"], id="no catalogue"),
    pytest.param(Server(open=True), "/v1/models", "get", ["200", "400", "403", "500"], id="open"),
]


@pytest.mark.parametrize(("server", "path", "method", "expected"), STATUSES)
def test_its_statuses_are_those_of_the_settings(server: Server, path: str, method: str, expected: list[str]) -> None:
    assert list(describe(ROUTES, server, "/")["paths"][path][method]["responses"]) == expected


@pytest.mark.parametrize("server", [Server(catalogue="off"), Server(catalogue="keys"), Server(open=True)])
def test_it_is_valid_under_other_settings(server: Server) -> None:
    document = json.loads(json.dumps(describe(ROUTES, server, "https://llm.example.org")))

    assert [fault.message for fault in OpenAPIV31SpecValidator(document).iter_errors()] == []
