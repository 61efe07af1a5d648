"""What is measured: the rows of the table, and the bars they are held against."""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Mapping

import attrs

from .gateway import ROOT, BenchFailed, Gateway, Setting, pinned
from .load import Check, Connection, ask, drive
from .native import NATIVES, is_translated
from .wire import CHUNKS, HELD_ANSWER, JSON_ANSWER, LONG_PROMPT_BYTES, STREAM_ANSWER, Answer, WrongAnswer, chat, get

Figures = Mapping[str, float]
CATALOGUE = "/api/v1/models?type=llm&features=tools&sort_by=context_length&sort_order=desc"
_CONNECTIONS = 8
_PACED_STREAMS = 20
# After the last answer the gateway still settles and writes its log: that is part of the cost.
_SETTLE_S = 0.05
_IMPORTS = (
    "import time; before = time.process_time(); import modelserver.cli, modelserver.web.server; "
    "print(time.process_time() - before)"
)


@attrs.frozen(kw_only=True)
class Bar:
    """A figure of the table: its unit and what it is to stay under, as `None` where nothing was agreed."""

    unit: str
    label: str
    first: float | None = None
    """For the first working gateway."""
    fast: float | None = None
    """When speed is the issue."""
    one_day: float | None = None
    note: str = ""


BARS: Mapping[str, Bar] = {
    "json": Bar(label="JSON request, CPU", unit="us", first=200, fast=65, one_day=50),
    "paced": Bar(label="paced chunk, CPU", unit="us", first=55, fast=30, one_day=24),
    "paced_reads": Bar(label="  reads per paced chunk", unit="", note="near 1, or the chunks ran together"),
    "burst": Bar(label="burst chunk, CPU", unit="us", first=8, fast=4, one_day=2),
    "anthropic": Bar(label="translated event, anthropic, CPU", unit="us", first=20, fast=20, one_day=20),
    "gemini": Bar(label="translated event, gemini, CPU", unit="us", first=20, fast=20, one_day=20),
    "responses": Bar(label="translated event, responses, CPU", unit="us", first=20, fast=20, one_day=20),
    "long": Bar(label="100 KB of prompt, CPU added", unit="us", first=500, fast=500, one_day=500),
    "added_p50": Bar(label="added latency, p50", unit="us", first=1100, fast=650, one_day=400),
    "added_p99": Bar(label="added latency, p99", unit="us"),
    "direct_p50": Bar(label="  direct, p50", unit="us", note="the machine, not the gateway"),
    "idle": Bar(label="idle, PSS", unit="MiB", first=48, fast=42, one_day=38),
    "idle_rss": Bar(label="  idle, RSS", unit="MiB"),
    "stream": Bar(label="open stream, PSS", unit="KiB", first=30, fast=18, one_day=12),
    "start": Bar(label="cold start to first answer", unit="s", first=0.6, fast=0.4, one_day=0.3),
    "import": Bar(label="import, CPU", unit="s", first=0.35, fast=0.25, one_day=0.2),
    "catalogue": Bar(label="repeated catalogue query, CPU", unit="us", first=60, fast=40, one_day=40),
    "not_modified": Bar(label="304, CPU", unit="us", first=45, fast=30, one_day=30),
    "refused": Bar(label="refused key, CPU", unit="us", first=80, fast=40, one_day=40),
}


@attrs.frozen(kw_only=True)
class Bench:
    """What a row needs: the setting, a running gateway, and how much of the usual load to put on it."""

    setting: Setting
    gateway: Gateway
    scale: float

    def count(self, usual: int) -> int:
        """`usual`, scaled; at least 2."""
        return max(2, round(usual * self.scale))

    def chat(self, script: str) -> bytes:
        """A chat request with the good key."""
        return chat(script, self.setting.key)

    async def cpu_us(self, request: bytes, check: Check, usual: int) -> float:
        """CPU of the gateway per request, in a closed loop over a few connections."""
        count = self.count(usual)
        await drive(self.gateway.port, request, check, count=self.count(usual // 20), connections=_CONNECTIONS)
        await asyncio.sleep(_SETTLE_S)
        before_s = self.gateway.cpu_s()
        await drive(self.gateway.port, request, check, count=count, connections=_CONNECTIONS)
        await asyncio.sleep(_SETTLE_S)
        return (self.gateway.cpu_s() - before_s) * 1e6 / count


def is_answer(content_type: bytes, body: bytes) -> Check:
    """A check that lets pass only a 200 with this type and exactly these bytes."""

    def check(answer: Answer) -> None:
        if answer.status != 200 or not answer.field(b"content-type").startswith(content_type):
            raise WrongAnswer(f"Not a 200 with {content_type!r}: {answer.head!r} {answer.body[:300]!r}")
        if answer.body != body:
            at = next(
                (i for i, (a, b) in enumerate(zip(answer.body, body, strict=False)) if a != b),
                min(len(answer.body), len(body)),
            )
            raise WrongAnswer(
                f"Wrong from byte {at} on: {answer.body[at : at + 80]!r} instead of {body[at : at + 80]!r}"
            )

    return check


is_json = is_answer(b"application/json", JSON_ANSWER)
is_stream = is_answer(b"text/event-stream", STREAM_ANSWER)
is_held_stream = is_answer(b"text/event-stream", HELD_ANSWER)


def is_same(first: Answer) -> Check:
    """A check that lets pass only the status, type and body of `first`."""

    def check(answer: Answer) -> None:
        if answer.status != first.status or answer.body != first.body:
            raise WrongAnswer(f"Not the answer of before: {answer.head!r} {answer.body[:300]!r}")

    return check


def is_refusal(answer: Answer) -> None:
    """Lets pass only a 401 in the envelope of the OpenAI dialects."""
    error = json.loads(answer.body).get("error", {})
    if answer.status != 401 or error.get("type") != "authentication_error":
        raise WrongAnswer(f"Not a refusal: {answer.head!r} {answer.body[:300]!r}")


def is_catalogue(models: int) -> Check:
    """A check that lets pass only the answer to `CATALOGUE` with `models` models, in its order."""

    def check(answer: Answer) -> None:
        page = json.loads(answer.body)
        ids = [model["model_id"] for model in page["data"]]
        # The model `bench` has no features, so the filter leaves it out.
        if (
            answer.status != 200
            or page["success"] is not True
            or ids != [f"vendor/model-{i:05}" for i in range(1, models)]
        ):
            raise WrongAnswer(f"Not the catalogue that was asked for: {answer.head!r} {answer.body[:300]!r}")

    return check


async def measure_json(bench: Bench) -> Figures:
    """CPU per JSON request."""
    return {"json": await bench.cpu_us(bench.chat("json"), is_json, 6000)}


async def measure_burst(bench: Bench) -> Figures:
    """CPU per chunk of a stream that arrives at once; the request itself is part of it."""
    return {"burst": await bench.cpu_us(bench.chat("burst"), is_stream, 400) / CHUNKS}


async def measure_translated(bench: Bench) -> Figures:
    """CPU per word of a stream that arrives at once in another dialect; the request itself is part of it."""
    figures: dict[str, float] = {}
    for name in NATIVES:
        request = chat("burst", bench.setting.key, model=f"bench-{name}")
        figures[name] = await bench.cpu_us(request, is_translated, 200) / CHUNKS
    return figures


async def measure_paced(bench: Bench) -> Figures:
    """CPU per chunk that arrives alone; the request itself is part of it."""
    count = bench.count(_PACED_STREAMS)
    before_s = bench.gateway.cpu_s()
    reads = await drive(bench.gateway.port, bench.chat("paced"), is_stream, count=count, connections=count)
    await asyncio.sleep(_SETTLE_S)
    cpu_us = (bench.gateway.cpu_s() - before_s) * 1e6
    return {"paced": cpu_us / (count * CHUNKS), "paced_reads": reads / (count * CHUNKS)}


async def measure_long(bench: Bench) -> Figures:
    """CPU that a long prompt adds to a JSON request."""
    prompt = ("Read this. " * LONG_PROMPT_BYTES)[:LONG_PROMPT_BYTES]
    long_us = await bench.cpu_us(chat("json", bench.setting.key, prompt=prompt), is_json, 1000)
    return {"long": long_us - await bench.cpu_us(bench.chat("json"), is_json, 1000)}


async def measure_latency(bench: Bench) -> Figures:
    """Latency that the gateway adds to one request at a time: through it and past it, in turns."""
    ways: dict[str, tuple[Connection, bytes, list[float]]] = {
        "direct": (await Connection.open(bench.setting.upstream_port), chat("json", bench.setting.upstream_key), []),
        "gateway": (await Connection.open(bench.gateway.port), bench.chat("json"), []),
    }
    pairs = bench.count(1000)
    try:
        for turn in range(-pairs // 10, pairs):
            for connection, request, times_us in ways.values():
                before_s = time.perf_counter()
                answer = await connection.send(request)
                took_us = (time.perf_counter() - before_s) * 1e6
                is_json(answer)
                if turn >= 0:
                    times_us.append(took_us)
    finally:
        for connection, _, _ in ways.values():
            connection.close()
    direct, gateway = (statistics.quantiles(times_us, n=100) for _, _, times_us in ways.values())
    return {"added_p50": gateway[49] - direct[49], "added_p99": gateway[98] - direct[98], "direct_p50": direct[49]}


async def measure_catalogue(bench: Bench) -> Figures:
    """CPU per catalogue query that was asked before."""
    first = await ask(bench.gateway.port, get(CATALOGUE), is_catalogue(bench.setting.models))
    return {"catalogue": await bench.cpu_us(get(CATALOGUE), is_same(first), 4000)}


async def measure_not_modified(bench: Bench) -> Figures:
    """CPU per catalogue query of a client that has the answer already."""
    first = await ask(bench.gateway.port, get(CATALOGUE), is_catalogue(bench.setting.models))
    etag = first.field(b"etag")

    def check(answer: Answer) -> None:
        if answer.status != 304 or answer.body or answer.field(b"etag") != etag:
            raise WrongAnswer(f"Not a 304 with etag {etag!r}: {answer.head!r}")

    return {"not_modified": await bench.cpu_us(get(CATALOGUE, b"if-none-match: " + etag), check, 4000)}


async def measure_refused(bench: Bench) -> Figures:
    """CPU per chat request with a key that nobody has."""
    request = chat("json", "sk-ms-nobody-has-this-key-0000000000000")
    first = await ask(bench.gateway.port, request, is_refusal)
    return {"refused": await bench.cpu_us(request, is_same(first), 4000)}


async def measure_import(bench: Bench) -> Figures:
    """CPU of importing what serving needs, without the interpreter's own start."""
    with pinned(bench.setting.gateway_core, bench.setting.load_core):
        done = subprocess.run(
            [sys.executable, "-c", _IMPORTS], cwd=ROOT, capture_output=True, text=True, timeout=30, check=False
        )
    if done.returncode != 0:
        raise BenchFailed(f"modelserver cannot be imported:\n{done.stderr[-2000:]}")
    return {"import": float(done.stdout)}


async def measure_start(bench: Bench) -> Figures:
    """Seconds from the start of the process to its first answer; the gateway has only just been started."""
    connection = await bench.gateway.connect()
    is_json(await connection.send(bench.chat("json")))
    took_s = time.perf_counter() - bench.gateway.started_s
    connection.close()
    return {"start": took_s}


async def measure_idle(bench: Bench) -> Figures:
    """Memory of a gateway that has served one of each and now rests."""
    await ask(bench.gateway.port, bench.chat("burst"), is_stream)
    await ask(bench.gateway.port, get(CATALOGUE), is_catalogue(bench.setting.models))
    await asyncio.sleep(0.5)
    pss_kib, rss_kib = bench.gateway.memory_kib()
    return {"idle": pss_kib / 1024, "idle_rss": rss_kib / 1024}


async def measure_stream(bench: Bench) -> Figures:
    """Memory per stream that has begun and stands still."""
    # What the first streams load and reserve for ever is no cost of an open one.
    await _hold_streams(bench, 20)
    await asyncio.sleep(0.3)
    before_kib, _ = bench.gateway.memory_kib()
    count = bench.count(1000)
    return {"stream": (await _hold_streams(bench, count) - before_kib) / count}


async def _hold_streams(bench: Bench, count: int) -> int:
    """Open `count` streams, let them stand, finish and check them; the memory while they stood, in KiB."""
    places = asyncio.Semaphore(32)
    connections: list[Connection] = []

    async def begin() -> asyncio.Future[Answer]:
        async with places:
            connections.append(connection := await Connection.open(bench.gateway.port))
            return await connection.begin(bench.chat("held"))

    try:
        async with asyncio.TaskGroup() as openers:
            begun = [openers.create_task(begin()) for _ in range(count)]
        await asyncio.sleep(0.3)
        pss_kib, _ = bench.gateway.memory_kib()
        await ask(bench.setting.upstream_port, chat("release", bench.setting.upstream_key), is_json)
        for task in begun:
            is_held_stream(await task.result())
    finally:
        for connection in connections:
            connection.close()
    return pss_kib


Measure = Callable[[Bench], Awaitable[Figures]]
ROWS: Mapping[str, Measure] = {
    "json": measure_json,
    "paced": measure_paced,
    "burst": measure_burst,
    "translated": measure_translated,
    "long": measure_long,
    "latency": measure_latency,
    "catalogue": measure_catalogue,
    "not_modified": measure_not_modified,
    "refused": measure_refused,
}
"""Measured on one gateway that runs through all rounds."""
FRESH_ROWS: Mapping[str, Measure] = {
    "start": measure_start,
    "idle": measure_idle,
    "stream": measure_stream,
}
"""Measured, in this order, on a gateway started anew for each round."""
LOOSE_ROWS: Mapping[str, Measure] = {"import": measure_import}
