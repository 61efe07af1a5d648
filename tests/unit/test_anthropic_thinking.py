"""Thinking, limits and sampling as the Anthropic encoder sends them."""

from __future__ import annotations

from typing import Any

import attrs
import orjson
import pytest

from modelserver.dialects.anthropic.request import encode_request
from modelserver.ir.card import ModelCard, ReasoningCard
from modelserver.ir.parts import (
    Reasoning,
)
from modelserver.ir.request import (
    ReasoningSpec,
    Sampling,
)
from tests.support.anthropic import (
    ADAPTIVE,
    BOUND,
    MANUAL,
    PLAIN,
    SIGNED,
    TEA,
    TEA_USE,
    assistant,
    chat,
    profile,
    result,
    sent,
    thinks,
    tool,
    user,
)

LOOP = (user("q"), assistant(Reasoning(text="hm", seal=SIGNED), TEA), user(result("t1", "42")))
BARE = (user("q"), assistant(TEA), user(result("t1", "42")))

THINKING = [
    pytest.param(
        MANUAL,
        {"reasoning": thinks(effort="high"), "max_output": 4000},
        {"max_tokens": 4000, "thinking": {"type": "enabled", "budget_tokens": 3999}},
        [],
        id="H19 effort high is a budget below the limit",
    ),
    pytest.param(
        MANUAL,
        {"reasoning": thinks(effort="low")},
        {"max_tokens": 8192 + 2048, "thinking": {"type": "enabled", "budget_tokens": 2048}},
        [],
        id="H19 a default limit grows by the budget",
    ),
    pytest.param(
        MANUAL,
        {"reasoning": thinks(effort="max"), "max_output": 200_000},
        {"max_tokens": 200_000, "thinking": {"type": "enabled", "budget_tokens": 64_000}},
        [],
        id="H19 effort max takes 64000 at most",
    ),
    pytest.param(
        MANUAL,
        {"reasoning": thinks(), "max_output": 20_000},
        {"max_tokens": 20_000, "thinking": {"type": "enabled", "budget_tokens": 8192}},
        [],
        id="H19 thinking without a measure",
    ),
    pytest.param(
        MANUAL,
        {"reasoning": thinks(budget=5000), "max_output": 20_000},
        {"max_tokens": 20_000, "thinking": {"type": "enabled", "budget_tokens": 5000}},
        [],
        id="a budget stays",
    ),
    pytest.param(
        MANUAL,
        {"reasoning": thinks(effort="high"), "max_output": 800},
        {"max_tokens": 800},
        ["reasoning_dropped"],
        id="D56 too small a limit turns thinking off",
    ),
    pytest.param(
        MANUAL,
        {"reasoning": ReasoningSpec(mode="off")},
        {"max_tokens": 8192, "thinking": {"type": "disabled"}},
        [],
        id="D55 off disables",
    ),
    pytest.param(
        PLAIN,
        {"reasoning": thinks(effort="high")},
        {"max_tokens": 8192},
        ["reasoning_dropped"],
        id="a model that can't think is not told to",
    ),
    pytest.param(
        ADAPTIVE,
        {"reasoning": ReasoningSpec(effort="high"), "max_output": 4000},
        {
            "max_tokens": 4000,
            "thinking": {"type": "adaptive", "display": "summarized"},
            "output_config": {"effort": "high"},
        },
        [],
        id="H19 effort high is adaptive",
    ),
    pytest.param(
        ADAPTIVE,
        {"reasoning": thinks(effort="xhigh")},
        {
            "max_tokens": 8192,
            "thinking": {"type": "adaptive", "display": "summarized"},
            "output_config": {"effort": "xhigh"},
        },
        [],
        id="D55 xhigh where it is listed",
    ),
    pytest.param(
        attrs.evolve(ADAPTIVE, reasoning=ReasoningCard(kind="adaptive", efforts=("low", "high", "max"))),
        {"reasoning": thinks(effort="xhigh")},
        {
            "max_tokens": 8192,
            "thinking": {"type": "adaptive", "display": "summarized"},
            "output_config": {"effort": "max"},
        },
        [],
        id="D55 xhigh becomes max",
    ),
    pytest.param(
        ADAPTIVE,
        {"reasoning": thinks(effort="minimal", show="omitted")},
        {
            "max_tokens": 8192,
            "thinking": {"type": "adaptive", "display": "omitted"},
            "output_config": {"effort": "low"},
        },
        [],
        id="minimal becomes low, and nothing is shown",
    ),
    pytest.param(
        ADAPTIVE,
        {"reasoning": ReasoningSpec(effort="none")},
        {"max_tokens": 8192, "thinking": {"type": "disabled"}},
        [],
        id="D55 none disables",
    ),
    pytest.param(
        BOUND,
        {"reasoning": ReasoningSpec(effort="none")},
        {"max_tokens": 8192, "thinking": {"type": "between_tools"}},
        [],
        id="D55 none is as little as can be",
    ),
    pytest.param(
        BOUND,
        {"reasoning": ReasoningSpec(mode="between_tools", effort="max")},
        {"max_tokens": 8192, "thinking": {"type": "between_tools"}, "output_config": {"effort": "high"}},
        [],
        id="between tools goes up to high",
    ),
    pytest.param(
        BOUND,
        {"reasoning": thinks()},
        {
            "max_tokens": 8192,
            "thinking": {
                "type": "adaptive",
                "display": "summarized",
                "block_binding": {"prefix_mismatch_behavior": "drop_block"},
            },
        },
        [],
        id="H17 a binding model drops blocks that moved",
    ),
    pytest.param(ADAPTIVE, {}, {"max_tokens": 8192}, [], id="nothing asked, nothing said"),
    pytest.param(
        attrs.evolve(PLAIN, max_output=128_000, default_max_output=64_000),
        {},
        {"max_tokens": 64_000},
        [],
        id="D39 H11 the card's default limit",
    ),
    pytest.param(
        attrs.evolve(PLAIN, max_output=128_000),
        {"max_output": 500_000},
        {"max_tokens": 128_000},
        ["max_tokens_lowered"],
        id="D39 H11 a limit above the card's is lowered",
    ),
]


@pytest.mark.parametrize(("card", "fields", "expected", "losses"), THINKING)
def test_thinking_and_limits(card: ModelCard, fields: dict[str, Any], expected: Any, losses: list[str]) -> None:
    body, codes = sent(chat(**fields), profile(card))

    assert expected == {key: body[key] for key in ("max_tokens", "thinking", "output_config") if key in body}
    assert losses == codes


def test_d45_a_signed_loop_keeps_thinking() -> None:
    body, codes = sent(chat(*LOOP, tools=(tool(),), reasoning=thinks(budget=2000)), profile(MANUAL))

    assert body["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    assert body["messages"][1]["content"] == [{"type": "thinking", "thinking": "hm", "signature": "EqQB"}, TEA_USE]
    assert codes == []


def test_d45c_a_loop_without_its_thinking_is_sent_without_thinking() -> None:
    body, codes = sent(chat(*BARE, tools=(tool(),), reasoning=thinks(budget=2000)), profile(MANUAL))

    assert "thinking" not in body
    assert codes == ["reasoning_dropped"]


def test_a_finished_loop_without_its_thinking_keeps_thinking_on() -> None:
    body, _ = sent(chat(*BARE, assistant("42!"), user("and?"), reasoning=thinks(budget=2000)), profile(MANUAL))

    assert body["thinking"]["type"] == "enabled"


def test_an_adaptive_model_does_not_mind_a_bare_loop() -> None:
    body, _ = sent(chat(*BARE, tools=(tool(),), reasoning=thinks()), profile(ADAPTIVE))

    assert body["thinking"]["type"] == "adaptive"


def test_h17_a_binding_model_is_told_so_by_a_beta() -> None:
    encoded = encode_request(chat(*LOOP, tools=(tool(),)), profile(BOUND))

    assert encoded.headers == {
        "anthropic-version": "2023-06-01",
        "anthropic-beta": "thinking-binding-controls-2026-08-01",
    }
    assert orjson.loads(encoded.body)["thinking"] == {
        "type": "adaptive",
        "display": "summarized",
        "block_binding": {"prefix_mismatch_behavior": "drop_block"},
    }


SAMPLING = [
    pytest.param(
        PLAIN, Sampling(temperature=1.7), None, {"temperature": 1.0}, [], id="D40 H12 temperature is at most 1"
    ),
    pytest.param(
        ADAPTIVE,
        Sampling(temperature=1.7, top_p=0.9, top_k=40),
        None,
        {},
        ["temperature_dropped", "top_k_dropped", "top_p_dropped"],
        id="D40 H12 a model without sampling",
    ),
    pytest.param(ADAPTIVE, Sampling(temperature=1, top_p=1), None, {}, [], id="H12 defaults go silently"),
    pytest.param(
        PLAIN, Sampling(temperature=1.4, top_p=0.9), None, {"temperature": 1.0}, ["top_p_dropped"], id="H12 not both"
    ),
    pytest.param(
        PLAIN, Sampling(temperature=1, top_p=0.9), None, {"top_p": 0.9}, [], id="H12 the one that says something"
    ),
    pytest.param(
        MANUAL,
        Sampling(temperature=0.5, top_p=0.97, top_k=5),
        thinks(budget=2000),
        {"top_p": 0.97},
        ["temperature_dropped", "top_k_dropped"],
        id="H12 manual thinking takes top_p near 1 only",
    ),
    pytest.param(
        PLAIN,
        Sampling(top_k=40, stop=("END", "\n\n")),
        None,
        {"top_k": 40, "stop_sequences": ["END"]},
        ["stop_dropped"],
        id="H13 white space is no stop sequence",
    ),
    pytest.param(
        PLAIN,
        Sampling(presence=0.5, seed=7, logprobs=True),
        None,
        {},
        ["penalties_dropped", "logprobs_dropped"],
        id="H13 H15 what this API lacks",
    ),
]


@pytest.mark.parametrize(("card", "sampling", "reasoning", "expected", "losses"), SAMPLING)
def test_sampling(card: ModelCard, sampling: Sampling, reasoning: Any, expected: Any, losses: list[str]) -> None:
    body, codes = sent(chat(sampling=sampling, reasoning=reasoning), profile(card))

    assert expected == {
        key: body[key] for key in ("temperature", "top_p", "top_k", "stop_sequences", "seed") if key in body
    }
    assert losses == codes
