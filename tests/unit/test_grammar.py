from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import pytest

from modelserver.errors import UpstreamFailed
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Cite,
    Delta,
    End,
    Fail,
    FinishEvent,
    Ping,
    SealEvent,
    Section,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.grammar import TRANSITIONS, IllegalEvent, State, Validator
from modelserver.ir.parts import (
    Audio,
    Citation,
    Finish,
    FinishReason,
    Inline,
    Opaque,
    Reasoning,
    Seal,
    Text,
    TokenLogprob,
    ToolCall,
)
from modelserver.ir.usage import Usage

START = Start("r", "m", 0)
END = End()
PING = Ping()
FAIL = Fail(UpstreamFailed("The upstream closed the stream early."))
USAGE = UsageUpdate(Usage(input=1))
FINAL = UsageUpdate(Usage(input=1, output=2), final=True)
STOP = FinishEvent(0, Finish(reason=FinishReason.STOP))
STOP_1 = FinishEvent(1, Finish(reason=FinishReason.STOP))
CALL = ToolCall(id="c", name="f", arguments="")
OPEN = BlockStart(0, 0, Text(text=""))


def said(*texts: str, block: int = 0, choice: int = 0) -> list[StreamEvent]:
    """A text block that says the texts in one delta each."""
    return [
        BlockStart(choice, block, Text(text="")),
        *(Delta(choice, block, text) for text in texts),
        BlockEnd(choice, block, Text(text="".join(texts))),
    ]


LEGAL = [
    pytest.param([START, *said("a", "b"), STOP, END], id="text"),
    pytest.param([PING, START, PING, *said("a"), PING, STOP, PING, END], id="pings anywhere"),
    pytest.param([START, STOP, END], id="no parts"),
    pytest.param([START, *said("a"), *said("b", block=1), STOP, END], id="two blocks"),
    pytest.param(
        [
            START,
            BlockStart(0, 0, Reasoning()),
            Delta(0, 0, "a"),
            Section(0, 0),
            Delta(0, 0, "b"),
            SealEvent(0, 0, Seal(kind="signature", payload="x")),
            BlockEnd(0, 0, Reasoning(text="ab", sections=(0, 1))),
            STOP,
            END,
        ],
        id="sealed reasoning in sections",
    ),
    pytest.param(
        [
            START,
            BlockStart(0, 0, Reasoning(form="hidden")),
            SealEvent(0, 0, Seal(kind="redacted", payload="x")),
            BlockEnd(0, 0, Reasoning(form="hidden")),
            STOP,
            END,
        ],
        id="nothing but a seal",
    ),
    pytest.param(
        [
            START,
            BlockStart(0, 0, CALL),
            Delta(0, 0, "{}"),
            BlockEnd(0, 0, ToolCall(id="c", name="f", arguments="{}")),
            STOP,
            END,
        ],
        id="a call",
    ),
    pytest.param(
        [START, OPEN, Delta(0, 0, "a"), Cite(0, 0, Citation(kind="url")), BlockEnd(0, 0, Text(text="a")), STOP, END],
        id="a citation",
    ),
    pytest.param(
        [
            START,
            BlockStart(0, 0, Audio(source=None)),
            Delta(0, 0, "UklGR"),
            BlockEnd(0, 0, Audio(source=Inline(media_type="audio/wav", b64="UklGR"))),
            STOP,
            END,
        ],
        id="sound",
    ),
    pytest.param(
        [
            START,
            BlockStart(0, 0, Opaque(dialect="anthropic", type="t", raw={})),
            BlockEnd(0, 0, Opaque(dialect="anthropic", type="t", raw={"a": 1})),
            STOP,
            END,
        ],
        id="an opaque part",
    ),
    pytest.param(
        [START, OPEN, *said("b", choice=1), BlockEnd(0, 0, Text(text="")), STOP, STOP_1, END], id="two choices"
    ),
    pytest.param(
        [START, USAGE, OPEN, USAGE, BlockEnd(0, 0, Text(text="")), USAGE, STOP, FINAL, END], id="usage anywhere"
    ),
    pytest.param(
        [
            START,
            OPEN,
            Delta(0, 0, "", (TokenLogprob(token="a", logprob=-0.1),)),
            BlockEnd(0, 0, Text(text="")),
            STOP,
            END,
        ],
        id="probabilities without text",
    ),
    pytest.param([FAIL], id="a failure at once"),
    pytest.param([START, OPEN, Delta(0, 0, "a"), FAIL], id="a failure inside a block"),
    pytest.param([START, STOP, FAIL], id="a failure after the finish"),
]


@pytest.mark.parametrize("events", LEGAL)
def test_a_legal_stream_passes(events: Sequence[StreamEvent]) -> None:
    # D8
    validator = Validator()
    for event in events:
        assert not validator.is_done
        validator.check([event])

    assert validator.is_done


ILLEGAL = [
    pytest.param([OPEN], "BlockStart while the stream is idle", id="no start"),
    pytest.param([START, START], "Start while open", id="two starts"),
    pytest.param([END], "End while idle", id="an end without start"),
    pytest.param([START, END], "End while open", id="an end without a finish"),
    pytest.param([START, STOP, *said("a", choice=1), END], r"unfinished choices \[1\]", id="a choice unfinished"),
    pytest.param([START, STOP, END, PING], "Ping while done", id="something after the end"),
    pytest.param([FAIL, END], "End while done", id="an end after a failure"),
    pytest.param([START, STOP, END, OPEN], "BlockStart while the stream is done", id="a block after the end"),
    pytest.param([START, STOP, OPEN], "BlockStart while choice 0 is finished", id="a block after the finish"),
    pytest.param([START, STOP, STOP], "FinishEvent while choice 0 is finished", id="two finishes"),
    pytest.param([START, OPEN, STOP], "FinishEvent while choice 0 is in_block", id="a finish inside a block"),
    pytest.param(
        [START, OPEN, BlockStart(0, 1, CALL)], "BlockStart while choice 0 is in_block", id="interleaved blocks"
    ),
    pytest.param([START, Delta(0, 0, "a")], "Delta while choice 0 is open", id="a delta outside a block"),
    pytest.param([START, BlockStart(0, 1, CALL)], "block 1 where 0 is due", id="blocks count from 0"),
    pytest.param([START, OPEN, Delta(0, 1, "a")], "block 1 where 0 is due", id="a delta of another block"),
    pytest.param([START, OPEN, Delta(0, 0, "")], "an empty delta", id="an empty delta"),
    pytest.param(
        [START, OPEN, Delta(0, 0, "a"), BlockEnd(0, 0, Text(text="b"))], "the deltas say 'a'", id="another text"
    ),
    pytest.param(
        [START, BlockStart(0, 0, ToolCall(id="", name="f", arguments=""))], "without id", id="a call without id"
    ),
    pytest.param(
        [START, BlockStart(0, 0, ToolCall(id="c", name="", arguments=""))], "or name", id="a call without name"
    ),
    pytest.param([START, FINAL, FINAL], "a second final usage", id="two final usages"),
]


@pytest.mark.parametrize(("events", "complaint"), ILLEGAL)
def test_an_illegal_event_is_named(events: Sequence[StreamEvent], complaint: str) -> None:
    # D8
    validator = Validator()
    validator.check(events[:-1])

    with pytest.raises(IllegalEvent, match=complaint):
        validator.check(events[-1:])


def test_every_event_may_stand_somewhere() -> None:
    allowed = {event for following in TRANSITIONS.values() for event in following}

    assert allowed == set(get_args(StreamEvent))
    assert set(State) == TRANSITIONS.keys()
