"""`GET /v1/models` and `GET /v1/models/{model}`: whose list, and ids of every shape in a path."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from modelserver.stores.keyfile import digest
from tests.support.front import BEARER, KEY, Front, front, settings
from tests.support.upstream import RawUpstream, json_answer

LIST = "/v1/models"
NARROW_KEY = "sk-ms-narrow-0123456789"
MODELS = f"""
[providers.nokey]
base_url = "http://127.0.0.1:9/v1"
key = "$NOT_SET"
[[models]]
model_id = "org/family:7b-q4"
route = "up/family"
created = 2025-08-07
owned_by = "org"
aliases = ["seven", "a%2Fb"]
[[models]]
model_id = "modèle-é"
route = "up/e"
tags = ["french"]
[[models]]
model_id = "unreachable"
route = "nokey/x"
[[models]]
model_id = "painter"
types = "image_generation"
route = "up/painter"
[groups.default]
models = ["!m"]
[groups.staff]
[users.bob]
group = "staff"
[[keys]]
name = "bob"
user = "bob"
hash = "sha256:{digest(NARROW_KEY)}"
models = ["tag:french", "m"]
"""


@pytest.fixture
async def shop() -> AsyncIterator[Front]:
    async with front(settings(more=MODELS)) as running:
        yield running


async def ids(server: Front, headers: dict[str, str]) -> list[str]:
    answer = await server.ask("GET", LIST, headers)
    assert answer.status == 200, answer
    return [model["id"] for model in answer.json()["data"]]


ALL_BUT_M = ["org/family:7b-q4", "seven", "a%2Fb", "modèle-é"]
CALLERS = [
    pytest.param({}, ALL_BUT_M, id="no key: the default group"),
    pytest.param(BEARER, ALL_BUT_M, id="key of the default group"),
    pytest.param({"x-api-key": NARROW_KEY}, ["m", "modèle-é"], id="key with a list"),
    pytest.param({"Authorization": f"Bearer {NARROW_KEY}"}, ["m", "modèle-é"], id="the same as a bearer"),
]


@pytest.mark.parametrize(("headers", "expected"), CALLERS)
async def test_the_list_is_what_the_caller_can_call_now(
    shop: Front, headers: dict[str, str], expected: list[str]
) -> None:
    assert await ids(shop, headers) == expected


@pytest.mark.parametrize("path", [LIST, f"{LIST}/seven", f"{LIST}/none"])
@pytest.mark.parametrize("credential", ["Bearer sk-ms-wrong", "Bearer ", "Basic eDp5", f"Token {KEY}"])
async def test_a_bad_key_is_refused_and_not_taken_for_none(shop: Front, path: str, credential: str) -> None:
    answer = await shop.ask("GET", path, {"Authorization": credential})

    assert answer.error() == (401, "authentication_error", "authentication_error", None)
    assert answer.header("WWW-Authenticate") == "Bearer"


async def test_an_object_has_the_published_fields_in_their_order(shop: Front) -> None:
    answer = await shop.ask("GET", f"{LIST}/org/family:7b-q4")
    model = answer.json()
    permission = model.pop("permission")

    assert model == {
        "id": "org/family:7b-q4",
        "object": "model",
        "created": 1754524800,
        "owned_by": "org",
        "root": "org/family:7b-q4",
        "parent": None,
    }
    assert list(answer.json()) == ["id", "object", "created", "owned_by", "permission", "root", "parent"]
    assert list(permission[0])[:3] == ["id", "object", "created"]


async def test_the_list_holds_the_same_objects(shop: Front) -> None:
    body = (await shop.ask("GET", LIST)).json()

    assert list(body) == ["object", "data"]
    assert body["data"][0] == (await shop.ask("GET", f"{LIST}/org/family:7b-q4")).json()


async def test_what_the_catalogue_does_not_say_has_a_default(shop: Front) -> None:
    model = (await shop.ask("GET", f"{LIST}/mod%C3%A8le-%C3%A9")).json()

    assert (model["id"], model["created"], model["owned_by"]) == ("modèle-é", 1626777600, "up")


async def test_an_alias_is_an_entry_of_its_own_that_names_its_model(shop: Front) -> None:
    model = (await shop.ask("GET", f"{LIST}/seven")).json()

    assert (model["id"], model["root"]) == ("seven", "org/family:7b-q4")


PATHS = [
    pytest.param("org/family:7b-q4", "org/family:7b-q4", id="slash and colon"),
    pytest.param("org%2Ffamily%3A7b-q4", "org/family:7b-q4", id="escaped"),
    pytest.param("org%2ffamily%3a7b%2dq4", "org/family:7b-q4", id="escaped in small letters"),
    pytest.param("org/family:7b-q4/", "org/family:7b-q4", id="trailing slash"),
    pytest.param("org%2Ffamily:7b-q4%2F", "org/family:7b-q4", id="escaped trailing slash"),
    pytest.param("a%252Fb", "a%2Fb", id="an escape within the id"),
    pytest.param("seven?x=1", "seven", id="query"),
]


@pytest.mark.parametrize(("path", "expected"), PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_id_may_hold_anything_in_a_path(shop: Front, method: str, path: str, expected: str) -> None:
    answer = await shop.ask(method, f"{LIST}/{path}")
    full = await shop.ask("GET", f"{LIST}/{path}")

    assert (answer.status, full.json()["id"]) == (200, expected)
    assert answer.header("Content-Length") == str(len(full.body))


MISSES = [
    pytest.param("m", "'m'", id="not for this caller"),
    pytest.param("unreachable", "'unreachable'", id="no provider key"),
    pytest.param("painter", "'painter'", id="another type"),
    pytest.param("sevn", "Did you mean seven?", id="near miss"),
    pytest.param("org", "Did you mean org/family:7b-q4?", id="part of an id"),
    pytest.param("/", "'/'", id="only slashes"),
    pytest.param("%00%0a%ff", r"'\x00\n%ff'", id="bytes that are no text"),
    pytest.param("..%2f..%2fetc%2fpasswd", "'../../etc/passwd'", id="climbing"),
    pytest.param("x" * 4000, "…'", id="long"),
]


@pytest.mark.parametrize(("path", "message"), MISSES)
async def test_anything_else_is_not_found(shop: Front, path: str, message: str) -> None:
    answer = await shop.ask("GET", f"{LIST}/{path}")

    assert answer.error() == (404, "invalid_request_error", "model_not_found", "model")
    assert message in answer.json()["error"]["message"]
    assert len(answer.body) < 500


async def test_hints_name_only_what_the_caller_may_use(shop: Front) -> None:
    answer = await shop.ask("GET", f"{LIST}/sevn", {"x-api-key": NARROW_KEY})

    assert "seven" not in answer.json()["error"]["message"]


async def test_the_list_with_a_trailing_slash_is_the_list(shop: Front) -> None:
    plain, slashed = await shop.ask("GET", LIST), await shop.ask("GET", f"{LIST}/")

    assert (slashed.status, slashed.body) == (200, plain.body)


async def test_lists_are_not_shared_between_callers_by_caches(shop: Front) -> None:
    for path in (LIST, f"{LIST}/seven"):
        assert "authorization" in str((await shop.ask("GET", path)).header("Vary"))


PATTERN = '[[models]]\nmodel_id = "here/*"\nroute = "up/*"\n'
FOUND = {"data": [{"id": "llama3:8b"}, {"id": "org/qwen:0.5b"}, {"id": 7}, {"id": "with blank"}]}


async def test_what_a_provider_lists_is_listed_and_found(upstream: RawUpstream) -> None:
    upstream.script(json_answer(FOUND))
    async with front(settings(upstream.url, PATTERN)) as server:
        assert await ids(server, {}) == ["m", "here/llama3:8b", "here/org/qwen:0.5b"]
        assert (await server.ask("GET", f"{LIST}/here/org/qwen:0.5b")).json()["root"] == "here/org/qwen:0.5b"
        assert (await server.ask("GET", f"{LIST}/here/other")).status == 404

    (asked,) = upstream.requests
    assert (asked.method, asked.path, asked.header("Content-Type")) == ("GET", "/v1/models", None)


async def test_a_provider_that_can_not_be_asked_leaves_the_rest(upstream: RawUpstream) -> None:
    upstream.script(json_answer({"error": "x"}, status=500))
    async with front(settings(upstream.url, PATTERN)) as server:
        assert await ids(server, {}) == ["m"]
