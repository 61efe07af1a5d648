"""Sampling parameters as this API takes them."""

from __future__ import annotations

from typing import Any

from modelserver.errors import Unsupported
from modelserver.ir.card import ModelCard
from modelserver.ir.request import Loss, Request


def encode_sampling(request: Request, card: ModelCard, *, thinking: bool, losses: list[Loss]) -> dict[str, Any]:
    """Temperature, `top_p`, `top_k` and stop sequences; what the model refuses is left out (hard cases H12, H13).

    Raises:
        Unsupported: There are more stop strings than the model takes.
    """
    wire = _numbers(request, card, thinking, losses)
    stop = _stop(request, card, losses)
    if stop:
        wire["stop_sequences"] = stop
    sampling = request.sampling
    for wished, path, code in (
        (sampling.presence, "presence_penalty", "penalties_dropped"),
        (sampling.frequency, "frequency_penalty", "penalties_dropped"),
        (sampling.logprobs or sampling.top_logprobs, "logprobs", "logprobs_dropped"),
        (sampling.logit_bias, "logit_bias", "field_dropped:logit_bias"),
        (request.verbosity not in (None, "medium"), "verbosity", "verbosity_dropped"),
    ):
        if wished:
            losses.append(Loss(path=path, code=code))
    return wire


def _numbers(request: Request, card: ModelCard, thinking: bool, losses: list[Loss]) -> dict[str, Any]:
    sampling = request.sampling
    temperature, top_p, top_k = sampling.temperature, sampling.top_p, sampling.top_k
    refused = card.sampling == "none" or (card.sampling == "only_without_reasoning" and thinking)

    def drop(name: str, value: float | None, default: float | None) -> None:
        if value is not None and value != default:  # 1 is what the model does anyway
            losses.append(Loss(path=name, code=f"{name}_dropped"))

    if refused or thinking or card.sampling == "no_temperature":
        drop("temperature", temperature, 1)
        temperature = None
    if refused or thinking or not card.top_k:
        drop("top_k", top_k, None)
        top_k = None
    if refused or (thinking and top_p is not None and not 0.95 <= top_p <= 1):
        drop("top_p", top_p, 1)
        top_p = None
    if temperature is not None and top_p is not None and not card.both_temperature_and_top_p:
        if temperature == 1:
            temperature = None
        else:
            drop("top_p", top_p, 1)
            top_p = None
    wire: dict[str, Any] = {}
    if temperature is not None:
        wire["temperature"] = min(temperature, 1.0)
    if top_p is not None:
        wire["top_p"] = top_p
    if top_k is not None:
        wire["top_k"] = top_k
    return wire


def _stop(request: Request, card: ModelCard, losses: list[Loss]) -> list[str]:
    stop = [text for text in request.sampling.stop if text.strip()]
    if len(stop) < len(request.sampling.stop):
        # The service refuses sequences of white space alone.
        losses.append(Loss(path="stop", code="stop_dropped"))
    if card.stop_max is not None and len(stop) > card.stop_max:
        raise Unsupported(
            f"This model takes at most {card.stop_max} stop strings.", param="stop", code="unsupported_value"
        )
    return stop
