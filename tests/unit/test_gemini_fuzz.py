"""Whatever an upstream sends, the decoder's events are legal; whatever a client sends, it is read or refused."""

from __future__ import annotations

import contextlib
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from modelserver.dialects.gemini import CODEC
from modelserver.errors import InvalidRequest, UpstreamFailed
from modelserver.ir.grammar import Validator
from tests.support.gemini import profile, reading

WORDS = (
    *("candidates", "content", "parts", "text", "thought", "thoughtSignature", "functionCall", "name", "args", "id"),
    *("index", "finishReason", "finishMessage", "usageMetadata", "promptTokenCount", "candidatesTokenCount"),
    *("groundingMetadata", "groundingChunks", "groundingSupports", "segment", "endIndex", "groundingChunkIndices"),
    *("inlineData", "mimeType", "data", "partialArgs", "jsonPath", "stringValue", "willContinue", "executableCode"),
    *("logprobsResult", "chosenCandidates", "token", "promptFeedback", "blockReason", "error", "responseId", "web"),
    *("contents", "role", "functionResponse", "response", "tools", "functionDeclarations", "parameters", "toolConfig"),
    *("generationConfig", "thinkingConfig", "systemInstruction", "fileData", "fileUri", "functionCallingConfig"),
)
SCALARS = (
    st.none() | st.booleans() | st.integers(-1, 3) | st.sampled_from(("", "a", "é", "$.a[0]", "user", "model", "STOP"))
)
ANYTHING: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=12,
)
PARTS = st.lists(st.dictionaries(st.sampled_from(WORDS), ANYTHING, max_size=2), max_size=3)
CANDIDATE = st.fixed_dictionaries(
    {"content": st.fixed_dictionaries({"parts": PARTS})},
    optional={"finishReason": SCALARS, "index": st.integers(0, 2), "groundingMetadata": ANYTHING},
)
CHUNK = st.fixed_dictionaries(
    {"candidates": st.lists(CANDIDATE | ANYTHING, max_size=2)}, optional={"usageMetadata": ANYTHING, "error": ANYTHING}
)


@settings(max_examples=400, deadline=None)
@given(st.lists(CHUNK | ANYTHING, max_size=4))
def test_every_stream_is_legal(chunks: list[Any]) -> None:
    validator = Validator()
    decoder = CODEC.stream_decoder(reading())
    for chunk in chunks:
        validator.check(decoder.feed(b"data: " + orjson.dumps(chunk) + b"\r\n\r\n"))
    validator.check(decoder.close())

    assert validator.is_done


@settings(max_examples=200, deadline=None)
@given(CHUNK | ANYTHING)
def test_every_whole_answer_is_read_or_refused(body: Any) -> None:
    with contextlib.suppress(UpstreamFailed):
        CODEC.decode_response(orjson.dumps(body), reading())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60))
def test_every_text_is_legal(data: bytes) -> None:
    validator = Validator()
    decoder = CODEC.stream_decoder(reading())
    validator.check([*decoder.feed(data), *decoder.close()])

    assert validator.is_done


def test_what_is_nested_too_deeply_fails() -> None:
    arguments = b'{"a":' * 990 + b"1" + b"}" * 990
    wire = b'data: {"candidates":[{"content":{"parts":[{"functionCall":{"name":"f","args":' + arguments + b"}}]}}]}\n\n"
    validator = Validator()
    decoder = CODEC.stream_decoder(reading())
    validator.check([*decoder.feed(wire), *decoder.close()])

    assert validator.is_done


ENTRY = st.fixed_dictionaries({"parts": PARTS}, optional={"role": st.sampled_from(("user", "model", "function"))})
BODY = st.fixed_dictionaries(
    {"contents": st.lists(ENTRY, min_size=1, max_size=4)},
    optional={"tools": ANYTHING, "generationConfig": ANYTHING, "toolConfig": ANYTHING, "systemInstruction": ANYTHING},
)


@settings(max_examples=400, deadline=None)
@given(BODY | ANYTHING)
def test_every_request_is_read_or_refused(body: Any) -> None:
    with contextlib.suppress(InvalidRequest):
        CODEC.encode_request(CODEC.decode_request(orjson.dumps(body)), profile())
