"""Google's own client library, over providers of every dialect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from google import genai
from google.genai import errors, types
from pydantic import BaseModel

from tests.support.front import KEY
from tests.support.market import COUNT, DECLINING, EACH, LIMITED, MOCK, STREAMED, Market, read
from tests.support.official_clients import google_client
from tests.support.speech import (
    ASKED,
    PARAMETERS,
    PARIS,
    REASONING,
    ROME,
    TOOL,
    TOOL_SAYS,
    Heard,
    Provider,
    Turn,
)

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.asyncio(loop_scope="module"),
    # The library's own session is one, of aiohttp's.
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
]

SUNNY = Turn(text="Sunny, 21 degrees.")
WEATHER = types.Tool(
    function_declarations=[
        types.FunctionDeclaration(name=TOOL, description=TOOL_SAYS, parameters_json_schema=PARAMETERS)
    ]
)
SAID = f'This is the mock model. You said: "{ASKED}"'


class Person(BaseModel):
    name: str
    age: int


ANN = Turn(text='{"name":"Ann","age":7}')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(place: Market) -> AsyncIterator[genai.Client]:
    async with google_client(place.url) as client:
        yield client


async def ask(client: genai.Client, streamed: bool, **asked: Any) -> list[types.GenerateContentResponse]:
    """The answer, whole or in chunks."""
    if not streamed:
        return [await client.aio.models.generate_content(**asked)]
    return [chunk async for chunk in await client.aio.models.generate_content_stream(**asked)]


def parts_of(chunks: list[types.GenerateContentResponse]) -> list[types.Part]:
    contents = [candidate.content for chunk in chunks for candidate in chunk.candidates or ()]
    return [part for content in contents for part in (content.parts if content else None) or ()]


def text_of(chunks: list[types.GenerateContentResponse]) -> str:
    return "".join(part.text or "" for part in parts_of(chunks) if not part.thought)


def end_of(chunks: list[types.GenerateContentResponse]) -> types.FinishReason | None:
    return (chunks[-1].candidates or [types.Candidate()])[0].finish_reason


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", EACH)
async def test_an_answer_is_complete(shop: Market, client: genai.Client, provider: Provider, streamed: bool) -> None:
    shop.script(provider, SUNNY, streamed=streamed)
    config = types.GenerateContentConfig(system_instruction="Be brief.")
    chunks = await ask(client, streamed, model=provider.dialect, contents=ASKED, config=config)

    assert (text_of(chunks), end_of(chunks)) == (SUNNY.text, types.FinishReason.STOP)
    usage = chunks[-1].usage_metadata
    assert usage is not None
    assert (usage.prompt_token_count, usage.total_token_count) == (1200, 1250)
    assert (usage.cached_content_token_count, usage.thoughts_token_count) == (1000, 20)
    asked = Heard(model=provider.model, stream=streamed, system="Be brief.", texts=[("user", ASKED)])
    assert shop.heard(provider) == [asked]


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", EACH)
async def test_tools_are_called_and_their_results_lead_to_the_answer(
    shop: Market, client: genai.Client, provider: Provider, streamed: bool
) -> None:
    thinking = types.ThinkingConfig(include_thoughts=True, thinking_level=types.ThinkingLevel.HIGH)
    config = types.GenerateContentConfig(tools=[WEATHER], thinking_config=thinking)
    question = types.Content(role="user", parts=[types.Part(text=ASKED)])
    shop.script(provider, Turn(reasoning=REASONING, calls=[PARIS, ROME]), streamed=streamed)
    shop.script(provider, SUNNY, streamed=streamed)

    first = await ask(client, streamed, model=provider.dialect, contents=[question], config=config)
    said = parts_of(first)
    calls = [part.function_call for part in said if part.function_call]
    results = [
        types.Part(function_response=types.FunctionResponse(id=call.id, name=call.name, response={"output": "21"}))
        for call in calls
    ]
    contents: Any = [
        question,
        types.Content(role="model", parts=said),
        types.Content(role="user", parts=results),
    ]
    second = await ask(client, streamed, model=provider.dialect, contents=contents, config=config)

    assert [(call.name, call.args) for call in calls] == [(TOOL, PARIS.arguments), (TOOL, ROME.arguments)]
    assert "".join(part.text or "" for part in said if part.thought) == REASONING
    assert text_of(second) == SUNNY.text
    heard = shop.heard(provider)[-1]
    assert [text for _, text in heard.results] == ["21", "21"]
    assert heard.calls == (PARIS, ROME)
    assert heard.seals == (provider.seal,)


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", EACH)
async def test_functions_run_by_the_library_lead_to_the_answer(
    shop: Market, client: genai.Client, provider: Provider, streamed: bool
) -> None:
    cities: list[str] = []

    def weather(city: str) -> str:
        """Says the weather."""
        cities.append(city)
        return f"{city}: 21"

    shop.script(provider, Turn(calls=[PARIS]), streamed=streamed)
    shop.script(provider, SUNNY, streamed=streamed)
    config = types.GenerateContentConfig(tools=[weather])
    chunks = await ask(client, streamed, model=provider.dialect, contents=ASKED, config=config)

    assert (cities, text_of(chunks)) == (["Paris"], SUNNY.text)
    assert b"Paris: 21" in shop.upstream.requests[-1].body


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", EACH)
async def test_a_chat_keeps_what_was_said(
    shop: Market, client: genai.Client, provider: Provider, streamed: bool
) -> None:
    """Of a stream it keeps nothing when any chunk has no parts."""
    chat = client.aio.chats.create(model=provider.dialect)
    texts = []
    for turn, words in ((SUNNY, ASKED), (Turn(text="Rainy."), "And tomorrow?")):
        shop.script(provider, turn, streamed=streamed)
        if streamed:
            texts.append(text_of([chunk async for chunk in await chat.send_message_stream(words)]))
        else:
            texts.append((await chat.send_message(words)).text or "")

    assert texts == [SUNNY.text, "Rainy."]
    heard = shop.heard(provider)[-1].texts
    assert [text for role, text in heard if role == "user"] == [ASKED, "And tomorrow?"]
    assert "".join(text for _, text in heard) == f"{ASKED}{SUNNY.text}And tomorrow?"


@pytest.mark.parametrize("provider", EACH)
async def test_an_answer_is_parsed_into_a_model_of_pydantic(
    shop: Market, client: genai.Client, provider: Provider
) -> None:
    shop.script(provider, ANN, streamed=False)
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)
    answer = await client.aio.models.generate_content(model=provider.dialect, contents=ASKED, config=config)

    assert answer.parsed == Person(name="Ann", age=7)


@pytest.mark.parametrize("provider", DECLINING)
async def test_a_refusal_is_a_finish_for_safety(shop: Market, client: genai.Client, provider: Provider) -> None:
    shop.script(provider, Turn(refusal="I can't help with that."), streamed=True)
    chunks = await ask(client, True, model=provider.dialect, contents=ASKED)

    assert end_of(chunks) is types.FinishReason.SAFETY


@pytest.mark.parametrize("provider", EACH)
async def test_tokens_are_counted(shop: Market, client: genai.Client, provider: Provider) -> None:
    shop.count()
    counted = await client.aio.models.count_tokens(model=provider.dialect, contents=ASKED)

    if provider.dialect == "chat":
        assert counted.total_tokens
        assert shop.upstream.requests == []
    else:
        assert counted.total_tokens == COUNT


async def test_the_blocking_client_gets_the_same(shop: Market) -> None:
    def work() -> tuple[str | None, str]:
        options = types.HttpOptions(base_url=shop.url)
        with genai.Client(api_key=KEY, http_options=options) as client:
            whole = client.models.generate_content(model=MOCK, contents=ASKED)
            chunks = list(client.models.generate_content_stream(model=MOCK, contents=ASKED))
            return whole.text, text_of(chunks)

    assert await asyncio.to_thread(work) == (SAID, SAID)


@pytest.mark.parametrize("version", ["v1", "v1beta", "v1alpha"])
async def test_every_version_of_the_interface_is_there(shop: Market, version: str) -> None:
    """D98"""
    async with google_client(shop.url, api_version=version) as client:
        whole = await ask(client, False, model=MOCK, contents=ASKED)
        streamed = await ask(client, True, model=MOCK, contents=ASKED)
        counted = await client.aio.models.count_tokens(model=MOCK, contents=ASKED)
        found = await client.aio.models.get(model=MOCK)

    assert text_of(whole) == text_of(streamed) == SAID
    assert counted.total_tokens
    assert found.name == f"models/{MOCK}"


# The built-in provider.


@pytest.mark.parametrize("streamed", STREAMED)
async def test_the_mock_calls_a_function_and_reads_its_result(client: genai.Client, streamed: bool) -> None:
    def weather(city: str) -> str:
        """Says the weather."""
        return "12 degrees"

    choice = types.FunctionCallingConfig(mode=types.FunctionCallingConfigMode.AUTO)
    limit = types.AutomaticFunctionCallingConfig(maximum_remote_calls=2)
    config = types.GenerateContentConfig(
        tools=[weather],
        tool_config=types.ToolConfig(function_calling_config=choice),
        automatic_function_calling=limit,
    )
    chunks = await ask(client, streamed, model=MOCK, contents=ASKED, config=config)

    assert "12 degrees" in text_of(chunks)


@pytest.mark.parametrize("streamed", STREAMED)
async def test_the_mock_answers_a_schema(client: genai.Client, streamed: bool) -> None:
    config = types.GenerateContentConfig(response_mime_type="application/json", response_schema=Person)
    chunks = await ask(client, streamed, model=MOCK, contents=ASKED, config=config)

    assert Person.model_validate_json(text_of(chunks))


# Models.

LISTED = [f"models/{name}" for name in (MOCK, "chat", "responses", "anthropic", "gemini")]


@pytest.mark.parametrize("size", [1, 2, 5, 100])
async def test_models_are_listed_over_pages(client: genai.Client, size: int) -> None:
    pager = await client.aio.models.list(config={"page_size": size})

    assert [model.name async for model in pager] == LISTED


async def test_a_model_is_found(client: genai.Client) -> None:
    model = await client.aio.models.get(model=MOCK)

    assert (model.name, model.input_token_limit, model.output_token_limit) == (f"models/{MOCK}", 8000, 1000)
    assert {"generateContent", "countTokens"} <= set(model.supported_actions or ())


async def test_an_unknown_model_is_not_found(client: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as caught:
        await client.aio.models.get(model="nobody")

    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")


# Errors.

REFUSED = [
    pytest.param(400, errors.ClientError, (400, "INVALID_ARGUMENT"), id="bad request"),
    pytest.param(401, errors.ServerError, (502, "INTERNAL"), id="the server's own key is refused"),
    pytest.param(404, errors.ClientError, (404, "NOT_FOUND"), id="unknown to the provider"),
    pytest.param(429, errors.ClientError, (429, "RESOURCE_EXHAUSTED"), id="rate limit"),
    pytest.param(500, errors.ServerError, (502, "INTERNAL"), id="the provider's fault"),
    pytest.param(503, errors.ServerError, (503, "UNAVAILABLE"), id="overloaded"),
]


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(("status", "kind", "expected"), REFUSED)
@pytest.mark.parametrize("provider", EACH)
async def test_a_providers_refusal_has_its_class(
    shop: Market,
    client: genai.Client,
    provider: Provider,
    status: int,
    kind: type[errors.APIError],
    expected: tuple[int, str],
    streamed: bool,
) -> None:
    shop.refuse(provider, status)
    with pytest.raises(errors.APIError) as caught:
        await ask(client, streamed, model=provider.dialect, contents=ASKED)

    assert type(caught.value) is kind
    assert (caught.value.code, caught.value.status) == expected


OWN: list[Any] = [
    pytest.param({"model": "nobody"}, (404, "NOT_FOUND"), id="an unknown model"),
    pytest.param({"config": {"temperature": 3}}, (400, "INVALID_ARGUMENT"), id="a bad value"),
]


@pytest.mark.parametrize(("changes", "expected"), OWN)
async def test_a_refusal_of_the_gateway_has_its_class(
    client: genai.Client, changes: dict[str, Any], expected: tuple[int, str]
) -> None:
    with pytest.raises(errors.ClientError) as caught:
        await ask(client, False, **{"model": MOCK, "contents": ASKED, **changes})

    assert (caught.value.code, caught.value.status) == expected


async def test_a_wrong_key_is_unauthenticated(shop: Market) -> None:
    async with google_client(shop.url, "sk-ms-wrong") as client:
        with pytest.raises(errors.ClientError) as caught:
            await ask(client, False, model=MOCK, contents=ASKED)

    assert (caught.value.code, caught.value.status) == (401, "UNAUTHENTICATED")


async def test_a_limit_of_the_key_exhausts_a_resource(shop: Market) -> None:
    async with google_client(shop.url, LIMITED) as client:
        await ask(client, False, model=MOCK, contents=ASKED)
        with pytest.raises(errors.ClientError) as caught:
            await ask(client, False, model=MOCK, contents=ASKED)

    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")


@pytest.mark.parametrize("provider", EACH)
async def test_a_stream_that_breaks_off_raises_D70(shop: Market, client: genai.Client, provider: Provider) -> None:
    shop.cut(provider, SUNNY)
    with pytest.raises(errors.ServerError) as caught:
        await ask(client, True, model=provider.dialect, contents=ASKED)

    assert (caught.value.code, caught.value.status) == (502, "INTERNAL")


@pytest.mark.parametrize("provider", EACH)
async def test_a_failure_in_a_stream_raises_with_its_code(
    shop: Market, client: genai.Client, provider: Provider
) -> None:
    begun, chunks = asyncio.Event(), list[Any]()
    shop.fail(provider, SUNNY, 429, begun=begun)
    stream = await client.aio.models.generate_content_stream(model=provider.dialect, contents=ASKED)
    with pytest.raises(errors.APIError) as caught:
        await read(stream, begun, chunks)

    assert text_of(chunks) == SUNNY.text
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")
