"""Every recorded Chat exchange, and every Chat request of a real client, through the codec."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from modelserver.dialects.codec import Writing
from modelserver.dialects.openai_chat import CODEC
from modelserver.ir.events import Fail, StreamEvent
from modelserver.ir.fold import fold, unfold
from modelserver.ir.grammar import Validator
from modelserver.ir.parts import FinishReason, Response, ToolCall
from modelserver.ir.request import CustomTool, Request
from modelserver.ir.types import Complaint
from tests.support.chat_codec import SEALER, Comparable, profile, reading
from tests.support.feeding import feed_every_way

_BESIDE = Path(__file__).parents[2].parent / "shared"
SHARED = _BESIDE if _BESIDE.is_dir() else Path(os.environ.get("MODELSERVER_SHARED", _BESIDE))


def recordings() -> dict[str, dict[str, Any]]:
    """Recorded completions by name, without those of other endpoints."""
    found = {}
    for file in sorted(SHARED.glob("recordings/openai-chat/*.json")):
        record = orjson.loads(file.read_bytes())
        if "models_list" not in record["features"]:
            found[file.stem] = record
    return found


def captured() -> dict[str, dict[str, Any]]:
    """Bodies of real clients' requests by client and number, then those of the recordings."""
    found = {}
    for file in sorted(SHARED.glob("client-requests/*/*.json")):
        record = orjson.loads(file.read_bytes())
        if record["dialect"] in ("openai-chat", "openai") and record["path"] == "/v1/chat/completions":
            found[f"{file.parent.name}/{file.stem}"] = record["body"]
    for name, record in RECORDINGS.items():
        if record["response"]["status"] == 200 and isinstance(record["request"]["body"], dict):
            found[name] = {"model": record["model"], **record["request"]["body"]}
    return found


RECORDINGS = recordings()
ANSWERS = {name: record for name, record in RECORDINGS.items() if record["response"]["status"] == 200}
STREAMS = {name: record for name, record in ANSWERS.items() if record["stream"]}
WHOLE = {name: record for name, record in ANSWERS.items() if not record["stream"]}
ERRORS = {name: record for name, record in RECORDINGS.items() if record["response"]["status"] != 200}
REQUESTS = captured()

# What a client was made to send in order to see the refusal.
REFUSED = {"openai-py/33"}

pytestmark = pytest.mark.skipif(not RECORDINGS or not REQUESTS, reason="no recordings or client requests in ../shared")


def wire_of(record: dict[str, Any]) -> bytes:
    body: str = record["response"]["body"]
    return body.encode()


def events_of(name: str) -> list[StreamEvent]:
    events: list[StreamEvent] = feed_every_way(lambda: Comparable(reading()), wire_of(STREAMS[name]))
    return events


def answer_of(name: str) -> object:
    if name in STREAMS:
        return fold(Comparable(reading()).feed(wire_of(STREAMS[name])))
    return CODEC.decode_response(wire_of(WHOLE[name]), reading())


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream_is_legal_and_the_same_however_it_is_cut_D8(name: str) -> None:
    validator = Validator()
    validator.check(events_of(name))

    assert validator.is_done


@pytest.mark.parametrize("name", STREAMS)
def test_every_beginning_of_a_recorded_stream_is_legal(name: str) -> None:
    wire = wire_of(STREAMS[name])
    chance = random.Random(name)
    for _ in range(20):
        decoder, validator = Comparable(reading()), Validator()
        validator.check(decoder.feed(wire[: chance.randint(0, len(wire))]))
        validator.check(decoder.close())

        assert validator.is_done


@pytest.mark.parametrize("name", STREAMS)
def test_a_recorded_stream_that_is_cut_before_its_finish_fails_D71(name: str) -> None:
    decoder = Comparable(reading())
    wire = wire_of(STREAMS[name])
    events = decoder.feed(wire[: len(wire) // 4]) + decoder.close()

    assert isinstance(events[-1], Fail)


@pytest.mark.parametrize("name", WHOLE)
def test_a_recorded_answer_is_read(name: str) -> None:
    answer = CODEC.decode_response(wire_of(WHOLE[name]), reading())
    (parsed,) = [orjson.loads(WHOLE[name]["response"]["body"])]

    assert isinstance(answer, Response)
    assert len(answer.choices) == len(parsed["choices"])
    assert answer.usage is not None
    validator = Validator()
    validator.check(unfold(answer))


@pytest.mark.parametrize("name", WHOLE)
def test_an_answer_with_calls_says_so(name: str) -> None:
    answer = CODEC.decode_response(wire_of(WHOLE[name]), reading())

    assert isinstance(answer, Response)
    for choice in answer.choices:
        if any(isinstance(part, ToolCall) for part in choice.parts):
            assert choice.finish.reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_and_the_stream_that_says_it_are_one_D1(name: str) -> None:
    """The stream is made of the answer by our own encoder, so that both forms of one exchange exist."""
    answer = CODEC.decode_response(wire_of(WHOLE[name]), reading())
    assert isinstance(answer, Response)
    client = writing(CustomTool(name="math_exp"))
    encoder = CODEC.stream_encoder(client)
    wire = b"".join(encoder.feed(event) for event in unfold(answer))
    streamed = fold(feed_every_way(lambda: Comparable(reading()), wire))
    whole = CODEC.decode_response(CODEC.encode_response(answer, client), reading())

    assert isinstance(streamed, Response)
    assert isinstance(whole, Response)
    assert without_payloads(streamed.choices) == without_payloads(whole.choices)


def without_payloads(choices: Any) -> list[Any]:
    """What parts say; the seals are ours and differ in nothing, the pieces of a text may be more."""
    return [
        (choice.index, choice.finish, [(type(part).__name__, getattr(part, "text", None)) for part in choice.parts])
        for choice in choices
    ]


def writing(*tools: CustomTool) -> Writing:
    request = Request(dialect="chat", model="fast", stream_usage=True, tools=tools)
    return Writing(request=request, sealer=SEALER, seed="req_1", created=1_700_000_000)


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_written_has_the_official_shape(name: str) -> None:
    answer = answer_of(name)
    if isinstance(answer, Response):
        encoder = CODEC.stream_encoder(writing())
        wire = b"".join(encoder.feed(event) for event in unfold(answer))
        for frame in wire.split(b"\n\n")[:-2]:
            ChatCompletionChunk.model_validate_json(frame.removeprefix(b"data: "))
        ChatCompletion.model_validate_json(CODEC.encode_response(answer, writing()))


@pytest.mark.parametrize("name", ERRORS)
def test_a_recorded_error_is_read_D95(name: str) -> None:
    record = ERRORS[name]

    complaint = CODEC.decode_error(record["response"]["status"], wire_of(record))

    assert isinstance(complaint, Complaint)
    assert complaint.status == record["response"]["status"]
    assert complaint.message


@pytest.mark.parametrize("name", [name for name in REQUESTS if name not in REFUSED])
def test_a_real_request_is_read(name: str) -> None:
    body = REQUESTS[name]

    request = CODEC.decode_request(orjson.dumps(body))

    assert request.model == body["model"]
    assert len(request.tools) == len(body.get("tools") or body.get("functions") or ()) + ("web_search_options" in body)
    validate_conversation(request, body)


def validate_conversation(request: Request, body: dict[str, Any]) -> None:
    """Nothing of the conversation is lost."""
    asked = [message for message in body["messages"] if message["role"] == "assistant"]

    assert len([message for message in request.messages if message.role == "assistant"]) == len(asked)
    calls = [part.id for message in request.messages for part in message.parts if isinstance(part, ToolCall)]
    assert [call["id"] for message in asked for call in message.get("tool_calls") or ()] == [
        id for id in calls if not id.startswith("call_") or any(id in str(message) for message in asked)
    ]


# Forms of a request that say the same as the canonical one, and what the canonical one has instead.
SAME = {"stream", "n", "parallel_tool_calls", "functions", "function_call"}


@pytest.mark.parametrize("name", [name for name in REQUESTS if name not in REFUSED])
def test_a_real_request_is_written_as_it_came_D2(name: str) -> None:
    body = REQUESTS[name]
    target = attrs.evolve(profile(file_parts="url"), model=body["model"])
    written = orjson.loads(CODEC.encode_request(CODEC.decode_request(orjson.dumps(body)), target).body)

    for key, value in body.items():
        if key not in SAME and key != "messages" and value not in (None, []):
            assert canonical(key, value) == canonical(key, written.get(canonical_key(key))), key
    assert [message["role"] for message in written["messages"]] == [
        {"function": "tool"}.get(message["role"], message["role"]) for message in body["messages"]
    ]
    for came, went in zip(body["messages"], written["messages"], strict=True):
        assert plain(came.get("content")) == plain(went.get("content"))


def canonical_key(key: str) -> str:
    return "max_completion_tokens" if key == "max_tokens" else key


def canonical(key: str, value: Any) -> Any:
    if value == "any":
        return "required"
    if key == "stop":
        return [value] if isinstance(value, str) else value
    if key == "tools":
        return [{"type": "function", **tool, **with_parameters(tool)} for tool in value]
    if key == "stream_options":
        return {**value, "include_usage": True}
    if key == "response_format" and value["type"] == "json_schema":
        return {**value, "json_schema": {"name": "response", **value["json_schema"]}}
    if key == "response_format":
        return {name: member for name, member in value.items() if member is not None}
    return value


def with_parameters(tool: Any) -> Any:
    function = tool.get("function")
    if not function:
        return {}
    return {"function": {"parameters": {"type": "object", "properties": {}}, **without_null(function)}}


def without_null(obj: Any) -> Any:
    return {key: value for key, value in obj.items() if value is not None}


def plain(content: Any) -> Any:
    """Content without what is only form: a list of one text is that text, no content and an empty one are one."""
    if isinstance(content, list) and all(part.get("type") == "text" for part in content):
        return "".join(part["text"] for part in content)
    if isinstance(content, list):
        return [(part["type"], part.get("text")) for part in content]
    return content or ""
