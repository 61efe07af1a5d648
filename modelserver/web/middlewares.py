"""One concern each, from the outside in: trace, error mapping, authentication, limits."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import MutableMapping, Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from modelserver.config.addresses import is_loopback
from modelserver.dialects.anthropic import ANTHROPIC
from modelserver.errors import (
    ClientLeft,
    ErrorKind,
    GatewayError,
    InternalError,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    RateLimited,
)
from modelserver.gateway.call import Call, new_request_id
from modelserver.gateway.gateway import Gateway
from modelserver.policy.buckets import Standing
from modelserver.policy.principals import Principal
from modelserver.web.dialects import below_prefix, dialect_of, query_key
from modelserver.web.generate import break_off
from modelserver.web.keys import ACCESS_LOG, GATEWAY, TRACE, Trace
from modelserver.web.routes import Handler, spec_of
from modelserver.wire.headers import is_sane_id

LOGGER: Final = logging.getLogger("modelserver.web")
_CREDENTIALS: Final = ("x-api-key", "x-goog-api-key")
_AUTHORITY = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::[0-9]{1,5})?")
_HEADER_NAMES = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~, -]+")
_LOGGED_CHARS: Final = 200
_FOR_THE_OPERATOR: Final = "no_provider_key"
"""What no client can wait for: somebody has to set a variable."""


@web.middleware
async def trace(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id, and the access log its line."""
    gateway = request.app[GATEWAY]
    started = request[TRACE] = Trace(_request_id(request), gateway.clock.now_s())
    status = 499
    try:
        response = await handler(request)
        status = response.status
        return response
    except asyncio.CancelledError:
        started.error_code = ErrorKind.CANCELLED.value
        raise
    finally:
        log = request.app.get(ACCESS_LOG)
        if log is not None:
            log.add(_line(request, started, status, gateway.clock.now_s()))
        if started.call is not None and started.call.error is not None:
            # Its frames hold the call, and the call holds it: a circle that would keep the body until it is collected.
            started.call.error.__traceback__ = None


@web.middleware
async def map_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every failure into the body and status of the dialect that the path belongs to."""
    try:
        return await handler(request)
    except GatewayError as exc:
        error = exc
    except ConnectionError:
        error = ClientLeft("The client closed the connection.")
    except web.HTTPNotFound:  # the router's own, for targets that are no path: `*`, and what CONNECT names
        error = NotFound("There is nothing at this path.", code="not_found")
    except Exception:
        identity = request[TRACE].id
        LOGGER.exception("request %s failed", identity)
        error = InternalError(f"The server failed to answer; tell its operator the request id {identity}.")
    begun = request[TRACE].begun
    return _error_response(request, error) if begun is None else await break_off(request, begun, error)


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put the principal on the request, or refuse; the body is not read."""
    spec = spec_of(request)
    gateway = request.app[GATEWAY]
    access = "public" if spec is None else spec.access
    if access == "catalogue":
        access = "key" if gateway.config.server.catalogue == "keys" else "public"
    if access != "public":
        request[TRACE].principal = _principal(request, gateway, is_optional=access == "optional")
    return await handler(request)


@web.middleware
async def rate_limit(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Hold an admission for as long as the handler runs, which is until the last byte."""
    spec = spec_of(request)
    if spec is None or not spec.limited:
        return await handler(request)
    started = request[TRACE]
    assert started.principal is not None
    lease = started.lease = await request.app[GATEWAY].admit(started.principal)
    try:
        return await handler(request)
    finally:
        lease.release()


async def stamp(request: web.Request, response: web.StreamResponse) -> None:
    """Set the headers that every answer carries; runs as the head is about to leave, also of a stream."""
    started = request.get(TRACE)
    if started is None:
        return  # of a host application, not ours
    gateway = request.app[GATEWAY]
    headers = response.headers
    headers["X-Request-Id"] = started.id
    headers["X-Content-Type-Options"] = "nosniff"
    headers["Server"] = "modelserver"
    call = started.call
    is_anthropic = (dialect_of(request) if call is None else call.dialect) is ANTHROPIC
    if is_anthropic:
        headers["Request-Id"] = started.id
    standing = started.standing
    if standing is None and started.lease is not None:
        standing = started.lease.standing
    if standing is not None:
        _show_standing(headers, standing, gateway.clock.wall() if is_anthropic else None)
    if call is not None:
        headers["OpenAI-Processing-Ms"] = str(round((gateway.clock.now_s() - started.started_s) * 1000))
        if call.provider is not None:
            headers["X-ModelServer-Provider"] = call.provider
            headers["X-ModelServer-Attempts"] = str(call.attempts)
        if call.losses:
            headers["X-ModelServer-Dropped"] = ",".join(call.losses)
        if call.count_estimated:
            headers["X-ModelServer-Estimated"] = "true"
    origin = request.headers.get("Origin")
    if origin is not None and "Access-Control-Allow-Origin" not in headers:
        _allow_origin(headers, origin, gateway.config.server.cors)
    if gateway.draining:
        headers["Connection"] = "close"
        response.force_close()


@web.middleware
async def preflight(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer a browser's question before a cross-origin call, where CORS is configured."""
    if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return await handler(request)
    if not request.app[GATEWAY].config.server.cors:
        return await handler(request)
    wanted = request.headers.get("Access-Control-Request-Headers", "")
    response = web.Response(status=204)
    response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, OPTIONS"
    response.headers["Access-Control-Allow-Headers"] = wanted if _HEADER_NAMES.fullmatch(wanted) else "*"
    response.headers["Access-Control-Max-Age"] = "600"
    return response


def duration(seconds: float) -> str:
    """`6m0s`, `1s`, `20ms`: how OpenAI writes the reset of a limit."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def _show_standing(headers: MutableMapping[str, str], standing: Standing, now: datetime | None) -> None:
    """Say how close the caller is to its limit; where the time is given, in Anthropic's words too."""
    headers["X-RateLimit-Limit-Requests"] = str(standing.limit)
    headers["X-RateLimit-Remaining-Requests"] = str(standing.remaining)
    headers["X-RateLimit-Reset-Requests"] = duration(standing.reset_s)
    if now is not None:
        headers["Anthropic-RateLimit-Requests-Limit"] = str(standing.limit)
        headers["Anthropic-RateLimit-Requests-Remaining"] = str(standing.remaining)
        reset = now + timedelta(seconds=standing.reset_s)
        headers["Anthropic-RateLimit-Requests-Reset"] = f"{reset:%Y-%m-%dT%H:%M:%SZ}"


def _principal(request: web.Request, gateway: Gateway, *, is_optional: bool) -> Principal:
    """Who calls; under `open` anyone on this machine, whatever credential their client insists on sending.

    Raises:
        NotAuthenticated: No key where one is needed, or a wrong one.
        PermissionDenied: The server is open, and this caller a page of another site.
    """
    if gateway.config.server.open:
        _check_place(request, gateway)
        return gateway.authenticate(None)
    credential = _credential(request)
    if is_optional and credential is None:
        return gateway.snapshot.directory.anonymous
    return gateway.authenticate(credential)


def _credential(request: web.Request) -> str | None:
    """The one credential of a request; None when it has none.

    Raises:
        NotAuthenticated: `Authorization` has another scheme than Bearer.
    """
    headers = request.headers
    authorization = headers.get("Authorization")
    if authorization is not None:
        scheme, _, key = authorization.partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise NotAuthenticated("The Authorization header must read `Bearer KEY`.")
        return key.strip()
    return next((headers[name] for name in _CREDENTIALS if name in headers), None) or query_key(request)


def _check_place(request: web.Request, gateway: Gateway) -> None:
    """Refuse pages of other sites: without keys, a browser on this machine must not be talked into calls.

    Raises:
        PermissionDenied: The address, Host or Origin is foreign.
    """
    # Whatever the listener was bound to, and whoever has mounted the application: `open` may come with a reload.
    if request.remote and not is_loopback(request.remote.partition("%")[0]):
        raise PermissionDenied("This server is open to callers on its own machine only; this one is on another.")
    public = urlsplit(gateway.config.server.public_url or "")
    host = request.host.lower()
    authority = _AUTHORITY.fullmatch(host)
    if authority is None or not (is_loopback(name := authority[1].strip("[]")) or name == public.hostname):
        raise PermissionDenied("This server is open to callers on its own machine only; the Host is another.")
    origin = request.headers.get("Origin")
    if origin is not None and origin.lower().partition("://")[2] not in (host, public.netloc or host):
        raise PermissionDenied("This server is open to callers on its own machine only; the Origin is another.")


def _request_id(request: web.Request) -> str:
    """The client's id for the request if it is sane, else one of ours."""
    given = request.headers.get("X-Request-Id", "")
    return given if is_sane_id(given) else new_request_id()


def _error_response(request: web.Request, error: GatewayError) -> web.Response:
    started = request[TRACE]
    status, body = dialect_of(request).encode_error(error, started.id)
    if below_prefix(request).startswith("/api/"):
        body = orjson.dumps({"success": False, "message": error.message})
    started.error_code = error.code or error.kind.value
    response = web.Response(status=status, body=body, content_type="application/json")
    headers = response.headers
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    match error:
        case NotAuthenticated():
            headers["WWW-Authenticate"] = "Bearer"
        case MethodNotAllowed(allowed=allowed):
            headers["Allow"] = ", ".join(allowed)
        case RateLimited(limit=int(limit)):
            started.standing = Standing(limit=limit, remaining=0, reset_s=error.retry_after_s or 0)
    is_final = 400 <= status < 500 and error.kind not in (ErrorKind.RATE_LIMIT, ErrorKind.SLOW_BODY)
    if is_final or error.code == _FOR_THE_OPERATOR:
        headers["X-Should-Retry"] = "false"  # or clients would wait and ask again, for minutes
    if error.close:
        response.force_close()
    return response


def _allow_origin(headers: MutableMapping[str, str], origin: str, cors: Sequence[str]) -> None:
    if "*" in cors:
        headers["Access-Control-Allow-Origin"] = "*"
    elif origin in cors:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Vary"] = "Origin" if "Vary" not in headers else f"{headers['Vary']}, Origin"


def _logged_path(request: web.Request) -> str:
    """The path; where the caller has made it up, without what looks like a key that was put there by mistake."""
    spec = spec_of(request)
    if spec is not None and "{" not in spec.path:
        return request.path
    return request.app[GATEWAY].snapshot.redactor.clean(request.path, limit=_LOGGED_CHARS)


def _logged_model(request: web.Request, call: Call) -> str | None:
    """The model; one that does not exist is the caller's text, like a path that does not."""
    if call.model is None or call.provider is not None:
        return call.model
    return request.app[GATEWAY].snapshot.redactor.clean(call.model, limit=_LOGGED_CHARS)


def _line(request: web.Request, started: Trace, status: int, now_s: float) -> dict[str, object]:
    """What the access log says of a request: no query, no body, no credential."""
    call = started.call
    principal = started.principal
    line: dict[str, object] = {
        "time": time.time(),
        "event": "request",
        "id": started.id,
        "method": request.method,
        "path": _logged_path(request),
        "status": status,
        "ms": round((now_s - started.started_s) * 1000, 1),
        "key": None if principal is None else principal.key,
        "error": started.error_code,
    }
    if call is not None:
        usage = call.usage
        error = call.error
        line |= {
            "model": _logged_model(request, call),
            "provider": call.provider,
            "attempts": call.attempts,
            "stream": call.streamed or None,
            "first_ms": None if call.first_byte_s is None else round(call.first_byte_s * 1000, 1),
            "input_tokens": None if usage is None else usage.input,
            "output_tokens": None if usage is None else usage.output,
            "estimated": call.usage_estimated or None,
            "error": started.error_code or (None if error is None else error.code or error.kind.value),
        }
    return line
