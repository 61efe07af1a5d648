"""Streams of the Messages API, read: whole, byte by byte and cut at random."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from modelserver.dialects.anthropic.stream import AnthropicStreamDecoder
from modelserver.dialects.codec import Reading, WireTool
from modelserver.dialects.names import mint_id
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Cite,
    Delta,
    End,
    FinishEvent,
    Ping,
    SealEvent,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.grammar import Validator
from modelserver.ir.parts import (
    Citation,
    Finish,
    FinishReason,
    Opaque,
    Reasoning,
    Refusal,
    Seal,
    Text,
    ToolCall,
)
from modelserver.ir.usage import Usage
from tests.support.anthropic import (
    ORIGIN,
    PING,
    STOP,
    TEXT,
    argued,
    begin,
    chat,
    delta,
    frames,
    opened,
    over,
    profile,
    said,
    stopped,
)
from tests.support.feeding import feed_every_way

READING = Reading(
    request=chat(),
    profile=profile(),
    tools={
        "crm__find": WireTool(name="find", namespace="crm"),
        "apply_patch": WireTool(name="apply_patch", kind="custom"),
    },
    json_tool="json",
)


EARLY, LATE = Usage(input=9, output=1), Usage(input=9, output=5)
START = Start("msg_1", "claude-y", 0, EARLY)


def finished(reason: FinishReason, raw: str | None, *, usage: Usage = LATE, **fields: Any) -> list[StreamEvent]:
    final = UsageUpdate(usage, final=True)
    return [UsageUpdate(usage), final, FinishEvent(0, Finish(reason=reason, raw=raw, **fields)), End()]


DONE = finished(FinishReason.STOP, "end_turn")
CALLED = finished(FinishReason.TOOL_CALLS, "tool_use")


def block(number: int, begins: Any, *events: StreamEvent, ends: Any) -> list[StreamEvent]:
    return [BlockStart(0, number, begins), *events, BlockEnd(0, number, ends)]


def thought(text: str = "", payload: str | None = None) -> Reasoning:
    seal = None if payload is None else Seal(kind="signature", payload=payload, origin=ORIGIN)
    return Reasoning(text=text, form="summary", seal=seal)


def signed(number: int, payload: str) -> SealEvent:
    return SealEvent(0, number, Seal(kind="signature", payload=payload, origin=ORIGIN))


LOOKUP = ToolCall(id="toolu_1", name="lookup", arguments="")
HELLO = block(0, Text(text=""), Delta(0, 0, "Hel"), Delta(0, 0, "lo"), ends=Text(text="Hello"))
PLACE = {"type": "web_search_result_location", "url": "https://e.example", "title": "E", "cited_text": "c"}
CITED = Citation(kind="url", url="https://e.example", title="E", cited_text="c", raw=PLACE)
PATCH = ToolCall(id="t", name="apply_patch", kind="custom", arguments="")
SEARCH = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}

STREAMS = [
    pytest.param(
        [begin(), PING, *TEXT, PING, over("end_turn"), STOP], [START, Ping(), *HELLO, Ping(), *DONE], id="text"
    ),
    pytest.param(
        [
            begin(),
            PING,
            opened(0, "thinking", thinking="", signature=""),
            delta(0, "thinking_delta", thinking="I"),
            delta(0, "thinking_delta", thinking=" look."),
            delta(0, "signature_delta", signature="EqQB"),
            stopped(0),
            opened(1, "tool_use", id="toolu_1", name="lookup", input={}),
            argued(1, ""),
            argued(1, '{"q":'),
            argued(1, '"tea"}'),
            stopped(1),
            over("tool_use"),
            STOP,
        ],
        [
            START,
            Ping(),
            *block(
                0,
                thought(),
                Delta(0, 0, "I"),
                Delta(0, 0, " look."),
                signed(0, "EqQB"),
                ends=thought("I look.", "EqQB"),
            ),
            *block(
                1,
                LOOKUP,
                Delta(0, 1, '{"q":'),
                Delta(0, 1, '"tea"}'),
                ends=attrs.evolve(LOOKUP, arguments='{"q":"tea"}'),
            ),
            *CALLED,
        ],
        id="thinking and a call",
    ),
    pytest.param(
        [
            begin(),
            opened(0, "thinking", thinking=""),
            delta(0, "thinking_delta", thinking=""),
            delta(0, "signature_delta", signature="Eq"),
            delta(0, "signature_delta", signature="EqQB"),
            stopped(0),
            opened(1, "text", text=""),
            said(1, "Hi"),
            stopped(1),
            over("end_turn"),
            STOP,
        ],
        [
            START,
            *block(0, thought(), signed(0, "EqQB"), ends=thought("", "EqQB")),
            *block(1, Text(text=""), Delta(0, 1, "Hi"), ends=Text(text="Hi")),
            *DONE,
        ],
        id="D52 omitted thinking is a seal only, the last one",
    ),
    pytest.param(
        [
            begin(),
            opened(0, "thinking", thinking=""),
            delta(0, "thinking_delta", thinking="hm"),
            stopped(0),
            over("end_turn"),
            STOP,
        ],
        [START, *block(0, thought(), Delta(0, 0, "hm"), signed(0, ""), ends=thought("hm", "")), *DONE],
        id="thinking that nobody signed says who thought",
    ),
    pytest.param(
        [begin(), opened(0, "redacted_thinking", data="EmwK"), stopped(0), over("end_turn"), STOP],
        [
            START,
            *block(
                0,
                Reasoning(form="hidden"),
                SealEvent(0, 0, Seal(kind="redacted", payload="EmwK", origin=ORIGIN)),
                ends=Reasoning(form="hidden", seal=Seal(kind="redacted", payload="EmwK", origin=ORIGIN)),
            ),
            *DONE,
        ],
        id="D49 redacted thinking",
    ),
    pytest.param(
        [
            begin(),
            opened(0, "text", text=""),
            stopped(0),
            opened(1, "text", text="all "),
            said(1, "here"),
            stopped(1),
            over("end_turn"),
            STOP,
        ],
        [
            START,
            *block(0, Text(text=""), Delta(0, 0, "all "), Delta(0, 0, "here"), ends=Text(text="all here")),
            *DONE,
        ],
        id="an empty block is none, and text may come in the start",
    ),
    pytest.param(
        [
            begin(),
            opened(0, "tool_use", id="toolu_1", name="lookup", input={"q": "tea"}),
            stopped(0),
            over("tool_use"),
            STOP,
        ],
        [
            START,
            *block(0, LOOKUP, Delta(0, 0, '{"q":"tea"}'), ends=attrs.evolve(LOOKUP, arguments='{"q":"tea"}')),
            *CALLED,
        ],
        id="input that is full in the start",
    ),
    pytest.param(
        [
            begin(),
            opened(0, "tool_use", id="toolu_1", name="lookup", input={}),
            argued(0, ""),
            stopped(0),
            over("end_turn"),
            STOP,
        ],
        [
            START,
            *block(0, LOOKUP, Delta(0, 0, "{}"), ends=attrs.evolve(LOOKUP, arguments="{}")),
            *finished(FinishReason.TOOL_CALLS, "end_turn"),
        ],
        id="a call without arguments, and F1",
    ),
    pytest.param(
        [
            begin(),
            opened(0, "tool_use", name="crm__find", input={}, caller={"type": "direct"}),
            argued(0, "{}"),
            stopped(0),
            over("tool_use"),
            STOP,
        ],
        [
            START,
            *block(
                0,
                found := ToolCall(
                    id=mint_id("msg_1", 0, 0),
                    name="find",
                    namespace="crm",
                    arguments="",
                    extra={"caller": {"type": "direct"}},
                ),
                Delta(0, 0, "{}"),
                ends=attrs.evolve(found, arguments="{}"),
            ),
            *CALLED,
        ],
        id="D23 D27 a call without id, its name is the client's",
    ),
    pytest.param(
        [
            begin(),
            opened(0, "tool_use", id="t", name="apply_patch", input={}),
            argued(0, '{"inp'),
            argued(0, 'ut":"*** Be'),
            argued(0, "gin\\"),
            argued(0, "nx \\ud83d"),
            argued(0, '\\ude00"}'),
            stopped(0),
            over("tool_use"),
            STOP,
        ],
        [
            START,
            *block(
                0,
                PATCH,
                Delta(0, 0, "*** Be"),
                Delta(0, 0, "gin"),
                Delta(0, 0, "\nx "),
                Delta(0, 0, "😀"),
                ends=attrs.evolve(PATCH, arguments="*** Begin\nx 😀"),
            ),
            *CALLED,
        ],
        id="D34 H10 free text is unwrapped as it comes",
    ),
    pytest.param(
        [
            begin(),
            opened(0, "tool_use", id="t", name="json", input={}),
            argued(0, '{"age"'),
            argued(0, ":3}"),
            stopped(0),
            over("tool_use"),
            STOP,
        ],
        [
            START,
            *block(0, Text(text=""), Delta(0, 0, '{"age"'), Delta(0, 0, ":3}"), ends=Text(text='{"age":3}')),
            *finished(FinishReason.STOP, "tool_use"),
        ],
        id="H16 the forced function's arguments are the answer",
    ),
    pytest.param(
        [
            begin(),
            opened(0, "text", text="", citations=[]),
            delta(0, "citations_delta", citation=PLACE),
            said(0, "c"),
            stopped(0),
            over("end_turn"),
            STOP,
        ],
        [
            START,
            *block(0, Text(text=""), Cite(0, 0, CITED), Delta(0, 0, "c"), ends=Text(text="c", citations=(CITED,))),
            *DONE,
        ],
        id="H26 a citation",
    ),
    pytest.param(
        [
            begin(),
            opened(0, "server_tool_use", id="s", name="web_search", input={}),
            argued(0, '{"query":'),
            argued(0, '"x"}'),
            stopped(0),
            opened(1, "compaction", content=None),
            delta(1, "compaction_delta", content="short"),
            stopped(1),
            opened(2, "news", text="", n=1),
            delta(2, "news_delta", item=3),
            stopped(2),
            over("pause_turn"),
            STOP,
        ],
        [
            START,
            *block(
                0,
                Opaque(dialect="anthropic", type="server_tool_use", raw=SEARCH),
                ends=Opaque(dialect="anthropic", type="server_tool_use", raw={**SEARCH, "input": {"query": "x"}}),
            ),
            *block(
                1,
                Opaque(dialect="anthropic", type="compaction", raw={"type": "compaction", "content": None}),
                ends=Opaque(dialect="anthropic", type="compaction", raw={"type": "compaction", "content": "short"}),
            ),
            *block(
                2,
                Opaque(dialect="anthropic", type="news", raw={"type": "news", "text": "", "n": 1}),
                ends=Opaque(dialect="anthropic", type="news", raw={"type": "news", "text": "", "n": 1}),
            ),
            *finished(FinishReason.PAUSE, "pause_turn"),
        ],
        id="H27 blocks that only this API knows",
    ),
    pytest.param(
        [
            begin(),
            over("refusal", stop_details={"type": "refusal", "category": "cyber", "explanation": "Declined."}),
            STOP,
        ],
        [
            START,
            UsageUpdate(LATE),
            *block(0, Refusal(text=""), Delta(0, 0, "Declined."), ends=Refusal(text="Declined.")),
            UsageUpdate(LATE, final=True),
            FinishEvent(0, Finish(reason=FinishReason.REFUSAL, detail="Declined.", raw="refusal")),
            End(),
        ],
        id="H25 a refusal without text is its explanation",
    ),
    pytest.param(
        [begin(), *TEXT, over("stop_sequence", stop_sequence="END"), STOP],
        [START, *HELLO, *finished(FinishReason.STOP_SEQUENCE, "stop_sequence", stop_sequence="END")],
        id="a stop sequence",
    ),
    pytest.param(
        [
            begin({"input_tokens": 2479, "output_tokens": 1}),
            *TEXT,
            over("end_turn", {"output_tokens": 3}),
            over(None, {"input_tokens": 404_500, "output_tokens": 943, "cache_read_input_tokens": None}),
            STOP,
        ],
        [
            Start("msg_1", "claude-y", 0, Usage(input=2479, output=1)),
            *HELLO,
            UsageUpdate(Usage(input=2479, output=3)),
            UsageUpdate(Usage(input=404_500, output=943)),
            UsageUpdate(Usage(input=404_500, output=943), final=True),
            FinishEvent(0, Finish(reason=FinishReason.STOP, raw="end_turn")),
            End(),
        ],
        id="D60 D89 usage is merged, and comes more than once",
    ),
    pytest.param(
        [begin(), *TEXT, over("end_turn")],
        [START, *HELLO, *DONE],
        id="the end without message_stop",
    ),
    pytest.param(
        [begin(), TEXT[0], said(0, "Hello"), over(None), STOP],
        [
            START,
            UsageUpdate(LATE),
            *block(0, Text(text=""), Delta(0, 0, "Hello"), ends=Text(text="Hello")),
            UsageUpdate(LATE, final=True),
            FinishEvent(0, Finish(reason=FinishReason.OTHER)),
            End(),
        ],
        id="a server that leaves out the stop and the reason",
    ),
]


@pytest.mark.parametrize(("events", "expected"), STREAMS)
def test_a_stream_is_read(events: list[dict[str, Any]], expected: list[StreamEvent]) -> None:
    actual = feed_every_way(lambda: AnthropicStreamDecoder(READING), frames(*events))

    assert _moved(expected) == _moved(actual)
    Validator().check(actual)


def _moved(events: list[StreamEvent]) -> list[StreamEvent]:
    """The events without the usage that may come before a block's end; the cases say it where it comes."""
    return [event for event in events if not (isinstance(event, UsageUpdate) and not event.final)]
