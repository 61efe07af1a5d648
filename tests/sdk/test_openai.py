"""OpenAI's own client library: what it sends is understood, and what it gets is what it expects."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI, OpenAI
from pydantic import BaseModel

from modelserver import parse_config, serve
from tests.support.program import ROOT, Program, running
from tests.support.upstream import (
    Close,
    RawUpstream,
    Stall,
    chunk,
    event,
    json_answer,
    sse_answer,
    sse_head,
)

pytestmark = pytest.mark.sdk

HELLO: Any = [{"role": "user", "content": "Hello!"}]
SAID = 'This is the mock model. You said: "Hello!"'
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII="
)
VISION: Any = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        ],
    }
]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """The program, with the built-in provider alone."""
    home = tmp_path_factory.mktemp("served")
    (home / "models.toml").write_text(
        '[[models]]\nmodel_id = "mock"\naliases = ["also/mock:1"]\nroute = "mock/mock"\nowned_by = "us"\n'
    )
    script = str(ROOT / "server.py")
    with running(script, "-c", "models.toml", "--listen", "127.0.0.1:0", home=home) as program:
        yield program


@pytest.fixture(scope="module")
def client(served: Program) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
        yield client


def test_a_completion_is_complete(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="mock", messages=HELLO)

    assert (answer.object, answer.model) == ("chat.completion", "mock")
    assert answer.choices[0].message.content == SAID
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens > 0


def test_a_stream_has_the_same_text_as_the_whole_answer(client: OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="mock", messages=HELLO, stream=True))

    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == SAID
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.usage is None for chunk in chunks)


def test_a_stream_ends_with_its_usage_where_it_is_wanted(client: OpenAI) -> None:
    options: Any = {"include_usage": True}
    *chunks, last = client.chat.completions.create(model="mock", messages=HELLO, stream=True, stream_options=options)

    assert last.choices == []
    assert last.usage is not None
    assert last.usage.completion_tokens > 0
    assert all(chunk.usage is None for chunk in chunks)


def test_the_helper_for_streams_gathers_the_answer(client: OpenAI) -> None:
    with client.chat.completions.stream(model="mock", messages=HELLO) as stream:
        kinds = {event.type for event in stream}
        final = stream.get_final_completion()

    assert final.choices[0].message.content == SAID
    assert {"chunk", "content.delta", "content.done"} <= kinds


def test_a_tool_is_called_and_its_result_is_read(client: OpenAI) -> None:
    asked = client.chat.completions.create(model="mock", messages=HELLO, tools=[WEATHER], tool_choice="required")
    message = asked.choices[0].message
    assert message.tool_calls is not None
    (call,) = message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "12 degrees"}
    history: Any = [*HELLO, message.model_dump(exclude_none=True), result]
    told = client.chat.completions.create(model="mock", messages=history, tools=[WEATHER], tool_choice="none")

    assert asked.choices[0].finish_reason == "tool_calls"
    assert call.type == "function"
    assert call.function.name == "weather"
    assert isinstance(json.loads(call.function.arguments)["city"], str)
    assert "12 degrees" in (told.choices[0].message.content or "")


def test_the_arguments_of_a_streamed_call_are_those_of_the_whole_one(client: OpenAI) -> None:
    whole = client.chat.completions.create(model="mock", messages=HELLO, tools=[WEATHER])
    with client.chat.completions.stream(model="mock", messages=HELLO, tools=[WEATHER]) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion()
    calls = [answer.choices[0].message.tool_calls for answer in (whole, streamed)]

    assert calls[0]
    assert calls[1]
    assert [call[0].function.name for call in calls] == ["weather"] * 2  # type: ignore[index, union-attr]
    assert json.loads(calls[0][0].function.arguments) == json.loads(calls[1][0].function.arguments)  # type: ignore[union-attr]


class City(BaseModel):
    name: str
    people: int
    districts: list[str]


def test_an_answer_is_parsed_into_a_model_of_pydantic(client: OpenAI) -> None:
    answer = client.chat.completions.parse(model="mock", messages=HELLO, response_format=City)

    assert isinstance(answer.choices[0].message.parsed, City)


def test_an_image_is_accepted(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="mock", messages=VISION)

    assert "What is this?" in (answer.choices[0].message.content or "")


def test_models_are_listed_with_their_aliases(client: OpenAI) -> None:
    models = client.models.list().data

    assert [model.id for model in models] == ["mock", "also/mock:1"]
    assert {(model.object, model.owned_by) for model in models} == {("model", "us")}


@pytest.mark.parametrize("name", ["mock", "also/mock:1"])
def test_a_model_of_the_list_is_retrieved(client: OpenAI, name: str) -> None:
    assert client.models.retrieve(name).id == name


def test_a_model_that_is_not_listed_is_not_found(client: OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("moc")

    assert caught.value.code == "model_not_found"
    assert "mock" in caught.value.message


def test_the_raw_response_has_the_headers(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(model="mock", messages=HELLO)

    assert raw.headers["x-request-id"] == raw.request_id == raw.parse()._request_id
    assert raw.headers["x-modelserver-provider"] == "mock"
    assert raw.headers["x-modelserver-attempts"] == "1"
    assert int(raw.headers["openai-processing-ms"]) >= 0


async def test_the_asynchronous_client_gets_the_same(served: Program) -> None:
    async with AsyncOpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
        answer = await client.chat.completions.create(model="mock", messages=HELLO)
        stream = await client.chat.completions.create(model="mock", messages=HELLO, stream=True)
        streamed = [chunk.choices[0].delta.content or "" async for chunk in stream]
        listed = [model.id async for model in client.models.list()]

    assert answer.choices[0].message.content == "".join(streamed) == SAID
    assert listed == ["mock", "also/mock:1"]


KEY = "sk-ms-of-the-tests"
LIMITED = "sk-ms-limited"
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "theirs",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hi."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
}


def delta(fields: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
    choice = {"index": 0, "delta": fields, "finish_reason": finish_reason}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "theirs", "choices": [choice]}


def failure(status: int, message: str = "It broke.", headers: dict[str, str] | None = None) -> bytes:
    error = {"message": message, "type": "some_error", "param": None, "code": None}
    return json_answer({"error": error}, status=status, headers=headers or {})


@pytest.fixture
async def upstream() -> AsyncIterator[RawUpstream]:
    async with RawUpstream() as upstream:
        yield upstream


@pytest.fixture
async def url(upstream: RawUpstream) -> AsyncIterator[str]:
    """A server in this process before the scripted provider, which it asks once for each call."""
    config = parse_config(
        f"""
        [providers.theirs]
        base_url = "{upstream.url}"
        retries = 0
        [[models]]
        model_id = "ours"
        route = "theirs/theirs"
        """,
        keys_text=f"""
        [[keys]]
        name = "tests"
        hash = "sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
        [[keys]]
        name = "limited"
        hash = "sha256:{hashlib.sha256(LIMITED.encode()).hexdigest()}"
        limits = {{ rpm = 1 }}
        """,
    )
    stop = asyncio.Event()
    address: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(config, log=io.StringIO(), listen=("127.0.0.1", 0), started=address.set_result, stop=stop)
    )
    serving.add_done_callback(lambda _: address.cancel())  # so that a failed start does not hang
    host, port = await address
    yield f"http://{host}:{port}/v1"
    stop.set()
    await serving


async def call(url: str, make: Callable[[OpenAI], Any], *, key: str = KEY, **options: Any) -> Any:
    """What the client makes, in a thread of its own: it blocks, and the server is in this loop."""

    def work() -> Any:
        with OpenAI(base_url=url, api_key=key, max_retries=0, **options) as client:
            return make(client)

    return await asyncio.to_thread(work)


def create(client: OpenAI) -> Any:
    return client.chat.completions.create(model="ours", messages=HELLO)


def create_stream(client: OpenAI) -> Any:
    return list(client.chat.completions.create(model="ours", messages=HELLO, stream=True))


async def test_an_answer_bears_the_name_that_was_asked_for(upstream: RawUpstream, url: str) -> None:
    upstream.script(json_answer(ANSWER))
    answer = await call(url, create)

    assert (answer.model, answer.choices[0].message.content) == ("ours", "Hi.")


async def test_an_image_reaches_the_provider_as_it_is(upstream: RawUpstream, url: str) -> None:
    upstream.script(json_answer(ANSWER))
    await call(url, lambda client: client.chat.completions.create(model="ours", messages=VISION))

    assert upstream.requests[0].json()["messages"] == VISION


async def test_a_stream_of_a_provider_arrives_whole(upstream: RawUpstream, url: str) -> None:
    upstream.script(sse_answer([delta({"role": "assistant", "content": "Hi"}), delta({}, "stop"), "[DONE]"]))
    chunks = await call(url, create_stream)

    assert [chunk.model for chunk in chunks] == ["ours", "ours"]
    assert chunks[0].choices[0].delta.content == "Hi"
    assert chunks[1].choices[0].finish_reason == "stop"


REFUSED = [
    pytest.param(failure(400), openai.BadRequestError, None, id="400 of the provider"),
    pytest.param(failure(429, headers={"retry-after": "30"}), openai.RateLimitError, "rate_limit_exceeded", id="429"),
    pytest.param(failure(401), openai.InternalServerError, "upstream_auth_error", id="401 is of our key"),
    pytest.param(failure(500), openai.InternalServerError, "upstream_error", id="500"),
    pytest.param(failure(503), openai.InternalServerError, "overloaded", id="503"),
    pytest.param(json_answer({}), openai.InternalServerError, "upstream_invalid_response", id="an empty answer"),
]


@pytest.mark.parametrize("make", [create, create_stream], ids=["whole", "stream"])
@pytest.mark.parametrize(("answer", "error", "code"), REFUSED)
async def test_a_failure_of_the_provider_has_its_class(
    upstream: RawUpstream,
    url: str,
    answer: bytes,
    error: type[openai.APIStatusError],
    code: str | None,
    make: Callable[[OpenAI], Any],
) -> None:
    upstream.script(answer)
    with pytest.raises(error) as caught:
        await call(url, make)

    assert type(caught.value) is error
    assert caught.value.code == code
    assert caught.value.request_id
    assert len(upstream.requests) == 1


async def test_the_pause_that_a_provider_asks_for_is_passed_on(upstream: RawUpstream, url: str) -> None:
    upstream.script(failure(429, headers={"retry-after": "30"}))
    with pytest.raises(openai.RateLimitError) as caught:
        await call(url, create)

    assert caught.value.response.headers["retry-after"] == "30"


OWN = [
    pytest.param({"key": "sk-ms-wrong"}, create, openai.AuthenticationError, "authentication_error", id="a wrong key"),
    pytest.param(
        {},
        lambda client: client.chat.completions.create(model="their", messages=HELLO),
        openai.NotFoundError,
        "model_not_found",
        id="an unknown model",
    ),
    pytest.param(
        {},
        lambda client: client.chat.completions.create(model="ours", messages=HELLO, temperature=3),
        openai.BadRequestError,
        None,
        id="a bad value",
    ),
]


@pytest.mark.parametrize(("options", "make", "error", "code"), OWN)
async def test_a_refusal_of_the_gateway_has_its_class(
    upstream: RawUpstream,
    url: str,
    options: dict[str, str],
    make: Callable[[OpenAI], Any],
    error: type[openai.APIStatusError],
    code: str | None,
) -> None:
    with pytest.raises(error) as caught:
        await call(url, make, **options)

    assert caught.value.code == code
    assert upstream.requests == []


async def test_a_bad_value_is_named(url: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        await call(
            url, lambda client: client.chat.completions.create(model="ours", messages=HELLO, extra_body={"top_p": 7})
        )

    assert caught.value.param == "top_p"


async def test_a_limit_of_the_key_is_a_rate_limit_error(upstream: RawUpstream, url: str) -> None:
    upstream.default = [json_answer(ANSWER)]
    await call(url, create, key=LIMITED)
    with pytest.raises(openai.RateLimitError) as caught:
        await call(url, create, key=LIMITED)

    assert caught.value.code == "rate_limit_exceeded"
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
    assert len(upstream.requests) == 1


async def test_a_stream_that_the_provider_cuts_raises_after_what_came(upstream: RawUpstream, url: str) -> None:
    begun = sse_head() + chunk(event(delta({"role": "assistant", "content": "Hi"})))
    got: list[str | None] = []

    def read(client: OpenAI) -> None:
        for part in client.chat.completions.create(model="ours", messages=HELLO, stream=True):
            got.append(part.choices[0].delta.content)

    upstream.script(begun, Close())
    with pytest.raises(openai.APIError) as caught:
        await call(url, read)

    assert got == ["Hi"]
    assert not isinstance(caught.value, openai.APIStatusError)
    assert caught.value.code == "upstream_error"


async def test_the_asynchronous_client_raises_for_a_cut_stream_too(upstream: RawUpstream, url: str) -> None:
    upstream.script(sse_answer([delta({"role": "assistant", "content": "Hi"})]))
    async with AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0) as client:
        stream = await client.chat.completions.create(model="ours", messages=HELLO, stream=True)
        first = await anext(stream)
        with pytest.raises(openai.APIError) as caught:
            await anext(stream)

    assert first.choices[0].delta.content == "Hi"
    assert caught.value.code == "upstream_error"


async def test_a_client_that_waits_no_longer_raises_and_frees_the_provider(upstream: RawUpstream, url: str) -> None:
    upstream.script(Stall())
    with pytest.raises(openai.APITimeoutError):
        await call(url, create, timeout=0.3)
    ended = await upstream.closed(0)

    assert ended.closed_by_peer


async def test_a_server_that_is_not_there_is_a_connection_error() -> None:
    with pytest.raises(openai.APIConnectionError):
        await call("http://127.0.0.1:1/v1", create)
