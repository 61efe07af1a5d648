"""The one table of what is served where."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import attrs
from aiohttp import web

from modelserver.web.generate import chat_completions
from modelserver.web.health import health, ready
from modelserver.web.models import openai_model, openai_models, rich_models

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


ROUTES: Final = (
    Spec(method="POST", path="/v1/chat/completions", handler=chat_completions, access="key", limited=True),
    Spec(method="GET", path="/v1/models", handler=openai_models, access="optional"),
    Spec(method="GET", path="/v1/models/{model:(?s:.+)}", handler=openai_model, access="optional"),
    Spec(method="GET", path="/api/v1/models", handler=rich_models, access="catalogue"),
    Spec(method="GET", path="/health", handler=health),
    Spec(method="GET", path="/healthz", handler=health),
    Spec(method="GET", path="/health/ready", handler=ready),
    Spec(method="GET", path="/readyz", handler=ready),
)
ROOT_PATH: Final = "/"
ANY_PATH: Final = "/{path:(?s:.*)}"
_BY_HANDLER: Final = {spec.handler: spec for spec in ROUTES}


def spec_of(request: web.Request) -> Spec | None:
    """The row that a request matched; None for an unknown path or method."""
    return _BY_HANDLER.get(request.match_info.handler)
