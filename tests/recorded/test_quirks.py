"""Each row of the table of deviations, by the provider's preset: what leaves for it, and how its answers are read."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

from modelserver.config import parse_config
from modelserver.config.types import Quirks, StreamUsage
from modelserver.dialects.openai_chat import CODEC
from modelserver.dialects.openai_chat.request import forward, read_request
from modelserver.ir.fold import fold
from modelserver.ir.parts import FinishReason, Reasoning, Response, ToolCall
from modelserver.ir.types import Complaint
from tests.support.chat_codec import Comparable, reading

_BESIDE = Path(__file__).parents[2].parent / "shared"
SHARED = _BESIDE if _BESIDE.is_dir() else Path(os.environ.get("MODELSERVER_SHARED", _BESIDE))
FOLDER = SHARED / "recordings" / "openai-chat"
recorded = pytest.mark.skipif(not FOLDER.is_dir(), reason="no recordings in ../shared nor MODELSERVER_SHARED")


def quirks_of(provider: str) -> Quirks:
    """The preset's, as a configuration that names nothing but the provider gets them."""
    address = 'base_url = "http://127.0.0.1:9/v1"' if provider == "azure" else ""
    config = parse_config(
        f"""
[providers.{provider}]
key = "a-key-0123456789"
{address}
[[models]]
model_id = "m"
route = "{provider}/m"
"""
    )
    return config.models[0].settings.quirks


MESSAGES = [{"role": "developer", "content": "a"}, {"role": "user", "name": "u", "content": "b"}]
TOOLS = [{"type": "function", "function": {"name": "f", "strict": True}}]
ASKED: dict[str, Any] = {
    "model": "m",
    "messages": MESSAGES,
    "stream": True,
    "max_completion_tokens": 9,
    "seed": 7,
    "user": "u",
    "store": False,
    "logprobs": True,
    "top_logprobs": 2,
    "logit_bias": {"1": 2},
    "parallel_tool_calls": False,
    "tools": TOOLS,
    "stream_options": {"include_usage": True},
}


def sent(provider: str) -> dict[str, Any]:
    """What leaves for the provider, when a client asks for everything."""
    quirks = quirks_of(provider)
    wire = forward(
        read_request(json.dumps(ASKED).encode()),
        target="m",
        params={},
        ask_usage=False,
        drop_options=quirks.stream_usage is not StreamUsage.OPTION,
        quirks=quirks.dialect,
    )
    found: dict[str, Any] = json.loads(wire)
    return found


def without(*names: str, **fields: Any) -> dict[str, Any]:
    return {**{name: value for name, value in ASKED.items() if name not in names}, **fields}


OLD_LIMIT = without("max_completion_tokens", max_tokens=9)
REQUESTS = {
    "deepseek": OLD_LIMIT,
    "groq": without("logprobs", "top_logprobs", "logit_bias", messages=[MESSAGES[0], {"role": "user", "content": "b"}]),
    "mistral": {
        "model": "m",
        "messages": MESSAGES,
        "stream": True,
        "max_tokens": 9,
        "random_seed": 7,
        "parallel_tool_calls": False,
        "tools": TOOLS,
    },
    "xai": ASKED,
    "together": OLD_LIMIT,
    "openrouter": OLD_LIMIT,
    "ollama": {**OLD_LIMIT, "tools": [{"type": "function", "function": {"name": "f"}}]},
    "vllm": ASKED,
    "llamacpp": ASKED,
    "azure": ASKED,
}


@pytest.mark.parametrize(("provider", "expected"), REQUESTS.items(), ids=REQUESTS)
def test_a_request_has_only_what_the_provider_takes_H41(provider: str, expected: Mapping[str, Any]) -> None:
    assert expected == sent(provider)


STOP, CALLS = FinishReason.STOP, FinishReason.TOOL_CALLS


@attrs.frozen
class Case:
    """A recorded answer, and what is read in it."""

    provider: str
    name: str
    """A part of the recording's that no other has."""
    usage: Mapping[str, int] | None
    """Counts that are neither absent nor zero."""
    finish: FinishReason = STOP
    reasons: bool = False
    calls: int = 0


ANSWERS = {
    "deepseek: reasoning beside calls": Case(
        "deepseek", "deepseek-deferred-capability-with-thinking-1", {"input": 875, "output": 79, "reasoning": 26},
        CALLS, reasons=True, calls=2,
    ),
    "deepseek: cache hits": Case(
        "deepseek", "deepseek-chat-respects-choice-required", {"input": 343, "output": 58, "cache_read": 256},
        CALLS, calls=1,
    ),
    "groq: reasoning, usage in x_groq": Case(
        "groq", "groq-model-web-search-tool-stream-0", {"input": 5003, "output": 359}, reasons=True
    ),
    "groq: a call in a stream": Case(
        "groq", "tool-use-failed-error-streaming-1", {"input": 304, "output": 49, "reasoning": 23},
        CALLS, reasons=True, calls=1,
    ),
    "mistral: thinking in the content, streamed": Case(
        "mistral", "ai-mistral-reasoning-0", {"input": 10, "output": 46}, reasons=True
    ),
    "mistral: thinking in the content, usage with cached tokens": Case(
        "mistral", "mistral-v1-chat-completions-post-20aaaaf3", {"input": 10, "output": 63, "cache_read": 5},
        reasons=True,
    ),
    "mistral: a call that grows": Case(
        "mistral", "ai-mistral-incremental-tool-call-0", {"input": 171, "output": 14, "cache_read": 128},
        CALLS, calls=1,
    ),
    "mistral: audio beside the prompt": Case(
        "mistral", "mistral-voxtral-small", {"input": 384, "output": 248, "audio_in": 375}
    ),
    "xai: reasoning beside the completion": Case(
        "xai", "xai-grok-4-fast-multi-tool-0", {"input": 436, "output": 216, "cache_read": 152, "reasoning": 148},
        CALLS, calls=2,
    ),
    "xai: reasoning_content": Case(
        "xai", "xai-grok-3-mini-thinking-1", {"input": 331, "output": 343, "cache_read": 283, "reasoning": 332},
        reasons=True,
    ),
    "together: eos, role on every chunk": Case(
        "together", "openinference-test-instrumentor-test-chat-stream-0", {"input": 41, "output": 15}
    ),
    "together: a call": Case("together", "test-chat-with-tool-call-0", {"input": 198, "output": 24}, CALLS, calls=1),
    "openrouter: details of the reasoning": Case(
        "openrouter", "glm-multi-tool-streaming-1", {"input": 358, "output": 46, "cache_read": 256, "reasoning": 11},
        reasons=True,
    ),
    "openrouter: calls that end in stop": Case(
        "openrouter", "o3-mini-high-0", {"input": 78, "output": 410, "reasoning": 384}, CALLS, calls=1
    ),
    "openrouter: Claude thinks and calls": Case(
        "openrouter", "claude-3.7-sonnet-thinking-0", {"input": 453, "output": 210, "reasoning": 150},
        CALLS, reasons=True, calls=1,
    ),
    "ollama: a call that ends in stop, no usage": Case(
        "ollama", "acomplete-ollama-return-true", None, CALLS, calls=1
    ),
    "ollama: reasoning": Case(
        "ollama", "ollama-cloud-tool-output-1", {"input": 206, "output": 194}, CALLS, reasons=True, calls=1
    ),
    "vllm: cut off": Case(
        "vllm", "trace-propagation-async-chatopenai-0", {"input": 57, "output": 20}, FinishReason.LENGTH
    ),
    "llamacpp: reasoning_content": Case(
        "llamacpp", "llama-cpp-gpt-oss-thinking-0", {"input": 139, "output": 51}, CALLS, reasons=True, calls=1
    ),
    "azure: a first chunk without choices": Case("azure", "completion-azure-stream-0", {"input": 12, "output": 24}),
    "azure: filtered, without a message": Case(
        "azure", "azure-test-chat-content-filtering-0", {"input": 15, "output": 19}, FinishReason.CONTENT_FILTER
    ),
    "azure: more cached than the prompt has": Case(
        "azure", "azure-grok-4-1-fast-non-reasoning-supports", {"input": 29, "output": 6, "cache_read": 29}
    ),
}  # fmt: skip


def read(provider: str, name: str) -> Any:
    """A recorded answer, as the preset has it read."""
    (file,) = FOLDER.glob(f"*{name}*.json")
    record = json.loads(file.read_bytes())
    how = reading(**quirks_of(provider).dialect)
    body = record["response"]["body"].encode()
    if record["stream"]:
        return fold(Comparable(how).feed(body))
    return CODEC.decode_response(body, how)


@recorded
@pytest.mark.parametrize("case", [pytest.param(case, id=id) for id, case in ANSWERS.items()])
def test_a_recorded_answer_is_read_as_the_provider_means_it(case: Case) -> None:
    answer = read(case.provider, case.name)

    assert isinstance(answer, Response)
    (choice,) = answer.choices
    usage = None if answer.usage is None else {key: count for key, count in attrs.asdict(answer.usage).items() if count}
    assert (case.usage, case.finish, case.reasons, case.calls) == (
        usage and {key: usage[key] for key in usage if key not in ("tier", "raw")},
        choice.finish.reason,
        any(isinstance(part, Reasoning) and part.text for part in choice.parts),
        sum(isinstance(part, ToolCall) for part in choice.parts),
    )


@recorded
def test_an_error_behind_the_finish_of_openrouter_is_one() -> None:
    assert not isinstance(read("openrouter", "openrouter-stream-error-0"), Response)


def ended(case: str) -> Any:
    """What an answer is read as that ended with the word of `provider: word`."""
    provider, _, word = case.partition(": ")
    body = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "a"}, "finish_reason": word}]}
    return CODEC.decode_response(json.dumps(body).encode(), reading(**quirks_of(provider).dialect))


FINISHES = {"mistral: model_length": FinishReason.LENGTH, "together: eos": STOP}


@pytest.mark.parametrize("case", FINISHES)
def test_a_finish_word_of_the_provider_s_own_is_known(case: str) -> None:
    answer = ended(case)

    assert isinstance(answer, Response)
    assert answer.choices[0].finish.reason is FINISHES[case]


@pytest.mark.parametrize("case", ["deepseek: insufficient_system_resource", "mistral: error"])
def test_a_finish_word_that_means_a_failure_is_one(case: str) -> None:
    assert isinstance(ended(case), Complaint)
