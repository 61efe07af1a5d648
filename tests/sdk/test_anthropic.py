"""Anthropic's own client library, over providers of every dialect."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
import pytest_asyncio
from anthropic import Anthropic, AsyncAnthropic, DefaultAsyncHttpxClient, beta_async_tool
from pydantic import BaseModel

from tests.support.front import KEY
from tests.support.market import COUNT, DECLINING, EACH, LIMITED, MOCK, STREAMED, Market, read
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

pytestmark = [pytest.mark.sdk, pytest.mark.asyncio(loop_scope="module")]

SUNNY = Turn(text="Sunny, 21 degrees.")
QUESTION: Any = {"role": "user", "content": ASKED}
HELLO: Any = {"max_tokens": 2000, "messages": [QUESTION]}
WEATHER: Any = {"name": TOOL, "description": TOOL_SAYS, "input_schema": PARAMETERS}
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
SAID = f'This is the mock model. You said: "{ASKED}"'


class Person(BaseModel):
    name: str
    age: int


ANN = Turn(text='{"name":"Ann","age":7}')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(place: Market) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(base_url=place.url, api_key=KEY, max_retries=0) as client:
        yield client


async def ask(client: AsyncAnthropic, streamed: bool, **asked: Any) -> Any:
    """The answer, whole or as the library gathers it."""
    if not streamed:
        return await client.messages.create(**asked)
    async with client.messages.stream(**asked) as stream:
        return await stream.get_final_message()


def of(answer: Any, kind: str) -> list[Any]:
    return [block for block in answer.content if block.type == kind]


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", EACH)
async def test_an_answer_is_complete(shop: Market, client: AsyncAnthropic, provider: Provider, streamed: bool) -> None:
    shop.script(provider, SUNNY, streamed=streamed)
    answer = await ask(client, streamed, model=provider.dialect, system="Be brief.", **HELLO)

    assert (answer.model, answer.stop_reason, answer.role) == (provider.dialect, "end_turn", "assistant")
    assert [block.text for block in answer.content] == [SUNNY.text]
    read, written = answer.usage.cache_read_input_tokens, answer.usage.cache_creation_input_tokens or 0
    assert (answer.usage.input_tokens + read + written, read, answer.usage.output_tokens) == (1200, 1000, 50)
    asked = Heard(model=provider.model, stream=streamed, system="Be brief.", texts=[("user", ASKED)])
    assert shop.heard(provider) == [asked]


@pytest.mark.parametrize("provider", EACH)
async def test_a_stream_is_read_as_text(shop: Market, client: AsyncAnthropic, provider: Provider) -> None:
    shop.script(provider, SUNNY, streamed=True)
    async with client.messages.stream(model=provider.dialect, **HELLO) as stream:
        pieces = [piece async for piece in stream.text_stream]

    assert len(pieces) > 1
    assert "".join(pieces) == SUNNY.text


@pytest.mark.parametrize("provider", EACH)
async def test_a_stream_is_read_by_its_events(shop: Market, client: AsyncAnthropic, provider: Provider) -> None:
    shop.script(provider, SUNNY, streamed=True)
    events = [event async for event in await client.messages.create(model=provider.dialect, stream=True, **HELLO)]

    assert [events[0].type, events[-2].type, events[-1].type] == ["message_start", "message_delta", "message_stop"]
    assert "".join(event.delta.text for event in events if event.type == "content_block_delta") == SUNNY.text


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", EACH)
async def test_tools_are_called_and_their_results_lead_to_the_answer(
    shop: Market, client: AsyncAnthropic, provider: Provider, streamed: bool
) -> None:
    asked: Any = {"model": provider.dialect, "max_tokens": 2000, "tools": [WEATHER], "thinking": THINKING}
    shop.script(provider, Turn(reasoning=REASONING, calls=[PARIS, ROME]), streamed=streamed)
    shop.script(provider, SUNNY, streamed=streamed)

    first = await ask(client, streamed, messages=[QUESTION], **asked)
    calls = of(first, "tool_use")
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "21"} for call in calls]
    messages = [QUESTION, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = await ask(client, streamed, messages=messages, **asked)

    assert first.stop_reason == "tool_use"
    assert [(call.name, call.input) for call in calls] == [(TOOL, PARIS.arguments), (TOOL, ROME.arguments)]
    assert [block.thinking for block in of(first, "thinking")] == [REASONING]
    assert [block.text for block in second.content] == [SUNNY.text]
    heard = shop.heard(provider)[-1]
    assert heard.results == ((PARIS, "21"), (ROME, "21"))
    assert heard.seals == (provider.seal,)


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", EACH)
async def test_an_answer_is_parsed_into_a_model_of_pydantic(
    shop: Market, client: AsyncAnthropic, provider: Provider, streamed: bool
) -> None:
    shop.script(provider, ANN, streamed=streamed)
    asked: Any = {"model": provider.dialect, "output_format": Person, **HELLO}
    answer = await (ask(client, True, **asked) if streamed else client.messages.parse(**asked))

    assert answer.parsed_output == Person(name="Ann", age=7)
    assert (shop.heard(provider)[0].schema or {})["required"] == ["name", "age"]


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", DECLINING)
async def test_a_refusal_is_a_reason_to_stop(
    shop: Market, client: AsyncAnthropic, provider: Provider, streamed: bool
) -> None:
    shop.script(provider, Turn(refusal="I can't help with that."), streamed=streamed)
    answer = await ask(client, streamed, model=provider.dialect, **HELLO)

    assert (answer.stop_reason, answer.stop_details.explanation) == ("refusal", "I can't help with that.")


@pytest.mark.parametrize("provider", EACH)
async def test_tokens_are_counted(shop: Market, client: AsyncAnthropic, provider: Provider) -> None:
    """D82"""
    shop.count()
    raw = await client.messages.with_raw_response.count_tokens(model=provider.dialect, messages=[QUESTION])
    counted = await raw.parse()

    if provider.dialect == "chat":
        assert raw.headers["x-modelserver-estimated"]
        assert counted.input_tokens > 0
        assert shop.upstream.requests == []
    else:
        assert counted.input_tokens == COUNT


async def test_the_blocking_client_gets_the_same(shop: Market) -> None:
    def work() -> tuple[str, str]:
        with Anthropic(base_url=shop.url, auth_token=KEY, max_retries=0) as client:
            whole = client.messages.create(model=MOCK, **HELLO)
            with client.messages.stream(model=MOCK, **HELLO) as stream:
                return whole.content[0].text, stream.get_final_text()

    assert await asyncio.to_thread(work) == (SAID, SAID)


# Tools run by the library, which tries message threads first.


@beta_async_tool
async def weather(city: str) -> str:
    """Says the weather.

    Args:
        city: Its name.
    """
    return f"{city}: 21"


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", EACH)
async def test_tools_run_by_the_library_lead_to_the_answer(
    shop: Market, client: AsyncAnthropic, provider: Provider, streamed: bool
) -> None:
    shop.script(provider, Turn(calls=[PARIS]), streamed=streamed)
    shop.script(provider, SUNNY, streamed=streamed)
    runner = client.beta.messages.tool_runner(model=provider.dialect, tools=[weather], stream=streamed, **HELLO)
    answer = await runner.until_done()

    assert [block.text for block in answer.content] == [SUNNY.text]
    assert len(shop.upstream.requests) == 2
    heard = shop.heard(provider)[-1]
    assert heard.texts == (("user", ASKED),)
    assert heard.results == ((PARIS, "Paris: 21"),)


async def test_a_message_thread_is_refused_and_the_whole_is_sent_instead(shop: Market) -> None:
    """D96"""
    asked: list[tuple[int, bool]] = []

    async def note(response: Any) -> None:
        asked.append((response.status_code, b'"thread"' in response.request.content))

    heard = DefaultAsyncHttpxClient(event_hooks={"response": [note]})
    async with AsyncAnthropic(base_url=shop.url, api_key=KEY, max_retries=0, http_client=heard) as client:
        runner = client.beta.messages.tool_runner(model=MOCK, tools=[weather], **HELLO)
        answer = await anext(aiter(runner))

    assert asked == [(400, True), (200, False)]
    assert [block.type for block in answer.content] == ["tool_use"]


# The built-in provider.


@pytest.mark.parametrize("streamed", STREAMED)
async def test_the_mock_echoes(client: AsyncAnthropic, streamed: bool) -> None:
    answer = await ask(client, streamed, model=MOCK, **HELLO)

    assert (answer.stop_reason, answer.content[0].text) == ("end_turn", SAID)


@pytest.mark.parametrize("streamed", STREAMED)
async def test_the_mock_calls_a_tool_and_reads_its_result(client: AsyncAnthropic, streamed: bool) -> None:
    asked: Any = {"model": MOCK, "max_tokens": 1000, "tools": [WEATHER]}
    first = await ask(client, streamed, messages=[QUESTION], **asked)
    (call,) = of(first, "tool_use")
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "12 degrees"}
    messages = [QUESTION, {"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    second = await ask(client, streamed, messages=messages, tool_choice={"type": "none"}, **asked)

    assert (call.name, type(call.input["city"])) == (TOOL, str)
    assert "12 degrees" in second.content[0].text


@pytest.mark.parametrize("streamed", STREAMED)
async def test_the_mock_answers_a_schema(client: AsyncAnthropic, streamed: bool) -> None:
    asked: Any = {"model": MOCK, "output_format": Person, **HELLO}
    answer = await (ask(client, True, **asked) if streamed else client.messages.parse(**asked))

    assert isinstance(answer.parsed_output, Person)


# Models.

LISTED = [MOCK, "chat", "responses", "anthropic", "gemini"]


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 1000])
async def test_models_are_listed_over_pages(client: AsyncAnthropic, limit: int) -> None:
    assert [model.id async for model in client.models.list(limit=limit)] == LISTED


async def test_models_are_listed_backwards(client: AsyncAnthropic) -> None:
    page = await client.models.list(before_id="anthropic", limit=2)

    assert [model.id for model in page.data] == ["chat", "responses"]


async def test_a_model_is_retrieved(client: AsyncAnthropic) -> None:
    model = await client.models.retrieve(MOCK)

    assert (model.id, model.type, model.display_name) == (MOCK, "model", MOCK)
    assert (model.created_at.year, model.max_input_tokens, model.max_tokens) == (2025, 8000, 1000)


async def test_an_unknown_model_is_not_retrieved(client: AsyncAnthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        await client.models.retrieve("nobody")

    assert caught.value.type == "not_found_error"


# Errors.

REFUSED = [
    pytest.param(400, anthropic.BadRequestError, id="bad request"),
    pytest.param(401, anthropic.InternalServerError, id="the server's own key is refused"),
    pytest.param(404, anthropic.NotFoundError, id="unknown to the provider"),
    pytest.param(429, anthropic.RateLimitError, id="rate limit"),
    pytest.param(500, anthropic.InternalServerError, id="the provider's fault"),
    pytest.param(503, anthropic.OverloadedError, id="overloaded"),
]


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(("status", "kind"), REFUSED)
@pytest.mark.parametrize("provider", EACH)
async def test_a_providers_refusal_has_its_class(
    shop: Market,
    client: AsyncAnthropic,
    provider: Provider,
    status: int,
    kind: type[anthropic.APIStatusError],
    streamed: bool,
) -> None:
    shop.refuse(provider, status)
    with pytest.raises(anthropic.APIStatusError) as caught:
        await ask(client, streamed, model=provider.dialect, **HELLO)

    assert type(caught.value) is kind
    assert caught.value.request_id


OWN: list[Any] = [
    pytest.param({"model": "nobody"}, anthropic.NotFoundError, id="an unknown model"),
    pytest.param({"stop_sequences": [1]}, anthropic.BadRequestError, id="a bad value"),
    pytest.param({"max_tokens": 0.5}, anthropic.BadRequestError, id="a bad limit"),
]


@pytest.mark.parametrize(("changes", "kind"), OWN)
async def test_a_refusal_of_the_gateway_has_its_class(
    client: AsyncAnthropic, changes: dict[str, Any], kind: type[anthropic.APIStatusError]
) -> None:
    with pytest.raises(anthropic.APIStatusError) as caught:
        await client.messages.create(**{"model": MOCK, **HELLO, **changes})

    assert type(caught.value) is kind


async def test_a_wrong_key_is_an_authentication_error(client: AsyncAnthropic) -> None:
    with pytest.raises(anthropic.AuthenticationError) as caught:
        await client.with_options(api_key="sk-ms-wrong").messages.create(model=MOCK, **HELLO)

    assert caught.value.type == "authentication_error"


async def test_a_limit_of_the_key_is_a_rate_limit_error(client: AsyncAnthropic) -> None:
    limited = client.with_options(api_key=LIMITED)
    await limited.messages.create(model=MOCK, **HELLO)
    with pytest.raises(anthropic.RateLimitError) as caught:
        await limited.messages.create(model=MOCK, **HELLO)

    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60


@pytest.mark.parametrize("provider", EACH)
async def test_a_stream_that_breaks_off_raises(shop: Market, client: AsyncAnthropic, provider: Provider) -> None:
    shop.cut(provider, SUNNY)
    with pytest.raises(anthropic.APIStatusError) as caught:
        await ask(client, True, model=provider.dialect, **HELLO)

    assert caught.value.type == "api_error"


@pytest.mark.parametrize("provider", EACH)
async def test_a_failure_in_a_stream_raises_with_its_type(
    shop: Market, client: AsyncAnthropic, provider: Provider
) -> None:
    begun, events = asyncio.Event(), list[Any]()
    shop.fail(provider, SUNNY, 429, begun=begun)
    stream = await client.messages.create(model=provider.dialect, stream=True, **HELLO)
    with pytest.raises(anthropic.APIStatusError) as caught:
        await read(stream, begun, events)

    assert "".join(event.delta.text for event in events if event.type == "content_block_delta") == SUNNY.text
    assert caught.value.type == "rate_limit_error"
