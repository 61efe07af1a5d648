"""The built-in provider answers as a provider would, and always the same."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from modelserver.clock import ManualClock, settle
from modelserver.dialects.openai_chat.response import read_answer
from modelserver.dialects.openai_chat.stream import ChatStreamRelay
from modelserver.ports import Transport, UpstreamAnswer, UpstreamRequest
from modelserver.upstream.mock import (
    MAX_ECHO_CHARS,
    MAX_ECHO_TOKENS,
    MAX_SCHEMA_BYTES,
    WORD_S,
    MockTransport,
    count_tokens,
    split_tokens,
)

HELLO = {"role": "user", "content": "Hello there"}
REPLY = 'This is the mock model. You said: "Hello there"'
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
TIME = {"type": "function", "function": {"name": "time"}}
PATCH = {"type": "custom", "custom": {"name": "patch"}}
SEARCH = {"type": "web_search"}
CALLED = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "x"}'}}],
}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "22 degrees"}


async def send(body: Any, *, clock: ManualClock | None = None) -> UpstreamAnswer:
    transport: Transport = MockTransport(clock or ManualClock())
    wire = body if isinstance(body, bytes) else json.dumps(body).encode()
    return await transport.send(
        UpstreamRequest(method="POST", url="mock:/chat/completions?a=1", headers={}, body=wire, connect_s=1)
    )


async def ask(**fields: Any) -> Any:
    answer = await send({"model": "mock", "messages": [HELLO], **fields})
    return json.loads(await answer.read())


async def choice(**fields: Any) -> Any:
    [only] = (await ask(**fields))["choices"]
    return only


async def pieces_of(answer: UpstreamAnswer, clock: ManualClock) -> list[bytes]:
    """All that the answer gives, the clock moved on whenever it waits."""
    pieces: list[bytes] = []
    while True:
        reading = asyncio.ensure_future(answer.read())
        await settle()
        if not reading.done():
            await clock.advance(WORD_S)
        piece = reading.result()
        if not piece:
            return pieces
        pieces.append(piece)


async def stream(**fields: Any) -> list[bytes]:
    clock = ManualClock()
    answer = await send({"model": "mock", "messages": [HELLO], "stream": True, **fields}, clock=clock)
    return await pieces_of(answer, clock)


async def chunks(**fields: Any) -> list[Any]:
    """The chunks of a stream, `[DONE]` checked and left out."""
    *frames, done, rest = b"".join(await stream(**fields)).split(b"\n\n")

    assert (done, rest) == (b"data: [DONE]", b"")
    return [json.loads(frame.removeprefix(b"data: ")) for frame in frames]


def deltas(given: list[Any], index: int = 0) -> list[Any]:
    return [each["delta"] for chunk in given for each in chunk["choices"] if each["index"] == index]


TEXTS = [
    pytest.param([HELLO], REPLY, id="what the user said"),
    pytest.param([HELLO, {"role": "assistant", "content": "Hi"}, HELLO], REPLY, id="the last of what was said"),
    pytest.param(
        [{"role": "user", "content": [{"type": "text", "text": "Hello"}, {"type": "text", "text": "there"}]}],
        REPLY,
        id="text in parts",
    ),
    pytest.param([{"role": "user", "content": "  Hello\n\n there "}], REPLY, id="spaces evened out"),
    pytest.param([{"role": "system", "content": "x"}], "This is the mock model. You said nothing yet.", id="nobody"),
    pytest.param(
        [HELLO, CALLED, RESULT],
        'This is the mock model. The tool answered: "22 degrees"',
        id="what a tool answered",
    ),
    pytest.param(
        [{"role": "user", "content": "word " * 1000}],
        f'This is the mock model. You said: "{"word " * (MAX_ECHO_TOKENS - 1)}word…"',
        id="a long text is cut",
    ),
    pytest.param(
        [{"role": "user", "content": "x" * 2000}],
        f'This is the mock model. You said: "{"x" * MAX_ECHO_CHARS}…"',
        id="a long word is cut",
    ),
]


@pytest.mark.parametrize(("messages", "expected"), TEXTS)
async def test_the_text_follows_from_the_last_message(messages: list[Any], expected: str) -> None:
    only = await choice(messages=messages)

    assert only == {
        "index": 0,
        "message": {"role": "assistant", "content": expected, "refusal": None},
        "logprobs": None,
        "finish_reason": "stop",
    }


async def test_the_same_request_gets_the_same_answer() -> None:
    assert await ask() == await ask()


async def test_another_request_gets_another_id() -> None:
    assert (await ask())["id"] != (await ask(seed=1))["id"]


async def test_an_answer_says_what_it_is() -> None:
    clock = ManualClock(datetime(2026, 5, 1, tzinfo=UTC))
    answer = await send({"model": "any/name", "messages": [HELLO]}, clock=clock)
    body = json.loads(await answer.read())

    assert (body["object"], body["created"], body["model"]) == ("chat.completion", 1777593600, "any/name")
    assert body["id"].startswith("chatcmpl-")
    assert len(body["id"]) == len("chatcmpl-") + 29
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")


TOKENS = [
    pytest.param("", [], id="nothing"),
    pytest.param("Hello, my friend", ["Hello,", " my", " friend"], id="words with the space before them"),
    pytest.param("你好 world", ["你", "好", " world"], id="a Chinese character each"),
    pytest.param('{"a":1,"b":[2,3]}', ['{"a":', "1,", '"b":', "[2,", "3]}"], id="JSON"),
    pytest.param(" ,: \n ", [" ,", ":", " \n "], id="signs and spaces alone"),
]


@pytest.mark.parametrize(("text", "expected"), TOKENS)
def test_a_text_is_split_into_words(text: str, expected: list[str]) -> None:
    assert (split_tokens(text), count_tokens(text)) == (expected, len(expected))


USAGES: list[Any] = [
    pytest.param({}, (2, 9), id="one choice"),
    pytest.param({"n": 2}, (2, 9 + 11), id="two choices"),
    pytest.param({"max_tokens": 4}, (2, 4), id="a cut answer"),
    pytest.param({"messages": [HELLO, CALLED, RESULT], "max_tokens": 1}, (2 + 3 + 2, 1), id="calls are prompt too"),
    pytest.param({"tools": [WEATHER]}, (2, 2), id="arguments are completion"),
]


@pytest.mark.parametrize(("fields", "expected"), USAGES)
async def test_usage_is_what_the_tokenizer_counts(fields: dict[str, Any], expected: tuple[int, int]) -> None:
    usage = (await ask(**fields))["usage"]

    assert usage == {
        "prompt_tokens": expected[0],
        "completion_tokens": expected[1],
        "total_tokens": sum(expected),
    }


CUTS: list[Any] = [
    pytest.param({"max_tokens": 3}, ("This is the", "length"), id="max_tokens"),
    pytest.param({"max_tokens": 9}, (REPLY, "stop"), id="max_tokens that suffice"),
    pytest.param({"max_completion_tokens": 2, "max_tokens": 3}, ("This is", "length"), id="max_completion_tokens wins"),
    pytest.param({"stop": " mock"}, ("This is the", "stop"), id="a stop"),
    pytest.param({"stop": ["You", "model"]}, ("This is the mock ", "stop"), id="the earliest of several stops"),
    pytest.param({"stop": ["", "nowhere"]}, (REPLY, "stop"), id="a stop that does not occur"),
    pytest.param({"stop": "This"}, ("", "stop"), id="a stop at the beginning"),
    pytest.param({"stop": "said", "max_tokens": 2}, ("This is", "length"), id="max_tokens before the stop"),
    pytest.param({"stop": None, "max_tokens": None, "n": None}, (REPLY, "stop"), id="null is absent"),
]


@pytest.mark.parametrize(("fields", "expected"), CUTS)
async def test_an_answer_ends_where_the_request_wants(fields: dict[str, Any], expected: tuple[str, str]) -> None:
    only = await choice(**fields)

    assert (only["message"]["content"], only["finish_reason"]) == expected


CALLS: list[Any] = [
    pytest.param({"tools": [WEATHER, TIME]}, ("weather", '{"city":"city"}'), id="the first tool"),
    pytest.param({"tools": [SEARCH, TIME]}, ("time", "{}"), id="the first that is not the provider's own"),
    pytest.param({"tools": [{"function": {"name": "time"}}]}, ("time", "{}"), id="a tool without type"),
    pytest.param({"tools": [TIME], "tool_choice": "required"}, ("time", "{}"), id="required"),
    pytest.param(
        {"tools": [WEATHER, TIME], "tool_choice": {"type": "function", "function": {"name": "time"}}},
        ("time", "{}"),
        id="the named one",
    ),
    pytest.param(
        {
            "tools": [WEATHER, TIME],
            "tool_choice": {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [TIME]}},
        },
        ("time", "{}"),
        id="the allowed one",
    ),
    pytest.param({"tools": [TIME], "messages": [HELLO, CALLED, RESULT, HELLO]}, ("time", "{}"), id="a later turn"),
    pytest.param({"tools": [TIME], "stop": "{"}, ("time", "{}"), id="a stop is for text"),
]


@pytest.mark.parametrize(("fields", "expected"), CALLS)
async def test_an_offered_tool_is_called(fields: dict[str, Any], expected: tuple[str, str]) -> None:
    only = await choice(**fields)
    [call] = only["message"]["tool_calls"]

    assert (call["type"], only["message"]["content"], only["finish_reason"]) == ("function", None, "tool_calls")
    assert (call["function"]["name"], call["function"]["arguments"]) == expected


UNCALLED: list[Any] = [
    pytest.param({"tools": [WEATHER], "tool_choice": "none"}, id="tool_choice none"),
    pytest.param({"tools": [WEATHER], "messages": [HELLO, CALLED, RESULT]}, id="a tool has answered"),
    pytest.param({"tools": []}, id="no tools"),
    pytest.param({"tools": [SEARCH]}, id="only tools of the provider"),
    pytest.param({"functions": [{"name": "f"}], "function_call": "none"}, id="function_call none"),
]


@pytest.mark.parametrize("fields", UNCALLED)
async def test_no_tool_is_called(fields: dict[str, Any]) -> None:
    only = await choice(**fields)

    assert (only["finish_reason"], "tool_calls" in only["message"]) == ("stop", False)


async def test_a_custom_tool_gets_text() -> None:
    [call] = (await choice(tools=[PATCH]))["message"]["tool_calls"]

    assert (call["type"], call["custom"]) == ("custom", {"name": "patch", "input": "Hello there"})


async def test_functions_are_called_in_their_own_form() -> None:
    only = await choice(functions=[WEATHER["function"]])

    assert only["finish_reason"] == "function_call"
    assert only["message"]["function_call"] == {"name": "weather", "arguments": '{"city":"city"}'}


async def test_every_choice_has_a_call_id_of_its_own() -> None:
    first, second = (await ask(tools=[TIME], n=2))["choices"]

    assert first["message"]["tool_calls"][0]["id"] != second["message"]["tool_calls"][0]["id"]


FORMATS: list[Any] = [
    pytest.param({"type": "json_object"}, {"text": "text"}, id="any object"),
    pytest.param({"type": "json_schema", "json_schema": {"name": "x"}}, {}, id="no schema"),
    pytest.param(
        {
            "type": "json_schema",
            "json_schema": {
                "name": "x",
                "strict": True,
                "schema": {
                    "type": "object",
                    "properties": {"rank": {"type": "integer", "minimum": 5}, "unit": {"enum": ["C", "F"]}},
                    "required": ["rank", "unit"],
                    "additionalProperties": False,
                },
            },
        },
        {"rank": 5, "unit": "C"},
        id="a schema",
    ),
]


@pytest.mark.parametrize(("form", "expected"), FORMATS)
async def test_structured_output_is_an_instance(form: dict[str, Any], expected: Any) -> None:
    only = await choice(response_format=form)

    assert json.loads(only["message"]["content"]) == expected


async def test_text_is_free_with_the_format_text() -> None:
    assert (await choice(response_format={"type": "text"}))["message"]["content"] == REPLY


async def test_choices_are_numbered() -> None:
    texts = [each["message"]["content"] for each in (await ask(n=3))["choices"]]

    assert texts == [REPLY, f"{REPLY} (choice 2)", f"{REPLY} (choice 3)"]


async def test_a_stream_has_the_role_the_words_and_the_finish() -> None:
    given = await chunks()

    assert deltas(given) == [
        {"role": "assistant", "content": ""},
        *({"content": word} for word in split_tokens(REPLY)),
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in given] == [*[None] * 10, "stop"]


async def test_all_chunks_of_a_stream_have_the_same_head() -> None:
    given = await chunks(stream_options={"include_usage": True})
    heads = {(chunk["id"], chunk["object"], chunk["created"], chunk["model"]) for chunk in given}

    assert [head[1:] for head in heads] == [("chat.completion.chunk", 1767225600, "mock")]


async def test_usage_comes_last_where_it_is_asked_for() -> None:
    *before, last = await chunks(stream_options={"include_usage": True})

    assert {chunk["usage"] for chunk in before} == {None}
    assert (last["choices"], last["usage"]["total_tokens"]) == ([], 11)


async def test_usage_is_absent_where_it_is_not_asked_for() -> None:
    given = await chunks(stream_options={"include_usage": False})

    assert [chunk for chunk in given if "usage" in chunk] == []


CALL_DELTAS: list[Any] = [
    pytest.param(
        {"tools": [WEATHER]},
        [
            {"role": "assistant", "content": None},
            {"index": 0, "type": "function", "function": {"name": "weather", "arguments": ""}},
            {"index": 0, "function": {"arguments": '{"city":'}},
            {"index": 0, "function": {"arguments": '"city"}'}},
            {},
        ],
        id="a function",
    ),
    pytest.param(
        {"tools": [PATCH], "max_tokens": 1},
        [
            {"role": "assistant", "content": None},
            {"index": 0, "type": "custom", "custom": {"name": "patch", "input": ""}},
            {"index": 0, "custom": {"input": "Hello"}},
            {},
        ],
        id="a custom tool, cut",
    ),
    pytest.param(
        {"functions": [TIME["function"]]},
        [
            {"role": "assistant", "content": None},
            {"function_call": {"name": "time", "arguments": ""}},
            {"function_call": {"arguments": "{}"}},
            {},
        ],
        id="a function of old",
    ),
]


@pytest.mark.parametrize(("fields", "expected"), CALL_DELTAS)
async def test_a_call_is_streamed_in_pieces(fields: dict[str, Any], expected: list[Any]) -> None:
    given = [delta.get("tool_calls", [delta])[0] for delta in deltas(await chunks(**fields))]

    assert [{key: value for key, value in each.items() if key != "id"} for each in given] == expected


async def test_only_the_first_delta_of_a_call_has_its_id() -> None:
    given = [delta["tool_calls"][0] for delta in deltas(await chunks(tools=[WEATHER])) if "tool_calls" in delta]

    assert ["id" in each for each in given] == [True, False, False]


async def test_choices_are_streamed_side_by_side() -> None:
    given = await chunks(n=2, max_tokens=2)

    assert [chunk["choices"][0]["index"] for chunk in given] == [0, 1, 0, 1, 0, 0, 1, 1]
    assert deltas(given, 0) == deltas(given, 1)


async def test_every_choice_of_a_stream_finishes_after_its_own_last_word() -> None:
    given = [chunk["choices"][0] for chunk in await chunks(n=2)]

    assert [(each["index"], each["finish_reason"]) for each in given[-6:]] == [
        (0, None),
        (0, "stop"),
        (1, None),
        (1, None),
        (1, None),
        (1, "stop"),
    ]


async def test_a_stream_without_words_still_finishes() -> None:
    assert deltas(await chunks(stop="This")) == [{"role": "assistant", "content": ""}, {}]


async def test_a_stream_says_what_the_whole_answer_says() -> None:
    form = {"type": "json_schema", "json_schema": {"schema": {"properties": {"a": {}, "b": {"type": "number"}}}}}
    streamed = "".join(delta.get("content", "") for delta in deltas(await chunks(response_format=form)))

    assert streamed == (await choice(response_format=form))["message"]["content"] == '{"a":"a","b":1}'


async def test_a_word_comes_every_20_ms() -> None:
    clock = ManualClock()
    answer = await send({"model": "mock", "messages": [HELLO], "stream": True}, clock=clock)
    pieces = await pieces_of(answer, clock)

    assert (len(pieces), round(clock.now_s(), 6)) == (10, 0.18)


async def test_cancelling_a_read_loses_nothing() -> None:
    clock = ManualClock()
    answer = await send({"model": "mock", "messages": [HELLO], "stream": True}, clock=clock)
    first = await answer.read()
    for _ in range(3):
        reading = asyncio.ensure_future(answer.read())
        await clock.advance(WORD_S / 8)
        reading.cancel()
        await settle()
    rest = await pieces_of(answer, clock)

    assert [first, *rest] == await stream()


async def test_time_waited_counts_although_the_read_was_cancelled() -> None:
    clock = ManualClock()
    answer = await send({"model": "mock", "messages": [HELLO], "stream": True}, clock=clock)
    await answer.read()
    reading = asyncio.ensure_future(answer.read())
    await clock.advance(WORD_S / 2)
    reading.cancel()
    await clock.advance(WORD_S / 2 + 0.001)
    piece = await asyncio.wait_for(answer.read(), 1)

    assert b'"This"' in piece


async def test_a_closed_answer_has_no_more_to_say() -> None:
    answer = await send({"model": "mock", "messages": [HELLO], "stream": True})
    await answer.read()
    answer.close()
    answer.finish()

    assert await answer.read() == b""


async def test_closing_ends_a_read_that_waits() -> None:
    clock = ManualClock()
    answer = await send({"model": "mock", "messages": [HELLO], "stream": True}, clock=clock)
    await answer.read()
    reading = asyncio.ensure_future(answer.read())
    await settle()
    answer.close()
    await clock.advance(WORD_S)

    assert await reading == b""


async def test_a_whole_answer_is_one_piece() -> None:
    answer = await send({"model": "mock", "messages": [HELLO]})
    body = await answer.read()

    assert (bool(body), await answer.read()) == (True, b"")


async def test_the_chat_dialect_reads_a_whole_answer() -> None:
    read = read_answer(await (await send({"model": "mock", "messages": [HELLO]})).read())

    assert read.usage.input == 2  # type: ignore[union-attr]


async def test_the_chat_dialect_relays_a_stream_to_its_end() -> None:
    wire = b"".join(await stream(tools=[WEATHER], stream_options={"include_usage": True}))
    relay = ChatStreamRelay()
    relayed = relay.feed(wire) + relay.close()

    assert (relayed, relay.failure, relay.done) == (wire, None, True)


def body(**fields: Any) -> dict[str, Any]:
    return {"model": "mock", "messages": [HELLO], **fields}


BAD: list[Any] = [
    pytest.param(b"", None, id="nothing"),
    pytest.param(b"{", None, id="not JSON"),
    pytest.param(b"[]", None, id="no object"),
    pytest.param(b'{"a":"\xff"}', None, id="not UTF-8"),
    pytest.param(b'{"a":' + b"[" * 200 + b"]" * 200 + b"}", None, id="too deep"),
    pytest.param({"messages": [HELLO]}, "model", id="no model"),
    pytest.param({"model": 1, "messages": [HELLO]}, "model", id="a model that is no text"),
    pytest.param({"model": "mock"}, "messages", id="no messages"),
    pytest.param(body(messages=[]), "messages", id="messages without one"),
    pytest.param(body(messages="hi"), "messages", id="messages that are text"),
    pytest.param(body(messages=[HELLO, 1]), "messages[1]", id="a message that is a number"),
    pytest.param(body(messages=[{}]), "messages[0].role", id="a message without role"),
    pytest.param(body(stream="yes"), "stream", id="stream that is text"),
    pytest.param(body(stream_options=[]), "stream_options", id="stream options in a list"),
    pytest.param(
        body(stream_options={"include_usage": 1}), "stream_options.include_usage", id="include_usage that is a number"
    ),
    pytest.param(body(n=0), "n", id="no choices"),
    pytest.param(body(n=True), "n", id="n that is true"),
    pytest.param(body(n=129), "n", id="too many choices"),
    pytest.param(body(max_tokens=0), "max_tokens", id="no tokens"),
    pytest.param(body(max_completion_tokens=1.5), "max_completion_tokens", id="a token and a half"),
    pytest.param(body(stop=1), "stop", id="a stop that is a number"),
    pytest.param(body(stop=["a", None]), "stop", id="a stop that is null"),
    pytest.param(body(tools={}), "tools", id="tools in an object"),
    pytest.param(body(tools=[1]), "tools[0].type", id="a tool that is a number"),
    pytest.param(body(tools=[WEATHER, {}]), "tools[1].function.name", id="an empty tool"),
    pytest.param(body(tools=[{"type": "function"}]), "tools[0].function.name", id="a function without name"),
    pytest.param(body(functions=[1]), "functions[0].name", id="a function that is a number"),
    pytest.param(
        body(tools=[TIME], tool_choice={"type": "function", "function": {"name": "x"}}),
        "tool_choice",
        id="no such tool",
    ),
    pytest.param(body(response_format="json"), "response_format", id="a format that is text"),
    pytest.param(body(response_format={"type": "xml"}), "response_format.type", id="an unknown format"),
    pytest.param(body(response_format={}), "response_format.type", id="a format without type"),
    pytest.param(
        body(response_format={"type": "json_schema"}), "response_format.json_schema", id="a format without schema"
    ),
    pytest.param(
        body(response_format={"type": "json_schema", "json_schema": {"schema": False}}),
        "response_format.json_schema.schema",
        id="a schema that nothing satisfies",
    ),
    pytest.param(
        body(response_format={"type": "json_schema", "json_schema": {"schema": {"const": "x" * MAX_SCHEMA_BYTES}}}),
        "response_format.json_schema.schema",
        id="a schema of excessive size",
    ),
    pytest.param(
        body(tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "string"}}}]),
        "tools[0].function.parameters",
        id="arguments that are no object",
    ),
]


@pytest.mark.parametrize(("wire", "param"), BAD)
async def test_a_bad_request_is_a_400_that_names_the_field(wire: Any, param: str | None) -> None:
    answer = await send(wire)
    error = json.loads(await answer.read())["error"]

    assert (answer.status, error["type"], error["param"]) == (400, "invalid_request_error", param)
    assert error["message"]


async def test_the_model_list_names_the_mock() -> None:
    request = UpstreamRequest(method="GET", url="http://x/v1/models", headers={}, body=None, connect_s=1)
    listed = json.loads(await (await MockTransport(ManualClock()).send(request)).read())

    assert (listed["object"], [model["id"] for model in listed["data"]]) == ("list", ["mock"])


ELSEWHERE = [
    pytest.param("POST", "/v1/embeddings", id="another endpoint"),
    pytest.param("GET", "/v1/chat/completions", id="another method"),
    pytest.param("POST", "", id="no path"),
]


@pytest.mark.parametrize(("method", "url"), ELSEWHERE)
async def test_anything_else_is_a_404(method: str, url: str) -> None:
    transport = MockTransport(ManualClock())
    answer = await transport.send(UpstreamRequest(method=method, url=url, headers={}, body=None, connect_s=1))
    await transport.close()

    assert answer.status == 404
