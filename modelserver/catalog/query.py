"""What the catalogue endpoints answer: the rich catalogue with its filters, sorts and ETags."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import orjson

from modelserver.config.types import FEATURES, MODALITIES, MODEL_TYPES, OLD_MODEL_TYPES, Model, Pricing
from modelserver.errors import InvalidRequest

PARAMETERS = frozenset(("type", "modalities", "model", "features", "sort_by", "sort_order"))
SORTS = ("order", "context_length", "model_ratio", "coding")
SORT_ORDERS = ("asc", "desc")

PAGES_KEPT = 256
PAGE_BYTES_KEPT = 16_000_000
"""Bodies kept in all: with ten thousand models a single one has megabytes."""

_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')


@attrs.frozen
class Page:
    """One answer of the rich catalogue: the JSON body and its strong ETag, quotes included."""

    body: bytes
    etag: str


@attrs.frozen
class Query:
    """The recognised parameters, normalised: two queries that ask the same are equal."""

    type: str | None = None
    modalities: frozenset[str] = frozenset()
    part_of_id: str = ""
    features: frozenset[str] = frozenset()
    sort_by: str = "order"
    descending: bool = False


@attrs.frozen
class _Row:
    """A model, ready to be filtered, sorted and written."""

    model: Model
    folded_id: str
    modalities: frozenset[str]
    features: frozenset[str]
    price: int | None
    json: bytes


class CatalogueView:
    """The rich catalogue over some models, in the order given."""

    __slots__ = ("_bytes_kept", "_pages", "_rows")

    def __init__(self, models: Sequence[Model]) -> None:
        self._rows: tuple[_Row, ...] = tuple(_row(model) for model in models)
        self._pages: OrderedDict[Query, Page] = OrderedDict()
        self._bytes_kept = 0

    def narrowed(self, allows: Callable[[Model], bool]) -> CatalogueView:
        """The view of those models that `allows` says yes to; it shares what is already written of them."""
        view = CatalogueView(())
        view._rows = tuple(row for row in self._rows if allows(row.model))
        return view

    def answer(self, params: Sequence[tuple[str, str]]) -> Page:
        """The page for query parameters as they came, decoded.

        Asking the same again costs a dictionary look-up, whatever parameters of other names stand beside.

        Raises:
            InvalidRequest: A value is outside its vocabulary or a parameter is repeated; `param` is its name.
        """
        query = read_query(params)
        page = self._pages.get(query)
        if page is None:
            page = self._make(query)
            self._keep(query, page)
        else:
            self._pages.move_to_end(query)
        return page

    def _make(self, query: Query) -> Page:
        rows = _sorted([row for row in self._rows if _fits(row, query)], query)
        body = b'{"data":[' + b",".join([row.json for row in rows]) + b'],"message":"","success":true}'
        return Page(body, f'"{hashlib.sha256(body).hexdigest()}"')

    def _keep(self, query: Query, page: Page) -> None:
        self._pages[query] = page
        self._bytes_kept += len(page.body)
        while len(self._pages) > PAGES_KEPT or (self._bytes_kept > PAGE_BYTES_KEPT and len(self._pages) > 1):
            _, dropped = self._pages.popitem(last=False)
            self._bytes_kept -= len(dropped.body)


def read_query(params: Sequence[tuple[str, str]]) -> Query:
    """The query that parameters of the rich catalogue make; unknown names are ignored, empty values are absent.

    Raises:
        InvalidRequest: A value is outside its vocabulary or a parameter is repeated; `param` is its name.
    """
    given: dict[str, str] = {}
    for name, value in params:
        if name in PARAMETERS:
            if name in given:
                raise InvalidRequest(f"The parameter {name} is repeated; give it once.", param=name)
            given[name] = value.strip()
    if not given:
        return _PLAIN
    kind = given.get("type")
    sort_by = _one_of("sort_by", given.get("sort_by") or "order", SORTS)
    sort_order = _one_of("sort_order", given.get("sort_order") or "asc", SORT_ORDERS)
    return Query(
        _one_of("type", OLD_MODEL_TYPES.get(kind, kind), MODEL_TYPES) if kind else None,
        _all_of("modalities", given.get("modalities"), MODALITIES),
        given.get("model", "").casefold(),
        _all_of("features", given.get("features"), FEATURES),
        sort_by,
        # The coding sort has one direction: both ways of asking for it are the same query.
        sort_order == "desc" and sort_by != "coding",
    )


def matches_etag(header: str, etag: str) -> bool:
    """Whether an `If-None-Match` header names `etag` (strong, quotes included): a list, weak tags and `*` included."""
    if header == etag or header.strip() == "*":
        return True
    return any(tag == etag for tag in _ENTITY_TAG.findall(header))


def dollars(micro_dollars: int) -> str:
    """The exact decimal, as a person writes it: no exponent, no closing zeros."""
    whole, rest = divmod(micro_dollars, 1_000_000)
    return f"{whole}.{rest:06}".rstrip("0").rstrip(".")


_PLAIN = Query()


def _one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        # repr(): a line break or half a surrogate pair in the value must not reach a log or a JSON encoder raw.
        raise InvalidRequest(f"{name}: {value[:60]!r} is not one of {', '.join(allowed)}.", param=name)
    return value


def _all_of(name: str, value: str | None, allowed: Sequence[str]) -> frozenset[str]:
    if not value:
        return frozenset()
    return frozenset(_one_of(name, item, allowed) for item in map(str.strip, value.split(",")) if item)


def _fits(row: _Row, query: Query) -> bool:
    return (
        (query.type is None or row.model.type == query.type)
        and query.part_of_id in row.folded_id
        and query.modalities <= row.modalities
        and query.features <= row.features
    )


def _sorted(rows: list[_Row], query: Query) -> list[_Row]:
    if query.sort_by == "order":
        return rows[::-1] if query.descending else rows
    if query.sort_by == "coding":
        return sorted(rows, key=lambda row: "coding" not in row.model.tags)
    ranks: list[tuple[int, _Row]] = []
    unknown: list[_Row] = []
    for row in rows:
        rank = row.model.context_length if query.sort_by == "context_length" else row.price
        if rank is None:
            unknown.append(row)
        else:
            ranks.append((rank, row))
    ranks.sort(key=lambda ranked: ranked[0], reverse=query.descending)
    return [row for _, row in ranks] + unknown


def _row(model: Model) -> _Row:
    return _Row(
        model,
        model.model_id.casefold(),
        frozenset(model.input_modalities),
        frozenset(model.features),
        _blended(model.pricing),
        orjson.dumps(_rich_object(model)),
    )


def _blended(pricing: Pricing | None) -> int | None:
    """Four times the price of a token in a mix of three read to one written; None if either price is unknown."""
    if pricing is None or pricing.input is None or pricing.output is None:
        return None
    return 3 * pricing.input + pricing.output


def _rich_object(model: Model) -> dict[str, Any]:
    """The published object, keys in the published order, without what is not known."""
    fields = {
        "model_id": model.model_id,
        "desc": model.desc,
        "pricing": _prices(model.pricing) if model.pricing else None,
        "types": model.type,
        "features": ",".join(model.features),
        "input_modalities": ",".join(model.input_modalities),
        "max_output": model.max_output,
        "context_length": model.context_length,
    }
    return {name: value for name, value in fields.items() if value not in (None, "", {})}


def _prices(pricing: Pricing) -> dict[str, orjson.Fragment]:
    prices = {
        "cache_read": pricing.cache_read,
        "cache_write": pricing.cache_write,
        "input": pricing.input,
        "output": pricing.output,
    }
    return {name: orjson.Fragment(dollars(price)) for name, price in prices.items() if price is not None}
