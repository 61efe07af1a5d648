"""One server before everything that answers: the built-in provider, and a scripted provider of each dialect.

async with market() as place:
    place.script(provider, Turn(text="Sunny."), streamed=True)
    ...                                       # a client asks the model that is called as the provider's dialect
    assert place.heard(provider)[-1].texts == (("user", "What is the weather in Paris?"),)
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from modelserver.config import Config, parse_config
from modelserver.stores.keyfile import digest
from tests.support.front import KEY, Front, front
from tests.support.providers import PROVIDERS
from tests.support.speech import Heard, Provider, Turn
from tests.support.upstream import RawUpstream, Received, Wait, chunk, json_answer, sse_head

MOCK = "mock"
LIMITED = "sk-ms-limited-0123456789"
"""A key that is good for one request in a minute."""
COUNT = 12
"""The tokens that a provider counts."""
STREAMED = [pytest.param(False, id="whole"), pytest.param(True, id="streamed")]
EACH = [pytest.param(provider, id=provider.dialect) for provider in PROVIDERS]
DECLINING = [pytest.param(provider, id=provider.dialect) for provider in PROVIDERS if provider.dialect != "gemini"]
"""Those that have words to decline with."""


def configured(url: str) -> Config:
    """The model `mock`, and of each provider one that is called as its dialect."""
    text = f"""
[server]
secret = "an installation's own secret"
[defaults]
retries = 0
[[models]]
model_id = "{MOCK}"
route = "mock/mock"
owned_by = "us"
created = 2025-08-07
context_length = 8000
max_output = 1000
[[keys]]
name = "alice"
hash = "sha256:{digest(KEY)}"
[[keys]]
name = "limited"
hash = "sha256:{digest(LIMITED)}"
limits = {{ rpm = 1 }}
"""
    for provider in PROVIDERS:
        text += f"""
[providers.{provider.dialect}-api]
base_url = "{url}"
key = "provider-secret-0123456789"
speaks = ["{provider.dialect}"]
{provider.quirks}
[[models]]
model_id = "{provider.dialect}"
route = "{provider.dialect}-api/{provider.model}"
"""
    return parse_config(text)


@attrs.frozen
class Market:
    """The server at work, and what its providers say and hear."""

    upstream: RawUpstream
    server: Front

    @property
    def url(self) -> str:
        """The server's address without a path."""
        return f"http://127.0.0.1:{self.server.port}"

    def begin(self) -> None:
        """Forget what was asked before."""
        self.upstream.requests.clear()

    def script(self, provider: Provider, turn: Turn, *, streamed: bool) -> None:
        """What the provider says next."""
        if streamed:
            self.upstream.script(sse_head() + chunk(b"".join(provider.frames(turn))) + chunk(b""))
        else:
            self.upstream.script(json_answer(provider.whole(turn)))

    def refuse(self, provider: Provider, status: int) -> None:
        """The provider refuses what is asked next."""
        self.upstream.script(json_answer(provider.refusal(status), status=status))

    def cut(self, provider: Provider, turn: Turn) -> None:
        """What the provider says next breaks off before its end."""
        self.upstream.script(sse_head() + chunk(_unfinished(provider, turn)) + chunk(b""))

    def fail(self, provider: Provider, turn: Turn, status: int, *, begun: asyncio.Event) -> None:
        """What the provider says next ends, once the client has begun to read, with what this status says."""
        rest = chunk(provider.failure(status)) + chunk(b"")
        self.upstream.script(sse_head() + chunk(_unfinished(provider, turn)), Wait(begun), rest)

    def heard(self, provider: Provider) -> list[Heard]:
        """What the provider was asked."""
        return [provider.hear(each.path, each.json()) for each in self.upstream.requests]

    def count(self) -> None:
        """The provider counts what is asked next; one of Chat has no way to, and is not asked."""
        self.upstream.default = _counted


async def read(stream: AsyncIterable[Any], begun: asyncio.Event, events: list[Any]) -> None:
    """Reads a stream to its end into a list, and tells when it has begun."""
    async for event in stream:
        events.append(event)
        begun.set()


def _unfinished(provider: Provider, turn: Turn) -> bytes:
    frames = provider.frames(turn)
    last = next(index for index, frame in enumerate(frames) if provider.is_finish(frame))
    return b"".join(frames[:last])


def _counted(request: Received) -> list[bytes]:
    answers = {
        "/v1/responses/input_tokens": {"object": "response.input_tokens", "input_tokens": COUNT},
        "/v1/messages/count_tokens": {"input_tokens": COUNT},
    }
    answer = answers.get(request.path.partition("?")[0], {"totalTokens": COUNT})
    return [json_answer(json.dumps(answer).encode())]


@asynccontextmanager
async def market() -> AsyncIterator[Market]:
    """The server on a free port until the block ends."""
    async with RawUpstream() as upstream, front(configured(upstream.url)) as server:
        yield Market(upstream, server)
