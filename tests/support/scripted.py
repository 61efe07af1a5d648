"""The gateway without a network: a transport that answers as a test scripts, and callers whose clock stands still.

transport = Scripted([Answer(503), Answer(pieces=[TEXT, FINISH, DONE])])      # one script per dispatch, in order
async with at_work(config(), transport) as work:
    caller = work.call(stream=True)
    await work.clock.advance(1)
    assert await caller.body() == TEXT + FINISH + DONE
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import attrs
from multidict import CIMultiDict

from modelserver.clock import ManualClock, settle
from modelserver.config import Config, parse_config
from modelserver.dialects.openai_chat import CHAT
from modelserver.errors import GatewayError
from modelserver.gateway.call import Call, StreamReply
from modelserver.gateway.gateway import Gateway
from modelserver.policy.principals import LOCAL, Principal
from modelserver.ports import UpstreamRequest

PATIENCE_S = 10.0
"""Real time after which a call that should be over counts as one that hangs."""
MESSAGES = [{"role": "user", "content": "Hi"}]


@attrs.frozen
class Pause:
    """Seconds on the test's clock."""

    seconds: float


@attrs.frozen
class Silence:
    """Nothing more comes."""


Step: TypeAlias = bytes | Pause | Silence | asyncio.Event | BaseException
"""Bytes arrive, time passes, nothing comes, an event is waited for, or it fails."""
SILENCE = Silence()


def frame(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def delta(**fields: Any) -> bytes:
    """A chunk of a stream with these fields in its delta."""
    return frame({"model": "m-2026", "choices": [{"index": 0, "delta": fields, "finish_reason": None}]})


ROLE = delta(role="assistant", content="")
TEXT = delta(content="Hello wor")
MORE = delta(content="ld")
FINISH = frame({"model": "m-2026", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
USAGE = frame({"model": "m-2026", "choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 2}})
DONE = b"data: [DONE]\n\n"
PING = b": ping\n\n"
COMPLETE = (ROLE, TEXT, MORE, FINISH, USAGE, DONE)
WHOLE = json.dumps(
    {
        "model": "m-2026",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2},
    }
).encode()


@attrs.frozen(kw_only=True)
class Answer:
    """What one dispatch gets: `before` happens before its head arrives, `pieces` are its body."""

    status: int = 200
    pieces: Sequence[Step] = ()
    before: Sequence[Step] = ()
    content_type: str | None = "text/event-stream"
    headers: Mapping[str, str] = attrs.field(factory=dict)


def stream(*pieces: Step) -> Answer:
    """A stream of these pieces."""
    return Answer(pieces=pieces)


def whole(body: bytes = WHOLE, **fields: Any) -> Answer:
    """A JSON answer."""
    return Answer(pieces=(body,), content_type="application/json", **fields)


def refusal(status: int, *, message: str = "no", headers: Mapping[str, str] | None = None, **fields: Any) -> Answer:
    """An error answer in JSON; `fields` stand beside its message."""
    error = json.dumps({"error": {"message": message, **fields}}).encode()
    return whole(error, status=status, headers=headers or {})


def failing(error: BaseException) -> Answer:
    """No answer."""
    return Answer(before=(error,))


class ScriptedAnswer:
    """An `UpstreamAnswer` that was scripted, and whether it was let go of."""

    def __init__(self, script: Answer, clock: ManualClock) -> None:
        self.status = script.status
        self.headers: Mapping[str, str] = CIMultiDict(script.headers)
        if script.content_type is not None:
            self.headers = CIMultiDict({"Content-Type": script.content_type, **script.headers})
        self.closed = 0
        self.finished = 0
        self.said: list[bytes] = []
        self._steps = deque(script.pieces)
        self._clock = clock
        self._due_s: float | None = None

    @property
    def is_open(self) -> bool:
        return not self.closed and not self.finished

    async def read(self) -> bytes:
        assert self.is_open, "a closed answer is read"
        while self._steps:
            step = self._steps[0]
            await self._pass(step)  # a cancelled wait goes on with the next read
            if isinstance(step, bytes):
                self._steps.popleft()
                self.said.append(step)
                return step
            if not isinstance(step, BaseException):
                self._steps.popleft()
        return b""

    def close(self) -> None:
        self.closed += 1

    def finish(self) -> None:
        self.finished += 1

    async def _pass(self, step: Step) -> None:
        if not isinstance(step, Pause):
            await pass_step(step, self._clock)
            return
        if self._due_s is None:
            self._due_s = self._clock.now_s() + step.seconds
        await self._clock.sleep(self._due_s - self._clock.now_s())
        self._due_s = None


async def pass_step(step: Step, clock: ManualClock) -> None:
    match step:
        case asyncio.Event():
            await step.wait()
        case Silence():
            await asyncio.Event().wait()
        case Pause():
            await clock.sleep(step.seconds)
        case BaseException():
            raise step


class Scripted:
    """A `Transport` that gives the scripted answers in order, the last one again and again, and keeps what it saw."""

    def __init__(self, *scripts: Answer, clock: ManualClock | None = None) -> None:
        self.clock = clock or ManualClock()
        self.requests: list[UpstreamRequest] = []
        self.sent_at_s: list[float] = []
        self.answers: list[ScriptedAnswer] = []
        self.open_at_send: list[int] = []
        """How many earlier answers were still open at each dispatch."""
        self.sending = 0
        """Dispatches whose head has not arrived."""
        self._scripts = deque(scripts)

    def script(self, *scripts: Answer) -> None:
        """Answer from here on so."""
        self._scripts = deque(scripts)

    @property
    def sends(self) -> int:
        return len(self.requests)

    @property
    def open(self) -> int:
        """Answers and dispatches not let go of."""
        return self.sending + sum(answer.is_open for answer in self.answers)

    async def send(self, request: UpstreamRequest) -> ScriptedAnswer:
        self.open_at_send.append(self.open)
        self.requests.append(request)
        self.sent_at_s.append(self.clock.now_s())
        script = self._scripts.popleft() if len(self._scripts) > 1 else self._scripts[0]
        self.sending += 1
        try:
            for step in script.before:
                await pass_step(step, self.clock)
        finally:
            self.sending -= 1
        answer = ScriptedAnswer(script, self.clock)
        self.answers.append(answer)
        return answer

    async def close(self) -> None:
        """Nothing is pooled."""


def config(
    *,
    defaults: str = "",
    provider: str = "",
    model: str = "",
    more: str = "",
    environ: Mapping[str, str] | None = None,
) -> Config:
    """The provider `up` with its model `m`; the texts are TOML in their tables, `more` is TOML behind it."""
    return parse_config(
        f"""
[defaults]
{defaults}
[providers.up]
base_url = "http://up.invalid/v1"
key = "$UP_KEY"
{provider}
[[models]]
model_id = "m"
route = "up/m"
{model}
{more}
""",
        environ={"UP_KEY": "provider-secret-0123456789"} if environ is None else environ,
    )


class Caller:
    """A call at work in a task of its own, and what it got when."""

    def __init__(self, gateway: Gateway, call: Call, *, consume: Callable[[bytes], Any] | None = None) -> None:
        self.call = call
        self.chunks: list[bytes] = []
        self.got_at_s: list[float] = []
        self.committed = False
        self._gateway = gateway
        self._consume = consume
        self.task = asyncio.create_task(self._run(), name="caller")

    @property
    def got(self) -> bytes:
        """Every byte so far."""
        return b"".join(self.chunks)

    async def body(self) -> bytes:
        """Every byte, once the call is over.

        Raises:
            GatewayError: It failed before the first one.
        """
        await self.over()
        self.task.result()
        return self.got

    async def error(self) -> GatewayError:
        """Why the call failed before its first byte."""
        await self.over()
        error = self.task.exception()
        assert isinstance(error, GatewayError), error
        return error

    async def over(self) -> None:
        """Wait for the end of the task; time on the test's clock does not pass meanwhile."""
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.wait([self.task])

    async def _run(self) -> None:
        async with self._gateway.relay(self.call) as reply:
            self.committed = True
            if not isinstance(reply, StreamReply):
                await self._take(reply.body)
                return
            async for chunk in reply.chunks:
                await self._take(chunk)

    async def _take(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self.got_at_s.append(self._gateway.clock.now_s())
        if self._consume is not None:
            await self._consume(chunk)


@attrs.frozen
class Work:
    """A gateway in a world without network and without time."""

    gateway: Gateway
    transport: Scripted
    clock: ManualClock
    callers: list[Caller]

    def new_call(
        self, *, principal: Principal = LOCAL, has_left: Callable[[], bool] | None = None, **body: Any
    ) -> Call:
        """A call of `m`, not begun."""
        return Call(
            id=f"req_{len(self.callers)}",
            dialect=CHAT,
            wire=json.dumps({"model": "m", "messages": MESSAGES, **body}).encode(),
            principal=principal,
            started_s=self.clock.now_s(),
            has_left=has_left,
        )

    def call(
        self,
        *,
        principal: Principal = LOCAL,
        has_left: Callable[[], bool] | None = None,
        consume: Callable[[bytes], Any] | None = None,
        **body: Any,
    ) -> Caller:
        """A call of `m` with these fields in its body, begun."""
        call = self.new_call(principal=principal, has_left=has_left, **body)
        caller = Caller(self.gateway, call, consume=consume)
        self.callers.append(caller)
        return caller

    async def begin(self, **given: Any) -> Caller:
        """A call that has come as far as it can without time."""
        caller = self.call(**given)
        await settle()
        return caller

    async def over(self, callers: Iterable[Caller], *, within_s: float) -> None:
        """Let time pass until these calls are over, at most `within_s`."""
        ends_s = self.clock.now_s() + within_s
        while not all(caller.task.done() for caller in callers) and self.clock.now_s() < ends_s:
            await self.clock.advance(0.25)
        assert all(caller.task.done() for caller in callers), f"a call goes on after {within_s} s"

    def left_over(self) -> dict[str, int]:
        """What ought to have been given back when no call is open, and was not."""
        places = self.gateway._places
        tasks = [task for task in asyncio.all_tasks() if task.get_name().startswith("attempts ")]
        found = {
            "open calls": self.gateway.open_calls,
            "places": places.held(),
            "in line": places.waiting(),
            "answers": self.transport.open,
            "tasks": len(tasks),
        }
        return {what: count for what, count in found.items() if count}


@asynccontextmanager
async def at_work(
    settings: Config, transport: Scripted, *, load: Callable[[], Config] | None = None
) -> AsyncIterator[Work]:
    """A gateway on the transport's clock. At the end every call has to be over, with nothing left behind."""
    async with Gateway.open(settings, clock=transport.clock, transport=transport, load=load) as gateway:
        work = Work(gateway, transport, transport.clock, [])
        try:
            yield work
            await settle()
            assert [caller.call.id for caller in work.callers if not caller.task.done()] == []
            assert work.left_over() == {}
        finally:
            for caller in work.callers:
                caller.task.cancel()
            await asyncio.gather(*(caller.task for caller in work.callers), return_exceptions=True)
