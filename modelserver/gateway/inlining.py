"""Media that a client named by URL, put into the request for upstreams that take nothing else."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, TypeAlias, TypeVar
from urllib.parse import urlsplit

import attrs
import orjson

from modelserver.errors import InvalidRequest, Unsupported
from modelserver.gateway.snapshot import Route
from modelserver.ir.parts import Audio, Document, Image, Inline, Message, Part, ToolResult, Url
from modelserver.ir.request import Request
from modelserver.ports import Fetched, Fetcher

TOTAL_S: Final = 10.0
MAX_REQUEST_BYTES: Final = 50 * 1024 * 1024
_AT_ONCE: Final = 4

# Gemini takes files of its Files API, of Cloud Storage and YouTube by their addresses (File API and video docs, read
# 2026-11-24). Everything else has to be inline.
_NATIVE: Final[Mapping[str, re.Pattern[str]]] = {
    "gemini": re.compile(
        r"https://generativelanguage\.googleapis\.com/\S+|gs://\S+"
        r"|https?://(?:www\.|m\.)?(?:youtube\.com|youtu\.be)/\S*"
    ),
}
"""By an upstream's dialect: addresses that it fetches itself."""

_KINDS: Final[tuple[tuple[type, str, str], ...]] = ((Image, "image/", "an image"), (Audio, "audio/", "sound"))

_Media: TypeAlias = Image | Audio | Document
_T = TypeVar("_T", bound=Part)


@attrs.frozen(kw_only=True, slots=True)
class _Use:
    """A place where a URL stands."""

    part: _Media
    url: str
    path: str


class MediaInliner:
    """Fetches media that clients name by URL, as a route's `fetch_urls` says.

    What is fetched lives as long as the request.
    """

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher

    async def __call__(self, request: Request, route: Route, wire: bytes | None = None) -> Request:
        """The request with its media inline, where the upstream takes them only so.

        `wire` is the client's request: with it errors carry the path that the client wrote, else one of the neutral
        model.

        Raises:
            InvalidRequest: Something can't be fetched, or may not be; names its path and its host.
        """
        if route.card.url_sources or route.settings.fetch_urls == "forward":
            return request
        native = _NATIVE.get(route.dialect)
        uses: dict[str, list[_Use]] = {}
        for use in _uses(request):
            if native is None or not native.fullmatch(use.url):
                uses.setdefault(use.url, []).append(use)
        if not uses:
            return request
        if route.settings.fetch_urls == "refuse":
            first = next(iter(uses.values()))[0]
            path = _path(first, wire)
            raise Unsupported(f"{path}: this model takes media only inline, not by URL.", param=path)
        found = await _Fetching(self._fetcher, uses, wire).all()
        return attrs.evolve(request, messages=tuple(_inlined(message, found) for message in request.messages))


class _Fetching:
    """The fetching of one request: a few at once, one time limit and one size for all of it."""

    def __init__(self, fetcher: Fetcher, uses: Mapping[str, list[_Use]], wire: bytes | None) -> None:
        self._fetcher = fetcher
        self._uses = uses
        self._wire = wire
        self._left_bytes = MAX_REQUEST_BYTES
        self._found: dict[str, Inline] = {}
        self._pending = iter(uses.items())

    async def all(self) -> Mapping[str, Inline]:
        """What the URLs lead to."""
        try:
            async with asyncio.timeout(TOTAL_S), asyncio.TaskGroup() as group:
                for index in range(min(_AT_ONCE, len(self._uses))):
                    group.create_task(self._work(), name=f"fetch {index}")
        except TimeoutError:
            late = next(uses[0] for url, uses in self._uses.items() if url not in self._found)
            raise self._refusal(late, f"{_host(late.url)} did not answer in time") from None
        except BaseExceptionGroup as group_of:
            raise group_of.exceptions[0] from None
        return self._found

    async def _work(self) -> None:
        for url, uses in self._pending:
            first = uses[0]
            try:
                fetched = await self._fetcher.fetch(url, arrived=self._arrived)
                # Each place holds a copy in what is sent.
                self._arrived((len(uses) - 1) * len(fetched.data))
            except InvalidRequest as error:
                raise self._refusal(first, error.message) from None
            for use in uses:
                self._check(use, fetched)
            self._found[url] = Inline(media_type=fetched.media_type, b64=base64.b64encode(fetched.data).decode("ascii"))

    def _arrived(self, count: int) -> None:
        self._left_bytes -= count
        if self._left_bytes < 0:
            raise InvalidRequest(f"the media of a request may be {MAX_REQUEST_BYTES // 1024 // 1024} MiB in all")

    def _check(self, use: _Use, fetched: Fetched) -> None:
        for kind, start, word in _KINDS:
            if isinstance(use.part, kind) and not fetched.media_type.startswith(start):
                raise self._refusal(use, f"{_host(use.url)} sent {fetched.media_type}, which is not {word}")

    def _refusal(self, use: _Use, why: str) -> InvalidRequest:
        path = _path(use, self._wire)
        return InvalidRequest(f"{path}: {why}.", param=path)


def _uses(request: Request) -> Iterator[_Use]:
    for index, message in enumerate(request.messages):
        for at, part in enumerate(message.parts):
            path = f"messages[{index}].content[{at}]"
            if isinstance(part, ToolResult):
                for inner_at, inner in enumerate(part.content):
                    yield from _use(inner, f"{path}.content[{inner_at}]")
            else:
                yield from _use(part, path)


def _use(part: Part, path: str) -> Iterator[_Use]:
    if isinstance(part, _Media) and isinstance(part.source, Url):
        yield _Use(part=part, url=part.source.url, path=path)


def _inlined(message: Message, found: Mapping[str, Inline]) -> Message:
    parts = tuple(
        attrs.evolve(part, content=_replaced(part.content, found)) if isinstance(part, ToolResult) else part
        for part in message.parts
    )
    return attrs.evolve(message, parts=_replaced(parts, found))


def _replaced(parts: tuple[_T, ...], found: Mapping[str, Inline]) -> tuple[_T, ...]:
    return tuple(_with(part, found) for part in parts)


def _with(part: _T, found: Mapping[str, Inline]) -> _T:
    if not isinstance(part, _Media) or not isinstance(part.source, Url):
        return part
    source = found.get(part.source.url)
    if source is None:
        return part
    if isinstance(part, Audio):  # the media type says what it is; the client's word may be another
        return attrs.evolve(part, source=source, format=None)
    return attrs.evolve(part, source=source)


def _host(url: str) -> str:
    """The host for a message; the URL was read without a fault before."""
    return f"host {urlsplit(url).hostname}"


def _path(use: _Use, wire: bytes | None) -> str:
    """Where the client wrote the URL."""
    if wire is not None:
        try:
            return _find(orjson.loads(wire), lambda value: value == use.url) or use.path
        except (orjson.JSONDecodeError, RecursionError):  # half a surrogate pair, or a schema that is too deep
            return use.path
    return use.path


def _find(value: Any, is_it: Callable[[str], bool], path: str = "") -> str | None:
    """The path of the first such string that is not itself something to read.

    An object that holds nothing but an address (`{"url": …}`) is named in place of it.
    """
    items: Iterator[tuple[str, Any]]
    if isinstance(value, dict):
        hit = next(
            (key for key, inner in value.items() if type(inner) is str and key not in _READ and is_it(inner)), ""
        )
        if hit:
            return path if hit == "url" else f"{path}.{hit}".lstrip(".")
        items = ((f"{path}.{key}".lstrip("."), inner) for key, inner in value.items())
    elif isinstance(value, list):
        items = ((f"{path}[{index}]", inner) for index, inner in enumerate(value))
    else:
        return None
    return next((found for where, inner in items if (found := _find(inner, is_it, where))), None)


_READ: Final = frozenset(("text", "content"))
