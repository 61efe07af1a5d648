"""D75: while a provider is silent each client hears what its dialect has for that, and its library lives on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anthropic
import openai
import pytest
from google import genai
from google.genai.types import HttpOptions

from modelserver.errors import UpstreamFailed
from modelserver.gateway import lifecycle
from tests.support.inside import begin
from tests.support.pairs import STREAMING, configured, meeting
from tests.support.providers import PROVIDERS
from tests.support.scripted import Answer, Caller, Pause, Scripted, Step, at_work, stream
from tests.support.speakers import ALL_SPEAKERS, ANTHROPIC, CHAT, GEMINI, RESPONSES
from tests.support.speech import PARIS, REASONING, Ask, Provider, Speaker, Turn
from tests.support.upstream import Close, RawUpstream, chunk, head

pytestmark = pytest.mark.sdk

ASK = Ask(tools=True, thinks=True)
TURN = Turn(reasoning=REASONING, text="Let me see.", calls=[PARIS])
SILENCE = Pause(40.0)
COMMENT = b": processing\n\n"
"""What a provider may say before it begins."""


@pytest.fixture(autouse=True)
def rare_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits end where the test's clock has a multiple of these seconds, which is quicker to get through."""
    monkeypatch.setattr(lifecycle, "SWEEP_S", 2.5)


async def heard(speaker: Speaker, provider: Provider, *steps: Step, defaults: str = "") -> Caller:
    """What a client gets within two minutes."""
    async with at_work(configured(provider, "http://up.invalid", defaults=defaults), Scripted(stream(*steps))) as work:
        caller = begin(work, speaker, ASK)
        await work.clock.advance(120)
        await caller.over()
    return caller


def split(provider: Provider) -> tuple[list[bytes], list[bytes]]:
    """The events up to the first one with content, it included, and the others."""
    frames = provider.frames(TURN)
    first = next(number for number, frame in enumerate(frames) if provider.is_content(frame))
    return frames[: first + 1], frames[first + 1 :]


@pytest.mark.parametrize(("speaker", "provider"), STREAMING)
async def test_a_silent_stream_is_kept_alive(speaker: Speaker, provider: Provider) -> None:
    begun, rest = split(provider)
    caller = await heard(speaker, provider, *begun, SILENCE, *rest)
    straight = await heard(speaker, provider, *begun, *rest)

    assert caller.chunks.count(speaker.keepalive) == 2
    assert caller.got_at_s[caller.chunks.index(speaker.keepalive)] == pytest.approx(15.0, abs=0.5)
    assert [chunk for chunk in caller.chunks if chunk != speaker.keepalive] == straight.chunks
    assert speaker.read_stream(caller.got) == speaker.read_stream(straight.got)


@pytest.mark.parametrize("beginning", [pytest.param(True, id="begun"), pytest.param(False, id="a comment")])
@pytest.mark.parametrize(("speaker", "provider"), STREAMING)
async def test_a_stream_that_has_begun_without_content_is_kept_alive(
    speaker: Speaker, provider: Provider, beginning: bool
) -> None:
    """H40: what was held leaves when the provider has been silent for so long."""
    (*held, content), rest = split(provider)
    steps = [*held, SILENCE, content, *rest] if beginning and held else [COMMENT, SILENCE, *held, content, *rest]
    caller = await heard(speaker, provider, *steps)

    assert caller.got_at_s[0] == pytest.approx(15.0, abs=0.5)
    assert speaker.read_stream(caller.got).text == TURN.text


@pytest.mark.parametrize(("speaker", "provider"), STREAMING)
async def test_a_stream_that_was_only_kept_alive_can_fail(speaker: Speaker, provider: Provider) -> None:
    (*held, _), _ = split(provider)
    caller = await heard(speaker, provider, *(held or [COMMENT]), SILENCE, provider.failure(500))

    assert caller.committed
    speaker.broken(caller.got)


@pytest.mark.parametrize(("speaker", "provider"), STREAMING)
async def test_nothing_is_sent_before_the_provider_has_begun(speaker: Speaker, provider: Provider) -> None:
    caller = await heard(speaker, provider, SILENCE, *provider.frames(TURN))

    assert caller.got_at_s[0] == pytest.approx(40.0, abs=0.5)
    assert speaker.keepalive not in caller.chunks


@pytest.mark.parametrize("speaker", [pytest.param(each, id=each.dialect) for each in ALL_SPEAKERS])
async def test_an_answer_that_is_begun_early_can_fail(speaker: Speaker) -> None:
    """`early_commit`"""
    provider = PROVIDERS[0]
    scripted = Scripted(Answer(before=(SILENCE, UpstreamFailed("no", code="upstream_unreachable"))))
    config = configured(provider, "http://up.invalid", defaults='early_commit = "2s"')
    async with at_work(config, scripted) as work:
        caller = begin(work, speaker, ASK)
        await work.clock.advance(120)
        await caller.over()

    assert caller.chunks.count(speaker.keepalive) == 3
    speaker.broken(caller.got)


@pytest.mark.parametrize("speaker", [pytest.param(each, id=each.dialect) for each in ALL_SPEAKERS])
async def test_a_silent_connection_is_kept_alive(speaker: Speaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """On real sockets: the provider goes on when the client has been kept alive."""
    monkeypatch.setattr(lifecycle, "SWEEP_S", 0.01)
    provider = PROVIDERS[0]
    begun, rest = split(provider)
    async with meeting(provider, defaults='keepalive = "50ms"') as both:
        answer = await both.send_in_two(
            speaker, ASK, b"".join(begun), chunk(b"".join(rest)) + chunk(b""), until=speaker.keepalive
        )

    assert speaker.read_stream(answer.body).text == TURN.text


# The official libraries, fed with what the gateway has said.


async def by_chat(url: str) -> str:
    async with (
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client,
        client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "q"}]) as answer,
    ):
        message = (await answer.get_final_completion()).choices[0].message
    return message.content or ""


async def by_responses(url: str) -> str:
    async with (
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="k", max_retries=0) as client,
        client.responses.stream(model="m", input="q") as answer,
    ):
        return (await answer.get_final_response()).output_text


async def by_anthropic(url: str) -> str:
    async with (
        anthropic.AsyncAnthropic(base_url=url, api_key="k", max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=99, messages=[{"role": "user", "content": "q"}]) as answer,
    ):
        message = await answer.get_final_message()
    return "".join(block.text for block in message.content if block.type == "text")


async def by_gemini(url: str) -> str:
    async with genai.Client(api_key="k", http_options=HttpOptions(base_url=url)).aio as client:
        answer = await client.models.generate_content_stream(model="m", contents="q")
        parts: list[Any] = []
        async for chunk in answer:
            for candidate in chunk.candidates or ():
                if candidate.content is not None:
                    parts += candidate.content.parts or ()
    return "".join(part.text for part in parts if part.text and not part.thought)


LIBRARIES = [
    pytest.param(CHAT, by_chat, id="chat"),
    pytest.param(RESPONSES, by_responses, id="responses"),
    pytest.param(ANTHROPIC, by_anthropic, id="anthropic"),
    pytest.param(GEMINI, by_gemini, id="gemini"),
]


@pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")  # google-genai 3.6
@pytest.mark.parametrize("provider", [pytest.param(each, id=each.dialect) for each in PROVIDERS])
@pytest.mark.parametrize(("speaker", "read"), LIBRARIES)
async def test_official_libraries_live_on(
    speaker: Speaker, read: Callable[[str], Awaitable[str]], provider: Provider
) -> None:
    turn = Turn(reasoning=REASONING, text="Let me see.")
    steps: list[Step] = [COMMENT]
    for frame in provider.frames(turn):
        steps += [Pause(17.5), frame]
    async with at_work(configured(provider, "http://up.invalid"), Scripted(stream(*steps))) as work:
        caller = begin(work, speaker, ASK)
        await work.clock.advance(500)
        await caller.over()
    async with RawUpstream() as server:
        stream_head = head(200, {"Content-Type": "text/event-stream; charset=utf-8", "Connection": "close"})
        server.script(stream_head, *caller.chunks, Close())
        text = await read(server.url)

    assert caller.chunks.count(speaker.keepalive) >= 5
    assert text == turn.text
