"""OpenAI's list of models."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

from modelserver.dialects.openai_chat.listing import encode_list, encode_one
from modelserver.ir.listing import Listed


def _entry(*, id: str, root: str, created: date | None, owned_by: str) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads(encode_one(Listed(id=id, root=root, created=created, owned_by=owned_by)))
    return entry


def test_the_list_holds_the_entries_in_their_order() -> None:
    models = [Listed(id=name, root=name, owned_by="p") for name in ("b", "a")]

    assert [entry["id"] for entry in json.loads(encode_list(models, {}))["data"]] == ["b", "a"]


def test_the_openai_object_has_the_published_fields_in_order() -> None:
    entry = _entry(id="gpt5", root="gpt-5", created=date(2025, 8, 7), owned_by="openai")
    permission_id = entry["permission"][0].pop("id")

    assert json.dumps(entry) == json.dumps(
        {
            "id": "gpt5",
            "object": "model",
            "created": 1754524800,
            "owned_by": "openai",
            "permission": [
                {
                    "object": "model_permission",
                    "created": 1754524800,
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
            ],
            "root": "gpt-5",
            "parent": None,
        }
    )
    assert len(permission_id) == len("modelperm-LwHkVFn8AcMItP432fKKDIKJ")
    assert permission_id.startswith("modelperm-")


def test_the_permission_comes_first_with_its_id() -> None:
    permission = _entry(id="m", root="m", created=None, owned_by="p")["permission"][0]

    assert list(permission)[:3] == ["id", "object", "created"]


def test_an_unknown_day_is_the_published_one() -> None:
    entry = _entry(id="m", root="m", created=None, owned_by="p")

    assert (entry["created"], entry["permission"][0]["created"]) == (1626777600, 1626777600)


def test_a_permission_id_follows_from_the_id_alone() -> None:
    first = _entry(id="m", root="m", created=None, owned_by="p")["permission"][0]["id"]
    again = _entry(id="m", root="n", created=date(2026, 1, 1), owned_by="q")["permission"][0]["id"]
    other = _entry(id="n", root="m", created=None, owned_by="p")["permission"][0]["id"]

    assert first == again
    assert first != other
