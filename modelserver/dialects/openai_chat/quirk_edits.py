"""What a provider's quirks change in the request of a client that speaks the dialect too: text edits, nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from modelserver.dialects.forwarding import EACH, FIELD_QUIRKS, Change, Steps, bend_fields
from modelserver.wire.json_splice import Edit, elements, members, splice

REQUEST_QUIRKS: Final = FIELD_QUIRKS | {"max_tokens_field", "developer_role", "parallel_field", "strict_tools"}
"""The quirks that edit a request; all others concern translated ones, or answers."""

_NEEDED: Final = frozenset(("model", "messages", "stream"))
_LIMITS: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}


def bend(wire: bytes, fields: Mapping[str, Any], quirks: Mapping[str, Any]) -> bytes:
    """The request as the provider needs it; `fields` is what `wire` says.

    Limits and fields that the provider has no word for come before the quirks of `bend_fields`.
    """
    limit = quirks.get("max_tokens_field", "")
    other = _LIMITS.get(limit)
    dropped: list[Steps] = []
    if quirks.get("parallel_field") is False:
        dropped.append(("parallel_tool_calls",))
    if quirks.get("strict_tools") is False:
        dropped.append(("tools", EACH, "function", "strict"))
    changes: dict[str, Change] = {}
    messages = fields["messages"]
    if quirks.get("developer_role") is False and any(message.get("role") == "developer" for message in messages):
        changes["messages"] = _without_developers
    return bend_fields(
        wire,
        fields,
        quirks,
        needed=_NEEDED,
        aliases={} if other is None else {other: limit},
        dropped=dropped,
        changes=changes,
    )


def _without_developers(text: bytes) -> bytes:
    """The messages, with those of the developer as the system's."""
    edits: list[Edit] = []
    for at, end in elements(text):
        for member in members(text[at:end]):
            start, stop = at + member.start, at + member.end
            if member.key == "role" and orjson.loads(text[start:stop]) == "developer":
                edits.append(Edit(start, stop, b'"system"'))
    return splice(text, edits)
