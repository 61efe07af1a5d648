"""One concern each, from the outside in: trace, error mapping, authentication, limits."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Final
from urllib.parse import urlsplit

import orjson
from aiohttp import web

from modelserver.config.addresses import is_loopback
from modelserver.dialects.openai_chat import CHAT
from modelserver.errors import (
    ErrorKind,
    GatewayError,
    InternalError,
    InvalidRequest,
    MethodNotAllowed,
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    RateLimited,
)
from modelserver.gateway.gateway import Gateway
from modelserver.web.keys import ACCESS_LOG, GATEWAY, ROOT, TRACE, Trace
from modelserver.web.routes import spec_of
from modelserver.wire.headers import is_sane_id

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LOGGER: Final = logging.getLogger("modelserver.web")
_CREDENTIALS: Final = ("x-api-key", "x-goog-api-key")
_LOCALHOST: Final = "localhost"


@web.middleware
async def trace(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request its id, and the access log its line."""
    given = request.headers.get("X-Request-Id", "")
    gateway = request.app[GATEWAY]
    started = Trace(given if is_sane_id(given) else f"req_{secrets.token_hex(12)}", gateway.clock.now_s())
    request[TRACE] = started
    status = 499
    try:
        response = await handler(request)
        status = response.status
        return response
    finally:
        log = request.app.get(ACCESS_LOG)
        if log is not None:
            log.add(_line(request, started, status, gateway.clock.now_s()))


@web.middleware
async def map_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every failure into the body and status of the dialect that the path belongs to."""
    try:
        return await handler(request)
    except GatewayError as exc:
        error = exc
    except web.HTTPException as exc:
        error = _of_http(request, exc)
    except ConnectionError:
        raise
    except Exception:
        identity = request[TRACE].id
        LOGGER.exception("request %s failed", identity)
        error = InternalError(f"The server failed to answer; tell its operator the request id {identity}.")
    return _error_response(request, error)


@web.middleware
async def authenticate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Put the principal on the request, or refuse; the body is not read."""
    spec = spec_of(request)
    gateway = request.app[GATEWAY]
    access = "public" if spec is None else spec.access
    if access == "catalogue":
        access = "key" if gateway.config.server.catalogue == "keys" else "public"
    if access != "public":
        if gateway.config.server.open:
            _check_place(request, gateway)
        credential = _credential(request)
        if access == "optional" and credential is None and not gateway.config.server.open:
            principal = gateway.snapshot.directory.anonymous
        else:
            principal = gateway.authenticate(credential)
        request[TRACE].principal = principal
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
    if started.lease is not None and started.lease.standing is not None:
        standing = started.lease.standing
        headers["X-RateLimit-Limit-Requests"] = str(standing.limit)
        headers["X-RateLimit-Remaining-Requests"] = str(standing.remaining)
        headers["X-RateLimit-Reset-Requests"] = duration(standing.reset_s)
    call = started.call
    if call is not None:
        headers["OpenAI-Processing-Ms"] = str(round((gateway.clock.now_s() - started.started_s) * 1000))
        if call.provider is not None:
            headers["X-ModelServer-Provider"] = call.provider
            headers["X-ModelServer-Attempts"] = str(call.attempts)
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
    cors = request.app[GATEWAY].config.server.cors
    if not cors or (request.match_info.route.name == "system" and request.match_info.http_exception is None):
        return await handler(request)
    response = web.Response(status=204)
    response.headers["Access-Control-Allow-Methods"] = "GET, HEAD, POST, OPTIONS"
    response.headers["Access-Control-Allow-Headers"] = request.headers.get("Access-Control-Request-Headers", "*")
    response.headers["Access-Control-Max-Age"] = "600"
    return response


def duration(seconds: float) -> str:
    """`6m0s`, `1s`, `20ms`: how OpenAI writes the reset of a limit."""
    if seconds < 1:
        return f"{max(0, round(seconds * 1000))}ms"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


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
    return next((headers[name] for name in _CREDENTIALS if name in headers), None)


def _check_place(request: web.Request, gateway: Gateway) -> None:
    """Refuse pages of other sites: without keys, a browser on this machine must not be talked into calls.

    Raises:
        PermissionDenied: Host or Origin is foreign.
    """
    public = urlsplit(gateway.config.server.public_url or "")
    host = urlsplit(f"//{request.host}")
    try:
        is_ours = _is_local(host.hostname) or (host.hostname is not None and host.hostname == public.hostname)
    except ValueError:
        is_ours = False
    if not is_ours:
        raise PermissionDenied("This server is open to callers on its own machine only; the Host is another.")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc not in (request.host, public.netloc or request.host):
        raise PermissionDenied("This server is open to callers on its own machine only; the Origin is another.")


def _is_local(host: str | None) -> bool:
    return host is not None and (host == _LOCALHOST or is_loopback(host))


def _of_http(request: web.Request, exc: web.HTTPException) -> GatewayError:
    match exc:
        case web.HTTPNotFound():
            return NotFound("There is nothing at this path.", code="not_found")
        case web.HTTPMethodNotAllowed():
            allowed = ", ".join(sorted(exc.allowed_methods))
            return MethodNotAllowed(f"The method is not one of {allowed}, which this path has.")
        case _:
            return InvalidRequest(f"The request was refused: {exc.reason}.")


def _error_response(request: web.Request, error: GatewayError) -> web.Response:
    started = request[TRACE]
    status, body = CHAT.encode_error(error)
    if _below_prefix(request).startswith("/api/"):
        body = orjson.dumps({"success": False, "message": error.message})
    started.error_code = error.code or error.kind.value
    response = web.Response(status=status, body=body, content_type="application/json")
    headers = response.headers
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    match error:
        case NotAuthenticated():
            headers["WWW-Authenticate"] = "Bearer"
        case MethodNotAllowed():
            headers["Allow"] = ", ".join(sorted(_allowed(request)))
        case RateLimited(limit=int(limit)):
            headers["X-RateLimit-Limit-Requests"] = str(limit)
            headers["X-RateLimit-Remaining-Requests"] = "0"
            headers["X-RateLimit-Reset-Requests"] = duration(error.retry_after_s or 0)
    if 400 <= status < 500 and error.kind not in (ErrorKind.RATE_LIMIT, ErrorKind.SLOW_BODY):
        headers["X-Should-Retry"] = "false"
    if error.close:
        response.force_close()
    return response


def _below_prefix(request: web.Request) -> str:
    """The path as this application sees it, without the prefix that a host has mounted it under."""
    return request.path.removeprefix(request.app[ROOT].canonical.rstrip("/"))


def _allow_origin(headers: MutableMapping[str, str], origin: str, cors: Sequence[str]) -> None:
    if "*" in cors:
        headers["Access-Control-Allow-Origin"] = "*"
    elif origin in cors:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Vary"] = "Origin" if "Vary" not in headers else f"{headers['Vary']}, Origin"


def _allowed(request: web.Request) -> set[str]:
    exc = request.match_info.http_exception
    return set(exc.allowed_methods) if isinstance(exc, web.HTTPMethodNotAllowed) else set()


def _line(request: web.Request, started: Trace, status: int, now_s: float) -> dict[str, object]:
    """What the access log says of a request: no query, no body, no credential."""
    call = started.call
    principal = started.principal
    line: dict[str, object] = {
        "time": time.time(),
        "event": "request",
        "id": started.id,
        "method": request.method,
        "path": request.path,
        "status": status,
        "ms": round((now_s - started.started_s) * 1000, 1),
        "key": None if principal is None else principal.key or principal.user,
        "error": started.error_code,
    }
    if call is not None:
        usage = call.usage
        error = call.error
        line |= {
            "model": call.model,
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
