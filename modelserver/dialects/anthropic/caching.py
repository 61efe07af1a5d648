"""Cache marks: which blocks carry `cache_control`, of which a request may have four."""

from __future__ import annotations

from typing import Any, Final, Literal

from modelserver.ir.parts import CacheHint

Section = Literal["tools", "system", "messages"]

MAX_MARKS: Final = 4
_LONG: Final = "1h"
_SHORT_S: Final = 300


def control(hint: CacheHint) -> dict[str, str]:
    """The mark for a hint: the default of five minutes, or an hour."""
    if hint.ttl_s is None or hint.ttl_s <= _SHORT_S:
        return {"type": "ephemeral"}
    return {"type": "ephemeral", "ttl": _LONG}


class Marks:
    """Collects the blocks that may be marked, in the order of the request."""

    def __init__(self, *, wanted: bool) -> None:
        self._wanted = wanted
        self._found: list[tuple[Section, dict[str, Any], dict[str, str]]] = []

    def __bool__(self) -> bool:
        return bool(self._found)

    def add(self, section: Section, block: dict[str, Any], hint: CacheHint | None) -> None:
        """Take note of a block with its hint; one without a hint is no candidate."""
        if hint is not None and self._wanted:
            self._found.append((section, block, control(hint)))

    def apply(self, most: int = MAX_MARKS) -> None:
        """Write the marks. Of too many, those stay that end the tools, the system text and the latest turns."""
        chosen = self._chosen(most)
        long = False
        for _, block, mark in reversed(chosen):
            # A longer life may not come after a shorter one: earlier marks are raised.
            long = long or "ttl" in mark
            block["cache_control"] = {"type": "ephemeral", "ttl": _LONG} if long else mark

    def _chosen(self, most: int) -> list[tuple[Section, dict[str, Any], dict[str, str]]]:
        if len(self._found) <= most:
            return self._found
        last: dict[Section, int] = {section: index for index, (section, _, _) in enumerate(self._found)}
        kept = {index for section, index in last.items() if section != "messages"}
        turns = [index for index, (section, _, _) in enumerate(self._found) if section == "messages"]
        room = most - len(kept)
        kept.update(turns[-room:] if room else ())
        return [found for index, found in enumerate(self._found) if index in kept]
