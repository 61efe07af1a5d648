"""Deviations of a provider, applied to a body."""

from __future__ import annotations

from typing import Any

import pytest

from modelserver.dialects.quirks import apply_quirks

NEEDED = frozenset(("model", "messages"))

CASES = [
    pytest.param({"drop": ("user",)}, {"user": "u", "seed": 1}, {"seed": 1}, id="drop"),
    pytest.param(
        {"drop": ("tools[].function.strict",)},
        {"tools": [{"function": {"strict": True, "name": "f"}}, 1]},
        {"tools": [{"function": {"name": "f"}}, 1]},
        id="drop: within a list",
    ),
    pytest.param({"drop": ("x.a", "y[].a")}, {"x": "a", "y": 1}, {"x": "a", "y": 1}, id="drop: not that shape"),
    pytest.param({"rename": {"seed": "random_seed"}}, {"seed": 1}, {"random_seed": 1}, id="rename"),
    pytest.param({"allow": ("y",)}, {"x": 1, "y": 2}, {"y": 2}, id="allow"),
    pytest.param(
        {"allow": ("random_seed",), "rename": {"seed": "random_seed"}},
        {"seed": 1},
        {"random_seed": 1},
        id="allow: by the provider's name",
    ),
    pytest.param({"add": {"x": 2}}, {"y": 1}, {"y": 1, "x": 2}, id="add"),
    pytest.param({"add": {"x": 2}}, {"x": 1}, {"x": 1}, id="add: not over what is said"),
    pytest.param({"add": {"x": 2}, "allow": ("y",)}, {"y": 1}, {"y": 1, "x": 2}, id="add: whatever is allowed"),
    pytest.param({"drop": ("messages",), "allow": (), "rename": {"model": "m"}}, {}, {}, id="what is needed stays"),
]


@pytest.mark.parametrize(("quirks", "said", "expected"), CASES)
def test_a_body_is_bent(quirks: dict[str, Any], said: dict[str, Any], expected: dict[str, Any]) -> None:
    body = {"model": "m", "messages": [], **said}

    assert {"model": "m", "messages": [], **expected} == apply_quirks(body, quirks, needed=NEEDED)
    assert body == {"model": "m", "messages": [], **said}
