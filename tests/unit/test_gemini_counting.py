"""Counting the tokens of a request, in both forms that Google has for it."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.dialect import Counter
from modelserver.dialects.gemini import CODEC, GEMINI
from modelserver.errors import InvalidRequest, UpstreamFailed
from modelserver.ir.request import Sampling
from modelserver.ir.types import Address, Complaint
from tests.support.gemini import profile

HERE = Address(model="fast")
CONTENTS = b'"contents":[{"parts":[{"text":"hi"}]}]'
CONVERSATION: list[Any] = [{"parts": [{"text": "hi"}]}]


def counter() -> Counter:
    assert GEMINI.counter is not None
    return GEMINI.counter


FORWARDED = [
    pytest.param(b'{ %s ,"x":7e0}' % CONTENTS, b'{ %s ,"x":7e0}' % CONTENTS, id="the conversation alone"),
    pytest.param(b'{"model":"fast",%s}' % CONTENTS, b'{"model":"models/t",%s}' % CONTENTS, id="a model beside it"),
    pytest.param(
        b'{"generateContentRequest": {"model":"models/fast",%s}}' % CONTENTS,
        b'{"generateContentRequest": {"model":"models/t",%s}}' % CONTENTS,
        id="a whole request",
    ),
    pytest.param(
        b'{"model":"a","generate_content_request":{%s,"model" : "b" }}' % CONTENTS,
        b'{"model":"models/t","generate_content_request":{%s,"model" : "models/t" }}' % CONTENTS,
        id="models in both places",
    ),
    pytest.param(
        b'{"generateContentRequest":null,%s}' % CONTENTS, b'{"generateContentRequest":null,%s}' % CONTENTS, id="null"
    ),
]


@pytest.mark.parametrize(("wire", "expected"), FORWARDED)
def test_every_model_in_the_body_becomes_the_target(wire: bytes, expected: bytes) -> None:
    ask = counter().read_request(wire, HERE)

    assert (ask.model, ask.stream) == ("fast", False)
    assert expected == counter().forward(ask, "t")


REFUSED = [
    ({}, "contents"),
    ({"contents": []}, "contents"),
    ({"generateContentRequest": 1}, "generateContentRequest"),
    ({"generateContentRequest": {}}, "generateContentRequest.contents"),
    ({"generate_content_request": {"contents": [1]}}, "generate_content_request.contents[0]"),
    ({"generateContentRequest": {"contents": CONVERSATION, "MODEL": "x"}}, "generateContentRequest.MODEL"),
    (
        {"generateContentRequest": {"contents": CONVERSATION, "generation_config": {"seed": "x"}}},
        "generateContentRequest.generation_config.seed",
    ),
    (
        {"generateContentRequest": {"contents": CONVERSATION}, "generate_content_request": {"contents": CONVERSATION}},
        "generate_content_request",
    ),
    ({"contents": CONVERSATION, "model": 1}, "model"),
]


@pytest.mark.parametrize(("body", "param"), REFUSED, ids=[f"{param} {body}" for body, param in REFUSED])
def test_a_wrong_field_is_refused(body: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        counter().read_request(orjson.dumps(body), HERE)

    assert refusal.value.param == param


def test_a_second_model_inside_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        counter().read_request(b'{"generateContentRequest":{"model":"a",%s,"model":"b"}}' % CONTENTS, HERE)

    assert refusal.value.param == "generateContentRequest.model"


def test_a_count_has_a_path_of_its_own() -> None:
    assert counter().place("a") == ("/v1beta/models/a:countTokens", {})


COUNTS = [
    pytest.param(b'{"totalTokens": 31, "promptTokensDetails": []}', 31, id="a count"),
    pytest.param(b'{"promptTokensDetails":[]}', 0, id="a zero is left out"),
]


@pytest.mark.parametrize(("body", "expected"), COUNTS)
def test_a_count_is_read(body: bytes, expected: int) -> None:
    assert counter().read_answer(body) == expected


@pytest.mark.parametrize(
    "body", [b"", b"7", b"[]", b'{"totalTokens":"7"}', b'{"totalTokens":-1}', b'{"totalTokens":1.5}']
)
def test_what_is_no_count_is_refused(body: bytes) -> None:
    with pytest.raises(UpstreamFailed) as failure:
        counter().read_answer(body)

    assert failure.value.code == "upstream_invalid_response"


def test_an_error_is_a_complaint() -> None:
    answer = counter().read_answer(b'{"error":{"code":404,"message":"no such model","status":"NOT_FOUND"}}')

    assert answer == Complaint(status=404, message="no such model", type="NOT_FOUND", in_json=True)


@pytest.mark.parametrize("name", ["generateContentRequest", "generate_content_request"])
def test_a_whole_request_inside_is_the_one_that_counts(name: str) -> None:
    inner = {"contents": CONVERSATION, "systemInstruction": {"parts": [{"text": "S"}]}}
    wire = orjson.dumps({"contents": [{"parts": [{"text": "other"}]}], name: inner})

    assert counter().decode_request(wire) == CODEC.decode_request(orjson.dumps(inner))


def test_a_conversation_alone_is_a_request() -> None:
    wire = orjson.dumps({"contents": CONVERSATION})

    assert counter().decode_request(wire) == CODEC.decode_request(wire)


def test_a_request_of_another_dialect_is_sent_whole() -> None:
    body = {"contents": CONVERSATION, "systemInstruction": {"parts": [{"text": "S"}]}, "serviceTier": "flex"}
    request = attrs.evolve(
        CODEC.decode_request(orjson.dumps(body)), dialect="chat", stream=True, sampling=Sampling(temperature=0.5)
    )
    encoded = counter().encode_request(request, profile())

    assert (encoded.path, dict(encoded.query)) == ("/v1beta/models/gemini-3-pro:countTokens", {})
    assert orjson.loads(encoded.body) == {
        "generateContentRequest": {
            "model": "models/gemini-3-pro",
            "contents": [{"role": "user", "parts": [{"text": "hi"}]}],
            "systemInstruction": {"parts": [{"text": "S"}]},
            "generationConfig": {"temperature": 0.5},
        }
    }


def test_a_count_is_written() -> None:
    assert counter().encode_answer(7) == b'{"totalTokens":7}'
