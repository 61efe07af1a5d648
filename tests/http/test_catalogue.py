"""`GET /api/v1/models` over HTTP: filters as they come in a query, caching, and who may see it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from modelserver.stores.keyfile import digest
from tests.support.front import BEARER, Answer, Front, front, settings

PATH = "/api/v1/models"
NARROW_KEY = "sk-ms-narrow-0123456789"
MODELS = f"""
[[models]]
model_id = "big/painter-1"
desc = "Paints."
types = "t2i"
input_modalities = ["text", "image"]
tags = ["art"]
route = "up/painter"
pricing = {{ input = 10, output = 0.5, cache_read = 0.125 }}
context_length = 1_000
max_output = 100
[[models]]
model_id = "Coder"
desc = "Writes programs: <b>&amp;</b> ünïcödé."
features = ["tools", "thinking"]
input_modalities = ["text", "image"]
tags = ["coding"]
route = "up/coder"
context_length = 2_000
[[models]]
model_id = "local/*"
route = "up/*"
[[keys]]
name = "narrow"
hash = "sha256:{digest(NARROW_KEY)}"
models = ["tag:coding"]
"""
FAILURE = ["success", "message"]


@pytest.fixture
async def shop() -> AsyncIterator[Front]:
    async with front(settings(more=MODELS)) as running:
        yield running


async def ids(server: Front, query: str) -> list[str]:
    answer = await server.ask("GET", f"{PATH}{query}")
    assert answer.status == 200, answer
    return [model["model_id"] for model in answer.json()["data"]]


async def test_the_whole_is_in_the_published_shape_and_in_the_order_of_the_file(shop: Front) -> None:
    answer = await shop.ask("GET", PATH)

    assert answer.header("Content-Type") == "application/json"
    assert (
        answer.body.decode() == '{"data":[{"model_id":"m","types":"llm"},'
        '{"model_id":"big/painter-1","desc":"Paints.","pricing":{"cache_read":0.125,"input":10,"output":0.5},'
        '"types":"image_generation","input_modalities":"text,image","max_output":100,"context_length":1000},'
        '{"model_id":"Coder","desc":"Writes programs: <b>&amp;</b> ünïcödé.","types":"llm",'
        '"features":"tools,thinking","input_modalities":"text,image","context_length":2000},'
        '{"model_id":"local/*","types":"llm"}],"message":"","success":true}'
    )


FILTERS = [
    pytest.param("?type=llm", ["m", "Coder", "local/*"], id="type"),
    pytest.param("?type=t2i", ["big/painter-1"], id="old name of a type"),
    pytest.param("?modalities=text,%20image", ["big/painter-1", "Coder"], id="list with a blank"),
    pytest.param("?features=tools%2Cthinking", ["Coder"], id="escaped comma"),
    pytest.param("?model=PAINT", ["big/painter-1"], id="part of an id in another case"),
    pytest.param("?model=big%2Fp", ["big/painter-1"], id="escaped slash"),
    pytest.param("?type=llm&modalities=image&features=tools&model=c", ["Coder"], id="all of them"),
    pytest.param("?type=&model=", ["m", "big/painter-1", "Coder", "local/*"], id="empty values"),
    pytest.param("?_=1732", ["m", "big/painter-1", "Coder", "local/*"], id="unknown parameter"),
    pytest.param(
        "?sort_by=context_length&sort_order=desc", ["Coder", "big/painter-1", "m", "local/*"], id="sorted downwards"
    ),
    pytest.param("?sort_by=coding", ["Coder", "m", "big/painter-1", "local/*"], id="coding first"),
    pytest.param("?sort_order=desc", ["local/*", "Coder", "big/painter-1", "m"], id="file order backwards"),
    pytest.param("?model=nothing-like-it", [], id="nothing fits"),
]


@pytest.mark.parametrize(("query", "expected"), FILTERS)
async def test_a_query_filters_and_sorts(shop: Front, query: str, expected: list[str]) -> None:
    assert await ids(shop, query) == expected


@pytest.mark.parametrize("path", [f"{PATH}/", f"{PATH}/?type=llm&model=m"])
async def test_a_trailing_slash_is_served_and_not_redirected(shop: Front, path: str) -> None:
    assert (await shop.ask("GET", path)).status == 200


BAD_QUERIES = [
    pytest.param("?type=cat", "type: 'cat' is not one of llm, image_generation", id="type"),
    pytest.param("?modalities=text,smell", "modalities: 'smell'", id="one of a list"),
    pytest.param("?features=TOOLS", "features: 'TOOLS'", id="case of a word"),
    pytest.param("?sort_by=price", "sort_by: 'price'", id="sort"),
    pytest.param("?sort_order=up", "sort_order: 'up'", id="order"),
    pytest.param("?type=llm&type=llm", "type is repeated", id="repeated"),
    pytest.param("?type=%ff%0d%0aX-Evil:1", "type: ", id="bytes that are no text"),
    pytest.param("?type=" + "a" * 5000, "type: ", id="long"),
]


@pytest.mark.parametrize(("query", "message"), BAD_QUERIES)
async def test_a_bad_value_is_a_400_in_the_envelope_of_this_path(shop: Front, query: str, message: str) -> None:
    answer = await shop.ask("GET", f"{PATH}{query}")

    assert (answer.status, list(answer.json()), answer.json()["success"]) == (400, FAILURE, False)
    assert answer.json()["message"].startswith((message, f"The parameter {message}"))
    assert len(answer.body) < 500


def caching(answer: Answer) -> dict[str, str | None]:
    return {name: answer.header(name) for name in ("Cache-Control", "ETag", "Access-Control-Allow-Origin", "Vary")}


async def test_the_answer_may_be_cached_by_anyone_for_five_minutes(shop: Front) -> None:
    headers = caching(await shop.ask("GET", PATH))
    tag = headers.pop("ETag")

    assert headers == {
        "Cache-Control": "public, max-age=300, stale-while-revalidate=300",
        "Access-Control-Allow-Origin": "*",
        "Vary": None,
    }
    assert tag is not None
    assert tag.startswith('"')


MATCHES = [
    pytest.param("{}", 304, id="the tag"),
    pytest.param("W/{}", 304, id="weak"),
    pytest.param('"x", W/"y",{}', 304, id="in a list"),
    pytest.param("*", 304, id="star"),
    pytest.param('"x"', 200, id="another"),
    pytest.param("", 200, id="empty"),
]


@pytest.mark.parametrize(("header", "status"), MATCHES)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_known_tag_is_a_304_with_the_same_headers(shop: Front, method: str, header: str, status: int) -> None:
    full = await shop.ask("GET", PATH)
    answer = await shop.ask(method, PATH, {"If-None-Match": header.format(full.header("ETag"))})

    assert answer.status == status
    assert caching(answer) == caching(full)
    assert answer.header("X-Content-Type-Options") == "nosniff"


async def test_a_304_has_no_body_and_the_connection_goes_on(shop: Front) -> None:
    caller = await shop.connect()
    for _ in range(2):
        await caller.send(b"GET /api/v1/models HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n\r\n")
        answer = await caller.answer()

        assert (answer.status, answer.header("Content-Type"), answer.header("Content-Length")) == (304, None, None)


async def test_tags_may_be_in_several_header_lines(shop: Front) -> None:
    tag = (await shop.ask("GET", PATH)).header("ETag")
    answer = await shop.ask("GET", PATH, [("If-None-Match", '"a"'), ("If-None-Match", str(tag))])

    assert answer.status == 304


async def test_other_content_has_another_tag(shop: Front) -> None:
    tags = {(await shop.ask("GET", f"{PATH}{query}")).header("ETag") for query in ("", "?type=llm", "?type=t2t")}

    assert len(tags) == 2


async def test_a_restart_gives_the_same_bytes_and_tag(shop: Front) -> None:
    async with front(settings(more=MODELS)) as again:
        first, second = await shop.ask("GET", PATH), await again.ask("GET", PATH)

    assert (first.body, first.header("ETag")) == (second.body, second.header("ETag"))


async def test_a_head_has_the_length_and_no_body(shop: Front) -> None:
    full = await shop.ask("GET", PATH)
    caller = await shop.connect()
    await caller.send(b"HEAD /api/v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    answer = await caller.answer(bodiless=True)

    assert (answer.status, answer.header("Content-Length")) == (200, str(len(full.body)))
    assert await caller.rest() == b""


async def test_a_public_catalogue_takes_no_notice_of_keys(shop: Front) -> None:
    answer = await shop.ask("GET", PATH, {"Authorization": "Bearer sk-ms-wrong"})

    assert answer.status == 200


async def test_a_catalogue_for_keys_shows_each_key_its_own() -> None:
    async with front(settings(more=MODELS, server='catalogue = "keys"')) as shop:
        everything = await shop.ask("GET", PATH, BEARER)
        narrow = await shop.ask("GET", PATH, {"x-api-key": NARROW_KEY})

        assert len(everything.json()["data"]) == 4
        assert [model["model_id"] for model in narrow.json()["data"]] == ["Coder"]
        for answer in (everything, narrow):
            assert str(answer.header("Cache-Control")).startswith("private")
            assert (answer.header("Vary"), answer.header("Access-Control-Allow-Origin")) == (
                "authorization, x-api-key",
                None,
            )


async def test_a_catalogue_for_keys_can_be_revalidated_by_key() -> None:
    async with front(settings(more=MODELS, server='catalogue = "keys"')) as shop:
        tag = str((await shop.ask("GET", PATH, BEARER)).header("ETag"))
        same = await shop.ask("GET", PATH, {**BEARER, "If-None-Match": tag})
        other = await shop.ask("GET", PATH, {"x-api-key": NARROW_KEY, "If-None-Match": tag})

        assert (same.status, other.status) == (304, 200)


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "sk-ms-wrong"}, {"Authorization": "Basic eDp5"}])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_catalogue_for_keys_is_closed_to_others(method: str, headers: dict[str, str]) -> None:
    async with front(settings(more=MODELS, server='catalogue = "keys"')) as shop:
        answer = await shop.ask(method, PATH, headers)
        shown = await shop.ask("GET", PATH, headers)

        assert (answer.status, answer.header("WWW-Authenticate")) == (401, "Bearer")
        assert (list(shown.json()), shown.json()["success"]) == (FAILURE, False)


async def test_a_catalogue_that_is_off_is_not_there() -> None:
    async with front(settings(more=MODELS, server='catalogue = "off"')) as shop:
        answer = await shop.ask("GET", PATH, BEARER)
        rest = await shop.ask("GET", "/v1/models", BEARER)

        assert (answer.status, list(answer.json())) == (404, FAILURE)
        assert rest.status == 200
