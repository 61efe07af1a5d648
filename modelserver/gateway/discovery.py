"""Which models a provider has, for entries that stand for all of them (`ollama/*`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Final

import orjson

from modelserver.config import Provider
from modelserver.errors import GatewayError
from modelserver.gateway.lifecycle import done_within
from modelserver.gateway.snapshot import Snapshot
from modelserver.ports import Clock, Transport, UpstreamRequest
from modelserver.upstream.credentials import JSON, upstream_headers

REFRESH_S: Final = 30.0
WAIT_S: Final = 1.0
MAX_MODELS: Final = 1_000
MAX_LIST_BYTES: Final = 4_000_000
_READ_S: Final = 10.0

Spawn = Callable[[Coroutine[Any, Any, None], str], "asyncio.Task[None]"]


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
        for name in {model.provider for model in patterns}:
            self._refresh(snapshot.config.providers[name], snapshot)
        if self._running:
            await done_within(self._running.values(), WAIT_S, self._clock)
        return {model.model_id: self._lists.get(model.provider, ()) for model in patterns}

    def forget(self) -> None:
        """Ask again at the next look: the configuration has changed."""
        self._asked_s.clear()

    def _refresh(self, provider: Provider, snapshot: Snapshot) -> None:
        name = provider.name
        now_s = self._clock.now_s()
        asked_s = self._asked_s.get(name)
        if name in self._running or (asked_s is not None and now_s - asked_s < REFRESH_S):
            return
        self._asked_s[name] = now_s
        task = self._spawn(self._read(provider, snapshot), f"list models of {name}")
        self._running[name] = task
        task.add_done_callback(lambda _: self._running.pop(name, None))

    async def _read(self, provider: Provider, snapshot: Snapshot) -> None:
        settings = provider.settings
        request = UpstreamRequest(
            method="GET",
            url=f"{provider.base_url}/models",
            headers=upstream_headers(provider, user_agent=snapshot.user_agent, accept=JSON, has_body=False),
            body=None,
            connect_s=min(settings.timeouts.connect_s, _READ_S),
            proxy=None if settings.proxy is None else settings.proxy.reveal(),
        )
        try:
            async with asyncio.timeout(_READ_S):
                self._lists[provider.name] = await self._fetch(provider, request)
        except (GatewayError, TimeoutError, ValueError):
            # A provider that can't be asked keeps the list it had: calls will say what is wrong with it.
            return

    async def _fetch(self, provider: Provider, request: UpstreamRequest) -> tuple[str, ...]:
        answer = await self._transport(provider).send(request)
        try:
            pieces: list[bytes] = []
            size = 0
            while data := await answer.read():
                pieces.append(data)
                size += len(data)
                if size > MAX_LIST_BYTES:
                    raise ValueError("the list is too long")
        finally:
            answer.close()
        if answer.status != 200:
            raise ValueError("not a list")
        return _names(orjson.loads(b"".join(pieces)))


def _names(parsed: object) -> tuple[str, ...]:
    """The ids of an OpenAI list of models; what has none is passed over."""
    items = parsed.get("data") if isinstance(parsed, dict) else parsed
    if not isinstance(items, list):
        raise ValueError("not a list")
    ids = (item.get("id") for item in items if isinstance(item, dict))
    return tuple(dict.fromkeys(one for one in ids if isinstance(one, str) and one))[:MAX_MODELS]
