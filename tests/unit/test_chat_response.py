"""Whole answers and errors of the Chat dialect, read and written."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from modelserver.dialects.dialect import WholeAnswer
from modelserver.dialects.openai_chat import CHAT
from modelserver.dialects.openai_chat.response import (
    encode_error,
    encode_error_event,
    read_answer,
    read_error,
)
from modelserver.dialects.openai_chat.usage import read_usage
from modelserver.errors import ErrorKind, GatewayError, UpstreamFailed
from modelserver.ir.types import Complaint
from modelserver.ir.usage import MAX_TOKENS, Usage


def body(*choices: Any, **fields: Any) -> bytes:
    return orjson.dumps({"id": "c1", "choices": list(choices), **fields})


def said(message: Any, finish: Any = "stop") -> dict[str, Any]:
    return {"index": 0, "message": message, "finish_reason": finish}


PASSES = [
    pytest.param(body(said({"content": "Hi"})), id="an ordinary answer"),
    pytest.param(body(said({"content": "Hi"}, None)), id="a finish that is null"),
    pytest.param(body(said({"content": "Hi"}, "")), id="a finish that is empty"),
    pytest.param(body({}), id="a choice that says nothing"),
    pytest.param(body(None, {}), id="one choice that is an object"),
    pytest.param(body({}, error=None), id="an error that is null"),
    pytest.param(body({}, error={}), id="an error that is empty"),
    pytest.param(body({}, usage=[]), id="usage that is none"),
    pytest.param(b' {"choices":[{"x":"\\ud83d"}]}\n', id="half of an emoji"),
    pytest.param(b'{"choices":[{"x":123456789012345678901234567890}]}', id="an integer of thirty digits"),
    pytest.param(b'{"choices":[{"message":{"x":' + b"[" * 900 + b"]" * 900 + b"}}]}", id="nested 900 deep"),
]


@pytest.mark.parametrize("wire", PASSES)
def test_an_answer_with_choices_is_one(wire: bytes) -> None:
    assert isinstance(read_answer(wire), WholeAnswer)


REFUSED = [
    pytest.param(b"", id="empty"),
    pytest.param(b"  \n", id="blank"),
    pytest.param(b"<html></html>", id="a page"),
    pytest.param(b"{}", id="an empty object"),
    pytest.param(b"null", id="null"),
    pytest.param(b"[]", id="a list"),
    pytest.param(b'"hi"', id="a string"),
    pytest.param(body(), id="no choices"),
    pytest.param(b'{"choices":null}', id="choices that are null"),
    pytest.param(b'{"choices":{"0":{}}}', id="choices that are no list"),
    pytest.param(body(None, 1, "x"), id="choices that are no objects"),
    pytest.param(body({})[:-1], id="half an answer"),
    pytest.param(body({}) + b"x", id="something behind the answer"),
    pytest.param(b'data: {"choices":[{}]}\n\n', id="a stream"),
    pytest.param(b'{"choices":[{}],"x":NaN}', id="NaN"),
    pytest.param(b'{"choices":[{}],"x":"\xff"}', id="not UTF-8"),
    pytest.param('{"choices":[{}]}'.encode("utf-16"), id="UTF-16"),
    pytest.param(b'\xef\xbb\xbf{"choices":[{}]}', id="a byte order mark"),
    pytest.param(b'{"choices":[{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}]}", id="nested 10,000 deep"),
]


@pytest.mark.parametrize("wire", REFUSED)
def test_what_is_no_answer_is_a_failure_of_the_provider(wire: bytes) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        read_answer(wire)

    assert caught.value.code == "upstream_invalid_response"


CHARS = [
    pytest.param([said({"role": "assistant", "content": "Hello"})], 5, id="text"),
    pytest.param([said({"content": "é🙂"}), said({"content": "ab"})], 4, id="of every choice"),
    pytest.param([said({"content": "ab", "reasoning_content": "cd"})], 4, id="reasoning too"),
    pytest.param([said({"content": [{"type": "text", "text": "ab"}]})], 6, id="parts"),
    pytest.param([said({"tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]})], 3, id="calls"),
    pytest.param([said(None), {"message": "x"}, None, {}], 0, id="none"),
]


@pytest.mark.parametrize(("choices", "expected"), CHARS)
def test_generated_text_is_measured(choices: list[Any], expected: int) -> None:
    answer = read_answer(body(*choices))

    assert isinstance(answer, WholeAnswer)
    assert expected == answer.output_chars


def complaint(status: int, message: str | None = None, **fields: Any) -> Complaint:
    return Complaint(status=status, message=message, in_json=True, **fields)


IN_A_200 = [
    pytest.param({"error": {"message": "m", "code": 429}}, complaint(429, "m", code="429"), id="a status as code"),
    pytest.param({"error": {"message": "m", "code": "503"}}, complaint(503, "m", code="503"), id="a status as text"),
    pytest.param({"error": {"message": "m", "status": 404}}, complaint(404, "m"), id="a status under its own name"),
    pytest.param(
        {"error": {"message": "m", "code": "rate", "status": 429}},
        complaint(429, "m", code="rate"),
        id="a word and a status",
    ),
    pytest.param({"error": {"message": "m"}}, complaint(502, "m"), id="no status"),
    pytest.param({"error": {"message": "m", "code": 200}}, complaint(502, "m", code="200"), id="a status of success"),
    pytest.param({"error": {"message": "m", "code": 600}}, complaint(502, "m", code="600"), id="a status past all"),
    pytest.param({"error": {"message": "m", "code": 4290}}, complaint(502, "m", code="4290"), id="no status at all"),
    pytest.param({"error": {"message": "m", "code": "4290"}}, complaint(502, "m", code="4290"), id="nor as a text"),
    pytest.param({"error": {"message": "m", "code": True}}, complaint(502, "m"), id="a code that is no word"),
    pytest.param({"error": "m"}, complaint(502, "m"), id="a text"),
    pytest.param({"error": "m", "code": 400}, complaint(400, "m", code="400"), id="a text beside a status"),
    pytest.param({"error": True, "message": "m"}, complaint(502, "m"), id="a flag beside a message"),
    pytest.param({"error": ["m"]}, complaint(502), id="a list"),
    pytest.param({"error": {"code": 400}, "choices": [{}]}, complaint(400, code="400"), id="beside choices"),
]


@pytest.mark.parametrize(("parsed", "expected"), IN_A_200)
def test_an_error_in_a_200_is_read(parsed: dict[str, Any], expected: Complaint) -> None:
    assert expected == read_answer(orjson.dumps(parsed))


def test_a_code_of_many_digits_is_no_status() -> None:
    assert complaint(502, code="9" * 5000) == read_answer(b'{"error":{"code":"' + b"9" * 5000 + b'"}}')


ERRORS = [
    pytest.param(
        401,
        b'{"error":{"message":"Incorrect API key provided: bad.","type":"invalid_request_error","param":null,'
        b'"code":"invalid_api_key"}}',
        complaint(401, "Incorrect API key provided: bad.", type="invalid_request_error", code="invalid_api_key"),
        id="OpenAI",
    ),
    pytest.param(
        400,
        b'{"error":{"message":"Unsupported value","type":"invalid_request_error","param":"messages[0].role",'
        b'"code":"unsupported_value"}}',
        complaint(
            400, "Unsupported value", type="invalid_request_error", code="unsupported_value", param="messages[0].role"
        ),
        id="OpenAI with a parameter",
    ),
    pytest.param(401, b'{"detail":"Invalid API Key"}\n', complaint(401, "Invalid API Key"), id="Mistral"),
    pytest.param(
        422,
        b'{"object":"error","message":{"detail":[{"type":"missing","loc":["body","model"],"msg":"Field required"}]},'
        b'"type":"invalid_request_error","param":null,"code":null}',
        complaint(422, "Field required", type="invalid_request_error"),
        id="Mistral on a wrong field",
    ),
    pytest.param(
        422,
        b'{"detail":[{"msg":"one"},{"loc":[]},1,{"msg":"two"}]}',
        complaint(422, "one; two"),
        id="FastAPI on wrong fields",
    ),
    pytest.param(
        402,
        b'{"error":{"code":402,"message":"Insufficient credits"}}',
        complaint(402, "Insufficient credits", code="402"),
        id="OpenRouter, the code a number",
    ),
    pytest.param(
        429,
        b'{"error":{"code":429,"message":"Provider returned error","metadata":{"provider_name":"Google",'
        b'"raw":"model is temporarily rate-limited upstream."}},"user_id":"u"}',
        complaint(429, "Provider returned error: model is temporarily rate-limited upstream.", code="429"),
        id="OpenRouter, the cause in the metadata",
    ),
    pytest.param(
        401,
        b'{"error":{"message":"Invalid API key provided.","type":"invalid_api_key","code":401}}',
        complaint(401, "Invalid API key provided.", type="invalid_api_key", code="401"),
        id="Perplexity, the code a number",
    ),
    pytest.param(
        404,
        b'{"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist."}}',
        complaint(404, "The API deployment does not exist.", code="DeploymentNotFound"),
        id="Azure, no type",
    ),
    pytest.param(
        401,
        b'{"error":{"message":"Authentication Fails","type":"authentication_error","param":null,'
        b'"code":"invalid_request_error"}}',
        complaint(401, "Authentication Fails", type="authentication_error", code="invalid_request_error"),
        id="DeepSeek, type and code of two minds",
    ),
    pytest.param(
        400,
        b'[{"error":{"code":400,"message":"API key not valid.","status":"INVALID_ARGUMENT"}}]',
        complaint(400, "API key not valid.", code="400"),
        id="Google, in a list",
    ),
    pytest.param(404, b'{"error":"model \\"x\\" not found"}', complaint(404, 'model "x" not found'), id="a text"),
    pytest.param(500, b'{"message":"boom","code":"x"}', complaint(500, "boom", code="x"), id="at top level"),
    pytest.param(500, b'{"error":{"message":"","code":"","type":null}}', complaint(500), id="all of it empty"),
    pytest.param(500, b'{"error":{"message":5,"type":[],"param":{}}}', complaint(500), id="all of it of a wrong type"),
    pytest.param(500, b'{"error":{"message":null,"detail":"d"}}', complaint(500, "d"), id="a detail behind null"),
    pytest.param(500, b'{"error":{"message":"\\ud83d"}}', complaint(500, "\ud83d"), id="half of an emoji"),
    pytest.param(500, b"{}", complaint(500), id="an empty object"),
    pytest.param(500, b"[]", complaint(500), id="an empty list"),
    pytest.param(500, b"null", complaint(500), id="null"),
    pytest.param(500, b'{"error":[[[]]],"message":{"message":{"message":1}}}', complaint(500), id="nested nonsense"),
    pytest.param(502, b"<html><h1>502 Bad Gateway</h1></html>", Complaint(status=502), id="a page"),
    pytest.param(502, b"", Complaint(status=502), id="nothing"),
    pytest.param(502, b"\xff\xfe", Complaint(status=502), id="no text"),
    pytest.param(502, b'{"error":', Complaint(status=502), id="half of it"),
]


@pytest.mark.parametrize(("status", "wire", "expected"), ERRORS)
def test_an_error_is_read_in_every_shape(status: int, wire: bytes, expected: Complaint) -> None:
    assert expected == read_error(status, wire)


def counted(prompt: Any, completion: Any, total: Any = None, /, **fields: Any) -> dict[str, Any]:
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total, **fields}


def inside(**details: Any) -> dict[str, Any]:
    return {"prompt_tokens_details": details}


def beside(**details: Any) -> dict[str, Any]:
    return {"completion_tokens_details": details}


# Where a provider is named, the numbers are those of a recorded answer.
USAGES = [
    pytest.param(counted(10, 4, 14), Usage(input=10, output=4), id="totals"),
    pytest.param(counted(0, 0, 0), Usage(input=0, output=0), id="zeros are counts"),
    pytest.param(counted(10, None), Usage(input=10), id="one total only"),
    pytest.param(
        counted(9, 100, 109, **inside(cached_tokens=4, cache_write_tokens=3, audio_tokens=2), **beside(audio_tokens=5)),
        Usage(input=9, output=100, cache_read=4, cache_write=3, audio_in=2, audio_out=5),
        id="parts",
    ),
    pytest.param(
        counted(12, 100, 112, **beside(reasoning_tokens=64)),
        Usage(input=12, output=100, reasoning=64),
        id="reasoning inside of the completion",
    ),
    pytest.param(
        counted(436, 68, 652, **inside(cached_tokens=152), **beside(reasoning_tokens=148)),
        Usage(input=436, output=216, cache_read=152, reasoning=148),
        id="xAI: reasoning beside the completion",
    ),
    pytest.param(
        counted(28, 9, 37, **beside(reasoning_tokens=69)),
        Usage(input=28, output=78, reasoning=69),
        id="Vercel: more reasoning than completion",
    ),
    pytest.param(
        counted(9, 248, 632, **inside(audio_tokens=375, cached_tokens=0)),
        Usage(input=384, output=248, audio_in=375, cache_read=0),
        id="Mistral: audio beside the prompt",
    ),
    pytest.param(
        counted(400, 248, 1023, **inside(audio_tokens=375)),
        Usage(input=400, output=248, audio_in=375),
        id="audio that fits into the prompt is inside of it",
    ),
    pytest.param(
        counted(9, 248, 257, **inside(audio_tokens=375)),
        Usage(input=9, output=248, audio_in=9),
        id="more audio than prompt, and the total does not say why",
    ),
    pytest.param(
        counted(29, 5, 34, **inside(cached_tokens=157)),
        Usage(input=29, output=5, cache_read=29),
        id="Grok on Azure: more cached than prompt",
    ),
    pytest.param(
        counted(10, 5, 15, **inside(cached_tokens=8, cache_write_tokens=8)),
        Usage(input=10, output=5, cache_read=8, cache_write=2),
        id="reads and writes of the cache stay within the prompt",
    ),
    pytest.param(
        counted(10, 5, 99, **beside(reasoning_tokens=2)),
        Usage(input=10, output=5, reasoning=2),
        id="a total that fits nothing",
    ),
    pytest.param(
        counted(None, 5, **beside(reasoning_tokens=7)), Usage(output=12, reasoning=7), id="no prompt, more reasoning"
    ),
    pytest.param(counted(10, 5, cached_tokens=3), Usage(input=10, output=5, cache_read=3), id="Moonshot's cached"),
    pytest.param(
        counted(10, 5, prompt_cache_hit_tokens=3, prompt_cache_miss_tokens=7),
        Usage(input=10, output=5, cache_read=3),
        id="DeepSeek's cached",
    ),
    pytest.param(
        counted(10, 5, cache_read_input_tokens=3), Usage(input=10, output=5, cache_read=3), id="Databricks' cached"
    ),
    pytest.param(
        counted(10, 5, cached_tokens=3, **inside(cached_tokens=0)),
        Usage(input=10, output=5, cache_read=0),
        id="the details come first",
    ),
    pytest.param(
        counted(10, 5, **inside(cached_tokens=None), completion_tokens_details=None),
        Usage(input=10, output=5),
        id="details that are null",
    ),
    pytest.param(
        counted(10, 5, **inside(cached_tokens="3"), completion_tokens_details=[1]),
        Usage(input=10, output=5),
        id="details that are no counts",
    ),
    pytest.param(counted(MAX_TOKENS, 5), Usage(input=MAX_TOKENS, output=5), id="the largest count that is believed"),
    pytest.param(counted(MAX_TOKENS + 1, 5), Usage(output=5), id="a count too large to be one"),
    pytest.param(counted(-1, 5), Usage(output=5), id="a negative count"),
    pytest.param(counted(True, 5), Usage(output=5), id="a boolean is no count"),
    pytest.param(counted(10.0, 5), Usage(output=5), id="a float is no count"),
    pytest.param(counted("10", "5"), None, id="texts are no counts"),
    pytest.param({"total_tokens": 10}, None, id="a sum without its parts"),
    pytest.param({"input_tokens": 10, "output_tokens": 5}, None, id="words of another dialect"),
    pytest.param({}, None, id="an empty object"),
    pytest.param([], None, id="a list"),
    pytest.param(None, None, id="null"),
    pytest.param("x", None, id="a text"),
]


@pytest.mark.parametrize(("usage", "expected"), USAGES)
def test_usage_is_read(usage: Any, expected: Usage | None) -> None:
    assert expected == read_usage({"usage": usage})


GROQ = [
    pytest.param({"x_groq": {"usage": counted(1, 2)}}, Usage(input=1, output=2), id="in its own place"),
    pytest.param(
        {"usage": counted(3, 4), "x_groq": {"usage": counted(1, 2)}},
        Usage(input=3, output=4),
        id="the usual place first",
    ),
    pytest.param({"x_groq": {"id": "r"}}, None, id="no usage there"),
    pytest.param({"x_groq": None}, None, id="nothing there"),
    pytest.param({}, None, id="nothing"),
]


@pytest.mark.parametrize(("parsed", "expected"), GROQ)
def test_usage_is_read_where_groq_has_it(parsed: dict[str, Any], expected: Usage | None) -> None:
    assert expected == read_usage(parsed)


RENAMED = [
    pytest.param(b'{"a":1.0,"model":"up","b":[]}', b'{"a":1.0,"model":"mine","b":[]}', id="a model"),
    pytest.param(b' {\n "model" : null\n}\n', b' {\n "model" : "mine"\n}\n', id="null, spaces kept"),
    pytest.param(b'{"a":{"model":"up"}}', b'{"a":{"model":"up"}}', id="none of its own"),
    pytest.param(b'{"mode\\u006c":"up"}', b'{"mode\\u006c":"mine"}', id="an escaped name"),
    pytest.param(b'{"model":"up","a":"\\ud83d"}', b'{"model":"mine","a":"\\ud83d"}', id="half of an emoji"),
]


@pytest.mark.parametrize(("wire", "expected"), RENAMED)
def test_an_answer_is_renamed(wire: bytes, expected: bytes) -> None:
    assert expected == CHAT.rename(wire, "mine")


WORDS = [
    (ErrorKind.INVALID, 400, "invalid_request_error", None),
    (ErrorKind.UNSUPPORTED, 400, "invalid_request_error", "unsupported_value"),
    (ErrorKind.CONTEXT_LENGTH, 400, "invalid_request_error", "context_length_exceeded"),
    (ErrorKind.CONTENT_POLICY, 400, "invalid_request_error", "content_policy_violation"),
    (ErrorKind.AUTH, 401, "authentication_error", "authentication_error"),
    (ErrorKind.BILLING, 429, "insufficient_quota", "insufficient_quota"),
    (ErrorKind.PERMISSION, 403, "permission_error", "permission_denied"),
    (ErrorKind.NOT_FOUND, 404, "invalid_request_error", "not_found"),
    (ErrorKind.CONFLICT, 409, "invalid_request_error", "conflict"),
    (ErrorKind.TOO_LARGE, 413, "invalid_request_error", "request_too_large"),
    (ErrorKind.RATE_LIMIT, 429, "rate_limit_error", "rate_limit_exceeded"),
    (ErrorKind.TIMEOUT, 504, "server_error", "upstream_timeout"),
    (ErrorKind.OVERLOADED, 503, "server_error", "overloaded"),
    (ErrorKind.SERVER, 500, "server_error", "server_error"),
    (ErrorKind.UPSTREAM, 502, "server_error", "upstream_error"),
    (ErrorKind.UNAVAILABLE, 503, "server_error", "no_provider_key"),
    (ErrorKind.METHOD, 405, "invalid_request_error", "method_not_allowed"),
    (ErrorKind.ENCODING, 415, "invalid_request_error", "unsupported_encoding"),
    (ErrorKind.SLOW_BODY, 408, "invalid_request_error", "request_timeout"),
    (ErrorKind.CANCELLED, 499, "invalid_request_error", "client_closed_request"),
]


def error_of(kind: ErrorKind, **fields: Any) -> GatewayError:
    failure: type[GatewayError] = type("Failure", (GatewayError,), {"kind": kind})
    return failure("What, where, what to do.", **fields)


def test_every_kind_has_its_words_tested() -> None:
    assert list(ErrorKind) == [kind for kind, *_ in WORDS]


@pytest.mark.parametrize(("kind", "status", "type_", "code"), WORDS, ids=lambda value: getattr(value, "value", None))
def test_an_error_is_written(kind: ErrorKind, status: int, type_: str, code: str | None) -> None:
    actual_status, wire = encode_error(error_of(kind))

    error = {"message": "What, where, what to do.", "type": type_, "param": None, "code": code}
    assert (status, {"error": error}) == (actual_status, orjson.loads(wire))


def test_the_error_knows_its_code_and_parameter_better() -> None:
    _, wire = encode_error(error_of(ErrorKind.NOT_FOUND, code="model_not_found", param="model"))

    error = orjson.loads(wire)["error"]
    assert (error["code"], error["param"]) == ("model_not_found", "model")


def test_an_error_in_a_stream_is_one_event() -> None:
    error = error_of(ErrorKind.UPSTREAM)

    assert b"data: " + encode_error(error)[1] + b"\n\n" == encode_error_event(error)
