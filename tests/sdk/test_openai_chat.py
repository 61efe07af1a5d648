"""OpenAI's own client library and Chat, over providers of every dialect."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI
from pydantic import BaseModel

from tests.support.front import KEY
from tests.support.market import DECLINING, EACH, STREAMED, Market
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
WEATHER: Any = {
    "type": "function",
    "function": {"name": TOOL, "description": TOOL_SAYS, "parameters": PARAMETERS},
}


class Person(BaseModel):
    name: str
    age: int


ANN = Turn(text='{"name":"Ann","age":7}')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(place: Market) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{place.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


async def ask(client: AsyncOpenAI, streamed: bool, **asked: Any) -> Any:
    """The answer, whole or as the library's helper gathers it."""
    if not streamed:
        return await client.chat.completions.create(**asked)
    async with client.chat.completions.stream(stream_options={"include_usage": True}, **asked) as stream:
        return await stream.get_final_completion()


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", EACH)
async def test_an_answer_is_complete(shop: Market, client: AsyncOpenAI, provider: Provider, streamed: bool) -> None:
    shop.script(provider, SUNNY, streamed=streamed)
    messages: Any = [{"role": "system", "content": "Be brief."}, QUESTION]
    answer = await ask(client, streamed, model=provider.dialect, messages=messages)

    assert (answer.model, answer.choices[0].finish_reason) == (provider.dialect, "stop")
    assert answer.choices[0].message.content == SUNNY.text
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (1200, 50, 1250)
    assert answer.usage.prompt_tokens_details.cached_tokens == 1000
    asked = Heard(model=provider.model, stream=streamed, system="Be brief.", texts=[("user", ASKED)])
    assert shop.heard(provider) == [asked]


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", EACH)
async def test_tools_are_called_and_their_results_lead_to_the_answer(
    shop: Market, client: AsyncOpenAI, provider: Provider, streamed: bool
) -> None:
    """D45, D46: the seals come back although the library keeps nothing but the calls of a stream."""
    asked: Any = {"model": provider.dialect, "tools": [WEATHER], "reasoning_effort": "high"}
    shop.script(provider, Turn(reasoning=REASONING, calls=[PARIS, ROME]), streamed=streamed)
    shop.script(provider, SUNNY, streamed=streamed)

    first = (await ask(client, streamed, messages=[QUESTION], **asked)).choices[0]
    calls = first.message.tool_calls
    named = [call.model_dump(include={"id", "type", "function"}) for call in calls]
    said = {"role": "assistant", "content": None, "tool_calls": named}
    results = [{"role": "tool", "tool_call_id": call.id, "content": "21"} for call in calls]
    second = await ask(client, streamed, messages=[QUESTION, said, *results], **asked)

    assert first.finish_reason == "tool_calls"
    assert [json.loads(call.function.arguments) for call in calls] == [PARIS.arguments, ROME.arguments]
    assert second.choices[0].message.content == SUNNY.text
    heard = shop.heard(provider)[-1]
    assert heard.results == ((PARIS, "21"), (ROME, "21"))
    # Between two sides of Chat bytes pass, and nothing is remembered.
    assert heard.seals == (() if provider.dialect == "chat" else (provider.seal,))


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", EACH)
async def test_an_answer_is_parsed_into_a_model_of_pydantic(
    shop: Market, client: AsyncOpenAI, provider: Provider, streamed: bool
) -> None:
    shop.script(provider, ANN, streamed=streamed)
    asked: Any = {"model": provider.dialect, "messages": [QUESTION], "response_format": Person}
    answer = await (ask(client, True, **asked) if streamed else client.chat.completions.parse(**asked))

    assert answer.choices[0].message.parsed == Person(name="Ann", age=7)
    assert (shop.heard(provider)[0].schema or {})["required"] == ["name", "age"]


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", DECLINING)
async def test_a_refusal_is_told_apart(shop: Market, client: AsyncOpenAI, provider: Provider, streamed: bool) -> None:
    shop.script(provider, Turn(refusal="I can't help with that."), streamed=streamed)
    answer = await ask(client, streamed, model=provider.dialect, messages=[QUESTION])

    assert answer.choices[0].message.refusal == "I can't help with that."


REFUSED = [
    pytest.param(400, openai.BadRequestError, None, id="bad request"),
    pytest.param(401, openai.InternalServerError, "upstream_auth_error", id="the server's own key is refused"),
    pytest.param(404, openai.NotFoundError, "model_not_found", id="unknown to the provider"),
    pytest.param(429, openai.RateLimitError, "rate_limit_exceeded", id="rate limit"),
    pytest.param(500, openai.InternalServerError, "upstream_error", id="the provider's fault"),
    pytest.param(503, openai.InternalServerError, "overloaded", id="overloaded"),
]


@pytest.mark.parametrize(("status", "kind", "code"), REFUSED)
@pytest.mark.parametrize("provider", EACH)
async def test_a_providers_refusal_has_its_class(
    shop: Market,
    client: AsyncOpenAI,
    provider: Provider,
    status: int,
    kind: type[openai.APIStatusError],
    code: str | None,
) -> None:
    shop.refuse(provider, status)
    with pytest.raises(openai.APIStatusError) as caught:
        await ask(client, True, model=provider.dialect, messages=[QUESTION])

    assert type(caught.value) is kind
    assert code is None or caught.value.code == code


@pytest.mark.parametrize("provider", EACH)
async def test_a_stream_that_breaks_off_raises(shop: Market, client: AsyncOpenAI, provider: Provider) -> None:
    shop.cut(provider, SUNNY)
    with pytest.raises(openai.APIError) as caught:
        await ask(client, True, model=provider.dialect, messages=[QUESTION])

    assert caught.value.code == "upstream_error"
