"""For whom things were made that providers keep: accounts there are shared by all keys here."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

MAX_IDS: Final = 100_000
MAX_AGE_S: Final = 30 * 86_400.0
"""As long as OpenAI keeps a response (API reference, "Create a model response", `store`, read 2026-11-23)."""
_MAX_ID_CHARS: Final = 256

Owner = tuple[str, ...]


class Owners:
    """Ids and whose they are, in memory only: forgotten after `max_age_s`, or when `max_ids` newer ones came."""

    def __init__(self, max_ids: int = MAX_IDS, max_age_s: float = MAX_AGE_S) -> None:
        self._max_ids = max_ids
        self._max_age_s = max_age_s
        self._owners: OrderedDict[str, tuple[Owner, float]] = OrderedDict()
        """The first written first."""

    def __len__(self) -> int:
        return len(self._owners)

    def put(self, id: str, owner: Owner, now_s: float) -> None:
        """Note whose an id is; what is no plausible id is not noted, nor one that is somebody else's."""
        known = self._owners.get(id)
        is_foreign = known is not None and known[0] != owner and now_s - known[1] < self._max_age_s
        if is_foreign or not 0 < len(id) <= _MAX_ID_CHARS:
            return
        self._owners[id] = (owner, now_s)
        self._owners.move_to_end(id)
        if len(self._owners) > self._max_ids:
            self._owners.popitem(last=False)

    def holds(self, id: str, owner: Owner, now_s: float) -> bool:
        """Whether the id is this owner's."""
        known = self._owners.get(id)
        return known is not None and known[0] == owner and now_s - known[1] < self._max_age_s
