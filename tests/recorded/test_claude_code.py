"""What Claude Code was seen to send, over models of every dialect: what is its own is not told to others."""

from __future__ import annotations

import pytest

from tests.support.agents import LOOPS, ask
from tests.support.client_requests import ABSENT, CAPTURED, PROVIDER, before
from tests.support.pairs import meeting
from tests.support.recordings import cases
from tests.support.speech import REASONING, Turn

REQUESTS = {name: each for name, each in CAPTURED.items() if name.startswith("claude-code/")}
FOREIGN = ["chat", "responses", "gemini"]
ATTRIBUTION = b"x-anthropic-billing-header"
INSTRUCTION = b"You are a Claude agent, built on Anthropic's Claude Agent SDK."


@pytest.mark.parametrize("dialect", FOREIGN)
@pytest.mark.parametrize("name", cases(REQUESTS, ABSENT))
async def test_d80_its_attribution_does_not_reach_others(name: str, dialect: str) -> None:
    async with before(PROVIDER[dialect]) as both:
        answer = await both.server.ask(*REQUESTS[name].asked("m"))
        (sent,) = both.upstream.requests

    assert answer.status == 200
    assert (ATTRIBUTION in sent.body, INSTRUCTION in sent.body) == (False, True)


@pytest.mark.parametrize("name", cases(REQUESTS, ABSENT))
async def test_d80_its_attribution_reaches_anthropic(name: str) -> None:
    async with before(PROVIDER["anthropic"]) as both:
        await both.server.ask(*REQUESTS[name].asked("m"))
        (sent,) = both.upstream.requests

    assert ATTRIBUTION in sent.body
    assert sent.header("anthropic-beta") == REQUESTS[name].headers["anthropic-beta"]
    assert sent.header("anthropic-version") == REQUESTS[name].headers["anthropic-version"]


@pytest.mark.skipif("claude-code" not in LOOPS, reason=ABSENT)
async def test_d80_its_attribution_reaches_anthropic_after_a_turn_of_another_maker() -> None:
    """The conversation had gone on with another model: its seals are taken out, all else stays."""
    loop = LOOPS["claude-code"]
    async with meeting(PROVIDER["responses"]) as both:
        both.script(Turn(reasoning=REASONING, calls=[loop.call]), streamed=True)
        said = loop.speaker.read_stream((await ask(both, loop, loop.first)).body)
    async with before(PROVIDER["anthropic"]) as both:
        answer = await ask(both, loop, loop.follow_up(said))
        (sent,) = both.upstream.requests

    assert answer.status == 200
    assert (b"msE1" in sent.body, REASONING.encode() in sent.body) == (False, False)
    assert sent.json()["system"] == loop.first["system"]
    assert sent.json()["context_management"] == loop.first["context_management"]
    assert sent.json()["tools"] == loop.first["tools"]
