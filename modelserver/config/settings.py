"""What `[defaults]`, a provider and a model may each say about calls, and how the layers become one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modelserver.config.addresses import check_proxy
from modelserver.config.reading import Table, given, kind_of
from modelserver.config.types import CallSettings, Quirks, StreamUsage, Timeouts, UpstreamAuth

Layer = Mapping[str, Any]
"""What one place says: arguments of `CallSettings`, with `timeouts` and `quirks` as mappings of their own."""

SETTINGS_LATER = frozenset({"cooldown", "unsupported", "sticky", "on_disconnect", "fetch_urls", "hedge", "cache"})

QUIRKS_LATER = frozenset(
    {
        "drop", "rename", "add", "allow", "max_tokens_field", "developer_role", "single_system", "system_first_only",
        "content_string", "assistant_null", "tool_choice", "strict_tools", "parallel_field", "id_pattern", "id_max",
        "bridge_after_tool", "merge_roles", "description_max", "usage_at", "usage_fields", "reasoning_tokens",
        "reasoning_in", "reasoning_back", "reasoning_ask", "effort_map", "json_schema", "top_k", "min_p",
        "temperature_zero", "cache_control", "images", "audio_data", "file_parts", "eof_is_stop", "done_optional",
        "name_fragments", "stream_only", "no_stream", "tokenize", "finish_map", "emulate_stop",
    }
)  # fmt: skip

_NESTED = ("timeouts", "quirks")
_STREAM_USAGE = {word.value: word for word in StreamUsage}
_AUTH = {word.value: word for word in UpstreamAuth}
_PATH = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@%/-]|\{model\})*")


def read_settings(table: Table) -> Layer:
    """What a table says about calls."""
    layer = given(
        timeouts=_read_timeouts(table.table("timeout")),
        retries=table.whole("retries"),
        keepalive_s=table.duration("keepalive"),
        proxy=_read_proxy(table),
        quirks=_read_quirks(table.table("quirks")),
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
    values = dict(layer)
    if "timeouts" in values:
        values["timeouts"] = Timeouts(**values["timeouts"])
    if "quirks" in values:
        values["quirks"] = Quirks(**values["quirks"])
    return CallSettings(**values)


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


def _read_quirks(table: Table | None) -> dict[str, Any] | None:
    if table is None:
        return None
    usage, auth = table.word("stream_usage", _STREAM_USAGE), table.word("auth", _AUTH)
    found = given(
        stream_usage=None if usage is None else _STREAM_USAGE[usage],
        auth=None if auth is None else _AUTH[auth],
        path=_read_path(table),
        query=_read_query(table),
    )
    table.close(QUIRKS_LATER)
    return found


def _read_path(table: Table) -> str | None:
    path = table.text("path")
    if path is not None and not _PATH.fullmatch(path):
        table.fault("path", 'must be a path like "/chat/completions", in which only {model} stands for something')
        return None
    return path


def _read_query(table: Table) -> dict[str, str] | None:
    query = table.table("query")
    if query is None:
        return None
    found: dict[str, str] = {}
    for name in query:
        value = query.take(name)
        if type(value) is str:
            found[name] = value
        else:
            query.fault(name, f"must be a string, not {kind_of(value)}")
    return found
