"""Every byte that the bench sends or expects, and the reading of HTTP answers; pure, shared by upstream and load."""

from __future__ import annotations

import json

import attrs

CHUNKS = 200
"""Events with JSON in a stream; `[DONE]` comes with the last."""
JSON_BYTES = 600
"""Size of the body of an answer that is not streamed."""
LONG_PROMPT_BYTES = 100_000
# A provider answers with its own, dated name: where the gateway sends the client's name on, it must pass as received.
_ANSWERS_AS = "bench-2026-11-23"
_CREATED = 1_795_392_000
WORDS = ("The ", "figures ", "of ", "one ", "run ", "are ", "compared ", "with ", "each ", "other. ")


class WrongAnswer(Exception):
    """An answer is not, byte for byte, what was asked for."""


@attrs.frozen
class Answer:
    """One whole HTTP answer, its framing removed."""

    status: int
    head: bytes
    """Status line and fields in lower case, without the blank line."""
    body: bytes

    def field(self, name: bytes) -> bytes:
        """Value of the header field `name`, given and returned in lower case; b"" when absent."""
        return find_field(self.head, name)


def find_field(head: bytes, name: bytes) -> bytes:
    """Value of the field `name` in a lower-case head; b"" when absent."""
    start = head.find(b"\r\n" + name + b":")
    if start < 0:
        return b""
    start += len(name) + 3
    end = head.find(b"\r\n", start)
    return head[start : end if end >= 0 else len(head)].strip()


class AnswerReader:
    """Bytes of one connection in, whole answers out."""

    __slots__ = ("_buffer", "_head", "_length", "_start")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._head: bytes | None = None
        self._start = 0
        self._length = 0

    @property
    def has_body(self) -> bool:
        """Whether the answer now being read has begun its body."""
        return self._head is not None and len(self._buffer) > self._start

    def feed(self, data: bytes) -> Answer | None:
        """The answer when `data` completes it.

        Raises:
            WrongAnswer: It has no framing, bad chunks, or more bytes than it announced.
        """
        self._buffer += data
        if self._head is None and not self._read_head():
            return None
        if self._length < 0:
            # A cheap look at the tail per read; `dechunk` then checks every chunk. JSON and SSE text hold no CR.
            if not self._buffer.endswith(b"0\r\n\r\n"):
                return None
            body = dechunk(bytes(self._buffer[self._start :]))
        else:
            missing = self._start + self._length - len(self._buffer)
            if missing > 0:
                return None
            if missing < 0:
                raise WrongAnswer(f"{-missing} bytes more than Content-Length announced.")
            body = bytes(self._buffer[self._start :])
        head, self._head = self._head, None
        self._buffer.clear()
        return Answer(int(head[9:12]), head, body) if head is not None else None

    def _read_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            return False
        head = bytes(self._buffer[:end]).lower()
        self._start = end + 4
        length = find_field(head, b"content-length")
        if head[9:12] in (b"304", b"204"):
            self._length = 0
        elif length:
            self._length = int(length)
        elif find_field(head, b"transfer-encoding") == b"chunked":
            self._length = -1
        else:
            raise WrongAnswer(f"An answer without length: {head!r}.")
        self._head = head
        return True


def dechunk(data: bytes) -> bytes:
    """The body of one whole message in chunked coding.

    Raises:
        WrongAnswer: A chunk is malformed, or the last one is not the end.
    """
    parts: list[bytes] = []
    at = 0
    while True:
        line_end = data.find(b"\r\n", at)
        try:
            size = int(data[at:line_end], 16)
        except ValueError:
            raise WrongAnswer(f"A bad chunk size: {data[at : at + 20]!r}.") from None
        at = line_end + 2
        if data[at + size : at + size + 2] != b"\r\n":
            raise WrongAnswer(f"A chunk of {size} bytes that does not end where it should.")
        if size == 0:
            break
        parts.append(data[at : at + size])
        at += size + 2
    if at + 2 != len(data):
        raise WrongAnswer("Bytes after the last chunk.")
    return b"".join(parts)


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def chunk(data: bytes) -> bytes:
    """`data` as one chunk of chunked coding."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def _json_answer() -> bytes:
    def build(text: str) -> bytes:
        message = {"role": "assistant", "content": text, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        usage = {"prompt_tokens": 61, "completion_tokens": 48, "total_tokens": 109}
        answer = {"id": "chatcmpl-bench", "object": "chat.completion", "created": _CREATED, "model": _ANSWERS_AS}
        return _dump({**answer, "choices": [choice], "usage": usage})

    return build(("".join(WORDS) * 20)[: JSON_BYTES - len(build(""))])


def _event(choices: list[object], usage: object = None) -> bytes:
    event = {"id": "chatcmpl-bench", "object": "chat.completion.chunk", "created": _CREATED, "model": _ANSWERS_AS}
    return b"data: " + _dump({**event, "choices": choices, "usage": usage}) + b"\n\n"


def _delta(delta: object, finish: str | None = None) -> bytes:
    return _event([{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}])


def stream_events(chunks: int) -> list[bytes]:
    """The SSE events of a stream, `chunks` of them; the last holds usage and `[DONE]`."""
    words = [_delta({"content": WORDS[i % len(WORDS)]}) for i in range(chunks - 3)]
    usage = {"prompt_tokens": 61, "completion_tokens": chunks - 3, "total_tokens": 58 + chunks}
    last = _event([], usage) + b"data: [DONE]\n\n"
    return [_delta({"role": "assistant", "content": ""}), *words, _delta({}, "stop"), last]


JSON_ANSWER = _json_answer()
EVENTS = stream_events(CHUNKS)
STREAM_ANSWER = b"".join(EVENTS)
HELD_EVENTS = stream_events(4)
"""A stream that stands still after its first content, until it is released."""
HELD_ANSWER = b"".join(HELD_EVENTS)


def _body(script: str, prompt: str, model: str) -> bytes:
    messages = [
        {"role": "system", "content": "You compare figures. Answer with one short paragraph and no preamble."},
        {"role": "user", "content": prompt},
    ]
    request: dict[str, object] = {"model": model, "messages": messages, "temperature": 0.7, "max_tokens": 256}
    if script not in ("json", "release"):
        request |= {"stream": True, "stream_options": {"include_usage": True}}
    # The upstream reads its script out of `user`: the one field that every gateway passes on as it is.
    return _dump({**request, "user": f"bench-{script}"})


def chat(
    script: str,
    key: str,
    *,
    prompt: str = "Which of these two runs was cheaper, and by how much?",
    model: str = "bench",
) -> bytes:
    """A chat request that makes the upstream play `script`: json, burst, paced, held or release."""
    body = _body(script, prompt, model)
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer %s\r\nuser-agent: bench\r\n"
        b"accept: application/json\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s"
    ) % (key.encode(), len(body), body)


def get(target: str, *fields: bytes) -> bytes:
    """A GET request for `target` with further header lines."""
    return b"".join(
        (b"GET %s HTTP/1.1\r\nhost: 127.0.0.1\r\n" % target.encode(), *(f + b"\r\n" for f in fields), b"\r\n")
    )
