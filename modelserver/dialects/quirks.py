"""Deviations of a provider, applied to a body that is otherwise complete."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any


def apply_quirks(body: dict[str, Any], quirks: Mapping[str, Any], *, needed: Collection[str]) -> dict[str, Any]:
    """The body with fields dropped, renamed, restricted and, where they are missing, added as the provider needs it.

    The fields that are `needed` stay whatever the quirks say: without them there is no request, or another one.
    """
    for path in quirks.get("drop") or ():
        if path not in needed:
            body = _without(body, path.split("."))
    renamed = quirks.get("rename") or {}
    if renamed:
        body = {key if key in needed else renamed.get(key, key): value for key, value in body.items()}
    allowed = quirks.get("allow")
    if allowed is not None:
        body = {key: value for key, value in body.items() if key in allowed or key in needed}
    missing = {key: value for key, value in (quirks.get("add") or {}).items() if body.get(key) is None}
    return {**body, **missing} if missing else body


def _without(value: Any, path: list[str]) -> Any:
    """A copy of the value without the member at a path like `tools[].function.strict`."""
    if not isinstance(value, Mapping):
        return value
    key = path[0].removesuffix("[]")
    if key not in value:
        return value
    if len(path) == 1:
        return {name: member for name, member in value.items() if name != key}
    inner = value[key]
    if path[0].endswith("[]"):
        changed = [_without(each, path[1:]) for each in inner] if isinstance(inner, list) else inner
    else:
        changed = _without(inner, path[1:])
    return {**value, key: changed}
