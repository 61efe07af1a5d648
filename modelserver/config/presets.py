"""What is known about well-known providers, so that a name and a key in the environment are enough.

A `[providers.NAME]` table may replace every part of its preset.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from modelserver.config.types import StreamUsage, UpstreamAuth

MOCK = "mock"
"""The provider that answers in process."""


@attrs.frozen(kw_only=True)
class Preset:
    """The defaults that follow from a provider's name."""

    base_url: str = ""
    """"" where every customer has an address of their own."""
    key_names: tuple[str, ...] = ()
    """Environment variables that hold the key, the first one that is set; none: no key is needed."""
    url_name: str | None = None
    """Environment variable that holds another address."""
    url_may_be_host: bool = False
    """Whether that variable may hold a host and a port only."""
    version: str = "/v1"
    """The path, for OpenAI's dialects, of an address that was given with one of the paths `completes`."""
    completes: tuple[str, ...] = ("",)
    speaks: tuple[str, ...] = ("chat",)
    quirks: Mapping[str, Any] = attrs.field(factory=dict)
    """By name, as `config.quirks` reads them."""


# A server on one's own machine: without authentication unless a key is given.
_NO_AUTH: Mapping[str, Any] = {"auth": UpstreamAuth.NONE}

# What follows are the rows of the table of deviations; what a vendor's documentation leaves open is not in them.

# Thinking is on by default; `reasoning_effort` knows three words. A conversation with tools must bring every
# `reasoning_content` back. https://api-docs.deepseek.com/guides/thinking_mode
_DEEPSEEK: Mapping[str, Any] = {
    "max_tokens_field": "max_tokens",
    "reasoning_back": "reasoning_content:tools",
    "reasoning_ask": "thinking_type+reasoning_effort",
    "effort_map": {
        "minimal": "low", "low": "low", "medium": "high", "high": "high", "xhigh": "high", "max": "max",
    },
    "usage_fields": "deepseek",
    "tool_choice": "no_required",
    "json_schema": "json_object",
    "finish_map": {"insufficient_system_resource": "error"},
}  # fmt: skip

# Answers 400 to these fields and makes a temperature of 0 this number. https://console.groq.com/docs/openai
_GROQ: Mapping[str, Any] = {
    "drop": ("logprobs", "top_logprobs", "logit_bias", "messages[].name"),
    "temperature_zero": 1e-8,
    "usage_at": "x_groq",
    "reasoning_in": ("reasoning",),
}

# Answers 422 to a field that it doesn't know, `stream_options` among them, and reports usage in the last chunk by
# itself. Ids of calls have nine characters, and no user may speak straight after a tool.
_MISTRAL: Mapping[str, Any] = {
    "stream_usage": StreamUsage.ALWAYS,
    "usage_at": "finish",
    "allow": (
        "model", "messages", "stream", "temperature", "top_p", "max_tokens", "stop", "random_seed", "n", "tools",
        "tool_choice", "parallel_tool_calls", "response_format", "presence_penalty", "frequency_penalty",
        "prediction", "prompt_mode", "reasoning_effort", "safe_prompt", "metadata",
    ),
    "rename": {"seed": "random_seed"},
    "max_tokens_field": "max_tokens",
    "tool_choice": "any",
    "id_pattern": "[a-zA-Z0-9]{9}",
    "id_max": 9,
    "bridge_after_tool": True,
    "reasoning_in": ("content_chunks",),
    "reasoning_back": "content_chunks",
    "effort_map": {
        "none": "none", "minimal": "high", "low": "high", "medium": "high", "high": "high", "xhigh": "high",
        "max": "high",
    },
    "finish_map": {"model_length": "length", "error": "error"},
}  # fmt: skip

# Whether reasoning tokens are counted as completion differs by endpoint: decided by the total of each answer.
_XAI: Mapping[str, Any] = {"reasoning_in": ("reasoning_content",), "reasoning_tokens": "auto"}

_TOGETHER: Mapping[str, Any] = {
    "max_tokens_field": "max_tokens",
    "top_k": True,
    "min_p": True,
    "usage_at": "finish",
    "usage_fields": "flat_cached",
    "reasoning_in": ("reasoning", "think_tags"),
    "finish_map": {"eos": "stop"},
}

# https://openrouter.ai/docs/use-cases/reasoning-tokens
_OPENROUTER: Mapping[str, Any] = {
    "max_tokens_field": "max_tokens",
    "reasoning_ask": "reasoning_object",
    "reasoning_in": ("reasoning_details", "reasoning"),
    "reasoning_back": "reasoning_details",
    "reasoning_tokens": "inside",
    "cache_control": True,
    "file_parts": "url",
    "top_k": True,
}

# Ignores what it doesn't know, `tool_choice` too. https://docs.ollama.com/api/openai-compatibility
_OLLAMA: Mapping[str, Any] = {
    **_NO_AUTH,
    "max_tokens_field": "max_tokens",
    "tool_choice": "auto_only",
    "strict_tools": False,
    "images": "data",
    "reasoning_in": ("reasoning",),
}

_VLLM: Mapping[str, Any] = {
    **_NO_AUTH,
    "top_k": True,
    "min_p": True,
    "reasoning_in": ("reasoning", "reasoning_content"),
    "file_parts": "none",
    "tokenize": "vllm",
}

# A choice of one function by name is silently none.
_LLAMACPP: Mapping[str, Any] = {
    **_NO_AUTH,
    "tool_choice": "string_only",
    "top_k": True,
    "min_p": True,
    "reasoning_in": ("reasoning_content",),
    "tokenize": "llamacpp",
}

# GOOGLE_GEMINI_BASE_URL may end in the version or not. `version` and `completes` are for `speaks = ["chat"]`: the
# OpenAI-compatible endpoint.
_GOOGLE = Preset(
    base_url="https://generativelanguage.googleapis.com",
    key_names=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    url_name="GOOGLE_GEMINI_BASE_URL",
    version="/v1beta/openai",
    completes=("", "/v1beta"),
    speaks=("gemini",),
    quirks={"auth": UpstreamAuth.X_GOOG_API_KEY},
)

PRESETS: Mapping[str, Preset] = {
    "openai": Preset(
        base_url="https://api.openai.com/v1",
        key_names=("OPENAI_API_KEY",),
        url_name="OPENAI_BASE_URL",
        speaks=("chat", "responses"),
    ),
    "anthropic": Preset(
        base_url="https://api.anthropic.com",
        key_names=("ANTHROPIC_API_KEY",),
        url_name="ANTHROPIC_BASE_URL",
        speaks=("anthropic",),
        quirks={"auth": UpstreamAuth.X_API_KEY},
    ),
    "google": _GOOGLE,
    "gemini": _GOOGLE,
    "deepseek": Preset(
        base_url="https://api.deepseek.com/v1",
        key_names=("DEEPSEEK_API_KEY",),
        url_name="DEEPSEEK_BASE_URL",
        quirks=_DEEPSEEK,
    ),
    "groq": Preset(
        base_url="https://api.groq.com/openai/v1",
        key_names=("GROQ_API_KEY",),
        url_name="GROQ_BASE_URL",
        quirks=_GROQ,
    ),
    "mistral": Preset(
        base_url="https://api.mistral.ai/v1",
        key_names=("MISTRAL_API_KEY",),
        url_name="MISTRAL_BASE_URL",
        quirks=_MISTRAL,
    ),
    "xai": Preset(base_url="https://api.x.ai/v1", key_names=("XAI_API_KEY",), url_name="XAI_BASE_URL", quirks=_XAI),
    "together": Preset(base_url="https://api.together.xyz/v1", key_names=("TOGETHER_API_KEY",), quirks=_TOGETHER),
    "openrouter": Preset(
        base_url="https://openrouter.ai/api/v1",
        key_names=("OPENROUTER_API_KEY",),
        url_name="OPENROUTER_BASE_URL",
        quirks=_OPENROUTER,
    ),
    # An address of one's own: `https://RESOURCE.openai.azure.com` becomes …/openai/v1, where the model is the name of
    # the deployment. For versioned deployments end base_url in `/openai` and set
    # quirks = { path = "/deployments/{model}/chat/completions", query = { api-version = "…" } }.
    "azure": Preset(
        key_names=("AZURE_OPENAI_API_KEY",),
        version="/openai/v1",
        quirks={"auth": UpstreamAuth.API_KEY, "file_parts": "none"},
    ),
    "cerebras": Preset(base_url="https://api.cerebras.ai/v1", key_names=("CEREBRAS_API_KEY",)),
    "fireworks": Preset(base_url="https://api.fireworks.ai/inference/v1", key_names=("FIREWORKS_API_KEY",)),
    # No version in the path; usage is in every chunk.
    "perplexity": Preset(
        base_url="https://api.perplexity.ai",
        key_names=("PERPLEXITY_API_KEY",),
        quirks={"stream_usage": StreamUsage.ALWAYS},
    ),
    "moonshot": Preset(base_url="https://api.moonshot.ai/v1", key_names=("MOONSHOT_API_KEY",)),
    "alibaba": Preset(
        base_url="https://dashscope-intl.aliyuncs.com/compatible-mode/v1", key_names=("DASHSCOPE_API_KEY",)
    ),
    "zai": Preset(base_url="https://api.z.ai/api/paas/v4", key_names=("ZAI_API_KEY",)),
    "nvidia": Preset(base_url="https://integrate.api.nvidia.com/v1", key_names=("NVIDIA_API_KEY",)),
    "huggingface": Preset(base_url="https://router.huggingface.co/v1", key_names=("HF_TOKEN",)),
    "github": Preset(base_url="https://models.github.ai/inference", key_names=("GITHUB_TOKEN",)),
    "cohere": Preset(base_url="https://api.cohere.ai/compatibility/v1", key_names=("CO_API_KEY", "COHERE_API_KEY")),
    "ollama": Preset(
        base_url="http://127.0.0.1:11434/v1", url_name="OLLAMA_HOST", url_may_be_host=True, quirks=_OLLAMA
    ),
    "vllm": Preset(base_url="http://127.0.0.1:8000/v1", quirks=_VLLM),
    "llamacpp": Preset(base_url="http://127.0.0.1:8080/v1", quirks=_LLAMACPP),
    "lmstudio": Preset(base_url="http://127.0.0.1:1234/v1", quirks=_NO_AUTH),
}
