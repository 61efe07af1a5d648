"""Schemas for tools that clients run and whose own dialect has none on the wire (hard case H28).

Written from the parameter descriptions of the tools (Anthropic, "Bash tool", "Text editor tool", "Memory tool"; OpenAI
API reference, "Shell", "Local shell", "Apply patch"; read 2026-11-23). The arguments of a call are the provider's own
action, so that they go back as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

_TEXT: Final = {"type": "string"}
_INTEGER: Final = {"type": "integer"}
_TEXTS: Final = {"type": "array", "items": _TEXT}
_RANGE: Final = {"type": "array", "items": _INTEGER}


def _object(required: tuple[str, ...], **properties: Any) -> Mapping[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return {**schema, "required": list(required)} if required else schema


def _word(*words: str) -> Mapping[str, Any]:
    return {"type": "string", "enum": list(words)}


_EDIT: Final[Mapping[str, Any]] = {
    "path": _TEXT,
    "view_range": _RANGE,
    "file_text": _TEXT,
    "old_str": _TEXT,
    "new_str": _TEXT,
    "insert_line": _INTEGER,
    "insert_text": _TEXT,
}
_EDITOR: Final = "Views, creates and edits text files on the user's computer."
_BASH: Final = (
    "Runs commands in a bash session on the user's computer that stays open between calls.",
    _object((), command=_TEXT, restart={"type": "boolean"}),
)
_NEW_EDITOR: Final = (
    _EDITOR,
    _object(("command", "path"), command=_word("view", "create", "str_replace", "insert"), **_EDIT),
)
_OLD_EDITOR: Final = (
    _EDITOR,
    _object(("command", "path"), command=_word("view", "create", "str_replace", "insert", "undo_edit"), **_EDIT),
)

BUILTIN_SCHEMAS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "bash_20241022": _BASH,
    "bash_20250124": _BASH,
    "text_editor_20241022": _OLD_EDITOR,
    "text_editor_20250124": _OLD_EDITOR,
    "text_editor_20250429": _NEW_EDITOR,
    "text_editor_20250728": _NEW_EDITOR,
    "memory_20250818": (
        "Keeps notes in files below /memories that outlast the conversation.",
        _object(
            ("command",),
            command=_word("view", "create", "str_replace", "insert", "delete", "rename"),
            **_EDIT,
            old_path=_TEXT,
            new_path=_TEXT,
        ),
    ),
    "shell": (
        "Runs shell commands on the user's computer and returns their output.",
        _object(("commands",), commands=_TEXTS, timeout_ms=_INTEGER, max_output_length=_INTEGER),
    ),
    "local_shell": (
        "Runs one command on the user's computer and returns its output.",
        _object(
            ("type", "command", "env"),
            type=_word("exec"),
            command=_TEXTS,
            env={"type": "object", "additionalProperties": _TEXT},
            working_directory=_TEXT,
            timeout_ms=_INTEGER,
        ),
    ),
    "apply_patch": (
        "Creates, updates or deletes one file of the user's by a V4A diff.",
        _object(("type", "path"), type=_word("create_file", "update_file", "delete_file"), path=_TEXT, diff=_TEXT),
    ),
}
"""Description and schema by the type of the declaration."""
