"""Whatever providers say and clients do, a call ends in time and leaves nothing behind."""

from __future__ import annotations

import asyncio
from typing import Any

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelserver.clock import settle
from modelserver.errors import ClientLeft, GatewayError, UpstreamConnectTimeout, UpstreamFailed
from tests.support.scripted import (
    DONE,
    FINISH,
    MORE,
    PING,
    ROLE,
    SILENCE,
    TEXT,
    USAGE,
    WHOLE,
    Answer,
    Caller,
    Pause,
    Scripted,
    Work,
    at_work,
    config,
    frame,
)

RETRIES = 2
TOTAL_S = 6.0
SLACK_S = 1.5
"""A sweep, and the second that ended calls are given."""

TIMES = f"""
retries = {RETRIES}
keepalive = "900ms"
timeout = {{ connect = "1s", first = "2s", whole = "3s", idle = "1500ms", total = "{TOTAL_S}s" }}
"""
OPTIONS = {"include_usage": True}
ENDS = (b"\n", b"\n\n")
REPLAYED = b'"chat.completion.chunk"'
"""A JSON answer that was turned into a stream has it, what is scripted here has not."""
CONTENT_TYPES = ("text/event-stream", "application/json", "text/html", None)

pieces = st.sampled_from(
    (
        ROLE,
        TEXT,
        MORE,
        FINISH,
        USAGE,
        DONE,
        PING,
        TEXT[:20],
        TEXT[20:],
        WHOLE,
        WHOLE[:30],
        b"data: {nonsense\n\n",
        b"<html>\n\n",
        frame({"error": {"message": "no", "code": 503}}),
        frame({"error": {"message": "no", "code": 400}}),
    )
)
pauses = st.sampled_from((0.3, 0.9, 1.4, 2.5)).map(Pause)
breaks = st.sampled_from(
    (
        UpstreamFailed("broken", code="upstream_error"),
        UpstreamFailed("unreachable", code="upstream_unreachable"),
        UpstreamConnectTimeout("slow"),
    )
)
good = st.just((ROLE, TEXT, MORE, FINISH, USAGE, DONE)) | st.just((ROLE + TEXT, Pause(0.5), FINISH + DONE))
answers = st.builds(
    Answer,
    status=st.sampled_from((200, 200, 200, 200, 500, 429, 400, 401, 302)),
    before=st.lists(pauses | breaks | st.just(SILENCE), max_size=1),
    pieces=good | st.lists(pieces | pauses | breaks | st.just(SILENCE), max_size=7),
    content_type=st.sampled_from(CONTENT_TYPES) | st.just(CONTENT_TYPES[0]),
    headers=st.sampled_from(({}, {"Retry-After": "1"}, {"x-should-retry": "false"})),
)


@attrs.frozen
class Move:
    """Time passes (and `turns` of the loop, to come between any two steps), then something happens to a call."""

    seconds: float
    turns: int
    what: str
    whom: int


moves = st.builds(
    Move,
    seconds=st.sampled_from((0.0, 0.0, 0.25, 0.3, 0.9, 1.5, 2.1)),
    turns=st.integers(0, 12),
    what=st.sampled_from(("cancel", "cancel twice", "leave", "drain", "reload", "call")),
    whom=st.integers(0, 3),
)
worlds = st.fixed_dictionaries(
    {
        "scripts": st.lists(answers, min_size=1, max_size=4),
        "streamed": st.lists(st.booleans(), min_size=1, max_size=4),
        "early": st.sampled_from(("", 'early_commit = "0s"', 'early_commit = "500ms"')),
        "places": st.sampled_from(("", "concurrency = 1", "concurrency = 1\nqueue = 1", "concurrency = 2")),
        "slow": st.booleans(),
        "moves": st.lists(moves, max_size=5),
    }
)


@attrs.frozen
class World:
    """Calls at work, and those of their clients that have left."""

    work: Work
    slow: bool
    left: set[int] = attrs.field(factory=set)
    drains: list[asyncio.Task[None]] = attrs.field(factory=list)

    def call(self, streamed: bool) -> None:
        number = len(self.work.callers)
        self.work.call(
            stream=streamed,
            stream_options=OPTIONS if streamed else None,
            has_left=lambda: number in self.left,
            consume=self._take_time if self.slow else None,
        )

    async def make(self, move: Move) -> None:
        for _ in range(move.turns):
            await asyncio.sleep(0)
        if move.seconds:
            await self.work.clock.advance(move.seconds)
        whom = move.whom % len(self.work.callers)
        task = self.work.callers[whom].task
        match move.what:
            case "cancel":
                task.cancel()
            case "cancel twice":
                task.cancel()
                await asyncio.sleep(0)
                task.cancel()
            case "leave":
                self.left.add(whom)
            case "drain":
                self.drains.append(asyncio.create_task(self.work.gateway.end_calls(move.turns / 4)))
            case "reload":
                await self.work.gateway.reload()
            case "call":
                self.call(streamed=move.turns % 2 == 0)

    async def _take_time(self, _: bytes) -> None:
        await self.work.clock.sleep(0.2)


async def live(world: dict[str, Any]) -> Scripted:
    transport = Scripted(*world["scripts"])
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    before = config(defaults=f"{TIMES}{world['early']}", provider=world["places"])
    after = config(defaults=TIMES, provider="concurrency = 2")
    async with at_work(before, transport, load=lambda: after) as work:
        tasks = asyncio.all_tasks()
        living = World(work, world["slow"])
        for streamed in world["streamed"]:
            living.call(streamed)
        for move in world["moves"]:
            await living.make(move)
        waits = len(work.callers) * (TOTAL_S + SLACK_S) if world["slow"] else TOTAL_S + SLACK_S
        await work.over(work.callers, within_s=waits)
        await work.clock.advance(SLACK_S + 3)
        await asyncio.gather(*living.drains)
        await settle()

        assert work.left_over() == {}
        assert asyncio.all_tasks() - tasks - {caller.task for caller in work.callers} == set()
        for caller in work.callers:
            check(caller, transport)
        # Whoever has to wait for others is dispatched by then, or never.
        assert transport.sends <= len(work.callers) * (1 + RETRIES)
    assert complaints == []
    return transport


def check(caller: Caller, transport: Scripted) -> None:
    call = caller.call
    assert call.attempts <= 1 + RETRIES
    error = None if caller.task.cancelled() else caller.task.exception()
    assert error is None or isinstance(error, GatewayError), error
    if caller.task.cancelled():
        return
    if error is not None:
        assert call.error is error
        assert not caller.chunks or isinstance(error, ClientLeft)
        return
    sent = caller.got
    if call.error is not None:
        passed, last = caller.got[: -len(last_frame(sent))], last_frame(sent)
        assert b'"error"' in last
        assert is_of_one_answer(passed, transport)
        return
    if call.streamed and REPLAYED not in sent:
        assert is_of_one_answer(sent, transport)
    assert call.usage is not None
    assert call.first_byte_s is not None
    if call.streamed:
        assert b'"finish_reason": "stop"' in sent or b'"finish_reason":"stop"' in sent


def last_frame(sent: bytes) -> bytes:
    return sent.removesuffix(b"\n\n").rpartition(b"\n\n")[2] + b"\n\n"


def is_of_one_answer(sent: bytes, transport: Scripted) -> bool:
    """Whether the bytes are the beginning of what one answer said, with the blank line that its end may lack."""
    said = [b"".join(answer.said).replace(PING, b"") for answer in transport.answers]
    sent = sent.replace(PING, b"")
    return not sent or any(
        one.startswith(sent) or (sent.startswith(one) and sent.removeprefix(one) in ENDS) for one in said
    )


def run(world: dict[str, Any]) -> None:
    asyncio.run(live(world))


@given(worlds)
def test_a_call_ends_in_time_and_leaves_nothing_behind(world: dict[str, Any]) -> None:
    run(world)


@pytest.mark.deep
@settings(max_examples=3_000)
@given(worlds)
def test_many_calls_end_in_time_and_leave_nothing_behind(world: dict[str, Any]) -> None:
    run(world)
