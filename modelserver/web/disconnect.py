"""Whether the client is still there.

Our own server cancels the handler of a client that leaves; a host that embeds the application may not
(`handler_cancellation` is off by default), so the gateway's sweep asks as well.
"""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web


def left_by(request: web.Request) -> Callable[[], bool]:
    """A question to ask as often as one likes: has this request's client closed its connection?"""
    protocol = request.protocol

    def has_left() -> bool:
        transport = protocol.transport
        return transport is None or transport.is_closing()

    return has_left
