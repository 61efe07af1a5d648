"""Reasoning that its provider does not seal, and yet wants back: DeepSeek's, with clients of the other dialects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.pairs import meeting
from tests.support.providers import PROVIDERS
from tests.support.providers.chat import ChatProvider
from tests.support.speakers import ANTHROPIC, CHAT, GEMINI, RESPONSES
from tests.support.speech import PARIS, REASONING, ROME, Ask, Json, Provider, Result, Said, Speaker, Turn

ASK = Ask(tools=True, thinks=True)
AGAIN = "And now Rome."


class DeepSeekProvider(ChatProvider):
    """One that says what it thinks in a field of its own, and asks for it back in turns with calls."""

    quirks = 'quirks = { reasoning_back = "reasoning_content:tools", reasoning_ask = "reasoning_effort" }'

    def whole(self, turn: Turn) -> dict[str, Any]:
        answer = super().whole(turn)
        message = answer["choices"][0]["message"]
        for name in ("reasoning", "reasoning_details"):
            message.pop(name, None)
        if turn.reasoning:
            message["reasoning_content"] = turn.reasoning
        return answer

    def _deltas(self, turn: Turn) -> Iterator[Json]:
        for delta in super()._deltas(turn):
            if "reasoning" in delta:
                yield {"reasoning_content": delta["reasoning"]}
            elif "reasoning_details" not in delta:
                yield delta


DEEPSEEK = DeepSeekProvider()
STREAMED = [pytest.param(False, id="whole"), pytest.param(True, id="streamed")]
FOREIGN = [pytest.param(speaker, id=speaker.dialect) for speaker in (RESPONSES, ANTHROPIC, GEMINI)]


def results(said: Said) -> list[Result]:
    return [Result(call, "21") for call in said.calls]


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize("speaker", FOREIGN)
async def test_d85_what_was_thought_comes_back_in_the_message_that_it_was_of(speaker: Speaker, streamed: bool) -> None:
    async with meeting(DEEPSEEK) as both:
        first = await both.talk(speaker, ASK, Turn(reasoning=REASONING, calls=[PARIS]), streamed=streamed)
        steps = [first, results(first)]
        second = await both.talk(speaker, ASK, Turn(reasoning=AGAIN, calls=[ROME]), *steps, streamed=streamed)
        await both.talk(speaker, ASK, Turn(text="Sunny."), *steps, second, results(second), streamed=streamed)

    messages = both.upstream.requests[2].json()["messages"]
    back = [message.get("reasoning_content") for message in messages if message["role"] == "assistant"]
    assert back == [REASONING, AGAIN]
    assert (first.reasoning, second.reasoning) == (REASONING, AGAIN)


OTHERS = [
    pytest.param(speaker, provider, id=f"{speaker.dialect} to {provider.dialect}")
    for speaker in (CHAT, RESPONSES, ANTHROPIC, GEMINI)
    for provider in PROVIDERS
]


@pytest.mark.parametrize(("speaker", "provider"), OTHERS)
async def test_d85_what_was_thought_is_not_sent_to_others(speaker: Speaker, provider: Provider) -> None:
    async with meeting(DEEPSEEK) as both:
        first = await both.talk(speaker, ASK, Turn(reasoning=REASONING, calls=[PARIS]), streamed=True)
    async with meeting(provider, account="another-secret-9876543210") as both:
        await both.talk(speaker, ASK, Turn(text="Sunny."), first, results(first), streamed=True)
        sent = both.upstream.requests[0].body

    assert both.heard[0].calls == (PARIS,)
    assert (REASONING.encode() in sent) == (speaker.dialect == provider.dialect == "chat")  # bytes pass
