"""Ids and tool names that fit where they are sent: pure functions, so that a call and its result agree without a table.

fit_id          an id as a target takes it
mint_id         the id of a call that came without one
unique_ids      a history in which every call has its own id
derived_id      the id of a thing that the gateway answers
build_names     the tool names of one request, both ways
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final

import attrs

from modelserver.dialects.codec import WireTool
from modelserver.errors import InvalidRequest
from modelserver.ir.parts import Message, Part, ToolCall, ToolResult
from modelserver.ir.request import BuiltinTool, CustomTool, FunctionTool, HostedTool, Tool

_BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_DIGEST_DIGITS: Final = 43
"""Base-62 digits of 256 bits."""
_EXACT_LENGTH: Final = re.compile(r"\{(?:\d+,)?(\d+)\}\$?$")
_BARE_NAMESPACE: Final = "functions"
"""Its tools keep their bare names (theopenco/llmgateway issue 3613)."""

_Key = tuple[str | None, str]


def fit_id(id: str, *, pattern: str, maximum: int) -> str:
    """The id itself where the target takes it, else one made of its hash: the same for the same id.

    `pattern` is a regular expression for the whole id; a length that it ends in (`[a-zA-Z0-9]{9}`) is kept.
    """
    if 0 < len(id) <= maximum and re.fullmatch(pattern, id, re.DOTALL):
        return id
    exact = _EXACT_LENGTH.search(pattern)
    length = min(maximum, int(exact.group(1))) if exact else maximum
    return ("c" + _hash62(id))[:length]


def mint_id(response_id: str, choice: int, ordinal: int) -> str:
    """The id of a call that its provider left without: the same for the whole and the streamed form of an answer."""
    digest = hmac.digest(_bytes(response_id), f"{choice}/{ordinal}".encode(), "sha256")
    return "call_" + _base62(digest)[:22]


def derived_id(prefix: str, *parts: object, length: int = 24) -> str:
    """`prefix` and `length` (at most 43) base-62 digits that depend on the parts alone; they must be `str`-stable."""
    # Lengths before the texts: ("ab", "c") and ("a", "bc") are different things.
    named = "".join(f"{len(text)}:{text}" for text in map(str, parts))
    return prefix + _hash62(named)[:length]


def _hash62(text: str) -> str:
    return _base62(hashlib.sha256(_bytes(text)).digest())


def _base62(digest: bytes) -> str:
    number = int.from_bytes(digest)
    digits: list[str] = []
    for _ in range(_DIGEST_DIGITS):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def unique_ids(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The history with the second call of one id renamed `id#2`, the third `id#3`, and their results with them.

    Servers that restart counting at every response make such histories. Within one turn results follow the calls of
    their id in order; a result too many belongs to the last of them. What a message becomes depends on the ones before
    it only.
    """
    seen: set[str] = set()
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                if part.id in seen:
                    renaming = _Renaming()
                    return tuple(renaming.renamed(each) for each in messages)
                seen.add(part.id)
    return tuple(messages)


class _Renaming:
    """Walks a history in which an id stands for more than one call."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._uses: dict[str, int] = {}
        self._turn = 0
        self._in_turn = False
        self._open: dict[str, tuple[int, list[str]]] = {}
        self._latest: dict[str, str] = {}

    def renamed(self, message: Message) -> Message:
        if message.role == "assistant":
            self._turn += not self._in_turn
        self._in_turn = message.role == "assistant"
        parts = tuple(self._part(part) for part in message.parts)
        return message if parts == message.parts else attrs.evolve(message, parts=parts)

    def _part(self, part: Part) -> Part:
        if isinstance(part, ToolCall):
            id = self._take(part.id)
            return part if id == part.id else attrs.evolve(part, id=id)
        if isinstance(part, ToolResult):
            id = self._answer(part.call_id)
            return part if id == part.call_id else attrs.evolve(part, call_id=id)
        return part

    def _take(self, id: str) -> str:
        uses = self._uses.get(id, 0) + 1
        new = id if uses == 1 else f"{id}#{uses}"
        while new in self._taken:
            uses += 1
            new = f"{id}#{uses}"
        self._uses[id] = uses
        self._taken.add(new)
        turn, waiting = self._open.get(id, (0, []))
        # Calls of an earlier turn get no more results: those would be late.
        self._open[id] = (self._turn, [*waiting, new] if turn == self._turn else [new])
        self._latest[id] = new
        return new

    def _answer(self, id: str) -> str:
        turn, waiting = self._open.get(id, (0, []))
        if waiting:
            self._latest[id] = waiting[0]
            self._open[id] = (turn, waiting[1:])
        return self._latest.get(id, id)


@attrs.frozen(kw_only=True, slots=True)
class _Rule:
    """How a target spells tool names."""

    first: str
    rest: str
    maximum: int

    def spelled(self, name: str) -> str:
        """The name with what is illegal made legal; it may be another's."""
        if len(name) <= self.maximum and re.fullmatch(f"{self.first}{self.rest}*", name):
            return name
        legal = self._legal(name)
        return legal if len(legal) <= self.maximum else self.hashed(name)

    def hashed(self, name: str, turn: int = 0) -> str:
        """The name's beginning and its hash; another one for each `turn`."""
        digest = hashlib.sha256(_bytes(f"{name}#{turn}" if turn else name)).hexdigest()
        return f"{self._legal(name)[: self.maximum - 9]}_{digest[:8]}"

    def _legal(self, name: str) -> str:
        legal = re.sub(f"(?!{self.rest}).", "_", name, flags=re.DOTALL)
        return legal if re.match(self.first, legal) else f"_{legal}"


@attrs.frozen(kw_only=True, slots=True)
class NameMap:
    """The tool names of one request."""

    tools: Mapping[str, WireTool]
    """What each name on the wire stands for; names that only the history has included."""
    declared: tuple[Tool, ...]
    """The declarations in order, identical ones once."""
    _wires: Mapping[_Key, str]
    _rule: _Rule

    def wire(self, name: str, namespace: str | None = None) -> str:
        """The name to send; one that was neither declared nor called is only spelled legally."""
        found = self._wires.get(_key(name, namespace))
        if found is not None:
            return found
        flat = _flat(name, namespace)
        if namespace is None:
            # A tool choice names tools without their namespace, or by the name that we made of both.
            for (space, bare), wire in self._wires.items():
                if space is not None and (bare == name or _flat(bare, space) == name):
                    return wire
        return self._rule.spelled(flat)


def build_names(
    tools: Sequence[Tool],
    messages: Sequence[Message],
    *,
    pattern_first: str,
    pattern_rest: str,
    maximum: int,
    reserved: Collection[str] = (),
) -> NameMap:
    """Names for the declared tools in order, then for the tools that only occur in the history.

    The patterns are those of one character: the first, and every other. `reserved` are names that the encoder itself
    gives to something. Hosted tools have no name of the client's and only stay among the declared.

    Raises:
        InvalidRequest: Two declarations of one name differ.
    """
    building = _Building(_Rule(first=pattern_first, rest=pattern_rest, maximum=maximum), reserved)
    for index, tool in enumerate(tools):
        building.declare(tool, index)
    for message in messages:
        for part in message.parts:
            if isinstance(part, ToolCall):
                building.meet(part)
    return NameMap(tools=building.tools, declared=tuple(building.declared), wires=building.wires, rule=building.rule)


class _Building:
    """Fills a name map; who comes first has the plain name."""

    def __init__(self, rule: _Rule, reserved: Collection[str]) -> None:
        self.rule = rule
        self.wires: dict[_Key, str] = {}
        self.tools: dict[str, WireTool] = {}
        self.declared: list[Tool] = []
        self._reserved = reserved
        self._declarations: dict[_Key, Tool] = {}
        self._flat: dict[str, str] = {}

    def declare(self, tool: Tool, index: int) -> None:
        if isinstance(tool, HostedTool):
            self.declared.append(tool)
            return
        namespace = None if isinstance(tool, BuiltinTool) else tool.namespace
        key = _key(tool.name, namespace)
        earlier = self._declarations.get(key)
        if earlier is None:
            self._declarations[key] = tool
            self.declared.append(tool)
            self._add(key, namespace, _kind(tool))
        elif not _is_same(earlier, tool):
            at = f"tools[{index}]"
            raise InvalidRequest(f"{at} has the name of an earlier tool but is another one; rename it.", param=at)

    def meet(self, call: ToolCall) -> None:
        key = _key(call.name, call.namespace)
        if key in self.wires:
            return
        known = self._flat.get(_flat(call.name, call.namespace))
        if known is not None and call.namespace is None:
            self.wires[key] = known  # the client dropped the namespace and kept the name that we made
        else:
            self._add(key, call.namespace, call.kind)

    def _add(self, key: _Key, namespace: str | None, kind: str) -> None:
        flat = _flat(key[1], key[0])
        wire = self.rule.spelled(flat)
        turn = 0
        while wire in self.tools or wire in self._reserved:
            wire = self.rule.hashed(flat, turn)
            turn += 1
        self.wires[key] = wire
        self._flat.setdefault(flat, wire)
        self.tools[wire] = WireTool(name=key[1], namespace=namespace, kind=kind)  # type: ignore[arg-type]


def _key(name: str, namespace: str | None) -> _Key:
    return (None if not namespace or namespace == _BARE_NAMESPACE else namespace), name


def _flat(name: str, namespace: str | None) -> str:
    return name if not namespace or namespace == _BARE_NAMESPACE else f"{namespace}__{name}"


def _kind(tool: FunctionTool | CustomTool | BuiltinTool) -> str:
    match tool:
        case CustomTool():
            return "custom"
        case BuiltinTool():
            return "client_builtin"
        case FunctionTool():
            return "function"


def _is_same(one: Tool, other: Tool) -> bool:
    """Whether two declarations of one name say the same; where the prompt cache ends is no part of a tool."""
    if one == other:
        return True
    if not isinstance(one, FunctionTool) or not isinstance(other, FunctionTool):
        return False
    return attrs.evolve(one, cache=None, namespace=None) == attrs.evolve(other, cache=None, namespace=None)
