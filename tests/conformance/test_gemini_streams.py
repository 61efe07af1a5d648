"""What only a stream of Gemini's looks like, as clients of the other dialects see it and give it back."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.pairs import Meeting, meeting
from tests.support.providers import GEMINI
from tests.support.speakers import ANTHROPIC, CHAT, RESPONSES
from tests.support.speech import ASKED, REASONING, Ask, Call, Json, Result, Said, Speaker, Turn
from tests.support.upstream import chunk, sse_head
from tests.support.wires import sse

ASK = Ask(tools=True, thinks=True)
SUNNY = Turn(text="Sunny.")
FOREIGN = [pytest.param(speaker, id=speaker.dialect) for speaker in (CHAT, RESPONSES, ANTHROPIC)]


def frame(*parts: Json, **members: Any) -> bytes:
    """A chunk with parts, and members of its candidate."""
    candidate = {"content": {"role": "model", "parts": list(parts)}, "index": 0, **members}
    return sse({"candidates": [candidate], "modelVersion": GEMINI.model, "responseId": "r1"}, end="\r\n")


async def heard_by(both: Meeting, speaker: Speaker, *frames: bytes) -> Said:
    """What a client reads of a stream."""
    both.upstream.script(sse_head() + chunk(b"".join(frames)) + chunk(b""))
    answer = await both.send(speaker, speaker.body(ASK, stream=True), streamed=True)
    assert answer.status == 200, answer.body
    return speaker.read_stream(answer.body)


def thought(text: str) -> Json:
    return {"text": text, "thought": True}


END = frame({"text": ""}, finishReason="STOP")


def thoughts_in(speaker: Speaker, said: Said) -> list[Any]:
    """The things in an answer that hold reasoning; Chat has one text for all of it."""
    match speaker.dialect:
        case "chat":
            return [said.echo["reasoning_content"]]
        case "responses":
            return [item for item in said.echo if item["type"] == "reasoning"]
        case _:
            return [block for block in said.echo if block["type"] == "thinking"]


@pytest.mark.parametrize("speaker", FOREIGN)
async def test_d53_thoughts_over_four_chunks_are_one(speaker: Speaker) -> None:
    pieces = ["I should ", "look ", "it ", "up."]
    async with meeting(GEMINI) as both:
        said = await heard_by(
            both, speaker, *(frame(thought(piece)) for piece in pieces), frame({"text": "Sunny."}), END
        )

    assert (said.reasoning, said.text) == (REASONING, "Sunny.")
    assert len(thoughts_in(speaker, said)) == 1


SIGNED_END = frame({"text": "", "thoughtSignature": GEMINI.seal}, finishReason="STOP")
BACK = {
    "responses": [{"text": "Sunny."}, {"text": "", "thoughtSignature": GEMINI.seal}],
    # They have no place for what is neither a call's nor a thought's.
    "chat": [{"text": "Sunny."}],
    "anthropic": [{"text": "Sunny."}],
}


@pytest.mark.parametrize("speaker", FOREIGN)
async def test_d54_a_signed_empty_text_is_seen_by_nobody_and_goes_back_as_such(speaker: Speaker) -> None:
    async with meeting(GEMINI) as both:
        said = await heard_by(both, speaker, frame({"text": "Sun"}), frame({"text": "ny."}), SIGNED_END)
        await both.talk(speaker, ASK, SUNNY, said, "And in Rome?", streamed=True)

    assert (said.text, said.reasoning, said.calls) == ("Sunny.", "", ())
    contents = both.upstream.requests[1].json()["contents"]
    assert BACK[speaker.dialect] == contents[1]["parts"]


# Arguments in pieces, as Vertex was recorded to send them.


def calls(*fields: Json) -> bytes:
    return frame(*({"functionCall": each} for each in fields))


def piece(text: str, *, goes_on: bool) -> Json:
    argument = {"jsonPath": "$.city", "stringValue": text, **({"willContinue": True} if goes_on else {})}
    return {"partialArgs": [argument], "willContinue": True}


OPENED = frame({"functionCall": {"name": "weather", "willContinue": True}, "thoughtSignature": GEMINI.seal})
IN_PIECES = [
    *(OPENED, calls(piece("Par", goes_on=True)), calls(piece("is", goes_on=False)), calls({})),
    *(calls({"name": "weather", "willContinue": True}), calls(piece("Rome", goes_on=False)), calls({}), END),
]


@pytest.mark.parametrize("speaker", FOREIGN)
async def test_d92_arguments_in_pieces_are_calls_like_any_other(speaker: Speaker) -> None:
    paris, rome = Call("weather", {"city": "Paris"}), Call("weather", {"city": "Rome"})
    async with meeting(GEMINI) as both:
        said = await heard_by(both, speaker, *IN_PIECES)
        results = [Result(call, call.arguments["city"]) for call in said.calls]
        await both.talk(speaker, ASK, SUNNY, said, results, streamed=True)

    assert (said.calls, said.finish) == ((paris, rome), speaker.words["calls"])
    heard = both.heard[1]
    assert (heard.calls, heard.results) == ((paris, rome), ((paris, "Paris"), (rome, "Rome")))
    assert (heard.seals, heard.texts) == ((GEMINI.seal,), (("user", ASKED),))
