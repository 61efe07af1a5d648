"""Which models a key, a user or a group may call."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable


class ModelRule:
    """One list of models, compiled: globs over ids, `tag:x`, and `!` before either to exclude.

    In a glob `*` stands for any run of characters and `?` for one; all else stands for itself, and case counts.
    An exclusion wins wherever it stands in the list. A list of exclusions only starts from every model, an empty
    list allows nothing, and None allows everything.

    Attributes:
        everything: Every model is allowed: there is nothing to ask.
    """

    __slots__ = ("_excluded", "_included", "everything")

    def __init__(self, patterns: Collection[str] | None) -> None:
        self.everything = patterns is None
        excluded = [pattern[1:] for pattern in patterns or () if pattern.startswith("!")]
        included = [pattern for pattern in patterns or () if not pattern.startswith("!")]
        self._excluded = _Names(excluded) if excluded else None
        self._included = None if excluded and not included else _Names(included)

    def allows(self, model_id: str, tags: Collection[str]) -> bool:
        """Whether the model may be called; an alias is allowed when the id behind it is."""
        if self.everything:
            return True
        if self._excluded is not None and self._excluded.hold(model_id, tags):
            return False
        return self._included is None or self._included.hold(model_id, tags)


class _Names:
    """The ids, globs and tags of one side of a rule."""

    __slots__ = ("_globs", "_ids", "_tags")

    def __init__(self, patterns: Iterable[str]) -> None:
        ids: list[str] = []
        globs: list[str] = []
        tags: list[str] = []
        for pattern in patterns:
            if pattern.startswith("tag:"):
                tags.append(pattern[4:])
            elif "*" in pattern or "?" in pattern:
                globs.append(_glob_regex(pattern))
            else:
                ids.append(pattern)
        self._ids = frozenset(ids)
        self._tags = frozenset(tags)
        self._globs = re.compile("|".join(globs), re.DOTALL).fullmatch if globs else None

    def hold(self, model_id: str, tags: Collection[str]) -> bool:
        """Whether the model is among the names."""
        if model_id in self._ids:
            return True
        if tags and self._tags and not self._tags.isdisjoint(tags):
            return True
        return self._globs is not None and self._globs(model_id) is not None


def _glob_regex(glob: str) -> str:
    """The regular expression of a glob; what it costs to match grows with the name only, not with the stars.

    A star in the middle takes the first place where what follows it fits and never gives it back (an atomic group):
    a later place could only leave less for the rest. Clients choose the names that patterns like `ollama/*` let in.
    """
    first, *rest = [re.escape(part).replace(r"\?", ".") for part in glob.split("*")]
    if not rest:
        return first
    *middle, last = rest
    return first + "".join(f"(?>.*?{part})" for part in middle) + ".*" + last
