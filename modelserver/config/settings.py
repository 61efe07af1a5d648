"""What `[defaults]`, a provider and a model may each say about calls, and how the layers become one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from cattrs import Converter

from modelserver.config.addresses import check_proxy
from modelserver.config.quirks import quirks_of, read_quirks
from modelserver.config.reading import Table, given
from modelserver.config.types import CallSettings, Quirks, Secret

Layer = Mapping[str, Any]
"""What one place says: arguments of `CallSettings`, with `timeouts` and `quirks` as mappings of their own."""

SETTINGS_LATER = frozenset({"cooldown", "sticky", "on_disconnect", "hedge", "cache"})

UNSUPPORTED = ("drop", "refuse")
FETCH_URLS = ("inline", "forward", "refuse")
_NESTED = ("timeouts", "quirks")


def read_settings(table: Table) -> Layer:
    """What a table says about calls."""
    layer = given(
        timeouts=_read_timeouts(table.table("timeout")),
        retries=table.whole("retries"),
        keepalive_s=table.duration("keepalive"),
        proxy=_read_proxy(table),
        quirks=read_quirks(table.table("quirks")),
        refuse_losses=_read_unsupported(table),
        fetch_urls=table.word("fetch_urls", FETCH_URLS),
    )
    _read_early_commit(table, layer)
    return layer


def merge_layers(*layers: Layer) -> Layer:
    """One layer that says, key by key, what the last of the layers says."""
    merged: dict[str, Any] = {}
    for layer in layers:
        merged.update({name: value for name, value in layer.items() if name not in _NESTED})
        for name in _NESTED:
            if name in layer:
                merged[name] = {**merged.get(name, {}), **layer[name]}
    return merged


def settings_of(layer: Layer) -> CallSettings:
    """The settings that a layer leads to, with the built-in values for what it does not say."""
    return _CONVERTER.structure(layer, CallSettings)


def _converter() -> Converter:
    """Makes the classes of mappings whose values were checked as they were read; a name too many is our bug."""
    converter = Converter(forbid_extra_keys=True)
    converter.register_structure_hook(Quirks, lambda layer, _: quirks_of(layer))
    converter.register_structure_hook(Secret, lambda secret, _: secret)
    return converter


_CONVERTER: Final = _converter()


def _read_timeouts(table: Table | None) -> dict[str, float] | None:
    if table is None:
        return None
    names = ("connect", "first", "whole", "idle", "total")
    found = given(**{f"{name}_s": table.duration(name) for name in names})
    table.close()
    return found


def _read_early_commit(table: Table, layer: dict[str, Any]) -> None:
    """`false` is said, too: it takes back what a more general place allowed."""
    value = table.take("early_commit")
    if value is False:
        layer["early_commit_s"] = None
    elif value is True:
        table.fault("early_commit", 'must be a duration like "5s", or false, not true')
    elif value is not None:
        seconds = table.duration("early_commit", zero=True)
        if seconds is not None:
            layer["early_commit_s"] = seconds


def _read_unsupported(table: Table) -> bool | None:
    """Whether what can't be said to the upstream is refused."""
    word = table.word("unsupported", UNSUPPORTED)
    return None if word is None else word == "refuse"


def _read_proxy(table: Table) -> Any:
    secret = table.secret("proxy")
    if secret is None:
        return None
    try:
        check_proxy(secret.reveal())
    except ValueError as refusal:
        table.fault("proxy", str(refusal))
        return None
    return secret
