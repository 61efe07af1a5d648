"""`GET /`: the documentation page, and the files that it needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Final

from aiohttp import web

from modelserver.config.types import Model
from modelserver.errors import NotFound
from modelserver.gateway.snapshot import Snapshot
from modelserver.web.dialects import prefix_of
from modelserver.web.keys import GATEWAY
from modelserver.web.negotiation import preferred_language
from modelserver.web.pages.context import Context, Facts
from modelserver.web.pages.document import document
from modelserver.web.pages.text import TAGS, Language
from modelserver.web.site import SITE

LANGUAGE_COOKIE: Final = "lang"
_COOKIE_LASTS_S: Final = 365 * 86_400
_KNOWN: Final[Mapping[str, Language]] = {"zh": "zh", "en": "en"}
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_SAFETY: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_ADDRESS: Final = b"http://address.invalid"
"""Stands for the server's address until a request tells: whoever sends many Hosts costs little."""
_HOST: Final = re.compile(r"[A-Za-z0-9.:-]+")
_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
"""Ids that mean the same in JSON, in a shell and in a path: only such ones go into examples."""


async def show_page(request: web.Request) -> web.StreamResponse:
    """`GET /`."""
    gateway = request.app[GATEWAY]
    site = request.app[SITE]
    snapshot = gateway.snapshot
    prefix = prefix_of(request)
    language = language_of(request)
    context = Context(
        facts=snapshot.memo(("facts of the page",), lambda: read_facts(snapshot)),
        language=language,
        root=_ADDRESS.decode(),
        here="" if request.path.endswith("/") else f"{prefix.rpartition('/')[2]}/",
        today=gateway.clock.wall().date(),
        draining=gateway.draining,
        style=site.names["page.css"],
        script=site.names["page.js"],
        icon=site.names["icon.svg"],
    )
    key = ("page", language, context.here, context.today, context.draining)
    whole = snapshot.memo(key, lambda: document(context))
    address = base_url(request, prefix)
    page = site.page(snapshot, (key, address), lambda: whole.replace(_ADDRESS, escape(address).encode()))
    headers = {
        **_SAFETY,
        "Cache-Control": "no-cache",
        "Content-Language": TAGS[language],
        "Vary": "Accept-Language, Cookie, Accept-Encoding",
    }
    response = page.answer(request, headers)
    if request.query.get("lang") in _KNOWN:
        response.set_cookie(
            LANGUAGE_COOKIE, language, path=prefix or "/", max_age=_COOKIE_LASTS_S, samesite="Lax", httponly=True
        )
    return response


async def show_asset(request: web.Request) -> web.StreamResponse:
    """`GET /assets/{name}`."""
    served = request.app[SITE].files.get(request.match_info["name"])
    if served is None:
        raise NotFound("There is nothing at this path.", code="not_found")
    lasting = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    return served.answer(request, {**_SAFETY, **lasting})


def base_url(request: web.Request, prefix: str) -> str:
    """The server's address as its clients see it, without a trailing slash.

    As configured; else by the request's own Host, which must look like one; else as the server listens. What a proxy
    claims in headers is not believed.
    """
    server = request.app[GATEWAY].config.server
    if server.public_url is not None:
        return server.public_url
    if _HOST.fullmatch(request.host):
        return f"{request.scheme}://{request.host}{prefix}"
    return f"http://127.0.0.1:{server.listen_port}{prefix}"


def language_of(request: web.Request) -> Language:
    """As the query says, else the cookie, else what the browser prefers; English where nothing tells."""
    for said in (request.query.get("lang", ""), request.cookies.get(LANGUAGE_COOKIE, "")):
        if said in _KNOWN:
            return _KNOWN[said]
    return preferred_language(",".join(request.headers.getall("Accept-Language", ())))


def read_facts(snapshot: Snapshot) -> Facts:
    """What the page shows of a configuration."""
    offers = snapshot.offers(snapshot.directory.anonymous, {})
    callable_ = [(name, offer.model) for name, offer in offers.items() if _PLAIN_ID.fullmatch(name)]
    ranked = sorted(callable_, key=lambda named: _rank(snapshot, named[1]))
    seeing = [name for name, model in ranked if "image" in model.input_modalities]
    is_public = snapshot.config.server.catalogue == "public"
    return Facts(
        models=snapshot.config.models if is_public else (),
        catalogue=snapshot.config.server.catalogue,
        model=ranked[0][0] if ranked else None,
        eyes=seeing[0] if seeing else None,
    )


def _rank(snapshot: Snapshot, model: Model) -> tuple[bool, bool, bool]:
    """The mock only where there is nothing else, what will be there next year before what will not be."""
    return snapshot.config.providers[model.provider].mock, model.retires is not None, "chat" not in model.speaks
