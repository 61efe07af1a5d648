"""What providers were recorded to answer reaches the official client of every other dialect as what it says.

Each official Python client asks the running server, whose provider plays the recording; what the client's own parser
gathered is held against what the neutral model made of the recording.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import Any

import anthropic
import attrs
import openai
import pytest
import pytest_asyncio
from google.genai import errors as google

from modelserver.config import Config, parse_config
from modelserver.ir.parts import (
    Audio,
    DialectName,
    FinishReason,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Response,
    Text,
    ToolCall,
)
from modelserver.ir.usage import Usage
from modelserver.stores.keyfile import digest
from tests.support.front import KEY, front
from tests.support.native_recordings import ABSENT, FOLDERS, Native, load
from tests.support.official_clients import AnswerFailed, Official, client
from tests.support.recordings import answer_steps, cases, cut
from tests.support.speech import Call, Said, Tokens
from tests.support.upstream import RawUpstream

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.asyncio(loop_scope="module"),
    # Google's client is one, of aiohttp's.
    pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning"),
    # Anthropic's puts blocks of its beta types, which pass between sides that both speak it, into plain answers.
    pytest.mark.filterwarnings("ignore:Pydantic serializer warnings:UserWarning"),
]

TARGETS = {"chat": "gpt-4o", "responses": "gpt-5.2", "anthropic": "claude-sonnet-4-5", "gemini": "gemini-3-pro-preview"}
RECORDINGS = load(tuple(FOLDERS))
DECODED = {name: one.response() for name, one in RECORDINGS.items() if one.played.status == 200}
ANSWERS = {
    name: answer
    for name, answer in DECODED.items()
    if isinstance(answer, Response) and answer.choices[0].finish.reason is not FinishReason.PAUSE
}
"""Without the one whose rest is asked for, and was not recorded."""
BROKEN = {
    "spliced-message-start": "broken",
    "streaming-failure-invalid-json": "broken",
    "responses-mid-stream-error": "broken",
    "background-mode-reasoning": "broken",
    "background-mode-streaming-without": "broken",
    "openrouter-stream-error": "invalid",
    "snowflake-thinking-streaming": "broken",
}
"""What has the status 200 and yet is no answer, and what it is."""
SEVERAL = [name for name, answer in ANSWERS.items() if len(answer.choices) > 1]
MALFORMED = [name for name, one in ANSWERS.items() if one.choices[0].finish.reason is FinishReason.MALFORMED_CALL]
WITHOUT_ARGUMENTS = [
    name
    for name, answer in ANSWERS.items()
    if any(part.arguments == "" for part in answer.choices[0].parts if isinstance(part, ToolCall))
]
APART = {
    *(("gemini", name) for name in SEVERAL),
    *(("responses", name) for name in (*MALFORMED, *WITHOUT_ARGUMENTS)),
}
"""Dialects and recordings that have tests of their own."""
RAISED = {"length": openai.LengthFinishReasonError, "content_filter": openai.ContentFilterFinishReasonError}
"""What OpenAI's helper for streams of Chat raises instead of handing out an answer that ended so."""


def pairs(names: Iterable[str]) -> list[tuple[DialectName, str]]:
    """Each recording with each dialect that its provider does not speak."""
    return [(dialect, name) for name in names for dialect in FOLDERS if dialect != RECORDINGS[name].dialect]


def sampled(found: Sequence[tuple[str, str]], every: int = 16) -> list[Any]:
    """Parameters of which all but every so many are deep."""
    return [
        pytest.param(dialect, name, id=f"{dialect} for {name}", marks=() if number % every == 0 else pytest.mark.deep)
        for number, (dialect, name) in enumerate(found)
    ] or [pytest.param("", "", id="none", marks=pytest.mark.skip(reason=ABSENT))]


# What is to be read.

_ENDS: Mapping[FinishReason, tuple[str, str, str, str]] = {
    FinishReason.STOP: ("stop", "completed", "end_turn", "STOP"),
    FinishReason.STOP_SEQUENCE: ("stop", "completed", "stop_sequence", "STOP"),
    FinishReason.LENGTH: ("length", "incomplete: max_output_tokens", "max_tokens", "MAX_TOKENS"),
    FinishReason.TOOL_CALLS: ("tool_calls", "completed", "tool_use", "STOP"),
    FinishReason.CONTENT_FILTER: ("content_filter", "incomplete: content_filter", "refusal", "SAFETY"),
    FinishReason.REFUSAL: ("content_filter", "incomplete: content_filter", "refusal", "SAFETY"),
    FinishReason.MALFORMED_CALL: ("stop", "failed", "end_turn", "MALFORMED_FUNCTION_CALL"),
}
_DECLINED = ("stop", "completed", "refusal", "SAFETY")
"""The ends of a refusal that has words."""


def told(answer: Response, dialect: DialectName) -> Said:
    """What a client of a dialect is to read."""
    parts, finish = answer.choices[0].parts, answer.choices[0].finish
    refusal = "".join(part.text for part in parts if isinstance(part, Refusal))
    ends = _DECLINED if refusal else _ENDS[finish.reason]
    return Said(
        text="".join(_visible(part, dialect) for part in parts),
        reasoning="".join(_thought(part, dialect) for part in parts if isinstance(part, Reasoning)),
        refusal=refusal,
        calls=[_call(part) for part in parts if isinstance(part, ToolCall)],
        finish=ends[list(FOLDERS).index(dialect)],
        tokens=_counts(answer, dialect),
    )


def _visible(part: Part, dialect: DialectName) -> str:
    match part:
        case Text(text=text):
            return text
        case Opaque(fallback=str() as text):
            return text
        case Audio(transcript=str() as text) if dialect == "anthropic":  # which has no sound
            return text
        case _:
            return ""


def _thought(part: Reasoning, dialect: DialectName) -> str:
    """Sections stand apart where they are one text."""
    bounds = (*(part.sections or (0,)), len(part.text))
    gap = "\n\n" if dialect in ("chat", "anthropic") else ""
    return gap.join(part.text[start:end] for start, end in pairwise(bounds))


def _call(part: ToolCall) -> Call:
    """Free text is a function's argument for clients that declared no other tools (H10)."""
    return Call(part.name, {"input": part.arguments} if part.kind == "custom" else json.loads(part.arguments or "{}"))


def _counts(answer: Response, dialect: DialectName) -> Tokens | None:
    """What is not known is left out where that is possible. Gemini has no count of writes, Responses every count."""
    usage = answer.usage
    if usage is None and dialect in ("chat", "gemini"):
        return None
    usage = usage or Usage()
    tokens = Tokens(
        input=usage.input or 0,
        cached=usage.cache_read,
        written=None if dialect == "gemini" else usage.cache_write,
        output=_estimated(answer) if usage.output is None and dialect == "anthropic" else usage.output or 0,
        reasoning=usage.reasoning,
    )
    if dialect != "responses":
        return tokens
    return Tokens(**{name: count or 0 for name, count in attrs.asdict(tokens).items()})


def _estimated(answer: Response) -> int:
    """A count that Anthropic's library for TypeScript can't do without."""
    parts = answer.choices[0].parts
    texts = [part.text for part in parts if isinstance(part, Text | Reasoning | Refusal)]
    texts += [part.arguments for part in parts if isinstance(part, ToolCall)]
    return -(-sum(map(len, texts)) // 4)


# Who plays.


def configured(url: str, dialect: DialectName, *, folded: bool = False) -> Config:
    """The model `m` at a provider of the dialect; `folded` is one that streams whatever it is asked."""
    return parse_config(
        f"""
[defaults]
retries = 0
[providers.up]
base_url = "{url}"
key = "provider-0123456789"
speaks = ["{dialect}"]
quirks = {{ stream_only = {str(folded).lower()} }}
[[models]]
model_id = "m"
route = "up/{TARGETS[dialect]}"
[[keys]]
name = "alice"
hash = "sha256:{digest(KEY)}"
"""
    )


@attrs.frozen
class Stage:
    """The clients before a provider of each dialect, and before one that only streams."""

    upstream: RawUpstream
    clients: dict[tuple[DialectName, bool, str], Official] = attrs.field(factory=dict)

    def play(self, one: Native, dialect: str, *, body: bytes | None = None, folded: bool = False) -> Official:
        """The client that gets the recording, or the body in its place, for an answer."""
        pieces = cut(one.played.body if body is None else body, "whole")
        self.upstream.default = answer_steps(one.played, pieces)
        return self.clients[one.dialect, folded, dialect]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage() -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        stage = Stage(await stack.enter_async_context(RawUpstream()))
        for dialect in FOLDERS:
            for folded in (False, True):
                server = await stack.enter_async_context(front(configured(stage.upstream.url, dialect, folded=folded)))
                for other in FOLDERS:
                    if other != dialect:
                        official = await stack.enter_async_context(client(server, other))
                        stage.clients[dialect, folded, other] = official
        yield stage


@asynccontextmanager
async def playing(one: Native, dialect: str) -> AsyncIterator[Official]:
    """The client that gets a recording from a server of its own, which remembers no failure of others."""
    async with (
        RawUpstream(answer_steps(one.played, cut(one.played.body, "whole"))) as upstream,
        front(configured(upstream.url, one.dialect)) as server,
        client(server, dialect) as official,
    ):
        yield official


# Answers.

PAIRS = [pair for pair in pairs(ANSWERS) if pair not in APART]
HELPED = [(dialect, name) for dialect, name in PAIRS if told(ANSWERS[name], dialect).finish not in RAISED]


@pytest.mark.parametrize(("dialect", "name"), sampled(PAIRS))
async def test_a_whole_answer_says_what_was_recorded(stage: Stage, dialect: DialectName, name: str) -> None:
    one = RECORDINGS[name]

    assert told(ANSWERS[name], dialect) == await stage.play(one, dialect, folded=one.played.stream).whole()


@pytest.mark.parametrize(("dialect", "name"), sampled(PAIRS, every=32))
async def test_the_events_of_a_stream_say_what_was_recorded(stage: Stage, dialect: DialectName, name: str) -> None:
    assert told(ANSWERS[name], dialect) == await stage.play(RECORDINGS[name], dialect).events()


@pytest.mark.parametrize(("dialect", "name"), sampled(HELPED))
async def test_the_clients_helper_gathers_what_was_recorded(stage: Stage, dialect: DialectName, name: str) -> None:
    assert told(ANSWERS[name], dialect) == await stage.play(RECORDINGS[name], dialect).streamed()


@pytest.mark.parametrize(("dialect", "name"), sampled(sorted(set(PAIRS) - set(HELPED)), every=3))
async def test_the_helper_of_chat_raises_for_an_answer_that_was_cut_or_filtered(
    stage: Stage, dialect: DialectName, name: str
) -> None:
    with pytest.raises(RAISED[told(ANSWERS[name], dialect).finish]) as caught:
        await stage.play(RECORDINGS[name], dialect).streamed()

    assert told(ANSWERS[name], dialect).text == caught.value.completion.choices[0].message.content


@pytest.mark.parametrize("name", cases(SEVERAL, ABSENT))
async def test_several_answers_are_candidates_for_google(stage: Stage, name: str) -> None:
    one = RECORDINGS[name]
    library = stage.play(one, "gemini", folded=one.played.stream).client

    answer = await library.aio.models.generate_content(model="m", contents="Hi")

    assert [[part.text for part in choice.parts] for choice in ANSWERS[name].choices] == [
        [part.text for part in candidate.content.parts] for candidate in answer.candidates
    ]


@pytest.mark.parametrize("name", cases(MALFORMED, ABSENT))
async def test_a_call_that_the_model_got_wrong_is_a_failure_for_responses(stage: Stage, name: str) -> None:
    with pytest.raises(AnswerFailed, match="server_error"):
        await stage.play(RECORDINGS[name], "responses").streamed()


@pytest.mark.parametrize("name", cases(WITHOUT_ARGUMENTS, ABSENT))
async def test_no_arguments_are_the_empty_text_for_responses(stage: Stage, name: str) -> None:
    """H9"""
    one = RECORDINGS[name]
    library = stage.play(one, "responses", folded=one.played.stream).client

    answer = await library.responses.create(model="m", input="Hi")

    assert [item.arguments for item in answer.output if item.type == "function_call"] == [""]


# Failures.

TROUBLES = {
    "invalid": ((400, openai.BadRequestError), (400, anthropic.BadRequestError), (400, google.ClientError)),
    "not found": ((404, openai.NotFoundError), (404, anthropic.NotFoundError), (404, google.ClientError)),
    "busy": ((429, openai.RateLimitError), (429, anthropic.RateLimitError), (429, google.ClientError)),
    "broken": ((502, openai.InternalServerError), (502, anthropic.InternalServerError), (502, google.ServerError)),
    "overloaded": ((503, openai.InternalServerError), (529, anthropic.OverloadedError), (503, google.ServerError)),
    "late": ((504, openai.InternalServerError), (504, anthropic.GatewayTimeoutError), (504, google.ServerError)),
}
"""Status and class of a trouble for the clients of OpenAI, Anthropic and Google."""
BY_STATUS = {400: "invalid", 404: "not found", 429: "busy", 503: "overloaded", 504: "late"}
"""Any other is the provider's fault, or the gateway's: its key, its account."""
KEY_REFUSED = b"API key not valid"
ERRORS = {name: one for name, one in RECORDINGS.items() if one.played.status != 200}
NO_ANSWERS = [name for name in DECODED for mark in BROKEN if mark in name]
TYPES = (openai.APIError, anthropic.APIError, google.APIError, AnswerFailed)


def trouble(word: str, dialect: DialectName) -> tuple[int, type[Exception]]:
    return TROUBLES[word][{"anthropic": 1, "gemini": 2}.get(dialect, 0)]


def status_of(error: Exception) -> int | None:
    return getattr(error, "status_code", None) or getattr(error, "code", None)


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize(("dialect", "name"), sampled(pairs(ERRORS)))
async def test_a_recorded_error_has_the_class_of_its_status_D95(
    dialect: DialectName, name: str, streamed: bool
) -> None:
    one = ERRORS[name]
    word = "broken" if KEY_REFUSED in one.played.body else BY_STATUS.get(one.played.status, "broken")

    async with playing(one, dialect) as official:
        with pytest.raises(TYPES) as caught:
            await (official.streamed() if streamed else official.whole())

    assert trouble(word, dialect) == (status_of(caught.value), type(caught.value))


@pytest.mark.parametrize(("dialect", "name"), sampled(pairs(NO_ANSWERS), every=1))
async def test_what_is_no_answer_is_an_error_although_its_status_is_200(dialect: DialectName, name: str) -> None:
    (word,) = [word for mark, word in BROKEN.items() if mark in name]

    async with playing(RECORDINGS[name], dialect) as official:
        with pytest.raises(TYPES) as caught:
            await (official.streamed() if RECORDINGS[name].played.stream else official.whole())

    assert trouble(word, dialect) == (status_of(caught.value), type(caught.value))


def half(one: Native) -> bytes:
    """A stream that breaks off in the middle."""
    return one.played.body[: len(one.played.body) // 2]


HALVES = [
    name
    for name in ANSWERS
    if RECORDINGS[name].played.stream and not isinstance(RECORDINGS[name].response(half(RECORDINGS[name])), Response)
]
"""The streams of which the half is no answer."""


@pytest.mark.parametrize(("dialect", "name"), sampled(pairs(HALVES), every=32))
async def test_half_a_stream_is_an_error_D71(stage: Stage, dialect: DialectName, name: str) -> None:
    one = RECORDINGS[name]

    with pytest.raises(TYPES):
        await stage.play(one, dialect, body=half(one)).streamed()


@pytest.mark.skipif(not RECORDINGS, reason=ABSENT)
async def test_the_recordings_hold_what_is_looked_for() -> None:
    found = len(ANSWERS), len(ERRORS), len(NO_ANSWERS), len(SEVERAL), len(MALFORMED), len(WITHOUT_ARGUMENTS)

    assert found == (415, 61, 7, 5, 1, 1)
    assert len(HALVES) > 150
