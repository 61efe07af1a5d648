"""OpenAI's own client library and the Responses API, over providers of every dialect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
import pytest_asyncio
from openai import AsyncOpenAI, OpenAI
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
THINKS_AND_CALLS = Turn(reasoning=REASONING, calls=[PARIS, ROME])
WEATHER: Any = {
    "type": "function",
    "name": TOOL,
    "description": TOOL_SAYS,
    "parameters": PARAMETERS,
    "strict": False,
}
QUESTION: Any = {"role": "user", "content": [{"type": "input_text", "text": ASKED}]}
HELLO: Any = {"input": [QUESTION], "store": False}
THINKING: Any = {"reasoning": {"effort": "high", "summary": "auto"}, "include": ["reasoning.encrypted_content"]}
SAID = f'This is the mock model. You said: "{ASKED}"'


class Person(BaseModel):
    name: str
    age: int


ANN = Turn(text='{"name":"Ann","age":7}')


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(place: Market) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=f"{place.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


async def gathered(client: AsyncOpenAI, **asked: Any) -> Any:
    """The answer that the library's helper makes of a stream."""
    async with client.responses.stream(**asked) as stream:
        return await stream.get_final_response()


async def ask(client: AsyncOpenAI, streamed: bool, **asked: Any) -> Any:
    """The answer, whole or gathered."""
    return await (gathered(client, **asked) if streamed else client.responses.create(**asked))


def of(answer: Any, kind: str) -> list[Any]:
    return [item for item in answer.output if item.type == kind]


@pytest.mark.parametrize("provider", EACH)
async def test_an_answer_is_complete(shop: Market, client: AsyncOpenAI, provider: Provider) -> None:
    shop.script(provider, SUNNY, streamed=False)
    answer = await client.responses.create(model=provider.dialect, instructions="Be brief.", **HELLO)

    assert (answer.model, answer.status, answer.output_text) == (provider.dialect, "completed", SUNNY.text)
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (1200, 50, 1250)
    assert answer.usage.input_tokens_details.cached_tokens == 1000
    assert shop.heard(provider) == [Heard(model=provider.model, system="Be brief.", texts=[("user", ASKED)])]


@pytest.mark.parametrize("provider", EACH)
async def test_a_stream_is_gathered_to_the_answer(shop: Market, client: AsyncOpenAI, provider: Provider) -> None:
    shop.script(provider, SUNNY, streamed=True)
    async with client.responses.stream(model=provider.dialect, **HELLO) as stream:
        events = [event async for event in stream]
        answer = await stream.get_final_response()

    assert (answer.status, answer.output_text) == ("completed", SUNNY.text)
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == SUNNY.text
    assert [event.sequence_number for event in events] == list(range(len(events)))


@pytest.mark.parametrize("provider", EACH)
async def test_a_stream_is_read_by_its_events(shop: Market, client: AsyncOpenAI, provider: Provider) -> None:
    shop.script(provider, SUNNY, streamed=True)
    events = [event async for event in await client.responses.create(model=provider.dialect, stream=True, **HELLO)]

    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == SUNNY.text
    last = events[-1]
    assert last.type == "response.completed"
    assert (last.response.status, last.response.output_text) == ("completed", SUNNY.text)


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("provider", EACH)
async def test_tools_are_called_and_their_results_lead_to_the_answer(
    shop: Market, client: AsyncOpenAI, provider: Provider, streamed: bool
) -> None:
    asked: Any = {"model": provider.dialect, "tools": [WEATHER], "store": False, **THINKING}
    shop.script(provider, THINKS_AND_CALLS, streamed=streamed)
    shop.script(provider, SUNNY, streamed=streamed)

    first = await ask(client, streamed, input=[QUESTION], **asked)
    calls = of(first, "function_call")
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "21"} for call in calls]
    second = await ask(client, streamed, input=[QUESTION, *first.output, *results], **asked)

    assert [(call.name, json.loads(call.arguments)) for call in calls] == [
        (TOOL, PARIS.arguments),
        (TOOL, ROME.arguments),
    ]
    assert "".join(part.text for item in of(first, "reasoning") for part in item.summary) == REASONING
    assert second.output_text == SUNNY.text
    heard = shop.heard(provider)[-1]
    assert heard.results == ((PARIS, "21"), (ROME, "21"))
    assert heard.seals == (provider.seal,)


@pytest.mark.parametrize("provider", EACH)
async def test_an_answer_is_parsed_into_a_model_of_pydantic(
    shop: Market, client: AsyncOpenAI, provider: Provider
) -> None:
    shop.script(provider, ANN, streamed=False)
    answer = await client.responses.parse(model=provider.dialect, text_format=Person, **HELLO)

    assert answer.output_parsed == Person(name="Ann", age=7)
    schema = shop.heard(provider)[0].schema
    assert schema is not None
    assert schema["required"] == ["name", "age"]


@pytest.mark.parametrize("provider", EACH)
async def test_a_stream_is_parsed_into_a_model_of_pydantic(
    shop: Market, client: AsyncOpenAI, provider: Provider
) -> None:
    shop.script(provider, ANN, streamed=True)
    answer = await gathered(client, model=provider.dialect, text_format=Person, **HELLO)

    assert answer.output_parsed == Person(name="Ann", age=7)


@pytest.mark.parametrize("provider", DECLINING)
async def test_a_refusal_is_a_part_of_its_own(shop: Market, client: AsyncOpenAI, provider: Provider) -> None:
    shop.script(provider, Turn(refusal="I can't help with that."), streamed=True)
    answer = await gathered(client, model=provider.dialect, **HELLO)

    assert [part.refusal for part in of(answer, "message")[0].content] == ["I can't help with that."]


@pytest.mark.parametrize("provider", EACH)
async def test_tokens_are_counted(shop: Market, client: AsyncOpenAI, provider: Provider) -> None:
    shop.count()
    raw = await client.responses.input_tokens.with_raw_response.count(model=provider.dialect, input=ASKED)
    counted = raw.parse()

    assert counted.object == "response.input_tokens"
    if provider.dialect == "chat":
        assert raw.headers["x-modelserver-estimated"]
        assert counted.input_tokens > 0
        assert shop.upstream.requests == []
    else:
        assert counted.input_tokens == COUNT


async def test_the_blocking_client_gets_the_same(shop: Market) -> None:
    def work() -> tuple[str, str]:
        with OpenAI(base_url=f"{shop.url}/v1", api_key=KEY, max_retries=0) as client:
            whole = client.responses.create(model=MOCK, **HELLO)
            with client.responses.stream(model=MOCK, **HELLO) as stream:
                return whole.output_text, stream.get_final_response().output_text

    assert await asyncio.to_thread(work) == (SAID, SAID)


# The built-in provider.


@pytest.mark.parametrize("streamed", STREAMED)
async def test_the_mock_echoes(client: AsyncOpenAI, streamed: bool) -> None:
    answer = await ask(client, streamed, model=MOCK, **HELLO)

    assert (answer.status, answer.output_text) == ("completed", SAID)


@pytest.mark.parametrize("streamed", STREAMED)
async def test_the_mock_calls_a_tool_and_reads_its_result(client: AsyncOpenAI, streamed: bool) -> None:
    asked: Any = {"model": MOCK, "tools": [WEATHER], "store": False}
    first = await ask(client, streamed, input=ASKED, **asked)
    (call,) = of(first, "function_call")
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "12 degrees"}
    second = await ask(client, streamed, input=[QUESTION, *first.output, result], tool_choice="none", **asked)

    assert (call.name, type(json.loads(call.arguments)["city"])) == (TOOL, str)
    assert "12 degrees" in second.output_text


@pytest.mark.parametrize("streamed", STREAMED)
async def test_the_mock_answers_a_schema(client: AsyncOpenAI, streamed: bool) -> None:
    asked: Any = {"model": MOCK, "text_format": Person, **HELLO}
    answer = await (gathered(client, **asked) if streamed else client.responses.parse(**asked))

    assert isinstance(answer.output_parsed, Person)


# Errors.

REFUSED = [
    pytest.param(400, openai.BadRequestError, None, id="bad request"),
    pytest.param(401, openai.InternalServerError, "upstream_auth_error", id="the server's own key is refused"),
    pytest.param(404, openai.NotFoundError, "model_not_found", id="unknown to the provider"),
    pytest.param(429, openai.RateLimitError, "rate_limit_exceeded", id="rate limit"),
    pytest.param(500, openai.InternalServerError, "upstream_error", id="the provider's fault"),
    pytest.param(503, openai.InternalServerError, "overloaded", id="overloaded"),
]


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(("status", "kind", "code"), REFUSED)
@pytest.mark.parametrize("provider", EACH)
async def test_a_providers_refusal_has_its_class(
    shop: Market,
    client: AsyncOpenAI,
    provider: Provider,
    status: int,
    kind: type[openai.APIStatusError],
    code: str | None,
    streamed: bool,
) -> None:
    shop.refuse(provider, status)
    with pytest.raises(openai.APIStatusError) as caught:
        await ask(client, streamed, model=provider.dialect, **HELLO)

    assert type(caught.value) is kind
    assert code is None or caught.value.code == code
    assert caught.value.request_id


OWN: list[Any] = [
    pytest.param({"model": "nobody"}, openai.NotFoundError, "model_not_found", id="an unknown model"),
    pytest.param({"temperature": 3}, openai.BadRequestError, None, id="a bad value"),
    pytest.param({"previous_response_id": "resp_1"}, openai.BadRequestError, None, id="state of a provider"),
]


@pytest.mark.parametrize(("changes", "kind", "code"), OWN)
async def test_a_refusal_of_the_gateway_has_its_class(
    client: AsyncOpenAI, changes: dict[str, Any], kind: type[openai.APIStatusError], code: str | None
) -> None:
    asked = {"model": MOCK, **HELLO, **changes}
    with pytest.raises(openai.APIStatusError) as caught:
        await client.responses.create(**asked)

    assert (type(caught.value), code) == (kind, code and caught.value.code)


async def test_a_wrong_key_is_an_authentication_error(client: AsyncOpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as caught:
        await client.with_options(api_key="sk-ms-wrong").responses.create(model=MOCK, **HELLO)

    assert caught.value.code == "authentication_error"


async def test_a_limit_of_the_key_is_a_rate_limit_error(client: AsyncOpenAI) -> None:
    limited = client.with_options(api_key=LIMITED)
    await limited.responses.create(model=MOCK, **HELLO)
    with pytest.raises(openai.RateLimitError) as caught:
        await limited.responses.create(model=MOCK, **HELLO)

    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60


@pytest.mark.parametrize("provider", EACH)
async def test_a_stream_that_breaks_off_is_a_failed_response(
    shop: Market, client: AsyncOpenAI, provider: Provider
) -> None:
    shop.cut(provider, SUNNY)
    async with client.responses.stream(model=provider.dialect, **HELLO) as stream:
        events = [event async for event in stream]
        with pytest.raises(RuntimeError, match=r"response\.completed"):
            await stream.get_final_response()

    last = events[-1]
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert (last.response.status, last.response.error.code) == ("failed", "server_error")


@pytest.mark.parametrize("provider", EACH)
async def test_a_failure_in_a_stream_is_a_failed_response_with_its_code(
    shop: Market, client: AsyncOpenAI, provider: Provider
) -> None:
    begun, events = asyncio.Event(), list[Any]()
    shop.fail(provider, SUNNY, 429, begun=begun)
    await read(await client.responses.create(model=provider.dialect, stream=True, **HELLO), begun, events)

    last = events[-1]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == SUNNY.text
    assert last.type == "response.failed"
    assert last.response.error is not None
    assert last.response.error.code == "rate_limit_exceeded"
