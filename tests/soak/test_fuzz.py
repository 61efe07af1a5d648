"""Requests that nobody would send, over every endpoint: no 5xx, no hang, no traceback."""

from __future__ import annotations

import asyncio
import copy
import json
import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.process import KEY, Watched, watched
from tests.support.upstream import RawUpstream, Received, Script, event, json_answer, sse_answer

HANG_S = 20.0
CALLERS = 8

ANSWER = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]}  # fmt: skip # noqa: E501
CHUNK = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}]}  # fmt: skip # noqa: E501
STREAM = sse_answer([event(json.dumps(CHUNK)), event("[DONE]")])
SAID = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "ok", "annotations": []}]}  # fmt: skip # noqa: E501
RESPONSE = {"id": "resp_1", "object": "response", "created_at": 1, "status": "completed", "model": "up", "output": [SAID], "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip # noqa: E501
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": [{"type": "text", "text": "ok"}], "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 1}}  # fmt: skip # noqa: E501
CANDIDATES = {"candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP"}], "modelVersion": "up"}  # fmt: skip # noqa: E501
RESPONSE_EVENTS = (
    {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "output": []}},
    {"type": "response.output_item.added", "output_index": 0, "item": {**SAID, "content": []}},
    {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "item_id": "msg_1", "delta": "ok"},
    {"type": "response.output_item.done", "output_index": 0, "item": SAID},
    {"type": "response.completed", "response": RESPONSE},
)
MESSAGE_EVENTS = (
    {"type": "message_start", "message": {**MESSAGE, "content": [], "stop_reason": None}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ok"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}},
    {"type": "message_stop"},
)
ANSWERS = (
    ("/v1/chat/completions", json_answer(ANSWER), STREAM),
    ("/v1/responses/input_tokens", json_answer({"input_tokens": 5}), b""),
    ("/v1/responses", json_answer(RESPONSE), sse_answer(RESPONSE_EVENTS)),
    ("/v1/messages/count_tokens", json_answer({"input_tokens": 5}), b""),
    ("/v1/messages", json_answer(MESSAGE), sse_answer(MESSAGE_EVENTS)),
    ("/v1beta/models/up:countTokens", json_answer({"totalTokens": 5}), b""),
    ("/v1beta/models/up:generateContent", json_answer(CANDIDATES), b""),
    ("/v1beta/models/up:streamGenerateContent", b"", sse_answer([CANDIDATES])),
)
"""By the path that a provider is asked at: whole, and as a stream."""
NATIVE = """
[providers.{dialect}]
base_url = "{url}"
key = "upstream-secret-canary"
speaks = ["{dialect}"]
[[models]]
model_id = "{dialect}"
route = "{dialect}/up"
"""
MODELS = ("m", "m", "responses", "responses", "anthropic", "anthropic", "gemini", "gemini", "mock", "alias", "gone")
TOOL = {"type": "object", "properties": {"a": {"type": "string", "enum": ["b"]}}}
ASKED = {"role": "user", "content": "x"}
ENDPOINTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/chat/completions", {"messages": [ASKED]}),
    ("/v1/responses", {"input": "x"}),
    (
        "/v1/responses",
        {
            "input": [
                ASKED,
                {"type": "reasoning", "summary": [], "encrypted_content": "msE1x"},
                {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                {"type": "function_call_output", "call_id": "c", "output": "r"},
            ],
            "tools": [{"type": "function", "name": "f", "parameters": TOOL}],
            "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "f"}]},
            "text": {"format": {"type": "json_schema", "name": "n", "schema": TOOL}},
        },
    ),
    ("/v1/responses/input_tokens", {"input": [ASKED]}),
    ("/v1/messages", {"max_tokens": 2000, "messages": [ASKED]}),
    (
        "/v1/messages",
        {
            "max_tokens": 2000,
            "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
            "messages": [
                ASKED,
                {
                    "role": "assistant",
                    "content": [
                        {"type": "thinking", "thinking": "t", "signature": "msE1x"},
                        {"type": "tool_use", "id": "t", "name": "f", "input": {}},
                    ],
                },
                {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "r"}]},
            ],
            "tools": [{"name": "f", "input_schema": TOOL}],
            "thinking": {"type": "enabled", "budget_tokens": 1024},
        },
    ),
    ("/v1/messages/count_tokens", {"messages": [ASKED]}),
    ("/v1beta/models/%s:generateContent", {"contents": [{"parts": [{"text": "x"}]}]}),
    (
        "/v1/models/%s:streamGenerateContent",
        {
            "contents": [{"parts": [{"text": "x"}]}],
            "generationConfig": {"responseMimeType": "application/json", "responseSchema": {"type": "OBJECT"}},
        },
    ),
    (
        "/v1beta/models/%s:streamGenerateContent?alt=sse",
        {
            "contents": [
                {"role": "user", "parts": [{"text": "x"}]},
                {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}, "thoughtSignature": "msE1x"}]},
                {"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {"a": 1}}}]},
            ],
            "tools": [{"functionDeclarations": [{"name": "f", "parameters": TOOL}]}],
        },
    ),
    (
        "/v1alpha/models/%s:countTokens",
        {"generateContentRequest": {"model": "models/x", "contents": [{"parts": [{"text": "x"}]}]}},
    ),
)
"""What is called with a key, and a request that is answered there; `%s` is the model where the path has it."""

PATHS = (
    "/v1/chat/completions", "/v1/chat/completions/", "/v1/models", "/v1/models/", "/v1/models/m", "/v1/models/a/b:c",
    "/api/v1/models", "/health", "/healthz", "/health/ready", "/readyz", "/", "/v1", "/api/", "/v1/responses",
    "/v1/messages", "/v1beta/models/m:generateContent", "//", "/%2e%2e/etc/passwd", "/v1/models/%00", "/v1/models/%ff",
    "/v1/models/" + "x" * 3000,
)  # fmt: skip
QUERIES = (
    "", "?", "?type=llm", "?type=nonsense", "?type=llm&type=tts", "?sort_by=context_length&sort_order=desc",
    "?features=tools,thinking", "?modalities=,", "?model=%ff%fe", "?a=" + "b" * 2000, "?%00=%00", "?key=" + KEY,
    "?sort_order=up", "?model=" + "%F0%9F%98%80" * 50,
)  # fmt: skip
METHODS = ("GET", "POST", "POST", "POST", "HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "BREW", "get")
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 1e308, 10**30, "", "x", "\ud83d\ude00", [], [[]], {}, {"a": 1}, [None], "auto",
    "none", ["a", 1], {"type": "function"}, {"type": None}, [{"role": "user"}], [{"role": "user", "content": 5}],
    [{"role": "tool", "content": "x"}], [{"role": "assistant", "tool_calls": [{}]}],
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}],
)  # fmt: skip
FIELDS = (
    "model", "messages", "temperature", "top_p", "max_tokens", "max_completion_tokens", "stream", "tools", "stop",
    "tool_choice", "n", "seed", "logprobs", "top_logprobs", "logit_bias", "user", "response_format", "stream_options",
    "presence_penalty", "metadata", "functions", "function_call", "audio", "modalities", "reasoning_effort", "x-new",
    "input", "instructions", "previous_response_id", "reasoning", "text", "include", "system", "thinking", "contents",
    "systemInstruction", "system_instruction", "generationConfig", "toolConfig", "generateContentRequest", "Model",
)  # fmt: skip
HEADERS = (
    (), ((b"Content-Encoding", b"gzip"),), ((b"Expect", b"100-continue"),), ((b"Expect", b"tea"),),
    ((b"X-Request-Id", b"\xff\xfe"),), ((b"Origin", b"https://evil.example"),), ((b"Content-Type", b"text/html"),),
    ((b"Connection", b"close"),), ((b"Accept-Encoding", b"gzip"),), ((b"If-None-Match", b"*, W/\"x\""),),
    ((b"Upgrade", b"websocket"), (b"Connection", b"Upgrade")), ((b"Cookie", b"a" * 4000),), ((b"Host", b"evil"),),
    ((b"Access-Control-Request-Method", b"POST"),), ((b"X-Forwarded-For", b"1.2.3.4"),), ((b"traceparent", b"00-x"),),
)  # fmt: skip
CREDENTIALS = (
    (b"Authorization", b"Bearer " + KEY.encode()), (b"Authorization", b"Bearer " + KEY.encode()),
    (b"Authorization", b"Bearer " + KEY.encode()), (b"Authorization", b"Bearer wrong"),
    (b"Authorization", b"Basic eDp5"),
    (b"Authorization", b""), (b"x-api-key", KEY.encode()), (b"x-api-key", b"\xff\x00".replace(b"\x00", b"\x80")), None,
)  # fmt: skip


class Grammar:
    """Makes requests; the same seed makes the same."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def request(self) -> tuple[bytes, bool]:
        """The bytes of one, and whether they are a whole one."""
        pick = self._chance.choice
        body = self._body()
        target = f"{pick(METHODS)} {pick(PATHS)}{pick(QUERIES)}"
        if self._chance.random() < 0.7:
            path, body = self._call()
            target = f"POST {path}"
        head = f"{target} HTTP/1.{pick('1110')}\r\n".encode()
        fields: list[tuple[bytes, bytes]] = [(b"Host", b"127.0.0.1"), *pick(HEADERS)]
        credential = pick(CREDENTIALS)
        if credential is not None:
            fields.append(credential)
        chunked = self._chance.random() < 0.2
        if chunked:
            fields.append((b"Transfer-Encoding", b"chunked"))
            body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in self._pieces(body)) + b"0\r\n\r\n"
        elif body or self._chance.random() < 0.8:
            fields.append((b"Content-Length", b"%d" % len(body)))
        wire = head + b"".join(b"%s: %s\r\n" % field for field in fields) + b"\r\n" + body
        return (self._mutated(wire), False) if self._chance.random() < 0.15 else (wire, True)

    def _body(self) -> bytes:
        chance = self._chance
        kind = chance.random()
        if kind < 0.1:
            return b""
        if kind < 0.2:
            return chance.randbytes(chance.randrange(200))
        if kind < 0.25:
            return b"[" * chance.choice((99, 101, 2000)) + b"]" * chance.choice((99, 101, 2000))
        return self._text({"model": "m", "messages": [ASKED]})

    def _call(self) -> tuple[str, bytes]:
        """The path and body of a call of any dialect."""
        chance = self._chance
        path, asked = chance.choice(ENDPOINTS)
        model = chance.choice(MODELS)
        asked = copy.deepcopy(asked)
        if "%s" in path:
            return path.replace("%s", model), self._text(asked)
        return path, self._text({"model": model, "stream": chance.random() < 0.3, **asked})

    def _text(self, asked: dict[str, Any]) -> bytes:
        """The text of a request, in which fields at any depth are others."""
        chance = self._chance
        for _ in range(chance.choice((0, 0, 1, 1, 2, 4))):
            if chance.random() < 0.5:
                asked[chance.choice(FIELDS)] = copy.deepcopy(chance.choice(VALUES))
            else:
                within, key = chance.choice(_places(asked))
                within[key] = copy.deepcopy(chance.choice(VALUES))
        text = json.dumps(asked).encode()
        if chance.random() < 0.1:
            text = text[: chance.randrange(len(text))]
        if chance.random() < 0.1:
            text = text.replace(b'"model"', b'"mod\\u0065l": "gone", "model"', 1)
        return text

    def _pieces(self, body: bytes) -> list[bytes]:
        pieces = []
        while body:
            size = self._chance.randrange(1, len(body) + 1)
            pieces.append(body[:size])
            body = body[size:]
        return pieces

    def _mutated(self, wire: bytes) -> bytes:
        """Some bytes changed, cut out or put in."""
        changed = bytearray(wire)
        for _ in range(self._chance.randrange(1, 4)):
            at = self._chance.randrange(len(changed))
            match self._chance.randrange(3):
                case 0:
                    changed[at] = self._chance.randrange(256)
                case 1:
                    del changed[at : at + self._chance.randrange(1, 9)]
                case _:
                    changed[at:at] = self._chance.choice((b"\r\n", b"\n", b" ", b"\x00", b"Content-Length: 5\r\n"))
            if not changed:
                break
        return bytes(changed)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every member and item within a value: what holds it, and its key there."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    return [place for key in keys for place in ((value, key), *_places(value[key]))]


async def _answered(port: int, wire: bytes, *, whole: bool) -> list[int]:
    """The statuses that a request got; behind one that may not be whole the connection is half closed."""
    data = b""
    async with asyncio.timeout(HANG_S):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(wire)
            if not whole:
                writer.write_eof()
            while not (whole and _is_over(data)) and (piece := await reader.read(65_536)):
                data += piece
        except ConnectionError:
            pass
        finally:
            writer.transport.abort()
    assert data or not whole, "no answer"
    return [int(line.split(b" ")[1]) for line in data.split(b"\r\n") if line.startswith(b"HTTP/1.")]


def _is_over(data: bytes) -> bool:
    """Whether the last of the answers is complete, as far as a glance tells."""
    if data.startswith(b"HTTP/1.1 100"):
        data = data.partition(b"\r\n\r\n")[2]
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    if length is not None:
        return len(body) >= int(length[1]) or not body
    return body.endswith(b"0\r\n\r\n") or b" 204 " in head[:20] or b" 304 " in head[:20]


async def _attack(server: Watched, grammar: Grammar, count: int) -> None:
    for number in range(count):
        wire, whole = grammar.request()
        try:
            statuses = await _answered(server.port, wire, whole=whole)
        except TimeoutError:
            pytest.fail(f"request {number} hangs: {wire[:2000]!r}")
        # 501 and 505 are the only answers to transfer codings and versions that HTTP/1.1 servers may not know.
        wrong = [status for status in statuses if status >= 500 and status not in (501, 505)]
        assert not wrong, f"request {number} got {wrong}: {wire[:2000]!r}"


def _said(asked: Received) -> Script:
    """A good answer in the dialect of the path."""
    whole, stream = next((whole, stream) for path, whole, stream in ANSWERS if asked.path.startswith(path))
    return [stream if stream and (not whole or asked.json().get("stream") is True) else whole]


async def _fuzz(home: Path, count: int) -> None:
    async with RawUpstream(_said) as upstream:
        native = "".join(NATIVE.format(dialect=each, url=upstream.url) for each in ("responses", "anthropic", "gemini"))
        async with watched(
            home, upstream.url, more=f"{native}[[models]]\nmodel_id = 'mock'\nroute = 'mock/m'"
        ) as server:
            await asyncio.gather(*(_attack(server, Grammar(seed), count // CALLERS) for seed in range(CALLERS)))
            said = server.said()
    assert "Traceback" not in said
    assert KEY not in said
    assert "upstream-secret-canary" not in said


async def test_no_request_gets_a_5xx_a_hang_or_a_traceback(tmp_path: Path) -> None:
    await _fuzz(tmp_path, 2_000)


@pytest.mark.deep
async def test_no_request_of_100_000_gets_a_5xx_a_hang_or_a_traceback(tmp_path: Path) -> None:
    await _fuzz(tmp_path, 100_000)
