"""What the application and its requests carry, by type."""

from __future__ import annotations

from typing import Final

import attrs
from aiohttp import web

from modelserver.gateway.call import Call
from modelserver.gateway.gateway import Gateway
from modelserver.policy.buckets import Standing
from modelserver.policy.principals import Principal
from modelserver.ports import Lease
from modelserver.web.access_log import AccessLog


@attrs.define(slots=True)
class Trace:
    """What one request has become so far; every middleware adds its part."""

    id: str
    started_s: float
    principal: Principal | None = None
    lease: Lease | None = None
    standing: Standing | None = None
    """Of a caller who was refused for its limit; else the lease tells."""
    call: Call | None = None
    error_code: str | None = None
    begun: web.StreamResponse | None = None
    """The answer whose head has left: no other can be sent any more."""


GATEWAY: Final = web.AppKey("GATEWAY", Gateway)
ACCESS_LOG: Final = web.AppKey("ACCESS_LOG", AccessLog)
ROOT: Final = web.AppKey("ROOT", web.Resource)
"""A resource of ours: its path tells the prefix that a host has mounted the application under."""
TRACE: Final = web.RequestKey("TRACE", Trace)
