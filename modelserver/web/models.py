"""The lists of models: the rich catalogue, and the OpenAI list and object."""

from __future__ import annotations

from typing import Any, Final

import orjson
from aiohttp import web

from modelserver.catalog.catalog import Offer
from modelserver.catalog.query import matches_etag, openai_object
from modelserver.errors import NotFound
from modelserver.web.keys import GATEWAY, TRACE

_PUBLIC: Final = {
    "Cache-Control": "public, max-age=300, stale-while-revalidate=300",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag",
}
_BY_CALLER: Final = {"Vary": "authorization, x-api-key"}
_PRIVATE: Final = {"Cache-Control": "private, max-age=300", **_BY_CALLER}


async def rich_models(request: web.Request) -> web.StreamResponse:
    """`GET /api/v1/models`."""
    gateway = request.app[GATEWAY]
    setting = gateway.config.server.catalogue
    if setting == "off":
        raise NotFound("The catalogue is switched off on this server.", code="not_found")
    principal = request[TRACE].principal if setting == "keys" else None
    page = gateway.snapshot.view(principal).answer(list(request.query.items()))
    headers = {**(_PUBLIC if principal is None else _PRIVATE), "ETag": page.etag}
    if matches_etag(", ".join(request.headers.getall("If-None-Match", ())), page.etag):
        return web.Response(status=304, headers=headers)
    return web.Response(body=page.body, content_type="application/json", headers=headers)


async def openai_models(request: web.Request) -> web.StreamResponse:
    """`GET /v1/models`: what the caller can call now."""
    gateway = request.app[GATEWAY]
    principal = request[TRACE].principal
    assert principal is not None
    offers = await gateway.offers(principal)
    body = gateway.snapshot.memo(
        ("openai list", tuple(offers)),
        lambda: orjson.dumps({"object": "list", "data": list(map(_object, offers.values()))}),
    )
    return web.Response(body=body, content_type="application/json", headers=_BY_CALLER)


async def openai_model(request: web.Request) -> web.StreamResponse:
    """`GET /v1/models/{model}`: one entry of the list."""
    gateway = request.app[GATEWAY]
    principal = request[TRACE].principal
    assert principal is not None
    name = request.match_info["model"]
    offers = await gateway.offers(principal)
    offer = offers.get(name) or offers.get(name.rstrip("/"))
    if offer is None:
        raise gateway.snapshot.unknown_model(name, principal)
    return web.Response(body=orjson.dumps(_object(offer)), content_type="application/json", headers=_BY_CALLER)


def _object(offer: Offer) -> dict[str, Any]:
    model = offer.model
    return openai_object(offer.name, root=offer.root, created=model.created, owned_by=model.owned_by or model.provider)
