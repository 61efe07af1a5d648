"""Recorded exchanges of real providers, and the gateway in front of a provider that plays them again.

The recordings are kept beside the repository; where they are absent, what needs them is skipped.

async with playing(recording) as stage:
    played = await stage.play(pieces=cut(recording.body, "frames"))
"""

from __future__ import annotations

import asyncio
import io
import itertools
import json
import random
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import attrs
import pytest
from aiohttp import web

from modelserver.config import Config, parse_config
from modelserver.gateway.call import Call
from modelserver.ir.usage import Usage
from modelserver.web.access_log import AccessLog
from modelserver.web.app import create_app
from modelserver.web.keys import TRACE
from tests.support.front import Answer, Front, serving_app
from tests.support.upstream import RawUpstream, Received, Step, Wait, chunk, head

SHARED = Path(__file__).parents[2].parent / "shared"
WAYS = ("whole", "frames", "random")
PATIENCE_S = 10.0
_FIGURES = (
    *("input", "output", "cache_read", "cache_write", "reasoning"),
    *("audio_in", "image_in", "audio_out", "image_out", "prediction_rejected"),
)
MINIMAL: Mapping[str, Any] = {"messages": [{"role": "user", "content": "Hi"}]}
"""Stands in for a request that was not kept."""

_CACHED = (
    "prompt_tokens_details.cached_tokens",
    "cached_tokens",  # Moonshot, Together
    "prompt_cache_hit_tokens",  # DeepSeek
    "cache_read_input_tokens",  # Claude behind Databricks
    "num_cached_tokens",  # Mistral
)
"""Where providers report what came from their cache."""

# The gateway runs in the same loop: after a few turns of it, it has read what was sent.
_TURN = (Wait(0.0),) * 4
_FRAME_END = re.compile(rb"\r\n\r\n|\n\n")


@attrs.frozen(slots=False)
class Recording:
    """One exchange with a provider's chat completions."""

    id: str
    model: str
    """Asked for; the answered one is often another."""
    stream: bool
    asked: Mapping[str, Any]
    """The request, with `model` and `stream` also where the provider had them elsewhere."""
    status: int
    content_type: str | None
    headers: Mapping[str, str]
    """Those for rates, retries and request ids."""
    body: bytes

    @property
    def asks_usage(self) -> bool:
        """The request asks for the usage chunk of a stream."""
        return bool((self.asked.get("stream_options") or {}).get("include_usage"))

    @cached_property
    def objects(self) -> list[dict[str, Any]]:
        """The answer, or each chunk of it."""
        if not self.stream:
            return [json.loads(self.body)]
        return [obj for _, obj in frames(self.body) if obj is not None]

    @property
    def is_plain(self) -> bool:
        """A success as it should be: 200, an answer, each choice finished, no error anywhere."""
        if self.status != 200 or any(obj.get("error") for obj in self.objects):
            return False
        choices = [choice for obj in self.objects for choice in obj.get("choices") or ()]
        seen = {choice.get("index", 0) for choice in choices}
        return bool(seen) and seen == {choice.get("index", 0) for choice in choices if choice.get("finish_reason")}


def load_recordings() -> dict[str, Recording]:
    """Every recorded chat completion by id, the lists of models left out; empty where there are none."""
    found = {}
    for file in sorted(SHARED.glob("recordings/openai-chat/*.json")):
        record = json.loads(file.read_bytes())
        if "models_list" in record["features"]:
            continue
        answer = record["response"]
        asked = record["request"]["body"] or {**MINIMAL, "stream": record["stream"]}
        model = record["model"] or "unnamed"
        found[record["id"]] = Recording(
            id=record["id"],
            model=model,
            stream=record["stream"],
            asked={**asked, "model": model},
            status=answer["status"],
            content_type=answer["content_type"],
            headers=answer["headers"],
            body=answer["body"].encode(),
        )
    return found


def frames(body: bytes) -> list[tuple[bytes, Any]]:
    """The frames of a stream, each with the object in its data; None for what is no object."""
    found = []
    for frame in _pieces(body, _frame_ends(body)):
        lines = [line[5:].strip() for line in frame.splitlines() if line.startswith(b"data:")]
        found.append((frame, json.loads(lines[0]) if lines and lines[0] != b"[DONE]" else None))
    return found


def _merged_usage(recording: Recording) -> dict[str, int]:
    """Every counter that the provider named, by path; of several reports the last one that has it."""
    said: dict[str, int] = {}
    for obj in recording.objects:
        usage = obj.get("usage") or (obj.get("x_groq") or {}).get("usage") or {}
        for key, value in usage.items():
            inner = value.items() if isinstance(value, dict) else ((None, value),)
            for name, count in inner:
                if type(count) is int:
                    said[key if name is None else f"{key}.{name}"] = count
    return said


def expected_usage(recording: Recording) -> dict[str, int | None] | None:
    """The meter's figures: totals that include everything, and parts that are no larger; None without a report."""
    said = _merged_usage(recording)
    if "prompt_tokens" not in said:
        return None
    prompt, completion, total = said["prompt_tokens"], said["completion_tokens"], said["total_tokens"]
    reasoning = said.get("completion_tokens_details.reasoning_tokens")
    audio = said.get("prompt_tokens_details.audio_tokens")
    cached = next((said[key] for key in _CACHED if key in said), None)
    if reasoning and (total == prompt + completion + reasoning or reasoning > completion):
        completion += reasoning  # stands beside the completion
    if audio and audio > prompt and total == prompt + audio + completion:
        prompt += audio  # stands beside the prompt
    return {
        "input": prompt,
        "output": completion,
        "cache_read": None if cached is None else min(cached, prompt),
        "cache_write": said.get("prompt_tokens_details.cache_write_tokens", said.get("cache_creation_input_tokens")),
        "reasoning": reasoning,
        "audio_in": audio,
        "image_in": said.get("prompt_tokens_details.image_tokens"),
        "audio_out": said.get("completion_tokens_details.audio_tokens"),
        "image_out": said.get("completion_tokens_details.image_tokens"),
        "prediction_rejected": said.get("completion_tokens_details.rejected_prediction_tokens"),
    }


def metered_usage(usage: Usage | None) -> dict[str, int | None]:
    """The figures of a meter that `expected_usage` knows."""
    return {name: getattr(usage, name) for name in _FIGURES}


def cases(names: Iterable[str], reason: str, *, every: int = 1) -> list[Any]:
    """Parameters, or one that is skipped for the reason where there is none; all but every so many of them are deep."""
    found = [
        pytest.param(name, id=name, marks=() if number % every == 0 else pytest.mark.deep)
        for number, name in enumerate(names)
    ]
    return found or [pytest.param("", id="none", marks=pytest.mark.skip(reason=reason))]


def cut(body: bytes, way: str, seed: int = 0) -> list[bytes]:
    """The body in pieces: in one, after each frame (a body without frames in the middle), or at random places."""
    if way == "whole" or len(body) < 2:
        return [body]
    if way == "frames":
        places = _frame_ends(body)[:200] or [len(body) // 2]
    else:
        chance = random.Random(f"{seed} {len(body)}")
        places = sorted(chance.sample(range(1, len(body)), min(len(body) - 1, chance.randint(1, 12))))
    return _pieces(body, places)


def _frame_ends(body: bytes) -> list[int]:
    return [found.end() for found in _FRAME_END.finditer(body)]


def _pieces(body: bytes, places: Sequence[int]) -> list[bytes]:
    at = [0, *(place for place in places if place < len(body)), len(body)]
    return [body[start:end] for start, end in itertools.pairwise(at)]


def answer_steps(
    recording: Recording, pieces: Sequence[bytes], gate: tuple[int, asyncio.Event] | None = None
) -> list[Step]:
    """What the provider does: the recorded head, then the pieces, each read before the next one is sent.

    `gate` is the number of the piece that waits for an event.
    """
    pairs = [] if recording.content_type is None else [("Content-Type", recording.content_type)]
    pairs += recording.headers.items()
    if len(pieces) == 1 and not recording.stream:
        return [head(recording.status, [*pairs, ("Content-Length", str(len(pieces[0])))]) + pieces[0]]
    data = [chunk(piece) for piece in pieces]
    data[0] = head(recording.status, [*pairs, ("Transfer-Encoding", "chunked")]) + data[0]
    data[-1] += chunk(b"")
    steps: list[Step] = []
    for number, piece in enumerate(data):
        if gate is not None and gate[0] == number:
            steps.append(Wait(gate[1]))
        steps += (piece, *_TURN)
    return steps


class Lines(AccessLog):
    """An access log that hands its lines over as they are written: the last thing that is done for a request."""

    def __init__(self) -> None:
        super().__init__("json", io.StringIO())
        self.queue: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    def add(self, fields: dict[str, Any]) -> None:
        self.queue.put_nowait(fields)


@attrs.frozen
class Played:
    """What became of a call."""

    answer: Answer
    call: Call | None
    """None when the request was refused before there was one."""
    line: dict[str, Any]
    """The access log's."""


@attrs.frozen
class Stage:
    """The gateway at work in front of a scripted provider."""

    upstream: RawUpstream
    server: Front
    lines: Lines
    calls: list[Call | None]
    prepared: asyncio.Event
    """The head of an answer has been made: the answer is committed."""

    async def send(self, wire: bytes) -> Played:
        """The answer to one request."""
        self.prepared.clear()
        answer = await self.server.ask("POST", "/v1/chat/completions", {"Content-Type": "application/json"}, wire)
        line = await asyncio.wait_for(self.lines.queue.get(), PATIENCE_S)
        return Played(answer, self.calls[-1], line)

    async def play(
        self, recording: Recording, pieces: Sequence[bytes], *, gate: int | None = None, **asked: Any
    ) -> Played:
        """The recorded request, `asked` over it, answered with the recorded answer in pieces.

        The piece with the number `gate` is sent once the answer is committed.
        """
        self.upstream.script(*answer_steps(recording, pieces, None if gate is None else (gate, self.prepared)))
        return await self.send(json.dumps({**recording.asked, **asked}).encode())


def configuration(url: str, names: Mapping[str, str], *, stream_usage: str = "option") -> Config:
    """Models by id, each with the name that the provider knows it by, at a provider without retries; open to all."""
    text = f"""
[server]
open = true
[providers.up]
base_url = "{url}/v1"
retries = 0
quirks = {{ stream_usage = "{stream_usage}" }}
"""
    for model_id, target in names.items():
        text += f"\n[[models]]\nmodel_id = {json.dumps(model_id)}\nroute = {json.dumps(f'up/{target}')}\n"
    return parse_config(text, environ={})


@asynccontextmanager
async def stage(names: Mapping[str, str], *, stream_usage: str = "option") -> AsyncIterator[Stage]:
    """The gateway on a free port until the block ends; see `configuration`."""
    lines, calls, prepared = Lines(), list[Call | None](), asyncio.Event()

    async def note(request: web.Request, _: web.StreamResponse) -> None:
        calls.append(request[TRACE].call)
        prepared.set()

    async with RawUpstream() as upstream:
        app = create_app(configuration(upstream.url, names, stream_usage=stream_usage), access_log=lines)
        app.on_response_prepare.append(note)
        async with serving_app(app, "server", app) as port:
            yield Stage(upstream, Front(port, app), lines, calls, prepared)
            for _ in _TURN:  # the server learns that its clients have left, and need not wait for them
                await asyncio.sleep(0)


def sent(stage: Stage) -> Received:
    """The one request that the provider got."""
    assert len(stage.upstream.requests) == 1
    return stage.upstream.requests[0]
