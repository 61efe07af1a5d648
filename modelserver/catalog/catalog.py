"""The models of one configuration, found by the names that clients use."""

from __future__ import annotations

import difflib
import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice

import attrs

from modelserver.config.types import Model

MATCHES_LOOKED_AT = 256
_LONGEST_NAME = 256
_LONGEST_MISS = 100
"""Characters of an unknown name beyond which nobody mistyped it; comparing it would only cost time."""
_LEAST_RATIO = 0.6
_COMPARED_EXACTLY = 12
_SHORTEST_PART = 3
"""Characters that a name must have to be named for being part of another."""


@attrs.frozen
class Offer:
    """A model under the name that a client asked for."""

    name: str
    model: Model
    target: str
    """The name that the provider knows it by."""

    @property
    def root(self) -> str:
        """The id behind the name: an alias has its model's, what a pattern matched is its own."""
        return self.name if self.model.is_pattern else self.model.model_id


class Catalog:
    """An immutable snapshot; looking up costs the same for one model and for ten thousand.

    Attributes:
        models: The entries in the order of the file, patterns included.
    """

    __slots__ = ("_by_end", "_by_start", "_offers", "_patterns", "models")

    def __init__(self, models: Sequence[Model]) -> None:
        self.models = tuple(models)
        self._patterns = tuple((model.model_id[:-1], model) for model in self.models if model.is_pattern)
        named = [model for model in self.models if not model.is_pattern]
        ids = {model.model_id for model in named}
        offers: dict[str, Offer] = {}
        for model in named:
            for name in (model.model_id, *(alias for alias in model.aliases if alias not in ids)):
                offers.setdefault(name, Offer(name, model, model.target))
        self._offers = offers
        self._by_start = sorted((name.casefold(), name) for name in offers)
        self._by_end = sorted((name.casefold()[::-1], name) for name in offers)

    def find(self, name: str) -> Offer | None:
        """The offer for an id or an alias, else by the first pattern in the file that it fits; None if there is none.

        What a pattern's `*` stands for is not empty and has no blank, unprintable character or `*` in it, and the whole
        name has at most 256 characters.
        """
        offer = self._offers.get(name)
        if offer is not None or not self._patterns:
            return offer
        for prefix, model in self._patterns:
            if name.startswith(prefix):
                return _offer_by_pattern(name, name[len(prefix) :], model)
        return None

    def listed(self, discovered: Mapping[str, Sequence[str]] | None = None) -> list[Offer]:
        """Everything that can be asked for by name, in the order of the file, aliases after their model.

        A pattern itself is not in it. `discovered` holds, by the `model_id` of a pattern, the names that its provider
        listed (as the provider knows them); the ones that fit the pattern's target stand where the pattern stands,
        unless another entry has the name or answers to it first.
        """
        if not self._patterns:
            return list(self._offers.values())
        offers: dict[str, Offer] = {}
        for model in self.models:
            if model.is_pattern:
                for target in (discovered or {}).get(model.model_id, ()):
                    self._list_discovered(target, model, offers)
            else:
                for name in (model.model_id, *model.aliases):
                    offer = self._offers[name]
                    if offer.model is model:
                        offers[name] = offer
        return list(offers.values())

    def neighbours(self, name: str) -> Iterator[str]:
        """Ids and aliases that a mistyped `name` may have meant, at most `MATCHES_LOOKED_AT`, for `close_matches`.

        In a small catalogue that is all of them, in a large one those that sort next to it by how they begin and by
        how they end.
        """
        if len(self._offers) <= MATCHES_LOOKED_AT:
            return iter(self._offers)
        folded = name[:_LONGEST_MISS].casefold()
        by_start = _around(self._by_start, folded, MATCHES_LOOKED_AT // 2)
        by_end = _around(self._by_end, folded[::-1], MATCHES_LOOKED_AT // 2)
        return iter(dict.fromkeys((*by_start, *by_end)))

    def _list_discovered(self, target: str, model: Model, offers: dict[str, Offer]) -> None:
        prefix = model.target[:-1]
        if not target.startswith(prefix):
            return
        name = model.model_id[:-1] + target[len(prefix) :]
        offer = self.find(name)
        if offer is not None and offer.model is model:
            offers.setdefault(name, offer)


def close_matches(name: str, candidates: Iterable[str]) -> list[str]:
    """Up to three of `candidates` that look like `name`, the closest first, case aside.

    The same letters but for a few count, and so does one being part of the other (`openai/gpt-5`, `opus`). Only the
    first `MATCHES_LOOKED_AT` candidates are looked at; a `name` too long to be mistyped has no matches.
    """
    if len(name) > _LONGEST_MISS:
        return []
    wanted = name.casefold()
    folded = {candidate.casefold(): candidate for candidate in islice(candidates, MATCHES_LOOKED_AT)}
    close = _alike(wanted, folded)
    if len(close) < 3:
        parts = [one for one in folded if one not in close and _is_part(wanted, one)]
        close += sorted(parts, key=lambda one: abs(len(one) - len(wanted)))
    return [folded[one] for one in close[:3]]


def _alike(wanted: str, names: Iterable[str]) -> list[str]:
    """The names that have most of their letters in the order of `wanted`, the closest first.

    `difflib.get_close_matches`, but that the dear comparison is for the few that are best by a cheap one: ids have
    so much in common that it would go through nearly all of them.
    """
    matcher = difflib.SequenceMatcher(b=wanted, autojunk=False)
    rough: list[tuple[float, str]] = []
    for name in names:
        matcher.set_seq1(name)
        if matcher.real_quick_ratio() >= _LEAST_RATIO:
            rough.append((matcher.quick_ratio(), name))
    exact: list[tuple[float, str]] = []
    for upper_bound, name in heapq.nlargest(_COMPARED_EXACTLY, rough):
        if upper_bound >= _LEAST_RATIO:
            matcher.set_seq1(name)
            exact.append((matcher.ratio(), name))
    return [name for ratio, name in heapq.nlargest(3, exact) if ratio >= _LEAST_RATIO]


def _is_part(one: str, other: str) -> bool:
    shorter, longer = sorted((one, other), key=len)
    return len(shorter) >= _SHORTEST_PART and shorter in longer


def _around(names: list[tuple[str, str]], key: str, count: int) -> list[str]:
    at = bisect_left(names, (key,))
    start = max(0, min(at - count // 2, len(names) - count))
    return [name for _, name in names[start : start + count]]


def _offer_by_pattern(name: str, rest: str, model: Model) -> Offer | None:
    # The configuration refuses such ids too. `*` would be the pattern itself, copied from the catalogue.
    if not rest or len(name) > _LONGEST_NAME or not rest.isprintable() or "*" in rest or " " in rest:
        return None
    target = model.target.removesuffix("*") + rest
    # Where the name is a part of the provider's path, these would lead to another place there.
    return None if target in (".", "..") else Offer(name, model, target)
