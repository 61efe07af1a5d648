"""Reading `quirks`: how a provider deviates from the dialect that it speaks.

Names and words are those that the encoders look up; what a table doesn't say is not in the result.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from modelserver.config.lines import join_path
from modelserver.config.reading import Table, given, kind_of, shown
from modelserver.config.types import Quirks, StreamUsage, UpstreamAuth
from modelserver.ir.parts import FinishReason
from modelserver.ir.request import EFFORTS

RESERVED_FIELDS: Final = ("model", "messages", "stream")
"""Fields of a request that no setting may choose."""

_OWN: Final = ("stream_usage", "auth", "path", "query")
"""Quirks that the gateway itself looks at; all others are the encoders'."""

_STREAM_USAGE: Final = {word.value: word for word in StreamUsage}
_AUTH: Final = {word.value: word for word in UpstreamAuth}
_FINISH: Final = tuple(reason.value for reason in FinishReason)
_PATH: Final = re.compile(r"/(?:[A-Za-z0-9._~!$&'()*+,;=:@%/-]|\{model\})*")
_FIELD: Final = re.compile(r"[^\s.\[\]]+(?:\[\])?(?:\.[^\s.\[\]]+(?:\[\])?)*")
_MAX_TEMPERATURE: Final = 2

_FLAGS: Final = (
    "developer_role", "single_system", "system_first_only", "strict_tools", "parallel_field", "bridge_after_tool",
    "merge_roles", "top_k", "min_p", "cache_control", "eof_is_stop", "done_optional", "name_fragments", "stream_only",
    "no_stream", "emulate_stop",
)  # fmt: skip
_WORDS: Final[Mapping[str, tuple[str, ...]]] = {
    "max_tokens_field": ("max_completion_tokens", "max_tokens"),
    "tool_choice": ("full", "no_required", "auto_only", "string_only", "any"),
    "usage_at": ("last", "finish", "every", "x_groq"),
    "usage_fields": ("openai", "deepseek", "flat_cached", "anthropic_like"),
    "reasoning_tokens": ("auto", "inside", "outside"),
    "json_schema": ("native", "json_object", "guided_json", "format_schema", "none"),
    "images": ("url+data", "data", "none"),
    "audio_data": ("base64", "data_url"),
    "file_parts": ("data", "url", "none"),
    "tokenize": ("vllm", "llamacpp"),
}
_FLAG_OR_WORD: Final = {"content_string": "tools", "assistant_null": "omit"}
_REASONING_IN: Final = ("reasoning_content", "reasoning", "reasoning_details", "content_chunks", "think_tags")
_REASONING_BACK: Final = ("none", "reasoning_content", "reasoning", "reasoning_details", "content_chunks")
_REASONING_ASK: Final = ("reasoning_effort", "reasoning_object", "thinking_type", "enable_thinking")


def read_quirks(table: Table | None) -> dict[str, Any] | None:
    """The quirks that a table says, by name."""
    if table is None:
        return None
    usage, auth = table.word("stream_usage", _STREAM_USAGE), table.word("auth", _AUTH)
    found = given(
        stream_usage=None if usage is None else _STREAM_USAGE[usage],
        auth=None if auth is None else _AUTH[auth],
        path=_read_path(table),
        query=_read_map(table, "query", _text),
        **{name: table.flag(name) for name in _FLAGS},
        **{name: table.word(name, options) for name, options in _WORDS.items()},
        **{name: _read_flag_or_word(table, name, word) for name, word in _FLAG_OR_WORD.items()},
        **_read_fields(table),
        **_read_reasoning(table),
        id_pattern=read_pattern(table, "id_pattern"),
        id_max=table.whole("id_max", least=1),
        description_max=table.whole("description_max", least=1),
        temperature_zero=table.number("temperature_zero", most=_MAX_TEMPERATURE),
        finish_map=_read_map(table, "finish_map", _word_of(_FINISH)),
    )
    if found.get("allow") == ():
        found["allow"] = None  # takes back the list of a more general place
    table.close()
    return found


def quirks_of(layer: Mapping[str, Any]) -> Quirks:
    """The quirks that a layer leads to."""
    own = {name: layer[name] for name in _OWN if name in layer}
    return Quirks(**own, dialect={name: value for name, value in layer.items() if name not in _OWN})


def read_pattern(table: Table, key: str) -> str | None:
    """A regular expression, as text."""
    text = table.text(key)
    if text is None:
        return None
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError):
        table.fault(key, f"{shown(text)} is no regular expression")
        return None
    return text


def _read_path(table: Table) -> str | None:
    path = table.text("path")
    if path is not None and not _PATH.fullmatch(path):
        table.fault("path", 'must be a path like "/chat/completions", in which only {model} stands for something')
        return None
    return path


def _read_fields(table: Table) -> dict[str, Any]:
    """What happens to fields of a request."""
    drop = table.words("drop")
    for path in drop or ():
        if not _FIELD.fullmatch(path):
            table.fault_item("drop", path, f'{shown(path)} must be a field like "user" or "tools[].function.strict"')
    add = table.table("add")
    for key in RESERVED_FIELDS:
        if add is not None and key in add:
            add.fault(key, "is the client's to say and can't be added")
    return {
        "drop": drop,
        "rename": _read_map(table, "rename", _text),
        "add": None if add is None else {key: add.json(key) for key in add},
        "allow": table.words("allow"),
    }


def _read_reasoning(table: Table) -> dict[str, Any]:
    """How reasoning is asked for, read and sent back."""
    auto = table.take("reasoning_in") == "auto"
    return {
        "reasoning_in": "auto" if auto else table.words("reasoning_in", _REASONING_IN),
        "reasoning_back": _read_reasoning_back(table),
        "reasoning_ask": _read_reasoning_ask(table),
        "effort_map": _read_map(table, "effort_map", _text, keys=EFFORTS),
    }


def _read_reasoning_back(table: Table) -> str | None:
    """A field, with `:tools` where it goes back with calls only."""
    text = table.text("reasoning_back")
    if text is None:
        return None
    field, colon, when = text.partition(":")
    if field not in _REASONING_BACK:
        table.fault("reasoning_back", table.not_one_of(field, _REASONING_BACK))
    elif colon and (when != "tools" or field == "none"):
        table.fault("reasoning_back", f'{shown(text)} may end in ":tools" only, after the name of a field')
    else:
        return text
    return None


def _read_reasoning_ask(table: Table) -> str | None:
    """One way, several with + between them, or none."""
    text = table.text("reasoning_ask")
    if text is None or text == "none":
        return text
    for way in text.split("+"):
        if way not in _REASONING_ASK:
            table.fault("reasoning_ask", table.not_one_of(way, (*_REASONING_ASK, "none")))
            return None
    return text


def _read_flag_or_word(table: Table, key: str, word: str) -> bool | str | None:
    value = table.take(key)
    if type(value) is bool:
        return value
    if value is None or value == word:
        return None if value is None else word
    if type(value) is str:
        table.fault(key, f'must be true, false or "{word}", not {shown(value)}')
    else:
        table.refuse(key, f'true, false or "{word}"', value)
    return None


Check = Callable[[Any], str | None]
"""What is wrong with a value, None for nothing."""


def _text(value: Any) -> str | None:
    return None if type(value) is str else f"must be a string, not {kind_of(value)}"


def _word_of(options: tuple[str, ...]) -> Check:
    def check(value: Any) -> str | None:
        return None if value in options else f"must be one of {', '.join(options)}"

    return check


def _read_map(table: Table, key: str, check: Check, *, keys: tuple[str, ...] | None = None) -> dict[str, str] | None:
    """A table of strings; its keys are people's own words, or those of a vocabulary."""
    inner = table.table(key)
    if inner is None:
        return None
    found: dict[str, str] = {}
    for name in inner:
        value = inner.take(name)
        fault = check(value)
        if keys is not None and name not in keys:
            table.report.fault(table.file, inner.path, inner.not_one_of(name, keys), at=join_path(inner.path, name))
        elif fault is not None:
            inner.fault(name, fault)
        else:
            found[name] = value
    return found
