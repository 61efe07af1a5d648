"""Tries, retries and the pauses between them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from modelserver.dialects.openai_chat import CHAT
from modelserver.errors import GatewayError, UpstreamConnectTimeout, UpstreamFailed
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
    WHOLE,
    Answer,
    Pause,
    Scripted,
    at_work,
    config,
    failing,
    frame,
    refusal,
    stream,
    whole,
)

RETRIES = 'retries = 2\ntimeout = { first = "10s", whole = "20s", idle = "5s", total = "60s" }'
OFTEN = 1 + 2
"""Dispatches of a fault that is retried."""

UNREACHABLE = UpstreamFailed("The provider could not be reached.", code="upstream_unreachable")
TOO_SLOW = UpstreamConnectTimeout("The provider could not be connected to in time.")
BROKEN = UpstreamFailed("The provider closed the connection without an answer.", code="upstream_error")
IN_JSON = "application/json"


def said(status: int) -> bytes:
    """An error object inside a 200."""
    return frame({"error": {"message": "no", "code": status}})


FAULTS = [
    pytest.param(failing(UNREACHABLE), 2, "502 upstream_unreachable", id="refused"),
    pytest.param(failing(TOO_SLOW), 2, "504 upstream_timeout", id="connect timeout"),
    pytest.param(failing(BROKEN), OFTEN, "502 upstream_error", id="reset before the status"),
    pytest.param(Answer(before=[SILENCE]), 1, "504 upstream_timeout", id="no head in time"),
    pytest.param(stream(SILENCE), 1, "504 upstream_timeout", id="a head, then silence"),
    pytest.param(refusal(400), 1, "400", id="400"),
    pytest.param(refusal(422), 1, "400", id="422"),
    pytest.param(refusal(413), 1, "413 request_too_large", id="413"),
    pytest.param(refusal(401), 1, "502 upstream_auth_error", id="401"),
    pytest.param(refusal(403), 1, "502 upstream_auth_error", id="403"),
    pytest.param(refusal(402), 1, "502 upstream_quota", id="402"),
    pytest.param(refusal(404), 1, "404 model_not_found", id="404 in JSON"),
    pytest.param(Answer(status=404, content_type="text/html"), 1, "502 upstream_error", id="404 of something else"),
    pytest.param(refusal(408), OFTEN, "504 upstream_timeout", id="408"),
    pytest.param(refusal(504), OFTEN, "504 upstream_timeout", id="504"),
    pytest.param(refusal(503), OFTEN, "503 overloaded", id="503"),
    pytest.param(refusal(529), OFTEN, "503 overloaded", id="529"),
    pytest.param(refusal(409), OFTEN, "502 upstream_error", id="409"),
    pytest.param(refusal(500), OFTEN, "502 upstream_error", id="500"),
    pytest.param(refusal(502), OFTEN, "502 upstream_error", id="502"),
    pytest.param(refusal(418), 1, "502 upstream_error", id="another 4xx"),
    pytest.param(refusal(429), OFTEN, "429 rate_limit_exceeded", id="429"),
    pytest.param(refusal(429, code="insufficient_quota"), 1, "502 upstream_quota", id="429 that is money"),
    pytest.param(refusal(302, headers={"Location": "http://else.invalid"}), 1, "502 upstream_error", id="a redirect"),
    pytest.param(Answer(status=204), 1, "502 upstream_error", id="204"),
    pytest.param(refusal(201), 1, "502 upstream_error", id="201"),
]
WHOLE_FAULTS = [
    *FAULTS,
    pytest.param(whole(b"{}"), OFTEN, "502 upstream_invalid_response", id="an empty object"),
    pytest.param(whole(b"null"), OFTEN, "502 upstream_invalid_response", id="null"),
    pytest.param(whole(b"<html>", headers={}), OFTEN, "502 upstream_invalid_response", id="a page"),
    pytest.param(Answer(content_type=IN_JSON), OFTEN, "502 upstream_invalid_response", id="nothing"),
    pytest.param(stream(*COMPLETE), OFTEN, "502 upstream_invalid_response", id="a stream"),
    pytest.param(
        Answer(pieces=[b'{"choi', BROKEN], content_type=IN_JSON), OFTEN, "502 upstream_error", id="a cut body"
    ),
    pytest.param(
        Answer(pieces=[b'{"choi', SILENCE], content_type=IN_JSON),
        1,
        "504 upstream_timeout",
        id="a body that stops coming",
    ),
    pytest.param(whole(said(500)[6:]), OFTEN, "502 upstream_error", id="an error in a 200"),
    pytest.param(whole(said(400)[6:]), 1, "400", id="a refusal in a 200"),
]
STREAM_FAULTS = [
    *FAULTS,
    pytest.param(stream(), OFTEN, "502 upstream_invalid_response", id="an empty stream"),
    pytest.param(stream(PING), OFTEN, "502 upstream_invalid_response", id="a comment and nothing else"),
    pytest.param(stream(DONE), OFTEN, "502 upstream_invalid_response", id="the end and nothing else"),
    pytest.param(stream(ROLE, BROKEN), OFTEN, "502 upstream_error", id="reset before content"),
    pytest.param(stream(ROLE), 1, "502 upstream_error", id="a clean end before content"),
    pytest.param(stream(ROLE, DONE), 1, "502 upstream_error", id="a clean end with its mark"),
    pytest.param(stream(ROLE, SILENCE), 1, "504 upstream_timeout", id="begun, then silence"),
    pytest.param(stream(b"data: {nonsense\n\n"), 1, "502 upstream_invalid_response", id="no JSON"),
    pytest.param(stream(b"data: []\n\n"), 1, "502 upstream_invalid_response", id="no object"),
    pytest.param(stream(b"<html>\n\n"), 1, "502 upstream_invalid_response", id="a page"),
    pytest.param(stream(said(500)), OFTEN, "502 upstream_error", id="error 500 first"),
    pytest.param(stream(ROLE, said(503)), OFTEN, "503 overloaded", id="error 503 before content"),
    pytest.param(stream(said(504)), OFTEN, "504 upstream_timeout", id="error 504 first"),
    pytest.param(stream(said(429)), OFTEN, "429 rate_limit_exceeded", id="error 429 first"),
    pytest.param(stream(said(401)), 1, "502 upstream_auth_error", id="error 401 first"),
    pytest.param(stream(said(402)), 1, "502 upstream_quota", id="error 402 first"),
    pytest.param(stream(said(400)), 1, "400", id="error 400 first"),
    pytest.param(whole(b"{}"), OFTEN, "502 upstream_invalid_response", id="JSON that is no answer"),
    pytest.param(
        Answer(pieces=[b"<html>"], content_type="text/html"), OFTEN, "502 upstream_invalid_response", id="HTML"
    ),
    pytest.param(Answer(content_type=None), OFTEN, "502 upstream_invalid_response", id="nothing of no type"),
]


def shown(error: GatewayError) -> str:
    """Status and code that the client sees."""
    status, body = CHAT.encode_error(error)
    code = json.loads(body)["error"]["code"]
    return f"{status} {code}" if code else str(status)


async def dispatches_of(answer: Answer, **body: Any) -> tuple[int, GatewayError, Scripted]:
    transport = Scripted(answer)
    async with at_work(config(defaults=RETRIES), transport) as work:
        caller = work.call(**body)
        await work.over([caller], within_s=61)
        error = await caller.error()

        assert caller.call.attempts == transport.sends
        assert caller.call.error is error
        assert (caller.call.usage, caller.call.first_byte_s) == (None, None)
    return transport.sends, error, transport


@pytest.mark.parametrize(("answer", "sends", "expected"), WHOLE_FAULTS)
async def test_a_whole_answer_is_asked_for_as_often_as_its_fault_allows(
    answer: Answer, sends: int, expected: str
) -> None:
    actual, error, transport = await dispatches_of(answer)

    assert (actual, shown(error)) == (sends, expected)
    assert transport.open_at_send == [0] * sends


@pytest.mark.parametrize(("answer", "sends", "expected"), STREAM_FAULTS)
async def test_a_stream_is_asked_for_as_often_as_its_fault_allows(answer: Answer, sends: int, expected: str) -> None:
    actual, error, transport = await dispatches_of(answer, stream=True)

    assert (actual, shown(error)) == (sends, expected)
    assert transport.open_at_send == [0] * sends


@pytest.mark.parametrize("retries", [0, 1, 2, 5])
@pytest.mark.parametrize(
    "fault", [refusal(500), failing(BROKEN), failing(UNREACHABLE)], ids=["500", "reset", "refused"]
)
async def test_dispatches_are_never_more_than_one_and_the_retries(retries: int, fault: Answer) -> None:
    transport = Scripted(fault)
    async with at_work(config(defaults=f"retries = {retries}"), transport) as work:
        await work.over([work.call()], within_s=120)

    assert transport.sends <= 1 + retries


async def test_a_connection_that_fails_twice_is_given_up_after_other_faults_too() -> None:
    transport = Scripted(failing(UNREACHABLE), refusal(500), failing(UNREACHABLE), whole())
    async with at_work(config(defaults="retries = 5"), transport) as work:
        caller = work.call()
        await work.over([caller], within_s=30)

        assert (await caller.error()).code == "upstream_unreachable"
    assert transport.sends == 3


async def test_an_answer_after_faults_is_the_answer() -> None:
    transport = Scripted(refusal(500), failing(BROKEN), whole())
    async with at_work(config(defaults=RETRIES), transport) as work:
        caller = work.call()
        await work.over([caller], within_s=10)

        assert await caller.body() == WHOLE
        assert (caller.call.attempts, caller.call.error) == (3, None)


async def test_only_the_first_dispatch_may_use_a_pooled_connection() -> None:
    transport = Scripted(refusal(500), failing(BROKEN), whole())
    async with at_work(config(defaults=RETRIES), transport) as work:
        await work.over([work.call()], within_s=10)

    assert [request.fresh for request in transport.requests] == [False, True, True]


async def test_every_dispatch_says_the_same() -> None:
    transport = Scripted(refusal(500), whole())
    async with at_work(config(defaults=RETRIES), transport) as work:
        await work.over([work.call(temperature=0.25)], within_s=10)
    first, second = transport.requests

    assert (first.url, first.headers, first.body) == (second.url, second.headers, second.body)


async def test_an_error_is_the_last_one() -> None:
    transport = Scripted(refusal(503), refusal(500), refusal(400, message="the last word"))
    async with at_work(config(defaults=RETRIES), transport) as work:
        caller = work.call()
        await work.over([caller], within_s=10)

        assert (await caller.error()).message == "the last word"


WAITS = [
    pytest.param(refusal(500), 0.125, 0.375, id="a fault without a word of when"),
    pytest.param(failing(UNREACHABLE), 0.125, 0.375, id="no connection"),
    pytest.param(refusal(429), 1.0, 1.1, id="a rate limit without a word of when"),
    pytest.param(refusal(429, headers={"Retry-After": "3"}), 3.0, 3.3, id="a rate limit"),
    pytest.param(refusal(429, headers={"Retry-After": "10"}), 10.0, 11.0, id="the longest that is waited for"),
    pytest.param(refusal(503, headers={"Retry-After": "2"}), 2.0, 2.2, id="overloaded"),
    pytest.param(refusal(429, headers={"retry-after-ms": "1500", "Retry-After": "9"}), 1.5, 1.65, id="milliseconds"),
    pytest.param(refusal(429, headers={"Retry-After": "Thu, 01 Jan 2026 00:00:04 GMT"}), 4.0, 4.4, id="until a moment"),
    pytest.param(refusal(429, headers={"Retry-After": "soon"}), 1.0, 1.1, id="nonsense"),
]


@pytest.mark.parametrize("stream_", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("fault", "least_s", "most_s"), WAITS)
async def test_the_pause_before_a_retry_is_what_the_provider_asks_for_and_a_little(
    fault: Answer, least_s: float, most_s: float, stream_: bool
) -> None:
    transport = Scripted(fault, whole())
    async with at_work(config(defaults=RETRIES), transport) as work:
        caller = work.call(stream=stream_)
        await work.clock.advance(least_s - 0.001)
        early = transport.sends
        await work.clock.advance(most_s - least_s + 0.002)
        await caller.body()

    assert (early, transport.sends) == (1, 2)


async def test_pauses_grow() -> None:
    transport = Scripted(refusal(500))
    async with at_work(config(defaults="retries = 6"), transport) as work:
        await work.over([work.call()], within_s=60)
    pauses = [after - before for before, after in zip(transport.sent_at_s, transport.sent_at_s[1:], strict=False)]

    assert [0.125 * 2**n <= pause <= 0.375 * 2**n for n, pause in enumerate(pauses)] == [True] * 6


@pytest.mark.parametrize("status", [429, 500])
async def test_pauses_of_different_calls_differ(status: int) -> None:
    transport = Scripted(refusal(status))
    async with at_work(config(defaults="retries = 1"), transport) as work:
        await work.over([work.call() for _ in range(8)], within_s=60)

    assert len(set(transport.sent_at_s[8:])) > 1


TOO_LONG = [
    pytest.param("10.5", 60, id="over ten seconds"),
    pytest.param("3600", 60, id="an hour"),
    pytest.param("5", 5, id="not within the total"),
]


@pytest.mark.parametrize(("retry_after", "total"), TOO_LONG)
@pytest.mark.parametrize("status", [429, 503])
async def test_a_pause_that_is_too_long_is_left_to_the_client(retry_after: str, total: int, status: int) -> None:
    transport = Scripted(refusal(status, headers={"Retry-After": retry_after}), whole())
    async with at_work(config(defaults=f'timeout.total = "{total}s"'), transport) as work:
        caller = await work.begin()
        error = await caller.error()

    assert transport.sends == 1
    assert error.retry_after_s == -(-float(retry_after) // 1)


async def test_a_pause_counts_from_the_answer_and_not_from_the_call() -> None:
    slow = Answer(status=429, before=[Pause(4)], headers={"Retry-After": "2"})
    transport = Scripted(slow, whole())
    async with at_work(config(defaults='timeout.total = "5s"'), transport) as work:
        caller = work.call()
        await work.clock.advance(4)
        await caller.error()

    assert transport.sends == 1


WORDS = [
    pytest.param(refusal(500, headers={"x-should-retry": "false"}), 1, id="a fault of theirs that will stay"),
    pytest.param(refusal(429, headers={"X-Should-Retry": "False"}), 1, id="a rate limit that will stay"),
    pytest.param(refusal(418, headers={"x-should-retry": "true"}), OFTEN, id="a refusal that may pass"),
    pytest.param(refusal(400, headers={"x-should-retry": "true"}), 1, id="a request that is wrong stays wrong"),
    pytest.param(refusal(500, headers={"x-should-retry": "maybe"}), OFTEN, id="no word that is known"),
]


@pytest.mark.parametrize(("answer", "sends"), WORDS)
async def test_the_providers_own_word_on_retrying_wins(answer: Answer, sends: int) -> None:
    actual, _, _ = await dispatches_of(answer)

    assert actual == sends


async def test_a_client_that_leaves_during_the_pause_ends_the_call() -> None:
    left: list[bool] = []
    transport = Scripted(refusal(429, headers={"Retry-After": "8"}), whole())
    async with at_work(config(), transport) as work:
        caller = await work.begin(has_left=lambda: bool(left))
        left.append(True)
        await work.clock.advance(0.25)
        error = await caller.error()

    assert (type(error).__name__, transport.sends) == ("ClientLeft", 1)


async def test_nothing_of_a_stream_that_failed_before_its_content_is_charged_or_sent() -> None:
    first = stream(delta_usage(100), BROKEN)
    transport = Scripted(first, stream(*COMPLETE))
    async with at_work(config(), transport) as work:
        caller = work.call(stream=True, stream_options={"include_usage": True})
        await work.over([caller], within_s=10)

        assert await caller.body() == b"".join(COMPLETE)
        assert caller.call.usage is not None
        assert (caller.call.usage.input, caller.call.usage.output) == (7, 2)
        assert not caller.call.usage_estimated


async def test_nothing_is_charged_where_every_stream_failed_before_its_content() -> None:
    transport = Scripted(stream(delta_usage(100), BROKEN))
    async with at_work(config(), transport) as work:
        caller = work.call(stream=True)
        await work.over([caller], within_s=10)
        await caller.error()

        assert (caller.call.usage, caller.call.usage_estimated) == (None, False)


async def test_usage_of_a_whole_answer_after_a_failed_stream_is_the_answers() -> None:
    transport = Scripted(stream(ROLE, BROKEN), whole())
    async with at_work(config(), transport) as work:
        caller = work.call(stream=True)
        await work.over([caller], within_s=10)
        await caller.body()

        assert caller.call.usage is not None
        assert (caller.call.usage.input, caller.call.usage.output, caller.call.usage_estimated) == (7, 2, False)


UNREPORTED = [
    pytest.param(stream(ROLE, TEXT, MORE, FINISH, DONE), True, 3, id="a stream"),
    pytest.param(whole(WHOLE.replace(b'"usage"', b'"other"')), False, 2, id="a whole answer"),
    pytest.param(whole(WHOLE.replace(b": 7", b": -7").replace(b": 2", b": null")), False, 2, id="nonsense"),
]


@pytest.mark.parametrize(("answer", "stream_", "output"), UNREPORTED)
async def test_usage_that_is_not_reported_is_estimated(answer: Answer, stream_: bool, output: int) -> None:
    async with at_work(config(), Scripted(answer)) as work:
        caller = await work.begin(stream=stream_)
        await caller.body()

        assert caller.call.usage is not None
        assert caller.call.usage.input == -(-caller.call.prompt_bytes // 4)
        assert (caller.call.usage.output, caller.call.usage_estimated) == (output, True)


async def test_an_answer_of_no_type_is_what_it_begins_with() -> None:
    transport = Scripted(Answer(pieces=[WHOLE], content_type=None))
    async with at_work(config(), transport) as work:
        caller = await work.begin(stream=True)

        assert (await caller.body()).endswith(DONE)


async def test_a_stream_of_no_type_loses_no_byte() -> None:
    transport = Scripted(Answer(pieces=[ROLE, TEXT + FINISH, USAGE, DONE], content_type="text/plain"))
    async with at_work(config(), transport) as work:
        caller = await work.begin(stream=True, stream_options={"include_usage": True})

        assert await caller.body() == ROLE + TEXT + FINISH + USAGE + DONE
    assert transport.answers[0].finished == 1


def delta_usage(tokens: int) -> bytes:
    """A chunk without content that reports usage."""
    choice = {"index": 0, "delta": {"role": "assistant"}, "finish_reason": None}
    return frame({"choices": [choice], "usage": {"prompt_tokens": tokens, "completion_tokens": tokens}})
