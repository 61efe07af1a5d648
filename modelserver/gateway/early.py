"""Streams that are begun before the upstream has said anything (`early_commit`)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from modelserver.errors import ClientLeft, GatewayError
from modelserver.gateway.attempts import Attempts
from modelserver.gateway.call import Call, Reply, StreamReply
from modelserver.gateway.lifecycle import Watch, done_within
from modelserver.ports import Clock


class EarlyReply:
    """Attempts in a task of their own, so that keep-alives can flow meanwhile; ended by `close`."""

    def __init__(self, attempts: Attempts, call: Call, *, watch: Watch, keepalive_s: float, clock: Clock) -> None:
        self._attempts = attempts
        self._call = call
        self._watch = watch
        self._keepalive_s = keepalive_s
        self._clock = clock
        self._aside = watch.aside = Watch(ends_s=watch.ends_s, has_left=watch.has_left)
        # Held by this call alone, and ended with it; the gateway's own tasks outlive calls.
        self._trying = asyncio.create_task(self._try(), name=f"attempts {call.id}")  # noqa: TID251
        # What it says concerns nobody where the call is over before it.
        self._trying.add_done_callback(lambda trying: trying.cancelled() or trying.exception())

    async def reply(self, early_s: float) -> Reply:
        """The reply, if it comes within `early_s`; else a stream of keep-alives that becomes the reply when it comes.

        A failure after that can only be said within the stream.

        Raises:
            GatewayError: The attempts failed within `early_s`.
        """
        if await done_within({self._trying}, early_s, self._clock):
            return self._trying.result()
        return StreamReply(chunks=self._chunks())

    async def close(self) -> None:
        """End the attempts, if they are still at it, and wait until they have let go."""
        if self._trying.done():
            return
        self._trying.cancel()
        await asyncio.wait({self._trying})

    async def _try(self) -> Reply:
        try:
            return await self._attempts.reply(self._aside)
        finally:
            self._watch.rejoin()

    async def _chunks(self) -> AsyncGenerator[bytes, None]:
        keepalive = self._call.dialect.keepalive
        yield keepalive
        while not await done_within({self._trying}, self._keepalive_s, self._clock):
            yield keepalive
        try:
            reply = self._trying.result()
        except ClientLeft:
            raise
        except GatewayError as error:
            self._call.error = error
            yield self._call.dialect.encode_error_event(error)
            return
        if not isinstance(reply, StreamReply):
            yield reply.body
            return
        try:
            async for chunk in reply.chunks:
                yield chunk
        finally:
            await reply.chunks.aclose()
