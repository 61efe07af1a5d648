"""Providers' recorded failures, in the many shapes that they have, and what the client is told of each."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest

from tests.support.recordings import (
    MINIMAL,
    Played,
    Recording,
    cut,
    expected_usage,
    frames,
    load_recordings,
    metered_usage,
    stage,
)

ABSENT = "no recordings in ../shared"
RECORDINGS = load_recordings()
pytestmark = pytest.mark.skipif(not RECORDINGS, reason=ABSENT)

INVALID, SERVER, RATE = "invalid_request_error", "server_error", "rate_limit_error"
UNKNOWN = (404, INVALID, "model_not_found", "model")
KEY_REFUSED = (502, SERVER, "upstream_auth_error", None)
TOO_LONG = (400, INVALID, "context_length_exceeded", None)
BUSY = (429, RATE, "rate_limit_exceeded", None)


@attrs.frozen
class Refusal:
    """A provider's error, and what becomes of it."""

    name: str
    """Of the recording."""
    expected: tuple[int, str, str | None, str | None]
    """Status, type, code and param of the answer."""
    told: bool = True
    """The provider's words reach the client; what concerns the server's own account does not."""
    retry_after: str | None = None


REFUSALS = {
    "openai: a list without messages": Refusal(
        "ai-gateway-chat-no-messages-0-345776", (400, INVALID, "empty_array", "messages")
    ),
    "openai: an image that can't be fetched": Refusal(
        "openinference-test-input-value-image-hiding-testinputvalueimagehiding.test-input-value-hides-reg-0-a9561a",
        (400, INVALID, "invalid_image_url", None),
    ),
    "openai: a role that the model does not take": Refusal(
        "pydantic-ai-test-openai-test-openai-o1-mini-system-role-system-0-56178b",
        (400, INVALID, "unsupported_value", "messages[0].role"),
    ),
    "groq: a tool call that failed": Refusal(
        "pydantic-ai-test-groq-test-tool-use-failed-error-with-text-0-794fff", (400, INVALID, "tool_use_failed", None)
    ),
    "ollama cloud: too long a prompt, in words only": Refusal(
        "ruby-llm-chat-real-error-scenarios-ollama-cloud-gpt-oss-120b-handles-context-length-exceeded-err-0-f37fca",
        TOO_LONG,
    ),
    "openrouter: too long a prompt, code a number": Refusal(
        "ruby-llm-chat-real-error-scenarios-openrouter-claude-haiku-4-5-handles-context-length-exceeded-e-0-f58e6b",
        TOO_LONG,
    ),
    "openai: an unknown model": Refusal("ai-gateway-chat-unknown-model-0-f46468", UNKNOWN),
    "openai: an unknown model, for a stream": Refusal(
        "mirascope-test-model-not-found-stream-openai-gpt-4o-completions-0-071a54", UNKNOWN
    ),
    "openai: an unknown model, asked by an instrumented client": Refusal(
        "opentelemetry-python-contrib-test-async-chat-completion-404-0-4e393d", UNKNOWN
    ),
    "openai: a model's name mistyped": Refusal(
        "pydantic-ai-test-model-name-suggestions-test-model-name-suggestion-openai-chat-0-617b35", UNKNOWN
    ),
    "groq: an unknown model, without param": Refusal("pydantic-ai-test-groq-test-tool-regular-error-0-464dfc", UNKNOWN),
    "azure: an unknown deployment": Refusal("openllmetry-test-azure-test-chat-reasoning-1-f14d07", UNKNOWN),
    "openai: a wrong key": Refusal(
        "dd-trace-py-llama-index-cassettes-llama-index-chat-error-0-c7e607", KEY_REFUSED, told=False
    ),
    "openai: a wrong key, no content type": Refusal(
        "openinference-test-instrumentor-test-async-pipeline-with-chat-prompt-builder-and-chat-generator-11-289c68",
        KEY_REFUSED,
        told=False,
    ),
    "openai: a wrong key, quoted": Refusal(
        "openinference-test-instrumentor-testlm.test-exception-event-recorded-on-lm-error-0-2f253f",
        KEY_REFUSED,
        told=False,
    ),
    "deepseek: a wrong key, type and code changed about": Refusal(
        "ruby-llm-chat-error-handling-with-deepseek-deepseek-chat-raises-appropriate-auth-error-0-8a8d0a",
        KEY_REFUSED,
        told=False,
    ),
    "mistral: a wrong key, under detail": Refusal(
        "ruby-llm-chat-error-handling-with-mistral-mistral-small-latest-raises-appropriate-auth-error-0-99dd34",
        KEY_REFUSED,
        told=False,
    ),
    "ollama cloud: a wrong key, without code": Refusal(
        "ruby-llm-chat-error-handling-with-ollama-cloud-gpt-oss-120b-raises-appropriate-auth-error-0-099118",
        KEY_REFUSED,
        told=False,
    ),
    "openrouter: no key, code a number, no type": Refusal(
        "ruby-llm-chat-error-handling-with-openrouter-claude-haiku-4-5-raises-appropriate-auth-error-0-da9fde",
        KEY_REFUSED,
        told=False,
    ),
    "perplexity: a wrong key, code a number, type a code": Refusal(
        "ruby-llm-chat-error-handling-with-perplexity-sonar-raises-appropriate-auth-error-0-cc5fb9",
        KEY_REFUSED,
        told=False,
    ),
    "openrouter: no credit": Refusal("documented-openrouter-402", (502, SERVER, "upstream_quota", None), told=False),
    "openrouter: the provider behind it is busy": Refusal(
        "pydantic-ai-test-openrouter-test-openrouter-errors-raised-0-ec6dd3", BUSY, told=False, retry_after="5"
    ),
    "azure: a rate limit that is over at once": Refusal(
        "ruby-llm-chat-real-error-scenarios-azure-grok-4-1-fast-non-reasoning-handles-context-length-exce-0-d850c4",
        BUSY,
        told=False,
        retry_after="0",
    ),
    "openai: its own fault": Refusal("documented-openai-chat-500", (502, SERVER, "upstream_error", None)),
    "openai: overloaded": Refusal("documented-openai-chat-503", (503, SERVER, "overloaded", None), retry_after="5"),
}

UNFINISHED = {
    "snowflake: an answer whose finish reason is empty": "pydantic-ai-test-snowflake-test-snowflake-llama-0-f43bec",
    "snowflake: a call whose finish reason is empty": "pydantic-ai-test-snowflake-test-snowflake-thinking-0-b6c49b",
    "snowflake: a last answer whose finish reason is empty": (
        "pydantic-ai-test-snowflake-test-snowflake-thinking-1-41480a"
    ),
}
"""Whole answers, complete by their framing: they pass."""


@attrs.frozen
class Broken:
    """A stream that goes wrong."""

    name: str
    good: int
    """Frames that are good, in front of what is not."""
    expected: tuple[int, str, str | None, str | None]
    """Status, type, code and param of the error when nothing of the stream had been sent."""


BROKEN = {
    "openrouter: an error in a chunk behind the finish": Broken(
        "pydantic-ai-test-openrouter-test-openrouter-stream-error-0-35670e", -2, (400, INVALID, None, None)
    ),
    "snowflake: no finish before the end": Broken(
        "pydantic-ai-test-snowflake-test-snowflake-thinking-streaming-0-977d2b",
        -1,
        (502, SERVER, "upstream_error", None),
    ),
}


async def play(recording: Recording, way: str = "whole", *, gate: int | None = None, **asked: Any) -> Played:
    async with stage({recording.model: recording.model}) as running:
        return await running.play(recording, cut(recording.body, way), gate=gate, **asked)


def words(recording: Recording) -> str:
    """What the provider said, wherever it put that."""
    obj = json.loads(recording.body)
    said = obj["error"]["message"] if "error" in obj else obj["detail"]
    return str(said).rstrip(".")


def first_content(recording: Recording) -> int:
    """The number of the frame behind the first one with content."""
    deltas = [[choice["delta"] for choice in (obj or {}).get("choices", ())] for _, obj in frames(recording.body)]
    return 1 + next(
        at for at, found in enumerate(deltas) if any({**delta, "role": None} != NO_DELTA for delta in found)
    )


NO_DELTA = {"role": None, "content": ""}


def split_error(body: bytes, recording: Recording, good: int) -> tuple[bytes, list[Any]]:
    """What stands in front of the error, and the objects of what comes then."""
    before = b"".join(frame for frame, _ in frames(recording.body)[:good])
    return body[: len(before)], [obj for _, obj in frames(body[len(before) :])]


def error_object(expected: tuple[int, str, str | None, str | None], message: str) -> dict[str, Any]:
    _, kind, code, param = expected
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


@pytest.mark.parametrize("refusal", [pytest.param(refusal, id=id) for id, refusal in REFUSALS.items()])
async def test_a_providers_error_is_told_by_the_table_of_errors(refusal: Refusal) -> None:
    recording = RECORDINGS[refusal.name]

    played = await play(recording, **MINIMAL)

    assert refusal.expected == played.answer.error()


@pytest.mark.deep
@pytest.mark.parametrize("refusal", [pytest.param(refusal, id=id) for id, refusal in REFUSALS.items()])
async def test_a_providers_error_in_pieces_is_the_same_error(refusal: Refusal) -> None:
    recording = RECORDINGS[refusal.name]

    played = await play(recording, "random", **MINIMAL)

    assert refusal.expected == played.answer.error()


@pytest.mark.parametrize("refusal", [pytest.param(refusal, id=id) for id, refusal in REFUSALS.items()])
async def test_a_providers_words_are_told_unless_they_concern_the_servers_own_account(refusal: Refusal) -> None:
    recording = RECORDINGS[refusal.name]

    played = await play(recording, **MINIMAL)

    assert refusal.told == (words(recording) in played.answer.json()["error"]["message"])


@pytest.mark.parametrize("refusal", [pytest.param(refusal, id=id) for id, refusal in REFUSALS.items()])
async def test_an_error_says_when_to_come_back_only_where_that_helps(refusal: Refusal) -> None:
    played = await play(RECORDINGS[refusal.name], **MINIMAL)

    assert refusal.retry_after == played.answer.header("Retry-After")


@pytest.mark.parametrize("refusal", [pytest.param(refusal, id=id) for id, refusal in REFUSALS.items()])
async def test_a_refused_call_costs_nothing(refusal: Refusal) -> None:
    played = await play(RECORDINGS[refusal.name], **MINIMAL)

    assert (played.line["input_tokens"], played.line["output_tokens"]) == (None, None)


@pytest.mark.parametrize("name", [pytest.param(name, id=id) for id, name in UNFINISHED.items()])
async def test_a_whole_answer_without_finish_reason_passes_as_it_came(name: str) -> None:
    recording = RECORDINGS[name]

    played = await play(recording)

    assert (200, recording.body) == (played.answer.status, played.answer.body)


@pytest.mark.parametrize("name", [pytest.param(name, id=id) for id, name in UNFINISHED.items()])
async def test_the_usage_of_a_whole_answer_without_finish_reason_is_counted(name: str) -> None:
    played = await play(RECORDINGS[name])

    assert played.call is not None
    assert expected_usage(RECORDINGS[name]) == metered_usage(played.call.usage)


@pytest.mark.parametrize("broken", [pytest.param(broken, id=id) for id, broken in BROKEN.items()])
async def test_a_stream_that_is_wrong_before_anything_was_sent_has_the_status_of_its_error(broken: Broken) -> None:
    played = await play(RECORDINGS[broken.name])

    assert broken.expected == played.answer.error()


@pytest.mark.parametrize("broken", [pytest.param(broken, id=id) for id, broken in BROKEN.items()])
async def test_a_stream_that_goes_wrong_later_ends_with_the_error_and_no_done(broken: Broken) -> None:
    recording = RECORDINGS[broken.name]

    played = await play(recording, "frames", gate=first_content(recording))

    before, rest = split_error(played.answer.body, recording, broken.good)
    assert played.answer.status == 200
    assert before == b"".join(frame for frame, _ in frames(recording.body)[: broken.good])
    assert [error_object(broken.expected, rest[0]["error"]["message"])] == rest


@pytest.mark.parametrize("broken", [pytest.param(broken, id=id) for id, broken in BROKEN.items()])
async def test_the_usage_of_a_stream_that_goes_wrong_is_counted(broken: Broken) -> None:
    recording = RECORDINGS[broken.name]

    played = await play(recording, "frames", gate=first_content(recording))

    assert played.call is not None
    assert expected_usage(recording) == metered_usage(played.call.usage)


@pytest.mark.parametrize("broken", [pytest.param(broken, id=id) for id, broken in BROKEN.items()])
async def test_the_log_names_the_error_of_a_stream_that_goes_wrong(broken: Broken) -> None:
    recording = RECORDINGS[broken.name]

    played = await play(recording, "frames", gate=first_content(recording))

    assert (200, broken.expected[2] or "invalid") == (played.line["status"], played.line["error"])


def test_every_recording_that_is_no_plain_success_has_its_case() -> None:
    named = {refusal.name for refusal in REFUSALS.values()} | {broken.name for broken in BROKEN.values()}
    named |= set(UNFINISHED.values())

    assert {name for name, recording in RECORDINGS.items() if not recording.is_plain} == named
