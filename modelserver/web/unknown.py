"""Paths that do not exist, and methods that a path does not have."""

from __future__ import annotations

from typing import Final, NoReturn

import orjson
from aiohttp import web

from modelserver.errors import MethodNotAllowed, NotFound
from modelserver.web.dialects import below_prefix

_NOT_OFFERED: Final = (
    "/v1/assistants",
    "/v1/batches",
    "/v1/conversations",
    "/v1/files",
    "/v1/messages/",
    "/v1/responses/",
    "/v1/skills",
    "/v1/threads",
    "/v1/uploads",
    "/v1/vector_stores",
)


async def no_such_path(request: web.Request) -> NoReturn:
    """Any method of a path that is not served."""
    if below_prefix(request).startswith(_NOT_OFFERED):
        raise NotFound("This server keeps no files, batches, conversations or responses.", code="not_found")
    raise NotFound("There is nothing at this path.", code="not_found")


async def no_websocket(request: web.Request) -> web.StreamResponse:
    """`GET /v1/responses`: who wants a WebSocket is told to use HTTP, which Codex then does at once."""
    if request.headers.get("Upgrade", "").lower() != "websocket":
        error = MethodNotAllowed("The method is not POST, which this path has.")
        error.allowed = ("POST",)
        raise error
    message = "WebSockets are not served here; send the request by POST."
    fields = {"message": message, "type": "invalid_request_error", "param": None, "code": "websocket_not_supported"}
    body = orjson.dumps({"error": fields})
    response = web.Response(
        status=426,
        body=body,
        content_type="application/json",
        headers={"Upgrade": "HTTP/1.1", "Connection": "close, Upgrade"},
    )
    response.force_close()  # whatever follows was not meant as HTTP
    return response


async def no_such_method(request: web.Request) -> NoReturn:
    """A method that the path does not have."""
    resource = request.match_info.route.resource
    allowed = sorted(route.method for route in resource or () if route.method != "*")
    error = MethodNotAllowed(f"The method is not one of {', '.join(allowed)}, which this path has.")
    error.allowed = tuple(allowed)
    raise error
