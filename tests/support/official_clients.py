"""The official Python clients, each of which asks one question and tells what its own parsers made of the answer.

async with client(server, "anthropic") as official:
    said = await official.whole()
    said = await official.streamed()
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Protocol

import attrs
from anthropic import AsyncAnthropic
from google import genai
from google.genai.types import HttpOptions
from openai import AsyncOpenAI

from tests.support.front import KEY, Front
from tests.support.speakers import ANTHROPIC, CHAT, GEMINI, RESPONSES
from tests.support.speech import Call, Said

MAX_TOKENS = 4_000
MODEL, ASKED = "m", "Hi"


class AnswerFailed(Exception):
    """A client hands out an answer that says that it failed, with this code."""


class Official(Protocol):
    """A client of one dialect; `client` is the library's own."""

    client: Any

    async def whole(self) -> Said:
        """A whole answer as it parsed it."""
        ...

    async def streamed(self) -> Said:
        """A stream as its helper gathered it."""
        ...

    async def events(self) -> Said:
        """A stream as its events, parsed one by one, say it."""
        ...


@attrs.frozen
class Chat:
    """See `Official`."""

    client: AsyncOpenAI

    def _asked(self) -> dict[str, Any]:
        return {"model": MODEL, "messages": [{"role": "user", "content": ASKED}]}

    async def whole(self) -> Said:
        return CHAT.read(_json(await self.client.chat.completions.create(**self._asked())))

    async def streamed(self) -> Said:
        options: Any = {"include_usage": True}
        async with self.client.chat.completions.stream(**self._asked(), stream_options=options) as stream:
            return CHAT.read(_json(await stream.get_final_completion()))

    async def events(self) -> Said:
        stream = await self.client.chat.completions.create(
            **self._asked(), stream=True, stream_options={"include_usage": True}
        )
        frames = [b"data: " + _json(chunk) + b"\n\n" async for chunk in stream]
        return CHAT.read_stream(b"".join([*frames, b"data: [DONE]\n\n"]))


@attrs.frozen
class Responses:
    """See `Official`."""

    client: AsyncOpenAI

    async def whole(self) -> Said:
        return _responded(await self.client.responses.create(model=MODEL, input=ASKED))

    async def streamed(self) -> Said:
        last: Any = None
        async with self.client.responses.stream(model=MODEL, input=ASKED) as stream:
            async for event in stream:
                if event.type in ("response.completed", "response.incomplete", "response.failed"):
                    last = event.response
            if last.status == "completed":
                last = await stream.get_final_response()
        return _responded(last)

    async def events(self) -> Said:
        stream = await self.client.responses.create(model=MODEL, input=ASKED, stream=True)
        events = [event async for event in stream]
        said = RESPONSES.read_stream(b"".join(_named(event.type, event) for event in events))
        return attrs.evolve(said, calls=_responded(events[-1].response).calls)


def _responded(answer: Any) -> Said:
    """What a response object says, calls of custom tools included."""
    if answer.error is not None:
        raise AnswerFailed(answer.error.code)
    calls = [
        Call(item.name, {"input": item.input} if item.type == "custom_tool_call" else json.loads(item.arguments))
        for item in answer.output
        if item.type in ("function_call", "custom_tool_call")
    ]
    return attrs.evolve(RESPONSES.read(_json(answer)), calls=calls)


@attrs.frozen
class Messages:
    """See `Official`."""

    client: AsyncAnthropic

    def _asked(self) -> dict[str, Any]:
        return {"model": MODEL, "max_tokens": MAX_TOKENS, "messages": [{"role": "user", "content": ASKED}]}

    async def whole(self) -> Said:
        return ANTHROPIC.read(_json(await self.client.messages.create(**self._asked())))

    async def streamed(self) -> Said:
        async with self.client.messages.stream(**self._asked()) as stream:
            return ANTHROPIC.read(_json(await stream.get_final_message()))

    async def events(self) -> Said:
        stream = await self.client.messages.create(**self._asked(), stream=True)
        frames = [_named(event.type, event) async for event in stream]
        return ANTHROPIC.read_stream(b"".join(frames))


@attrs.frozen
class Google:
    """See `Official`; its helper for streams is the chat, which keeps the chunks as its history."""

    client: genai.Client

    async def whole(self) -> Said:
        return GEMINI.read(_google(await self.client.aio.models.generate_content(model=MODEL, contents=ASKED)))

    async def streamed(self) -> Said:
        chat = self.client.aio.chats.create(model=MODEL)
        return await self._gathered(await chat.send_message_stream(ASKED))

    async def events(self) -> Said:
        return await self._gathered(await self.client.aio.models.generate_content_stream(model=MODEL, contents=ASKED))

    async def _gathered(self, stream: AsyncIterator[Any]) -> Said:
        return GEMINI.read_stream(b"".join([b"data: " + _google(chunk) + b"\r\n\r\n" async for chunk in stream]))


@asynccontextmanager
async def client(server: Front, dialect: str) -> AsyncIterator[Official]:
    """The client of a dialect, which tries nothing twice."""
    url = f"http://127.0.0.1:{server.port}"
    match dialect:
        case "anthropic":
            async with AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0) as anthropic:
                yield Messages(anthropic)
        case "gemini":
            async with google_client(url) as google:
                yield Google(google)
        case _:
            async with AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as openai:
                yield Chat(openai) if dialect == "chat" else Responses(openai)


@asynccontextmanager
async def google_client(url: str, key: str = KEY, **options: Any) -> AsyncIterator[genai.Client]:
    """Google's client, which closes both of its halves."""
    google = genai.Client(api_key=key, http_options=HttpOptions(base_url=url, **options))
    try:
        yield google
    finally:
        await google.aio.aclose()
        google.close()


def _json(value: Any) -> bytes:
    """What a client of OpenAI or Anthropic has parsed, as JSON again."""
    return json.dumps(value.to_dict(mode="json")).encode()


def _named(name: str, value: Any) -> bytes:
    return b"event: " + name.encode() + b"\ndata: " + _json(value) + b"\n\n"


def _google(value: Any) -> bytes:
    return value.model_dump_json(by_alias=True, exclude_none=True, exclude={"sdk_http_response"}).encode()
