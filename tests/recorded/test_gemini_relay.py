"""Every recorded exchange with the Gemini API, passed between a client and an upstream of this dialect."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest

from modelserver.dialects.dialect import StreamRelay
from modelserver.dialects.gemini import CODEC, GEMINI, GEMINI_ARRAY, split_path
from modelserver.ir.fold import fold
from modelserver.ir.parts import Response
from modelserver.ir.types import Address, Complaint
from modelserver.wire.json_splice import elements
from tests.support.feeding import feed_every_way
from tests.support.gemini import reading

_BESIDE = Path(__file__).parents[2].parent / "shared"
SHARED = _BESIDE if _BESIDE.is_dir() else Path(os.environ.get("MODELSERVER_SHARED", _BESIDE))


def recordings() -> dict[str, dict[str, Any]]:
    """Recorded exchanges by name."""
    return {file.stem: orjson.loads(file.read_bytes()) for file in sorted(SHARED.glob("recordings/gemini/*.json"))}


RECORDINGS = recordings()
COUNTS = {name: record for name, record in RECORDINGS.items() if ":countTokens" in record["request"]["path"]}
ANSWERS = {
    name: record for name, record in RECORDINGS.items() if record["response"]["status"] == 200 and name not in COUNTS
}
NO_ANSWER = {name for name in ANSWERS if "invalid-json" in name}
STREAMS = {name: record for name, record in ANSWERS.items() if record["stream"] and name not in NO_ANSWER}
WHOLE = {name: record for name, record in ANSWERS.items() if not record["stream"]}

pytestmark = pytest.mark.skipif(not RECORDINGS, reason="no recordings in ../shared nor MODELSERVER_SHARED")


def body_of(record: dict[str, Any]) -> bytes:
    return str(record["response"]["body"]).encode()


def events_of(record: dict[str, Any]) -> bytes:
    """The stream as events: those of a recorded array are made of its elements, as they stand."""
    body = body_of(record)
    if not body.startswith(b"["):
        # One recording lacks the end of its last blank line.
        return body if body.endswith((b"\n\n", b"\r\n\r\n")) else body + b"\r\n"
    texts = [body[start:end] for start, end in elements(body)]
    return b"".join(b"data: " + text.replace(b"\n", b"\r\ndata: ") + b"\r\n\r\n" for text in texts)


def frames_of(body: bytes) -> list[bytes]:
    end = b"\r\n\r\n" if b"\r\n\r\n" in body else b"\n\n"
    return [frame + end for frame in body.split(end) if frame.strip()]


def opened(dialect: Any = GEMINI, *, rename: str | None = None) -> StreamRelay:
    relay: StreamRelay = dialect.open_stream(withhold_usage=False, rename=rename, claim=lambda _: None)
    return relay


def decoded(body: bytes) -> Response:
    decoder = CODEC.stream_decoder(reading())
    answer = fold([*decoder.feed(body), *decoder.close()])
    assert isinstance(answer, Response)
    return answer


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_passes_with_every_byte_however_it_is_cut(name: str) -> None:
    wire = events_of(STREAMS[name])

    assert wire == feed_every_way(opened, wire)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_is_metered_as_it_is_decoded(name: str) -> None:
    wire = events_of(STREAMS[name])
    relay = opened()
    relay.feed(wire)
    relay.close()

    assert relay.failure is None
    assert relay.has_content
    assert relay.usage == decoded(wire).usage


@pytest.mark.parametrize("name", STREAMS)
def test_an_array_holds_the_same_chunks(name: str) -> None:
    wire = events_of(STREAMS[name])
    said = feed_every_way(lambda: opened(GEMINI_ARRAY), wire)

    assert orjson.loads(said) == [orjson.loads(frame.replace(b"data: ", b"")) for frame in frames_of(wire)]


@pytest.mark.parametrize("name", STREAMS)
def test_every_chunk_is_renamed(name: str) -> None:
    said = feed_every_way(lambda: opened(GEMINI_ARRAY, rename="mine"), events_of(STREAMS[name]))

    assert {chunk["modelVersion"] for chunk in orjson.loads(said) if "modelVersion" in chunk} <= {"mine"}


@pytest.mark.parametrize("dialect", [GEMINI, GEMINI_ARRAY])
@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_that_is_cut_before_its_reason_fails(name: str, dialect: Any) -> None:
    frames = frames_of(events_of(STREAMS[name]))
    first = next(at for at, frame in enumerate(frames) if b'"finishReason"' in frame or b'"blockReason"' in frame)
    for count in range(first + 1):
        relay = opened(dialect)
        said = relay.feed(b"".join(frames[:count])) + relay.close()

        assert relay.failure is not None
        assert not said.endswith(b"]")


@pytest.mark.parametrize("name", sorted(NO_ANSWER))
def test_a_stream_without_an_answer_fails(name: str) -> None:
    relay = opened()
    relay.feed(body_of(ANSWERS[name]))
    relay.close()

    assert relay.failure is not None


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_answer_is_metered_as_it_is_decoded(name: str) -> None:
    body = body_of(WHOLE[name])
    whole = GEMINI.read_answer(body)
    answer = CODEC.decode_response(body, reading())

    assert not isinstance(whole, Complaint)
    assert isinstance(answer, Response)
    assert whole.parsed == orjson.loads(body)
    assert whole.usage == answer.usage


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_renamed_and_otherwise_the_same(name: str) -> None:
    body = orjson.dumps([orjson.loads(body_of(ANSWERS[name]))] if name in WHOLE else [])
    renamed = GEMINI.rename(body, "mine")

    assert [
        {**chunk, "modelVersion": "mine"} if "modelVersion" in chunk else chunk for chunk in orjson.loads(body)
    ] == (orjson.loads(renamed))


@pytest.mark.parametrize(
    "name", [name for name, record in RECORDINGS.items() if record["response"]["status"] != 200 and name not in COUNTS]
)
def test_a_recorded_error_inside_a_success_is_a_complaint(name: str) -> None:
    body = orjson.dumps(orjson.loads(body_of(RECORDINGS[name])))
    relay = opened()
    relay.feed(b"data: " + body.removeprefix(b"[").removesuffix(b"]") + b"\r\n\r\n")

    assert isinstance(relay.failure, Complaint)
    assert isinstance(GEMINI.read_answer(body), Complaint)


@pytest.mark.parametrize("name", COUNTS)
def test_a_recorded_count_is_read(name: str) -> None:
    assert GEMINI.counter is not None
    answer = GEMINI.counter.read_answer(body_of(COUNTS[name]))
    said = orjson.loads(body_of(COUNTS[name]))

    assert answer == said["totalTokens"] if "totalTokens" in said else isinstance(answer, Complaint)


def asked() -> dict[str, tuple[str, dict[str, Any]]]:
    """Paths and bodies of recorded requests that were answered, and of those that clients were seen to send."""
    found = {
        name: (record["request"]["path"], record["request"]["body"])
        for name, record in RECORDINGS.items()
        if record["response"]["status"] == 200 and isinstance(record["request"]["body"], dict)
    }
    for file in sorted(SHARED.glob("client-requests/*/*.json")):
        record = orjson.loads(file.read_bytes())
        if record["dialect"] == "gemini" and isinstance(record["body"], dict):
            found[f"{file.parent.name}/{file.stem}"] = (record["path"], record["body"])
    return {
        name: (path, body)
        for name, (path, body) in found.items()
        if "enerateContent" in path or (":countTokens" in path and "contents" in body)
    }


ASKED = asked()


@pytest.mark.parametrize("name", ASKED)
def test_a_recorded_request_is_accepted_and_passes(name: str) -> None:
    path, body = ASKED[name]
    address = split_path(path.partition("?")[0])
    assert GEMINI.counter is not None
    wire = orjson.dumps(body)
    model, method = address or ("m", "generateContent")
    if "countTokens" in path:
        counted = GEMINI.counter.read_request(wire, Address(model=model))
        forwarded = GEMINI.counter.forward(counted, model)
    else:
        ask = GEMINI.read_request(wire, Address(model=model, stream=method == "streamGenerateContent"))
        forwarded = GEMINI.forward(ask, target=model, params={}, ask_usage=True, drop_options=False)

    assert forwarded == wire
