"""Requests and whole answers between a Gemini client and a Gemini upstream: what passes, what is edited or refused."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from modelserver.dialects.gemini import GEMINI, GEMINI_ARRAY
from modelserver.errors import InvalidRequest, RateLimited, UpstreamFailed
from modelserver.ir.types import Address, Ask, Complaint
from modelserver.ir.usage import Usage

HERE = Address(model="fast")
HELLO = b'{"contents":[{"role":"user","parts":[{"text":"hi"}]}]}'
ODD = (
    b' {"vendor_x" : {"b":1,"a":[1,2]},\n"contents":[ {"parts":[{"text":"a \\u00e9 \\/"}], "x":7e0}, {"role":"robot"}],'
    b'"generation_config":{"top_p":1.00,"seed":7e0,"maxOutputTokens":"64","vendor":null},'
    b'"system_instruction":{"parts":{"text":"S"}},"tool_config":null} '
)


def read(wire: bytes, address: Address = HERE) -> Ask:
    return GEMINI.read_request(wire, address)


def forwarded(wire: bytes, *, target: str = "fast", **params: Any) -> bytes:
    texts = {name: orjson.dumps(value) for name, value in params.items()}
    return GEMINI.forward(read(wire), target=target, params=texts, ask_usage=True, drop_options=True, quirks={"x": 1})


def test_a_request_passes_with_every_byte() -> None:
    assert forwarded(ODD) == ODD


@pytest.mark.parametrize("stream", [False, True])
def test_model_and_stream_are_those_of_the_path(stream: bool) -> None:
    ask = read(b'{"model":"models/other","stream":true,' + HELLO[1:], Address(model="fast", stream=stream))

    assert (ask.model, ask.stream) == ("fast", stream)


@pytest.mark.parametrize(("given", "model"), [("models/a", "a"), ("a/b", "a/b"), ("tunedModels/t", "tunedModels/t")])
def test_the_kind_of_a_tuned_model_stays(given: str, model: str) -> None:
    assert read(HELLO, Address(model=given)).model == model


MODELS = [
    pytest.param(b'{"model":"models/fast",%s', "big", b'{"model":"models/big",%s', id="another model"),
    pytest.param(b'{"model" : "fast" ,%s', "fast", b'{"model" : "models/fast" ,%s', id="without its kind"),
    pytest.param(b'{"model":"models/fast",%s', "fast", b'{"model":"models/fast",%s', id="the target already"),
    pytest.param(b'{"model":null,%s', "big", b'{"model":null,%s', id="null"),
    pytest.param(b'{"mod\\u0065l":"x",%s', "big", b'{"mod\\u0065l":"models/big",%s', id="an escaped name"),
    pytest.param(b'{"model":"x",%s', "tunedModels/t", b'{"model":"tunedModels/t",%s', id="a tuned model"),
    pytest.param(b'{"model":"x",%s', "models/a/b", b'{"model":"models/a/b",%s', id="a target with its kind"),
]


@pytest.mark.parametrize(("wire", "target", "expected"), MODELS)
def test_a_model_in_the_body_becomes_the_target(wire: bytes, target: str, expected: bytes) -> None:
    assert expected % HELLO[1:] == forwarded(wire % HELLO[1:], target=target)


PLACES = [
    pytest.param("a", False, ("/v1beta/models/a:generateContent", {}), id="whole"),
    pytest.param("a", True, ("/v1beta/models/a:streamGenerateContent", {"alt": "sse"}), id="stream"),
    pytest.param("models/a b", False, ("/v1beta/models/a%20b:generateContent", {}), id="escaped"),
    pytest.param("tunedModels/t", False, ("/v1beta/tunedModels/t:generateContent", {}), id="tuned"),
]


@pytest.mark.parametrize("dialect", [GEMINI, GEMINI_ARRAY])
@pytest.mark.parametrize(("target", "stream", "expected"), PLACES)
def test_a_stream_is_always_asked_for_as_events(target: str, stream: bool, expected: Any, dialect: Any) -> None:
    assert expected == dialect.place(target, stream)


PARAMS = [
    pytest.param(b"", {"temperature": 0.5}, b',"generationConfig":{"temperature":0.5}', id="no config"),
    pytest.param(b',"generationConfig":{}', {"top_k": 3}, b',"generationConfig":{"topK":3}', id="empty config"),
    pytest.param(b',"generationConfig": null', {"seed": 1}, b',"generationConfig": {"seed":1}', id="null config"),
    pytest.param(
        b',"generationConfig":{"topP":0.10}',
        {"top_p": 1, "max_tokens": 9},
        b',"generationConfig":{"topP":0.10,"maxOutputTokens":9}',
        id="only what is missing",
    ),
    pytest.param(
        b',"generation_config":{ "top_p":0.1 }',
        {"top_p": 1, "presence_penalty": 1, "frequency_penalty": 2},
        b',"generation_config":{ "top_p":0.1 ,"presencePenalty":1,"frequencyPenalty":2}',
        id="the other spelling",
    ),
    pytest.param(
        b',"generationConfig":{"temperature" :null,"seed":2}',
        {"temperature": 1},
        b',"generationConfig":{"temperature" :1,"seed":2}',
        id="null counts as none",
    ),
    pytest.param(b"", {"stop": "a"}, b',"generationConfig":{"stopSequences":["a"]}', id="one stop"),
    pytest.param(b"", {"stop": ["a", "b"]}, b',"generationConfig":{"stopSequences":["a","b"]}', id="stops"),
    pytest.param(
        b"",
        {"max_tokens": 5, "max_completion_tokens": 6},
        b',"generationConfig":{"maxOutputTokens":6}',
        id="one limit",
    ),
    pytest.param(b"", {"logit_bias": {}, "seed": None}, b"", id="what the dialect lacks is left out"),
]


@pytest.mark.parametrize(("before", "params", "after"), PARAMS)
def test_params_are_added_where_the_client_sent_none(before: bytes, params: dict[str, Any], after: bytes) -> None:
    assert HELLO[:-1] + after + b"}" == forwarded(HELLO[:-1] + before + b"}", **params)


QUIRKS = [
    pytest.param({"drop": ("labels",)}, b',"labels":{},"x":7e0', b',"x":7e0', id="drop"),
    pytest.param(
        {"drop": ("generationConfig.topK", "safetySettings")},
        b',"generation_config":{"top_k":1,"topP":0.10},"safety_settings":[]',
        b',"generationConfig":{"topP":0.10}',
        id="drop: in another spelling",
    ),
    pytest.param({"drop": ("contents",)}, b"", b"", id="drop: not what is needed"),
    pytest.param({"rename": {"serviceTier": "tier"}}, b',"service_tier" : "x"', b',"tier" : "x"', id="rename"),
    pytest.param({"add": {"labels": {}}}, b',"x" : 1', b',"x" : 1,"labels":{}', id="add"),
    pytest.param({"add": {"serviceTier": "y"}}, b',"service_tier":"x"', b',"serviceTier":"x"', id="add: not over it"),
    pytest.param({"allow": ("labels",)}, b',"x":1,"labels":{}', b',"labels":{}', id="allow"),
]


@pytest.mark.parametrize(("quirks", "before", "after"), QUIRKS)
def test_quirks_edit_fields_and_nothing_else_H41(quirks: dict[str, Any], before: bytes, after: bytes) -> None:
    ask = read(HELLO[:-1] + before + b"}")
    out = GEMINI.forward(ask, target="fast", params={}, ask_usage=True, drop_options=False, quirks=quirks)

    assert HELLO[:-1] + after + b"}" == out


def test_a_model_and_params_are_edited_together() -> None:
    wire = b'{"generationConfig":{"seed":1},"model":"x",' + HELLO[1:]

    assert b'{"generationConfig":{"seed":1,"topP":1},"model":"models/t",' + HELLO[1:] == forwarded(
        wire, target="t", top_p=1
    )


ACCEPTED = [
    {"generationConfig": {"topK": 40.0, "seed": "-7", "temperature": "0.5", "maxOutputTokens": 5.0}},
    {"generationConfig": {"thinkingConfig": {"thinkingBudget": -1, "thinkingLevel": "VAST"}}},
    {"generationConfig": {"responseModalities": ["SMELL", 2], "mediaResolution": "MEDIA_RESOLUTION_HUGE"}},
    {"generationConfig": {"stopSequences": list("abcdefgh"), "responseJsonSchema": True}},
    {"toolConfig": {"functionCallingConfig": {"mode": "SOMETIMES"}}},
    {"tools": [{"googleSearch": {}}, {"function_declarations": [{"name": "f"}]}]},
    {"systemInstruction": "S"},
    {"serviceTier": "royal"},
    {"contents": [{}]},
    {"contents": [{"role": "oracle", "parts": [{"vendor": 1}]}]},
]


@pytest.mark.parametrize("fields", ACCEPTED, ids=str)
def test_what_a_provider_may_know_is_accepted(fields: dict[str, Any]) -> None:
    body = {"contents": [{"parts": [{"text": "hi"}]}], **fields}

    assert read(orjson.dumps(body)).parsed == body


REFUSED = [
    ({"contents": None}, "contents"),
    ({"contents": "hi"}, "contents"),
    ({"contents": []}, "contents"),
    ({"contents": [{}, "hi"]}, "contents[1]"),
    ({"contents": [{"role": 1}]}, "contents[0].role"),
    ({"contents": [{"parts": "hi"}]}, "contents[0].parts"),
    ({"contents": [{"parts": [{}, 1]}]}, "contents[0].parts[1]"),
    ({"model": 1}, "model"),
    ({"Model": "models/x"}, "Model"),
    ({"systemInstruction": 1}, "systemInstruction"),
    ({"system_instruction": {"parts": [1]}}, "system_instruction.parts[0]"),
    ({"tools": {}}, "tools"),
    ({"tools": [1]}, "tools[0]"),
    ({"tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
    ({"tools": [{"function_declarations": [{"name": 1}]}]}, "tools[0].function_declarations[0].name"),
    ({"tools": [{"functionDeclarations": 1}]}, "tools[0].functionDeclarations"),
    ({"toolConfig": 1}, "toolConfig"),
    ({"toolConfig": {"functionCallingConfig": {"mode": []}}}, "toolConfig.functionCallingConfig.mode"),
    ({"generationConfig": []}, "generationConfig"),
    ({"generationConfig": {"temperature": 2.5}}, "generationConfig.temperature"),
    (
        {"generationConfig": {"routingConfig": {"manualMode": {"modelName": "other"}}}},
        "generationConfig.routingConfig",
    ),
    (
        {"generation_config": {"routing_config": {"manual_mode": {"model_name": "other"}}}},
        "generation_config.routing_config",
    ),
    ({"generationConfig": {"temperature": True}}, "generationConfig.temperature"),
    ({"generationConfig": {"topP": "much"}}, "generationConfig.topP"),
    ({"generation_config": {"top_k": -1}}, "generation_config.top_k"),
    ({"generationConfig": {"candidateCount": 0}}, "generationConfig.candidateCount"),
    ({"generationConfig": {"maxOutputTokens": 0}}, "generationConfig.maxOutputTokens"),
    ({"generationConfig": {"maxOutputTokens": "0"}}, "generationConfig.maxOutputTokens"),
    ({"generationConfig": {"stopSequences": "END"}}, "generationConfig.stopSequences"),
    ({"generationConfig": {"stopSequences": ["a", 1]}}, "generationConfig.stopSequences[1]"),
    ({"generationConfig": {"seed": 1.5}}, "generationConfig.seed"),
    ({"generationConfig": {"presencePenalty": 3}}, "generationConfig.presencePenalty"),
    ({"generationConfig": {"frequencyPenalty": -3}}, "generationConfig.frequencyPenalty"),
    ({"generationConfig": {"responseLogprobs": 1}}, "generationConfig.responseLogprobs"),
    ({"generationConfig": {"logprobs": 21}}, "generationConfig.logprobs"),
    ({"generationConfig": {"responseMimeType": 1}}, "generationConfig.responseMimeType"),
    ({"generationConfig": {"responseSchema": 1}}, "generationConfig.responseSchema"),
    ({"generationConfig": {"responseModalities": "TEXT"}}, "generationConfig.responseModalities"),
    ({"generationConfig": {"thinkingConfig": 1}}, "generationConfig.thinkingConfig"),
    (
        {"generationConfig": {"thinkingConfig": {"thinkingBudget": -2}}},
        "generationConfig.thinkingConfig.thinkingBudget",
    ),
    ({"generationConfig": {"thinkingConfig": {"thinkingLevel": {}}}}, "generationConfig.thinkingConfig.thinkingLevel"),
    ({"safetySettings": {}}, "safetySettings"),
    ({"cachedContent": 1}, "cachedContent"),
    ({"labels": []}, "labels"),
    ({"store": "no"}, "store"),
    ({"serviceTier": {}}, "serviceTier"),
    ({"continuationToken": 1}, "continuationToken"),
    ({"generationConfig": {}, "generation_config": {}}, "generation_config"),
]


@pytest.mark.parametrize(("fields", "param"), REFUSED, ids=[f"{param} {fields}" for fields, param in REFUSED])
def test_a_wrong_field_is_refused_by_the_name_that_the_client_wrote(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(orjson.dumps({"contents": [{"parts": [{"text": "hi"}]}], **fields}))

    assert refusal.value.param == param


TWICE = [
    pytest.param(b'{"model":"a","model":"b",' + HELLO[1:], "model", id="model"),
    pytest.param(b'{"model":"a","m\\u006fdel":"b",' + HELLO[1:], "model", id="hidden behind an escape"),
    pytest.param(HELLO[:-1] + b',"contents":[{}]}', "contents", id="contents"),
    pytest.param(HELLO[:-1] + b',"tool_config":{},"tool_config":{}}', "tool_config", id="the other spelling"),
]


@pytest.mark.parametrize(("wire", "param"), TWICE)
def test_a_field_that_stands_twice_is_refused(wire: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(wire)

    assert refusal.value.param == param


def test_a_path_without_a_model_is_refused() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(HELLO, Address())

    assert refusal.value.param == "model"


ANSWER = (
    b'{ "candidates":[{"content":{"parts":[{"text":"hey","thought":true},{"text":"you"}]}}],\n"modelVersion":"up" }'
)


def test_a_whole_answer_is_read_whatever_its_reason() -> None:
    body = ANSWER[:-2] + b',"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":2,"thoughtsTokenCount":1}}'
    whole = GEMINI.read_answer(body)

    assert not isinstance(whole, Complaint)
    assert (whole.parsed, whole.output_chars, whole.ids) == (orjson.loads(body), 6, ())
    assert whole.usage == Usage(input=3, output=3, reasoning=1)


ANSWERS = [
    pytest.param(b'{"candidates":[{}]}', id="an empty candidate"),
    pytest.param(b'{"promptFeedback":{"blockReason":"SAFETY"}}', id="a blocked prompt"),
    pytest.param(b'[{"candidates":[{}]},{"usageMetadata":{}}]', id="a stream that came as one array"),
    pytest.param(b'{"candidates":[{"content":{"parts":[{"text":"\\ud83d"}]}}]}', id="half an emoji"),
    pytest.param(b'{"candidates":[1,{"content":[],"index":"x","finishReason":{}}],"usageMetadata":7}', id="odd types"),
]


@pytest.mark.parametrize("body", ANSWERS)
def test_an_unusual_answer_is_one(body: bytes) -> None:
    whole = GEMINI.read_answer(body)

    assert not isinstance(whole, Complaint)
    assert whole.usage is None


NO_ANSWERS = [
    pytest.param(b"<html>", id="a page"),
    pytest.param(b"", id="nothing"),
    pytest.param(b"null", id="null"),
    pytest.param(b"{}", id="an empty object"),
    pytest.param(b"[]", id="an empty list"),
    pytest.param(b'[{"candidates":[{}]},1]', id="a list with something else"),
    pytest.param(b'{"candidates":[]}', id="no candidates"),
    pytest.param(b'{"candidates":[1]}', id="a candidate that is none"),
    pytest.param(b'{"promptFeedback":{},"usageMetadata":{}}', id="feedback without a reason"),
    pytest.param(b'{"candidates":' + b"[" * 3000 + b"]" * 3000 + b"}", id="too deep"),
]


@pytest.mark.parametrize("body", NO_ANSWERS)
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(UpstreamFailed) as failure:
        GEMINI.read_answer(body)

    assert failure.value.code == "upstream_invalid_response"


COMPLAINTS = [
    pytest.param(b'{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED"}}', 429, id="a number"),
    pytest.param(b'{"error":{"message":"later","status":"UNAVAILABLE"}}', 503, id="a word"),
    pytest.param(b'[{"error":{"message":"no"}}]', 502, id="in an array"),
    pytest.param(b'{"error":"no"}', 502, id="a text"),
]


@pytest.mark.parametrize(("body", "status"), COMPLAINTS)
def test_an_error_inside_a_success_is_a_complaint(body: bytes, status: int) -> None:
    complaint = GEMINI.read_answer(body)

    assert isinstance(complaint, Complaint)
    assert complaint.status == status


RENAMED = [
    pytest.param(ANSWER, ANSWER.replace(b'"up"', b'"mine"'), id="an answer"),
    pytest.param(b'{"candidates":[{}]}', b'{"candidates":[{}]}', id="no name"),
    pytest.param(b'{"candidates":[{}],"modelVersion":1}', b'{"candidates":[{}],"modelVersion":1}', id="no string"),
    pytest.param(
        b'[ {"modelVersion":"up","candidates":[{"modelVersion":"x"}]} ,\n{},{"modelVersion" : "up2"}]',
        b'[ {"modelVersion":"mine","candidates":[{"modelVersion":"x"}]} ,\n{},{"modelVersion" : "mine"}]',
        id="each chunk of an array",
    ),
]


@pytest.mark.parametrize(("body", "expected"), RENAMED)
def test_an_answer_gets_the_name_that_was_asked_for(body: bytes, expected: bytes) -> None:
    assert expected == GEMINI.rename(body, "mine")


def test_errors_of_array_clients_stand_in_an_array() -> None:
    error = RateLimited("Slow down.")
    status, body = GEMINI.encode_error(error, "req_1")

    assert (status, b"[" + body + b"]") == GEMINI_ARRAY.encode_error(error, "req_1")
    assert b"data: " + body + b"\r\n\r\n" == GEMINI.encode_error_event(error)
    assert b"[" + body + b"]" == GEMINI_ARRAY.encode_error_event(error)


def test_nothing_of_the_clients_headers_goes_on() -> None:
    assert (dict(GEMINI.headers), tuple(GEMINI.passed_headers), GEMINI.name) == ({}, (), "gemini")
    assert (GEMINI_ARRAY.name, GEMINI_ARRAY.replay, GEMINI.replay) == ("gemini", None, None)
