"""H44: answers that come in several pieces are one answer to a Chat client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest

from modelserver.clock import settle
from modelserver.config import Config
from modelserver.errors import UpstreamFailed
from modelserver.gateway.continuation import JoiningDecoder
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
from modelserver.ir.grammar import Validator
from modelserver.ir.parts import Finish, FinishReason, Part, Text, ToolCall
from modelserver.ir.usage import Usage
from tests.support.scripted import (
    SILENCE,
    Answer,
    Pause,
    Scripted,
    at_work,
    config,
    failing,
    refusal,
    stream,
    whole,
)

SETTINGS = 'retries = 0\nkeepalive = "2s"\ntimeout = { first = "10s", whole = "10s", idle = "20s", total = "60s" }'
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "x"}}
FOUND = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
BROKEN = UpstreamFailed("The provider closed the connection.", code="upstream_error")


ANTHROPIC = config(defaults=SETTINGS, provider='speaks = ["anthropic"]')
GEMINI = config(defaults=SETTINGS, provider='speaks = ["gemini"]')


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def message(*blocks: Mapping[str, Any], stop: str = "end_turn", used: tuple[int, int] = (10, 1)) -> dict[str, Any]:
    """A whole answer of Anthropic."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5",
        "content": list(blocks),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": used[0], "output_tokens": used[1]},
    }


def as_stream(answer: Mapping[str, Any]) -> bytes:
    """The same as events."""
    usage = answer["usage"]
    begun = {**answer, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 0}}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
    for index, block in enumerate(answer["content"]):
        is_text = block["type"] == "text"
        first = {**block, "text": ""} if is_text else block
        events.append({"type": "content_block_start", "index": index, "content_block": first})
        if is_text:
            delta = {"type": "text_delta", "text": block["text"]}
            events.append({"type": "content_block_delta", "index": index, "delta": delta})
        events.append({"type": "content_block_stop", "index": index})
    events.append({"type": "message_delta", "delta": {"stop_reason": answer["stop_reason"]}, "usage": usage})
    events.append({"type": "message_stop"})
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


PAUSED = message(SEARCH, FOUND, text("Part"), stop="pause_turn", used=(900, 50))
LAST = message(text(" two"), used=(1000, 20))


def candidate(
    *parts: Mapping[str, Any], finish: str, used: tuple[int, int], token: str | None = None
) -> dict[str, Any]:
    """A whole answer of Gemini, also the only chunk of a stream."""
    ended = {"finishReason": finish, **({"continuationToken": token} if token else {})}
    return {
        "candidates": [{"content": {"role": "model", "parts": list(parts)}, "index": 0, **ended}],
        "usageMetadata": {"promptTokenCount": used[0], "candidatesTokenCount": used[1]},
        "modelVersion": "gemini-3.1-pro-preview",
        "responseId": "r1",
    }


CUT = candidate({"text": "Part"}, finish="CONTINUATION", used=(900, 50), token="dG9rZW4=")
REST = candidate({"text": " two"}, finish="STOP", used=(1000, 20))


def sse(answer: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(answer)}\r\n\r\n".encode()


def given(answer: Mapping[str, Any], *, streamed: bool) -> Answer:
    if not streamed:
        return whole(json.dumps(answer).encode())
    return stream(as_stream(answer) if "content" in answer else sse(answer))


def read(body: bytes) -> tuple[str, str | None, tuple[int, int] | None]:
    """What a Chat client gets: text, finish and usage, whole or streamed."""
    if body.startswith(b"{"):
        answer = json.loads(body)
        (choice,) = answer["choices"]
        usage = answer["usage"]
        return choice["message"]["content"], choice["finish_reason"], _tokens(usage)
    said, finish, tokens = "", None, None
    assert body.endswith(b"data: [DONE]\n\n"), body[-300:]
    for frame in body.split(b"\n\n"):
        if not frame.startswith(b"data: {"):
            continue
        chunk = json.loads(frame[6:])
        for choice in chunk["choices"]:
            said += choice["delta"].get("content") or ""
            finish = choice["finish_reason"] or finish
        tokens = _tokens(chunk["usage"]) if chunk.get("usage") else tokens
    return said, finish, tokens


def _tokens(usage: Mapping[str, Any]) -> tuple[int, int]:
    return usage["prompt_tokens"], usage["completion_tokens"]


def bodies(transport: Scripted) -> list[dict[str, Any]]:
    return [json.loads(request.body) for request in transport.requests]


WAYS = [pytest.param(False, id="whole"), pytest.param(True, id="streamed")]
ASKS_USAGE = {"stream_options": {"include_usage": True}}


async def answer_to(
    setting: Config, answers: Sequence[Answer], *, streamed: bool, **body: Any
) -> tuple[bytes, Scripted]:
    transport = Scripted(*answers)
    asked = {**body, "stream": True, **ASKS_USAGE} if streamed else body
    async with at_work(setting, transport) as work:
        caller = work.call(**asked)
        return await caller.body(), transport


@pytest.mark.parametrize("streamed", WAYS)
async def test_a_pause_of_anthropic_is_continued(streamed: bool) -> None:
    answers = [given(each, streamed=streamed) for each in (PAUSED, LAST)]

    body, transport = await answer_to(ANTHROPIC, answers, streamed=streamed)

    assert read(body) == ("Part two", "stop", (1900, 70))
    first, second = bodies(transport)
    assert second == {
        **first,
        "messages": [*first["messages"], {"role": "assistant", "content": [SEARCH, FOUND, text("Part")]}],
    }
    assert transport.requests[0].url == transport.requests[1].url


@pytest.mark.parametrize("streamed", WAYS)
async def test_a_cut_of_gemini_is_continued_by_its_token(streamed: bool) -> None:
    answers = [given(each, streamed=streamed) for each in (CUT, REST)]

    body, transport = await answer_to(GEMINI, answers, streamed=streamed)

    assert read(body) == ("Part two", "stop", (1900, 70))
    first, second = bodies(transport)
    assert second == {**first, "continuationToken": "dG9rZW4="}


MOST = [
    pytest.param(ANTHROPIC, PAUSED, 5, "stop", id="Anthropic: five times"),
    pytest.param(GEMINI, CUT, 8, "length", id="Gemini: eight times"),
]


@pytest.mark.parametrize("streamed", WAYS)
@pytest.mark.parametrize(("setting", "answer", "most", "finish"), MOST)
async def test_it_goes_on_so_often(
    setting: Config, answer: Mapping[str, Any], most: int, finish: str, streamed: bool
) -> None:
    body, transport = await answer_to(setting, [given(answer, streamed=streamed)], streamed=streamed)

    assert transport.sends == 1 + most
    assert read(body) == ("Part" * (1 + most), finish, (900 * (1 + most), 50 * (1 + most)))


CALL = {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}]
ENDS: list[Any] = [
    pytest.param(GEMINI, candidate({"text": "Part"}, finish="CONTINUATION", used=(9, 5)), {}, id="no token"),
    pytest.param(GEMINI, CUT, {"max_tokens": 50}, id="the budget is spent"),
    pytest.param(ANTHROPIC, message(stop="pause_turn"), {}, id="nothing was said"),
    pytest.param(ANTHROPIC, message(CALL, stop="pause_turn"), {"tools": TOOLS}, id="the client has a call to answer"),
]


@pytest.mark.parametrize("streamed", WAYS)
@pytest.mark.parametrize(("setting", "answer", "body"), ENDS)
async def test_it_does_not_go_on(
    setting: Config, answer: Mapping[str, Any], body: Mapping[str, Any], streamed: bool
) -> None:
    got, transport = await answer_to(setting, [given(answer, streamed=streamed)], streamed=streamed, **body)

    assert transport.sends == 1
    assert got


async def test_calls_of_an_earlier_piece_are_what_it_ends_for() -> None:
    called = candidate({"functionCall": {"name": "f", "args": {}}}, finish="CONTINUATION", used=(9, 5), token="t")
    answers = [given(each, streamed=False) for each in (called, REST)]

    body, _ = await answer_to(GEMINI, answers, streamed=False, tools=TOOLS)

    assert json.loads(body)["choices"][0]["finish_reason"] == "tool_calls"


FAILURES = [
    pytest.param(refusal(529), id="refused"),
    pytest.param(failing(BROKEN), id="not reached"),
    pytest.param(stream(as_stream(LAST)[:-150], BROKEN), id="cut"),
    pytest.param(stream(), id="empty"),
    pytest.param(
        stream(b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"no"}}\n\n'),
        id="an error",
    ),
]


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_failure_after_bytes_is_an_error_event(failure: Answer) -> None:
    transport = Scripted(given(PAUSED, streamed=True), failure)
    async with at_work(ANTHROPIC, transport) as work:
        caller = work.call(stream=True)
        body = await caller.body()

    assert b"Part" in body
    assert b'"error"' in body
    assert b"[DONE]" not in body
    assert caller.call.error is not None
    assert caller.call.attempts == 1
    assert transport.sends == 2


async def test_a_whole_answer_whose_rest_fails_is_tried_again_from_there() -> None:
    transport = Scripted(*(given(PAUSED, streamed=False), refusal(529), given(LAST, streamed=False)))
    setting = config(defaults=SETTINGS.replace("retries = 0", "retries = 1"), provider='speaks = ["anthropic"]')
    async with at_work(setting, transport) as work:
        caller = await work.begin()
        await work.over([caller], within_s=5)

    assert read(caller.got) == ("Part two", "stop", (1900, 70))
    assert caller.call.attempts == 2
    assert bodies(transport)[1] == bodies(transport)[2]


async def test_keep_alives_flow_while_the_rest_is_asked_for() -> None:
    last = Answer(before=[Pause(5)], pieces=[as_stream(LAST)])
    transport = Scripted(given(PAUSED, streamed=True), last)
    async with at_work(ANTHROPIC, transport) as work:
        caller = await work.begin(stream=True)
        await work.over([caller], within_s=10)

    assert read(caller.got)[:2] == ("Part two", "stop")
    assert caller.got.count(b": ping") + caller.got.count(b": keep") >= 2
    assert transport.sends == 2


async def test_the_total_timeout_spans_all_pieces() -> None:
    slow = Answer(pieces=[Pause(18), as_stream(PAUSED)])
    transport = Scripted(given(PAUSED, streamed=True), slow)
    async with at_work(ANTHROPIC, transport) as work:
        caller = await work.begin(stream=True)
        await work.over([caller], within_s=61)

    assert b"upstream_timeout" in caller.got
    assert transport.sends < 6


@pytest.mark.parametrize(
    "last", [pytest.param(Answer(before=[SILENCE]), id="no head"), pytest.param(stream(SILENCE), id="no byte")]
)
async def test_a_client_that_leaves_ends_the_continuation(last: Answer) -> None:
    transport = Scripted(given(PAUSED, streamed=True), last)
    async with at_work(ANTHROPIC, transport) as work:
        caller = await work.begin(stream=True)
        assert b"Part" in caller.got
        assert transport.sends == 2
        caller.task.cancel()
        await asyncio.wait([caller.task])
        await settle()
        assert transport.open == 0


async def test_the_usage_of_all_pieces_is_logged() -> None:
    transport = Scripted(given(PAUSED, streamed=True), given(LAST, streamed=True))
    async with at_work(ANTHROPIC, transport) as work:
        caller = work.call(stream=True)
        await caller.body()

    assert caller.call.usage is not None
    assert (caller.call.usage.input, caller.call.usage.output) == (1900, 70)


class Played:
    """A decoder that gives what it was told to, one list for each feed."""

    def __init__(self, *lists: list[StreamEvent]) -> None:
        self._lists = list(lists)

    def feed(self, data: bytes) -> list[StreamEvent]:
        return self._lists.pop(0)

    def close(self) -> list[StreamEvent]:
        return []


def piece(part: Part, finish: FinishReason, usage: Usage) -> list[StreamEvent]:
    empty = Text(text="") if isinstance(part, Text) else part
    deltas: list[StreamEvent] = [Delta(0, 0, part.text)] if isinstance(part, Text) else []
    return [
        Start("id", "m", 0, Usage(input=usage.input)),
        BlockStart(0, 0, empty),
        *deltas,
        BlockEnd(0, 0, part),
        UsageUpdate(usage, final=True),
        FinishEvent(0, Finish(reason=finish)),
        End(),
    ]


def joined(*pieces: list[StreamEvent]) -> list[StreamEvent]:
    """The events of the pieces, each fed one by one: all but the last are paused after."""
    left = iter(Played(*([event] for event in events[:-3]), events[-3:]) for events in pieces)
    more = iter([*(True for _ in pieces[1:]), False])
    decoder = JoiningDecoder(lambda: next(left), lambda finish, parts, usage: next(more))
    events: list[StreamEvent] = []
    for number, each in enumerate(pieces):
        if number:
            assert decoder.is_paused
            decoder.resume()
        for _ in range(len(each) - 2):
            events += decoder.feed(b"")
    assert not decoder.is_paused
    return events


PIECES: Iterable[list[StreamEvent]] = (
    piece(Text(text="a"), FinishReason.PAUSE, Usage(input=1, output=2)),
    piece(ToolCall(id="c", name="f", arguments=""), FinishReason.PAUSE, Usage(input=10, output=20)),
    piece(Text(text="b"), FinishReason.STOP, Usage(input=100, output=200)),
)


def test_the_joined_events_are_one_legal_stream() -> None:
    events = joined(*PIECES)

    validator = Validator()
    validator.check(events)
    assert validator.is_done
    assert [event.block for event in events if isinstance(event, BlockEnd)] == [0, 1, 2]
    usages = [event for event in events if isinstance(event, UsageUpdate)]
    assert (usages[-1].usage, usages[-1].final) == (Usage(input=111, output=222), True)
    assert events[-2] == FinishEvent(0, Finish(reason=FinishReason.TOOL_CALLS))
