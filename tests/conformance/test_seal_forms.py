"""Reasoning comes back to its provider as the very thing that it had said: the block, the item or the part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.pairs import Meeting, meeting
from tests.support.providers.anthropic import AnthropicProvider
from tests.support.providers.responses import ResponsesProvider
from tests.support.speakers import ANTHROPIC, CHAT, GEMINI, RESPONSES
from tests.support.speech import ASKED, PARIS, REASONING, Ask, Json, Provider, Result, Said, Speaker, Turn
from tests.support.wires import events_of

ASK = Ask(tools=True, thinks=True)
SIGNATURE, CIPHER = AnthropicProvider.seal, ResponsesProvider.seal


class ThinkingProvider(AnthropicProvider):
    """A provider of Anthropic Messages whose answers begin with a block."""

    def __init__(self, block: Json) -> None:
        self.block = block

    def _blocks(self, turn: Turn) -> list[Json]:
        return [self.block, *super()._blocks(turn)]


class ReasoningProvider(ResponsesProvider):
    """A provider of OpenAI Responses whose answers begin with an item."""

    def __init__(self, item: Json) -> None:
        self.item = item

    def _items(self, turn: Turn) -> list[dict[str, Any]]:
        return [{**self.item}, *super()._items(turn)]


def first_of(dialect: str, body: Json) -> Json:
    """What the model's turn begins with in a request."""
    if dialect == "anthropic":
        block: Json = body["messages"][1]["content"][0]
        return block
    item: Json = body["input"][1]
    return item


BLOCKS: Mapping[str, Json] = {
    "D48 thinking": {"type": "thinking", "thinking": REASONING, "signature": SIGNATURE},
    "D52 omitted thinking": {"type": "thinking", "thinking": "", "signature": SIGNATURE},
    "D49 redacted thinking": {"type": "redacted_thinking", "data": "EmwKAhgBEgy3va5"},
}
ITEMS: Mapping[str, Json] = {
    "D47 a summary": {
        "type": "reasoning",
        "id": "rs_68af4030592c81938ec0a5f",
        "summary": [{"type": "summary_text", "text": REASONING}],
        "encrypted_content": CIPHER,
    },
    "D47 no summary": {
        "type": "reasoning",
        "id": "rs_68af4030592c81938ec0a5f",
        "summary": [],
        "encrypted_content": CIPHER,
    },
}
STREAMED = [pytest.param(False, id="whole"), pytest.param(True, id="streamed")]
FORMS = [
    pytest.param(speaker, provider, thing, id=f"{name}, {speaker.dialect}")
    for speakers, things, make in (
        ((CHAT, RESPONSES, GEMINI), BLOCKS, ThinkingProvider),
        ((CHAT, ANTHROPIC, GEMINI), ITEMS, ReasoningProvider),
    )
    for name, thing in things.items()
    for provider in [make(thing)]
    for speaker in speakers
]


async def both_turns(both: Meeting, speaker: Speaker, *, streamed: bool) -> Said:
    """The first answer, with a call, after which its result was sent."""
    first = await both.talk(speaker, ASK, Turn(calls=[PARIS]), streamed=streamed)
    await both.talk(speaker, ASK, Turn(text="Sunny."), first, [Result(first.calls[0], "21")], streamed=streamed)
    return first


@pytest.mark.parametrize("streamed", STREAMED)
@pytest.mark.parametrize(("speaker", "provider", "thing"), FORMS)
async def test_what_was_thought_comes_back_unchanged(
    speaker: Speaker, provider: Provider, thing: Json, streamed: bool
) -> None:
    async with meeting(provider) as both:
        first = await both_turns(both, speaker, streamed=streamed)
        sent = both.upstream.requests[1].json()

    assert thing == first_of(provider.dialect, sent)
    assert (first.text, first.reasoning) == ("", REASONING if REASONING in str(thing) else "")
    assert both.heard[1].texts == (("user", ASKED),)


@pytest.mark.parametrize("name", ITEMS)
@pytest.mark.parametrize("streamed", STREAMED)
async def test_d47_an_anthropic_client_carries_an_envelope(name: str, streamed: bool) -> None:
    async with meeting(ReasoningProvider(ITEMS[name])) as both:
        first = await both_turns(both, ANTHROPIC, streamed=streamed)

    block = first.echo[0]
    assert block.get("signature", block.get("data", "")).startswith("msE1")


@pytest.mark.parametrize("name", BLOCKS)
async def test_d48_a_seal_is_told_in_the_end_of_its_item_alone(name: str) -> None:
    async with meeting(ThinkingProvider(BLOCKS[name])) as both:
        answer = await both.hear(RESPONSES, ASK, Turn(calls=[PARIS]), streamed=True)

    events = [data for _, data in events_of(answer.body)]
    told = [event["type"] for event in events if "msE1" in str(event.get("item"))]
    assert told == ["response.output_item.done"]
    assert [event["type"] for event in events if "msE1" in str(event)] == [*told, "response.completed"]
