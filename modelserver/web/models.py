"""The lists of models: the rich catalogue, and the list and object of each dialect."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from modelserver.catalog.catalog import Offer
from modelserver.catalog.query import matches_etag
from modelserver.dialects.dialect import ModelLists
from modelserver.errors import NotFound
from modelserver.gateway.snapshot import Snapshot
from modelserver.ir.listing import Listed
from modelserver.web.dialects import dialect_of
from modelserver.web.keys import GATEWAY, TRACE

_PUBLIC: Final = {
    "Cache-Control": "public, max-age=300, stale-while-revalidate=300",
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": "ETag",
}
_BY_KEY: Final = {"Vary": "authorization, x-api-key"}
_BY_CALLER: Final = {"Vary": "authorization, x-api-key, x-goog-api-key, anthropic-version"}
_PRIVATE: Final = {"Cache-Control": "private, max-age=300", **_BY_KEY}


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


async def list_models(request: web.Request) -> web.StreamResponse:
    """`GET /v1/models`, `/v1beta/models`: what the caller can call now, in the shape of its dialect."""
    gateway = request.app[GATEWAY]
    principal = request[TRACE].principal
    assert principal is not None
    snapshot = gateway.snapshot  # a reload may come while providers are asked
    dialect = dialect_of(request)
    listing = _listing(request)
    offers = await gateway.offers(principal)
    query = {name: value for name, value in request.query.items() if name != "key"}

    def encoded() -> bytes:
        return listing.encode_list([_listed(offer, snapshot) for offer in offers.values()], query)

    # Pages are made anew: there is no end of queries.
    body = encoded() if query else snapshot.memo(("list", dialect.name, tuple(offers)), encoded)
    return web.Response(body=body, content_type="application/json", headers=_BY_CALLER)


async def show_model(request: web.Request) -> web.StreamResponse:
    """`GET /v1/models/{model}`, `/v1beta/models/{model}`: one entry of the list."""
    gateway = request.app[GATEWAY]
    principal = request[TRACE].principal
    assert principal is not None
    listing = _listing(request)
    name = request.match_info["model"]
    offers = await gateway.offers(principal)
    offer = offers.get(name) or offers.get(name.rstrip("/"))
    if offer is None:
        raise gateway.snapshot.unknown_model(name, principal)
    return web.Response(
        body=listing.encode_one(_listed(offer, gateway.snapshot)), content_type="application/json", headers=_BY_CALLER
    )


def _listing(request: web.Request) -> ModelLists:
    listing = dialect_of(request).listing
    assert listing is not None
    return listing


def _listed(offer: Offer, snapshot: Snapshot) -> Listed:
    model = offer.model
    reasoning = snapshot.card(offer).reasoning
    return Listed(
        id=offer.name,
        root=offer.root,
        owned_by=model.owned_by or model.provider,
        created=model.created,
        description=model.desc,
        max_input=model.context_length,
        max_output=model.max_output,
        thinking="thinking" in model.features or reasoning.kind != "none",
        reasoning=reasoning,
        images="image" in model.input_modalities,
        documents="pdf" in model.input_modalities,
        schemas="structured_outputs" in model.features,
    )
