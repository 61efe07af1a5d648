"""Whether the fields of a request are well formed, by the client's own spelling of their names.

ai.google.dev/api/generate-content, read 2026-11-23. `null` equals absent, unknown fields pass. Words that Google keeps
adding to (roles, modes, tiers, levels) are checked for their type only. What is inside a part is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from modelserver.dialects.gemini.vocab import camel, in_camel
from modelserver.dialects.reading import (
    Check,
    Json,
    check_bool,
    check_object,
    check_once,
    check_spelling,
    check_str,
    check_strings,
    integer,
    join,
    missing,
    number,
    out_of_range,
    wrong,
)
from modelserver.errors import InvalidRequest

_INTEGER_TEXT = re.compile(r"-?[0-9]{1,18}")
_NUMBER_TEXT = re.compile(r"-?[0-9]{1,18}(?:\.[0-9]{1,18})?")
MODEL: Final = frozenset(("model",))
_CAPITAL = re.compile(r"[A-Z]")


def check_request(wire: bytes, body: Json, fields: Mapping[str, Check], names: frozenset[str]) -> None:
    """Refuse a body one of whose `fields` is wrong or given twice; `names` are theirs in every spelling.

    Another spelling of a name counts as a second one, and so does one of `model` that servers written in Go would take
    for it.

    Raises:
        InvalidRequest: `param` is the field's path.
    """
    check_fields(body, fields, "")
    check_once(wire, body, names)
    respelled = _respelled(body, fields)
    if respelled is not None:
        raise InvalidRequest(f"The field {respelled} is given twice.", param=respelled)
    check_spelling(body, MODEL)


def check_fields(value: Json, fields: Mapping[str, Check], path: str) -> None:
    """Have every member of the object at `path` checked that has a check; fields are named in camelCase."""
    for key, member in value.items():
        if member is not None:
            check = fields.get(key) or fields.get(camel(key))
            if check is not None:
                check(member, join(path, key))


def spellings(fields: Iterable[str]) -> frozenset[str]:
    """The names in both spellings that protobuf JSON accepts."""
    return frozenset(spelt for name in fields for spelt in (name, _CAPITAL.sub(lambda m: "_" + m[0].lower(), name)))


def _respelled(body: Json, fields: Mapping[str, Check]) -> str | None:
    """A field that is there in a second spelling."""
    if len(in_camel(body)) == len(body):
        return None
    seen: set[str] = set()
    for key in body:
        name = camel(key)
        if name in seen and name in fields:
            return key
        seen.add(name)
    return None


def _integer(low: int | None = None, high: int | None = None) -> Check:
    """Like `integer`; protobuf JSON takes 1.0 and "1" for 1."""
    check_exact = integer(low, high)

    def check(value: Any, path: str) -> None:
        if (type(value) is float and value.is_integer()) or (type(value) is str and _INTEGER_TEXT.fullmatch(value)):
            value = int(value)
        check_exact(value, path)

    return check


def _number(low: float, high: float) -> Check:
    """Like `number`; protobuf JSON takes the text of a number for it."""
    check_exact = number(low, high)

    def check(value: Any, path: str) -> None:
        check_exact(float(value) if type(value) is str and _NUMBER_TEXT.fullmatch(value) else value, path)

    return check


def _check_word(value: Any, path: str) -> None:
    """A word of an enumeration; its number is as good."""
    if type(value) is not int:
        check_str(value, path)


def _check_words(value: Any, path: str) -> None:
    if not isinstance(value, list):
        raise wrong(path, "a list of strings", value)
    for index, word in enumerate(value):
        _check_word(word, f"{path}[{index}]")


def _check_objects(value: Any, path: str) -> None:
    if not isinstance(value, list):
        raise wrong(path, "a list of objects", value)
    for index, item in enumerate(value):
        if type(item) is not dict:
            raise wrong(f"{path}[{index}]", "an object", item)


def _check_contents(value: Any, path: str) -> None:
    _check_objects(value, path)
    if not value:
        raise out_of_range(path, "a list that is not empty")
    for index, entry in enumerate(value):
        role = entry.get("role")
        if role is not None and type(role) is not str:
            raise wrong(f"{path}[{index}].role", "a string", role)
        parts = entry.get("parts")
        if parts is not None:
            _check_objects(parts, f"{path}[{index}].parts")


def _check_system(value: Any, path: str) -> None:
    # A bare text and, as in examples of Google's own, a part that stands alone are accepted there.
    if isinstance(value, str):
        return
    check_object(value, path)
    parts = value.get("parts")
    if parts is not None and not isinstance(parts, dict):
        _check_objects(parts, f"{path}.parts")


def _check_tools(value: Any, path: str) -> None:
    _check_objects(value, path)
    for index, tool in enumerate(value):
        check_fields(tool, _TOOL, f"{path}[{index}]")


def _check_functions(value: Any, path: str) -> None:
    _check_objects(value, path)
    for index, function in enumerate(value):
        at = f"{path}[{index}]"
        if function.get("name") is None:
            raise missing(f"{at}.name")
        check_fields(function, _FUNCTION, at)


def _check_routing(value: Any, path: str) -> None:
    check_object(value, path)
    for key, mode in value.items():
        if mode is not None and camel(key) == "manualMode":
            raise InvalidRequest(f"{join(path, key)} names a model; the path says which one is called.", param=path)


def _object_of(fields: Mapping[str, Check]) -> Check:
    def check(value: Any, path: str) -> None:
        check_object(value, path)
        check_fields(value, fields, path)

    return check


_FUNCTION: Final[Mapping[str, Check]] = {"name": check_str, "description": check_str, "parameters": check_object}
_TOOL: Final[Mapping[str, Check]] = {"functionDeclarations": _check_functions}
_CALLING: Final[Mapping[str, Check]] = {"mode": _check_word, "allowedFunctionNames": check_strings}
_THINKING: Final[Mapping[str, Check]] = {
    "includeThoughts": check_bool,
    "thinkingBudget": _integer(-1),  # -1: as much as the model finds right
    "thinkingLevel": _check_word,
}
_CONFIG: Final[Mapping[str, Check]] = {
    "temperature": _number(0, 2),
    "topP": _number(0, 1),
    "topK": _number(0, 2**31 - 1),
    "candidateCount": _integer(1),
    "maxOutputTokens": _integer(1),
    # Google takes 5, others more: the count is the target's to judge.
    "stopSequences": check_strings,
    "seed": _integer(),
    "presencePenalty": _number(-2, 2),
    "frequencyPenalty": _number(-2, 2),
    "responseLogprobs": check_bool,
    "logprobs": _integer(0, 20),
    "responseMimeType": check_str,
    "responseSchema": check_object,
    "responseFormat": _check_objects,
    "responseModalities": _check_words,
    "thinkingConfig": _object_of(_THINKING),
    "speechConfig": check_object,
    "imageConfig": check_object,
    "translationConfig": check_object,
    "audioTranscriptionConfig": check_object,
    "mediaResolution": _check_word,
    "audioTimestamp": check_bool,
    "enableAffectiveDialog": check_bool,
    "enableEnhancedCivicAnswers": check_bool,
    "routingConfig": _check_routing,
    "modelSelectionConfig": check_object,
}

FIELDS: Final[Mapping[str, Check]] = {
    "model": check_str,
    "contents": _check_contents,
    "systemInstruction": _check_system,
    "tools": _check_tools,
    "toolConfig": _object_of({"functionCallingConfig": _object_of(_CALLING)}),
    "generationConfig": _object_of(_CONFIG),
    "safetySettings": _check_objects,
    "cachedContent": check_str,
    "labels": check_object,
    "store": check_bool,
    "serviceTier": _check_word,
    "continuationToken": check_str,
    "modelArmorConfig": check_object,
    "generationOutputConfig": check_object,
}
"""Every documented field; a check is given the value, which is not `null`, and its path."""

NAMES: Final = spellings(FIELDS)
