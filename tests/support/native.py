"""The gateway before a provider that is reached through its own API, without a network."""

from __future__ import annotations

import json
from typing import Any

from modelserver.config import Config, parse_config
from modelserver.dialects.openai_chat import CHAT
from modelserver.errors import GatewayError
from tests.support.dialogue import TOOL, Upstream
from tests.support.scripted import Answer, Work, stream, whole

ASKED: dict[str, Any] = {"role": "user", "content": "What is the weather in Paris?"}
MARKS = {"anthropic": b'"message_delta"', "gemini": b'"finishReason"', "responses": b'"response.completed"'}
"""What the frame holds that says how an answer ended, by dialect."""


def native(
    each: Upstream,
    *,
    url: str = "http://up.invalid",
    defaults: str = "retries = 0",
    key: str = "native-secret-0123456789",
    provider: str = "",
    more: str = "",
) -> Config:
    """The model `m` at a provider of this dialect. Installations share their secret.

    `defaults` and `provider` are TOML in their tables, `more` is TOML behind all of it.
    """
    return parse_config(
        f"""
[server]
secret = "an installation's own secret"
[defaults]
{defaults}
[providers.up]
base_url = "{url}"
key = "{key}"
speaks = ["{each.dialect}"]
{provider}
[[models]]
model_id = "m"
route = "up/{each.model}"
{more}
"""
    )


def answered(each: Upstream, turn: int = 0, *, streamed: bool = False) -> Answer:
    """The turn's answer, whole or with an event in each read."""
    if streamed:
        return stream(*each.frames(turn))
    return whole(json.dumps(each.first if turn == 0 else each.second).encode())


def to_finish(each: Upstream) -> bytes:
    """The stream of the first turn up to the end of the frame that says how it ended."""
    frames = each.frames(0)
    last = next(index for index, frame in enumerate(frames) if MARKS[each.dialect] in frame)
    return b"".join(frames[: last + 1])


async def say(work: Work, **body: Any) -> bytes:
    """What a client with the tool gets."""
    return await work.call(**{"messages": [ASKED], "tools": [TOOL], **body}).body()


def sent(work: Work, index: int = -1) -> Any:
    """The body of a dispatch."""
    body = work.transport.requests[index].body
    assert body is not None
    return json.loads(body)


def status_and_param(error: GatewayError) -> tuple[int, str | None, str | None]:
    """Status, code and field that the client sees."""
    status, body = CHAT.encode_error(error)
    said = json.loads(body)["error"]
    return status, said["code"], said["param"]
