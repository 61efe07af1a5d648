"""Streams that are begun before the upstream has said anything (`early_commit`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from modelserver.errors import ClientLeft, GatewayError
from modelserver.gateway.attempts import Attempts
from modelserver.gateway.call import Call, Reply, StreamReply
from modelserver.ports import Clock


async def early_reply(attempts: Attempts, call: Call, *, early_s: float, keepalive_s: float, clock: Clock) -> Reply:
    """The reply, if it comes within `early_s`; else a stream of keep-alives that becomes the reply when it comes.

    A failure after that can only be said within the stream.

    Raises:
        GatewayError: The attempts failed within `early_s`.
    """
    # Held by this call alone, and ended with it; the gateway's own tasks outlive calls.
    trying = asyncio.create_task(attempts.reply(), name=f"attempts {call.id}")  # noqa: TID251
    try:
        if await _done_within(trying, early_s, clock):
            return trying.result()
    except BaseException:
        await _end(trying)
        raise
    return StreamReply(chunks=_chunks(trying, call, keepalive_s, clock))


async def _chunks(
    trying: asyncio.Task[Reply], call: Call, keepalive_s: float, clock: Clock
) -> AsyncGenerator[bytes, None]:
    try:
        yield call.dialect.keepalive
        while not await _done_within(trying, keepalive_s, clock):
            yield call.dialect.keepalive
        try:
            reply = trying.result()
        except ClientLeft:
            raise
        except GatewayError as error:
            call.error = error
            yield call.dialect.encode_error_event(error)
            return
        if not isinstance(reply, StreamReply):
            yield reply.body
            return
        try:
            async for chunk in reply.chunks:
                yield chunk
        finally:
            await reply.chunks.aclose()
    finally:
        await _end(trying)


async def _done_within(trying: asyncio.Task[Reply], seconds: float, clock: Clock) -> bool:
    timer = asyncio.ensure_future(clock.sleep(seconds))  # noqa: TID251 - ended four lines below
    try:
        await asyncio.wait({trying, timer}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        timer.cancel()
    return trying.done()


async def _end(trying: asyncio.Task[Reply]) -> None:
    """Cancel the attempts and wait until they have let go; what they say then concerns nobody."""
    trying.cancel()
    await asyncio.wait({trying})
    if not trying.cancelled():
        trying.exception()
