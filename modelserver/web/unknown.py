"""Paths that do not exist, and methods that a path does not have."""

from __future__ import annotations

from typing import NoReturn

from aiohttp import web

from modelserver.errors import MethodNotAllowed, NotFound


async def no_such_path(request: web.Request) -> NoReturn:
    """Any method of a path that is not served."""
    raise NotFound("There is nothing at this path.", code="not_found")


async def no_such_method(request: web.Request) -> NoReturn:
    """A method that the path does not have."""
    resource = request.match_info.route.resource
    allowed = sorted(route.method for route in resource or () if route.method != "*")
    error = MethodNotAllowed(f"The method is not one of {', '.join(allowed)}, which this path has.")
    error.allowed = tuple(allowed)
    raise error
