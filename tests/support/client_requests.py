"""What real clients were seen to send, asked again: each at the gateway before a provider of any dialect.

The requests are kept beside the repository; where they are absent, what needs them is skipped.

async with before(provider) as both:
    answer = await both.server.ask(*captured.asked("m"))
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote, urlencode

import attrs

from modelserver.config import Config, parse_config
from modelserver.stores.keyfile import digest
from tests.support.front import KEY, front
from tests.support.pairs import Meeting
from tests.support.providers import PROVIDERS
from tests.support.speech import Json, Provider, Turn
from tests.support.upstream import RawUpstream, Received, Script, chunk, json_answer, sse_head

FOLDER = Path(__file__).parents[2].parent / "shared" / "client-requests"
ABSENT = "no client requests in ../shared"
PONG = Turn(text="pong")

_DIALECTS = {"openai-chat": "chat", "openai-responses": "responses", "openai-responses-websocket": "websocket"}
_MODEL = re.compile(r"(?<=/models/)[^:/]+")
_COUNTS: Mapping[str, Json] = {
    "/input_tokens": {"object": "response.input_tokens", "input_tokens": 7},
    "/count_tokens": {"input_tokens": 7},
    ":countTokens": {"totalTokens": 7},
}
"""Answers by the end of the path."""
_GENERATES = ("/chat/completions", "/responses", "/messages", ":generateContent", ":streamGenerateContent")


def compact(body: Any) -> bytes:
    """As JSON.stringify and the Python clients write it."""
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


@attrs.frozen(kw_only=True)
class ClientRequest:
    """One request of a client."""

    name: str
    """The client's folder and the number in it."""
    dialect: str
    """`chat`, `responses`, `anthropic`, `gemini`; `openai` for what both of OpenAI's have; `websocket`."""
    method: str
    path: str
    headers: Json
    body: Json | None

    @property
    def kind(self) -> Literal["generate", "count", "other"]:
        """What it asks for."""
        if self.method == "POST" and self.dialect != "openai":
            if self.path.partition("?")[0].endswith(_GENERATES):
                return "generate"
            if self.path.endswith(tuple(_COUNTS)):
                return "count"
        return "other"

    @property
    def streams(self) -> bool:
        """It wants its answer as a stream."""
        return ":streamGenerateContent" in self.path or bool((self.body or {}).get("stream"))

    def asked(
        self, model: str, form: Callable[[Any], bytes] = compact, **fields: Any
    ) -> tuple[str, str, dict[str, str], bytes]:
        """Method, path, headers and body with the name of a model, the key of the tests, and fields replaced."""
        headers = {name: value.replace("***", KEY) for name, value in self.headers.items()}
        if "upgrade" in {name.lower() for name in headers}:
            headers["Connection"] = "Upgrade"
        path = _MODEL.sub(quote(model, safe=""), self.path)
        if self.body is None:
            return self.method, path, headers, b""
        return self.method, path, headers, form(self.with_model(model, **fields))

    def with_model(self, model: str, **fields: Any) -> dict[str, Any]:
        """The body, in its order, with the name of a model where it holds one."""
        named = {"model": model} if "model" in (self.body or {}) else {}
        return {**(self.body or {}), **named, **fields}


def load(*clients: str) -> dict[str, ClientRequest]:
    """The requests by name, of these clients or of all; empty where there are none. Frames of a websocket are none."""
    found = {}
    for file in sorted(FOLDER.glob("*/*.json")):
        record = json.loads(file.read_bytes())
        if record["method"] == "WS" or (clients and file.parent.name not in clients):
            continue
        query = f"?{urlencode(record['query'])}" if record["query"] else ""
        name = f"{file.parent.name}/{file.stem}"
        found[name] = ClientRequest(
            name=name,
            dialect=_DIALECTS.get(record["dialect"], record["dialect"]),
            method=record["method"],
            path=record["path"] + query,
            headers=record["headers"],
            body=record["body"],
        )
    return found


CAPTURED: Mapping[str, ClientRequest] = load()
REFUSED: Mapping[str, str] = {
    **dict.fromkeys(("anthropic-py/07", "anthropic-py/08"), "begins a thread, D96"),
    **dict.fromkeys(("anthropic-node/06", "anthropic-node/07"), "begins a thread, D96"),
    **dict.fromkeys(("openai-py/22", "openai-node/16", "openai-node-6.49.0/16"), "goes on with a kept response, H32"),
    "anthropic-py/19": "made without max_tokens, in order to see the refusal",
    "openai-py/33": "made with a word for messages, in order to see the refusal",
}
"""Those that generate and are refused by every provider, with the reason."""
ANSWERED: Mapping[str, ClientRequest] = {name: each for name, each in CAPTURED.items() if name not in REFUSED}
PROVIDER: Mapping[str, Provider] = {provider.dialect: provider for provider in PROVIDERS}


def configured(provider: Provider, url: str, target: str) -> Config:
    """A provider's model, called `m` and by the name that it has there."""
    models = "".join(f'[[models]]\nmodel_id = "{name}"\nroute = "up/{target}"\n' for name in ("m", target))
    return parse_config(
        f"""
[server]
secret = "an installation's own secret"
[defaults]
retries = 0
[providers.up]
base_url = "{url}"
key = "native-secret-0123456789"
speaks = ["{provider.dialect}"]
{provider.quirks}
{models}
[[keys]]
name = "alice"
hash = "sha256:{digest(KEY)}"
"""
    )


@asynccontextmanager
async def before(provider: Provider, target: str | None = None) -> AsyncIterator[Meeting]:
    """The gateway before a provider that says "pong", as it is asked, and counts seven tokens.

    `target` is a model of it, in place of the one that it has.
    """

    def pong(request: Received) -> Script:
        body = request.json()
        for end, count in _COUNTS.items():
            if request.path.endswith(end):
                return [json_answer(count)]
        if body.get("stream") or ":streamGenerateContent" in request.path:
            return [sse_head() + chunk(b"".join(provider.frames(PONG))) + chunk(b"")]
        return [json_answer(provider.whole(PONG))]

    async with (
        RawUpstream(pong) as upstream,
        front(configured(provider, upstream.url, target or provider.model)) as server,
    ):
        yield Meeting(provider, upstream, server)
