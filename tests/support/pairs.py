"""The gateway on a real port between a client and a provider of any two dialects.

async with meeting(provider) as both:
    said = await both.talk(speaker, Ask(tools=True), Turn(calls=[PARIS]), streamed=True)
    assert both.heard[0].tools == {TOOL: PARAMETERS}
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import attrs
import pytest

from modelserver.config import Config, parse_config
from modelserver.stores.keyfile import digest
from tests.support.front import KEY, Answer, Front, front, request
from tests.support.providers import PROVIDERS
from tests.support.speakers import ALL_SPEAKERS, SPEAKERS
from tests.support.speech import Ask, Heard, Provider, Said, Speaker, Step, Tokens, Turn
from tests.support.upstream import RawUpstream, Wait, chunk, json_answer, sse_head
from tests.support.upstream import Step as UpstreamStep


def pairs_of(speakers: Sequence[Speaker] = SPEAKERS, providers: Sequence[Provider] = PROVIDERS) -> list[Any]:
    """Each client with each provider, as parameters."""
    return [
        pytest.param(speaker, provider, id=f"{speaker.dialect} over {provider.dialect}")
        for speaker in speakers
        for provider in providers
    ]


def _ways() -> Iterator[Any]:
    for number, speaker in enumerate(SPEAKERS):
        for other, provider in enumerate(PROVIDERS):
            for streamed in (False, True):
                is_sample = streamed is ((number + other) % 2 == 0)
                yield pytest.param(
                    speaker,
                    provider,
                    streamed,
                    id=f"{speaker.dialect} over {provider.dialect}, {'streamed' if streamed else 'whole'}",
                    marks=() if is_sample else pytest.mark.deep,
                )


WAYS = list(_ways())
"""Each client with each provider, whole or streamed; the other way is deep."""
STREAMING = pairs_of(ALL_SPEAKERS)
"""Each client with each provider, with both forms of a stream that Gemini has."""


def is_same(speaker: Speaker, provider: Provider) -> bool:
    """Whether both speak one dialect, so that bytes pass."""
    return speaker.dialect.split()[0] == provider.dialect


def configured(
    provider: Provider, url: str, *, defaults: str = "", account: str = "native-secret-0123456789"
) -> Config:
    """The model `m` at a provider, for the key of every speaker; installations share their secret."""
    return parse_config(
        f"""
[server]
secret = "an installation's own secret"
[defaults]
retries = 0
{defaults}
[providers.up]
base_url = "{url}"
key = "{account}"
speaks = ["{provider.dialect}"]
{provider.quirks}
[[models]]
model_id = "m"
route = "up/{provider.model}"
[[keys]]
name = "alice"
hash = "sha256:{digest(KEY)}"
"""
    )


@attrs.frozen
class Meeting:
    """Who meets."""

    provider: Provider
    upstream: RawUpstream
    server: Front

    @property
    def heard(self) -> list[Heard]:
        """What the provider was asked so far."""
        return [self.provider.hear(each.path, each.json()) for each in self.upstream.requests]

    async def send(self, speaker: Speaker, body: dict[str, Any], *, streamed: bool) -> Answer:
        """The answer to a request."""
        path, data = speaker.path(stream=streamed), json.dumps(body).encode()
        return await self.server.ask("POST", path, speaker.headers, data)

    def script(self, turn: Turn, *, streamed: bool) -> None:
        """What the provider says next."""
        if streamed:
            self.upstream.script(sse_head() + chunk(b"".join(self.provider.frames(turn))) + chunk(b""))
        else:
            self.upstream.script(json_answer(self.provider.whole(turn)))

    async def hear(self, speaker: Speaker, ask: Ask, turn: Turn, *steps: Step, streamed: bool) -> Answer:
        """What a client gets for a conversation that has come so far, in bytes."""
        self.script(turn, streamed=streamed)
        return await self.send(speaker, speaker.body(ask, *steps, stream=streamed), streamed=streamed)

    async def talk(self, speaker: Speaker, ask: Ask, turn: Turn, *steps: Step, streamed: bool) -> Said:
        """What a client reads for a conversation that has come so far."""
        answer = await self.hear(speaker, ask, turn, *steps, streamed=streamed)
        assert answer.status == 200, answer.body
        kind = "text/event-stream; charset=utf-8" if streamed else "application/json"
        assert answer.header("Content-Type") == kind
        return speaker.read_stream(answer.body) if streamed else speaker.read(answer.body)

    async def send_in_two(
        self, speaker: Speaker, ask: Ask, begun: bytes, *rest: UpstreamStep, until: bytes = b""
    ) -> Answer:
        """What a client gets for a stream of which the rest comes when the client has the answer's head.

        Or, with `until`, when it has got these bytes as a piece of their own.
        """
        answered = asyncio.Event()
        self.upstream.script(sse_head() + chunk(begun), Wait(answered), *rest)
        caller = await self.server.connect()
        data = json.dumps(speaker.body(ask, stream=True)).encode()
        await caller.send(request("POST", speaker.path(stream=True), speaker.headers, data))
        status, headers = await caller.head()
        body = piece = b""
        while piece != until:
            size = int(await caller.until(b"\r\n"), 16)
            piece = (await caller.exactly(size + 2))[:-2]
            body += piece
        answered.set()
        return Answer(status, headers, body + await caller.chunks())


@asynccontextmanager
async def meeting(provider: Provider, **fields: str) -> AsyncIterator[Meeting]:
    """The gateway before a provider; the fields are those of `configured`."""
    async with RawUpstream() as upstream, front(configured(provider, upstream.url, **fields)) as server:
        yield Meeting(provider, upstream, server)


def told(speaker: Speaker, provider: Provider, tokens: Tokens) -> Tokens:
    """What of a provider's counts a client can be told: Gemini counts no writes, Responses has every counter."""
    without_writes = attrs.evolve(tokens, written=None)
    match provider.dialect, speaker.dialect:
        case "gemini", "responses":
            return _counted(without_writes)
        case "gemini", _:
            return without_writes
        case "responses", "gemini":
            return attrs.evolve(_counted(tokens), written=None)
        case ("responses", _) | (_, "responses"):
            return _counted(tokens)
        case _, "gemini":
            return without_writes
        case _:
            return tokens


def _counted(tokens: Tokens) -> Tokens:
    return Tokens(**{name: count or 0 for name, count in attrs.asdict(tokens).items()})
