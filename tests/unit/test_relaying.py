"""What the relays of all dialects share: events that pass with their own bytes."""

from __future__ import annotations

from typing import Any

import pytest

from modelserver.dialects.relaying import EventRelay, member_of, spliced
from modelserver.errors import GatewayError
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from modelserver.wire.json_splice import Member
from tests.support.feeding import feed_every_way


class Reader:
    """Words: `say` is content, `end` the last event, `bad` an error."""

    def __init__(self) -> None:
        self.has_content = False
        self.is_complete = False
        self.is_over = False
        self.usage: Usage | None = None
        self.output_chars = 0

    def read(self, event: dict[str, Any]) -> Complaint | None:
        word = event.get("word")
        self.has_content = self.has_content or word in ("say", "end")
        self.is_complete = self.is_complete or word in ("end", "finish")
        self.is_over = word == "end"
        return Complaint(status=503, message="busy") if event.get("error") else None

    def model_of(self, data: bytes, event: dict[str, Any]) -> Member | None:
        return member_of(data, event, "in", "model")

    def fail(self, error: GatewayError) -> bytes:
        return error.message.encode()


SAY = b'event: x\ndata: {"word": "say", "in": {"model": "theirs"}}\n\n'
END = b'data: {"word": "end"}\n\n'


def relayed(wire: bytes, **given: Any) -> tuple[bytes, EventRelay]:
    relay = EventRelay(Reader(), **{"rename": None, **given})
    return relay.feed(wire) + relay.close(), relay


def test_events_pass_at_every_cut() -> None:
    wire = b": hello\r\n\r\n" + SAY + END

    assert feed_every_way(lambda: EventRelay(Reader(), rename=None), wire) == wire


def test_the_model_is_renamed_at_every_cut() -> None:
    renamed = feed_every_way(lambda: EventRelay(Reader(), rename='mine "x"'), SAY + END)

    assert renamed == (SAY + END).replace(b'"theirs"', b'"mine \\"x\\""')


ENDS = [
    pytest.param(SAY, "upstream_error", id="cut"),
    pytest.param(b"", "upstream_invalid_response", id="nothing"),
    pytest.param(b": ping\n\n", "upstream_invalid_response", id="comments only"),
    pytest.param(SAY + b"data: [DONE]\n\n", "upstream_error", id="a foreign end without a finish"),
    pytest.param(SAY + b"data: {]\n\n" + END, "upstream_invalid_response", id="no JSON"),
    pytest.param(SAY + b"data: 7\n\n" + END, "upstream_invalid_response", id="no object"),
    pytest.param(SAY + b"<html>\n\n" + END, "upstream_invalid_response", id="no event"),
    pytest.param(SAY + b"eve", "upstream_error", id="cut within a name"),
    pytest.param(SAY + b'{"word": "say"}\n\n' + END, "upstream_invalid_response", id="a bare object"),
    pytest.param(SAY + END[:-5], "upstream_error", id="cut within the end"),
]


@pytest.mark.parametrize(("wire", "code"), ENDS)
def test_what_is_no_whole_stream_fails(wire: bytes, code: str) -> None:
    out, relay = relayed(wire)

    assert isinstance(relay.failure, GatewayError)
    assert relay.failure.code == code
    assert END not in out


COMPLETE = [
    pytest.param(SAY + b'data: {"word": "finish"}\n\n', id="finish without the last event"),
    pytest.param(SAY + END[:-2], id="without the blank line"),
    pytest.param(SAY + END + SAY, id="something behind the end"),
    pytest.param(SAY + b"data:\n\n" + END, id="an empty event"),
]


@pytest.mark.parametrize("wire", COMPLETE)
def test_what_is_complete_does_not_fail(wire: bytes) -> None:
    assert relayed(wire)[1].failure is None


BARE = [
    pytest.param(b'data: {"error": {}, "word": ""}\n\n', False, id="empty error"),
    pytest.param(b'data: {"error": "x"}\n\n', True, id="event"),
    pytest.param(b'{"error":\n  "x"\n}\n\n', True, id="bare, over several lines"),
    pytest.param(b'{"error": "x"}', True, id="bare, at the end"),
]


@pytest.mark.parametrize(("wire", "fails"), BARE)
def test_an_error_is_not_relayed(wire: bytes, fails: bool) -> None:
    out, relay = relayed(SAY + wire)

    assert isinstance(relay.failure, Complaint) is fails
    assert out.startswith(SAY)
    assert (wire in out) is not fails


def test_comments_can_be_kept_back() -> None:
    assert relayed(b": a\n\n" + END, comments=False)[0] == END


def test_another_framing_gets_the_edited_data() -> None:
    out, _ = relayed(SAY + END, rename="m", wrap=lambda raw, data: b"<" + data + b">", ending=lambda: b"!")

    assert out == b'<{"word": "say", "in": {"model": "m"}}><{"word": "end"}>!'


RAWS = [
    pytest.param(b'data: {"model":"a"}\n\n', b'data: {"model":"b"}\n\n', id="plain"),
    pytest.param(b'data:{"model":"a"}\r\n\r\n', b'data:{"model":"b"}\r\n\r\n', id="no space"),
    pytest.param(
        b'event: x\ndata: {\ndata: "model":"a"}\n\n', b'event: x\ndata: {\ndata: "model":"b"}\n\n', id="lines"
    ),
]


@pytest.mark.parametrize(("raw", "expected"), RAWS)
def test_a_value_is_spliced_where_it_stands(raw: bytes, expected: bytes) -> None:
    data = b'{\n"model":"a"}' if b"{\n" in raw else b'{"model":"a"}'
    member = member_of(data, {"model": "a"}, "model")

    assert member is not None
    assert spliced(raw, data, member, b'"b"') == expected


@pytest.mark.parametrize("event", [{}, {"in": 7}, {"in": {"model": 7}}, {"in": {"model": None}}])
def test_where_no_model_is_named_none_is_found(event: dict[str, Any]) -> None:
    assert member_of(b"{}", event, "in", "model") is None
