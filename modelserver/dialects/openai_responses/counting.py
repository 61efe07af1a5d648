"""Counting the tokens of a request: "Get input token counts", OpenAI API reference, read 2026-11-24."""

from __future__ import annotations

from typing import Final

import attrs
import orjson

from modelserver.dialects.answers import invalid, read_object
from modelserver.dialects.codec import Encoded
from modelserver.dialects.dialect import Endpoint
from modelserver.dialects.forwarding import target_edits
from modelserver.dialects.openai_responses import relay, request
from modelserver.dialects.openai_responses.report import read_failure
from modelserver.dialects.openai_responses.vocab import COUNT_PATH
from modelserver.ir.profile import Profile
from modelserver.ir.request import Request
from modelserver.ir.types import NOWHERE, Address, Ask, Complaint
from modelserver.ir.usage import count
from modelserver.wire.json_splice import splice
from modelserver.wire.json_text import dumps_exact, loads_exact

COUNTED: Final = frozenset(
    (
        "model",
        "input",
        "instructions",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "reasoning",
        "text",
        "truncation",
        "previous_response_id",
        "conversation",
        "personality",
    )
)
"""The fields that counting takes (`openai.types.responses.InputTokenCountParams`)."""


def read_request(wire: bytes, address: Address = NOWHERE) -> Ask:
    """A checked request for a count: that for a response, which is never streamed.

    Raises:
        InvalidRequest: As `relay.read_request`.
        Unsupported: As `relay.read_request`.
    """
    return attrs.evolve(relay.read_request(wire, address), stream=False, wants_usage=False)


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
    if parsed.get("error"):
        return read_failure(parsed)
    tokens = count(parsed.get("input_tokens"))
    if tokens is None:
        raise invalid("has no count of tokens")
    return tokens


def encode_request(wanted: Request, profile: Profile) -> Encoded:
    """The request for a response, as far as counting takes it.

    Raises:
        Unsupported: As `request.encode_request`.
        InvalidRequest: As `request.encode_request`.
    """
    encoded = request.encode_request(wanted, profile)
    body = {key: value for key, value in loads_exact(encoded.body).items() if key in COUNTED}
    return attrs.evolve(encoded, path=COUNT_PATH, body=dumps_exact(body))


def encode_answer(tokens: int) -> bytes:
    """The answer to a client of this API."""
    return orjson.dumps({"object": "response.input_tokens", "input_tokens": tokens})
