"""The built-in provider: answers Chat requests in process, with no key, no network and no model.

The same request gets the same answer, `created` apart. A token is a word with the space before it; a Chinese, Japanese
or Korean character is one of its own, and a word ends after a comma or colon, so that JSON has several.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

import attrs
import orjson

from modelserver.dialects.openai_chat.response import encode_error
from modelserver.dialects.openai_chat.vocab import DONE_FRAME
from modelserver.errors import GatewayError, InvalidRequest, NotFound
from modelserver.ports import Clock, UpstreamRequest
from modelserver.upstream.instance import make_instance
from modelserver.upstream.instance_checks import NoInstance
from modelserver.upstream.instance_merge import merge
from modelserver.upstream.mock_request import ChatRequest, OfferedTool, read_request, texts_of

WORD_S: Final = 0.02
"""From one word of a stream to the next."""
MAX_ECHO_TOKENS: Final = 40
MAX_ECHO_CHARS: Final = 1000
MAX_SCHEMA_BYTES: Final = 200_000
MODELS: Final = ("mock",)
"""What the provider lists; it answers to any name."""

_CJK: Final = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"
_TOKEN: Final = re.compile(rf"\s*(?:[{_CJK}]|[^\s,:{_CJK}]+[,:]?|[,:])|\s+")


class MockTransport:
    """A `Transport` that ends in this process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def send(self, request: UpstreamRequest) -> MockAnswer:
        """The answer to a Chat completion or model list; 400 for a bad request, 404 for anything else."""
        path = request.url.partition("?")[0].rstrip("/")
        try:
            if request.method == "GET" and path.endswith("/models"):
                return self._whole(200, _model_list())
            if request.method != "POST" or not path.endswith("/chat/completions"):
                raise NotFound("The mock provider has chat completions and a model list, nothing else.")
            return self._chat(request.body or b"")
        except GatewayError as error:
            return self._whole(*encode_error(error))

    async def close(self) -> None:
        """Nothing is open."""

    def _chat(self, body: bytes) -> MockAnswer:
        ask = read_request(body)
        digest = hashlib.sha256(body).hexdigest()
        reply = _Reply(ask, digest, int(self._clock.wall().timestamp()))
        if ask.stream:
            return MockAnswer(self._clock, 200, "text/event-stream", reply.stream())
        return self._whole(200, orjson.dumps(reply.whole()))

    def _whole(self, status: int, body: bytes) -> MockAnswer:
        return MockAnswer(self._clock, status, "application/json", iter((body,)))


class MockAnswer:
    """An `UpstreamAnswer` whose first piece is there at once; each further one comes `WORD_S` after the one before."""

    def __init__(self, clock: Clock, status: int, content_type: str, pieces: Iterator[bytes]) -> None:
        self.status = status
        self.headers: Mapping[str, str] = _Headers({"content-type": content_type})
        self._clock = clock
        self._pieces = pieces
        self._next: bytes | None = next(pieces, None)
        self._due_s = clock.now_s()

    async def read(self) -> bytes:
        """The next piece, b"" after the last one. Cancelling the wait loses nothing, not even the time waited."""
        if self._next is None:
            return b""
        wait_s = min(self._due_s - self._clock.now_s(), WORD_S)
        if wait_s > 0:
            await self._clock.sleep(wait_s)
        piece, self._next = self._next or b"", next(self._pieces, None)
        self._due_s = self._clock.now_s() + WORD_S
        return piece

    def close(self) -> None:
        """Drop what was not read."""
        self._next = None
        self._pieces = iter(())

    def finish(self) -> None:
        """See `ports.UpstreamAnswer.finish`."""
        self.close()


class _Headers(dict[str, str]):
    """Headers by name in any case; the names given are in lower case."""

    def __getitem__(self, name: str) -> str:
        return super().__getitem__(name.lower())

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and super().__contains__(name.lower())

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or `default`."""
        return super().get(name.lower(), default)


@attrs.frozen(kw_only=True)
class _Choice:
    """One of the answers to a request."""

    index: int
    tokens: tuple[str, ...]
    """The text, or the arguments of the call."""
    finish_reason: str
    call: OfferedTool | None
    call_id: str

    @property
    def moments(self) -> int:
        """How many deltas it has, the finish not counted."""
        return len(self.tokens) + (1 if self.call is None else 2)


class _Reply:
    """What is answered to a request, whole or as a stream."""

    def __init__(self, ask: ChatRequest, digest: str, created: int) -> None:
        self._ask = ask
        self._id = f"chatcmpl-{digest[:29]}"
        self._created = created
        self._choices = _choices(ask, digest)

    def whole(self) -> dict[str, Any]:
        """The chat completion."""
        choices = [
            {
                "index": choice.index,
                "message": _message(choice),
                "logprobs": None,
                "finish_reason": choice.finish_reason,
            }
            for choice in self._choices
        ]
        return {**self._head("chat.completion"), "choices": choices, "usage": self._usage()}

    def stream(self) -> Iterator[bytes]:
        """Frames by the moment at which they come: the roles, then a word of each choice at a time."""
        deltas = [_deltas(choice) for choice in self._choices]
        last = max(choice.moments for choice in self._choices)
        for moment in range(1, last + 1):
            out: list[bytes] = []
            for choice, own in zip(self._choices, deltas, strict=True):
                if moment <= choice.moments:
                    out.append(self._chunk(choice, next(own), None))
                if moment == choice.moments:
                    out.append(self._chunk(choice, {}, choice.finish_reason))
            if moment == last:
                if self._ask.stream_usage:
                    out.append(_frame({**self._head("chat.completion.chunk"), "choices": [], "usage": self._usage()}))
                out.append(DONE_FRAME)
            yield b"".join(out)

    def _chunk(self, choice: _Choice, delta: Mapping[str, Any], finish_reason: str | None) -> bytes:
        chunk = self._head("chat.completion.chunk")
        chunk["choices"] = [{"index": choice.index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]
        if self._ask.stream_usage:
            chunk["usage"] = None
        return _frame(chunk)

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._ask.model}

    def _usage(self) -> dict[str, int]:
        prompt = sum(count_tokens(text) for message in self._ask.messages for text in _prompt_texts(message))
        completion = sum(len(choice.tokens) for choice in self._choices)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def split_tokens(text: str) -> list[str]:
    """The tokens of a text; joined they are the text again."""
    return _TOKEN.findall(text)


def count_tokens(text: str) -> int:
    """How many tokens a text has."""
    return sum(1 for _ in _TOKEN.finditer(text))


def _choices(ask: ChatRequest, digest: str) -> list[_Choice]:
    """The answers wanted: the same ones, but free texts after the first are numbered to tell them apart."""
    text = _text(ask)
    tokens, finish_reason = _cut(ask, text)
    choices = []
    for index in range(ask.choices):
        if index > 0 and ask.tool is None and ask.schema is None:
            tokens, finish_reason = _cut(ask, f"{text} (choice {index + 1})")
        call_id = f"call_{hashlib.sha256(f'{digest} {index}'.encode()).hexdigest()[:24]}"
        choices.append(_Choice(index=index, tokens=tokens, finish_reason=finish_reason, call=ask.tool, call_id=call_id))
    return choices


def _cut(ask: ChatRequest, text: str) -> tuple[tuple[str, ...], str]:
    """The tokens left of a text by `stop`, which is not for calls, and `max_tokens`; and the finish reason."""
    finish_reason = "stop"
    if ask.tool is not None:
        finish_reason = "function_call" if ask.tool.legacy else "tool_calls"
    else:
        text = text[: min((at for stop in ask.stops if (at := text.find(stop)) >= 0), default=len(text))]
    tokens = tuple(split_tokens(text))
    if ask.max_tokens is not None and len(tokens) > ask.max_tokens:
        return tokens[: ask.max_tokens], "length"
    return tokens, finish_reason


def _text(ask: ChatRequest) -> str:
    """The text of the answer, or the arguments of its call."""
    if ask.tool is not None and ask.tool.custom:
        return _echo(ask.messages, ("user",)) or "text"
    if ask.tool is not None:
        parameters = merge({"type": "object"}, ask.tool.parameters)
        return _instance(parameters, f"{ask.tool.path}.parameters")
    if ask.schema is not None:
        return _instance(ask.schema, "response_format.json_schema.schema")
    if ask.messages[-1].get("role") in ("tool", "function"):
        return f'This is the mock model. The tool answered: "{_echo(ask.messages, ("tool", "function"))}"'
    said = _echo(ask.messages, ("user",))
    return f'This is the mock model. You said: "{said}"' if said else "This is the mock model. You said nothing yet."


def _echo(messages: tuple[Mapping[str, Any], ...], roles: tuple[str, ...]) -> str:
    """The last message of these roles, its spaces evened out and a long one cut."""
    for message in reversed(messages):
        if message.get("role") in roles:
            tokens = (found[0] for found in _TOKEN.finditer(" ".join(texts_of(message))))
            first = list(islice(tokens, MAX_ECHO_TOKENS + 1))
            text = " ".join("".join(first[:MAX_ECHO_TOKENS]).split())
            is_cut = len(first) > MAX_ECHO_TOKENS or len(text) > MAX_ECHO_CHARS
            return f"{text[:MAX_ECHO_CHARS]}…" if is_cut else text
    return ""


def _instance(schema: Any, path: str) -> str:
    """JSON of a value that satisfies the schema.

    Raises:
        InvalidRequest: There is none, or none that can be found.
    """
    try:
        if len(orjson.dumps(schema)) > MAX_SCHEMA_BYTES:
            raise InvalidRequest(f"The mock provider takes no schema over {MAX_SCHEMA_BYTES} bytes.", param=path)
        return orjson.dumps(make_instance(schema)).decode()
    except (NoInstance, TypeError):  # orjson's TypeError: a default or constant that JSON can't carry back
        raise InvalidRequest(f"The mock provider finds no value that satisfies {path}.", param=path) from None


def _prompt_texts(message: Mapping[str, Any]) -> Iterator[str]:
    """What of a message counts as prompt: its texts, the names and arguments of its calls."""
    yield from texts_of(message)
    calls = message.get("tool_calls")
    for call in [*(calls if isinstance(calls, list) else ()), {"function": message.get("function_call")}]:
        called = (call.get("function") or call.get("custom")) if isinstance(call, dict) else None
        if isinstance(called, dict):
            for key in ("name", "arguments", "input"):
                if isinstance(called.get(key), str):
                    yield called[key]


def _message(choice: _Choice) -> dict[str, Any]:
    text = "".join(choice.tokens)
    if choice.call is None:
        return {"role": "assistant", "content": text, "refusal": None}
    return {"role": "assistant", "content": None, "refusal": None, **_call(choice, text, {})}


def _deltas(choice: _Choice) -> Iterator[dict[str, Any]]:
    """The deltas of a choice, the finish not included."""
    if choice.call is None:
        yield {"role": "assistant", "content": ""}
        for token in choice.tokens:
            yield {"content": token}
        return
    yield {"role": "assistant", "content": None}
    yield _call(choice, "", {"index": 0})
    for token in choice.tokens:
        if choice.call.legacy:
            yield {"function_call": {"arguments": token}}
        elif choice.call.custom:
            yield {"tool_calls": [{"index": 0, "custom": {"input": token}}]}
        else:
            yield {"tool_calls": [{"index": 0, "function": {"arguments": token}}]}


def _call(choice: _Choice, text: str, place: dict[str, int]) -> dict[str, Any]:
    """The field of a message or delta that holds the call."""
    assert choice.call is not None
    name = choice.call.name
    if choice.call.legacy:
        return {"function_call": {"name": name, "arguments": text}}
    if choice.call.custom:
        call: dict[str, Any] = {"type": "custom", "custom": {"name": name, "input": text}}
    else:
        call = {"type": "function", "function": {"name": name, "arguments": text}}
    return {"tool_calls": [{**place, "id": choice.call_id, **call}]}


def _frame(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def _model_list() -> bytes:
    models = [{"id": name, "object": "model", "created": 1626777600, "owned_by": "modelserver"} for name in MODELS]
    return orjson.dumps({"object": "list", "data": models})
