"""The aiohttp application: alone, or as a sub-application of another."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from aiohttp import web

from modelserver.config import Config
from modelserver.gateway.gateway import Gateway
from modelserver.web.access_log import AccessLog
from modelserver.web.body import expect_later
from modelserver.web.keys import ACCESS_LOG, GATEWAY, ROOT
from modelserver.web.middlewares import authenticate, map_errors, preflight, rate_limit, stamp, trace
from modelserver.web.routes import ANY_PATH, ROOT_PATH, paths
from modelserver.web.site import SITE, Site
from modelserver.web.unknown import no_such_method, no_such_path


def create_app(
    config: Config, *, load: Callable[[], Config] | None = None, access_log: AccessLog | None = None
) -> web.Application:
    """An application that serves the gateway; its gateway opens and closes with it.

    `load` reads the configuration again on a reload. Without `access_log` requests are not logged, for a host has its
    own log.
    """
    app = web.Application(middlewares=[trace, preflight, map_errors, authenticate, rate_limit])

    async def gateway(app: web.Application) -> AsyncIterator[None]:
        async with Gateway.open(config, load=load) as opened:
            app[GATEWAY] = opened
            yield
            if access_log is not None:
                access_log.flush()

    if access_log is not None:
        app[ACCESS_LOG] = access_log
    app[SITE] = Site()
    app.cleanup_ctx.append(gateway)
    app.on_response_prepare.append(stamp)
    for path, specs in paths().items():
        resource = app.router.add_resource(path)
        if path == ROOT_PATH:
            app[ROOT] = resource
        for spec in specs:
            for method in ("GET", "HEAD") if spec.method == "GET" else (spec.method,):
                resource.add_route(method, spec.handler, expect_handler=expect_later)
        resource.add_route("*", no_such_method, expect_handler=expect_later)
    # Ours and not aiohttp's, which would ask for the body (`100 Continue`) before it says that there is no such path.
    app.router.add_resource(ANY_PATH).add_route("*", no_such_path, expect_handler=expect_later)
    return app
