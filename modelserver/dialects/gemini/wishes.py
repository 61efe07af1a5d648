"""The `generationConfig` of a Gemini client, read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from modelserver.dialects.gemini.schema import from_openapi, with_small_types
from modelserver.dialects.gemini.vocab import THINKING_LEVELS, in_camel
from modelserver.dialects.reading import (
    check_object,
    check_strings,
    find_bool,
    find_list,
    find_object,
    find_str,
    integer,
    number,
    out_of_range,
)
from modelserver.ir.request import Ignored, ReasoningSpec, Rejected, ResponseFormat, Sampling

_PATH: Final = "generationConfig"
_REJECTED: Final = ("speechConfig", "imageConfig", "translationConfig", "audioTranscriptionConfig")
_IGNORED: Final = frozenset(
    (
        *("audioTimestamp", "enableAffectiveDialog", "enableEnhancedCivicAnswers", "routingConfig"),
        "modelSelectionConfig",
    )
)
_MAPPED: Final = frozenset(
    (
        *("temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "seed"),
        *("presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs", "responseMimeType"),
        *("responseSchema", "responseJsonSchema", "responseFormat", "thinkingConfig", "responseModalities"),
    )
)
_TEMPERATURE, _SHARE, _PENALTY = number(0, 2), number(0, 1), number(-2, 2)
_COUNT, _ANY_INTEGER, _TOP = integer(1), integer(), integer(0, 20)
_TOP_K = number(0, 1_000_000)


def read_config(
    wire: Mapping[str, Any], extra: dict[str, Any], rejected: list[Rejected], ignored: list[Ignored]
) -> dict[str, Any]:
    """Fields of a `Request`; what is not mapped is put into the other three.

    Raises:
        InvalidRequest: A field is malformed.
    """
    config = in_camel(find_object(wire, _PATH, "") or {})
    beside = {key: value for key, value in config.items() if key not in _MAPPED}
    if beside:
        extra[_PATH] = beside
    rejected.extend(
        Rejected(param=f"{_PATH}.{key}", why="is not supported for this model.")
        for key in _REJECTED
        if config.get(key) is not None
    )
    ignored.extend(Ignored(name=key) for key in config if key in _IGNORED and config[key] not in (None, False, {}, []))
    fields: dict[str, Any] = {
        "sampling": _sampling(config),
        "max_output": _checked(config, "maxOutputTokens", _COUNT),
        "n": _checked(config, "candidateCount", _COUNT) or 1,
        "format": _format(config, extra),
        "reasoning": _reasoning(config),
    }
    modalities = config.get("responseModalities")
    if modalities:
        check_strings(modalities, f"{_PATH}.responseModalities")
        fields["modalities"] = frozenset(word.lower() for word in modalities)
    return fields


def _checked(config: Mapping[str, Any], key: str, check: Any) -> Any:
    value = config.get(key)
    if value is not None:
        check(value, f"{_PATH}.{key}")
    return value


def _sampling(config: Mapping[str, Any]) -> Sampling:
    stop = config.get("stopSequences")
    if stop is not None:
        check_strings(stop, f"{_PATH}.stopSequences")
    top_k = _checked(config, "topK", _TOP_K)
    return Sampling(
        temperature=_checked(config, "temperature", _TEMPERATURE),
        top_p=_checked(config, "topP", _SHARE),
        top_k=None if top_k is None else int(top_k),  # a float on the wire
        presence=_checked(config, "presencePenalty", _PENALTY),
        frequency=_checked(config, "frequencyPenalty", _PENALTY),
        seed=_checked(config, "seed", _ANY_INTEGER),
        stop=tuple(stop or ()),
        logprobs=find_bool(config, "responseLogprobs", _PATH) or False,
        top_logprobs=_checked(config, "logprobs", _TOP),
    )


def _format(config: Mapping[str, Any], extra: dict[str, Any]) -> ResponseFormat | None:
    mime = find_str(config, "responseMimeType", _PATH)
    schema = with_small_types(find_object(config, "responseJsonSchema", _PATH))
    if schema is None and (old := find_object(config, "responseSchema", _PATH)) is not None:
        schema = from_openapi(old)
    for index, entry in enumerate(find_list(config, "responseFormat", _PATH) or ()):
        path = f"{_PATH}.responseFormat[{index}]"
        check_object(entry, path)
        text = in_camel(find_object(entry, "text", path) or {})
        mime = find_str(text, "mimeType", f"{path}.text") or mime
        schema = with_small_types(find_object(text, "jsonSchema", f"{path}.text")) or schema
    if mime == "text/x.enum":
        extra.setdefault(_PATH, {})["responseMimeType"] = mime
    if schema is not None:
        return ResponseFormat(kind="schema", schema=schema)
    return ResponseFormat(kind="json") if mime == "application/json" else None


def _reasoning(config: Mapping[str, Any]) -> ReasoningSpec | None:
    """The wish to think; thoughts are shown only when they were asked for."""
    given = find_object(config, "thinkingConfig", _PATH)
    if not given:
        return None
    path = f"{_PATH}.thinkingConfig"
    thinking = in_camel(given)
    shown = find_bool(thinking, "includeThoughts", path)
    budget = thinking.get("thinkingBudget")
    if budget is not None:
        integer(-1)(budget, f"{path}.thinkingBudget")
    level = (find_str(thinking, "thinkingLevel", path) or "").upper()
    if level and level not in THINKING_LEVELS and level != "THINKING_LEVEL_UNSPECIFIED":
        raise out_of_range(f"{path}.thinkingLevel", f"one of {', '.join(sorted(THINKING_LEVELS))}")
    return ReasoningSpec(
        mode="off" if budget == 0 else "on" if budget or level in THINKING_LEVELS else "default",
        effort=THINKING_LEVELS.get(level),
        budget=budget,
        show="auto" if shown else "omitted",
        raw=given,
    )
