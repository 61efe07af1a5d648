"""Counting the tokens of a request: "Count tokens in a Message", Anthropic API reference, read 2026-11-24."""

from __future__ import annotations

from typing import Any, Final

import attrs
import orjson

from modelserver.dialects.answers import invalid, read_object
from modelserver.dialects.anthropic import answer, client_request, request
from modelserver.dialects.anthropic.client_tools import CLIENT_RUN
from modelserver.dialects.anthropic.relay import read_prompt
from modelserver.dialects.anthropic.vocab import COUNT_PATH
from modelserver.dialects.codec import Encoded
from modelserver.dialects.dialect import Endpoint
from modelserver.dialects.forwarding import target_edits
from modelserver.ir.profile import Profile
from modelserver.ir.request import Request
from modelserver.ir.types import NOWHERE, Address, Ask, Complaint
from modelserver.ir.usage import count
from modelserver.wire.json_splice import splice
from modelserver.wire.json_text import dumps_exact, loads_exact

_COUNTED: Final = frozenset(
    (
        "model",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "output_format",
        "cache_control",
        "context_management",
        "speed",
    )
)
"""The fields that counting takes (`MessageCountTokensParams` of `anthropic`, beta fields too) and that count here."""


def read_request(wire: bytes, address: Address = NOWHERE) -> Ask:
    """A checked request for a count: that for a message, which is never streamed, without a limit of the answer.

    Raises:
        InvalidRequest: As `relay.read_request`.
        Unsupported: As `relay.read_request`.
    """
    return attrs.evolve(read_prompt(wire), stream=False, wants_usage=False)


def forward(ask: Ask, target: str) -> bytes:
    """The client's bytes with the target as the model."""
    return splice(ask.wire, target_edits(ask, target))


def place(target: str) -> Endpoint:
    """Where a request for a count goes."""
    return COUNT_PATH, {}


def read_answer(body: bytes) -> int | Complaint:
    """The count in a body of status 200, or an error that came in spite of the status.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it holds no count.
    """
    parsed = read_object(body)
    if answer.is_complaint(parsed):
        return answer.read_complaint(200, parsed)
    tokens = count(parsed.get("input_tokens"))
    if tokens is None:
        raise invalid("has no count of tokens")
    return tokens


def decode_request(body: bytes) -> Request:
    """The request in a body.

    Raises:
        InvalidRequest: It is malformed.
        Unsupported: It continues a thread.
    """
    return client_request.decode_request(body, counting=True)


def encode_request(wanted: Request, profile: Profile) -> Encoded:
    """The request for a message, as far as its tokens can be counted: counting takes no hosted tools.

    Raises:
        Unsupported: As `request.encode_request`.
        InvalidRequest: As `request.encode_request`.
    """
    encoded = request.encode_request(wanted, profile)
    body = {key: value for key, value in loads_exact(encoded.body).items() if key in _COUNTED}
    _leave_out_hosted(body)
    return attrs.evolve(encoded, path=COUNT_PATH, body=dumps_exact(body))


def encode_answer(tokens: int) -> bytes:
    """The answer to a client of this API."""
    return orjson.dumps({"input_tokens": tokens})


def _leave_out_hosted(body: dict[str, Any]) -> None:
    declared = body.pop("tools", None)
    if declared is None:
        return
    tools = [tool for tool in declared if not _is_hosted(tool)]
    if tools:
        body["tools"] = tools
    choice = body.get("tool_choice")
    if choice is not None:
        chosen = choice.get("name")
        if not tools or (chosen is not None and all(tool.get("name") != chosen for tool in tools)):
            del body["tool_choice"]


def _is_hosted(tool: dict[str, Any]) -> bool:
    kind = tool.get("type") or "custom"
    return kind != "custom" and not kind.startswith(CLIENT_RUN)
