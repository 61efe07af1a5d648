"""However a stream is cut, its frames are the same and lose no byte."""

from __future__ import annotations

import itertools
import re

from hypothesis import given
from hypothesis import strategies as st

from modelserver.errors import UpstreamFailed
from modelserver.wire.sse import Frame, SseFramer

ENDS = [b"\n", b"\r", b"\r\n"]
WORDS = [b"data", b": ", b":", b"a", b" ", b"event: x", b"data: 1", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xff", b"\x85"]
STREAMS = st.lists(st.sampled_from(ENDS + ENDS + WORDS), max_size=25).map(b"".join)
CUTS = st.lists(st.integers(0, 60), max_size=12)


def pieces(wire: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    return [wire[start:end] for start, end in itertools.pairwise(places)]


def frames(parts: list[bytes]) -> tuple[list[Frame], Frame | None]:
    framer = SseFramer()
    return [frame for part in parts for frame in framer.feed(part)], framer.close()


def bounded(parts: list[bytes], limit: int) -> tuple[list[Frame], bool]:
    framer = SseFramer(max_event_bytes=limit)
    found: list[Frame] = []
    for part in parts:
        try:
            found += framer.feed(part)
        except UpstreamFailed:
            break
    return found, framer.failure is not None


def has_data(text: bytes) -> bool:
    return any(line.removeprefix(b"\xef\xbb\xbf").startswith(b"data") for line in re.split(rb"[\r\n]", text))


@given(wire=STREAMS, cuts=CUTS)
def test_any_cut_gives_the_same_frames(wire: bytes, cuts: list[int]) -> None:
    assert frames([wire]) == frames(pieces(wire, cuts))


@given(wire=STREAMS, cuts=CUTS)
def test_frames_hold_every_byte(wire: bytes, cuts: list[int]) -> None:
    found, rest = frames(pieces(wire, cuts))

    held = b"".join(frame.raw for frame in found)
    left = wire[len(held) :]
    assert wire.startswith(held)
    assert not has_data(left) if rest is None else rest.raw.startswith(left)


@given(wire=STREAMS)
def test_a_rest_is_completed_by_line_ends_only(wire: bytes) -> None:
    found, rest = frames([wire])

    if rest is not None:
        held = b"".join(frame.raw for frame in found) + rest.raw
        assert held[len(wire) :].strip(b"\r\n") == b""


@given(wire=STREAMS)
def test_what_comes_out_of_a_framer_is_framed_the_same_again(wire: bytes) -> None:
    found, rest = frames([wire])
    out = b"".join(frame.raw for frame in found) + (b"" if rest is None else rest.raw)

    again, last = frames([out])

    said = [*found, *([] if rest is None else [rest])]
    assert [frame[1:] for frame in said] == [frame[1:] for frame in (*again, *([] if last is None else [last]))]


@given(wire=STREAMS, cuts=CUTS, limit=st.integers(4, 30))
def test_any_cut_meets_the_limit_at_the_same_place(wire: bytes, cuts: list[int], limit: int) -> None:
    assert bounded([wire], limit) == bounded(pieces(wire, cuts), limit)


@given(
    values=st.lists(st.lists(st.text(alphabet="ab: {}\u2028é", max_size=6), min_size=1, max_size=3), max_size=5),
    data=st.data(),
)
def test_data_comes_out_as_it_went_in(values: list[list[str]], data: st.DataObject) -> None:
    wire = b""
    for lines in values:
        wire += b"".join(b"data: " + line.encode() + data.draw(st.sampled_from(ENDS)) for line in lines)
        wire += b"\n" if not wire.endswith(b"\r") else b"\r\n"

    found, _ = frames([wire])

    assert ["\n".join(lines).encode() for lines in values] == [frame.data for frame in found if frame.data is not None]
