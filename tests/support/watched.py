"""The gateway in front of a provider that may do anything, with a look at all that it says and at what is left of it.

async with watched(upstream, "retries = 2") as gateway:
    answer = await gateway.chat(stream=True)
"""

from __future__ import annotations

import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from unittest.mock import patch

import attrs

from modelserver.upstream.transport import HttpTransport
from modelserver.web.access_log import AccessLog
from modelserver.web.keys import ACCESS_LOG
from modelserver.web.logs import logging_to
from tests.support import front as fronts
from tests.support.front import BEARER, CHAT_PATH, KEY, PROVIDER_KEY, Answer, Caller, Front, chat_body, front, request
from tests.support.front import settings as front_settings
from tests.support.upstream import RawUpstream
from tests.support.waiting import until

PROMPT = "What the tenant asked, which is nobody's business."


@attrs.frozen
class Watched:
    """A gateway at work."""

    front: Front
    upstream: RawUpstream
    log: io.StringIO
    heard: list[Answer] = attrs.field(factory=list)

    async def chat(self, **fields: Any) -> Answer:
        """One call and its whole answer."""
        return await self.hear(await self.ask(**fields))

    async def ask(self, **fields: Any) -> Caller:
        """A call whose answer is still to be read."""
        caller = await self.front.connect()
        fields = {"messages": [{"role": "user", "content": PROMPT}], **fields}
        await caller.send(request("POST", CHAT_PATH, BEARER, chat_body(**fields)))
        return caller

    async def hear(self, caller: Caller) -> Answer:
        """The whole answer to a call."""
        answer = await caller.answer()
        caller.leave()
        self.heard.append(answer)
        return answer

    def lines(self) -> list[dict[str, Any]]:
        """What the log says of each call so far."""
        assert self.front.app is not None
        self.front.app[ACCESS_LOG].flush()
        said = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in said if line.get("event") == "request"]

    @property
    def transport(self) -> HttpTransport:
        """How it reaches providers."""
        found = self.front.gateway._http
        assert isinstance(found, HttpTransport)
        return found

    async def rests(self) -> None:
        """Wait until no call is open, and no connection to a provider but those that wait for the next request.

        Raises:
            AssertionError: Something stays.
        """
        transport = self.transport
        await until(lambda: self.front.gateway.open_calls == 0, "the end of every call")
        await until(
            lambda: len(transport._open) == sum(map(len, transport._idle.values())) or not transport._open,
            "the end of every connection in use",
        )

    def keeps_secrets(self) -> None:
        """See that nothing of what nobody may know was said.

        Raises:
            AssertionError: It was, to a client or in the log.
        """
        said = [self.log.getvalue(), *(f"{answer.headers} {answer.body!r}" for answer in self.heard)]
        for text in said:
            for secret in (PROVIDER_KEY, KEY, PROMPT, f":{self.upstream.port}", "Traceback", "site-packages"):
                assert secret not in text, f"{secret!r} was said: {text[:2000]}"

    def logged_once(self) -> None:
        """See that each call left one line that tells what became of it.

        Raises:
            AssertionError: One left none, or several, or a poor one.
        """
        lines = self.lines()
        ids = [line["id"] for line in lines]
        assert len(ids) == len(set(ids))
        for answer in self.heard:
            line = lines[ids.index(answer.header("X-Request-Id"))]
            assert line["status"] == answer.status
            assert line["provider"] == "up"
            assert line["attempts"] >= 1
            assert line["ms"] >= 0
            assert line.get("error") or answer.status == 200


@asynccontextmanager
async def watched(upstream: RawUpstream, provider: str = "", *, url: str | None = None) -> AsyncIterator[Watched]:
    """The gateway in front of `upstream`; `provider` goes into that table, `url` stands for another address.

    At the end nothing may be left of any call, and nothing may have been said that nobody may know.
    """
    log = io.StringIO()
    config = front_settings(upstream.url if url is None else url, provider=provider)
    # Large answers would take long with a small buffer, of which each acknowledgement is delayed.
    with logging_to(log, "json"), patch.object(fronts, "SEND_BYTES", 1_000_000):
        async with front(config, access_log=AccessLog("json", log)) as running:
            gateway = Watched(running, upstream, log)
            yield gateway
            for caller in running.callers:
                caller.leave()
            await gateway.rests()
            gateway.logged_once()
    gateway.keeps_secrets()


def frames(body: bytes) -> list[Any]:
    """The events of a stream: JSON parsed, `[DONE]` as it is, comments left out."""
    texts = [part.removeprefix("data: ") for part in body.decode().split("\n\n") if part.startswith("data: ")]
    return [text if text == "[DONE]" else json.loads(text) for text in texts]
