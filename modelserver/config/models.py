"""Reading `[[models]]` entries."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from modelserver.config.capabilities import CARD_LATER, read_card
from modelserver.config.presets import MOCK, PRESETS
from modelserver.config.providers import read_speaks
from modelserver.config.quirks import RESERVED_FIELDS
from modelserver.config.reading import Table, given, shown
from modelserver.config.settings import SETTINGS_LATER, Layer, merge_layers, read_settings, settings_of
from modelserver.config.types import FEATURES, MODALITIES, MODEL_TYPES, OLD_MODEL_TYPES, Model, Pricing, Provider

# `cache` of a model is a field of its card.
MODEL_LATER = (SETTINGS_LATER | CARD_LATER | {"fallback"}) - {"cache"}
PRICING_LATER = frozenset({"tiers"})

MAX_PRICE_USD = 1_000_000
_MAX_ID_CHARS = 256
_ID = re.compile(r"[^\s*?]+(?:/\*)?")
_TARGET = re.compile(r"\S+")
_TYPE_WORDS = (*MODEL_TYPES, *OLD_MODEL_TYPES)

Offers = Mapping[str, tuple[Provider, Layer]]
"""Providers by name, each with its settings as a layer."""


def read_model(table: Table, offers: Offers) -> Model:
    """A model; where something in it is wrong, that was noted and a stand-in is there."""
    model_id = _read_id(table)
    provider_name, target = _read_route(table, model_id)
    offer = offers.get(provider_name)
    speaks: tuple[str, ...]
    own = read_settings(table)
    if offer is None:
        settings, speaks = settings_of(own), ("chat",)
    else:
        provider, layer = offer
        settings, speaks = settings_of(merge_layers(layer, own)) if own else provider.settings, provider.speaks
    word = table.word("types", _TYPE_WORDS)
    model = Model(
        model_id=model_id,
        provider=provider_name,
        target=target,
        settings=settings,
        speaks=read_speaks(table) or speaks,
        card=read_card(table),
        **given(
            desc=_read_desc(table),
            owned_by=table.text("owned_by"),
            created=table.day("created"),
            type=word and OLD_MODEL_TYPES.get(word, word),
            features=table.words("features", FEATURES),
            input_modalities=table.words("input_modalities", MODALITIES),
            max_output=table.whole("max_output", least=1),
            context_length=table.whole("context_length", least=1),
            pricing=_read_pricing(table.table("pricing")),
            tags=_read_tags(table),
            aliases=_read_aliases(table),
            params=_read_params(table.table("params")),
            retires=table.day("retires"),
        ),
    )
    table.close(MODEL_LATER)
    return model


def routed_presets(tables: Sequence[Table]) -> list[str]:
    """The names of well-known providers that models route to, each once, in the order of the file."""
    found: dict[str, None] = {}
    for table in tables:
        route = table.take("route")
        if type(route) is str:
            name = route.partition("/")[0]
            if name == MOCK or name in PRESETS:
                found[name] = None
    return list(found)


def check_routes(tables: Sequence[Table], models: Sequence[Model], offers: Offers) -> None:
    """Note every route to a provider that does not exist."""
    known = dict.fromkeys([*offers, MOCK, *PRESETS])
    for table, model in zip(tables, models, strict=True):
        if model.provider and model.provider not in offers:
            hint = table.report.hint(model.provider, known)
            table.fault("route", f"there is no provider {shown(model.provider)}{hint}")


def check_names(tables: Sequence[Table], models: Sequence[Model]) -> None:
    """Note every id and alias that is taken twice."""
    owners: dict[str, str] = {}
    for table, model in zip(tables, models, strict=True):
        if not model.model_id:
            continue
        if model.model_id in owners:
            table.fault("model_id", f"{shown(model.model_id)} is the id of {owners[model.model_id]} already")
        else:
            owners[model.model_id] = table.path
    aliases: dict[str, str] = {}
    for table, model in zip(tables, models, strict=True):
        for alias in model.aliases:
            if alias in owners:
                table.fault_item("aliases", alias, f"{shown(alias)} is the id of {owners[alias]} already")
            elif alias in aliases:
                table.fault_item("aliases", alias, f"{shown(alias)} is an alias of {aliases[alias]} already")
            else:
                aliases[alias] = table.path


def _id_fault(name: str) -> str | None:
    """What is wrong with an id; what lists of models could not name is refused."""
    if len(name) > _MAX_ID_CHARS:
        return f"must have at most {_MAX_ID_CHARS} characters"
    if not name.isprintable() or any(char.isspace() for char in name):
        return f"{shown(name)} must hold printable characters without spaces"
    if name.startswith(("!", "tag:")):
        return f"{shown(name)} must not begin with ! or tag:, which mean something in lists of models"
    if not _ID.fullmatch(name):
        return f'{shown(name)} must not hold * or ?; only a pattern ends in "/*"'
    return None


def _read_id(table: Table) -> str:
    model_id = table.text("model_id")
    if model_id is None:
        if "model_id" not in table:
            table.missing("model_id")
        return ""
    fault = _id_fault(model_id)
    if fault is not None:
        table.fault("model_id", fault)
    return model_id


def _read_route(table: Table, model_id: str) -> tuple[str, str]:
    """Provider and target; two empty strings where the route is wrong."""
    if type(table.take("route")) is dict:
        table.fault("route", 'the long form of route is not supported yet; write one line, "provider/target"')
        return "", ""
    route = table.text("route")
    if route is None:
        if "route" not in table:
            table.missing("route", 'route is missing; it says who answers, as "provider/target"')
        return "", ""
    provider, _, target = route.partition("/")
    if not provider or not _TARGET.fullmatch(target) or not target.isprintable():
        table.fault("route", f'{shown(route)} must be "provider/target", without spaces')
        return "", ""
    if "*" in target.removesuffix("*"):
        table.fault("route", f"{shown(route)} may have a * at its end only")
    elif model_id.endswith("/*") and not target.endswith("*"):
        table.fault("route", f'{shown(route)} must end in * too, as the model_id is a pattern: "{provider}/*"')
    elif target.endswith("*") and model_id and not model_id.endswith("/*"):
        table.fault("route", f'{shown(route)} must not end in *: the model_id is no pattern, which ends in "/*"')
    return provider, target


def _read_desc(table: Table) -> str | None:
    """The description; an empty one is none."""
    return None if table.take("desc") == "" else table.text("desc")


def _read_tags(table: Table) -> tuple[str, ...] | None:
    tags = table.words("tags")
    for tag in tags or ():
        if not tag.isprintable() or any(char.isspace() for char in tag):
            table.fault_item("tags", tag, f"{shown(tag)} must hold printable characters without spaces")
    return tags


def _read_aliases(table: Table) -> tuple[str, ...] | None:
    aliases = table.words("aliases")
    for alias in aliases or ():
        fault = "an alias can't be a pattern" if alias.endswith("/*") else _id_fault(alias)
        if fault is not None:
            table.fault_item("aliases", alias, fault)
    return aliases


def _read_pricing(table: Table | None) -> Pricing | None:
    if table is None:
        return None
    pricing = Pricing(
        input=_read_price(table, "input"),
        output=_read_price(table, "output"),
        cache_read=_read_price(table, "cache_read"),
        cache_write=_read_price(table, "cache_write"),
    )
    table.close(PRICING_LATER)
    return pricing


def _read_price(table: Table, key: str) -> int | None:
    """Micro-dollars per million tokens of a price in dollars, exactly."""
    value = table.take(key)
    if value is None:
        return None
    if type(value) is int:
        value = Decimal(value)
    if type(value) is not Decimal:
        table.refuse(key, "a number of dollars per million tokens", value)
        return None
    if not value.is_finite() or not 0 <= value <= MAX_PRICE_USD:
        table.fault(key, f"must be a number of dollars from 0 to {MAX_PRICE_USD}")
        return None
    _, digits, exponent = value.as_tuple()
    written = "".join(map(str, digits))
    significant = written.rstrip("0")
    # How many places a decimal point must move to the right until `significant` is a whole number of micro-dollars.
    shift = 6 + int(exponent) + len(written) - len(significant)
    if not significant:
        return 0
    if shift < 0:
        table.fault(key, "must have at most six decimals")
        return None
    return int(significant) * int(10**shift)


def _read_params(table: Table | None) -> dict[str, Any] | None:
    if table is None:
        return None
    for key in RESERVED_FIELDS:
        if key in table:
            table.fault(key, "is the client's to say and can't have a default")
    return {key: table.json(key) for key in table}
