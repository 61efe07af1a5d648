"""Reasoning that Chat clients don't send back, kept for the next request of the conversation."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import attrs

from modelserver.ir.parts import Part, Reasoning, Seal, Text, ToolCall

_ENTRY_BYTES: Final = 1024
"""What an entry weighs beside its texts: keys, values, the objects of its parts."""

_Key = tuple[str, str]


@attrs.frozen(kw_only=True, slots=True)
class _Entry:
    parts: tuple[Part, ...]
    weight_bytes: int
    written_s: float


class SideStore:
    """The parts of an assistant turn by tenant and call id; in memory only, and it may forget at any time.

    An entry lives for `max_age_s` from when it was written, however often it is read. When `max_bytes` are full, what
    was not used for longest goes. A store of 0 bytes keeps nothing.
    """

    def __init__(self, max_bytes: int = 64 * 2**20, max_age_s: float = 7200.0) -> None:
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        """The least recently used first."""
        self._written: dict[_Key, float] = {}
        """The first written first."""
        self._held_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def held_bytes(self) -> int:
        """The weight of what is kept, about."""
        return self._held_bytes

    def put(self, tenant: str, call_id: str, parts: Sequence[Part], now_s: float) -> None:
        """Keep the parts in place of earlier ones of this call; parts too heavy for the store are not kept."""
        key = (tenant, call_id)
        self._remove(key)
        self._expire(now_s)
        weight_bytes = _ENTRY_BYTES + sum(map(sys.getsizeof, key)) + sum(map(_weight, parts))
        if not parts or weight_bytes > self._max_bytes:
            return
        while self._held_bytes + weight_bytes > self._max_bytes:
            self._remove(next(iter(self._entries)))
        self._entries[key] = _Entry(parts=tuple(parts), weight_bytes=weight_bytes, written_s=now_s)
        self._written[key] = now_s
        self._held_bytes += weight_bytes

    def get(self, tenant: str, call_id: str, now_s: float) -> tuple[Part, ...] | None:
        """The parts of the turn that made the call; None when they are unknown, or forgotten."""
        self._expire(now_s)
        key = (tenant, call_id)
        entry = self._entries.get(key)
        if entry is None:
            return None
        self._entries.move_to_end(key)
        return entry.parts

    def _expire(self, now_s: float) -> None:
        while self._written:
            key, written_s = next(iter(self._written.items()))
            if now_s - written_s < self._max_age_s:
                return
            self._remove(key)

    def _remove(self, key: _Key) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            del self._written[key]
            self._held_bytes -= entry.weight_bytes


def _weight(part: Part) -> int:
    match part:
        case Reasoning(text=text, seal=seal) | Text(text=text, seal=seal):
            return sys.getsizeof(text) + _seal_weight(seal)
        case ToolCall(arguments=arguments, seal=seal):
            return sys.getsizeof(arguments) + _seal_weight(seal)
        case _:
            return sys.getsizeof(repr(part))


def _seal_weight(seal: Seal | None) -> int:
    return 0 if seal is None else sys.getsizeof(seal.payload)
