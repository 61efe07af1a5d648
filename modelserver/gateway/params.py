"""The fields that a model's settings add to a request which has none, whatever dialect its client speaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson

from modelserver.dialects.openai_chat import CODEC
from modelserver.errors import InvalidRequest
from modelserver.ir.request import Request, Sampling

_PROMPT: Final = {"model": "m", "messages": [{"role": "user", "content": "-"}]}
_SAID_NEUTRALLY: Final = frozenset(
    (
        "temperature",
        "top_p",
        "top_k",
        "presence_penalty",
        "frequency_penalty",
        "seed",
        "stop",
        "logprobs",
        "top_logprobs",
        "logit_bias",
        "max_tokens",
        "max_completion_tokens",
        "reasoning_effort",
        "reasoning",
        "thinking",
        "verbosity",
        "service_tier",
        "parallel_tool_calls",
        "response_format",
    )
)
_FIELDS: Final = ("reasoning", "max_output", "verbosity", "service_tier", "parallel_tools", "format")


def with_params(request: Request, params: Mapping[str, bytes]) -> Request:
    """The request with what the params say where it says nothing; they are JSON texts by the names of Chat's fields."""
    known = {name: orjson.Fragment(value) for name, value in params.items() if name in _SAID_NEUTRALLY}
    if not known:
        return request
    try:
        wanted = CODEC.decode_request(orjson.dumps({**_PROMPT, **known}))
    except InvalidRequest:  # a provider of Chat's may take it; nobody else can
        return request
    added: dict[str, Any] = {name: getattr(wanted, name) for name in _FIELDS if getattr(request, name) is None}
    return attrs.evolve(request, sampling=_joined(request.sampling, wanted.sampling), **added)


def not_said_neutrally(params: Mapping[str, bytes]) -> dict[str, bytes]:
    """The params that only an upstream's own dialect may know."""
    return {name: value for name, value in params.items() if name not in _SAID_NEUTRALLY}


def _joined(own: Sampling, wanted: Sampling) -> Sampling:
    return Sampling(
        **{
            field.name: getattr(wanted if _is_unsaid(getattr(own, field.name)) else own, field.name)
            for field in attrs.fields(Sampling)
        }
    )


def _is_unsaid(value: object) -> bool:
    """A zero was said; nothing, no list and `false` were not."""
    return value is None or value is False or value == ()
