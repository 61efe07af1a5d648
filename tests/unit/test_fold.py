from __future__ import annotations

import pytest

from modelserver.errors import UpstreamFailed
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Delta,
    End,
    Fail,
    FinishEvent,
    Section,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.fold import Folding, fold, unfold
from modelserver.ir.grammar import Validator
from modelserver.ir.parts import (
    Audio,
    Choice,
    Citation,
    Finish,
    FinishReason,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Response,
    Seal,
    Text,
    TokenLogprob,
    ToolCall,
)
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage

STOP = Finish(reason=FinishReason.STOP)
SEAL = Seal(kind="signature", payload="RXFC")
CITED = Text(text="abc", citations=(Citation(kind="url", url="https://e.example", start=0, end=3),))
LOGPROBS = (TokenLogprob(token="a", logprob=-0.1), TokenLogprob(token="b", logprob=-0.2))


def response(*parts: Part, usage: Usage | None = None, logprobs: tuple[TokenLogprob, ...] | None = None) -> Response:
    choice = Choice(index=0, parts=parts, finish=STOP, logprobs=logprobs)
    return Response(id="r", model="m", created=7, choices=(choice,), usage=usage)


WHOLE = [
    pytest.param(response(), id="no parts"),
    pytest.param(response(Text(text="a")), id="text"),
    pytest.param(response(Text(text="")), id="empty text"),
    pytest.param(response(Text(text="", seal=SEAL)), id="D54 signed empty text"),
    pytest.param(response(CITED), id="citations"),
    pytest.param(response(Reasoning(text="a", seal=SEAL), Text(text="b")), id="sealed reasoning"),
    pytest.param(response(Reasoning(text="abc", form="summary", sections=(0, 1, 2))), id="sections"),
    pytest.param(response(Reasoning(text="abc", form="summary", sections=(0,))), id="one section"),
    pytest.param(response(Reasoning(text="a", form="summary", sections=(0, 1))), id="an empty section"),
    pytest.param(response(Reasoning(form="hidden", seal=SEAL)), id="D49 nothing but a seal"),
    pytest.param(response(Refusal(text="no")), id="a refusal"),
    pytest.param(response(ToolCall(id="c", name="f", arguments='{"a":1}', namespace="n", seal=SEAL)), id="a call"),
    pytest.param(response(ToolCall(id="c", name="f", arguments="")), id="a call without arguments"),
    pytest.param(response(Audio(source=Inline(media_type="audio/wav", b64="UklGR"), transcript="a")), id="sound"),
    pytest.param(response(Opaque(dialect="anthropic", type="t", raw={"a": 1})), id="an opaque part"),
    pytest.param(response(Text(text="ab"), logprobs=LOGPROBS), id="probabilities"),
    pytest.param(response(usage=Usage(input=1, output=2)), id="usage"),
    pytest.param(
        Response(
            id="r",
            model="m",
            created=7,
            choices=(
                Choice(index=0, parts=(Text(text="a"),), finish=STOP),
                Choice(index=1, parts=(Text(text="b"),), finish=Finish(reason=FinishReason.LENGTH, raw="length")),
            ),
        ),
        id="two choices",
    ),
]


@pytest.mark.parametrize("whole", WHOLE)
def test_a_whole_answer_is_a_legal_stream_that_says_it(whole: Response) -> None:
    events = list(unfold(whole))
    validator = Validator()
    validator.check(events)

    assert validator.is_done
    assert whole == fold(events)


FAILURE = UpstreamFailed("The upstream closed the stream early.")
COMPLAINT = Complaint(status=529, message="Overloaded")
BEGUN: list[StreamEvent] = [Start("r", "m", 7), BlockStart(0, 0, Text(text="")), Delta(0, 0, "a")]
SAID: list[StreamEvent] = [*BEGUN, BlockEnd(0, 0, Text(text="a"))]
FINISHED: list[StreamEvent] = [*SAID, FinishEvent(0, STOP)]
FOLDED = [
    pytest.param([*FINISHED, End()], response(Text(text="a")), id="complete"),
    pytest.param(FINISHED, None, id="not over"),
    pytest.param(BEGUN, None, id="inside a block"),
    pytest.param([], None, id="nothing"),
    pytest.param([*BEGUN, Fail(FAILURE)], FAILURE, id="failed"),
    pytest.param([*FINISHED, Fail(COMPLAINT)], COMPLAINT, id="failed after the finish"),
    pytest.param([Fail(COMPLAINT)], COMPLAINT, id="failed at once"),
]


@pytest.mark.parametrize(("events", "expected"), FOLDED)
def test_a_stream_becomes_an_answer_or_its_failure(events: list[StreamEvent], expected: object) -> None:
    assert expected == fold(events)


def test_usage_of_the_start_is_overwritten_field_by_field() -> None:
    # D60, D89
    folding = Folding()
    folding.feed([Start("r", "m", 7, Usage(input=2479, output=1)), UsageUpdate(Usage(output=50))])
    folding.feed([UsageUpdate(Usage(reasoning=20), final=True)])

    assert folding.usage == Usage(input=2479, output=50, reasoning=20)


def test_usage_of_a_failed_stream_is_known() -> None:
    # D93
    folding = Folding()
    folding.feed([*BEGUN, UsageUpdate(Usage(input=3)), Fail(FAILURE)])

    assert folding.failure is FAILURE
    assert folding.response() is None
    assert folding.usage == Usage(input=3)


def test_sections_stand_between_their_texts() -> None:
    events = list(unfold(response(Reasoning(text="abc", sections=(0, 1)))))

    assert [event for event in events if isinstance(event, Delta | Section)] == [
        Delta(0, 0, "a"),
        Section(0, 0),
        Delta(0, 0, "bc"),
    ]


def test_probabilities_are_said_once() -> None:
    whole = response(Text(text="a"), Text(text="b"), logprobs=LOGPROBS)

    assert whole == fold(unfold(whole))
