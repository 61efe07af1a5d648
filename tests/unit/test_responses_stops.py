"""Stop strings enforced by the gateway (H13)."""

from __future__ import annotations

import pytest

from modelserver.dialects.stops import StopFilter
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Delta,
    End,
    FinishEvent,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.fold import fold
from modelserver.ir.grammar import Validator
from modelserver.ir.parts import Finish, FinishReason, Response, Text, TokenLogprob, ToolCall
from modelserver.ir.usage import Usage


def answer(*pieces: str, before: tuple[StreamEvent, ...] = ()) -> list[StreamEvent]:
    block = sum(isinstance(event, BlockEnd) for event in before)
    return [
        Start("r", "m", 1),
        *before,
        BlockStart(0, block, Text(text="")),
        *(Delta(0, block, piece) for piece in pieces),
        BlockEnd(0, block, Text(text="".join(pieces))),
        UsageUpdate(Usage(input=1, output=2), final=True),
        FinishEvent(0, Finish(reason=FinishReason.STOP)),
        End(),
    ]


def filtered(stops: tuple[str, ...], events: list[StreamEvent]) -> list[StreamEvent]:
    """What is shown, fed one by one."""
    stopping = StopFilter(stops)
    shown = [one for event in events for one in stopping.feed([event])]
    validator = Validator()
    validator.check(shown)
    assert validator.is_done
    assert stopping.done
    return shown


def text_of(events: list[StreamEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, Delta))


CASES = [
    pytest.param(("END",), ("one E", "ND two"), "one ", "END", id="D42 a stop string cut in two is never shown"),
    pytest.param(("END",), ("one E", "NX two"), "one ENX two", None, id="what only looked like one is shown"),
    pytest.param(("END",), ("one EN",), "one EN", None, id="what is held at the end is shown"),
    pytest.param(("END",), ("ENDall",), "", "END", id="a stop string at the very beginning leaves no block"),
    pytest.param(("aab",), ("aa", "ab", "c"), "a", "aab", id="a failed beginning may hold the true one"),
    pytest.param(("b", "abc"), ("xabc",), "xa", "b", id="the string that is complete first counts"),
    pytest.param(("c", "abc"), ("xabc",), "x", "abc", id="of two that end together the longer counts"),
    pytest.param(("\n\n",), ("a\n", "b\n", "\nc"), "a\nb", "\n\n", id="blank lines stop"),
    pytest.param(("",), ("abc",), "abc", None, id="an empty string stops nothing"),
    pytest.param(("a", "b", "c", "d", "e", "f"), ("xyzf",), "xyz", "f", id="any number of strings is enforced"),
]


@pytest.mark.parametrize(("stops", "pieces", "shown", "stop"), CASES)
def test_text_ends_at_a_stop_string(stops: tuple[str, ...], pieces: tuple[str, ...], shown: str, stop: str) -> None:
    events = filtered(stops, answer(*pieces))
    finish = next(event.finish for event in events if isinstance(event, FinishEvent))

    assert shown == text_of(events)
    assert stop == finish.stop_sequence
    assert (FinishReason.STOP if stop is None else FinishReason.STOP_SEQUENCE) is finish.reason


@pytest.mark.parametrize(("stops", "pieces", "shown", "stop"), CASES)
def test_the_cut_of_the_text_does_not_matter(
    stops: tuple[str, ...], pieces: tuple[str, ...], shown: str, stop: str
) -> None:
    whole = filtered(stops, answer("".join(pieces)))
    letters = filtered(stops, answer(*"".join(pieces)))

    assert shown == text_of(whole) == text_of(letters)


def test_at_most_the_longest_string_less_one_is_held() -> None:
    stopping = StopFilter(("STOP!",))
    stopping.feed([Start("r", "m", 1), BlockStart(0, 0, Text(text=""))])

    assert "abSTOP"[:2] == text_of(stopping.feed([Delta(0, 0, "abSTOP")]))


def test_a_call_before_the_stop_string_is_what_the_answer_ended_for() -> None:
    call = ToolCall(id="c", name="f", arguments="{}")
    before = (
        BlockStart(0, 0, ToolCall(id="c", name="f", arguments="")),
        Delta(0, 0, "{}"),
        BlockEnd(0, 0, call),
    )
    response = fold(filtered(("END",), answer("xEND", before=before)))

    assert isinstance(response, Response)
    assert (call, Text(text="x")) == response.choices[0].parts
    assert response.choices[0].finish.reason is FinishReason.TOOL_CALLS


def test_log_probabilities_go_with_their_text() -> None:
    tokens = [TokenLogprob(token=token, logprob=-1.0) for token in ("one", " E", "ND")]
    events: list[StreamEvent] = [
        Start("r", "m", 1),
        BlockStart(0, 0, Text(text="")),
        *(Delta(0, 0, token.token, (token,)) for token in tokens),
    ]
    shown = filtered(("END",), events)

    assert text_of(shown) == "one "
    assert tokens[:1] == [token for event in shown if isinstance(event, Delta) for token in event.logprobs]
