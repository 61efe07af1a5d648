"""What a provider seals comes back to it byte for byte, in a client's own form, for every pair of dialects."""

from __future__ import annotations

import pytest

from tests.support.pairs import WAYS, is_same, meeting, pairs_of
from tests.support.providers import PROVIDERS
from tests.support.speakers import SPEAKERS
from tests.support.speech import ASKED, PARIS, REASONING, ROME, Ask, Provider, Result, Said, Speaker, Turn

each_way = pytest.mark.parametrize(("speaker", "provider", "streamed"), WAYS)

ASK = Ask(tools=True, thinks=True)
SUNNY = Turn(text="Sunny.")


def results(said: Said) -> list[Result]:
    return [Result(call, f"{call.arguments['city']}: 21") for call in said.calls]


@each_way
async def test_every_step_of_a_loop_keeps_its_seal(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    """D45 - D48"""
    async with meeting(provider) as both:
        first = await both.talk(speaker, ASK, Turn(reasoning=REASONING, calls=[PARIS]), streamed=streamed)
        steps = [first, results(first)]
        second = await both.talk(speaker, ASK, Turn(reasoning="And Rome.", calls=[ROME]), *steps, streamed=streamed)
        await both.talk(speaker, ASK, SUNNY, *steps, second, results(second), streamed=streamed)

    asked = both.heard[2]
    assert asked.calls == (PARIS, ROME)
    assert asked.results == ((PARIS, "Paris: 21"), (ROME, "Rome: 21"))
    assert asked.seals == (provider.seal, provider.seal)
    assert asked.texts == (("user", ASKED),)


@each_way
async def test_parallel_calls_keep_their_seal(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    """D46: Gemini signs the first call of a set."""
    turn = Turn(reasoning=REASONING, text="Let me see.", calls=[PARIS, ROME])
    async with meeting(provider) as both:
        first = await both.talk(speaker, ASK, turn, streamed=streamed)
        await both.talk(speaker, ASK, SUNNY, first, results(first), streamed=streamed)

    asked = both.heard[1]
    assert asked.calls == (PARIS, ROME)
    assert asked.results == ((PARIS, "Paris: 21"), (ROME, "Rome: 21"))
    assert asked.seals == (provider.seal,)
    assert "".join(text for role, text in asked.texts if role == "assistant") == turn.text


@each_way
async def test_hidden_reasoning_keeps_its_seal(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    """D49 D52"""
    async with meeting(provider) as both:
        first = await both.talk(speaker, ASK, Turn(hides=True, calls=[PARIS]), streamed=streamed)
        await both.talk(speaker, ASK, SUNNY, first, results(first), streamed=streamed)

    assert (first.text, first.reasoning) == ("", "")
    assert both.heard[1].seals == (provider.seal,)
    assert both.heard[1].texts == (("user", ASKED),)


@each_way
async def test_reasoning_before_text_keeps_its_seal(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    """D54: what Gemini signs of a text is lost with clients that have no place for it."""
    turn = Turn(reasoning=REASONING, text="Sunny.")
    async with meeting(provider) as both:
        first = await both.talk(speaker, ASK, turn, streamed=streamed)
        await both.talk(speaker, ASK, SUNNY, first, "And in Rome?", streamed=streamed)

    asked = both.heard[1]
    is_lost = provider.dialect == "gemini" and speaker.dialect in ("chat", "anthropic")
    assert asked.seals == (() if is_lost else (provider.seal,))
    words = "".join(text for role, text in asked.texts if role == "assistant")
    assert words == turn.text
    assert asked.texts[-1] == ("user", "And in Rome?")


@each_way
async def test_reasoning_that_was_edited_is_left_out(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    """D87; between sides of one dialect nothing is looked into.

    What Gemini signs is the call: its signature stays where the call carries it, and is done without where it was
    remembered for the turn that was edited.
    """
    async with meeting(provider) as both:
        first = await both.talk(speaker, ASK, Turn(reasoning=REASONING, calls=[PARIS]), streamed=streamed)
        edited = Said(calls=first.calls, echo=retold(first.echo))
        await both.talk(speaker, ASK, SUNNY, edited, results(first), streamed=streamed)

    expected: tuple[str, ...] = ()
    if speaker.dialect == provider.dialect or provider.dialect == "gemini":
        remembered = (speaker.dialect, provider.dialect) == ("anthropic", "gemini")
        expected = ("skip_thought_signature_validator",) if remembered else (provider.seal,)
    assert both.heard[1].seals == expected
    assert both.heard[1].texts == (("user", ASKED),)


def retold(value: object) -> object:
    """A word of the reasoning changed, wherever it stands."""
    match value:
        case str():
            return value.replace("it up", "it down")
        case list():
            return [retold(each) for each in value]
        case dict():
            return {name: retold(each) for name, each in value.items()}
        case _:
            return value


MOVES = [
    pytest.param(speaker, provider, other, id=f"{speaker.dialect} from {provider.dialect} to {other.dialect}")
    for speaker in SPEAKERS
    for provider in PROVIDERS
    for other in PROVIDERS
    if other is not provider
]
LOST = {"gemini": ("skip_thought_signature_validator",)}
"""What stands for a seal that is missing."""


@pytest.mark.parametrize(("speaker", "provider", "other"), MOVES)
async def test_seals_are_not_sent_to_others(speaker: Speaker, provider: Provider, other: Provider) -> None:
    """ir.md 8: a conversation goes on with another provider; what was only thought, too, is nobody else's.

    What nobody has sealed goes where a quirk asks for it (H18): Google does not sign thoughts before a call.
    """
    turn = Turn(reasoning=REASONING, text="Let me see.", calls=[PARIS])
    async with meeting(provider) as both:
        first = await both.talk(speaker, ASK, turn, streamed=False)
    async with meeting(other) as both:
        await both.talk(speaker, ASK, SUNNY, first, results(first), streamed=False)
        sent = both.upstream.requests[0].body

    (asked,) = both.heard
    assert (asked.calls, asked.results) == ((PARIS,), ((PARIS, "Paris: 21"),))
    assert asked.texts == (("user", ASKED), ("assistant", "Let me see."))
    assert asked.seals == LOST.get(other.dialect, ())
    assert provider.seal.encode() not in sent
    assert b"msE1" not in sent
    unsealed = provider.dialect == speaker.dialect == "gemini" and other.dialect == "chat"
    assert (REASONING.encode() in sent) == unsealed


CROSSING = [case for case in pairs_of() if not is_same(*case.values)]


@pytest.mark.parametrize(("speaker", "provider"), CROSSING)
async def test_seals_are_not_sent_to_another_account(speaker: Speaker, provider: Provider) -> None:
    """D50"""
    async with meeting(provider) as both:
        first = await both.talk(speaker, ASK, Turn(reasoning=REASONING, calls=[PARIS]), streamed=False)
    async with meeting(provider, account="another-secret-9876543210") as both:
        await both.talk(speaker, ASK, SUNNY, first, results(first), streamed=False)
        sent = both.upstream.requests[0].body

    (asked,) = both.heard
    assert asked.seals == LOST.get(provider.dialect, ())
    assert b"msE1" not in sent
    assert (asked.calls, asked.results) == ((PARIS,), ((PARIS, "Paris: 21"),))
