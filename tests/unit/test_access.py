from __future__ import annotations

import pytest

from modelserver.policy.access import ModelRule

RULES = [
    pytest.param(None, "gpt-5", (), True, id="no list allows everything"),
    pytest.param((), "gpt-5", (), False, id="an empty list allows nothing"),
    pytest.param(("gpt-5",), "gpt-5", (), True, id="an id allows itself"),
    pytest.param(("gpt-5",), "gpt-5-mini", (), False, id="an id is not a prefix"),
    pytest.param(("gpt-5",), "GPT-5", (), False, id="case counts"),
    pytest.param(("gpt.5",), "gpt-5", (), False, id="a dot stands for itself"),
    pytest.param(("gpt-[45]",), "gpt-5", (), False, id="a bracket is no set"),
    pytest.param(("gpt-[45]",), "gpt-[45]", (), True, id="a bracket stands for itself"),
    pytest.param(("claude-*",), "claude-opus-5", (), True, id="a star at the end"),
    pytest.param(("claude-*",), "claude-", (), True, id="a star stands for nothing too"),
    pytest.param(("claude-*",), "my-claude-opus", (), False, id="a glob is anchored at the start"),
    pytest.param(("*-mini",), "gpt-5-mini", (), True, id="a star at the start"),
    pytest.param(("*-mini",), "gpt-5-mini-2", (), False, id="a glob is anchored at the end"),
    pytest.param(("gpt-*-codex-*",), "gpt-5.2-codex-max", (), True, id="stars in the middle"),
    pytest.param(("a*ab*b",), "aab", (), False, id="parts may not overlap"),
    pytest.param(("*",), "ollama/llama3:8b", (), True, id="a star crosses slashes and colons"),
    pytest.param(("*",), "two\nlines", (), True, id="a star crosses line ends"),
    pytest.param(("gpt-?",), "gpt-5", (), True, id="a question mark is one character"),
    pytest.param(("gpt-?",), "gpt-", (), False, id="a question mark is not none"),
    pytest.param(("gpt-?",), "gpt-51", (), False, id="a question mark is not two"),
    pytest.param(("gpt-*?",), "gpt-", (), False, id="a star before a question mark still needs one"),
    pytest.param(("a\\?",), "a\\b", (), True, id="a backslash stands for itself"),
    pytest.param(("ollama/*",), "ollama/llama3", (), True, id="a pattern of the catalogue covers what it serves"),
    pytest.param(("tag:cheap",), "gpt-5", ("new", "cheap"), True, id="a tag allows its models"),
    pytest.param(("tag:cheap",), "gpt-5", ("cheaper",), False, id="a tag is whole"),
    pytest.param(("tag:cheap",), "tag:cheap", (), False, id="a tag is no id"),
    pytest.param(("tag:cheap", "gpt-5"), "gpt-5", (), True, id="any entry is enough"),
    pytest.param(("!gpt-5",), "gpt-5", (), False, id="an exclusion excludes"),
    pytest.param(("!gpt-5",), "gpt-4o", (), True, id="exclusions only start from everything"),
    pytest.param(("!tag:dear",), "o1", ("dear",), False, id="a tag can be excluded"),
    pytest.param(("gpt-*", "!*-pro"), "gpt-5-pro", (), False, id="an exclusion narrows a glob"),
    pytest.param(("!gpt-5", "gpt-*"), "gpt-5", (), False, id="an exclusion wins wherever it stands"),
    pytest.param(("gpt-*", "!*-pro"), "o1", (), False, id="what is not included stays out beside exclusions"),
]


@pytest.mark.parametrize(("patterns", "model_id", "tags", "expected"), RULES)
def test_a_rule_decides(patterns: tuple[str, ...] | None, model_id: str, tags: tuple[str, ...], expected: bool) -> None:
    actual = ModelRule(patterns).allows(model_id, tags)

    assert expected is actual


@pytest.mark.parametrize(
    ("patterns", "expected"), [(None, True), ((), False), (("*",), False), (("!a",), False)], ids=str
)
def test_only_no_list_is_everything(patterns: tuple[str, ...] | None, expected: bool) -> None:
    assert expected is ModelRule(patterns).everything
