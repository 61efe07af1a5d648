"""What a failed attempt tells the client, and what may follow it."""

from __future__ import annotations

from typing import Any

import pytest

from modelserver.dialects.openai_chat.response import encode_error, read_error
from modelserver.errors import (
    ErrorKind,
    GatewayError,
    InvalidRequest,
    StreamBroken,
    UpstreamConnectTimeout,
    UpstreamFailed,
    UpstreamTimeout,
)
from modelserver.ir.types import Complaint
from modelserver.policy.faults import Fault, Verdict, backoff_s, classify, judge
from modelserver.policy.redaction import Redactor

RETRY, ONCE, NEXT, GIVE_UP = Verdict.RETRY, Verdict.RETRY_ONCE, Verdict.NEXT_TARGET, Verdict.GIVE_UP


def fault_of(status: int, body: bytes = b"", **told: Any) -> Fault:
    return classify(read_error(status, body), provider="acme", clean=Redactor().clean, **told)


STATUSES = [
    pytest.param(400, ErrorKind.INVALID, None, GIVE_UP, id="400"),
    pytest.param(401, ErrorKind.UPSTREAM, "upstream_auth_error", NEXT, id="401"),
    pytest.param(402, ErrorKind.UPSTREAM, "upstream_quota", NEXT, id="402"),
    pytest.param(403, ErrorKind.UPSTREAM, "upstream_auth_error", NEXT, id="403"),
    pytest.param(404, ErrorKind.UPSTREAM, "upstream_error", NEXT, id="404, not in JSON"),
    pytest.param(405, ErrorKind.UPSTREAM, "upstream_error", GIVE_UP, id="405"),
    pytest.param(408, ErrorKind.TIMEOUT, None, RETRY, id="408"),
    pytest.param(409, ErrorKind.UPSTREAM, "upstream_error", RETRY, id="409"),
    pytest.param(413, ErrorKind.TOO_LARGE, None, GIVE_UP, id="413"),
    pytest.param(418, ErrorKind.UPSTREAM, "upstream_error", GIVE_UP, id="418"),
    pytest.param(422, ErrorKind.INVALID, None, GIVE_UP, id="422"),
    pytest.param(429, ErrorKind.RATE_LIMIT, None, RETRY, id="429"),
    pytest.param(499, ErrorKind.UPSTREAM, "upstream_error", GIVE_UP, id="499"),
    pytest.param(500, ErrorKind.UPSTREAM, "upstream_error", RETRY, id="500"),
    pytest.param(502, ErrorKind.UPSTREAM, "upstream_error", RETRY, id="502"),
    pytest.param(503, ErrorKind.OVERLOADED, None, RETRY, id="503"),
    pytest.param(504, ErrorKind.TIMEOUT, None, RETRY, id="504"),
    pytest.param(520, ErrorKind.UPSTREAM, "upstream_error", RETRY, id="520"),
    pytest.param(529, ErrorKind.OVERLOADED, None, RETRY, id="529"),
    pytest.param(599, ErrorKind.UPSTREAM, "upstream_error", RETRY, id="599"),
    pytest.param(101, ErrorKind.UPSTREAM, "upstream_error", NEXT, id="101"),
    pytest.param(201, ErrorKind.UPSTREAM, "upstream_error", NEXT, id="201"),
    pytest.param(204, ErrorKind.UPSTREAM, "upstream_error", NEXT, id="204"),
    pytest.param(302, ErrorKind.UPSTREAM, "upstream_error", NEXT, id="302"),
    pytest.param(304, ErrorKind.UPSTREAM, "upstream_error", NEXT, id="304"),
    pytest.param(307, ErrorKind.UPSTREAM, "upstream_error", NEXT, id="307"),
    pytest.param(600, ErrorKind.UPSTREAM, "upstream_error", NEXT, id="600"),
    pytest.param(999, ErrorKind.UPSTREAM, "upstream_error", NEXT, id="999"),
]


@pytest.mark.parametrize(("status", "kind", "code", "verdict"), STATUSES)
def test_a_status_is_judged(status: int, kind: ErrorKind, code: str | None, verdict: Verdict) -> None:
    fault = fault_of(status)

    assert (kind, code, verdict) == (fault.error.kind, fault.error.code, fault.verdict)


CLIENT_SEES = [
    (400, 400),
    (401, 502),
    (402, 502),
    (403, 502),
    (404, 502),
    (405, 502),
    (408, 504),
    (409, 502),
    (413, 413),
    (418, 502),
    (422, 400),
    (429, 429),
    (500, 502),
    (503, 503),
    (504, 504),
    (529, 503),
    (204, 502),
    (307, 502),
    (999, 502),
]


@pytest.mark.parametrize(("status", "expected"), CLIENT_SEES)
def test_a_status_of_the_provider_is_one_for_the_client(status: int, expected: int) -> None:
    assert expected == encode_error(fault_of(status).error)[0]


# The bodies are of the shapes that providers send.
SHAPES = [
    pytest.param(
        404,
        b'{"error":{"message":"The model `x` does not exist","code":"model_not_found"}}',
        (ErrorKind.NOT_FOUND, "model_not_found", "model", NEXT),
        id="OpenAI: no such model",
    ),
    pytest.param(
        404,
        b'{"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist."}}',
        (ErrorKind.NOT_FOUND, "model_not_found", "model", NEXT),
        id="Azure: no such deployment",
    ),
    pytest.param(404, b"<h1>nginx</h1>", (ErrorKind.UPSTREAM, "upstream_error", None, NEXT), id="a page for a 404"),
    pytest.param(
        400,
        b'{"error":{"message":"Unsupported value","param":"messages[0].role","code":"unsupported_value"}}',
        (ErrorKind.INVALID, "unsupported_value", "messages[0].role", GIVE_UP),
        id="OpenAI: a wrong value",
    ),
    pytest.param(
        400,
        b'{"error":{"message":"too long","code":"context_length_exceeded","param":"messages"}}',
        (ErrorKind.CONTEXT_LENGTH, None, "messages", GIVE_UP),
        id="OpenAI: too long",
    ),
    pytest.param(
        400,
        b'{"error":{"message":"prompt too long; exceeded max context length by 1119046 tokens","type":"x"}}',
        (ErrorKind.CONTEXT_LENGTH, None, None, GIVE_UP),
        id="Ollama: too long",
    ),
    pytest.param(
        400,
        b'{"error":{"message":"This endpoint\'s maximum context length is 200000 tokens.","code":400}}',
        (ErrorKind.CONTEXT_LENGTH, None, None, GIVE_UP),
        id="OpenRouter: too long",
    ),
    pytest.param(
        400,
        b'{"error":{"code":400,"message":"Provider returned error","metadata":{"raw":"{\\"error\\":{\\"message\\":'
        b'\\"Prompt is too long\\"}}"}}}',
        (ErrorKind.CONTEXT_LENGTH, None, None, GIVE_UP),
        id="OpenRouter: too long, said by the provider behind it",
    ),
    pytest.param(
        400,
        b'{"error":{"code":400,"message":"the request exceeds the available context size",'
        b'"type":"exceed_context_size_error"}}',
        (ErrorKind.CONTEXT_LENGTH, None, None, GIVE_UP),
        id="llama.cpp: too long",
    ),
    pytest.param(
        400,
        b'{"error":{"message":"The response was filtered","code":"content_filter"}}',
        (ErrorKind.CONTENT_POLICY, None, None, GIVE_UP),
        id="Azure: filtered",
    ),
    pytest.param(
        400,
        b'{"error":{"message":"filtered","code":"ResponsibleAIPolicyViolation"}}',
        (ErrorKind.CONTENT_POLICY, None, None, GIVE_UP),
        id="Azure: filtered, the other word",
    ),
    pytest.param(
        400,
        b'[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key."}}]',
        (ErrorKind.UPSTREAM, "upstream_auth_error", None, NEXT),
        id="Google: our key, with a 400",
    ),
    pytest.param(
        400,
        b'{"code":"x","error":"Incorrect API key provided: xa***yz. You can obtain one at the console."}',
        (ErrorKind.UPSTREAM, "upstream_auth_error", None, NEXT),
        id="xAI: our key, with a 400",
    ),
    pytest.param(
        400,
        b'{"error":{"message":"tools[0].function.name is not valid"}}',
        (ErrorKind.INVALID, None, None, GIVE_UP),
        id="something else that is not valid",
    ),
    pytest.param(
        400,
        b'{"error":{"message":"m","code":"a b\\n<c>","param":"a b\\n<c>"}}',
        (ErrorKind.INVALID, None, None, GIVE_UP),
        id="a code and a parameter that are no words",
    ),
    pytest.param(
        400,
        b'{"error":{"message":"m","code":400}}',
        (ErrorKind.INVALID, None, None, GIVE_UP),
        id="a code that is the status again",
    ),
    pytest.param(
        422,
        b'{"detail":[{"loc":["body","model"],"msg":"Field required"}]}',
        (ErrorKind.INVALID, None, None, GIVE_UP),
        id="FastAPI",
    ),
    pytest.param(
        401,
        b'{"error":{"message":"Authentication Fails","type":"authentication_error","code":"invalid_request_error"}}',
        (ErrorKind.UPSTREAM, "upstream_auth_error", None, NEXT),
        id="DeepSeek: our key",
    ),
    pytest.param(
        429,
        b'{"error":{"message":"You exceeded your current quota","type":"insufficient_quota",'
        b'"code":"insufficient_quota"}}',
        (ErrorKind.UPSTREAM, "upstream_quota", None, NEXT),
        id="OpenAI: no credit",
    ),
    pytest.param(
        429,
        b'{"error":{"message":"quota","type":"insufficient_quota","code":null}}',
        (ErrorKind.UPSTREAM, "upstream_quota", None, NEXT),
        id="no credit, said by the type",
    ),
    pytest.param(
        429,
        b'{"error":{"code":"RateLimitReached","message":"exceeded rate limit"}}',
        (ErrorKind.RATE_LIMIT, None, None, RETRY),
        id="Azure: too many requests",
    ),
    pytest.param(429, b"slow down", (ErrorKind.RATE_LIMIT, None, None, RETRY), id="a 429 in words"),
]


@pytest.mark.parametrize(("status", "body", "expected"), SHAPES)
def test_an_error_is_judged_by_what_it_says(status: int, body: bytes, expected: tuple[Any, ...]) -> None:
    fault = fault_of(status, body)

    assert expected == (fault.error.kind, fault.error.code, fault.error.param, fault.verdict)


SAID = [
    pytest.param(400, b'{"error":{"message":"Look at  x"}}', "Look at  x", id="a refusal is quoted"),
    pytest.param(400, b"<html>", "acme refused the request without saying why.", id="a refusal that says nothing"),
    pytest.param(413, b'{"error":{"message":"Too big"}}', "Too big", id="a size is quoted"),
    pytest.param(413, b"", "The request is larger than the provider accepts.", id="a size without words"),
    pytest.param(404, b'{"error":{"message":"No x"}}', "No x", id="a missing model is quoted"),
    pytest.param(404, b"{}", "acme does not know this model.", id="a missing model without words"),
    pytest.param(
        500, b'{"error":{"message":"Boom."}}', "acme answered with status 500: Boom.", id="a failure is quoted"
    ),
    pytest.param(500, b"", "acme answered with status 500.", id="a failure without words"),
    pytest.param(
        503, b'{"error":{"message":"Busy"}}', "acme is overloaded: Busy; retry in 5 s.", id="overload is quoted"
    ),
    pytest.param(504, b'{"error":{"message":"Late."}}', "acme timed out: Late.", id="a timeout is quoted"),
    pytest.param(
        401,
        b'{"error":{"message":"Incorrect API key provided: abc"}}',
        "acme refused the key of this server; whoever runs the server has to check it.",
        id="words about our key are not",
    ),
    pytest.param(
        402,
        b'{"error":{"message":"Organization org-1 is out of credit"}}',
        "The account of this server at acme has no credit left.",
        id="words about our account are not",
    ),
    pytest.param(
        429,
        b'{"error":{"message":"Organization org-1 is limited"}}',
        "acme is limiting the rate of requests; retry in 5 s.",
        id="words about our limits are not",
    ),
]


@pytest.mark.parametrize(("status", "body", "expected"), SAID)
def test_the_client_is_told(status: int, body: bytes, expected: str) -> None:
    assert expected == fault_of(status, body).error.message


@pytest.mark.parametrize("status", [400, 404, 413, 422, 500, 503, 504])
def test_what_is_quoted_is_redacted_and_short(status: int) -> None:
    complaint = Complaint(status=status, message="the-secret at host.example " + "x" * 9000, in_json=True)

    message = classify(complaint, provider="acme", clean=Redactor(["the-secret"], ["host.example"]).clean).error.message

    assert ("the-secret" in message, "host.example" in message, len(message) < 600) == (False, False, True)


WAITS = [
    pytest.param(429, None, 5, 1.0, id="429 without a time"),
    pytest.param(429, 0.0, 0, 0.0, id="429 at once"),
    pytest.param(429, 2.5, 3, 2.5, id="429 with a fraction"),
    pytest.param(429, 3600.0, 3600, 3600.0, id="429 with an hour"),
    pytest.param(503, None, 5, None, id="503 without a time"),
    pytest.param(503, 2.5, 3, 2.5, id="503 with a fraction"),
    pytest.param(529, 7.0, 7, 7.0, id="529"),
    pytest.param(500, 7.0, None, None, id="500 says nothing on when"),
]


@pytest.mark.parametrize(("status", "asked_s", "told_s", "wait_s"), WAITS)
def test_a_pause_is_told_and_kept(status: int, asked_s: float | None, told_s: int | None, wait_s: float | None) -> None:
    fault = fault_of(status, retry_after_s=asked_s)

    assert (told_s, wait_s) == (fault.error.retry_after_s, fault.wait_s)


CONTEXT = b'{"error":{"message":"m","code":"context_length_exceeded"}}'

ASKED = [
    pytest.param(500, b"", None, RETRY, id="nothing said"),
    pytest.param(500, b"", False, NEXT, id="no to a failure"),
    pytest.param(429, b"", False, NEXT, id="no to a limit"),
    pytest.param(503, b"", False, NEXT, id="no to overload"),
    pytest.param(429, b"", True, RETRY, id="yes to a limit"),
    pytest.param(418, b"", True, RETRY, id="yes to a status that is not known"),
    pytest.param(400, b"", True, GIVE_UP, id="yes to a refusal counts for nothing"),
    pytest.param(422, b"", True, GIVE_UP, id="yes to a 422 counts for nothing"),
    pytest.param(413, b"", True, GIVE_UP, id="yes to a size counts for nothing"),
    pytest.param(400, CONTEXT, True, GIVE_UP, id="yes to a prompt too long counts for nothing"),
    pytest.param(400, b'{"error":{"code":"content_filter"}}', True, GIVE_UP, id="yes to a filter counts for nothing"),
    pytest.param(401, b"", True, NEXT, id="yes to our key counts for nothing"),
    pytest.param(402, b"", True, NEXT, id="yes to our account counts for nothing"),
    pytest.param(404, b"{}", True, NEXT, id="yes to a missing model counts for nothing"),
    pytest.param(400, b"", False, GIVE_UP, id="no to a refusal"),
]


@pytest.mark.parametrize(("status", "body", "should_retry", "verdict"), ASKED)
def test_the_provider_may_have_a_word_on_retries(
    status: int, body: bytes, should_retry: bool | None, verdict: Verdict
) -> None:
    assert verdict is fault_of(status, body, should_retry=should_retry).verdict


def test_a_request_that_the_provider_finds_too_large_leaves_the_connection_open() -> None:
    assert not fault_of(413).error.close


FAILURES = [
    pytest.param(UpstreamFailed("x", code="upstream_unreachable"), ONCE, id="no connection"),
    pytest.param(UpstreamConnectTimeout("x"), ONCE, id="no connection in time"),
    pytest.param(UpstreamTimeout("x"), NEXT, id="silence"),
    pytest.param(UpstreamFailed("x", code="upstream_error"), RETRY, id="a broken connection"),
    pytest.param(UpstreamFailed("x", code="upstream_invalid_response"), RETRY, id="an answer that makes no sense"),
    pytest.param(UpstreamFailed("x", code="upstream_too_large"), GIVE_UP, id="an answer over the limit"),
    pytest.param(StreamBroken("x", code="upstream_error"), GIVE_UP, id="a stream that ended too early"),
    pytest.param(StreamBroken("x", code="upstream_invalid_response"), GIVE_UP, id="a stream that holds nonsense"),
    pytest.param(InvalidRequest("x"), GIVE_UP, id="the client's mistake"),
]


@pytest.mark.parametrize(("error", "verdict"), FAILURES)
def test_a_failure_without_an_answer_is_judged(error: GatewayError, verdict: Verdict) -> None:
    assert Fault(error=error, verdict=verdict) == judge(error)


BACKOFFS = [
    pytest.param(1, 0.0, 0.125, id="the shortest"),
    pytest.param(1, 1.0, 0.375, id="the first, at most"),
    pytest.param(2, 0.5, 0.5, id="the second"),
    pytest.param(3, 0.5, 1.0, id="the third"),
]


@pytest.mark.parametrize(("attempt", "jitter", "expected"), BACKOFFS)
def test_pauses_grow(attempt: int, jitter: float, expected: float) -> None:
    assert expected == backoff_s(attempt, jitter=jitter)


LEAKS = [
    pytest.param({"code": "sk-proj-0123456789abcdef"}, id="what looks like a key, as the code"),
    pytest.param({"param": "sk-proj-0123456789abcdef"}, id="what looks like a key, as the field"),
    pytest.param({"code": "up.internal"}, id="a host, as the code"),
    pytest.param({"param": "messages.known-secret"}, id="a known secret, as the field"),
]


@pytest.mark.parametrize("fields", LEAKS)
def test_a_code_or_field_that_is_no_such_thing_is_left_out(fields: dict[str, str]) -> None:
    complaint = Complaint(status=400, message="no", in_json=True, **fields)
    error = classify(complaint, provider="acme", clean=Redactor(["known-secret"], ["up.internal"]).clean).error

    assert (error.code, error.param) == (None, None)
