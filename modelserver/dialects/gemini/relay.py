"""Requests and whole answers that pass between a client and an upstream of this dialect with their own bytes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from modelserver.dialects.answers import invalid, read_json
from modelserver.dialects.dialect import WholeAnswer
from modelserver.dialects.forwarding import NOTHING, bend, params_as, set_member, shifted
from modelserver.dialects.gemini.errors import encode_error_event
from modelserver.dialects.gemini.fields import FIELDS, NAMES, check_request
from modelserver.dialects.gemini.relay_stream import GeminiEventReader
from modelserver.dialects.gemini.request import NEEDED
from modelserver.dialects.gemini.vocab import camel
from modelserver.dialects.reading import Json, missing, parse_body
from modelserver.dialects.relaying import member_of
from modelserver.ir.types import Address, Ask, Complaint
from modelserver.wire.json_splice import Edit, append_member, elements, get_member, splice
from modelserver.wire.json_text import loads_lenient

_CONFIG_NAMES: Final[Mapping[str, str]] = {
    "temperature": "temperature",
    "top_p": "topP",
    "top_k": "topK",
    "max_completion_tokens": "maxOutputTokens",
    "max_tokens": "maxOutputTokens",
    "stop": "stopSequences",
    "seed": "seed",
    "presence_penalty": "presencePenalty",
    "frequency_penalty": "frequencyPenalty",
}
"""Fields of Chat that `generationConfig` has."""


def read_request(wire: bytes, address: Address) -> Ask:
    """A checked request; model and stream stand in its path.

    Raises:
        InvalidRequest: It is not JSON, a field is wrong, or one that is read here stands twice.
    """
    parsed = parse_body(wire)
    check_request(wire, parsed, FIELDS, NAMES)
    if parsed.get("contents") is None:
        raise missing("contents")
    return Ask(model=model_at(address), stream=address.stream, wants_usage=address.stream, wire=wire, parsed=parsed)


def model_at(address: Address) -> str:
    """The model that a path names.

    Raises:
        InvalidRequest: It names none.
    """
    model = (address.model or "").removeprefix("models/")
    if not model:
        raise missing("model")
    return model


def forward(
    ask: Ask,
    *,
    target: str,
    params: Mapping[str, bytes],
    ask_usage: bool,
    drop_options: bool,
    quirks: Mapping[str, Any] = NOTHING,
) -> bytes:
    """See `Forward`; usage is always reported, and there are no options for it."""
    edits = [*model_edits(ask.wire, ask.parsed, target), *_config_edits(ask, params)]
    wire = splice(ask.wire, edits) if edits else ask.wire
    return bend(wire, quirks, needed=NEEDED, spell=camel)


def model_edits(wire: bytes, parsed: Json, target: str) -> list[Edit]:
    """The edit that has a body name the target, where it names a model: the path is what counts, but who knows."""
    name = resource_name(target)
    if parsed.get("model") in (None, name):
        return []
    return [set_member(wire, "model", orjson.dumps(name))]


def resource_name(target: str) -> str:
    """A model's name as bodies have it."""
    return target if target.startswith(("models/", "tunedModels/")) else f"models/{target}"


def _config_edits(ask: Ask, params: Mapping[str, bytes]) -> list[Edit]:
    """Edits that put params into the `generationConfig`, where it lacks them."""
    fields = params_as(params, _CONFIG_NAMES)
    if not fields:
        return []
    wire = ask.wire
    key = next((key for key in ask.parsed if camel(key) == "generationConfig"), None)
    if key is None:
        return [append_member(wire, "generationConfig", _object_of(fields))]
    config = ask.parsed[key]
    member = get_member(wire, key)
    if not config:
        return [Edit(member.start, member.end, _object_of(fields))]
    text = wire[member.start : member.end]
    edits: list[Edit] = []
    for field, value in fields.items():
        spelt = [name for name in config if camel(name) == field]
        if not spelt:
            edits.append(append_member(text, field, value))
        elif all(config[name] is None for name in spelt):
            edits.append(set_member(text, spelt[-1], value))
    return shifted(edits, member.start)


def _object_of(fields: Mapping[str, bytes]) -> bytes:
    return b"{" + b",".join(orjson.dumps(name) + b":" + value for name, value in fields.items()) + b"}"


def read_answer(body: bytes) -> WholeAnswer | Complaint:
    """What a body of status 200 says: an answer, or an error that came in spite of the status.

    A list is what a stream without events is; its chunks are read like those of one.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it is neither.
    """
    parsed = read_json(body)
    chunks = parsed if isinstance(parsed, list) else [parsed]
    reader = GeminiEventReader(encode_error_event)
    for chunk in chunks:
        if not isinstance(chunk, dict):
            raise invalid("is not a JSON object")
        complaint = reader.read(chunk)
        if complaint is not None:
            return complaint
    if not reader.has_answer:
        raise invalid("has no candidates")
    return WholeAnswer(
        parsed=parsed if isinstance(parsed, dict) else {"chunks": parsed},
        usage=reader.usage,
        output_chars=reader.output_chars,
    )


def rename(body: bytes, model: str) -> bytes:
    """A whole answer with its `modelVersion` replaced, every other byte kept; unchanged where it names none."""
    parsed = loads_lenient(body)
    if isinstance(parsed, dict):
        places = [(0, len(body), parsed)]
    else:
        places = [(start, end, chunk) for (start, end), chunk in zip(elements(body), parsed, strict=True)]
    name = orjson.dumps(model)
    edits: list[Edit] = []
    for start, end, chunk in places:
        member = member_of(body[start:end], chunk, "modelVersion")
        if member is not None:
            edits += shifted([Edit(member.start, member.end, name)], start)
    return splice(body, edits)
