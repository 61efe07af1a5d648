"""Counting the tokens of a request: `countTokens`, with the conversation alone or a whole request inside."""

from __future__ import annotations

from typing import Any, Final

import attrs

from modelserver.dialects.answers import invalid, read_object
from modelserver.dialects.codec import Encoded
from modelserver.dialects.dialect import Endpoint
from modelserver.dialects.forwarding import shifted
from modelserver.dialects.gemini.ask import decode_request as decode_generation
from modelserver.dialects.gemini.errors import read_complaint
from modelserver.dialects.gemini.fields import FIELDS, MODEL, check_fields, check_request, spellings
from modelserver.dialects.gemini.relay import model_at, model_edits, resource_name
from modelserver.dialects.gemini.request import encode_request as encode_generation
from modelserver.dialects.gemini.request import path_of
from modelserver.dialects.gemini.vocab import camel
from modelserver.dialects.reading import Json, check_object, check_once, check_spelling, join, missing, parse_body
from modelserver.ir.profile import Profile
from modelserver.ir.request import Request
from modelserver.ir.types import Address, Ask, Complaint
from modelserver.ir.usage import count
from modelserver.wire.json_splice import get_member, splice
from modelserver.wire.json_text import dumps_exact, loads_exact

_INNER: Final = "generateContentRequest"
_COUNTED: Final = frozenset(("contents", "systemInstruction", "tools", "toolConfig", "generationConfig"))
"""Fields that the counter knows (ai.google.dev/api/tokens, read 2026-11-23)."""


def _check_inner(value: Any, path: str) -> None:
    check_object(value, path)
    check_fields(value, FIELDS, path)
    check_spelling(value, MODEL, path)
    if value.get("contents") is None:
        raise missing(join(path, "contents"))


_FIELDS: Final = {**FIELDS, _INNER: _check_inner}
_NAMES: Final = spellings(_FIELDS)


def read_request(wire: bytes, address: Address) -> Ask:
    """A checked request for a count; the model stands in its path.

    Raises:
        InvalidRequest: It is not JSON, a field is wrong, or one that is read here stands twice.
    """
    parsed = parse_body(wire)
    check_request(wire, parsed, _FIELDS, _NAMES)
    key = _inner_key(parsed)
    if key is None:
        if parsed.get("contents") is None:
            raise missing("contents")
    else:
        member = get_member(wire, key)
        check_once(wire[member.start : member.end], parsed[key], MODEL, key)
    return Ask(model=model_at(address), stream=False, wants_usage=False, wire=wire, parsed=parsed)


def _inner_key(parsed: Json) -> str | None:
    """The name under which a whole request stands; None where there is none."""
    return next((key for key, value in parsed.items() if value is not None and camel(key) == _INNER), None)


def forward(ask: Ask, target: str) -> bytes:
    """The client's bytes, every model that they name being the target."""
    wire, parsed = ask.wire, ask.parsed
    edits = model_edits(wire, parsed, target)
    key = _inner_key(parsed)
    if key is not None:
        member = get_member(wire, key)
        edits += shifted(model_edits(wire[member.start : member.end], parsed[key], target), member.start)
    return splice(wire, edits) if edits else wire


def place(target: str) -> Endpoint:
    """Where a count is asked for."""
    return path_of(target, "countTokens"), {}


def read_answer(body: bytes) -> int | Complaint:
    """The count; 0 where it is left out, as protobuf JSON may do with a zero.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it is no count.
    """
    parsed = read_object(body)
    if parsed.get("error"):
        return read_complaint(200, parsed)
    tokens = count(parsed.get("totalTokens", 0))
    if tokens is None:
        raise invalid("has no count")
    return tokens


def decode_request(body: bytes) -> Request:
    """The request whose tokens are to be counted.

    Raises:
        InvalidRequest: The body is malformed.
    """
    key = _inner_key(parse_body(body))
    if key is not None:
        member = get_member(body, key)
        body = body[member.start : member.end]
    return decode_generation(body)


def encode_request(request: Request, profile: Profile) -> Encoded:
    """The request for a count by this target: a whole one, so that system and tools count too.

    Raises:
        Unsupported: Something is asked for that must not be left out and can't be said.
    """
    encoded = encode_generation(request, profile)
    counted = {key: value for key, value in loads_exact(encoded.body).items() if key in _COUNTED}
    path, query = place(profile.model)
    body = dumps_exact({_INNER: {"model": resource_name(profile.model), **counted}})
    return attrs.evolve(encoded, path=path, query=query, body=body)


def encode_answer(tokens: int) -> bytes:
    """The answer for a client."""
    return dumps_exact({"totalTokens": tokens})
