"""Models by pattern at providers with a list in their own shape."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from modelserver.clock import settle
from modelserver.config import Config, parse_config
from modelserver.gateway.discovery import MAX_LIST_BYTES, MAX_MODELS, MAX_PAGES, WAIT_S
from modelserver.policy.principals import LOCAL
from tests.support.scripted import Answer, Scripted, at_work, refusal, whole


def patterned(*speaks: str, base_url: str = "http://up.invalid", auth: str = "x-api-key") -> Config:
    return parse_config(
        f"""
[providers.up]
base_url = "{base_url}"
key = "native-secret-0123456789"
speaks = {json.dumps(speaks)}
quirks = {{ auth = "{auth}" }}
[[models]]
model_id = "here/*"
route = "up/*"
"""
    )


async def names(settings: Config, transport: Scripted) -> list[str]:
    async with at_work(settings, transport) as work:
        looking = asyncio.create_task(work.gateway.offers(LOCAL))
        await settle()
        if not looking.done():
            await work.clock.advance(WAIT_S)
        async with asyncio.timeout(5):
            return list(await looking)


def said(body: Any) -> Answer:
    return whole(json.dumps(body).encode())


def claude(*ids: str, more: bool = False) -> Answer:
    data = [{"type": "model", "id": id, "display_name": id.title(), "created_at": "2026-01-01T00:00:00Z"} for id in ids]
    return said({"data": data, "has_more": more, "first_id": ids[0], "last_id": ids[-1]})


def gemini(*names: str, token: str | None = None) -> Answer:
    models = [{"name": f"models/{name}", "supportedGenerationMethods": ["generateContent"]} for name in names]
    return said({"models": models, **({"nextPageToken": token} if token else {})})


@pytest.mark.parametrize("base_url", ["http://up.invalid", "http://up.invalid/v1"])
async def test_anthropic_is_asked_page_by_page(base_url: str) -> None:
    transport = Scripted(claude("claude-a", "claude-b", more=True), claude("claude-c"))
    found = await names(patterned("anthropic", base_url=base_url), transport)

    assert found == ["here/claude-a", "here/claude-b", "here/claude-c"]
    assert [request.url for request in transport.requests] == [
        "http://up.invalid/v1/models?limit=1000",
        "http://up.invalid/v1/models?limit=1000&after_id=claude-b",
    ]
    for request in transport.requests:
        assert request.headers["anthropic-version"] == "2023-06-01"
        assert request.headers["x-api-key"] == "native-secret-0123456789"
    assert transport.open == 0


@pytest.mark.parametrize("base_url", ["http://up.invalid", "http://up.invalid/v1beta"])
async def test_gemini_is_asked_page_by_page(base_url: str) -> None:
    transport = Scripted(gemini("gemini-a", token="a+b"), gemini("gemini-b"))
    found = await names(patterned("gemini", base_url=base_url, auth="x-goog-api-key"), transport)

    assert found == ["here/gemini-a", "here/gemini-b"]
    assert [request.url for request in transport.requests] == [
        "http://up.invalid/v1beta/models?pageSize=1000",
        "http://up.invalid/v1beta/models?pageSize=1000&pageToken=a%2Bb",
    ]
    assert transport.requests[0].headers["x-goog-api-key"] == "native-secret-0123456789"


async def test_what_gemini_can_not_chat_with_is_left_out() -> None:
    models = [
        {"name": "models/chat", "supportedGenerationMethods": ["generateContent", "countTokens"]},
        {"name": "models/embedding", "supportedGenerationMethods": ["embedContent"]},
        {"name": "models/untold"},
        {"name": "models/odd", "supportedGenerationMethods": 5},
        {"displayName": "nameless"},
        "x",
    ]
    found = await names(patterned("gemini"), Scripted(said({"models": models})))

    assert found == ["here/chat", "here/untold", "here/odd"]


@pytest.mark.parametrize("speaks", [("responses",), ("chat", "anthropic"), ("chat", "gemini")])
async def test_a_provider_that_speaks_a_dialect_of_openai_is_asked_in_its_way(speaks: tuple[str, ...]) -> None:
    transport = Scripted(said({"data": [{"id": "a"}]}))

    assert await names(patterned(*speaks), transport) == ["here/a"]
    assert transport.requests[0].url == "http://up.invalid/v1/models"


ENDLESS = [
    pytest.param("anthropic", claude("a", more=True), id="anthropic"),
    pytest.param("gemini", gemini("a", token="t"), id="gemini"),
]


@pytest.mark.parametrize(("dialect", "page"), ENDLESS)
async def test_a_list_without_an_end_is_bounded(dialect: str, page: Answer) -> None:
    transport = Scripted(page)

    assert await names(patterned(dialect), transport) == ["here/a"]
    assert transport.sends == MAX_PAGES


async def test_long_pages_are_bounded_together() -> None:
    page = [f"{number:06}-{'x' * 40}" for number in range(MAX_MODELS // 2)]
    other = [f"y{name}" for name in page]
    transport = Scripted(gemini(*page, token="t"), gemini(*other, token="t"), refusal(500))

    assert len(await names(patterned("gemini"), transport)) == MAX_MODELS
    assert transport.sends == 2


UNUSABLE = [
    pytest.param(refusal(401), id="a refusal"),
    pytest.param(said({"data": [{"id": "a"}]}), id="another shape"),
    pytest.param(said([]), id="a bare list"),
    pytest.param(whole(b" " * (MAX_LIST_BYTES // 2 + 1)), id="too much"),
]


@pytest.mark.parametrize("answer", UNUSABLE)
async def test_half_a_list_is_none(answer: Answer) -> None:
    padded = whole(b" " * (MAX_LIST_BYTES // 2) + b'{"models": [{"name": "models/a"}], "nextPageToken": "t"}')

    assert await names(patterned("gemini"), Scripted(padded, answer)) == []
