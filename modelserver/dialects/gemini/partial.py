"""Arguments that arrive in pieces: `partialArgs`, values by JSON path (the cloud variant's stream of arguments)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

_STEP = re.compile(r"""\.?([^.\[\]]+)|\[(\d*)\]|\['((?:[^'\\]|\\.)*)'\]|\["((?:[^"\\]|\\.)*)"\]""")

_KINDS: Final = frozenset(("stringValue", "numberValue", "boolValue", "nullValue"))

_Step = str | int | None
"""A key, an index, or None for a list that is empty so far."""


class PartialArguments:
    """Builds the object of a call's arguments."""

    def __init__(self, begun: Mapping[str, Any] | None = None) -> None:
        self.value: dict[str, Any] = dict(begun or {})
        self._open_path: str | None = None
        """The path whose text goes on."""

    def add(self, entries: object) -> None:
        """Take the entries of one part; what is no entry is skipped."""
        for entry in entries if isinstance(entries, list) else ():
            path = entry.get("jsonPath") if isinstance(entry, dict) else None
            if isinstance(path, str) and (steps := _steps(path)):
                self._put(path, steps, entry)

    def _put(self, path: str, steps: list[_Step], entry: Mapping[str, Any]) -> None:
        container: Any = self.value
        for step, following in pairwise(steps):
            container = _enter(container, step, [] if following is None or type(following) is int else {})
            if container is None:
                return
        if steps[-1] is None or _KINDS.isdisjoint(entry):
            return  # the container itself is all that was said
        value = _value(entry)
        if isinstance(value, str) and self._open_path == path:
            earlier = _get(container, steps[-1])
            value = earlier + value if isinstance(earlier, str) else value
        _set(container, steps[-1], value)
        self._open_path = path if entry.get("willContinue") is True else None


def _steps(path: str) -> list[_Step]:
    """The steps of a path like `$.a[0].b`; none when it is not of that form."""
    steps: list[_Step] = []
    at = 1 if path.startswith("$") else 0
    while at < len(path):
        found = _STEP.match(path, at)
        if found is None:
            return []
        name, index, *quoted = found.groups()
        if name is not None:
            steps.append(name)
        elif index is not None:
            steps.append(int(index) if index else None)
        else:
            steps.append(re.sub(r"\\(.)", r"\1", quoted[0] if quoted[0] is not None else quoted[1]))
        at = found.end()
    return steps


def _value(entry: Mapping[str, Any]) -> Any:
    for key in ("stringValue", "numberValue", "boolValue"):
        if key in entry:
            value = entry[key]
            # A protobuf double: 3 is written 3.0 by some serialisers.
            return int(value) if type(value) is float and value.is_integer() and abs(value) < 2**53 else value
    return None


def _get(container: Any, step: _Step) -> Any:
    if isinstance(container, dict):
        return container.get(step)
    if isinstance(container, list) and type(step) is int and step < len(container):
        return container[step]
    return None


def _set(container: Any, step: _Step, value: Any) -> None:
    if isinstance(container, dict) and isinstance(step, str):
        container[step] = value
    elif isinstance(container, list) and type(step) is int:
        if step < len(container):
            container[step] = value
        else:
            container.append(value)


def _enter(container: Any, step: _Step, empty: Any) -> Any:
    """The container at a step, made when it is not there; None when the path contradicts what was said."""
    inner = _get(container, step)
    if inner is None:
        _set(container, step, empty)
        inner = _get(container, step)
        if inner is None and isinstance(container, list) and container:
            inner = container[-1]
    return inner if isinstance(inner, dict | list) else None
