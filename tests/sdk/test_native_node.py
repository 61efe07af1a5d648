"""The client libraries for Node of Responses, Anthropic and Gemini, over the mock and providers of every dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any
from unittest.mock import ANY

import pytest
import pytest_asyncio

from tests.support.market import COUNT, EACH, LIMITED, MOCK, STREAMED, Market
from tests.support.node import Node, client_for_node
from tests.support.providers import PROVIDERS
from tests.support.speech import ASKED, PARIS, REASONING, TOOL, Call, Provider, Turn

pytestmark = [pytest.mark.sdk, pytest.mark.asyncio(loop_scope="module")]

LIBRARIES = ("responses", "anthropic", "gemini")
RUNNING_TOOLS = ("anthropic", "gemini")
"""The libraries that run tools themselves."""
SAID = f'This is the mock model. You said: "{ASKED}"'
SUNNY = Turn(text="Sunny, 21 degrees.")
OSLO = Call(TOOL, {"city": "Oslo"})
ANN = Turn(text='{"name":"Ann","age":7}')
STOPPED = {"responses": "completed", "anthropic": "end_turn", "gemini": "STOP"}
CALLED = {"responses": "completed", "anthropic": "tool_use", "gemini": "STOP"}
LISTED = [MOCK, "chat", "responses", "anthropic", "gemini"]
SCENARIOS = [pytest.param("create", id="whole"), pytest.param("stream", id="streamed")]

Nodes = Mapping[str, Node]
each_library = pytest.mark.parametrize("library", LIBRARIES)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def nodes(node_libraries: Path, place: Market) -> AsyncIterator[Nodes]:
    """Each library, pointed at the server."""
    async with AsyncExitStack() as stack:
        yield {
            name: await stack.enter_async_context(client_for_node(name, node_libraries, place.url))
            for name in LIBRARIES
        }


# The built-in provider.


@each_library
async def test_an_answer_is_complete(nodes: Nodes, library: str) -> None:
    seen = await nodes[library].run("create")

    assert (seen["model"], seen["finish"], seen["text"]) == (MOCK, STOPPED[library], SAID)
    assert min(seen["tokens"]) > 0
    assert seen["hasRequestID"]


@each_library
async def test_a_stream_is_gathered_to_the_same_answer(nodes: Nodes, library: str) -> None:
    whole = await nodes[library].run("create")
    streamed = await nodes[library].run("stream")

    pieces = streamed.pop("pieces")
    assert len(pieces) > 1
    assert "".join(pieces) == SAID
    assert {**streamed, "hasRequestID": True} == whole


ENDS = [
    pytest.param("responses", ["response.created", "response.completed"], id="responses"),
    pytest.param("anthropic", ["message_start", "message_stop"], id="anthropic"),
]


@pytest.mark.parametrize(("library", "ends"), ENDS)
async def test_a_stream_is_read_by_its_events(nodes: Nodes, library: str, ends: list[str]) -> None:
    assert await nodes[library].run("events") == {"ends": ends, "text": SAID}


@pytest.mark.parametrize("scenario", ["converse", "converseInStreams"])
@each_library
async def test_the_mock_calls_a_tool_and_reads_its_result(nodes: Nodes, library: str, scenario: str) -> None:
    seen = await nodes[library].run(scenario)

    ((name, arguments),) = seen["calls"]
    assert (seen["finish"], name, list(arguments)) == (CALLED[library], TOOL, ["city"])
    assert "21 degrees" in seen["text"]


@pytest.mark.parametrize("scenario", ["runTools", "runToolsInStreams"])
@pytest.mark.parametrize("library", RUNNING_TOOLS)
async def test_tools_run_by_the_library_lead_to_the_answer(nodes: Nodes, library: str, scenario: str) -> None:
    seen = await nodes[library].run(scenario)

    assert [type(city) for city in seen["cities"]] == [str]
    assert "21 degrees" in seen["text"]


@each_library
async def test_the_mock_answers_a_schema(nodes: Nodes, library: str) -> None:
    parsed = (await nodes[library].run("parse"))["parsed"]

    assert {name: type(value) for name, value in parsed.items()} == {"name": str, "age": int}


@each_library
async def test_tokens_are_counted(nodes: Nodes, library: str) -> None:
    assert (await nodes[library].run("count"))["tokens"] > 0


# Gemini's interface has two versions; the library asks the first unless it is told.


@pytest.mark.parametrize("scenario", ["create", "stream", "converse", "count", "models", "model"])
async def test_both_versions_of_geminis_interface_say_the_same(nodes: Nodes, scenario: str) -> None:
    seen = [await nodes["gemini"].run(scenario, apiVersion=version) for version in ("v1", "v1beta")]

    assert seen[0] == seen[1]
    assert "error" not in seen[0]


# Models.

NAMES = [
    pytest.param("responses", "", id="responses"),
    pytest.param("anthropic", "", id="anthropic"),
    pytest.param("gemini", "models/", id="gemini"),
]


@pytest.mark.parametrize(("library", "prefix"), NAMES)
async def test_models_are_listed_over_pages(nodes: Nodes, library: str, prefix: str) -> None:
    assert await nodes[library].run("models") == {"ids": [f"{prefix}{name}" for name in LISTED]}


ENTRIES = [
    pytest.param("anthropic", [MOCK, 8000, 1000], id="anthropic"),
    pytest.param("gemini", [f"models/{MOCK}", 8000, 1000], id="gemini"),
]


@pytest.mark.parametrize(("library", "entry"), ENTRIES)
async def test_a_model_is_found(nodes: Nodes, library: str, entry: list[object]) -> None:
    assert await nodes[library].run("model") == {"entry": entry}


# Providers of every dialect.


@pytest.mark.parametrize("scenario", SCENARIOS)
@pytest.mark.parametrize("provider", EACH)
@each_library
async def test_a_providers_answer_is_complete(
    shop: Market, nodes: Nodes, library: str, provider: Provider, scenario: str
) -> None:
    shop.script(provider, SUNNY, streamed=scenario == "stream")
    seen = await nodes[library].run(scenario, provider.dialect)

    assert (seen["finish"], seen["text"]) == (STOPPED[library], SUNNY.text)
    assert seen["tokens"] == [1200, 50]
    assert shop.heard(provider)[0].texts == (("user", ASKED),)


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", EACH)
@each_library
async def test_a_tool_conversation_keeps_its_seals(
    shop: Market, nodes: Nodes, library: str, provider: Provider, streamed: bool
) -> None:
    shop.script(provider, Turn(reasoning=REASONING, calls=[PARIS, OSLO]), streamed=streamed)
    shop.script(provider, SUNNY, streamed=streamed)
    seen = await nodes[library].run("converseInStreams" if streamed else "converse", provider.dialect)

    assert seen == {
        "finish": CALLED[library],
        "reasoning": REASONING,
        "calls": [[TOOL, PARIS.arguments], [TOOL, OSLO.arguments]],
        "text": SUNNY.text,
    }
    heard = shop.heard(provider)[-1]
    assert [text for _, text in heard.results] == ["21 degrees"] * 2
    assert heard.seals == (provider.seal,)


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", EACH)
@pytest.mark.parametrize("library", RUNNING_TOOLS)
async def test_tools_run_by_the_library_answer_a_provider(
    shop: Market, nodes: Nodes, library: str, provider: Provider, streamed: bool
) -> None:
    shop.script(provider, Turn(calls=[PARIS]), streamed=streamed)
    shop.script(provider, SUNNY, streamed=streamed)
    seen = await nodes[library].run("runToolsInStreams" if streamed else "runTools", provider.dialect)

    assert seen == {"cities": ["Paris"], "text": SUNNY.text}
    assert [text for _, text in shop.heard(provider)[-1].results] == ["21 degrees"]


@pytest.mark.parametrize("provider", EACH)
@each_library
async def test_a_providers_answer_fits_a_schema(shop: Market, nodes: Nodes, library: str, provider: Provider) -> None:
    shop.script(provider, ANN, streamed=False)

    assert await nodes[library].run("parse", provider.dialect) == {"parsed": {"name": "Ann", "age": 7}}
    assert sorted((shop.heard(provider)[0].schema or {})["required"]) == ["age", "name"]


@pytest.mark.parametrize("provider", [each for each in EACH if each.id != "chat"])
@each_library
async def test_a_provider_counts_tokens(shop: Market, nodes: Nodes, library: str, provider: Provider) -> None:
    shop.count()

    assert await nodes[library].run("count", provider.dialect) == {"tokens": COUNT}


# Errors.

Failure = tuple[str, int | None, str | None]
"""Class, status, and the word that says most."""


def failure(error: Mapping[str, Any]) -> Failure:
    return error["class"], error["status"], error["word"]


REFUSALS: dict[str, dict[int, Failure]] = {
    "responses": {
        400: ("BadRequestError", 400, ANY),  # a provider of OpenAI's dialects has a word of its own
        401: ("InternalServerError", 502, "upstream_auth_error"),
        404: ("NotFoundError", 404, "model_not_found"),
        429: ("RateLimitError", 429, "rate_limit_exceeded"),
        500: ("InternalServerError", 502, "upstream_error"),
        503: ("InternalServerError", 503, "overloaded"),
    },
    "anthropic": {
        400: ("BadRequestError", 400, "invalid_request_error"),
        401: ("InternalServerError", 502, "api_error"),
        404: ("NotFoundError", 404, "not_found_error"),
        429: ("RateLimitError", 429, "rate_limit_error"),
        500: ("InternalServerError", 502, "api_error"),
        503: ("OverloadedError", 529, "overloaded_error"),
    },
    "gemini": {
        400: ("ApiError", 400, "INVALID_ARGUMENT"),
        401: ("ApiError", 502, "INTERNAL"),
        404: ("ApiError", 404, "NOT_FOUND"),
        429: ("ApiError", 429, "RESOURCE_EXHAUSTED"),
        500: ("ApiError", 502, "INTERNAL"),
        503: ("ApiError", 503, "UNAVAILABLE"),
    },
}


def _refused() -> Iterator[Any]:
    for number, (library, refusals) in enumerate(REFUSALS.items()):
        for place, (status, expected) in enumerate(refusals.items()):
            for other, provider in enumerate(PROVIDERS):
                for scenario in ("create", "stream"):
                    is_streamed = scenario == "stream"
                    is_sample = (number + place) % len(PROVIDERS) == other and is_streamed is (place % 2 == 0)
                    yield pytest.param(
                        library,
                        provider,
                        status,
                        scenario,
                        expected,
                        id=f"{library} over {provider.dialect}, {status}, {scenario}",
                        marks=() if is_sample else pytest.mark.deep,
                    )


@pytest.mark.parametrize(("library", "provider", "status", "scenario", "expected"), [*_refused()])
async def test_a_providers_refusal_has_its_class(
    shop: Market, nodes: Nodes, library: str, provider: Provider, status: int, scenario: str, expected: Failure
) -> None:
    shop.refuse(provider, status)
    error = await nodes[library].fail(scenario, provider.dialect)

    assert expected == failure(error)


GATEWAYS: dict[str, dict[str, Failure]] = {
    "responses": {
        "wrong": ("BadRequestError", 400, None),
        "unknown": ("NotFoundError", 404, "model_not_found"),
        "key": ("AuthenticationError", 401, "authentication_error"),
        "limit": ("RateLimitError", 429, "rate_limit_exceeded"),
    },
    "anthropic": {
        "wrong": ("BadRequestError", 400, "invalid_request_error"),
        "unknown": ("NotFoundError", 404, "not_found_error"),
        "key": ("AuthenticationError", 401, "authentication_error"),
        "limit": ("RateLimitError", 429, "rate_limit_error"),
    },
    "gemini": {
        "wrong": ("ApiError", 400, "INVALID_ARGUMENT"),
        "unknown": ("ApiError", 404, "NOT_FOUND"),
        "key": ("ApiError", 401, "UNAUTHENTICATED"),
        "limit": ("ApiError", 429, "RESOURCE_EXHAUSTED"),
    },
}


@each_library
async def test_a_wrong_field_is_a_bad_request(nodes: Nodes, library: str) -> None:
    assert failure(await nodes[library].fail("wrong")) == GATEWAYS[library]["wrong"]


@pytest.mark.parametrize("scenario", ["create", "stream", "count"])
@each_library
async def test_an_unknown_model_is_not_found(nodes: Nodes, library: str, scenario: str) -> None:
    assert failure(await nodes[library].fail(scenario, "nobody")) == GATEWAYS[library]["unknown"]


@pytest.mark.parametrize("library", ["anthropic", "gemini"])
async def test_an_unknown_model_is_not_retrieved(nodes: Nodes, library: str) -> None:
    assert failure(await nodes[library].fail("model", "nobody")) == GATEWAYS[library]["unknown"]


@pytest.mark.parametrize("scenario", ["create", "stream", "count", "models"])
@each_library
async def test_a_wrong_key_is_told(nodes: Nodes, library: str, scenario: str) -> None:
    assert failure(await nodes[library].fail(scenario, key="sk-ms-wrong")) == GATEWAYS[library]["key"]


@each_library
async def test_a_limit_of_the_key_is_told(nodes: Nodes, library: str) -> None:
    await nodes[library].run("create", key=LIMITED)  # it may have been another library's turn in this minute
    error = await nodes[library].fail("create", key=LIMITED)

    assert failure(error) == GATEWAYS[library]["limit"]
    assert library == "gemini" or 1 <= int(error["retryAfter"]) <= 60


CUT = {"anthropic": ("APIError", None, "api_error"), "gemini": ("ApiError", 502, "INTERNAL")}


@pytest.mark.parametrize("provider", EACH)
@pytest.mark.parametrize("library", CUT)
async def test_a_stream_that_breaks_off_is_an_error(
    shop: Market, nodes: Nodes, library: str, provider: Provider
) -> None:
    shop.cut(provider, SUNNY)

    assert failure(await nodes[library].fail("stream", provider.dialect)) == CUT[library]


@pytest.mark.parametrize("provider", EACH)
async def test_a_stream_of_responses_that_breaks_off_ends_as_a_failure(
    shop: Market, nodes: Nodes, provider: Provider
) -> None:
    shop.cut(provider, SUNNY)
    seen = await nodes["responses"].run("events", provider.dialect)

    assert seen == {"ends": ["response.created", "response.failed"], "text": SUNNY.text, "failure": "server_error"}
