"""Edits to bodies that pass with their own bytes: what every dialect does to a request on its way to an upstream.

Only what routing needs, and what the provider would refuse or not understand, is touched (fields, and members of
them); the conversation is the client's affair. What is not edited keeps its bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any, Final

import orjson

from modelserver.ir.types import Ask
from modelserver.wire.json_splice import (
    Edit,
    append_member,
    elements,
    get_member,
    members,
    remove_members,
    splice,
)
from modelserver.wire.json_text import loads_lenient

NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})

FIELD_QUIRKS: Final = frozenset(("drop", "rename", "add", "allow"))
"""The quirks that concern the fields of a request in any dialect."""

EACH: Final = "[]"
"""The step of a path that stands for every element of a list."""

Steps = tuple[str, ...]
"""A path within a body."""
Change = Callable[[bytes], bytes]
"""The text of a value, edited."""


def target_edits(ask: Ask, target: str) -> list[Edit]:
    """What makes the target the model of a request whose body names one."""
    return [] if ask.model == target else [set_member(ask.wire, "model", orjson.dumps(target))]


def set_member(wire: bytes, key: str, text: bytes) -> Edit:
    """An edit that replaces the value of a member; the object must have it."""
    member = get_member(wire, key)
    return Edit(member.start, member.end, text)


def shifted(edits: Sequence[Edit], by: int) -> list[Edit]:
    """Edits of a text as edits of the longer one in which it begins at `by`."""
    return [Edit(edit.start + by, edit.end + by, edit.text) for edit in edits]


def param_edits(wire: bytes, parsed: Mapping[str, Any], params: Mapping[str, bytes]) -> list[Edit]:
    """What sets params, which are JSON text, where the client sent nothing, or null; `parsed` is what `wire` says."""
    edits: list[Edit] = []
    for name, text in params.items():
        if name not in parsed:
            edits.append(append_member(wire, name, text))
        elif parsed[name] is None:
            edits.append(set_member(wire, name, text))
    return edits


def params_as(params: Mapping[str, bytes], names: Mapping[str, str]) -> dict[str, bytes]:
    """The params that a dialect has, by its own names; `names` has these by those of Chat.

    Of two that lead to one field the first in `names` counts. Strings that end the answer are a list everywhere but in
    Chat, where one may stand alone.
    """
    fields: dict[str, bytes] = {}
    for name, field in names.items() if params else ():
        text = params.get(name, b"null")
        if text.strip() != b"null":
            is_one = name == "stop" and text.lstrip().startswith(b'"')
            fields.setdefault(field, b"[" + text + b"]" if is_one else text)
    return fields


def rename_model(body: bytes, model: str, *, even_null: bool = False) -> bytes:
    """A whole answer with its `model` replaced, every other byte kept; unchanged where it names none.

    With `even_null` a model that is there counts whatever it is.
    """
    parsed = loads_lenient(body)
    if "model" not in parsed or not (even_null or isinstance(parsed["model"], str)):
        return body
    return splice(body, [set_member(body, "model", orjson.dumps(model))])


def bend(
    wire: bytes, quirks: Mapping[str, Any], *, needed: Set[str], spell: Callable[[str], str] | None = None
) -> bytes:
    """The request with the quirks applied that concern fields, see `bend_fields`.

    `spell` gives the name by which the quirks know a member, where a client may write it in several ways.
    """
    if FIELD_QUIRKS.isdisjoint(quirks):
        return wire
    fields = orjson.loads(wire)
    aliases = NOTHING if spell is None else {key: spell(key) for key in fields}
    return bend_fields(wire, fields, quirks, needed=needed, aliases=aliases, spell=spell or str)


def bend_fields(
    wire: bytes,
    fields: Mapping[str, Any],
    quirks: Mapping[str, Any],
    *,
    needed: Set[str],
    aliases: Mapping[str, str] = NOTHING,
    spell: Callable[[str], str] = str,
    dropped: Sequence[Steps] = (),
    changes: Mapping[str, Change] = NOTHING,
) -> bytes:
    """The request as the provider needs it; `fields` is what `wire` says.

    In this order, which is that of translated requests: `aliases`, names that the dialect itself gives to fields;
    `drop`, and what else is `dropped`; `rename`; `allow`; `add` applies where the client sent nothing, or null. No
    quirk takes out the fields that are `needed` or puts others in their place: without them there is no request, or
    another one. `changes` are edits of the values of fields.
    """
    paths = [*map(steps_of, quirks.get("drop") or ()), *dropped]
    tops = {path[0] for path in paths if len(path) == 1}
    names = _names(fields, quirks, tops, needed, aliases)
    keys = {aliases.get(key, key): key for key in names}
    edited = _without_members(fields, keys, paths, spell)
    for key, change in changes.items():
        edited.setdefault(key, []).append(change)
    added = _added({name: fields[key] for key, name in names.items()}, quirks)
    if not edited and not added and len(names) == len(fields) and all(key == name for key, name in names.items()):
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
        elif key in edited:
            text = wire[start:end]
            for change in edited[key]:
                text = change(text)
            edits.append(Edit(start, end, text))
    edits += (append_member(wire, name, text) for name, text in added.items() if name not in present)
    return splice(wire, edits)


@lru_cache(maxsize=256)
def steps_of(path: str) -> Steps:
    """`tools[].function.strict` as tools, [], function, strict."""
    steps: list[str] = []
    for part in path.split("."):
        steps.append(part.removesuffix(EACH))
        if part.endswith(EACH):
            steps.append(EACH)
    return tuple(steps[:-1] if steps[-1] == EACH else steps)


def _names(
    fields: Mapping[str, Any],
    quirks: Mapping[str, Any],
    dropped: Set[str],
    needed: Set[str],
    aliases: Mapping[str, str],
) -> dict[str, str]:
    """The name that each field goes by, for those that go.

    Of several that lead to one name goes that which has it already, and none that is null if another is not.
    """
    renamed, allowed = quirks.get("rename") or {}, quirks.get("allow")
    holders: dict[str, str] = {}
    for key, value in fields.items():
        name = aliases.get(key, key)
        if name in dropped and name not in needed:
            continue
        name = renamed.get(name, name)
        if allowed is not None and name not in allowed and key not in needed:
            continue
        if name in needed and key not in needed:
            continue  # the model that is asked for was authorised, another one was not
        rival = holders.get(name)
        if rival is None or (value is not None and (key == name or fields[rival] is None)):
            holders[name] = key
    return {key: name for name, key in holders.items()}


def _without_members(
    fields: Mapping[str, Any], keys: Mapping[str, str], paths: Sequence[Steps], spell: Callable[[str], str]
) -> dict[str, list[Change]]:
    """What takes the members at the paths out of the values of fields; nothing where there are none."""
    changes: dict[str, list[Change]] = {}
    for path in paths:
        key, rest = keys.get(path[0]), path[1:]
        if rest and key is not None and _reaches(fields[key], rest, spell):
            changes.setdefault(key, []).append(partial(_without, path=rest, spell=spell))
    return changes


def _added(sent: Mapping[str, Any], quirks: Mapping[str, Any]) -> dict[str, bytes]:
    added = quirks.get("add") or {}
    return {name: orjson.dumps(value) for name, value in added.items() if sent.get(name) is None}


def _reaches(value: Any, path: Sequence[str], spell: Callable[[str], str]) -> bool:
    """Whether the value has a member at the path."""
    first, rest = path[0], path[1:]
    if first == EACH:
        return isinstance(value, list) and any(_reaches(each, rest, spell) for each in value)
    if not isinstance(value, dict):
        return False
    return any(spell(key) == first and (not rest or _reaches(member, rest, spell)) for key, member in value.items())


def _without(text: bytes, path: Sequence[str], spell: Callable[[str], str]) -> bytes:
    """The value without the members at the path."""
    first, rest = path[0], path[1:]
    if first == EACH:
        places = elements(text) if text.startswith(b"[") else []
    elif not text.startswith(b"{"):
        places = []
    else:
        found = [member for member in members(text) if spell(member.key) == first]
        if not rest:
            return splice(text, remove_members(text, {member.key for member in found}))
        places = [(member.start, member.end) for member in found]
    return splice(text, [Edit(start, end, _without(text[start:end], rest, spell)) for start, end in places])


def _key_length(wire: bytes, key_start: int, start: int) -> int:
    """Length of the key as it is written, quotes included."""
    return len(wire[key_start:start].rstrip().removesuffix(b":").rstrip())
