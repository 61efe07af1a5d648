"""Which dialect a request is in, whatever becomes of it."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from modelserver.dialects.anthropic import ANTHROPIC
from modelserver.dialects.dialect import Dialect
from modelserver.dialects.gemini import GEMINI, GEMINI_ARRAY
from modelserver.dialects.openai_chat import CHAT
from modelserver.web.keys import ROOT

_GEMINI_PATHS: Final = ("/v1beta/", "/v1alpha/")
_GEMINI_CALLS: Final = ("/v1/models/", "/v1/tunedModels/")
_KEY_PATHS: Final = ("/v1/models", *_GEMINI_CALLS, *_GEMINI_PATHS)
"""Where Google's clients call, alone or beside others, with a key in the query."""
_OPENAI_PATHS: Final = ("/v1/chat/", "/v1/responses", "/api/", "/health")
_STREAM: Final = ":streamGenerateContent"


def dialect_of(request: web.Request) -> Dialect:
    """The dialect by path where it has one, else by the headers that each client sends; OpenAI's where nothing tells.

    `/v1/models` belongs to three of them.
    """
    path = below_prefix(request)
    if path.startswith(_GEMINI_PATHS) or (request.method == "POST" and path.startswith(_GEMINI_CALLS)):
        return _gemini(request, path)
    if path.startswith("/v1/messages"):
        return ANTHROPIC
    if path.startswith(_OPENAI_PATHS):
        return CHAT  # both of OpenAI's dialects have the same errors
    headers = request.headers
    if "anthropic-version" in headers:
        return ANTHROPIC
    return _gemini(request, path) if "x-goog-api-key" in headers or query_key(request) is not None else CHAT


def query_key(request: web.Request) -> str | None:
    """The key in the query of a path of Google's; None for other paths, and where there is none."""
    if "key=" not in request.query_string or not takes_query_key(below_prefix(request)):
        return None
    return request.query.get("key")


def takes_query_key(path: str) -> bool:
    """Whether a path, below the prefix, is one of Google's."""
    return path.startswith(_KEY_PATHS)


def prefix_of(request: web.Request) -> str:
    """Where a host has mounted this application; empty where it stands alone."""
    return request.app[ROOT].canonical.rstrip("/")


def below_prefix(request: web.Request) -> str:
    """The path as this application sees it, without the prefix that a host has mounted it under."""
    return request.path.removeprefix(prefix_of(request))


def _gemini(request: web.Request, path: str) -> Dialect:
    """A stream is one JSON array, errors included, unless events are asked for."""
    is_array = path.endswith(_STREAM) and request.query.get("alt") != "sse"
    return GEMINI_ARRAY if is_array else GEMINI
