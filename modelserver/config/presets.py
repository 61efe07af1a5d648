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
    """The path of an address that was given with one of the paths `completes`."""
    completes: tuple[str, ...] = ("",)
    speaks: tuple[str, ...] = ("chat",)
    quirks: Mapping[str, Any] = attrs.field(factory=dict)


# A server on one's own machine: without authentication unless a key is given.
_NO_AUTH: Mapping[str, Any] = {"auth": UpstreamAuth.NONE}


# Google's OpenAI-compatible endpoint; GOOGLE_GEMINI_BASE_URL is the address of the native API, with or without version.
_GOOGLE = Preset(
    base_url="https://generativelanguage.googleapis.com/v1beta/openai",
    key_names=("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    url_name="GOOGLE_GEMINI_BASE_URL",
    version="/v1beta/openai",
    completes=("", "/v1beta"),
)

PRESETS: Mapping[str, Preset] = {
    "openai": Preset(
        base_url="https://api.openai.com/v1",
        key_names=("OPENAI_API_KEY",),
        url_name="OPENAI_BASE_URL",
        speaks=("chat", "responses"),
    ),
    # The OpenAI-compatible endpoint: bearer authentication, not x-api-key.
    "anthropic": Preset(
        base_url="https://api.anthropic.com/v1", key_names=("ANTHROPIC_API_KEY",), url_name="ANTHROPIC_BASE_URL"
    ),
    "google": _GOOGLE,
    "gemini": _GOOGLE,
    "deepseek": Preset(
        base_url="https://api.deepseek.com/v1", key_names=("DEEPSEEK_API_KEY",), url_name="DEEPSEEK_BASE_URL"
    ),
    "groq": Preset(base_url="https://api.groq.com/openai/v1", key_names=("GROQ_API_KEY",), url_name="GROQ_BASE_URL"),
    # Refuses stream_options and reports usage in the last chunk by itself.
    "mistral": Preset(
        base_url="https://api.mistral.ai/v1",
        key_names=("MISTRAL_API_KEY",),
        url_name="MISTRAL_BASE_URL",
        quirks={"stream_usage": StreamUsage.ALWAYS},
    ),
    "xai": Preset(base_url="https://api.x.ai/v1", key_names=("XAI_API_KEY",), url_name="XAI_BASE_URL"),
    "together": Preset(base_url="https://api.together.xyz/v1", key_names=("TOGETHER_API_KEY",)),
    "openrouter": Preset(
        base_url="https://openrouter.ai/api/v1", key_names=("OPENROUTER_API_KEY",), url_name="OPENROUTER_BASE_URL"
    ),
    # An address of one's own: `https://RESOURCE.openai.azure.com` becomes …/openai/v1, where the model is the name of
    # the deployment. For versioned deployments end base_url in `/openai` and set
    # quirks = { path = "/deployments/{model}/chat/completions", query = { api-version = "…" } }.
    "azure": Preset(key_names=("AZURE_OPENAI_API_KEY",), version="/openai/v1", quirks={"auth": UpstreamAuth.API_KEY}),
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
        base_url="http://127.0.0.1:11434/v1", url_name="OLLAMA_HOST", url_may_be_host=True, quirks=_NO_AUTH
    ),
    "vllm": Preset(base_url="http://127.0.0.1:8000/v1", quirks=_NO_AUTH),
    "llamacpp": Preset(base_url="http://127.0.0.1:8080/v1", quirks=_NO_AUTH),
    "lmstudio": Preset(base_url="http://127.0.0.1:1234/v1", quirks=_NO_AUTH),
}
