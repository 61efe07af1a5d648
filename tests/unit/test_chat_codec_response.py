"""Answers as a Chat client gets them: whole, and streamed."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest
from openai.lib.streaming.chat._completions import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from modelserver.dialects.codec import Writing
from modelserver.dialects.openai_chat.stream_writing import ChatStreamEncoder
from modelserver.dialects.openai_chat.vocab import FINISH_WORDS
from modelserver.dialects.openai_chat.writing import encode_response
from modelserver.errors import UpstreamFailed, UpstreamOverloaded
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Cite,
    Delta,
    End,
    Fail,
    FinishEvent,
    Ping,
    SealEvent,
    Section,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.fold import unfold
from modelserver.ir.grammar import Validator
from modelserver.ir.parts import (
    Audio,
    Choice,
    Citation,
    Finish,
    FinishReason,
    Image,
    Inline,
    Opaque,
    Origin,
    Part,
    Reasoning,
    Refusal,
    Response,
    Seal,
    Text,
    TokenLogprob,
    ToolCall,
)
from modelserver.ir.request import CustomTool, ReasoningSpec, Request
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from modelserver.policy.seals import EnvelopeSealer

SEALER = EnvelopeSealer(b"key")
ORIGIN = Origin(dialect="anthropic", provider="p", account="a", model="claude")
STOP = Finish(reason=FinishReason.STOP)
CALLS = Finish(reason=FinishReason.TOOL_CALLS)
USAGE = Usage(input=10, output=5, cache_read=3, reasoning=2)


def writing(**changes: Any) -> Writing:
    show = changes.pop("show_reasoning", True)
    request = attrs.evolve(Request(dialect="chat", model="fast", stream_usage=True), **changes)
    return Writing(request=request, sealer=SEALER, seed="req_1", created=1_700_000_000, show_reasoning=show)


def response(*parts: Part, finish: Finish = STOP, usage: Usage | None = USAGE, **more: Any) -> Response:
    choice = Choice(index=0, parts=parts, finish=finish, **more)
    return Response(id="x", model="claude", created=1, choices=(choice,), usage=usage)


def whole(answer: Response, **changes: Any) -> dict[str, Any]:
    return orjson.loads(encode_response(answer, writing(**changes)))


def frames(events: list[StreamEvent], **changes: Any) -> list[Any]:
    encoder = ChatStreamEncoder(writing(**changes))
    text = b"".join(encoder.feed(event) for event in events)
    assert not text or text.endswith(b"\n\n")
    datas = [frame.removeprefix(b"data: ") for frame in text.split(b"\n\n")[:-1]]
    return [data.decode() if data == b"[DONE]" else orjson.loads(data) for data in datas]


def deltas(events: list[StreamEvent], **changes: Any) -> list[Any]:
    """Of the first choice: each delta, then the finish reason."""
    said: list[Any] = []
    for frame in frames(events, **changes):
        for choice in frame["choices"] if isinstance(frame, dict) and "choices" in frame else ():
            said.append(choice["finish_reason"] or choice["delta"])
    return said


def block(part: Part, *events: StreamEvent, begun: Part | None = None, number: int = 0) -> list[StreamEvent]:
    return [BlockStart(0, number, begun or part), *events, BlockEnd(0, number, part)]


def stream(*events: StreamEvent, finish: Finish = STOP) -> list[StreamEvent]:
    return [Start("x", "claude", 1), *events, FinishEvent(0, finish), UsageUpdate(USAGE, final=True), End()]


ROLE = {"role": "assistant", "content": ""}
EMPTY_CALL = ToolCall(id="call_1", name="f", arguments="")
CALL = ToolCall(id="call_1", name="f", arguments='{"a":1}')
SEAL = Seal(kind="signature", payload="EqQB", origin=ORIGIN)
THOUGHT = Reasoning(text="I think", seal=SEAL)


def detail_of(answer: Response, **changes: Any) -> Any:
    return whole(answer, **changes)["choices"][0]["message"].get("reasoning_details")


MESSAGES = [
    pytest.param((Text(text="Hi "), Text(text="you")), STOP, {"content": "Hi you", "refusal": None}, "stop", id="text"),
    pytest.param(
        (CALL,),
        CALLS,
        {
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}],
        },
        "tool_calls",
        id="call",
    ),
    pytest.param((), STOP, {"content": ""}, "stop", id="nothing"),
    pytest.param(
        (Refusal(text="no"),),
        Finish(reason=FinishReason.REFUSAL),
        {"content": None, "refusal": "no"},
        "stop",
        id="H25 refusal with words",
    ),
    pytest.param(
        (),
        Finish(reason=FinishReason.REFUSAL),
        {"content": None, "refusal": None},
        "content_filter",
        id="H25 refusal without words",
    ),
    pytest.param(
        (),
        Finish(reason=FinishReason.CONTENT_FILTER),
        {"content": None, "refusal": None},
        "content_filter",
        id="H25 filter",
    ),
    pytest.param(
        (Text(text="a"),), Finish(reason=FinishReason.CONTEXT_FULL), {"content": "a"}, "length", id="context full"
    ),
    pytest.param(
        (Opaque(dialect="gemini", type="code", raw={}, fallback="```x```"), Text(text="a")),
        STOP,
        {"content": "```x```a"},
        "stop",
        id="H27 code of a provider",
    ),
    pytest.param(
        (Opaque(dialect="gemini", type="code", raw={}), Text(text="a")),
        STOP,
        {"content": "a"},
        "stop",
        id="H27 hosted calls are left out",
    ),
    pytest.param(
        (
            Text(text="ab"),
            Text(
                text="cdé",
                citations=(Citation(kind="url", url="u", title="t", start=1, end=3), Citation(kind="document")),
            ),
        ),
        STOP,
        {
            "annotations": [
                {"type": "url_citation", "url_citation": {"start_index": 3, "end_index": 5, "url": "u", "title": "t"}}
            ]
        },
        "stop",
        id="D78 H26 citations are shifted",
    ),
    pytest.param(
        (Image(source=Inline(media_type="image/png", b64="iVBOR")),),
        STOP,
        {
            "content": None,
            "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBOR"}, "index": 0}],
        },
        "stop",
        id="images",
    ),
    pytest.param(
        (Reasoning(text="r"), Text(text="a")),
        STOP,
        {"reasoning_content": "r", "reasoning": "r"},
        "stop",
        id="H18 reasoning",
    ),
    pytest.param(
        (Reasoning(text="abcd", form="summary", sections=(0, 2)),),
        STOP,
        {"reasoning_content": "ab\n\ncd"},
        "stop",
        id="sections",
    ),
]


@pytest.mark.parametrize(("parts", "finish", "expected", "word"), MESSAGES)
def test_a_whole_answer_says_its_parts(parts: tuple[Part, ...], finish: Finish, expected: Any, word: str) -> None:
    choice = whole(response(*parts, finish=finish))["choices"][0]

    assert expected == {key: choice["message"].get(key) for key in expected}
    assert word == choice["finish_reason"]


@pytest.mark.parametrize(("parts", "finish", "expected", "word"), MESSAGES)
def test_a_streamed_answer_adds_up_to_the_whole_one(
    parts: tuple[Part, ...], finish: Finish, expected: Any, word: str
) -> None:
    answer = response(*parts, finish=finish)
    state: ChatCompletionStreamState[Any] = ChatCompletionStreamState()
    for frame in frames(list(unfold(answer))):
        if frame != "[DONE]":
            state.handle_chunk(ChatCompletionChunk.model_validate(frame))
    streamed, said = state.current_completion_snapshot.model_dump(), whole(answer)

    assert streamed["choices"][0]["finish_reason"] == said["choices"][0]["finish_reason"]
    assert streamed["usage"]["total_tokens"] == said["usage"]["total_tokens"]
    got = streamed["choices"][0]["message"]
    for key, value in said["choices"][0]["message"].items():
        assert (value or None) == _without_index(got.get(key) or None), key


def _without_index(value: Any) -> Any:
    """The helper leaves the index of a call and adds its parsed arguments."""
    if isinstance(value, list):
        return [_without_index(item) for item in value]
    if isinstance(value, dict) and "function" in value:
        function = {key: value["function"][key] for key in ("name", "arguments")}
        return {**{key: value[key] for key in value if key != "index"}, "function": function}
    return value


def test_a_whole_answer_has_the_shape_of_the_official_type() -> None:
    body = whole(response(THOUGHT, Text(text="a"), CALL, finish=CALLS))

    ChatCompletion.model_validate(body)
    assert (body["object"], body["model"], body["created"]) == ("chat.completion", "fast", 1_700_000_000)
    assert len(body["id"]) == len("chatcmpl-") + 29


def test_the_stream_has_the_id_of_the_whole_answer() -> None:
    answer = response(Text(text="a"))

    assert {whole(answer)["id"]} == {frame["id"] for frame in frames(list(unfold(answer))) if frame != "[DONE]"}


def test_usage_says_what_is_known_D60() -> None:
    assert whole(response())["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 15,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert "usage" not in whole(response(usage=None))


def test_every_reason_but_error_has_a_word() -> None:
    assert set(FINISH_WORDS) == set(FinishReason) - {FinishReason.ERROR}


def test_an_answer_that_ended_in_an_error_is_none() -> None:
    with pytest.raises(UpstreamFailed):
        whole(response(Text(text="a"), finish=Finish(reason=FinishReason.ERROR)))


def test_logprobs_are_those_of_the_tokens_D44() -> None:
    token = TokenLogprob(token="é", logprob=-0.1, bytes=(195, 169))
    entry = {"token": "é", "logprob": -0.1, "bytes": [195, 169]}

    said = whole(response(Text(text="é"), logprobs=(attrs.evolve(token, top=(token,)),)))

    assert said["choices"][0]["logprobs"] == {"content": [{**entry, "top_logprobs": [entry]}], "refusal": None}


def test_the_older_form_of_calls_is_used_for_those_who_asked_in_it() -> None:
    choice = whole(response(CALL, finish=CALLS), legacy_functions=True)["choices"][0]

    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "f", "arguments": '{"a":1}'}
    assert "tool_calls" not in choice["message"]


CUSTOM = ToolCall(id="c", name="p", arguments="x\ny", kind="custom")


def test_a_custom_call_goes_to_those_who_declared_one() -> None:
    tools = (CustomTool(name="p"),)

    assert whole(response(CUSTOM, finish=CALLS), tools=tools)["choices"][0]["message"]["tool_calls"] == [
        {"id": "c", "type": "custom", "custom": {"name": "p", "input": "x\ny"}}
    ]


def test_a_custom_call_is_a_function_for_all_others() -> None:
    assert whole(response(CUSTOM, finish=CALLS))["choices"][0]["message"]["tool_calls"] == [
        {"id": "c", "type": "function", "function": {"name": "p", "arguments": '{"input":"x\\ny"}'}}
    ]


def test_a_sealed_thought_comes_with_its_envelope_D45() -> None:
    (detail,) = detail_of(response(THOUGHT))

    assert (detail["type"], detail["text"], detail["format"], detail["index"]) == (
        "reasoning.text",
        "I think",
        "modelserver-v1",
        0,
    )
    assert SEALER.open(detail["signature"], "I think") == SEAL


def test_a_summary_says_where_its_sections_begin() -> None:
    (detail,) = detail_of(response(attrs.evolve(THOUGHT, form="summary", sections=(0, 2))))

    assert (detail["type"], detail["summary"], detail["sections"]) == ("reasoning.summary", "I think", [0, 2])


def test_a_hidden_thought_is_an_envelope_alone_D49() -> None:
    (detail,) = detail_of(response(Reasoning(form="hidden", seal=attrs.evolve(SEAL, kind="redacted"))))

    assert detail["type"] == "reasoning.encrypted"
    assert SEALER.open(detail["data"], "") == attrs.evolve(SEAL, kind="redacted")


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"show_reasoning": False}, id="by the route"),
        pytest.param({"reasoning": ReasoningSpec(show="omitted")}, id="by the request"),
    ],
)
def test_reasoning_that_is_not_to_be_shown_comes_back_all_the_same(changes: Any) -> None:
    message = whole(response(THOUGHT), **changes)["choices"][0]["message"]

    assert "reasoning_content" not in message
    assert SEALER.open(message["reasoning_details"][0]["data"], "") == SEAL
    assert b"I think" not in encode_response(response(THOUGHT), writing(**changes))


def test_a_thought_without_an_origin_has_no_details() -> None:
    assert detail_of(response(Reasoning(text="r"))) is None


def test_the_seal_of_a_call_is_where_gemini_has_it_D46() -> None:
    seal = Seal(kind="thought", payload="AY89", origin=attrs.evolve(ORIGIN, dialect="gemini"))
    (said,) = whole(response(attrs.evolve(CALL, seal=seal), finish=CALLS))["choices"][0]["message"]["tool_calls"]

    assert SEALER.open(said["extra_content"]["google"]["thought_signature"], "") == seal


STREAMS = [
    pytest.param(
        block(Text(text="ab"), Delta(0, 0, "a"), Ping(), Delta(0, 0, "b"), begun=Text(text="")),
        [{"content": "a"}, {"content": "b"}],
        id="text",
    ),
    pytest.param(
        block(Refusal(text="no"), Delta(0, 0, "no"), begun=Refusal(text="")), [{"refusal": "no"}], id="refusal"
    ),
    pytest.param(
        block(Reasoning(text="ab"), Delta(0, 0, "a"), Section(0, 0), Delta(0, 0, "b"), begun=Reasoning()),
        [
            {"reasoning_content": "a", "reasoning": "a"},
            {"reasoning_content": "\n\n", "reasoning": "\n\n"},
            {"reasoning_content": "b", "reasoning": "b"},
        ],
        id="reasoning in sections",
    ),
    pytest.param(
        block(CALL, *(Delta(0, 0, piece) for piece in ('{"', "a", '":', "1", "}")), begun=EMPTY_CALL),
        [
            {
                "tool_calls": [
                    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
                ]
            },
            *(
                {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
                for piece in ('{"', "a", '":', "1", "}")
            ),
        ],
        id="D17 a call in five pieces",
    ),
    pytest.param(
        block(Text(text="a"), Delta(0, 0, "a"), Cite(0, 0, Citation(kind="url", url="u")), begun=Text(text=""))
        + block(CALL, Delta(0, 1, CALL.arguments), begun=EMPTY_CALL, number=1)
        + block(attrs.evolve(EMPTY_CALL, id="call_2"), number=2),
        [
            {"content": "a"},
            {
                "tool_calls": [
                    {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
                ]
            },
            {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]},
            {
                "tool_calls": [
                    {"index": 1, "id": "call_2", "type": "function", "function": {"name": "f", "arguments": ""}}
                ]
            },
        ],
        id="calls are counted apart from blocks",
    ),
    pytest.param(
        block(
            Audio(source=Inline(media_type="audio/wav", b64="UklG"), transcript="hi"),
            Delta(0, 0, "UklG"),
            begun=Audio(source=None),
        ),
        [
            {"audio": {"id": "?"}},
            {"audio": {"data": "UklG"}},
            {"audio": {"transcript": "hi", "expires_at": 1_700_000_000}},
        ],
        id="H24 audio",
    ),
]


@pytest.mark.parametrize(("events", "expected"), STREAMS)
def test_events_become_deltas(events: list[StreamEvent], expected: list[Any]) -> None:
    said = deltas(stream(*events))
    for delta in said:
        if isinstance(delta, dict) and "id" in delta.get("audio", ()):
            delta["audio"]["id"] = "?"

    assert [ROLE, *expected, "stop"] == said


def test_a_custom_call_is_streamed_to_those_who_declared_one() -> None:
    events = block(CUSTOM, Delta(0, 0, "x"), Delta(0, 0, "\ny"), begun=attrs.evolve(CUSTOM, arguments=""))

    assert deltas(stream(*events), tools=(CustomTool(name="p"),))[1:-1] == [
        {"tool_calls": [{"index": 0, "id": "c", "type": "custom", "custom": {"name": "p", "input": ""}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "x"}}]},
        {"tool_calls": [{"index": 0, "custom": {"input": "\ny"}}]},
    ]


def test_a_custom_call_is_a_function_in_other_streams() -> None:
    events = block(CUSTOM, Delta(0, 0, "x\ny"), begun=attrs.evolve(CUSTOM, arguments=""))

    assert deltas(stream(*events))[2] == {"tool_calls": [{"index": 0, "function": {"arguments": '{"input":"x\\ny"}'}}]}


def test_the_older_form_is_streamed() -> None:
    events = block(CALL, Delta(0, 0, CALL.arguments), begun=EMPTY_CALL)

    assert deltas(stream(*events, finish=CALLS), legacy_functions=True)[1:] == [
        {"function_call": {"name": "f", "arguments": ""}},
        {"function_call": {"arguments": '{"a":1}'}},
        "function_call",
    ]


def test_the_envelope_follows_the_thought() -> None:
    events = block(THOUGHT, Delta(0, 0, "I think"), SealEvent(0, 0, SEAL), begun=Reasoning())

    (detail,) = deltas(stream(*events))[2]["reasoning_details"]

    assert SEALER.open(detail["signature"], detail["text"]) == SEAL


def test_the_usage_chunk_is_the_last_of_those_who_asked_D62() -> None:
    *chunks, usage, done = frames(stream(*block(Text(text="a"), Delta(0, 0, "a"), begun=Text(text=""))))

    assert (usage["choices"], usage["usage"]["total_tokens"], done) == ([], 15, "[DONE]")
    assert {chunk["usage"] for chunk in chunks} == {None}


def test_nobody_else_gets_a_usage_chunk_D62() -> None:
    *chunks, done = frames(stream(), stream_usage=False)

    assert done == "[DONE]"
    assert all(chunk["choices"] and "usage" not in chunk for chunk in chunks)


def test_a_finish_is_held_until_the_end() -> None:
    encoder = ChatStreamEncoder(writing())
    encoder.feed(Start("x", "m", 1))

    assert encoder.feed(FinishEvent(0, STOP)) == b""
    assert b'"finish_reason":"stop"' in encoder.feed(End())


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        pytest.param(UpstreamOverloaded("Overloaded"), "overloaded", "Overloaded", id="an error of ours"),
        pytest.param(
            Complaint(status=500, message="secret"),
            "upstream_error",
            "The provider reported an error.",
            id="an upstream's",
        ),
    ],
)
def test_a_failure_is_the_last_frame_D69_D71(error: Any, code: str, message: str) -> None:
    said = frames([Start("x", "m", 1), FinishEvent(0, STOP), Fail(error)])

    assert said[1:] == [{"error": {"message": message, "type": "server_error", "param": None, "code": code}}]


def test_a_choice_that_ended_in_an_error_is_a_failed_stream() -> None:
    said = frames(stream(finish=Finish(reason=FinishReason.ERROR)))

    assert said[-1]["error"]["code"] == "upstream_error"


def test_choices_keep_their_index() -> None:
    events: list[StreamEvent] = [Start("x", "m", 1)]
    for index in (0, 1):
        events += [BlockStart(index, 0, Text(text="")), Delta(index, 0, "a"), BlockEnd(index, 0, Text(text="a"))]
    events += [FinishEvent(0, STOP), FinishEvent(1, STOP), End()]

    assert [frame["choices"][0]["index"] for frame in frames(events)[:-1]] == [0, 0, 1, 1, 0, 1]


def test_half_a_surrogate_pair_is_written_escaped() -> None:
    events = block(Text(text="\ud83d"), Delta(0, 0, "\ud83d"), begun=Text(text=""))
    encoder = ChatStreamEncoder(writing())

    assert b'{"content":"\\ud83d"}' in b"".join(encoder.feed(event) for event in stream(*events))


def test_the_events_of_these_tests_are_legal() -> None:
    for case in STREAMS:
        validator = Validator()
        validator.check(stream(*case.values[0]))

        assert validator.is_done
