"""Google's list of models (ai.google.dev/api/models, read 2026-11-23)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import orjson

from modelserver.dialects.gemini.vocab import in_camel
from modelserver.dialects.reading import out_of_range
from modelserver.errors import InvalidRequest
from modelserver.ir.listing import Listed

_MAX_PAGE: Final = 1000
_METHODS: Final = ("generateContent", "streamGenerateContent", "countTokens")


def encode_list(models: Sequence[Listed], query: Mapping[str, str]) -> bytes:
    """A page of the list: of `pageSize` models, or all; `pageToken` is the id of the last one of the page before.

    Raises:
        InvalidRequest: The size is not one from 1 to 1000, or the token is none of a page of this list.
    """
    query = in_camel(query)
    start = _start(models, query.get("pageToken"))
    end = start + _size(query.get("pageSize"), len(models))
    page: dict[str, Any] = {"models": [_object(model) for model in models[start:end]]}
    if end < len(models):
        page["nextPageToken"] = models[end - 1].id
    return orjson.dumps(page)


def encode_one(model: Listed) -> bytes:
    """One entry of the list."""
    return orjson.dumps(_object(model))


def _start(models: Sequence[Listed], token: str | None) -> int:
    if not token:
        return 0
    for index, model in enumerate(models):
        if model.id == token:
            return index + 1
    raise InvalidRequest("pageToken must be the nextPageToken of the page before.", param="pageToken")


def _size(given: str | None, everything: int) -> int:
    if not given:
        return everything
    # Longer numbers take long to read.
    if not given.isascii() or not given.isdigit() or len(given) > 4 or not 1 <= int(given) <= _MAX_PAGE:
        raise out_of_range("pageSize", f"an integer from 1 to {_MAX_PAGE}")
    return int(given)


def _object(model: Listed) -> dict[str, Any]:
    """The entry; what is not known is left out."""
    entry: dict[str, Any] = {"name": f"models/{model.id}"}
    if model.root != model.id:
        entry["baseModelId"] = model.root
    entry["displayName"] = model.id
    for key, value in (
        ("description", model.description),
        ("inputTokenLimit", model.max_input),
        ("outputTokenLimit", model.max_output),
    ):
        if value is not None:
            entry[key] = value
    return {**entry, "supportedGenerationMethods": _METHODS, "thinking": model.thinking}
