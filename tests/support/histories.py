"""Long conversations of clients of each dialect with models of each, encoded for these; nothing but the codecs is used.

`python -m tests.support.histories` prints every encoding, for another process to compare.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from modelserver.catalog.cards import card_for
from modelserver.dialects.codec import Codec, Encoded, Reading, Writing
from modelserver.ir.parts import Origin, Response
from modelserver.ir.profile import Profile
from modelserver.ir.request import Request
from modelserver.policy.seals import EnvelopeSealer
from tests.support.inside import DIALECTS
from tests.support.providers import ANTHROPIC, CHAT, GEMINI, PROVIDERS, RESPONSES
from tests.support.speakers import SPEAKERS
from tests.support.speech import (
    PARIS,
    PNG,
    REASONING,
    ROME,
    TOOL,
    Ask,
    Call,
    Provider,
    Reminder,
    Result,
    Said,
    Speaker,
    Step,
    Turn,
)

SEALER = EnvelopeSealer(b"an installation's own secret")
CONVERSATIONS = {"chat": "messages", "responses": "input", "anthropic": "messages", "gemini": "contents"}
"""What each dialect calls what grows."""


@attrs.frozen(kw_only=True)
class Target:
    """A model, and the provider that it speaks like."""

    provider: Provider
    model: str
    quirks: Mapping[str, Any] = attrs.field(factory=dict)

    @property
    def codec(self) -> Codec:
        """Of its dialect."""
        return DIALECTS[self.provider.dialect].codec

    @property
    def profile(self) -> Profile:
        """What an encoder is told of it."""
        dialect: Any = self.provider.dialect
        return Profile(
            model=self.model,
            origin=Origin(dialect=dialect, provider="up", account="account", model=self.model),
            card=card_for(self.model, dialect, {}),
            quirks=self.quirks,
            sealer=SEALER,
            pseudonym=lambda user: f"u_{user}",
        )


_TEMPLATES = {
    "single_system": True,
    "system_first_only": True,
    "merge_roles": True,
    "bridge_after_tool": True,
    "id_max": 9,
    "id_pattern": "[a-zA-Z0-9]{9}",
    "reasoning_back": "reasoning_content",
}
TARGETS = {
    "chat": Target(provider=CHAT, model=CHAT.model, quirks={"reasoning_back": "reasoning_details"}),
    "chat with quirks": Target(provider=CHAT, model=CHAT.model, quirks=_TEMPLATES),
    "responses": Target(provider=RESPONSES, model=RESPONSES.model),
    "anthropic": Target(provider=ANTHROPIC, model=ANTHROPIC.model),
    "anthropic adaptive": Target(provider=ANTHROPIC, model="claude-opus-5-5"),
    "gemini": Target(provider=GEMINI, model=GEMINI.model),
    "gemini 2.5": Target(provider=GEMINI, model="gemini-2.5-pro"),
}
assert {target.provider for target in TARGETS.values()} == set(PROVIDERS)

ASK = Ask(system="Be brief.", picture=PNG, tools=True, thinks=True)
TURNS: Sequence[Turn | str | Reminder] = (
    Turn(reasoning=REASONING, calls=[PARIS]),
    Turn(reasoning="Once more.", text="Let me see.", calls=[PARIS, ROME]),
    Turn(reasoning="I know.", text="Sunny."),
    Reminder("Speak English."),
    "And in Rome?",
    Turn(reasoning="Rome, then.", calls=[ROME]),
    Reminder("The user is in a hurry."),
    Turn(text="Rainy."),
    "Really?",
    "I mean, in Rome.",
    Turn(text="Yes."),
    "Look again.",
    Turn(reasoning="Again, then.", calls=[ROME, PARIS]),
    Turn(reasoning="Hm.", text="One more.", calls=[PARIS]),
    Turn(reasoning="Done.", text="It is dry now."),
    "Thanks.",
    Turn(text="Not at all."),
    "And tomorrow?",
    Turn(reasoning="Who knows.", calls=[Call(TOOL, {"city": "Paris", "days": 1})]),
)
"""Behind each that calls come the results."""


def conversation(speaker: Speaker, target: Target, *, sealed: bool) -> list[Step]:
    """The steps of a conversation; `sealed`: the client sends back all that it got, else texts and calls only."""
    steps: list[Step] = []
    for number, turn in enumerate(TURNS):
        if not isinstance(turn, Turn):
            steps.append(turn)
            continue
        said = _answered(speaker, target, turn, number)
        if not sealed:
            bare = attrs.evolve(turn, calls=said.calls)
            said = Said(calls=said.calls, echo=speaker.echo(bare))
        steps.append(said)
        if said.calls:
            steps.append([Result(call, f"{call.arguments['city']}, {number}") for call in said.calls])
    return steps


def _answered(speaker: Speaker, target: Target, turn: Turn, number: int) -> Said:
    """What a client reads of an answer."""
    request = Request(dialect="chat", model="m")
    codec = DIALECTS[speaker.dialect].codec
    response = target.codec.decode_response(
        json.dumps(target.provider.whole(turn)).encode(), Reading(request=request, profile=target.profile)
    )
    assert isinstance(response, Response)
    writing = Writing(request=request, sealer=SEALER, seed=f"req_{number}", created=1)
    return speaker.read(codec.encode_response(response, writing))


def requests(speaker: Speaker, steps: Sequence[Step]) -> Iterator[bytes]:
    """What a client asks in the course of a conversation, each time that it is the model's turn."""
    for count in range(len(steps) + 1):
        if count == len(steps) or isinstance(steps[count], Said):
            yield json.dumps(speaker.body(ASK, *steps[:count])).encode()


def encoded(speaker: Speaker, target: Target, body: bytes) -> Encoded:
    """A request of a client as the model gets it."""
    request = attrs.evolve(DIALECTS[speaker.dialect].codec.decode_request(body), model="m")
    return target.codec.encode_request(request, target.profile)


def every_encoding() -> dict[str, list[str]]:
    """Every request of each client to each model, as text."""
    return {
        f"{speaker.dialect} to {name}": [
            encoded(speaker, target, body).body.decode()
            for body in requests(speaker, conversation(speaker, target, sealed=True))
        ]
        for speaker in SPEAKERS
        for name, target in TARGETS.items()
    }


if __name__ == "__main__":
    json.dump(every_encoding(), sys.stdout)
