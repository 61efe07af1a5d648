"""Event streams, cut into frames that hold every byte."""

from __future__ import annotations

import pytest

from modelserver.errors import UpstreamFailed
from modelserver.wire.sse import MAX_EVENT_BYTES, Frame, SseFramer
from tests.support.feeding import feed_every_way


class _Frames:
    """A framer whose rest and failure are the last results."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._framer = SseFramer(max_event_bytes)

    def feed(self, data: bytes) -> list[object]:
        try:
            return list(self._framer.feed(data))
        except UpstreamFailed:
            return []

    def close(self) -> list[object]:
        rest = self._framer.close() if self._framer.failure is None else self._framer.failure.code
        return [] if rest is None else [rest]


FRAMES = [
    pytest.param(b"data: a\n\n", [Frame(b"data: a\n\n", b"a")], id="one line of data"),
    pytest.param(b"data:a\n\n", [Frame(b"data:a\n\n", b"a")], id="no space after the colon"),
    pytest.param(b"data:  a \n\n", [Frame(b"data:  a \n\n", b" a ")], id="one space only is taken off"),
    pytest.param(b"data: a:b\n\n", [Frame(b"data: a:b\n\n", b"a:b")], id="a colon in the data"),
    pytest.param(b"data\n\n", [Frame(b"data\n\n", b"")], id="a field without a colon is empty"),
    pytest.param(b"data: \n\n", [Frame(b"data: \n\n", b"")], id="empty data"),
    pytest.param(b"data:\n\n", [Frame(b"data:\n\n", b"")], id="nothing after the colon"),
    pytest.param(b"data: a\ndata: b\n\n", [Frame(b"data: a\ndata: b\n\n", b"a\nb")], id="lines of data are joined"),
    pytest.param(b"data\ndata\n\n", [Frame(b"data\ndata\n\n", b"\n")], id="empty lines of data are joined too"),
    pytest.param(
        b"event: x\nid: 1\nretry: 5\ndata: a\n\n",
        [Frame(b"event: x\nid: 1\nretry: 5\ndata: a\n\n", b"a")],
        id="other fields beside the data",
    ),
    pytest.param(b"event: ping\n\n", [Frame(b"event: ping\n\n", None)], id="an event without data"),
    pytest.param(b": hi\n\n", [Frame(b": hi\n\n", None)], id="a comment"),
    pytest.param(b":\n\n", [Frame(b":\n\n", None)], id="an empty comment"),
    pytest.param(b": hi\ndata: a\n: ho\n\n", [Frame(b": hi\ndata: a\n: ho\n\n", b"a")], id="comments around data"),
    pytest.param(b"\n\n", [Frame(b"\n\n", None)], id="a blank line alone"),
    pytest.param(b"\ndata: a\n\n", [Frame(b"\ndata: a\n\n", b"a")], id="a line end before the event"),
    pytest.param(
        b"data: a\n\n\n\ndata: b\n\n",
        [Frame(b"data: a\n\n", b"a"), Frame(b"\n\n", None), Frame(b"data: b\n\n", b"b")],
        id="blank lines between events",
    ),
    pytest.param(
        b"data: a\n\n\ndata: b\n\n",
        [Frame(b"data: a\n\n", b"a"), Frame(b"\ndata: b\n\n", b"b")],
        id="three line ends",
    ),
    pytest.param(b"data: a\r\n\r\n", [Frame(b"data: a\r\n\r\n", b"a")], id="CR LF"),
    pytest.param(
        b"data: a\r\n\r\ndata: b\r\n\r\n",
        [Frame(b"data: a\r\n\r\n", b"a"), Frame(b"data: b\r\n\r\n", b"b")],
        id="two events with CR LF",
    ),
    pytest.param(
        b"data: a\r\rdata: b\r\r",
        [Frame(b"data: a\r\r", b"a"), Frame(b"data: b\r\r", b"b")],
        id="CR alone",
    ),
    pytest.param(
        b"data: a\r\ndata: b\rdata: c\ndata: d\r\n\n",
        [Frame(b"data: a\r\ndata: b\rdata: c\ndata: d\r\n\n", b"a\nb\nc\nd")],
        id="every line end in one event",
    ),
    pytest.param(b"data: a\n\r\n", [Frame(b"data: a\n\r\n", b"a")], id="LF and CR LF"),
    pytest.param(
        b"data: a\r\n: b\r\n\r\n", [Frame(b"data: a\r\n: b\r\n\r\n", b"a")], id="CR LF is one line end, not two"
    ),
    pytest.param(
        "data: a\u2028b\u0085c\x0bd\n\n".encode(),
        [Frame("data: a\u2028b\u0085c\x0bd\n\n".encode(), "a\u2028b\u0085c\x0bd".encode())],
        id="other separators are no line ends",
    ),
    pytest.param(b"\xef\xbb\xbfdata: a\n\n", [Frame(b"\xef\xbb\xbfdata: a\n\n", b"a")], id="a byte order mark"),
    pytest.param(b"\xef\xbb\xbf\n\n", [Frame(b"\xef\xbb\xbf\n\n", None)], id="a byte order mark alone"),
    pytest.param(
        b"data: a\n\n\xef\xbb\xbfdata: b\n\n",
        [Frame(b"data: a\n\n", b"a"), Frame(b"\xef\xbb\xbfdata: b\n\n", None, True)],
        id="a byte order mark inside is no mark",
    ),
    pytest.param(b"<html>\n\n", [Frame(b"<html>\n\n", None, True)], id="a line that is no field"),
    pytest.param(b'{"error":1}\n\n', [Frame(b'{"error":1}\n\n', None, True)], id="JSON outside of an event"),
    pytest.param(b"Data: a\n\n", [Frame(b"Data: a\n\n", None, True)], id="names of fields have their case"),
    pytest.param(b"data : a\n\n", [Frame(b"data : a\n\n", None, True)], id="a space before the colon"),
    pytest.param(b"data: a\nbad\n\n", [Frame(b"data: a\nbad\n\n", b"a", True)], id="a bad line beside data"),
    pytest.param(
        b"event: \xff\ndata: a\n\n", [Frame(b"event: \xff\ndata: a\n\n", b"a", True)], id="a name that is not UTF-8"
    ),
    pytest.param(
        "event: é\ndata: a\n\n".encode(), [Frame("event: é\ndata: a\n\n".encode(), b"a")], id="a name beyond ASCII"
    ),
    pytest.param(b": \xff\n\n", [Frame(b": \xff\n\n", None)], id="a comment may be anything"),
    pytest.param(b"", [], id="nothing"),
]

RESTS = [
    pytest.param(b"data: a", Frame(b"data: a\n\n", b"a"), id="no line end"),
    pytest.param(b"data: a\n", Frame(b"data: a\n\n", b"a"), id="one line end"),
    pytest.param(b"data: a\r\n", Frame(b"data: a\r\n\r\n", b"a"), id="one CR LF"),
    pytest.param(b"data: a\r", Frame(b"data: a\r\n\r\n", b"a"), id="a CR that may be half of a CR LF"),
    pytest.param(b"data: a\r\n\r", Frame(b"data: a\r\n\r\n", b"a"), id="half of the CR LF of the blank line"),
    pytest.param(b"data: a\r\r", Frame(b"data: a\r\r", b"a"), id="CR alone, complete"),
    pytest.param(b"data: a\n\r", Frame(b"data: a\n\r\n", b"a"), id="LF, and a CR that may be half of a CR LF"),
    pytest.param(b"event: x\r\ndata: a", Frame(b"event: x\r\ndata: a\r\n\r\n", b"a"), id="CR LF as the lines before"),
    pytest.param(b"\n", Frame(b"\n", None), id="a line end only"),
    pytest.param(b"\r\n", Frame(b"\r\n", None), id="a CR LF only"),
    pytest.param(b": hi\r\r", Frame(b": hi\r\r", None), id="a comment, complete"),
    pytest.param(b"da", Frame(b"da\n\n", None, True), id="half a field"),
    pytest.param(b"\xef\xbb\xbfdata: a", Frame(b"\xef\xbb\xbfdata: a\n\n", b"a"), id="a byte order mark"),
]


@pytest.mark.parametrize(("wire", "expected"), FRAMES)
def test_a_stream_is_framed(wire: bytes, expected: list[Frame]) -> None:
    assert expected == feed_every_way(_Frames, wire)


@pytest.mark.parametrize(("wire", "expected"), RESTS)
def test_a_rest_gets_the_blank_line_that_it_lacks(wire: bytes, expected: Frame) -> None:
    assert [expected] == feed_every_way(_Frames, wire)


@pytest.mark.parametrize("wire", [b": hi", b": hi\n", b"event: x\n", b"\xef\xbb\xbf"], ids=repr)
def test_a_rest_without_data_is_nothing(wire: bytes) -> None:
    assert feed_every_way(_Frames, wire) == []


def test_a_rest_without_blank_line_waits() -> None:
    framer = SseFramer()

    assert framer.feed(b"data: a\n") == []
    assert [Frame(b"data: a\n\n", b"a")] == framer.feed(b"\n")


def test_a_complete_frame_does_not_wait_for_the_next() -> None:
    assert [Frame(b"data: a\r\n\r\n", b"a")] == SseFramer().feed(b"data: a\r\n\r\ndata: b")


def test_a_stream_that_ends_with_a_frame_has_no_rest() -> None:
    framer = SseFramer()
    framer.feed(b"data: a\n\n")

    assert framer.close() is None


LIMITED = [
    pytest.param(b"data: 123456789012\n\n", [Frame(b"data: 123456789012\n\n", b"123456789012")], id="at the limit"),
    pytest.param(
        b"data: 123456789012\n\n" * 2, [Frame(b"data: 123456789012\n\n", b"123456789012")] * 2, id="two at the limit"
    ),
    pytest.param(b"data: 1234567890123\n\n", ["upstream_too_large"], id="one byte over the limit"),
    pytest.param(b"data: 1234567890123456789", ["upstream_too_large"], id="an incomplete event over the limit"),
    pytest.param(
        b"data: a\n\ndata: 1234567890123\n\ndata: b\n\n",
        [Frame(b"data: a\n\n", b"a"), "upstream_too_large"],
        id="what comes before leaves, what comes after does not",
    ),
    pytest.param(
        b"data: a\n\ndata: 12345678901234567890",
        [Frame(b"data: a\n\n", b"a"), "upstream_too_large"],
        id="what comes before an incomplete event leaves",
    ),
    pytest.param(
        b"data: 123456\n\n" * 3,
        [Frame(b"data: 123456\n\n", b"123456")] * 3,
        id="the limit is one event's, not a read's",
    ),
]


@pytest.mark.parametrize(("wire", "expected"), LIMITED)
def test_an_event_over_the_limit_ends_the_frames(wire: bytes, expected: list[object]) -> None:
    assert expected == feed_every_way(lambda: _Frames(20), wire)


def test_a_framer_that_failed_fails_again() -> None:
    framer = SseFramer(max_event_bytes=8)

    with pytest.raises(UpstreamFailed, match="more than 8 bytes"):
        framer.feed(b"data: 123")
    with pytest.raises(UpstreamFailed, match="more than 8 bytes"):
        framer.feed(b"\n\n")


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CR LF", "CR"])
def test_a_large_event_in_small_pieces_comes_whole(line_end: bytes) -> None:
    data = b'"' + b"x" * 2_000_000 + b'"'
    wire = b"data: " + data + line_end * 2
    framer = SseFramer()

    frames = [frame for at in range(0, len(wire), 4096) for frame in framer.feed(wire[at : at + 4096])]
    rest = framer.close()

    assert [Frame(wire, data)] == frames + ([] if rest is None else [rest])
