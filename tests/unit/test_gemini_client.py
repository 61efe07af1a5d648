"""Gemini clients: their requests read, answers written for them."""

from __future__ import annotations

import time
from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.gemini import CODEC, GeminiStreamEncoder, encode_error, encode_error_event, split_path
from modelserver.dialects.gemini.vocab import ERRORS, FINISH_WORDS
from modelserver.errors import ErrorKind, InvalidRequest, RateLimited, UpstreamFailed, UpstreamOverloaded
from modelserver.ir.events import Delta, End, Fail, Start, StreamEvent
from modelserver.ir.fold import fold, unfold
from modelserver.ir.parts import (
    Choice,
    Citation,
    Document,
    FileRef,
    Finish,
    FinishReason,
    Image,
    Inline,
    Message,
    Origin,
    Part,
    Reasoning,
    Refusal,
    Response,
    Seal,
    Text,
    TokenLogprob,
    ToolCall,
    ToolResult,
)
from modelserver.ir.request import HostedTool, ReasoningSpec, ToolChoice
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from tests.support.gemini import CARD_3, ORIGIN, SEALER, check_by_google, profile, reading, writing


def contents(*entries: dict[str, Any], **fields: Any) -> bytes:
    return orjson.dumps({"contents": list(entries), **fields})


def parts_of(*wires: dict[str, Any], role: str = "user") -> tuple[Part, ...]:
    return CODEC.decode_request(contents({"role": role, "parts": list(wires)})).messages[0].parts


USER = {"role": "user", "parts": [{"text": "hi"}]}

ROUND_TRIPS = [
    pytest.param({}, id="plain"),
    pytest.param(
        {
            "systemInstruction": {"parts": [{"text": "S"}]},
            "tools": [
                {
                    "functionDeclarations": [
                        {
                            "name": "f",
                            "description": "F",
                            "parametersJsonSchema": {"type": "object", "properties": {"a": {"type": "string"}}},
                            "behavior": "BLOCKING",
                        }
                    ]
                }
            ],
            "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
            "generationConfig": {
                "temperature": 0.5,
                "topP": 0.9,
                "topK": 40,
                "seed": 1,
                "stopSequences": ["END"],
                "candidateCount": 2,
                "maxOutputTokens": 10,
                "responseMimeType": "application/json",
                "responseJsonSchema": {"type": "object"},
                "thinkingConfig": {"thinkingLevel": "HIGH", "includeThoughts": True},
                "mediaResolution": "MEDIA_RESOLUTION_LOW",
            },
            "serviceTier": "flex",
            "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "OFF"}],
        },
        id="all fields",
    ),
    pytest.param(
        {
            "contents": [
                USER,
                {
                    "role": "model",
                    "parts": [
                        {"text": "hm", "thought": True},
                        {"functionCall": {"id": "1", "name": "f", "args": {"a": 1}}, "thoughtSignature": "AbC="},
                        {"functionCall": {"id": "2", "name": "f", "args": {}}},
                    ],
                },
                {
                    "role": "user",
                    "parts": [
                        {"functionResponse": {"id": "1", "name": "f", "response": {"output": "x"}}},
                        {"functionResponse": {"id": "2", "name": "f", "response": {"error": "y"}}},
                    ],
                },
                {"role": "model", "parts": [{"text": "a"}, {"text": "", "thoughtSignature": "AbC="}]},
                {
                    "role": "user",
                    "parts": [
                        {
                            "inlineData": {"mimeType": "image/png", "data": "iVBORw0K"},
                            "mediaResolution": {"level": "X"},
                        },
                        {"fileData": {"mimeType": "video/mp4", "fileUri": "gs://b/o"}},
                    ],
                },
            ]
        },
        id="a conversation",
    ),
    pytest.param(
        {
            "toolConfig": {"functionCallingConfig": {"mode": "VALIDATED"}},
            "tools": [{"functionDeclarations": [{"name": "f"}]}],
        },
        id="validated",
    ),
    pytest.param({"tools": [{"googleSearch": {}}, {"fileSearch": {"fileSearchStoreNames": ["s"]}}]}, id="hosted tools"),
]


@pytest.mark.parametrize("fields", ROUND_TRIPS)
def test_d2_a_request_comes_back_as_it_was(fields: dict[str, Any]) -> None:
    body = {"contents": [USER], **fields}
    request = CODEC.decode_request(orjson.dumps(body))

    assert orjson.loads(CODEC.encode_request(request, profile(CARD_3)).body) == body


def test_names_in_snake_case_are_the_same() -> None:
    camel = contents(
        {"parts": [{"functionCall": {"name": "f", "args": {"a_b": 1}}, "thoughtSignature": "x"}], "role": "model"},
        systemInstruction={"parts": [{"text": "S"}]},
        generationConfig={"maxOutputTokens": 3, "thinkingConfig": {"thinkingBudget": 0}},
        tools=[{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"x_y": 1}}]}],
    )
    snake = contents(
        {"parts": [{"function_call": {"name": "f", "args": {"a_b": 1}}, "thought_signature": "x"}], "role": "model"},
        system_instruction={"parts": [{"text": "S"}]},
        generation_config={"max_output_tokens": 3, "thinking_config": {"thinking_budget": 0}},
        tools=[{"function_declarations": [{"name": "f", "parameters_json_schema": {"x_y": 1}}]}],
    )
    first, second = CODEC.decode_request(camel), CODEC.decode_request(snake)

    assert attrs.evolve(first, reasoning=None) == attrs.evolve(second, reasoning=None)
    assert second.reasoning == ReasoningSpec(mode="off", budget=0, show="omitted", raw={"thinking_budget": 0})


def test_calls_without_ids_are_paired_with_their_results() -> None:
    request = CODEC.decode_request(
        contents(
            USER,
            {"role": "model", "parts": [{"functionCall": {"name": "f"}}, {"functionCall": {"name": "g"}}]},
            {"role": "function", "parts": [{"functionResponse": {"name": "g", "response": {"output": "G"}}}]},
            {"role": "user", "parts": [{"functionResponse": {"name": "f", "id": "new", "response": {"n": 1}}}]},
        )
    )
    calls = [part for part in request.messages[1].parts if isinstance(part, ToolCall)]
    results = [part for message in request.messages[2:] for part in message.parts if isinstance(part, ToolResult)]

    assert len({call.id for call in calls}) == 2
    assert [result.call_id for result in results] == [calls[1].id, calls[0].id]
    assert [result.content for result in results] == [(Text(text="G"),), (Text(text='{"n":1}'),)]


def test_thoughts_in_several_parts_and_entries_are_one() -> None:
    request = CODEC.decode_request(
        contents(
            USER,
            {"role": "model", "parts": [{"text": "a", "thought": True}, {"text": "b", "thought": True}]},
            {"role": "model", "parts": [{"text": "", "thought": True, "thoughtSignature": "s"}, {"text": "c"}]},
        )
    )

    assert request.messages[1:] == (
        Message(
            role="assistant",
            parts=(
                Reasoning(text="ab", form="summary", seal=Seal(kind="thought", payload="s")),
                Text(text="c"),
            ),
        ),
    )


MANY: list[dict[str, Any]] = [{"text": "a" * 1000, "thought": True}] * 20_000
LONG_TURNS = [
    pytest.param([{"role": "model", "parts": MANY}], id="in parts"),
    pytest.param([{"role": "model", "parts": [part]} for part in MANY], id="in entries"),
]


@pytest.mark.parametrize("entries", LONG_TURNS)
def test_a_thought_in_very_many_pieces_takes_no_longer_than_its_size(entries: list[dict[str, Any]]) -> None:
    body = contents(USER, *entries)
    began_s = time.process_time()
    thought = CODEC.decode_request(body).messages[1].parts[0]

    assert isinstance(thought, Reasoning)
    assert len(thought.text) == 20_000 * 1000
    assert time.process_time() - began_s < 5


@pytest.mark.parametrize(
    ("wire", "part"),
    [
        pytest.param(
            {"inlineData": {"mimeType": "image/png", "data": "a-_b"}},
            Image(source=Inline(media_type="image/png", b64="a+/b")),
            id="base64 of the URL alphabet",
        ),
        pytest.param(
            {"inlineData": {"mimeType": "application/pdf", "data": "JVBE"}},
            Document(source=Inline(media_type="application/pdf", b64="JVBE")),
            id="PDF",
        ),
        pytest.param(
            {"fileData": {"mimeType": "image/png", "fileUri": "gs://b/o"}},
            Image(source=FileRef(provider="gemini", id="gs://b/o", media_type="image/png")),
            id="file",
        ),
        pytest.param(
            {"functionCall": {"id": "i", "name": "f"}, "thoughtSignature": "skip_thought_signature_validator"},
            ToolCall(id="i", name="f", arguments="{}"),
            id="the placeholder is no seal",
        ),
    ],
)
def test_parts(wire: dict[str, Any], part: Part) -> None:
    assert parts_of(wire) == (part,)


def test_d9_what_only_google_has_is_marked() -> None:
    request = CODEC.decode_request(
        contents(
            {"parts": [{"fileData": {"fileUri": "https://youtu.be/x"}}]},
            cachedContent="cachedContents/1",
            generationConfig={"speechConfig": {"languageCode": "de"}, "audioTimestamp": True},
            safetySettings=[{"category": "c"}],
            unknownThing=1,
        )
    )

    assert [each.param for each in request.rejected] == [
        "cachedContent",
        "generationConfig.speechConfig",
        "contents[0].parts[0].fileData",
    ]
    assert [each.name for each in request.ignored] == ["safetySettings", "audioTimestamp"]
    assert request.extra["unknownThing"] == 1


def test_tools_of_every_kind() -> None:
    request = CODEC.decode_request(
        contents(
            USER,
            tools=[{"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}], "googleSearch": {}}],
            toolConfig={"functionCallingConfig": {"mode": "AUTO"}},
        )
    )

    assert request.tools[1] == HostedTool(family="web_search", dialect="gemini", raw={"googleSearch": {}})
    assert request.tool_choice == ToolChoice(mode="auto")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"contents":[]}', "contents"),
        (b"{}", "contents"),
        (contents({"role": "system", "parts": []}), "contents[0].role"),
        (contents({"parts": [1]}), "contents[0].parts[0]"),
        (contents({"parts": [{"text": 1}]}), "contents[0].parts[0].text"),
        (contents({"parts": [{"functionCall": {}}]}), "contents[0].parts[0].functionCall.name"),
        (contents({"parts": [{"inlineData": {"mimeType": "a/b"}}]}), "contents[0].parts[0].inlineData.data"),
        (contents(USER, generationConfig={"temperature": 3}), "generationConfig.temperature"),
        (contents(USER, generationConfig={"stopSequences": "x"}), "generationConfig.stopSequences"),
        (contents(USER, toolConfig={"functionCallingConfig": {"mode": "X"}}), "toolConfig.functionCallingConfig.mode"),
        (contents(USER, tools=[{"functionDeclarations": [{}]}]), "tools[0].functionDeclarations[0].name"),
    ],
)
def test_a_malformed_request_is_refused_by_its_path(body: bytes, param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        CODEC.decode_request(body)

    assert caught.value.param == param


ELSEWHERE = Origin(dialect="anthropic", provider="anthropic", account="b", model="claude")
SIGNED = Seal(kind="signature", payload="EqQB", origin=ELSEWHERE)
USAGE = Usage(input=1200, cache_read=1000, output=50, reasoning=20)
ANSWER = Response(
    id="x",
    model="claude",
    created=1,
    choices=(
        Choice(
            index=0,
            parts=(
                Reasoning(text="hm", form="summary", seal=SIGNED),
                Text(text="Höhe: 330 m", citations=(Citation(kind="url", url="u", title="T", start=6, end=11),)),
                ToolCall(id="c1", name="f", arguments='{"a":1}', seal=SIGNED),
                ToolCall(id="c2", name="f", arguments='{"a'),
            ),
            finish=Finish(reason=FinishReason.TOOL_CALLS),
            logprobs=(TokenLogprob(token="a", logprob=-1.0, top=(TokenLogprob(token="b", logprob=-2.0),)),),
        ),
    ),
    usage=USAGE,
)


def checked(body: bytes) -> dict[str, Any]:
    wire: dict[str, Any] = orjson.loads(body)
    check_by_google("GenerateContentResponse", wire)
    return wire


def frames_of(events: list[StreamEvent], **changes: Any) -> list[dict[str, Any]]:
    encoder = CODEC.stream_encoder(writing(**changes))
    wire = b"".join(encoder.feed(event) for event in events)
    return [checked(frame.removeprefix(b"data: ")) for frame in wire.split(b"\r\n\r\n") if frame]


def test_a_whole_answer_is_written() -> None:
    body = checked(CODEC.encode_response(ANSWER, writing()))
    (candidate,) = body["candidates"]
    thought, text, first, second = candidate["content"]["parts"]

    assert (thought["text"], thought["thought"]) == ("hm", True)
    assert SEALER.open(thought["thoughtSignature"], "hm") == SIGNED
    assert text == {"text": "Höhe: 330 m"}
    assert first["functionCall"] == {"id": "c1", "name": "f", "args": {"a": 1}}
    assert SEALER.open(first["thoughtSignature"], None) == SIGNED
    assert second == {"functionCall": {"id": "c2", "name": "f", "args": {"_raw": '{"a'}}}
    assert candidate["finishReason"] == "STOP"
    assert candidate["groundingMetadata"]["groundingSupports"] == [
        {
            "segment": {"partIndex": 1, "startIndex": 7, "endIndex": 12, "text": "330 m"},
            "groundingChunkIndices": [0],
        }
    ]
    assert body["usageMetadata"] == {
        "promptTokenCount": 1200,
        "cachedContentTokenCount": 1000,
        "candidatesTokenCount": 30,
        "thoughtsTokenCount": 20,
        "totalTokenCount": 1250,
    }
    assert body["modelVersion"] == "m"


def test_the_whole_and_the_streamed_answer_say_the_same() -> None:
    read = reading()
    whole = CODEC.decode_response(CODEC.encode_response(ANSWER, writing()), read)
    encoder, decoder = CODEC.stream_encoder(writing()), CODEC.stream_decoder(read)
    events = [event for said in unfold(ANSWER) for event in decoder.feed(encoder.feed(said))]
    streamed = fold([*events, *decoder.close()])

    assert isinstance(whole, Response)
    assert isinstance(streamed, Response)
    assert _plain(streamed) == _plain(whole)
    assert streamed.usage == USAGE


def _plain(response: Response) -> list[Part]:
    # A stream seals an empty part of its own, and cites at its end, when no text is open any more.
    plain: list[Part] = []
    for part in response.choices[0].parts:
        match part:
            case Text():
                plain.append(attrs.evolve(part, seal=None, citations=()))
            case Reasoning() | ToolCall():
                plain.append(attrs.evolve(part, seal=None))
            case _:
                plain.append(part)
    return plain


def test_d47_an_echoed_stream_gives_the_seals_back() -> None:
    frames = frames_of(list(unfold(ANSWER)))
    parts = [part for frame in frames for part in frame["candidates"][0]["content"].get("parts", ())]
    echoed = CODEC.decode_request(contents(USER, {"role": "model", "parts": parts}))
    thought = echoed.messages[1].parts[0]

    assert isinstance(thought, Reasoning)
    assert thought.seal is not None
    assert SEALER.open(thought.seal.payload, thought.text) == SIGNED


def test_d68_each_call_is_one_part_with_an_object() -> None:
    frames = frames_of(list(unfold(ANSWER)))
    calls = [
        part["functionCall"]
        for frame in frames
        for part in frame["candidates"][0]["content"].get("parts", ())
        if "functionCall" in part
    ]

    assert [call["args"] for call in calls] == [{"a": 1}, {"_raw": '{"a'}]


def test_the_last_chunk_has_reason_and_usage_and_no_other_has() -> None:
    *before, last = frames_of(list(unfold(ANSWER)))

    assert last["candidates"][0]["finishReason"] == "STOP"
    assert last["usageMetadata"]["totalTokenCount"] == 1250
    assert not any("usageMetadata" in frame or "finishReason" in frame["candidates"][0] for frame in before)
    assert len({frame["responseId"] for frame in (*before, last)}) == 1


def test_hidden_reasoning_keeps_its_seal() -> None:
    frames = frames_of(list(unfold(ANSWER)), show_reasoning=False)
    (part,) = frames[0]["candidates"][0]["content"]["parts"]

    assert part["text"] == ""
    assert SEALER.open(part["thoughtSignature"], "") == SIGNED


@pytest.mark.parametrize("ending", [End(), Fail(UpstreamOverloaded("busy"))])
def test_d68_an_array_is_one_however_it_ends(ending: StreamEvent) -> None:
    encoder = GeminiStreamEncoder(writing(), array=True)
    events = [*unfold(ANSWER)][:-1] if isinstance(ending, End) else [*unfold(ANSWER)][:4]
    elements = orjson.loads(b"".join(encoder.feed(event) for event in [*events, ending]))

    assert isinstance(elements, list)
    assert ("error" in elements[-1]) is isinstance(ending, Fail)


def test_d70_a_failure_is_a_frame_with_a_number() -> None:
    encoder = CODEC.stream_encoder(writing())
    encoder.feed(Start("i", "m", 1))

    assert encoder.feed(Fail(UpstreamOverloaded("busy"))) == (
        b'data: {"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}\r\n\r\n'
    )
    assert encode_error_event(UpstreamOverloaded("busy")).startswith(b'data: {"error":{"code":503,')


def test_d88_an_upstreams_own_words_are_not_shown() -> None:
    frame = CODEC.stream_encoder(writing()).feed(Fail(Complaint(status=401, message="key sk-1")))

    assert b"sk-1" not in frame
    assert b'"code":502' in frame


def test_h25_a_refusal_is_text_and_safety() -> None:
    finish = Finish(reason=FinishReason.REFUSAL, detail="No.")
    answer = attrs.evolve(ANSWER, choices=(Choice(index=0, parts=(Refusal(text="No."),), finish=finish),), usage=None)
    (candidate,) = checked(CODEC.encode_response(answer, writing()))["candidates"]

    assert candidate["content"]["parts"] == [{"text": "No."}]
    assert (candidate["finishReason"], candidate["finishMessage"]) == ("SAFETY", "No.")


def test_text_that_is_streamed_goes_out_at_once() -> None:
    events = list(unfold(ANSWER))
    encoder = CODEC.stream_encoder(writing())
    sent = [encoder.feed(event) for event in events]

    assert all(
        bool(wire) for event, wire in zip(events, sent, strict=True) if isinstance(event, Delta) and event.block < 2
    )


def test_errors_have_a_status_a_word_and_a_pause() -> None:
    error = RateLimited("slow down", retry_after_s=7)

    assert encode_error(error) == (
        429,
        orjson.dumps(
            {
                "error": {
                    "code": 429,
                    "message": "slow down",
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7s"}],
                }
            }
        ),
    )
    assert encode_error(UpstreamFailed("x"))[0] == 502


def test_every_kind_and_every_reason_has_a_word() -> None:
    assert set(ErrorKind) == ERRORS.keys()
    assert set(FinishReason) == FINISH_WORDS.keys()


def test_the_origin_of_the_tests_is_the_targets() -> None:
    assert profile().origin == ORIGIN


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1beta/models/a:generateContent", ("a", "generateContent")),
        ("/v1/models/a/b:c:streamGenerateContent", ("a/b:c", "streamGenerateContent")),
        ("/v1alpha/tunedModels/x:countTokens", ("tunedModels/x", "countTokens")),
        ("/v1beta/models/a", None),
        ("/v2/models/a:generateContent", None),
    ],
)
def test_d98_a_path_names_model_and_method(path: str, expected: tuple[str, str] | None) -> None:
    assert split_path(path) == expected
