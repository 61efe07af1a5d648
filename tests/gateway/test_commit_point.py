"""What is held back until an answer is sure to be one, and what leaves when."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelserver.errors import UpstreamFailed
from modelserver.gateway import pipes
from tests.support.scripted import (
    COMPLETE,
    DONE,
    FINISH,
    MORE,
    PING,
    ROLE,
    SILENCE,
    TEXT,
    USAGE,
    Answer,
    Caller,
    Pause,
    Scripted,
    Step,
    at_work,
    config,
    delta,
    frame,
    stream,
    whole,
)

TIMES = 'keepalive = "15s"\ntimeout = { first = "30s", idle = "20s", total = "300s" }\nretries = 0'
BROKEN = UpstreamFailed("The provider broke off in the middle of its answer.", code="upstream_error")
REFUSAL = delta(refusal="I can't")
CALL = delta(tool_calls=[{"index": 0, "id": "call_1", "function": {"name": "look", "arguments": ""}}])
REASONING = delta(reasoning_content="Hm")


def error_in(chunk: bytes) -> dict[str, Any]:
    """The error of the last frame of a chunk."""
    *_, last = chunk.removesuffix(b"\n\n").split(b"\n\n")
    error: dict[str, Any] = json.loads(last.removeprefix(b"data: "))["error"]
    return error


async def begun(*pieces: Step, defaults: str = TIMES, after_s: float = 0.0) -> tuple[bool, bytes, Caller]:
    """Whether a stream is committed some time after its pieces, and the bytes that have left."""
    async with at_work(config(defaults=defaults), Scripted(stream(*pieces))) as work:
        caller = await work.begin(stream=True)
        if after_s:
            await work.clock.advance(after_s)
        seen = caller.committed, caller.got
        caller.task.cancel()
        await caller.over()
    return *seen, caller


HELD = [
    pytest.param([], id="nothing"),
    pytest.param([PING], id="a comment"),
    pytest.param([ROLE], id="the role"),
    pytest.param([ROLE, delta(content="")], id="an empty delta"),
    pytest.param([delta(content=None, tool_calls=[])], id="a delta of nothing"),
    pytest.param([frame({"choices": [], "prompt_filter_results": [{}]})], id="a chunk without choices"),
    pytest.param([b"retry: 5\n\n"], id="a frame without data"),
    pytest.param([TEXT[:-1]], id="an event that is not complete"),
]


@pytest.mark.parametrize("pieces", HELD)
async def test_nothing_is_sent_before_there_is_content(pieces: list[bytes]) -> None:
    committed, got, _ = await begun(*pieces, SILENCE)

    assert (committed, got) == (False, b"")


RELEASED = [
    pytest.param(TEXT, id="text"),
    pytest.param(CALL, id="a tool call"),
    pytest.param(REFUSAL, id="a refusal"),
    pytest.param(REASONING, id="reasoning"),
    pytest.param(FINISH, id="a finish"),
]


@pytest.mark.parametrize("content", RELEASED)
async def test_content_releases_what_was_held(content: bytes) -> None:
    committed, got, caller = await begun(PING, ROLE, content, SILENCE)

    assert (committed, got) == (True, PING + ROLE + content)
    assert len(caller.chunks) == 1


async def test_an_event_that_is_not_complete_waits() -> None:
    _, got, _ = await begun(ROLE, TEXT + MORE[:-1], SILENCE)

    assert got == ROLE + TEXT


async def test_more_than_can_be_held_is_released() -> None:
    comment = b": " + b"x" * 1022 + b"\n\n"
    enough = [comment] * (pipes.MAX_HELD_BYTES // len(comment) + 1)
    held, _, _ = await begun(*enough[:-1], SILENCE)
    committed, got, _ = await begun(*enough, SILENCE)

    assert (held, committed) == (False, True)
    assert got == b"".join(enough)


KEPT_ALIVE = [
    pytest.param([ROLE, SILENCE], ROLE, id="begun"),
    pytest.param([PING, SILENCE], PING, id="a comment is a sign of life"),
    pytest.param([TEXT[:9], SILENCE], PING, id="half an event"),
    pytest.param([Pause(4), ROLE, SILENCE], b"", id="the time counts from the first byte"),
    pytest.param([ROLE, Pause(8), PING, SILENCE], ROLE + PING, id="and not from the last"),
]


@pytest.mark.parametrize(("pieces", "expected"), KEPT_ALIVE)
async def test_a_begun_stream_that_says_nothing_for_as_long_as_keepalive_is_committed(
    pieces: list[Step], expected: bytes
) -> None:
    early, _, _ = await begun(*pieces, after_s=14.9)
    committed, got, _ = await begun(*pieces, after_s=15.5)

    assert (early, committed, got) == (False, bool(expected), expected)


async def test_a_stream_that_has_not_begun_is_not_committed_by_time() -> None:
    committed, _, _ = await begun(SILENCE, after_s=29.5)

    assert not committed


async def test_pings_alone_commit_a_stream_too() -> None:
    pings: list[Step] = [PING, Pause(1)] * 20
    committed, got, _ = await begun(*pings, SILENCE, after_s=15.5)

    assert (committed, got) == (True, PING * 16)


CUTS = [
    pytest.param([ROLE, TEXT, BROKEN], ROLE + TEXT, "upstream_error", id="reset"),
    pytest.param([ROLE, TEXT], ROLE + TEXT, "upstream_error", id="a clean end"),
    pytest.param([ROLE, TEXT, DONE], ROLE + TEXT, "upstream_error", id="the end's mark without a finish"),
    pytest.param([ROLE, TEXT, MORE[:-9]], ROLE + TEXT, "upstream_error", id="within an event"),
    pytest.param([ROLE, TEXT, b"data: {nonsense\n\n"], ROLE + TEXT, "upstream_invalid_response", id="no JSON"),
    pytest.param([TEXT, MORE + b"data: []\n\n"], TEXT + MORE, "upstream_invalid_response", id="good before bad"),
    pytest.param(
        [TEXT, frame({"error": {"message": "key sk-1234567890abcdef", "code": 500}})], TEXT, "upstream_error", id="500"
    ),
    pytest.param([TEXT, frame({"error": {"message": "no", "code": 429}})], TEXT, "rate_limit_exceeded", id="429"),
    pytest.param([TEXT, frame({"error": {"message": "no", "code": 401}})], TEXT, "upstream_auth_error", id="401"),
]


@pytest.mark.parametrize("retries", [0, 3])
@pytest.mark.parametrize(("pieces", "passed", "code"), CUTS)
async def test_a_stream_that_fails_after_bytes_ends_with_an_error_and_is_not_asked_for_again(
    pieces: list[Step], passed: bytes, code: str, retries: int
) -> None:
    transport = Scripted(stream(*pieces), stream(*COMPLETE))
    async with at_work(config(defaults=f"retries = {retries}"), transport) as work:
        caller = await work.begin(stream=True)
        body = await caller.body()

        assert body.startswith(passed)
        assert body.removeprefix(passed).count(b"\n\n") == 1
        assert error_in(body)["code"] == code
        assert caller.call.error is not None
        assert caller.call.usage_estimated
    assert transport.sends == 1
    assert transport.answers[0].closed


async def test_a_stream_that_fails_is_charged_for_what_was_seen() -> None:
    async with at_work(config(), Scripted(stream(ROLE, TEXT, MORE, BROKEN))) as work:
        caller = await work.begin(stream=True)
        await caller.body()

        assert caller.call.usage is not None
        assert (caller.call.usage.output, caller.call.usage_estimated) == (3, True)


AFTER_THE_FINISH = [
    pytest.param([ROLE, TEXT, FINISH], ROLE + TEXT + FINISH, id="no mark of the end"),
    pytest.param([ROLE, TEXT, FINISH, USAGE[:-8]], ROLE + TEXT + FINISH, id="half the usage"),
    pytest.param([ROLE, TEXT, FINISH, DONE[:-2]], ROLE + TEXT + FINISH + DONE, id="the mark without its blank line"),
]


@pytest.mark.parametrize(("pieces", "expected"), AFTER_THE_FINISH)
async def test_an_answer_that_is_complete_may_lack_what_comes_after(pieces: list[bytes], expected: bytes) -> None:
    async with at_work(config(), Scripted(stream(*pieces))) as work:
        caller = await work.begin(stream=True)

        assert await caller.body() == expected
        assert caller.call.error is None


async def test_what_comes_in_one_read_leaves_in_one_write() -> None:
    reads = [ROLE + TEXT, MORE + MORE, FINISH + USAGE + DONE]
    async with at_work(config(), Scripted(stream(*reads))) as work:
        caller = await work.begin(stream=True, stream_options={"include_usage": True})
        await caller.body()

        assert caller.chunks == reads


LET_GO = [
    pytest.param(stream(*COMPLETE, SILENCE), 1, id="at its mark of the end, which is not waited beyond"),
    pytest.param(stream(*COMPLETE), 1, id="at its mark, read to the end"),
    pytest.param(stream(ROLE, TEXT, FINISH), 1, id="without a mark"),
    pytest.param(stream(b"".join(COMPLETE), SILENCE), 1, id="in one piece"),
    pytest.param(stream(ROLE, TEXT, BROKEN), 0, id="cut"),
]


@pytest.mark.parametrize(("answer", "finished"), LET_GO)
async def test_a_stream_that_is_over_may_end_in_its_own_time(answer: Answer, finished: int) -> None:
    transport = Scripted(answer)
    async with at_work(config(), transport) as work:
        caller = await work.begin(stream=True)
        await caller.body()

    assert transport.answers[0].finished == finished


async def test_json_where_a_stream_was_asked_for_is_one_write() -> None:
    async with at_work(config(), Scripted(whole())) as work:
        caller = await work.begin(stream=True)
        body = await caller.body()

        assert len(caller.chunks) == 1
        assert body.endswith(DONE)
