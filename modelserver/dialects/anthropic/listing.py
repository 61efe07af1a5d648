"""Anthropic's list of models, with the fields of `ModelInfo` in its Python SDK, read 2026-11-24."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import orjson

from modelserver.dialects.reading import out_of_range
from modelserver.ir.listing import Listed

_MAX_PAGE: Final = 1000
_UNKNOWN_CREATED: Final = date(1970, 1, 1)
"""The service says the epoch too where it does not know the day."""


def encode_list(models: Sequence[Listed], query: Mapping[str, str]) -> bytes:
    """One page: at most `limit` models behind `after_id`, or before `before_id`; without a limit as many as can be.

    Raises:
        InvalidRequest: The limit is no number from 1 to 1000, or an id is not in the list; `param` says which.
    """
    limit = _limit(query.get("limit"))
    ids = [model.id for model in models]
    start = 0 if query.get("after_id") is None else _position(ids, query, "after_id") + 1
    end = len(models) if query.get("before_id") is None else _position(ids, query, "before_id")
    found = models[start:end]
    # Backwards the page is the one right before the id, and what is left lies before the page.
    backwards = "before_id" in query and "after_id" not in query
    page = list(map(_object, found[-limit:] if backwards else found[:limit]))
    return orjson.dumps(
        {
            "data": page,
            "has_more": len(found) > limit,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
        }
    )


def encode_one(model: Listed) -> bytes:
    """One entry of the list."""
    return orjson.dumps(_object(model))


def _limit(given: str | None) -> int:
    if given is None:
        return _MAX_PAGE
    if not (given.isascii() and given.isdigit() and len(given) <= len(str(_MAX_PAGE)) and 1 <= int(given) <= _MAX_PAGE):
        raise out_of_range("limit", f"a number from 1 to {_MAX_PAGE}")
    return int(given)


def _position(ids: Sequence[str], query: Mapping[str, str], param: str) -> int:
    if query[param] not in ids:
        raise out_of_range(param, "the id of a model in this list")
    return ids.index(query[param])


def _object(model: Listed) -> dict[str, Any]:
    """The entry; the day of creation is told as midnight UTC."""
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.id,
        "created_at": f"{(model.created or _UNKNOWN_CREATED).isoformat()}T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": model.max_input,
        "max_tokens": model.max_output,
        "capabilities": _capabilities(model),
    }


def _capabilities(model: Listed) -> dict[str, Any]:
    """What is known that the model can; of the rest nothing is, and none may be missing."""
    reasoning = model.reasoning
    efforts = reasoning.efforts if model.thinking and reasoning.kind != "none" else ()
    return {
        "batch": _support(False),
        "citations": _support(False),
        "code_execution": _support(False),
        "context_management": {
            "supported": False,
            "clear_thinking_20251015": None,
            "clear_tool_uses_20250919": None,
            "compact_20260112": None,
        },
        "effort": {
            "supported": bool(efforts),
            **{effort: _support(effort in efforts) for effort in ("low", "medium", "high", "max", "xhigh")},
        },
        "image_input": _support(model.images),
        "pdf_input": _support(model.documents),
        "server_tools": {"supported": False, "code_execution": _support(False), "web_search": _support(False)},
        "structured_outputs": _support(model.schemas),
        "thinking": {
            "supported": model.thinking,
            "types": {
                # For models of other APIs both are translated.
                "adaptive": _support(model.thinking and reasoning.kind != "budget"),
                "between_tools": _support(model.thinking and reasoning.between_tools),
                "disabled": _support(not model.thinking or reasoning.can_disable),
                "enabled": _support(model.thinking and reasoning.kind != "adaptive"),
            },
        },
    }


def _support(supported: bool) -> dict[str, bool]:
    return {"supported": supported}
