"""Every client dialect over every provider dialect: what is asked arrives, and so does what is answered."""

from __future__ import annotations

import attrs
import pytest

from tests.support import official
from tests.support.pairs import WAYS, meeting, told
from tests.support.speech import (
    ASKED,
    PARAMETERS,
    PARIS,
    PNG,
    REASONING,
    ROME,
    SCHEMA,
    TOKENS,
    TOOL,
    Ask,
    Heard,
    Provider,
    Result,
    Said,
    Speaker,
    Turn,
)

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.parametrize(("speaker", "provider", "streamed"), WAYS),
]

OFFERED = {TOOL: PARAMETERS}
SUNNY = Turn(text="Sunny ☀️, 21 °C.\u2028\n\n`a\\b`\t\x85")


def said(speaker: Speaker, provider: Provider, end: str, **fields: object) -> Said:
    """What a client reads that ends so, with the counts of every turn."""
    return Said(finish=speaker.words[end], tokens=told(speaker, provider, TOKENS), **fields)


async def test_text(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    async with meeting(provider) as both:
        actual = await both.talk(speaker, Ask(system="Be brief."), SUNNY, streamed=streamed)

    asked = Heard(model=provider.model, stream=streamed, system="Be brief.", texts=[("user", ASKED)])
    assert both.heard == [asked]
    assert actual == said(speaker, provider, "stop", text=SUNNY.text)


async def test_a_text_that_was_cut(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    async with meeting(provider) as both:
        actual = await both.talk(speaker, Ask(), attrs.evolve(SUNNY, is_cut=True), streamed=streamed)

    assert actual == said(speaker, provider, "length", text=SUNNY.text)


async def test_nothing(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    async with meeting(provider) as both:
        actual = await both.talk(speaker, Ask(), Turn(), streamed=streamed)

    assert actual == said(speaker, provider, "stop")


TURNS = {
    "text": Turn(text="Sunny."),
    "reasoning and a call": Turn(reasoning=REASONING, calls=[PARIS]),
    "reasoning and text": Turn(reasoning=REASONING, text="Sunny."),
    "two calls": Turn(text="Let me see.", calls=[PARIS, ROME]),
    "a text that was cut": Turn(text="Sun", is_cut=True),
    "nothing": Turn(),
    "a refusal": Turn(refusal="I can't help with that."),
}


@pytest.mark.parametrize("turn", [pytest.param(turn, id=name) for name, turn in TURNS.items()])
async def test_the_answer_is_of_the_official_types(
    speaker: Speaker, provider: Provider, streamed: bool, turn: Turn
) -> None:
    async with meeting(provider) as both:
        answer = await both.hear(speaker, Ask(tools=True, thinks=True), turn, streamed=streamed)

    official.check(speaker, answer.body, streamed=streamed)


async def test_a_call(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    async with meeting(provider) as both:
        actual = await both.talk(speaker, Ask(tools=True), Turn(calls=[PARIS]), streamed=streamed)

    assert both.heard[0].tools == OFFERED
    assert actual == said(speaker, provider, "calls", calls=[PARIS])


async def test_text_and_parallel_calls(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    turn = Turn(text="Let me see.", calls=[PARIS, ROME])
    async with meeting(provider) as both:
        actual = await both.talk(speaker, Ask(tools=True), turn, streamed=streamed)

    assert actual == said(speaker, provider, "calls", text=turn.text, calls=[PARIS, ROME])
    assert len({call.id for call in actual.calls}) == 2 or speaker.dialect == provider.dialect == "gemini"


async def test_results(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    ask = Ask(tools=True)
    async with meeting(provider) as both:
        first = await both.talk(speaker, ask, Turn(calls=[PARIS, ROME]), streamed=streamed)
        results = [Result(call, f"{call.arguments['city']}: 21") for call in first.calls]
        second = await both.talk(speaker, ask, SUNNY, first, results, streamed=streamed)

    assert both.heard[1] == Heard(
        model=provider.model,
        stream=streamed,
        texts=[("user", ASKED)],
        tools=OFFERED,
        calls=[PARIS, ROME],
        results=[(PARIS, "Paris: 21"), (ROME, "Rome: 21")],
        seals=both.heard[1].seals,
    )
    assert second == said(speaker, provider, "stop", text=SUNNY.text)


async def test_results_in_another_order(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    """D16; the same dialect gets what its client sent."""
    ask = Ask(tools=True)
    async with meeting(provider) as both:
        first = await both.talk(speaker, ask, Turn(calls=[PARIS, ROME]), streamed=streamed)
        paris, rome = (Result(call, f"{call.arguments['city']}: 21") for call in first.calls)
        await both.talk(speaker, ask, SUNNY, first, [rome, paris], streamed=streamed)

    if speaker.dialect == provider.dialect:
        return
    assert both.heard[1].results == ((PARIS, "Paris: 21"), (ROME, "Rome: 21"))


async def test_seals_come_back(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    """D45 - D48"""
    ask = Ask(tools=True, thinks=True)
    async with meeting(provider) as both:
        first = await both.talk(speaker, ask, Turn(reasoning=REASONING, calls=[PARIS]), streamed=streamed)
        second = await both.talk(speaker, ask, SUNNY, first, [Result(first.calls[0], "21 degrees")], streamed=streamed)

    assert first == said(speaker, provider, "calls", reasoning=REASONING, calls=[PARIS])
    assert second == said(speaker, provider, "stop", text=SUNNY.text)
    assert both.heard[1] == Heard(
        model=provider.model,
        stream=streamed,
        texts=[("user", ASKED)],
        tools=OFFERED,
        calls=[PARIS],
        results=[(PARIS, "21 degrees")],
        thinks=True,
        seals=[provider.seal],
    )


async def test_reasoning_before_text(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    turn = attrs.evolve(SUNNY, reasoning=REASONING)
    async with meeting(provider) as both:
        actual = await both.talk(speaker, Ask(thinks=True), turn, streamed=streamed)

    assert both.heard[0].thinks
    assert actual == said(speaker, provider, "stop", reasoning=REASONING, text=SUNNY.text)


async def test_a_picture(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    """D77"""
    async with meeting(provider) as both:
        await both.talk(speaker, Ask(picture=PNG), SUNNY, streamed=streamed)

    assert both.heard[0].texts == (("user", ASKED),)
    assert both.heard[0].pictures == (("image/png", PNG),)


async def test_a_schema(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    """D43"""
    answer = '{"age":7,"name":"Ann"}'
    async with meeting(provider) as both:
        actual = await both.talk(speaker, Ask(schema=SCHEMA), Turn(text=answer), streamed=streamed)

    assert both.heard[0].schema == SCHEMA
    assert actual.text == answer


DECLINED = "I can't help with that."


async def test_a_refusal(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    """H25; Gemini declines without a word."""
    async with meeting(provider) as both:
        actual = await both.talk(speaker, Ask(), Turn(refusal=DECLINED), streamed=streamed)

    if provider.dialect == "gemini":
        assert actual == said(speaker, provider, "filter")
    else:
        assert actual == said(speaker, provider, "refusal", refusal=DECLINED)
