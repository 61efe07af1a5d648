"""Whether the server lives, and whether it wants calls. Never asks a provider."""

from __future__ import annotations

from typing import Final

import orjson
from aiohttp import web

from modelserver.version import __version__
from modelserver.web.keys import GATEWAY

_LIVE: Final = orjson.dumps({"status": "ok", "version": __version__})
_READY: Final = orjson.dumps({"status": "ready"})
_DRAINING: Final = orjson.dumps({"status": "draining"})


async def health(request: web.Request) -> web.StreamResponse:
    """`GET /health`: 200 while the process serves."""
    return web.Response(body=_LIVE, content_type="application/json", headers={"Cache-Control": "no-store"})


async def ready(request: web.Request) -> web.StreamResponse:
    """`GET /health/ready`: 503 once the server is about to stop."""
    draining = request.app[GATEWAY].draining
    return web.Response(
        status=503 if draining else 200,
        body=_DRAINING if draining else _READY,
        content_type="application/json",
        headers={"Cache-Control": "no-store", **({"Retry-After": "5"} if draining else {})},
    )
