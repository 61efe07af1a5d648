"""`GET /openapi.json`: the table of routes, described in OpenAPI 3.1."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson
from aiohttp import web

from modelserver.catalog.query import Page, matches_etag
from modelserver.config.types import Server
from modelserver.errors import ErrorKind
from modelserver.version import __version__
from modelserver.web.dialects import prefix_of, takes_query_key
from modelserver.web.keys import GATEWAY
from modelserver.web.openapi_errors import ANTHROPIC, ERROR_SCHEMAS, error_answers
from modelserver.web.openapi_operations import ALIASES, EVENTS, MODEL, OPERATIONS, Operation
from modelserver.web.openapi_schemas import SCHEMAS, Schema, any_of, ref

if TYPE_CHECKING:
    from modelserver.web.routes import Spec

Json = dict[str, Any]

_CACHED: Final = {
    "Cache-Control": "public, max-age=300",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag",
}
_PATTERN: Final = re.compile(r"\{(\w+):[^{}]*\}")

_INFO: Final = {
    "title": "modelserver",
    "version": __version__,
    "description": (
        "The APIs of OpenAI, Anthropic and Google in front of the same models, with a catalogue of them. "
        "A path is served with a slash behind it too, and HEAD works where GET does."
    ),
}
_TAGS: Final = {
    "OpenAI": "Chat Completions and Responses.",
    "Anthropic": "Messages.",
    "Gemini": "Content generation; the same below `/v1beta/`, `/v1alpha/` and `/v1/`.",
    "Models": "What there is to call.",
    "Server": "What concerns the server itself.",
}
_SECURITY: Final[Mapping[str, Json]] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "x-api-key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "x-goog-api-key": {"type": "apiKey", "in": "header", "name": "x-goog-api-key"},
    "key": {"type": "apiKey", "in": "query", "name": "key", "description": "On Gemini's paths only."},
}
_HEADERS: Final[Mapping[str, tuple[str, str]]] = {
    "x-request-id": ("string", "The id of the request: the client's own, or one that was made for it."),
    "request-id": ("string", "The same in Anthropic's API."),
    "x-modelserver-provider": ("string", "The provider that answered."),
    "x-modelserver-attempts": ("integer", "How often a provider was asked."),
    "x-modelserver-dropped": ("string", "What the provider's API can't say and was left out, with commas."),
    "x-modelserver-estimated": ("boolean", "`true`: the tokens are estimated, not counted."),
    "openai-processing-ms": ("integer", "Milliseconds until the answer began."),
    "x-ratelimit-limit-requests": ("integer", "Requests per minute, where there is a limit."),
    "x-ratelimit-remaining-requests": ("integer", "How many of them are left."),
    "x-ratelimit-reset-requests": ("string", "Until all of them are there again, as in `6m0s` or `20ms`."),
    "anthropic-ratelimit-requests-limit": ("integer", "Requests per minute, where there is a limit."),
    "anthropic-ratelimit-requests-remaining": ("integer", "How many of them are left."),
    "anthropic-ratelimit-requests-reset": ("string", "When all of them are there again."),
    "retry-after": ("integer", "Seconds after which to try again."),
    "x-should-retry": ("boolean", "`false`: the same request will fail again."),
    "www-authenticate": ("string", "`Bearer`."),
    "allow": ("string", "The methods that the path has."),
    "etag": ("string", "Of this content; to be sent back as `If-None-Match`."),
    "cache-control": ("string", "How long it may be kept, and by whom."),
}
_LIMITS: Final = tuple(name for name in _HEADERS if name.startswith("x-ratelimit-"))
_ANTHROPIC_LIMITS: Final = tuple(name for name in _HEADERS if name.startswith("anthropic-ratelimit-"))
_STREAMED: Final = "Server-sent events, each with such an object as its `data`; at the end Chat has `[DONE]`."


def answer_description(request: web.Request, routes: Sequence[Spec]) -> web.StreamResponse:
    """The answer to `GET /openapi.json`, for this server's settings and the place where it is mounted."""
    gateway = request.app[GATEWAY]
    snapshot = gateway.snapshot
    server = snapshot.config.server
    url = server.public_url or prefix_of(request) or "/"
    page: Page = snapshot.memo(("openapi", url), lambda: _page(describe(routes, server, url)))
    headers = {**_CACHED, "ETag": page.etag}
    if matches_etag(", ".join(request.headers.getall("If-None-Match", ())), page.etag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=page.body, content_type="application/json", headers=headers)


def describe(routes: Sequence[Spec], server: Server, url: str) -> Json:
    """The description of routes as they are served below `url` with these settings."""
    described = _Description(server)
    for spec in routes:
        described.add(spec)
    headers = {name: {"description": text, "schema": {"type": kind}} for name, (kind, text) in _HEADERS.items()}
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "servers": [{"url": url}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": described.paths,
        "components": {
            "schemas": {**SCHEMAS, **ERROR_SCHEMAS},
            "responses": described.errors,
            "headers": headers,
            "securitySchemes": _SECURITY,
        },
    }


def plain(path: str) -> str:
    """A path of the table of routes as OpenAPI writes it: parameters without their patterns."""
    return _PATTERN.sub(r"{\1}", path)


class _Description:
    """The paths of a description, and the errors that they share, while they are written."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.paths: dict[str, Json] = {}
        self.errors: dict[str, Json] = {}

    def add(self, spec: Spec) -> None:
        """Describe a route; one that is another's alias goes without saying."""
        path = plain(spec.path)
        if path in ALIASES:
            return
        for operation in OPERATIONS[spec.method, path]:
            item = self.paths.setdefault(path + operation.suffix, {})
            item[spec.method.lower()] = self._operation(operation, spec, path)

    def _operation(self, operation: Operation, spec: Spec, path: str) -> Json:
        described: Json = {"operationId": operation.id, "summary": operation.summary, "tags": [operation.tag]}
        if operation.description:
            described["description"] = operation.description
        parameters = [*([MODEL] if "{model}" in path else []), *operation.parameters]
        if parameters:
            described["parameters"] = parameters
        if operation.body:
            schema = ref(operation.body)
            described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
        access = self._access(spec)
        described["responses"] = {
            **({} if self._is_off(spec) else _successes(operation, spec)),
            **self._failures(operation, spec, access),
        }
        described["security"] = self._security(access, path)
        return described

    def _is_off(self, spec: Spec) -> bool:
        return spec.access == "catalogue" and self._server.catalogue == "off"

    def _access(self, spec: Spec) -> str:
        """`public`, `key` or `optional`: a catalogue for keys is like other paths for keys."""
        if spec.access == "catalogue":
            return "key" if self._server.catalogue == "keys" else "public"
        return spec.access

    def _security(self, access: str, path: str) -> list[Json]:
        """Each way to send a key, and to send none where that will do; an empty list where nothing is asked for."""
        if access == "public":
            return []
        ways: list[Json] = [{name: []} for name in _SECURITY if name != "key" or takes_query_key(path)]
        return [*ways, {}] if access == "optional" or self._server.open else ways

    def _failures(self, operation: Operation, spec: Spec, access: str) -> Json:
        kinds = set(operation.kinds)
        if access != "public":
            kinds.add(ErrorKind.PERMISSION if self._server.open else ErrorKind.AUTH)
        if spec.limited:
            kinds.add(ErrorKind.RATE_LIMIT)
        if self._is_off(spec):
            kinds.add(ErrorKind.NOT_FOUND)
        answers = error_answers(operation.errors, kinds)
        return {status: self._shared(operation, status, answer) for status, answer in answers.items()}

    def _shared(self, operation: Operation, status: str, answer: Json) -> Json:
        """A reference to what many operations have in common; what is not the same stands where it belongs."""
        name = f"{'Or'.join(shape.name for shape in operation.errors)}{status}"
        is_shared = self.errors.setdefault(name, answer) == answer
        return {"$ref": f"#/components/responses/{name}"} if is_shared else answer


def _page(document: Json) -> Page:
    body = orjson.dumps(document)
    return Page(body, f'"{hashlib.sha256(body).hexdigest()}"')


def _successes(operation: Operation, spec: Spec) -> Json:
    """The status 200, and the others that are no failures."""
    if not operation.answers:
        return {**operation.more}
    names = ["x-request-id", *operation.headers]
    if ANTHROPIC in operation.errors:
        names.append("request-id")
    if spec.limited:
        names += [*_LIMITS, *(_ANTHROPIC_LIMITS if ANTHROPIC in operation.errors else ())]
    success = {
        "description": operation.summary,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
        "content": {kind: {"schema": _content(kind, schemas)} for kind, schemas in operation.answers},
    }
    return {"200": success, **operation.more}


def _content(kind: str, schemas: tuple[str, ...]) -> Schema:
    if not schemas:
        return {"type": "string"}
    schema = any_of(*map(ref, schemas))
    if kind != EVENTS:
        return schema
    return {"type": "string", "description": _STREAMED, "contentMediaType": EVENTS, "contentSchema": schema}
