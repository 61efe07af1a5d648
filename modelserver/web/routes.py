"""The one table of what is served where."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
from aiohttp import web

from modelserver.web.generate import (
    chat_completions,
    gemini,
    messages,
    messages_count,
    responses,
    responses_count,
)
from modelserver.web.health import health, ready
from modelserver.web.models import list_models, rich_models, show_model
from modelserver.web.openapi import answer_description
from modelserver.web.page import show_asset, show_page
from modelserver.web.unknown import no_websocket

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@attrs.frozen(kw_only=True, slots=True)
class Spec:
    """One row: a method and path, who may call it, and whether calls count against limits."""

    method: str
    path: str
    handler: Handler
    access: str = "public"
    """`public`; `key`; `optional` (a key narrows, a wrong one is refused); `catalogue` (as `server.catalogue` says)."""
    limited: bool = False
    """Consumes of the caller's limits."""


def _generation(path: str, handler: Handler) -> Spec:
    return Spec(method="POST", path=path, handler=handler, access="key", limited=True)


def _optional(path: str, handler: Handler) -> Spec:
    return Spec(method="GET", path=path, handler=handler, access="optional")


async def describe(request: web.Request) -> web.StreamResponse:
    """`GET /openapi.json`: this table, described."""
    return answer_description(request, ROUTES)


_GEMINI_VERSIONS: Final = ("v1", "v1beta", "v1alpha")
_GEMINI_KINDS: Final = ("models", "tunedModels")
_MODEL: Final = "{model:(?s:.+)}"
ROOT_PATH: Final = "/"
ROUTES: Final = (
    Spec(method="GET", path=ROOT_PATH, handler=show_page),
    Spec(method="GET", path="/assets/{name}", handler=show_asset),
    _generation("/v1/chat/completions", chat_completions),
    _generation("/v1/responses", responses),
    Spec(method="GET", path="/v1/responses", handler=no_websocket),
    _generation("/v1/responses/input_tokens", responses_count),
    _generation("/v1/messages", messages),
    _generation("/v1/messages/count_tokens", messages_count),
    *(_generation(f"/{version}/{kind}/{_MODEL}", gemini) for version in _GEMINI_VERSIONS for kind in _GEMINI_KINDS),
    *(_optional(f"/{version}/models", list_models) for version in _GEMINI_VERSIONS),
    *(_optional(f"/{version}/models/{_MODEL}", show_model) for version in _GEMINI_VERSIONS),
    Spec(method="GET", path="/api/v1/models", handler=rich_models, access="catalogue"),
    Spec(method="GET", path="/openapi.json", handler=describe),
    Spec(method="GET", path="/health", handler=health),
    Spec(method="GET", path="/healthz", handler=health),
    Spec(method="GET", path="/health/ready", handler=ready),
    Spec(method="GET", path="/readyz", handler=ready),
)
ANY_PATH: Final = "/{path:(?s:.*)}"
_BY_HANDLER: Final = {spec.handler: spec for spec in ROUTES}


def paths() -> dict[str, list[Spec]]:
    """The rows by path, in the order of the table; a path without parameters is served with a slash behind it too.

    The root has its slash, and below a prefix is served without it.
    """
    rows: dict[str, list[Spec]] = {}
    for spec in ROUTES:
        for path in [spec.path] if "{" in spec.path else [spec.path.rstrip("/"), f"{spec.path.rstrip('/')}/"]:
            rows.setdefault(path, []).append(spec)
    return rows


def spec_of(request: web.Request) -> Spec | None:
    """The row that a request matched; None for an unknown path or method."""
    return _BY_HANDLER.get(request.match_info.handler)
