"""Requests to the Gemini API, written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote

import attrs

from modelserver.dialects.codec import Encoded, Reading
from modelserver.dialects.gemini.content import ContentWriter, readable
from modelserver.dialects.gemini.options import emulation, encode_config, is_emulated
from modelserver.dialects.gemini.tools import WireTools, encode_tools
from modelserver.dialects.gemini.vocab import TIERS_ASKED
from modelserver.dialects.names import NameMap, build_names
from modelserver.dialects.quirks import apply_quirks
from modelserver.dialects.shaping import shape_for_turns
from modelserver.errors import Unsupported
from modelserver.ir.parts import DialectName, Text
from modelserver.ir.profile import Profile
from modelserver.ir.request import Loss, Request
from modelserver.wire.json_text import dumps_exact

NEEDED: Final = frozenset(("contents", "model"))
_PATHS: Final[Mapping[DialectName, str]] = {"responses": "input", "gemini": "contents"}
"""Where a client's conversation stands in its body; the others call it `messages`."""


def encode_request(request: Request, profile: Profile) -> Encoded:
    """The request for this target.

    Raises:
        Unsupported: Something is asked for that must not be left out and can't be said.
    """
    losses: list[Loss] = []
    if request.dialect != "gemini":
        _check_foreign(request, losses)
    path = _PATHS.get(request.dialect, "messages")
    asked = request
    # Seals first: a part that goes with its seal must be gone before turns are joined.
    request = attrs.evolve(request, messages=readable(request, profile, losses, path=path))
    request = shape_for_turns(request, mid_system=False, keep_signed=True, losses=losses, path=path)
    names = build_names(
        request.tools, request.messages, pattern_first="[a-zA-Z_]", pattern_rest="[a-zA-Z0-9_.:-]", maximum=128
    )
    tools = encode_tools(request, profile, names, losses)
    body = _body(request, profile, names, tools, losses, path)
    if losses and profile.refuse_losses:
        raise Unsupported(
            f"{losses[0].path}: this model can't do it ({losses[0].code}).",
            param=losses[0].path,
            code="unsupported_parameter",
        )
    path, query = place(profile.model, request.stream)
    return Encoded(
        path=path,
        query=query,
        body=dumps_exact(apply_quirks(body, profile.quirks, needed=NEEDED)),
        losses=tuple(dict.fromkeys(losses)),
        reading=Reading(request=asked, profile=profile, tools=names.tools),
    )


def _body(
    request: Request, profile: Profile, names: NameMap, tools: WireTools, losses: list[Loss], path: str
) -> dict[str, Any]:
    """The body of a shaped request."""
    system = request.system
    if request.format is not None and is_emulated(request.format, profile, tools.has_functions):
        system = (*system, Text(text=emulation(request.format)))
        losses.append(Loss(path="response_format", code="json_mode_emulated"))
    body: dict[str, Any] = {"contents": ContentWriter(request, profile, names, losses, path).contents(request.messages)}
    if system:
        body["systemInstruction"] = {"parts": [{"text": part.text} for part in system]}
    if tools.tools:
        body["tools"] = tools.tools
    if tools.config is not None:
        body["toolConfig"] = tools.config
    config = encode_config(request, profile, tools.has_functions, losses)
    if config:
        body["generationConfig"] = config
    _add_tier(body, request, losses)
    if request.resume is not None:
        body["continuationToken"] = request.resume
    if request.dialect == "gemini":
        _merge(body, request.extra)
    return body


def place(model: str, stream: bool) -> tuple[str, Mapping[str, str]]:
    """Path and query of a request for an answer; a stream is always asked for as events."""
    if stream:
        return path_of(model, "streamGenerateContent"), {"alt": "sse"}
    return path_of(model, "generateContent"), {}


def path_of(model: str, method: str) -> str:
    """The path of a method of a model."""
    kind, name = "models", model.removeprefix("models/")
    if name.startswith("tunedModels/"):
        kind, name = "tunedModels", name.removeprefix("tunedModels/")
    return f"/v1beta/{kind}/{quote(name, safe='')}:{method}"


def _check_foreign(request: Request, losses: list[Loss]) -> None:
    """What a client of another dialect can't have here, refused or said."""
    for rejected in request.rejected:
        raise _unsupported(rejected.param, rejected.why)
    state = request.state
    if state is not None:
        for name, value in (
            ("previous_response_id", state.previous_response_id),
            ("conversation", state.conversation),
            ("background", state.background),
            ("input", state.item_references),
        ):
            if value:
                raise _unsupported(name, "is not supported for this model: send the whole input with store=false")
    losses.extend(Loss(path=ignored.name, code=f"field_dropped:{ignored.name}") for ignored in request.ignored)


def _unsupported(param: str, why: str) -> Unsupported:
    return Unsupported(f"{param}: {why}", param=param, code="unsupported_parameter")


def _add_tier(body: dict[str, Any], request: Request, losses: list[Loss]) -> None:
    tier = request.service_tier
    if tier in (None, "auto"):
        return
    word = TIERS_ASKED.get(tier or "")
    if word is not None:
        body["serviceTier"] = word
    else:
        losses.append(Loss(path="service_tier", code="service_tier_dropped"))


def _merge(body: dict[str, Any], extra: Mapping[str, Any]) -> None:
    """Put the client's own unmapped fields where they stood."""
    for key, value in extra.items():
        inner = body.get(key)
        if isinstance(inner, dict) and isinstance(value, dict):
            merged = dict(inner)
            _merge(merged, value)
            body[key] = merged
        else:
            body[key] = value
