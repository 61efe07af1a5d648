"""OpenAI's list of models, with the fields that the published example has."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Final

import orjson

from modelserver.ir.listing import Listed

_UNKNOWN_CREATED: Final = 1626777600
_EPOCH: Final = date(1970, 1, 1)


def encode_list(models: Sequence[Listed], query: Mapping[str, str]) -> bytes:
    """The whole list; it has no pages."""
    return orjson.dumps({"object": "list", "data": list(map(_object, models))})


def encode_one(model: Listed) -> bytes:
    """One entry of the list."""
    return orjson.dumps(_object(model))


def _object(model: Listed) -> dict[str, Any]:
    """The entry, fields in the published order.

    `created` counts from midnight UTC; an unknown day is the published example's. The permission's id follows from the
    model's alone.
    """
    created_s = _UNKNOWN_CREATED if model.created is None else (model.created - _EPOCH).days * 86_400
    permission = {
        "id": "modelperm-" + hashlib.sha256(model.id.encode()).hexdigest()[:24],
        "object": "model_permission",
        "created": created_s,
        "allow_create_engine": True,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
    return {
        "id": model.id,
        "object": "model",
        "created": created_s,
        "owned_by": model.owned_by,
        "permission": [permission],
        "root": model.root,
        "parent": None,
    }
