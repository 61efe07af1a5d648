"""How the failures of a provider of each dialect look to a client of each dialect, before an answer and within it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.support.pairs import STREAMING, WAYS, is_same, meeting, pairs_of
from tests.support.providers import ANTHROPIC, CHAT
from tests.support.speakers import ALL_SPEAKERS
from tests.support.speech import REASONING, Ask, Provider, Speaker, Turn
from tests.support.upstream import chunk, json_answer, sse_head

# ir.md 9: status and word by the kind of error, in each dialect.
OPENAI = {
    400: (400, "bad_value"),
    401: (502, "upstream_auth_error"),
    404: (404, "model_not_found"),
    429: (429, "rate_limit_exceeded"),
    500: (502, "upstream_error"),
    503: (503, "overloaded"),
}
EXPECTED: Mapping[str, Mapping[int, tuple[int, str]]] = {
    "chat": OPENAI,
    "responses": OPENAI,
    "anthropic": {
        400: (400, "invalid_request_error"),
        401: (502, "api_error"),
        404: (404, "not_found_error"),
        429: (429, "rate_limit_error"),
        500: (502, "api_error"),
        503: (529, "overloaded_error"),
    },
    "gemini": {
        400: (400, "INVALID_ARGUMENT"),
        401: (502, "INTERNAL"),
        404: (404, "NOT_FOUND"),
        429: (429, "RESOURCE_EXHAUSTED"),
        500: (502, "INTERNAL"),
        503: (503, "UNAVAILABLE"),
    },
}
STATUSES = [pytest.param(status, id=f"D69 {status}") for status in OPENAI]


def expected(speaker: Speaker, provider: Provider, status: int) -> tuple[int, str]:
    """What a client sees of a provider's status; a code of OpenAI's stays, where others have none."""
    seen = EXPECTED[speaker.dialect.removesuffix(" array")][status]
    if status == 400 and provider.dialect in ("anthropic", "gemini") and seen == OPENAI[400]:
        return 400, "invalid_request_error"
    return seen


def their_status(provider: Provider, status: int) -> int:
    """Anthropic has a status of its own for being overloaded."""
    return 529 if (status, provider.dialect) == (503, "anthropic") else status


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(("speaker", "provider", "streamed"), WAYS)
async def test_an_error_before_the_answer(speaker: Speaker, provider: Provider, status: int, streamed: bool) -> None:
    async with meeting(provider) as both:
        both.upstream.script(json_answer(provider.refusal(status), their_status(provider, status)))
        answer = await both.send(speaker, speaker.body(Ask(), stream=streamed), streamed=streamed)

    assert speaker.trouble(answer.status, answer.body) == expected(speaker, provider, status)
    assert answer.header("Content-Type") == "application/json"
    assert b"native-secret" not in answer.body
    assert b"req_theirs" not in answer.body


@pytest.mark.parametrize(("speaker", "provider", "streamed"), WAYS)
async def test_the_pause_that_a_provider_asks_for_is_told(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    async with meeting(provider) as both:
        both.upstream.script(json_answer(provider.refusal(429), 429, {"Retry-After": "7"}))
        answer = await both.send(speaker, speaker.body(Ask(), stream=streamed), streamed=streamed)

    assert answer.header("Retry-After") == "7"
    assert (b'"retryDelay":"7s"' in answer.body) == (speaker.dialect == "gemini")


@pytest.mark.parametrize("status", [429, 500])
@pytest.mark.parametrize(("speaker", "provider"), pairs_of())
async def test_an_error_in_a_stream_before_its_content_has_its_status(
    speaker: Speaker, provider: Provider, status: int
) -> None:
    """D99"""
    begun = provider.frames(Turn(text="Sunny."))
    first = next(number for number, frame in enumerate(begun) if provider.is_content(frame))
    async with meeting(provider) as both:
        both.upstream.script(sse_head() + chunk(b"".join(begun[:first]) + provider.failure(status)) + chunk(b""))
        answer = await both.send(speaker, speaker.body(Ask(), stream=True), streamed=True)

    assert speaker.trouble(answer.status, answer.body) == expected(speaker, provider, status)


IN_STREAMS = {429: "rate_limit_exceeded", 500: "server_error"}
"""What Responses tells apart within a stream."""


@pytest.mark.parametrize("status", IN_STREAMS)
@pytest.mark.parametrize(("speaker", "provider"), STREAMING)
async def test_an_error_behind_content_ends_the_stream(speaker: Speaker, provider: Provider, status: int) -> None:
    """D69 D70"""
    frames = provider.frames(Turn(reasoning=REASONING, text="Sunny."))
    first = next(number for number, frame in enumerate(frames) if provider.is_content(frame))
    word = IN_STREAMS[status] if speaker.dialect == "responses" else expected(speaker, provider, status)[1]
    async with meeting(provider) as both:
        rest = chunk(provider.failure(status)) + chunk(b"")
        answer = await both.send_in_two(speaker, Ask(thinks=True), b"".join(frames[: first + 1]), rest)

    assert answer.status == 200
    assert b"I should " in answer.body
    assert speaker.broken(answer.body) == word


HOLDING = [case for case in pairs_of(ALL_SPEAKERS, (CHAT, ANTHROPIC)) if not is_same(*case.values)]
"""Where something may follow the finish, and it has not left already, as it has where both sides speak the same."""


@pytest.mark.parametrize(("speaker", "provider"), HOLDING)
async def test_a_finish_is_not_told_before_the_error_behind_it(speaker: Speaker, provider: Provider) -> None:
    """D93"""
    frames = provider.frames(Turn(text="Sunny."))
    last = next(number for number, frame in enumerate(frames) if provider.is_finish(frame))
    async with meeting(provider) as both:
        rest = chunk(provider.failure(500)) + chunk(b"")
        answer = await both.send_in_two(speaker, Ask(), b"".join(frames[: last + 1]), rest)

    assert answer.status == 200
    speaker.broken(answer.body)


NO_ANSWER = {
    "chat": (502, "upstream_invalid_response"),
    "responses": (502, "upstream_invalid_response"),
    "anthropic": (502, "api_error"),
    "gemini": (502, "INTERNAL"),
}


@pytest.mark.parametrize(("speaker", "provider", "streamed"), WAYS)
async def test_what_is_no_answer_is_the_providers_fault(speaker: Speaker, provider: Provider, streamed: bool) -> None:
    """D72"""
    async with meeting(provider) as both:
        both.upstream.script(json_answer({}))
        answer = await both.send(speaker, speaker.body(Ask(), stream=streamed), streamed=streamed)

    assert speaker.trouble(answer.status, answer.body) == NO_ANSWER[speaker.dialect]
