"""Reports of usage, one behind the other: what they leave, and that nothing else of them stays."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from modelserver.dialects.anthropic import ANTHROPIC
from modelserver.dialects.dialect import Dialect
from modelserver.dialects.gemini import GEMINI
from modelserver.dialects.openai_responses import RESPONSES
from modelserver.ir.usage import merge_report

READ = frozenset(("a", "b"))

REPORTS = [
    pytest.param([{"a": 1}, {"a": 2}], {"a": 2}, id="the last one counts"),
    pytest.param([{"a": 1, "b": 2}, {"a": None}], {"a": 1, "b": 2}, id="null says nothing"),
    pytest.param([{"a": 1, "c": 2}], {"a": 1}, id="what nobody reads"),
    pytest.param([{"a": 1}, {"a": [0] * 1001}], {"a": 1}, id="too long"),
    pytest.param([{"a": 1}, [], None, "x"], {"a": 1}, id="no report"),
]


@pytest.mark.parametrize(("reports", "expected"), REPORTS)
def test_reports_are_merged(reports: list[object], expected: dict[str, Any]) -> None:
    merged: dict[str, Any] = {}
    for report in reports:
        merge_report(merged, report, READ)

    assert expected == merged


def test_a_report_tells_whether_it_said_anything() -> None:
    said = [merge_report({}, report, READ) for report in ({"a": 0}, {"a": None}, {"c": 1}, None)]

    assert said == [True, False, False, False]


LONG = "a" * 100_000
FLOODS = [
    pytest.param(ANTHROPIC, lambda n: {"type": "message_delta", "usage": {f"k{n}": LONG}}, id="anthropic"),
    pytest.param(GEMINI, lambda n: {"usageMetadata": {f"k{n}": LONG}}, id="gemini"),
    pytest.param(
        RESPONSES, lambda n: {"type": "response.in_progress", "response": {"id": f"{n}{LONG}"}}, id="responses"
    ),
]


@pytest.mark.parametrize(("dialect", "event"), FLOODS)
def test_a_stream_is_not_kept_in_what_is_noted_of_it(dialect: Dialect, event: Callable[[int], object]) -> None:
    relay = dialect.open_stream(withhold_usage=False, rename=None, claim=lambda id: None)
    tracemalloc.start()
    for number in range(100):
        relay.feed(b"data: " + orjson.dumps(event(number)) + b"\n\n")
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert relay.failure is None
    assert kept < 3_000_000
