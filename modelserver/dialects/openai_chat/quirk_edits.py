"""What a provider's quirks change in the request of a client that speaks the dialect too: text edits, nothing more.

Only what the provider would refuse or not understand is touched (fields, and words for one of them); the conversation
is the client's affair. What is not edited keeps its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from functools import lru_cache, partial
from typing import Any, Final

import orjson

from modelserver.wire.json_splice import Edit, append_member, elements, members, remove_members, splice

REQUEST_QUIRKS: Final = frozenset(
    ("drop", "rename", "add", "allow", "max_tokens_field", "developer_role", "parallel_field", "strict_tools")
)
"""The quirks that edit a request; all others concern translated ones, or answers."""

_RESERVED: Final = frozenset(("model", "messages", "stream"))
"""Fields that no list keeps back: without them there is no request, or another one."""
_LIMITS: Final = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_EACH: Final = "[]"

Change = Callable[[bytes], bytes]
"""The text of a value, edited."""


def bend(wire: bytes, fields: Mapping[str, Any], quirks: Mapping[str, Any]) -> bytes:
    """The request as the provider needs it; `fields` is what `wire` says.

    In this order, which is that of translated requests: limits and fields that the provider has no word for, `drop`,
    `rename`, `allow`; `add` applies where the client sent nothing, or null.
    """
    paths = _dropped(quirks)
    names = _names(fields, quirks, {path[0] for path in paths if len(path) == 1})
    changes = _changes(fields, names, quirks, paths)
    added = _added({name: fields[key] for key, name in names.items()}, quirks)
    if not changes and not added and len(names) == len(fields) and all(key == name for key, name in names.items()):
        return wire
    edits = remove_members(wire, fields.keys() - names.keys())
    present = set()
    for key, key_start, start, end in members(wire):
        name = names.get(key)
        if name is None:
            continue
        if name != key:
            edits.append(Edit(key_start, key_start + _key_length(wire, key_start, start), orjson.dumps(name)))
        if name in added:
            present.add(name)
            edits.append(Edit(start, end, added[name]))
        elif key in changes:
            text = wire[start:end]
            for change in changes[key]:
                text = change(text)
            edits.append(Edit(start, end, text))
    edits += (append_member(wire, name, text) for name, text in added.items() if name not in present)
    return splice(wire, edits)


def _dropped(quirks: Mapping[str, Any]) -> list[tuple[str, ...]]:
    paths = [_steps(path) for path in quirks.get("drop") or ()]
    if quirks.get("parallel_field") is False:
        paths.append(("parallel_tool_calls",))
    if quirks.get("strict_tools") is False:
        paths.append(("tools", _EACH, "function", "strict"))
    return paths


@lru_cache(maxsize=256)
def _steps(path: str) -> tuple[str, ...]:
    """`tools[].function.strict` as tools, [], function, strict."""
    steps: list[str] = []
    for part in path.split("."):
        steps.append(part.removesuffix(_EACH))
        if part.endswith(_EACH):
            steps.append(_EACH)
    return tuple(steps[:-1] if steps[-1] == _EACH else steps)


def _names(fields: Mapping[str, Any], quirks: Mapping[str, Any], dropped: Set[str]) -> dict[str, str]:
    """The name that each field goes by, for those that go.

    Of several that lead to one name goes that which has it already, and none that is null if another is not.
    """
    limit, renamed, allowed = quirks.get("max_tokens_field", ""), quirks.get("rename") or {}, quirks.get("allow")
    other = _LIMITS.get(limit)
    holders: dict[str, str] = {}
    for key, value in fields.items():
        name = limit if key == other else key
        if name in dropped and name not in _RESERVED:
            continue
        name = renamed.get(name, name)
        if allowed is not None and name not in allowed and key not in _RESERVED:
            continue
        if name in _RESERVED and key not in _RESERVED:
            continue  # the model that is asked for was authorised, another one was not
        rival = holders.get(name)
        if rival is None or (value is not None and (key == name or fields[rival] is None)):
            holders[name] = key
    return {key: name for name, key in holders.items()}


def _changes(
    fields: Mapping[str, Any], names: Mapping[str, str], quirks: Mapping[str, Any], paths: Sequence[tuple[str, ...]]
) -> dict[str, list[Change]]:
    """What is to be done to the values of fields; nothing where nothing would change."""
    changes: dict[str, list[Change]] = {}
    for path in paths:
        key, rest = path[0], path[1:]
        if rest and key in names and _reaches(fields[key], rest):
            changes.setdefault(key, []).append(partial(_without, path=rest))
    messages = fields["messages"]
    if quirks.get("developer_role") is False and any(message.get("role") == "developer" for message in messages):
        changes.setdefault("messages", []).append(_without_developers)
    return changes


def _added(sent: Mapping[str, Any], quirks: Mapping[str, Any]) -> dict[str, bytes]:
    added = quirks.get("add") or {}
    return {name: orjson.dumps(value) for name, value in added.items() if sent.get(name) is None}


def _reaches(value: Any, path: Sequence[str]) -> bool:
    """Whether the value has a member at the path."""
    first, rest = path[0], path[1:]
    if first == _EACH:
        return isinstance(value, list) and any(_reaches(each, rest) for each in value)
    if not isinstance(value, dict) or first not in value:
        return False
    return not rest or _reaches(value[first], rest)


def _without(text: bytes, path: Sequence[str]) -> bytes:
    """The value without the members at the path."""
    first, rest = path[0], path[1:]
    if first == _EACH:
        places = elements(text) if text.startswith(b"[") else []
    elif not text.startswith(b"{"):
        places = []
    elif rest:
        places = [(member.start, member.end) for member in members(text) if member.key == first]
    else:
        return splice(text, remove_members(text, {first}))
    return splice(text, [Edit(start, end, _without(text[start:end], rest)) for start, end in places])


def _without_developers(text: bytes) -> bytes:
    """The messages, with those of the developer as the system's."""
    edits: list[Edit] = []
    for at, end in elements(text):
        for member in members(text[at:end]):
            start, stop = at + member.start, at + member.end
            if member.key == "role" and orjson.loads(text[start:stop]) == "developer":
                edits.append(Edit(start, stop, b'"system"'))
    return splice(text, edits)


def _key_length(wire: bytes, key_start: int, start: int) -> int:
    """Length of the key as it is written, quotes included."""
    return len(wire[key_start:start].rstrip().removesuffix(b":").rstrip())
