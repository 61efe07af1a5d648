"""Which models a provider has, for entries that stand for all of them (`ollama/*`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

import attrs
import orjson

from modelserver.config import Provider
from modelserver.errors import GatewayError
from modelserver.gateway.lifecycle import done_within
from modelserver.gateway.snapshot import Snapshot, spoken, without_version
from modelserver.ir.parts import DialectName
from modelserver.ports import Clock, Transport, UpstreamRequest
from modelserver.upstream.credentials import JSON, upstream_headers

REFRESH_S: Final = 30.0
WAIT_S: Final = 1.0
MAX_MODELS: Final = 1_000
MAX_LIST_BYTES: Final = 4_000_000
MAX_PAGES: Final = 10
_READ_S: Final = 10.0

Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]


@attrs.frozen(kw_only=True, slots=True)
class _Page:
    """A part of a list."""

    names: tuple[str, ...]
    following: Mapping[str, str] | None = None
    """The query for the next part; None: this was the last."""


@attrs.frozen(kw_only=True, slots=True)
class _Listing:
    """How a dialect lists models."""

    path: str
    read: Callable[[Any], _Page]
    query: Mapping[str, str] = attrs.field(factory=dict)
    headers: Mapping[str, str] = attrs.field(factory=dict)


class Discovery:
    """The providers' own lists, refreshed when someone looks and they are older than half a minute."""

    def __init__(self, transport: Callable[[Provider], Transport], clock: Clock, spawn: Spawn) -> None:
        self._transport = transport
        self._clock = clock
        self._spawn = spawn
        self._lists: dict[str, tuple[str, ...]] = {}
        self._asked_s: dict[str, float] = {}
        self._running: dict[str, asyncio.Task[None]] = {}

    async def lists(self, snapshot: Snapshot) -> Mapping[str, Sequence[str]]:
        """The names that providers listed, by the `model_id` of the pattern; waits at most a second for fresh ones."""
        patterns = [model for model in snapshot.catalog.models if model.is_pattern and snapshot.is_callable(model)]
        if not patterns:
            return {}
        dialects = {model.provider: spoken(model, "chat") for model in reversed(patterns)}
        for name, dialect in dialects.items():
            self._refresh(snapshot.config.providers[name], _LISTINGS[dialect], snapshot)
        if self._running:
            await done_within(self._running.values(), WAIT_S, self._clock)
        return {model.model_id: self._lists.get(model.provider, ()) for model in patterns}

    def forget(self) -> None:
        """Ask again at the next look: the configuration has changed."""
        self._asked_s.clear()

    def _refresh(self, provider: Provider, listing: _Listing, snapshot: Snapshot) -> None:
        name = provider.name
        now_s = self._clock.now_s()
        asked_s = self._asked_s.get(name)
        if name in self._running or (asked_s is not None and now_s - asked_s < REFRESH_S):
            return
        self._asked_s[name] = now_s
        task = self._spawn(self._read(provider, listing, snapshot), f"list models of {name}")
        self._running[name] = task
        task.add_done_callback(lambda _: self._running.pop(name, None))

    async def _read(self, provider: Provider, listing: _Listing, snapshot: Snapshot) -> None:
        try:
            async with asyncio.timeout(_READ_S):
                self._lists[provider.name] = await self._pages(provider, listing, snapshot)
        except (GatewayError, TimeoutError, ValueError):
            # A provider that can't be asked keeps the list it had: calls will say what is wrong with it.
            return

    async def _pages(self, provider: Provider, listing: _Listing, snapshot: Snapshot) -> tuple[str, ...]:
        """The names of every page; those of a list without an end are the first ones."""
        base = without_version(provider.base_url, listing.path)
        headers = upstream_headers(provider, user_agent=snapshot.user_agent, accept=JSON, has_body=False)
        settings = provider.settings
        query: Mapping[str, str] | None = listing.query
        names: dict[str, None] = {}
        size = pages = 0
        while query is not None and pages < MAX_PAGES and len(names) < MAX_MODELS:
            request = UpstreamRequest(
                method="GET",
                url=f"{base}{listing.path}?{urlencode(query)}" if query else f"{base}{listing.path}",
                headers={**listing.headers, **headers},
                body=None,
                connect_s=min(settings.timeouts.connect_s, _READ_S),
                proxy=None if settings.proxy is None else settings.proxy.reveal(),
            )
            body = await self._fetch(provider, request, MAX_LIST_BYTES - size)
            size += len(body)
            pages += 1
            page = listing.read(orjson.loads(body))
            names.update(dict.fromkeys(page.names))
            query = None if page.following is None else {**listing.query, **page.following}
        return tuple(names)[:MAX_MODELS]

    async def _fetch(self, provider: Provider, request: UpstreamRequest, max_bytes: int) -> bytes:
        answer = await self._transport(provider).send(request)
        try:
            pieces: list[bytes] = []
            size = 0
            while data := await answer.read():
                pieces.append(data)
                size += len(data)
                if size > max_bytes:
                    raise ValueError("the list is too long")
        finally:
            answer.close()
        if answer.status != 200:
            raise ValueError("not a list")
        return b"".join(pieces)


def _openai(parsed: Any) -> _Page:
    return _Page(names=_ids(parsed.get("data") if isinstance(parsed, dict) else parsed))


def _anthropic(parsed: Any) -> _Page:
    names = _openai(parsed).names
    last = parsed.get("last_id") if isinstance(parsed, dict) and parsed.get("has_more") is True else None
    return _Page(names=names, following={"after_id": last} if isinstance(last, str) and last else None)


def _gemini(parsed: Any) -> _Page:
    """Names begin with `models/`; what only embeds or draws has other methods than the one that generates."""
    models = parsed.get("models") if isinstance(parsed, dict) else None
    if not isinstance(models, list):
        raise ValueError("not a list")
    chatting = [model for model in models if isinstance(model, dict) and _generates(model)]
    token = parsed.get("nextPageToken")
    return _Page(
        names=tuple(name.removeprefix("models/") for name in _ids(chatting, "name")),
        following={"pageToken": token} if isinstance(token, str) and token else None,
    )


def _generates(model: Mapping[str, Any]) -> bool:
    methods = model.get("supportedGenerationMethods")
    return not isinstance(methods, list) or "generateContent" in methods


def _ids(items: object, member: str = "id") -> tuple[str, ...]:
    """The names in a list of objects; what has none is passed over.

    Raises:
        ValueError: It is no list.
    """
    if not isinstance(items, list):
        raise ValueError("not a list")
    ids = (item.get(member) for item in items if isinstance(item, dict))
    return tuple(one for one in ids if isinstance(one, str) and one)


_OPENAI: Final = _Listing(path="/models", read=_openai)
_LISTINGS: Final[Mapping[DialectName, _Listing]] = {
    "chat": _OPENAI,
    "responses": _OPENAI,
    # Largest pages that are allowed: https://docs.claude.com/en/api/models-list, https://ai.google.dev/api/models
    "anthropic": _Listing(
        path="/v1/models", read=_anthropic, query={"limit": "1000"}, headers={"anthropic-version": "2023-06-01"}
    ),
    "gemini": _Listing(path="/v1beta/models", read=_gemini, query={"pageSize": "1000"}),
}
