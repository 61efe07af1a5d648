"""A stream that does not come to its end never looks complete to a client of any dialect, over any provider."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest

from modelserver.errors import GatewayError, UpstreamFailed
from tests.support.inside import begin, trouble
from tests.support.pairs import STREAMING, configured, is_same, meeting
from tests.support.providers import PROVIDERS
from tests.support.scripted import Scripted, Step, Work, at_work, stream, whole
from tests.support.speakers import ALL_SPEAKERS
from tests.support.speech import PARIS, REASONING, Ask, Provider, Speaker, Turn
from tests.support.upstream import Close, Reset

ENDS = [
    pytest.param((), id="closed"),
    pytest.param((UpstreamFailed("The connection was reset.", code="upstream_error"),), id="reset"),
]
ASK = Ask(tools=True, thinks=True)
TURN = Turn(reasoning=REASONING, text="Let me see.", calls=[PARIS])
LINE_ENDS = b"\r\n"
BROKEN = {"chat": (502, "upstream"), "responses": (502, "upstream"), "anthropic": (502, "api_error")}
"""Status and the beginning of the word for a cut; Gemini has one of its own."""


def to_finish(provider: Provider) -> list[bytes]:
    """The events up to the one that says how the answer ended, it included."""
    frames = provider.frames(TURN)
    last = next(number for number, frame in enumerate(frames) if provider.is_finish(frame))
    return frames[: last + 1]


def to_content(provider: Provider) -> int:
    """Where the first event ends that holds something of the answer."""
    frames = provider.frames(TURN)
    first = next(number for number, frame in enumerate(frames) if provider.is_content(frame))
    return len(b"".join(frames[: first + 1]))


async def check(speaker: Speaker, work: Work, pieces: list[Step], *, answered: bool | None) -> None:
    """`answered`: whether content has left before the end, so that the status is 200; None for either."""
    work.transport.script(stream(*pieces))
    caller = begin(work, speaker, ASK)
    await caller.over()
    work.callers.clear()
    error = caller.task.exception()
    if error is None:
        assert answered is not False, pieces
        speaker.broken(caller.got)
        assert caller.call.error is not None, pieces
        return
    assert answered is not True, pieces
    assert isinstance(error, GatewayError), error
    assert caller.got == b""
    status, word = BROKEN.get(speaker.dialect, (502, "INTERNAL"))
    seen = trouble(speaker, error)
    assert seen[0] == status, pieces
    assert seen[1].startswith(word), pieces


def places(provider: Provider) -> list[int]:
    """Offsets at the end of each event, within its line ends, and somewhere in it; the last before the finish."""
    found, at = {0}, 0
    for frame in to_finish(provider):
        found |= {at + len(frame) // 2, *range(at + len(frame.rstrip(LINE_ENDS)) - 1, at + len(frame) + 1)}
        at += len(frame)
    return sorted(offset for offset in found if offset <= last_place(provider))


def last_place(provider: Provider) -> int:
    """The last offset before the finish.

    The line ends behind an event, and the bracket before them, are not waited for: what is whole is an event.
    """
    return len(b"".join(to_finish(provider)).rstrip(LINE_ENDS)) - 1


async def check_cuts(
    speaker: Speaker, provider: Provider, end: tuple[Step, ...], offsets: Iterable[int], *, piece: int
) -> None:
    """Cut the stream at each offset; what comes, comes in pieces of a size."""
    wire = b"".join(to_finish(provider))
    content = to_content(provider)
    async with at_work(configured(provider, "http://up.invalid"), Scripted()) as work:
        for offset in offsets:
            pieces = [wire[at : min(at + piece, offset)] for at in range(0, offset, piece)]
            unsure = content - 4 <= offset < content
            answered = None if unsure else offset >= content
            await check(speaker, work, [*pieces, *end], answered=answered)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("speaker", "provider"), STREAMING)
async def test_a_stream_that_is_cut_before_its_finish_fails(
    speaker: Speaker, provider: Provider, end: tuple[Step, ...]
) -> None:
    """D71, at a sample of the offsets"""
    await check_cuts(speaker, provider, end, places(provider), piece=211)


@pytest.mark.deep
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("speaker", "provider"), STREAMING)
async def test_a_stream_that_is_cut_anywhere_before_its_finish_fails(
    speaker: Speaker, provider: Provider, end: tuple[Step, ...]
) -> None:
    """D71, at every offset"""
    await check_cuts(speaker, provider, end, range(last_place(provider) + 1), piece=4096)


@pytest.mark.parametrize(("speaker", "provider"), STREAMING)
async def test_a_stream_with_an_error_between_any_two_events_fails(speaker: Speaker, provider: Provider) -> None:
    """D69"""
    frames = to_finish(provider)
    first = next(number for number, frame in enumerate(frames) if provider.is_content(frame))
    async with at_work(configured(provider, "http://up.invalid"), Scripted()) as work:
        for number in range(len(frames)):
            pieces: list[Step] = [*frames[:number], provider.failure(500), *frames[number:]]
            await check(speaker, work, pieces, answered=number > first)


NO_EVENTS = [
    pytest.param(b"data: {oh no\n\n", id="not JSON"),
    pytest.param(b"data: [1]\n\n", id="not an object"),
    pytest.param(b"data: \xff\n\n", id="not UTF-8"),
    pytest.param(b"<html>\n\n", id="a line that no stream has"),
]


@pytest.mark.parametrize("wrong", NO_EVENTS)
@pytest.mark.parametrize(("speaker", "provider"), STREAMING)
async def test_what_is_no_event_ends_the_stream(speaker: Speaker, provider: Provider, wrong: bytes) -> None:
    frames = to_finish(provider)
    first = next(number for number, frame in enumerate(frames) if provider.is_content(frame))
    async with at_work(configured(provider, "http://up.invalid"), Scripted()) as work:
        for number in (0, first + 1, len(frames) - 1):
            pieces: list[Step] = [*frames[:number], wrong, *frames[number:]]
            await check(speaker, work, pieces, answered=number > first)


CONVERTED = [case for case in STREAMING if not is_same(*case.values)]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("speaker", "provider"), CONVERTED)
async def test_a_stream_that_is_cut_behind_its_finish_is_complete(
    speaker: Speaker, provider: Provider, end: tuple[Step, ...]
) -> None:
    async with at_work(configured(provider, "http://up.invalid"), Scripted()) as work:
        work.transport.script(stream(*to_finish(provider), *end))
        caller = begin(work, speaker, ASK)
        said = speaker.read_stream(await caller.body())

    assert (said.text, said.calls) == (TURN.text, TURN.calls)
    assert caller.call.error is None


SAME = [
    pytest.param(speaker, provider, id=provider.dialect)
    for speaker, provider in zip(ALL_SPEAKERS, PROVIDERS, strict=False)
]


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize(("speaker", "provider"), SAME)
async def test_behind_its_finish_nothing_is_added_to_a_stream_of_the_same_dialect(
    speaker: Speaker, provider: Provider, end: tuple[Step, ...]
) -> None:
    async with at_work(configured(provider, "http://up.invalid"), Scripted()) as work:
        work.transport.script(stream(*to_finish(provider), *end))
        caller = begin(work, speaker, ASK)
        got = await caller.body()

    name = provider.model.encode()
    assert got == b"".join(to_finish(provider)).replace(b'"' + name + b'"', b'"m"')
    assert caller.call.error is None


@pytest.mark.parametrize(("speaker", "provider"), STREAMING)
async def test_how_a_stream_comes_does_not_matter(speaker: Speaker, provider: Provider) -> None:
    """D86: in reads of any size, or whole although a stream was asked for."""
    wire = b"".join(provider.frames(TURN))
    answers = [stream(*(wire[at : at + size] for at in range(0, len(wire), size))) for size in (1, 57, len(wire))]
    answers.append(whole(json.dumps(provider.whole(TURN)).encode()))
    async with at_work(configured(provider, "http://up.invalid"), Scripted()) as work:
        said = []
        for answer in answers:
            work.transport.script(answer)
            said.append(speaker.read_stream(await begin(work, speaker, ASK).body()))

    assert said == [said[0]] * len(answers)
    assert (said[0].text, said[0].reasoning, said[0].calls) == (TURN.text, TURN.reasoning, TURN.calls)


BREAKS = [pytest.param(Close(), id="closed"), pytest.param(Reset(), id="reset")]


@pytest.mark.parametrize("end", BREAKS)
@pytest.mark.parametrize(("speaker", "provider"), STREAMING)
async def test_a_connection_that_breaks_in_a_stream_is_an_error(
    speaker: Speaker, provider: Provider, end: Close | Reset
) -> None:
    """D71, on real sockets"""
    begun = b"".join(to_finish(provider))[: to_content(provider) + 20]
    async with meeting(provider) as both:
        answer = await both.send_in_two(speaker, ASK, begun, end)

    assert answer.status == 200
    speaker.broken(answer.body)
