"""Generation: read, ask the gateway, write."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import Any, Final

from aiohttp import web
from aiohttp.http_writer import StreamWriter

from modelserver.dialects.anthropic import ANTHROPIC
from modelserver.dialects.dialect import Counter, Dialect
from modelserver.dialects.gemini import GEMINI, split_path
from modelserver.dialects.openai_chat import CHAT
from modelserver.dialects.openai_responses import RESPONSES
from modelserver.errors import ClientLeft, GatewayError, NotFound
from modelserver.gateway.call import Call, StreamReply
from modelserver.gateway.lifecycle import Expired
from modelserver.ir.types import NOWHERE, Address
from modelserver.upstream.credentials import FORWARDED, JSON
from modelserver.web.body import read_body
from modelserver.web.dialects import below_prefix, dialect_of
from modelserver.web.disconnect import left_by
from modelserver.web.keys import GATEWAY, TRACE

STALLED_S: Final = 60.0
"""A client that takes nothing for so long is cut."""
_GUARDED_BYTES: Final = 32_768
_GEMINI_METHODS: Final = ("generateContent", "streamGenerateContent", "countTokens")
_STREAM_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "X-Accel-Buffering": "no",
}
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
_JSON_HEADERS: Final = {"Content-Type": JSON}


async def answer(
    request: web.Request, *, dialect: Dialect, address: Address = NOWHERE, counter: Counter | None = None
) -> web.StreamResponse:
    """A call of a dialect, from its body to its last byte; with a `counter` only its tokens are counted."""
    gateway = request.app[GATEWAY]
    trace = request[TRACE]
    assert trace.principal is not None
    call = trace.call = Call(
        id=trace.id,
        dialect=dialect,
        wire=await read_body(request),
        principal=trace.principal,
        started_s=trace.started_s,
        address=address,
        counter=counter,
        forwarded=_forwarded(request, FORWARDED),
        passed=_forwarded(request, dialect.passed_headers),
        has_left=left_by(request),
    )
    async with gateway.relay(call) as reply:
        if isinstance(reply, StreamReply):
            return await _write_stream(request, call, reply)
        response = web.Response(body=reply.body, headers=_stream_headers(call) if reply.is_stream else _JSON_HEADERS)
        # Written here and not by aiohttp afterwards, so that what limits hold is held to the last byte.
        await response.prepare(request)
        trace.begun = response
        return await _finish(request, call, response, len(reply.body))


chat_completions: Final = partial(answer, dialect=CHAT)
"""`POST /v1/chat/completions`."""
responses: Final = partial(answer, dialect=RESPONSES)
"""`POST /v1/responses`."""
responses_count: Final = partial(answer, dialect=RESPONSES, counter=RESPONSES.counter)
"""`POST /v1/responses/input_tokens`."""
messages: Final = partial(answer, dialect=ANTHROPIC)
"""`POST /v1/messages`."""
messages_count: Final = partial(answer, dialect=ANTHROPIC, counter=ANTHROPIC.counter)
"""`POST /v1/messages/count_tokens`."""


async def gemini(request: web.Request) -> web.StreamResponse:
    """`POST /v1beta/models/{model}:{method}`: model, stream and counting are in the path."""
    called = split_path(below_prefix(request))
    if called is None or called[1] not in _GEMINI_METHODS:
        raise NotFound(
            f"This path has no such method; there are {', '.join(_GEMINI_METHODS)}.", param="method", code="not_found"
        )
    model, method = called
    address = Address(model=model, stream=method == "streamGenerateContent")
    counter = GEMINI.counter if method == "countTokens" else None
    return await answer(request, dialect=dialect_of(request), address=address, counter=counter)


async def break_off(request: web.Request, response: web.StreamResponse, error: GatewayError) -> web.StreamResponse:
    """End an answer that failed after its head has left: a stream with its error event, anything with the connection.

    What the failure is about can be a client that does not read, so that nothing is waited for here.
    """
    trace = request[TRACE]
    writer = request.writer
    assert isinstance(writer, StreamWriter)
    trace.error_code = error.code or error.kind.value
    response.force_close()
    with suppress(ConnectionError):
        if response.content_length is None:
            assert trace.call is not None  # only calls are answered in pieces
            fail = trace.call.fail or trace.call.dialect.encode_error_event
            await writer.write(fail(error), drain=False)
        writer.set_eof()
    if request.transport is not None:
        asyncio.get_running_loop().call_later(STALLED_S, request.transport.abort)
    return response


async def _write_stream(request: web.Request, call: Call, reply: StreamReply) -> web.StreamResponse:
    response = web.StreamResponse(headers=_stream_headers(call))
    await response.prepare(request)
    request[TRACE].begun = response
    transport = request.transport
    try:
        async for chunk in reply.chunks:
            if transport is None:
                raise ClientLeft("The client closed the connection.")
            if len(chunk) > _GUARDED_BYTES or transport.get_write_buffer_size():
                await _sent(request, call, response.write(chunk), len(chunk))
            else:
                await response.write(chunk)
    except (ConnectionError, ClientLeft):
        return _gone(request, call, response)
    return await _finish(request, call, response, 0)


async def _finish(request: web.Request, call: Call, response: web.StreamResponse, size: int) -> web.StreamResponse:
    transport = request.transport
    try:
        if size > _GUARDED_BYTES or (transport is not None and transport.get_write_buffer_size()):
            await _sent(request, call, response.write_eof(), size)
        else:
            await response.write_eof()
    except (ConnectionError, ClientLeft):
        return _gone(request, call, response)
    return response


async def _sent(request: web.Request, call: Call, writing: Coroutine[Any, Any, None], size: int) -> None:
    """Await a write, for as long as the client takes some of it every minute.

    The write goes on in a task of its own while the waits for it end: once a drain of aiohttp's is cancelled, every
    later one of that connection is cancelled too (3.14.5: `_drain_waiter` stays).

    Raises:
        ClientLeft: It takes nothing, or the call has lasted as long as it may.
    """
    gateway = request.app[GATEWAY]
    watch = call.watch
    transport = request.transport
    assert watch is not None
    left: float = math.inf if transport is None else transport.get_write_buffer_size() + size
    sending = asyncio.ensure_future(writing)  # noqa: TID251 - held here, ended below
    try:
        while True:
            try:
                await watch.wait(asyncio.shield(sending), gateway.clock.now_s() + STALLED_S)
                return
            except Expired:
                now_left = 0 if transport is None else transport.get_write_buffer_size()
                if now_left >= left or gateway.clock.now_s() >= watch.ends_s:
                    raise ClientLeft("The client does not read its answer.") from None
                left = now_left
    finally:
        if not sending.cancel() and not sending.cancelled():
            sending.exception()  # seen, if by nobody else


def _forwarded(request: web.Request, names: Sequence[str]) -> Mapping[str, str]:
    """What of the client's headers travels on; values that are no plain text would only be refused further on."""
    headers = request.headers
    if not any(name in headers for name in names):
        return _NO_HEADERS
    return {
        name: value
        for name in names
        if name in headers and (value := ",".join(headers.getall(name))).isascii() and value.isprintable()
    }


def _stream_headers(call: Call) -> dict[str, str]:
    return {"Content-Type": call.dialect.stream_type, **_STREAM_HEADERS}


def _gone(request: web.Request, call: Call, response: web.StreamResponse) -> web.StreamResponse:
    """Close the connection of a client that does not take its answer."""
    if call.error is None:
        call.error = ClientLeft("The client closed the connection.")
    response.force_close()
    transport = request.transport
    if transport is not None:
        transport.abort()
    return response
