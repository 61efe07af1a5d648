"""What the pages are served from: files under lasting names, and pages as made, each compressed once."""

from __future__ import annotations

import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from importlib.resources import files
from typing import Final
from weakref import WeakKeyDictionary

import attrs
from aiohttp import web

from modelserver.catalog.query import matches_etag
from modelserver.gateway.snapshot import Snapshot
from modelserver.web.negotiation import takes_gzip

PAGES_KEPT: Final = 32
"""Renderings of one configuration that are kept: a Host is anything that a client cares to send."""
_TYPES: Final = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_SOURCES: Final = ("page.css", "page.js", "icon.svg")


@attrs.frozen(kw_only=True)
class Served:
    """Something ready to be sent, plain and compressed."""

    body: bytes
    zipped: bytes
    digest: str
    content_type: str

    @classmethod
    def of(cls, body: bytes, content_type: str, *, level: int = 9) -> Served:
        """The bytes, compressed the same way every time."""
        digest = hashlib.sha256(body).hexdigest()[:16]
        return cls(body=body, zipped=gzip.compress(body, level, mtime=0), digest=digest, content_type=content_type)

    def answer(self, request: web.Request, headers: Mapping[str, str]) -> web.Response:
        """The answer in the encoding that the client takes; a 304 where it has it already."""
        is_zipped = takes_gzip(",".join(request.headers.getall("Accept-Encoding", ())))
        # A strong tag is of the bytes as sent.
        etag = f'"{self.digest}-gzip"' if is_zipped else f'"{self.digest}"'
        headers = {**headers, "ETag": etag}
        if matches_etag(", ".join(request.headers.getall("If-None-Match", ())), etag):
            return web.Response(status=304, headers=headers)
        if is_zipped:
            headers["Content-Encoding"] = "gzip"
        return web.Response(
            body=self.zipped if is_zipped else self.body,
            content_type=self.content_type,
            charset="utf-8",
            headers=headers,
        )


class Site:
    """The files of the pages under names that change with what they hold, and the pages made so far."""

    def __init__(self) -> None:
        self.files: dict[str, Served] = {}
        self.names: dict[str, str] = {}
        """The name that a file is served by, by its own."""
        self._pages: WeakKeyDictionary[Snapshot, OrderedDict[Hashable, Served]] = WeakKeyDictionary()
        for source in _SOURCES:
            stem, _, kind = source.rpartition(".")
            served = Served.of((files("modelserver.web") / "assets" / source).read_bytes(), _TYPES[kind])
            self.names[source] = name = f"{stem}.{served.digest}.{kind}"
            self.files[name] = served

    def page(self, snapshot: Snapshot, key: Hashable, make: Callable[[], bytes]) -> Served:
        """The page under a key, for as long as the configuration holds; the one longest unused gives way."""
        pages = self._pages.setdefault(snapshot, OrderedDict())
        if key in pages:
            pages.move_to_end(key)
            return pages[key]
        made = pages[key] = Served.of(make(), "text/html", level=6)
        if len(pages) > PAGES_KEPT:
            pages.popitem(last=False)
        return made


SITE: Final = web.AppKey("SITE", Site)
