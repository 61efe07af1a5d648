"""Answers of the Gemini API, read: streamed, and whole as a stream of one chunk."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.codec import WireTool
from modelserver.dialects.gemini.errors import decode_error
from modelserver.dialects.gemini.partial import PartialArguments
from modelserver.dialects.gemini.response import decode_response
from modelserver.dialects.gemini.stream import GeminiStreamDecoder
from modelserver.errors import UpstreamFailed
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Delta,
    End,
    Fail,
    FinishEvent,
    Ping,
    SealEvent,
    Start,
    StreamEvent,
)
from modelserver.ir.fold import fold
from modelserver.ir.grammar import Validator
from modelserver.ir.parts import (
    Audio,
    Citation,
    Finish,
    FinishReason,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Response,
    Seal,
    Text,
    ToolCall,
)
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from tests.support.feeding import feed_every_way
from tests.support.gemini import ORIGIN, Comparable, reading

SEAL = Seal(kind="thought", payload="AbC=", origin=ORIGIN)
UNSIGNED = Seal(kind="thought", payload="", origin=ORIGIN)
"""Says whose thought it is."""


def candidate(*parts: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"content": {"role": "model", "parts": list(parts)}, **fields}


def chunk(*parts: dict[str, Any], usage: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    extra = {} if usage is None else {"usageMetadata": usage}
    return {"candidates": [candidate(*parts, **fields)], "responseId": "r1", "modelVersion": "g", **extra}


def sse(*chunks: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + orjson.dumps(each) + b"\r\n\r\n" for each in chunks)


def events_of(wire: bytes, **changes: Any) -> list[StreamEvent]:
    """The events, which are legal and the same however the bytes are cut."""
    read = reading(**changes)
    feed_every_way(lambda: Comparable(GeminiStreamDecoder(read)), wire)
    decoder = GeminiStreamDecoder(read)
    events = [*decoder.feed(wire), *decoder.close()]
    validator = Validator()
    validator.check(events)
    assert validator.is_done
    return events


def answer_of(*chunks: dict[str, Any], **changes: Any) -> Response:
    """The answer that the chunks say; a single one says the same as a whole answer."""
    answer = fold(events_of(sse(*chunks), **changes))
    assert isinstance(answer, Response)
    if len(chunks) == 1:
        assert decode_response(orjson.dumps(chunks[0]), reading(**changes)) == answer
    return answer


STOP = {"finishReason": "STOP"}


def test_the_trace_of_the_reference() -> None:
    events = events_of(
        sse(
            chunk({"text": "Let me", "thought": True}),
            chunk({"text": " look.", "thought": True}),
            chunk({"functionCall": {"name": "lookup", "args": {"q": "tea"}}, "thoughtSignature": "AbC="}),
            {"candidates": [STOP]},
        )
    )
    id = events[6].part.id if isinstance(events[6], BlockStart) and isinstance(events[6].part, ToolCall) else ""
    call = ToolCall(id=id, name="lookup", arguments='{"q":"tea"}', seal=SEAL)

    assert id.startswith("call_")
    assert events == [
        Start("r1", "g", 0),
        BlockStart(0, 0, Reasoning(form="summary")),
        Delta(0, 0, "Let me"),
        Delta(0, 0, " look."),
        SealEvent(0, 0, UNSIGNED),
        BlockEnd(0, 0, Reasoning(text="Let me look.", form="summary", seal=UNSIGNED)),
        BlockStart(0, 1, attrs.evolve(call, arguments="", seal=None)),
        SealEvent(0, 1, SEAL),
        Delta(0, 1, '{"q":"tea"}'),
        BlockEnd(0, 1, call),
        FinishEvent(0, Finish(reason=FinishReason.TOOL_CALLS, raw="STOP")),
        End(),
    ]


PNG = {"mimeType": "image/png", "data": "iVBORw0K"}
CODE = {"executableCode": {"language": "PYTHON", "code": "print(1)\n"}}

PARTS = [
    pytest.param(
        [chunk({"text": f"{at}", "thought": True}) for at in range(4)],
        [Reasoning(text="0123", form="summary", seal=UNSIGNED)],
        id="D53 thoughts over four chunks",
    ),
    pytest.param(
        [chunk({"text": "a"}), chunk({"text": "", "thoughtSignature": "AbC="})],
        [Text(text="a"), Text(text="", seal=SEAL)],
        id="D54 a signed empty text",
    ),
    pytest.param(
        [chunk({"text": "a"}), chunk({"text": "b", "thoughtSignature": "AbC="}), chunk({"text": "c"})],
        [Text(text="a"), Text(text="b", seal=SEAL), Text(text="c")],
        id="signed text stands alone",
    ),
    pytest.param([chunk({"thoughtSignature": "AbC="})], [Text(text="", seal=SEAL)], id="a lone signature"),
    pytest.param([chunk({"text": ""}, {}), chunk({"text": "a"})], [Text(text="a")], id="empty parts"),
    pytest.param(
        [chunk({"text": "a"}, {"inlineData": PNG}, {"text": "b"})],
        [Text(text="a"), Image(source=Inline(media_type="image/png", b64="iVBORw0K")), Text(text="b")],
        id="a picture between texts",
    ),
    pytest.param(
        [chunk({"inlineData": {"mimeType": "audio/L16;rate=24000", "data": "AAAA"}})],
        [Audio(source=Inline(media_type="audio/L16;rate=24000", b64="AAAA"), format="pcm16")],
        id="sound",
    ),
    pytest.param(
        [chunk(CODE, {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}}, {"text": "1"})],
        [
            Opaque(dialect="gemini", type="executableCode", raw=CODE, fallback="\n```python\nprint(1)\n```\n"),
            Opaque(
                dialect="gemini",
                type="codeExecutionResult",
                raw={"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1\n"}},
                fallback="\n```\n1\n```\n",
            ),
            Text(text="1"),
        ],
        id="code that Google ran",
    ),
    pytest.param(
        [chunk({"videoThing": {"x": 1}})],
        [Opaque(dialect="gemini", type="videoThing", raw={"videoThing": {"x": 1}})],
        id="something new",
    ),
]


@pytest.mark.parametrize(("chunks", "parts"), PARTS)
def test_parts_are_read(chunks: list[dict[str, Any]], parts: list[Part]) -> None:
    answer = answer_of(*chunks, {"candidates": [STOP]})

    assert list(answer.choices[0].parts) == parts


def test_d32_a_big_integer_keeps_its_digits() -> None:
    wire = b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"id":"i","name":"f",'
    wire += b'"args":{"n":12345678901234567890123}}}]},"finishReason":"STOP"}]}\n\n'
    answer = fold(events_of(wire))

    assert isinstance(answer, Response)
    assert answer.choices[0].parts == (ToolCall(id="i", name="f", arguments='{"n":12345678901234567890123}'),)


def test_d23_ids_are_unique_and_the_same_whole_and_streamed() -> None:
    parts = [{"functionCall": {"name": "f", "args": {}}}, {"functionCall": {"name": "f", "args": {}}}]
    whole = answer_of(chunk(*parts, **STOP))
    streamed = answer_of(chunk(parts[0]), chunk(parts[1]), chunk({"text": ""}, **STOP))
    ids = [part.id for part in whole.choices[0].parts if isinstance(part, ToolCall)]

    assert whole == streamed
    assert len(set(ids)) == 2


def test_d26_the_names_of_the_client_come_back() -> None:
    tools = {"ns__f": WireTool(name="f", namespace="ns"), "patch": WireTool(name="patch", kind="custom")}
    wire = chunk(
        {"functionCall": {"id": "1", "name": "ns__f", "args": {}}},
        {"functionCall": {"id": "2", "name": "patch", "args": {"input": 'a"b'}}},
        {"functionCall": {"id": "3", "name": "other"}},
        **STOP,
    )

    assert answer_of(wire, tools=tools).choices[0].parts == (
        ToolCall(id="1", name="f", namespace="ns", arguments="{}"),
        ToolCall(id="2", name="patch", kind="custom", arguments='a"b'),
        ToolCall(id="3", name="other", arguments="{}"),
    )


def test_two_candidates_are_two_choices() -> None:
    first = {"candidates": [candidate({"text": "a"}, index=0), candidate({"text": "b"}, index=1)], "responseId": "r"}
    last = {"candidates": [{**STOP, "index": 1}, {"finishReason": "MAX_TOKENS", "index": 0}]}
    answer = answer_of(first, last)

    assert [(each.index, each.parts, each.finish.reason) for each in answer.choices] == [
        (0, (Text(text="a"),), FinishReason.LENGTH),
        (1, (Text(text="b"),), FinishReason.STOP),
    ]


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("STOP", FinishReason.STOP),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("RECITATION", FinishReason.CONTENT_FILTER),
        ("UNEXPECTED_TOOL_CALL", FinishReason.MALFORMED_CALL),
        ("MISSING_THOUGHT_SIGNATURE", FinishReason.ERROR),
        ("NEVER_SEEN", FinishReason.OTHER),
        (2, FinishReason.LENGTH),
    ],
)
def test_a_finish_reason(word: object, reason: FinishReason) -> None:
    assert answer_of(chunk({"text": "a"}, finishReason=word)).choices[0].finish.reason is reason


def test_a_limit_stays_a_limit_although_there_are_calls() -> None:
    wire = chunk({"functionCall": {"id": "1", "name": "f"}}, finishReason="MAX_TOKENS")

    assert answer_of(wire).choices[0].finish.reason is FinishReason.LENGTH


def test_d44_log_probabilities_have_the_bytes_of_their_tokens() -> None:
    token = {"token": "é", "logProbability": -0.1}
    result = {"chosenCandidates": [token], "topCandidates": [{"candidates": [token]}]}
    answer = answer_of(chunk({"text": "é"}, logprobsResult=result, **STOP))

    assert answer.choices[0].logprobs is not None
    (only,) = answer.choices[0].logprobs
    assert (only.token, only.logprob, only.bytes) == ("é", -0.1, (195, 169))
    assert only.top[0].bytes == (195, 169)


def test_log_probabilities_at_the_end_belong_to_the_open_text() -> None:
    result = {"chosenCandidates": [{"token": "a", "logProbability": -1}]}
    answer = answer_of(chunk({"text": "a"}), chunk(logprobsResult=result, **STOP))

    assert answer.choices[0].logprobs is not None


WEB = {"web": {"uri": "https://e.example", "title": "E"}}


def cite(start: int | None, end: int | None) -> Citation:
    return Citation(kind="url", url="https://e.example", title="E", start=start, end=end, raw=WEB)


def grounding(*segments: dict[str, Any]) -> dict[str, Any]:
    supports = [{"segment": segment, "groundingChunkIndices": [0]} for segment in segments]
    return {"groundingChunks": [WEB], "groundingSupports": supports}


CITED = [
    pytest.param(
        [chunk({"text": "Höhe: 330 m"}, groundingMetadata=grounding({"startIndex": 7, "endIndex": 12}))],
        [[cite(6, 11)]],
        id="H26 D78 bytes to code points",
    ),
    pytest.param(
        [
            chunk({"text": "😀😀 a"}),
            chunk({"text": " b"}, groundingMetadata=grounding({"startIndex": 9, "endIndex": 12})),
        ],
        [[cite(3, 6)]],
        id="D78 after emoji, over two chunks",
    ),
    pytest.param(
        [
            chunk({"text": "ab"}),
            chunk({"text": "", "thoughtSignature": "x"}, groundingMetadata=grounding({"endIndex": 2, "text": "ab"})),
        ],
        [[cite(0, 2)], []],
        id="metadata that comes with the closing signature",
    ),
    pytest.param(
        [chunk({"text": "ab"}, CODE, {"text": "cd"}, groundingMetadata=grounding({"endIndex": 2, "text": "cd"}))],
        [[], [cite(0, 2)]],
        id="offsets within the later text",
    ),
    pytest.param(
        [
            chunk(
                {"text": "ab"},
                CODE,
                {"text": "cd"},
                groundingMetadata=grounding({"startIndex": 2, "endIndex": 4, "text": "cd"}),
            )
        ],
        [[], [cite(0, 2)]],
        id="offsets within all text",
    ),
    pytest.param(
        [chunk({"text": "ab"}, groundingMetadata=grounding({"startIndex": 40, "endIndex": 90}))],
        [[cite(None, None)]],
        id="offsets outside the text",
    ),
    pytest.param([chunk({"text": "a"}, groundingMetadata={})], [[]], id="empty metadata"),
    pytest.param(
        [chunk({"text": "a"}, citationMetadata={"citations": [{"startIndex": 0, "endIndex": 1, "uri": "u"}]})],
        [[Citation(kind="url", url="u", start=0, end=1, raw={"startIndex": 0, "endIndex": 1, "uri": "u"})]],
        id="recited source",
    ),
]


@pytest.mark.parametrize(("chunks", "citations"), CITED)
def test_citations(chunks: list[dict[str, Any]], citations: list[list[Citation]]) -> None:
    answer = answer_of(*chunks, {"candidates": [STOP]})

    assert [list(part.citations) for part in answer.choices[0].parts if isinstance(part, Text)] == citations


USAGES = [
    pytest.param(
        [
            {
                "promptTokenCount": 1200,
                "cachedContentTokenCount": 1000,
                "candidatesTokenCount": 30,
                "thoughtsTokenCount": 20,
                "totalTokenCount": 1250,
            }
        ],
        Usage(input=1200, output=50, cache_read=1000, reasoning=20),
        id="D59",
    ),
    pytest.param(
        [{"promptTokenCount": 10, "toolUsePromptTokenCount": 5, "candidatesTokenCount": 3, "totalTokenCount": 18}],
        Usage(input=15, output=3, hosted_prompt=5),
        id="D61 tool prompts",
    ),
    pytest.param(
        [
            {"trafficType": "ON_DEMAND"},
            {"promptTokenCount": 9, "candidatesTokenCount": 21, "totalTokenCount": 30},
            {"promptTokenCount": 9, "totalTokenCount": 9, "candidatesTokenCount": None},
        ],
        Usage(input=9, output=21, tier="default"),
        id="D89 a last chunk that lacks a counter",
    ),
    pytest.param([{"trafficType": "ON_DEMAND"}], Usage(tier="default"), id="only a traffic type"),
    pytest.param([{"promptTokenCount": 7, "totalTokenCount": 7}], Usage(input=7, output=0), id="nothing written"),
    pytest.param(
        [
            {
                "promptTokenCount": 300,
                "candidatesTokenCount": 1295,
                "totalTokenCount": 1595,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 42}, {"modality": 4, "tokenCount": 258}],
                "candidatesTokensDetails": [{"modality": "IMAGE", "tokenCount": 1290}],
                "serviceTier": "priority",
            }
        ],
        Usage(input=300, output=1295, audio_in=258, image_out=1290, tier="priority"),
        id="media",
    ),
    pytest.param(
        [{"promptTokenCount": 5, "cachedContentTokenCount": 9, "candidatesTokenCount": -1, "totalTokenCount": 5}],
        Usage(input=5, output=0, cache_read=5),
        id="counts that can't be",
    ),
]


@pytest.mark.parametrize(("wires", "expected"), USAGES)
def test_usage(wires: list[dict[str, Any]], expected: Usage) -> None:
    chunks = [chunk({"text": "a"}, usage=wire) for wire in wires]

    assert answer_of(*chunks, {"candidates": [STOP]}).usage == expected


def test_searches_are_counted() -> None:
    metadata = {"webSearchQueries": ["a", "b"]}
    answer = answer_of(chunk({"text": "a"}, groundingMetadata=metadata, usage={"promptTokenCount": 1}, **STOP))

    assert answer.usage is not None
    assert answer.usage.server_calls == {"web_search": 2}


ERROR = {"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}
SAID = Complaint(status=503, message="Overloaded", type="UNAVAILABLE", in_json=True)
PRETTY = orjson.dumps(ERROR, option=orjson.OPT_INDENT_2)

FAILURES = [
    pytest.param(sse(chunk({"text": "a"}), ERROR), SAID, id="D69 error frame"),
    pytest.param(sse(chunk({"text": "a"})) + PRETTY, SAID, id="bare error in the middle"),
    pytest.param(sse(chunk({"text": "a"})) + PRETTY + b"\n\n", SAID, id="bare error with a blank line"),
    pytest.param(PRETTY, SAID, id="nothing but an error"),
    pytest.param(b"[" + orjson.dumps(chunk({"text": "a"})) + b"\n,\r\n" + PRETTY + b"\n]", SAID, id="D94 in an array"),
    pytest.param(sse(chunk({"text": "a"}, **STOP), ERROR), SAID, id="D93 error after the reason"),
    pytest.param(
        sse({"error": {"message": "m", "status": "RESOURCE_EXHAUSTED"}}),
        Complaint(status=429, message="m", type="RESOURCE_EXHAUSTED", in_json=True),
        id="error without a number",
    ),
    pytest.param(sse(chunk({"text": "a"})), "upstream_error", id="D71 cut"),
    pytest.param(b"", "upstream_error", id="nothing"),
    pytest.param(b"[]", "upstream_error", id="empty array"),
    pytest.param(b"[" + orjson.dumps(chunk({"text": "a"}, **STOP)), "upstream_error", id="array without its end"),
    pytest.param(sse(chunk({"text": "a"}, **STOP)) + b'data: {"candi', "upstream_error", id="cut after the reason"),
    pytest.param(b"data: nonsense\n\n", "upstream_invalid_response", id="no JSON"),
    pytest.param(b"<html>\n\n", "upstream_invalid_response", id="no SSE"),
    pytest.param(b"data: [1,2]\n\n", "upstream_invalid_response", id="no object"),
    pytest.param(sse(chunk({"functionCall": {}})), "upstream_invalid_response", id="a call without a name"),
    pytest.param(sse({"this": 1}), "upstream_error", id="no chunk"),
]


@pytest.mark.parametrize(("wire", "expected"), FAILURES)
def test_a_stream_fails(wire: bytes, expected: Complaint | str) -> None:
    last = events_of(wire)[-1]

    assert isinstance(last, Fail)
    assert expected == (last.error if isinstance(last.error, Complaint) else last.error.code)


def test_an_end_without_a_reason_is_one_where_the_quirk_says() -> None:
    events = events_of(sse(chunk({"text": "a"})), quirks={"eof_is_stop": True})

    assert events[-2:] == [FinishEvent(0, Finish(reason=FinishReason.STOP)), End()]


def test_comments_are_pings_and_blank_lines_are_nothing() -> None:
    assert events_of(b": hi\n\n\r\n\r\n" + sse(chunk(**STOP)))[0] == Ping()


@pytest.mark.parametrize("body", [b"{}", b"[]", b"1", b"<html>", b'{"candidates":[]}'])
def test_what_is_no_answer_is_refused(body: bytes) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        decode_response(body, reading())

    assert caught.value.code == "upstream_invalid_response"


def test_d72_an_error_inside_a_200_is_one() -> None:
    assert decode_response(orjson.dumps(ERROR), reading()) == SAID


def test_a_blocked_prompt_is_an_answer() -> None:
    answer = answer_of({"promptFeedback": {"blockReason": "SAFETY", "blockReasonMessage": "No."}})

    assert answer.choices[0].finish == Finish(reason=FinishReason.CONTENT_FILTER, detail="SAFETY: No.", raw="SAFETY")


COMPLAINTS = [
    pytest.param(
        400,
        {
            "code": 400,
            "message": "Bad key.",
            "status": "INVALID_ARGUMENT",
            "details": [{"@type": "x", "reason": "API_KEY_INVALID"}],
        },
        Complaint(status=401, message="Bad key.", type="INVALID_ARGUMENT", code="API_KEY_INVALID", in_json=True),
        id="D74 refused key",
    ),
    pytest.param(
        429,
        {"message": "m", "status": "RESOURCE_EXHAUSTED", "details": [{"retryDelay": "7s"}]},
        Complaint(status=429, message="m", type="RESOURCE_EXHAUSTED", in_json=True, retry_after_s=7.0),
        id="retry delay",
    ),
    pytest.param(
        400,
        {"message": "The input token count (9) exceeds the maximum number of tokens allowed (8).", "status": "X"},
        Complaint(
            status=400,
            message="The input token count (9) exceeds the maximum number of tokens allowed (8).",
            type="X",
            code="context_length_exceeded",
            in_json=True,
        ),
        id="prompt too long",
    ),
]


@pytest.mark.parametrize(("status", "error", "expected"), COMPLAINTS)
def test_d95_errors(status: int, error: dict[str, Any], expected: Complaint) -> None:
    assert decode_error(status, orjson.dumps({"error": error})) == expected
    assert decode_error(status, orjson.dumps([{"error": error}])) == expected
    assert decode_error(status, orjson.dumps(error)) == expected


@pytest.mark.parametrize(("body", "in_json"), [(b"<html>", False), (b"", False), (b"[]", True), (b'"x"', True)])
def test_an_error_that_says_nothing(body: bytes, in_json: bool) -> None:
    assert decode_error(502, body) == Complaint(status=502, in_json=in_json)


PIECES = [
    pytest.param([{"jsonPath": "$.a", "numberValue": 3.0}], {"a": 3}, id="number"),
    pytest.param([{"jsonPath": "$.a", "nullValue": "NULL_VALUE"}], {"a": None}, id="null"),
    pytest.param([{"jsonPath": "$.a[]"}], {"a": []}, id="empty list"),
    pytest.param(
        [
            {"jsonPath": "$.a[0].b", "stringValue": "x", "willContinue": True},
            {"jsonPath": "$.a[0].b", "stringValue": "y"},
            {"jsonPath": "$.a[1].b", "boolValue": True},
        ],
        {"a": [{"b": "xy"}, {"b": True}]},
        id="objects in a list",
    ),
    pytest.param([{"jsonPath": "$['k.x']", "stringValue": "v"}], {"k.x": "v"}, id="quoted key"),
    pytest.param([{"jsonPath": "$..", "stringValue": "v"}, 1, {}], {}, id="nonsense"),
]


@pytest.mark.parametrize(("entries", "expected"), PIECES)
def test_d92_arguments_in_pieces(entries: list[Any], expected: dict[str, Any]) -> None:
    arguments = PartialArguments()
    arguments.add(entries)

    assert arguments.value == expected
