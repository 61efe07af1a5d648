"""What Chat upstreams answer, as events."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.codec import Reading, WireTool
from modelserver.dialects.names import mint_id
from modelserver.dialects.openai_chat.chunks import decode_response, stream_decoder
from modelserver.dialects.openai_chat.think_tags import ThinkTags
from modelserver.errors import UpstreamFailed
from modelserver.ir.card import ModelCard
from modelserver.ir.events import BlockStart, Delta, End, Fail, FinishEvent, Ping, Start, StreamEvent, UsageUpdate
from modelserver.ir.fold import fold
from modelserver.ir.grammar import Validator
from modelserver.ir.parts import (
    Audio,
    Citation,
    FinishReason,
    Image,
    Inline,
    Part,
    Reasoning,
    Refusal,
    Response,
    Text,
    TokenLogprob,
    ToolCall,
)
from modelserver.ir.request import Request, Sampling
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from tests.support.chat_codec import ORIGIN, Comparable, reading
from tests.support.feeding import feed_every_way


def chunk(delta: Any = None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    shared = {"id": "r", "created": 1, "model": "gpt"}
    return {
        **shared,
        "choices": [{"index": 0, "delta": {} if delta is None else delta, "finish_reason": finish}],
        **more,
    }


def wire(*chunks: Any, done: bool = True) -> bytes:
    lines = [b"data: " + orjson.dumps(each) for each in chunks] + [b"data: [DONE]"] * done
    return b"".join(line + b"\n\n" for line in lines)


def events_of(data: bytes, how: Reading | None = None) -> list[StreamEvent]:
    """Equal for every way of cutting the bytes, and legal."""
    events: list[StreamEvent] = feed_every_way(lambda: Comparable(how or reading()), data)
    validator = Validator()
    validator.check(events)
    assert validator.is_done
    return events


def answer_of(data: bytes, how: Reading | None = None) -> Response:
    answer = fold(events_of(data, how))
    assert isinstance(answer, Response), answer
    return answer


def parts_of(*deltas: Any, how: Reading | None = None, finish: str = "stop") -> tuple[Part, ...]:
    return answer_of(wire(*map(chunk, deltas), chunk(finish=finish)), how).choices[0].parts


def failure_of(data: bytes, how: Reading | None = None) -> Any:
    last = events_of(data, how)[-1]
    assert isinstance(last, Fail)
    return last.error


def call(arguments: str | None = None, index: int | None = 0, id: str | None = None, name: str | None = None) -> Any:
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    fields: dict[str, Any] = {"index": index, "id": id, "type": "function", "function": function}
    return {key: value for key, value in fields.items() if value is not None}


def calls(*fragments: Any) -> dict[str, Any]:
    return {"tool_calls": list(fragments)}


def test_the_example_of_the_dialect_gives_its_events_D17() -> None:
    data = wire(
        chunk({"role": "assistant", "content": ""}),
        chunk(calls(call("", id="call_A", name="lookup"))),
        chunk(calls(call('{"q":'))),
        chunk(calls(call('"tea"}'))),
        chunk(finish="tool_calls"),
        {"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": 12, "total_tokens": 52}},
    )

    events = events_of(data)

    usage = Usage(input=40, output=12)
    part = ToolCall(id="call_A", name="lookup", arguments="")
    assert [type(event).__name__ for event in events] == (
        ["Start", "BlockStart", "Delta", "Delta", "BlockEnd", "UsageUpdate", "FinishEvent", "UsageUpdate", "End"]
    )
    assert events[0] == Start("r", "gpt", 1)
    assert events[1:4] == [BlockStart(0, 0, part), Delta(0, 0, '{"q":'), Delta(0, 0, '"tea"}')]
    assert events[-2:] == [UsageUpdate(usage, final=True), End()]


A = ("a", "f", '{"x":1}')
B = ("b", "g", '{"y":2}')

TWO_CALLS = [
    pytest.param(
        [
            calls(call("", 0, "a", "f")),
            calls(call('{"x":1}', 0)),
            calls(call("", 1, "b", "g")),
            calls(call('{"y":2}', 1)),
        ],
        id="D65 one after the other",
    ),
    pytest.param([calls(call('{"x":1}', 0, "a", "f"), call('{"y":2}', 1, "b", "g"))], id="D65 whole in one chunk"),
    pytest.param([calls(call('{"x":1}', None, "a", "f"), call('{"y":2}', None, "b", "g"))], id="D65 without an index"),
    pytest.param(
        [
            calls(call('{"x"', None, "a", "f")),
            calls(call(":1}", None)),
            calls(call('{"y"', None, "b", "g")),
            calls(call(":2}", None, "b")),
        ],
        id="D65 without an index, in pieces",
    ),
    pytest.param(
        [calls(call('{"x":1}', 0, "a", "f")), calls(call('{"y":2}', 0, "b", "g"))], id="D65 one index, two ids"
    ),
    pytest.param(
        [calls(call('{"x":1}', 0, "a", "f"), call('{"y":2}', 0, "b", "g"))], id="D65 one index, two ids, one chunk"
    ),
    pytest.param(
        [calls(call('{"x"', 1, "a", "f")), calls(call(":1}", 1)), calls(call('{"y":2}', 2, "b", "g"))],
        id="D65 the index begins at 1",
    ),
    pytest.param(
        [
            calls(call('{"x"', 0, "a", "f")),
            calls(call(":1}", 0, "a", "f")),
            calls(call('{"y":', 1, "b", "g")),
            calls(call("2}", 1, "b", "")),
        ],
        id="D65 ids and names repeated",
    ),
    pytest.param(
        [calls(call('{"x"', 0, "a", "f")), calls(call(":1}", 0, "", "")), calls(call('{"y":2}', 1, "b", "g"))],
        id="D65 empty ids and names in later pieces",
    ),
    pytest.param(
        [
            calls(call("", 0, "a", "f")),
            calls(call("", 1, "b", "g")),
            calls(call('{"x"', 0)),
            calls(call('{"y":', 1)),
            calls(call(":1}", 0)),
            calls(call("2}", 1)),
        ],
        id="D65 interleaved",
    ),
    pytest.param(
        [calls(call('{"x":1}', 0, "a")), calls(call("", 0, None, "f")), calls(call('{"y":2}', 1, "b", "g"))],
        id="D65 the name comes later",
    ),
    pytest.param(
        [
            calls(
                {**call(None, 0, "a", "f"), "function": {"name": "f", "arguments": {"x": 1}}},
                call('{"y":2}', 1, "b", "g"),
            )
        ],
        id="D65 arguments as an object",
    ),
]


@pytest.mark.parametrize("deltas", TWO_CALLS)
def test_two_calls_are_told_apart(deltas: list[Any]) -> None:
    parts = parts_of(*deltas)

    assert [(part.id, part.name, part.arguments) for part in parts if isinstance(part, ToolCall)] == [A, B]


def test_calls_without_ids_get_one_each_D65() -> None:
    parts = parts_of(calls(call('{"x":1}', None, "", "f"), call('{"y":2}', None, "", "f")))

    assert [part.id for part in parts if isinstance(part, ToolCall)] == [mint_id("r", 0, 0), mint_id("r", 0, 1)]


def test_a_whole_answer_has_the_minted_ids_of_the_streamed_one_D23() -> None:
    message = {"content": None, **calls(call('{"x":1}', None, "", "f"), call('{"y":2}', None, "", "f"))}
    body = orjson.dumps({"id": "r", "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})

    whole = decode_response(body, reading())

    assert isinstance(whole, Response)
    assert whole.choices[0].parts == parts_of(message)


def test_the_first_of_two_interleaved_calls_is_streamed_as_it_comes() -> None:
    data = wire(
        chunk(calls(call('{"x"', 0, "a", "f"))),
        chunk(calls(call('{"y":2}', 1, "b", "g"))),
        chunk(calls(call(":1}", 0))),
    )

    events = stream_decoder(reading()).feed(data.removesuffix(b"data: [DONE]\n\n"))

    assert [event.text for event in events if isinstance(event, Delta)] == ['{"x"', ":1}"]


def test_text_after_a_call_ends_it() -> None:
    parts = parts_of(calls(call('{"x":1}', 0, "a", "f")), {"content": "hi"})

    assert [type(part) for part in parts] == [ToolCall, Text]


def test_a_call_without_a_name_fails_the_stream() -> None:
    error = failure_of(wire(chunk(calls(call('{"x":1}', 0, "a"))), chunk(finish="tool_calls")))

    assert error.code == "upstream_invalid_response"


def test_a_name_in_pieces_is_joined_where_the_provider_does_so() -> None:
    deltas = [calls(call(None, 0, "a", "get_")), calls(call(None, 0, "a", "time")), calls(call("{}", 0))]

    (part,) = parts_of(*deltas, how=reading(name_fragments=True))

    assert isinstance(part, ToolCall)
    assert part.name == "get_time"


def test_a_function_call_of_the_older_form_is_a_call() -> None:
    deltas = [{"function_call": {"name": "f", "arguments": ""}}, {"function_call": {"arguments": "{}"}}]

    assert parts_of(*deltas, finish="function_call") == (ToolCall(id=mint_id("r", 0, 0), name="f", arguments="{}"),)


def test_a_custom_call_is_free_text() -> None:
    first = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "p", "input": ""}}

    assert parts_of(calls(first), calls({"index": 0, "custom": {"input": "x}"}})) == (
        ToolCall(id="a", name="p", arguments="x}", kind="custom"),
    )


def test_a_tool_that_was_declared_as_a_function_gets_its_text_back_D34() -> None:
    tools = {"crm__p": WireTool(name="p", namespace="crm", kind="custom")}
    deltas = [calls(call('{"inp', 0, "a", "crm__p")), calls(call('ut":"*** Be', 0)), calls(call('gin\\nx"}', 0))]

    events = events_of(wire(*map(chunk, deltas), chunk(finish="stop")), reading(tools=tools))

    assert [event.text for event in events if isinstance(event, Delta)] == ["*** Be", "gin\nx"]
    assert fold(events).choices[0].parts == (  # type: ignore[union-attr]
        ToolCall(id="a", name="p", namespace="crm", arguments="*** Begin\nx", kind="custom"),
    )


REASONING = [
    pytest.param([{"reasoning_content": "r"}, {"content": "t"}], {}, [("r", "full"), "t"], id="DeepSeek"),
    pytest.param([{"reasoning": "r", "content": ""}, {"content": "t"}], {}, [("r", "full"), "t"], id="Groq"),
    pytest.param([{"reasoning_content": "r", "reasoning": "r"}], {}, [("r", "full")], id="H18 two fields count once"),
    pytest.param(
        [{"reasoning": "r", "reasoning_details": [{"type": "reasoning.text", "text": "r", "index": 0}]}],
        {},
        [("r", "full")],
        id="H18 text and details count once",
    ),
    pytest.param(
        [
            {"reasoning_details": [{"type": "reasoning.summary", "summary": "s", "index": 0}]},
            {"reasoning_details": [{"type": "reasoning.encrypted", "data": "gAAA", "index": 0}]},
        ],
        {},
        [("s", "summary"), ("", "hidden")],
        id="a summary and a ciphertext",
    ),
    pytest.param(
        [
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "r"}]}]},
            {"content": [{"type": "text", "text": "t"}]},
        ],
        {},
        [("r", "full"), "t"],
        id="Mistral",
    ),
    pytest.param(
        [{"reasoning": "r", "content": "t"}], {"reasoning_in": ["reasoning_content"]}, ["t"], id="only the named field"
    ),
    pytest.param(
        [{"content": "<thi"}, {"content": "nk>\nr</th"}, {"content": "ink>\n\nt"}],
        {"reasoning_in": ["think_tags"]},
        [("r", "full"), "t"],
        id="tags",
    ),
    pytest.param([{"content": "<think>r</think>t"}], {}, ["<think>r</think>t"], id="tags are text without the quirk"),
]


@pytest.mark.parametrize(("deltas", "quirks", "expected"), REASONING)
def test_reasoning_is_told_from_text(deltas: list[Any], quirks: Any, expected: list[Any]) -> None:
    parts = parts_of(*deltas, how=reading(**quirks))

    assert expected == [
        (part.text, part.form) if isinstance(part, Reasoning) else part.text
        for part in parts
        if isinstance(part, Reasoning | Text)
    ]


def test_a_thought_knows_who_made_it() -> None:
    (part,) = parts_of({"reasoning_content": "r"})

    assert isinstance(part, Reasoning)
    assert part.seal is not None
    assert (part.seal.payload, part.seal.origin) == ("", ORIGIN)


def test_what_stands_beside_a_thought_is_kept_for_its_maker() -> None:
    entry = {"type": "reasoning.text", "text": "r", "index": 0, "format": "anthropic-claude-v1"}
    (part,) = parts_of({"reasoning_details": [entry]}, {"reasoning_details": [{**entry, "text": "", "signature": "S"}]})

    assert isinstance(part, Reasoning)
    assert part.seal is not None
    assert orjson.loads(part.seal.payload) == {
        "type": "reasoning.text",
        "index": 0,
        "format": "anthropic-claude-v1",
        "signature": "S",
    }


def test_a_signature_on_a_call_is_its_seal() -> None:
    fragment = {**call("{}", 0, "a", "f"), "extra_content": {"google": {"thought_signature": "AY89"}}}
    (part,) = parts_of(calls(fragment))

    assert isinstance(part, ToolCall)
    assert part.seal is not None
    assert (part.seal.kind, part.seal.payload, part.seal.origin) == ("thought", "AY89", ORIGIN)


OTHERS = [
    pytest.param([{"refusal": "no"}], (Refusal(text="no"),), id="refusal"),
    pytest.param(
        [{"images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo"}}]}],
        (Image(source=Inline(media_type="image/png", b64="iVBORw0KGgo")),),
        id="images",
    ),
    pytest.param(
        [{"audio": {"id": "au", "data": "UklG"}}, {"audio": {"data": "Rg==", "transcript": "hi"}}],
        (Audio(source=Inline(media_type="audio/wav", b64="UklGRg=="), format="wav", transcript="hi", ref="au"),),
        id="audio",
    ),
    pytest.param(
        [
            {"content": "ab"},
            {
                "annotations": [
                    {
                        "type": "url_citation",
                        "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 2},
                    }
                ]
            },
        ],
        (Text(text="ab", citations=(Citation(kind="url", url="u", title="t", start=0, end=2),)),),
        id="citations",
    ),
    pytest.param(
        [
            {"content": "ab"},
            {"annotations": [{"type": "url_citation", "url_citation": {"url": "u", "start_index": 0, "end_index": 0}}]},
        ],
        (Text(text="ab", citations=(Citation(kind="url", url="u"),)),),
        id="a citation without a place",
    ),
    pytest.param([{"content": ""}, {"content": None}, {"role": "assistant"}, {"tool_calls": None}], (), id="nothing"),
]


@pytest.mark.parametrize(("deltas", "expected"), OTHERS)
def test_deltas_become_parts(deltas: list[Any], expected: object) -> None:
    assert expected == parts_of(*deltas)


def test_addresses_beside_the_answer_are_citations_of_its_text() -> None:
    data = wire(
        chunk({"content": "a"}, citations=["https://e"]),
        chunk({"content": "b"}, citations=["https://e"]),
        chunk(finish="stop"),
    )

    assert answer_of(data).choices[0].parts == (Text(text="ab", citations=(Citation(kind="url", url="https://e"),)),)


FINISHES = [
    pytest.param("stop", {}, FinishReason.STOP, id="stop"),
    pytest.param("eos", {}, FinishReason.STOP, id="Together's eos"),
    pytest.param("model_length", {}, FinishReason.LENGTH, id="Mistral's model_length"),
    pytest.param("content_filter", {}, FinishReason.CONTENT_FILTER, id="filter"),
    pytest.param("odd", {}, FinishReason.OTHER, id="unknown"),
    pytest.param("odd", {"finish_map": {"odd": "length"}}, FinishReason.LENGTH, id="of the provider"),
]


@pytest.mark.parametrize(("word", "quirks", "expected"), FINISHES)
def test_a_finish_reason_is_read(word: str, quirks: Any, expected: FinishReason) -> None:
    answer = answer_of(wire(chunk({"content": "a"}), chunk(finish=word)), reading(**quirks))

    assert expected == answer.choices[0].finish.reason


def test_an_answer_with_calls_ended_for_them() -> None:
    answer = answer_of(wire(chunk(calls(call("{}", 0, "a", "f"))), chunk(finish="stop")))

    assert answer.choices[0].finish.reason is FinishReason.TOOL_CALLS


def test_a_refusal_is_one_whatever_the_word_H25() -> None:
    answer = answer_of(wire(chunk({"refusal": "no"}), chunk(finish="stop")))

    assert answer.choices[0].finish.reason is FinishReason.REFUSAL


def test_a_matched_stop_string_is_known() -> None:
    last = chunk(finish="stop")
    last["choices"][0]["stop_reason"] = "END"

    finish = answer_of(wire(chunk({"content": "a"}), last)).choices[0].finish

    assert (finish.reason, finish.stop_sequence) == (FinishReason.STOP_SEQUENCE, "END")


TEXT = chunk({"content": "a"})
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
KNOWN = Usage(input=3, output=2)

USAGES = [
    pytest.param([TEXT, chunk(finish="stop"), {"choices": [], "usage": USAGE}], id="OpenAI"),
    pytest.param([TEXT, chunk(finish="stop", usage=USAGE)], id="Mistral"),
    pytest.param([TEXT, chunk(finish="stop", x_groq={"usage": USAGE})], id="Groq"),
    pytest.param([TEXT, chunk(finish="stop"), chunk(finish="stop", usage=USAGE)], id="OpenRouter"),
    pytest.param([TEXT, {"choices": [], "usage": USAGE}, chunk(finish="stop")], id="Snowflake"),
    pytest.param(
        [
            chunk({"content": "a"}, usage={**USAGE, "completion_tokens": 1, "total_tokens": 4}),
            chunk(finish="stop", usage=USAGE),
        ],
        id="cumulative",
    ),
    pytest.param(
        [chunk({"content": "a"}, usage=USAGE), chunk(finish="stop", usage={"prompt_tokens": None})],
        id="null changes nothing",
    ),
]


@pytest.mark.parametrize("chunks", USAGES)
def test_usage_is_found_wherever_it_stands(chunks: list[Any]) -> None:
    assert answer_of(wire(*chunks)).usage == KNOWN


COUNTS = [
    pytest.param(
        {
            "prompt_tokens": 10,
            "completion_tokens": 9,
            "total_tokens": 19,
            "completion_tokens_details": {"reasoning_tokens": 4},
        },
        {},
        (10, 9, 4),
        id="reasoning inside",
    ),
    pytest.param(
        {
            "prompt_tokens": 436,
            "completion_tokens": 68,
            "total_tokens": 652,
            "completion_tokens_details": {"reasoning_tokens": 148},
        },
        {},
        (436, 216, 148),
        id="D61 xAI",
    ),
    pytest.param(
        {
            "prompt_tokens": 28,
            "completion_tokens": 9,
            "total_tokens": 37,
            "completion_tokens_details": {"reasoning_tokens": 69},
        },
        {},
        (28, 78, 69),
        id="D61 Vercel gateway",
    ),
    pytest.param(
        {
            "prompt_tokens": 28,
            "completion_tokens": 9,
            "total_tokens": 37,
            "completion_tokens_details": {"reasoning_tokens": 69},
        },
        {"reasoning_tokens": "inside"},
        (28, 9, 9),
        id="D61 inside by the provider's word",
    ),
    pytest.param(
        {
            "prompt_tokens": 9,
            "completion_tokens": 248,
            "total_tokens": 632,
            "prompt_tokens_details": {"audio_tokens": 375},
        },
        {},
        (384, 248, None),
        id="D61 Mistral audio",
    ),
    pytest.param({"prompt_tokens": 1, "completion_tokens": -2}, {}, (1, None, None), id="no count"),
]


@pytest.mark.parametrize(("usage", "quirks", "expected"), COUNTS)
def test_counts_are_reconciled(usage: Any, quirks: Any, expected: object) -> None:
    said = answer_of(wire(TEXT, chunk(finish="stop", usage=usage)), reading(**quirks)).usage

    assert said is not None
    assert expected == (said.input, said.output, said.reasoning)


def test_more_cached_than_sent_is_clamped_D61() -> None:
    usage = {"prompt_tokens": 29, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 157}}

    said = answer_of(wire(TEXT, chunk(finish="stop", usage=usage))).usage

    assert said == Usage(input=29, output=1, cache_read=29)


@pytest.mark.parametrize(
    "key", [pytest.param("cached_tokens", id="Moonshot"), pytest.param("prompt_cache_hit_tokens", id="DeepSeek")]
)
def test_cached_tokens_are_found_beside_the_details(key: str) -> None:
    said = answer_of(wire(TEXT, chunk(finish="stop", usage={**USAGE, key: 1}))).usage

    assert said == attrs.evolve(KNOWN, cache_read=1)


ENDS = [
    pytest.param(wire(TEXT, chunk(finish="stop"), done=False), {}, FinishReason.STOP, id="D93 no DONE"),
    pytest.param(wire(TEXT, chunk(finish="stop"), done=False).rstrip(), {}, FinishReason.STOP, id="D93 no blank line"),
    pytest.param(wire(TEXT), {"eof_is_stop": True}, FinishReason.STOP, id="DONE without a reason is a stop"),
    pytest.param(wire(TEXT, done=False), {"eof_is_stop": True}, FinishReason.STOP, id="the end is a stop"),
    pytest.param(
        wire(TEXT, chunk(finish="stop"), chunk({"content": "b"}), chunk(finish="length")),
        {},
        FinishReason.STOP,
        id="content after the finish",
    ),
    pytest.param(wire(TEXT, chunk(finish="stop")).replace(b"\n", b"\r\n"), {}, FinishReason.STOP, id="CR LF"),
]


@pytest.mark.parametrize(("data", "quirks", "expected"), ENDS)
def test_a_stream_ends(data: bytes, quirks: Any, expected: FinishReason) -> None:
    assert expected == answer_of(data, reading(**quirks)).choices[0].finish.reason


CUTS = [
    pytest.param(wire(TEXT, done=False), "upstream_error", id="D71 no finish"),
    pytest.param(wire(TEXT), "upstream_error", id="D71 DONE without a finish"),
    pytest.param(b"", "upstream_error", id="D71 nothing at all"),
    pytest.param(wire(), "upstream_error", id="DONE alone"),
    pytest.param(wire(TEXT, done=False) + b"data: {", "upstream_error", id="D71 in the middle of a frame"),
    pytest.param(wire(TEXT, done=False) + b"<html>\n\n", "upstream_invalid_response", id="no event"),
    pytest.param(wire(TEXT, done=False) + b"data: {]\n\n", "upstream_invalid_response", id="no JSON"),
    pytest.param(wire(TEXT, done=False) + b"data: []\n\n", "upstream_invalid_response", id="no object"),
]


@pytest.mark.parametrize(("data", "code"), CUTS)
def test_a_broken_stream_fails(data: bytes, code: str) -> None:
    assert failure_of(data).code == code


def test_an_error_frame_after_a_finish_fails_and_its_usage_counts_D93() -> None:
    frame = {"error": {"message": "Token limit", "code": 400}, "choices": [], "usage": USAGE}

    events = events_of(wire(TEXT, chunk(finish="length"), frame))

    assert events[-2:] == [
        UsageUpdate(KNOWN),
        Fail(Complaint(status=400, message="Token limit", code="400", in_json=True)),
    ]
    assert not any(isinstance(event, FinishEvent) for event in events)


def test_an_error_may_be_a_string() -> None:
    assert failure_of(wire({"error": "busy"})) == Complaint(status=502, message="busy", in_json=True)


def test_a_choice_that_ended_in_an_error_fails() -> None:
    error = failure_of(wire(TEXT, chunk(finish="insufficient_system_resource")))

    assert (error.status, error.code) == (503, "insufficient_system_resource")


def test_comments_are_pings() -> None:
    events = events_of(b": OPENROUTER PROCESSING\n\n" * 2 + wire(TEXT, chunk(finish="stop")))

    assert events[:3] == [Ping(), Ping(), Start("r", "gpt", 1)]


def test_the_filter_chunk_of_azure_does_not_start_the_answer() -> None:
    azure = {"id": "", "model": "", "choices": [], "prompt_filter_results": [], "object": ""}
    filtered = {**chunk(), "choices": [{"index": 0, "delta": None, "content_filter_results": {}}]}

    events = events_of(wire(azure, TEXT, filtered, chunk(finish="stop")))

    assert events[0] == Start("r", "gpt", 1)


def test_choices_are_read_apart() -> None:
    other = {**TEXT, "choices": [{"index": 1, "delta": {"content": "b"}, "finish_reason": "length"}]}

    answer = answer_of(wire(TEXT, other, chunk(finish="stop")))

    assert [(choice.index, choice.finish.reason.value) for choice in answer.choices] == [(0, "stop"), (1, "length")]


def test_logprobs_ride_on_their_text() -> None:
    token = {"token": "é", "logprob": -0.1, "bytes": [195, 169], "top_logprobs": []}
    first = chunk({"content": "é"})
    first["choices"][0]["logprobs"] = {"content": [token], "refusal": None}

    answer = answer_of(wire(first, chunk(finish="stop")))

    assert answer.choices[0].logprobs == (TokenLogprob(token="é", logprob=-0.1, bytes=(195, 169)),)


def test_a_stop_string_is_enforced_where_the_target_takes_none_D42() -> None:
    request = Request(dialect="anthropic", model="m", sampling=Sampling(stop=("END",)))
    how = reading(card=ModelCard(stop_max=0), request=request)

    choice = answer_of(
        wire(chunk({"content": "one E"}), chunk({"content": "ND two"}), chunk(finish="stop")), how
    ).choices[0]

    assert choice.parts == (Text(text="one "),)
    assert (choice.finish.reason, choice.finish.stop_sequence) == (FinishReason.STOP_SEQUENCE, "END")


def body(**fields: Any) -> bytes:
    message = {"role": "assistant", "content": "hi"}
    return orjson.dumps(
        {
            "id": "r",
            "created": 1,
            "model": "gpt",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
            **fields,
        }
    )


def test_a_whole_answer_is_read() -> None:
    answer = decode_response(body(usage=USAGE, service_tier="default", system_fingerprint="fp"), reading())

    assert isinstance(answer, Response)
    assert (answer.id, answer.model, answer.created, answer.service_tier, answer.fingerprint) == (
        "r",
        "gpt",
        1,
        "default",
        "fp",
    )
    assert answer.choices[0].parts == (Text(text="hi"),)
    assert answer.usage == attrs.evolve(KNOWN, tier="default")


def test_a_whole_answer_may_lack_its_finish_reason() -> None:
    data = orjson.dumps({"choices": [{"message": {"content": "hi"}, "finish_reason": None}]})

    answer = decode_response(data, reading())

    assert isinstance(answer, Response)
    assert answer.choices[0].finish.reason is FinishReason.STOP


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(body(choices=None), id="D72 null choices"),
        pytest.param(body(choices=[]), id="no choices"),
        pytest.param(b"<html>", id="no JSON"),
        pytest.param(b"[]", id="no object"),
    ],
)
def test_a_body_that_is_no_answer_fails(data: bytes) -> None:
    with pytest.raises(UpstreamFailed):
        decode_response(data, reading())


def test_an_error_in_a_200_is_a_complaint_D72() -> None:
    assert decode_response(body(error={"message": "m", "code": 429}), reading()) == Complaint(
        status=429, message="m", code="429", in_json=True
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("<think>a</think>b", [(True, "a"), (False, "b")], id="thought and text"),
        pytest.param("  <think>\na\n</think>\n\nb", [(True, "a\n"), (False, "b")], id="layout"),
        pytest.param("a <think>b</think>", [(False, "a <think>b</think>")], id="not at the beginning"),
        pytest.param("<think>a</thin", [(True, "a</thin")], id="never closed"),
        pytest.param("<thi", [(False, "<thi")], id="never opened"),
    ],
)
def test_think_tags_are_found_however_they_are_cut(text: str, expected: list[Any]) -> None:
    for size in range(1, len(text) + 1):
        tags = ThinkTags()
        pieces = [piece for at in range(0, len(text), size) for piece in tags.feed(text[at : at + size])] + tags.close()
        said = ["".join(text for thought, text in pieces if thought is kind) for kind in (True, False)]

        assert ["".join(text for thought, text in expected if thought is kind) for kind in (True, False)] == said
