"""Counting tokens with the Responses API."""

from __future__ import annotations

import orjson
import pytest
from openai.types.responses import InputTokenCountParams, InputTokenCountResponse

from modelserver.dialects.dialect import Counter
from modelserver.dialects.openai_responses import RESPONSES
from modelserver.dialects.openai_responses.counting import COUNTED
from modelserver.errors import InvalidRequest, UpstreamFailed
from modelserver.ir.card import ModelCard
from modelserver.ir.parts import Message, Origin, Text
from modelserver.ir.profile import Profile
from modelserver.ir.request import FunctionTool, Request, Sampling
from modelserver.ir.types import NOWHERE, Complaint, Reference
from modelserver.policy.seals import EnvelopeSealer

WIRE = b'{"input":[{"role":"user","content":"a"}], "model" :"m","temperature":7e-1,"stream":true}'
PROFILE = Profile(
    model="up",
    origin=Origin(dialect="responses", provider="p", account="a", model="up"),
    card=ModelCard(),
    sealer=EnvelopeSealer(b"key"),
    pseudonym=lambda user: user,
)


def counter() -> Counter:
    found = RESPONSES.counter
    assert found is not None
    return found


def test_a_request_is_no_stream_and_leaves_with_its_bytes() -> None:
    ask = counter().read_request(WIRE, NOWHERE)

    assert (ask.model, ask.stream, ask.wants_usage) == ("m", False, False)
    assert counter().forward(ask, "m") == WIRE
    assert counter().forward(ask, "up") == WIRE.replace(b'"m"', b'"up"')
    assert counter().place("up") == ("/responses/input_tokens", {})


def test_what_the_provider_keeps_is_a_reference() -> None:
    ask = counter().read_request(b'{"model":"m","previous_response_id":"resp_1"}', NOWHERE)

    assert ask.references == (Reference(param="previous_response_id", id="resp_1"),)


REFUSED = [
    pytest.param(b'{"model":"m"}', "input", id="no input"),
    pytest.param(b'{"input":"a"}', "model", id="no model"),
    pytest.param(WIRE[:-1] + b',"model":"n"}', "model", id="two models"),
    pytest.param(WIRE[:-1] + b',"conversation":"conv_1"}', "conversation", id="a conversation"),
    pytest.param(WIRE[:-1] + b',"tools":[{}]}', "tools[0].type", id="a wrong tool"),
]


@pytest.mark.parametrize(("wire", "param"), REFUSED)
def test_a_wrong_request_is_refused(wire: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        counter().read_request(wire, NOWHERE)

    assert param == refused.value.param


ANSWERS = [
    pytest.param(b'{"object":"response.input_tokens","input_tokens":14}', 14, id="a count"),
    pytest.param(b'{"input_tokens": 0,"x":1}', 0, id="zero, and more"),
    pytest.param(b'{"input_tokens":1099511627776}', 2**40, id="the most"),
    pytest.param(
        b'{"error":{"code":"rate_limit_exceeded","message":"m"}}',
        Complaint(status=429, message="m", code="rate_limit_exceeded", in_json=True),
        id="an error",
    ),
]


@pytest.mark.parametrize(("wire", "expected"), ANSWERS)
def test_an_answer_is_read(wire: bytes, expected: int | Complaint) -> None:
    assert expected == counter().read_answer(wire)


NO_COUNTS = [
    pytest.param(b"", id="nothing"),
    pytest.param(b"5", id="a number alone"),
    pytest.param(b"{}", id="an empty object"),
    pytest.param(b'{"input_tokens":null}', id="null"),
    pytest.param(b'{"input_tokens":"5"}', id="a string"),
    pytest.param(b'{"input_tokens":5.0}', id="a float"),
    pytest.param(b'{"input_tokens":true}', id="a boolean"),
    pytest.param(b'{"input_tokens":-1}', id="less than nothing"),
    pytest.param(b'{"input_tokens":1099511627777}', id="absurdly many"),
]


@pytest.mark.parametrize("wire", NO_COUNTS)
def test_what_is_no_count_is_the_upstreams_failure(wire: bytes) -> None:
    with pytest.raises(UpstreamFailed) as failed:
        counter().read_answer(wire)

    assert failed.value.code == "upstream_invalid_response"


def test_a_foreign_request_is_reduced_to_what_is_counted() -> None:
    request = Request(
        dialect="anthropic",
        model="m",
        system=(Text(text="Be brief."),),
        messages=(Message(role="user", parts=(Text(text="a"),)),),
        tools=(FunctionTool(name="f", schema={"type": "object"}),),
        sampling=Sampling(temperature=0.5),
        max_output=99,
        stream=True,
    )
    encoded = counter().encode_request(request, PROFILE)
    body = orjson.loads(encoded.body)

    assert encoded.path == "/responses/input_tokens"
    assert list(body) == ["model", "instructions", "input", "tools"]
    assert (body["model"], body["instructions"], body["tools"][0]["name"]) == ("up", "Be brief.", "f")


def test_the_counted_fields_are_those_of_the_official_client() -> None:
    assert InputTokenCountParams.__annotations__.keys() == COUNTED


def test_an_answer_is_that_of_the_official_client() -> None:
    parsed = InputTokenCountResponse.model_validate_json(counter().encode_answer(7), strict=True)

    assert (parsed.object, parsed.input_tokens) == ("response.input_tokens", 7)


def test_a_request_of_a_client_is_decoded_as_for_a_response() -> None:
    assert counter().decode_request is RESPONSES.codec.decode_request
