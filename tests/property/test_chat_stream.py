"""However a stream is cut into reads, the same bytes pass; wherever it is cut off, it is not presented as complete."""

from __future__ import annotations

import itertools
from typing import Any

import orjson
from hypothesis import assume, example, given
from hypothesis import strategies as st

from modelserver.dialects.openai_chat.stream import ChatStreamRelay
from modelserver.ir.usage import Usage


def event(value: Any) -> bytes:
    return b"data: " + orjson.dumps(value)


def chunk(content: Any, finish: Any, index: int) -> bytes:
    choice = {"index": index, "delta": {"content": content}, "finish_reason": finish}
    return event({"id": "c", "model": "up", "choices": [choice]})


CONTENT = st.builds(chunk, st.text(max_size=4), st.sampled_from([None, ""]), st.integers(0, 1))
FINISH = st.builds(chunk, st.none(), st.sampled_from(["stop", "length"]), st.integers(0, 1))
USAGE = event({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})
DONE = b"data: [DONE]"
OTHERS = st.sampled_from(
    [
        b": ping",
        b"",
        b"event: x\nid: 1",
        USAGE,
        event({"x": "\u2028"}),
        b'data: {"a":\ndata: 1}',
        b'data: {"x":"\\ud83d"}',
        b'data:{"model":"up"}',
        b"data:",
    ]
)
BAD = st.sampled_from(
    [b"data: x", b"data: []", b"<html>", event({"error": {"code": 429}}), b'data: {"a":"\xff"}', DONE]
)
BLANKS = st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n", b"\r\n\n"])
OPTIONS = st.fixed_dictionaries({"withhold_usage": st.booleans(), "rename": st.sampled_from([None, "mine"])})
CUTS = st.lists(st.integers(0, 1500), max_size=12)


@st.composite
def streams(draw: st.DrawFn, frames: st.SearchStrategy[bytes]) -> bytes:
    """Events with blank lines of every kind, the last one perhaps missing."""
    wire = b""
    for frame in draw(st.lists(frames, max_size=8)):
        blank = draw(BLANKS)
        wire += frame.replace(b"\n", b"\r\n") + blank if blank.startswith(b"\r\n") else frame + blank
    return wire[: len(wire) - draw(st.integers(0, 3))] if draw(st.booleans()) else wire


def pieces(wire: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    return [wire[start:end] for start, end in itertools.pairwise(places)]


def relayed(parts: list[bytes], options: dict[str, Any]) -> tuple[bytes, bool, str, Usage | None, int, bool]:
    """Everything that a relay says of a stream."""
    relay = ChatStreamRelay(**options)
    out = b"".join(map(relay.feed, parts)) + relay.close()
    return out, relay.done, repr(relay.failure), relay.usage, relay.output_chars, relay.has_content


@given(wire=streams(CONTENT | FINISH | OTHERS | BAD), cuts=CUTS, options=OPTIONS)
def test_any_cut_gives_the_same_bytes_and_the_same_end(wire: bytes, cuts: list[int], options: dict[str, Any]) -> None:
    whole = relayed([wire], options)

    assert whole == relayed(pieces(wire, cuts), options)
    assert whole == relayed([wire[at : at + 1] for at in range(len(wire))], options)


@given(wire=streams(CONTENT | OTHERS | st.just(DONE)), cuts=CUTS)
def test_a_stream_without_a_finish_never_ends_well(wire: bytes, cuts: list[int]) -> None:
    relay = ChatStreamRelay()

    out = b"".join(map(relay.feed, pieces(wire, cuts))) + relay.close()

    assert relay.failure is not None
    assert b"[DONE]" not in out


@given(data=st.data(), contents=st.lists(CONTENT, min_size=1, max_size=4), blank=BLANKS)
def test_a_stream_cut_off_before_its_last_finish_fails(
    data: st.DataObject, contents: list[bytes], blank: bytes
) -> None:
    seen = sorted({orjson.loads(content[6:])["choices"][0]["index"] for content in contents})
    finishes = [chunk(None, "stop", index) for index in seen]
    before = b"".join(frame + blank for frame in [*contents, *finishes[:-1]])
    complete = before + finishes[-1] + blank + DONE + blank
    length = data.draw(st.integers(0, len(before) + len(finishes[-1]) - 1))
    relay = ChatStreamRelay()

    out = relay.feed(complete[:length]) + relay.close()

    assert relay.failure is not None
    assert complete.startswith(out.rstrip(b"\r\n"))


@given(wire=streams(CONTENT | FINISH | OTHERS))
@example(wire=b"data: {}")
def test_what_passes_is_what_came(wire: bytes) -> None:
    assume(b"data:\r" not in wire and b"data:\n" not in wire and not wire.endswith(b"data:"))
    relay = ChatStreamRelay()

    out = relay.feed(wire)
    rest = relay.close()

    assert wire.startswith(out)
    assert rest == b"" or (out + rest).startswith(wire)
    assert (out + rest)[len(wire) :].strip(b"\r\n") == b""


@given(wire=streams(CONTENT | FINISH | OTHERS | BAD))
def test_whatever_leaves_is_events_of_json_objects(wire: bytes) -> None:
    relay = ChatStreamRelay()

    out = relay.feed(wire) + relay.close()

    again = ChatStreamRelay()
    assert out == again.feed(out) + again.close()
    assert again.done
