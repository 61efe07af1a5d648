"""Typed reads of a client's JSON; every refusal names the field by the path that the client wrote.

    parse_body              bytes -> object, or what is wrong with the text
    want_*                  a member that must be there; its absence is refused
    find_*                  a member that may be absent or `null`; then None
    number, integer, …      a check of one value, for tables of fields
    check_fields, …         checks of an object, by such a table or by the names in it
    missing, wrong          the refusals themselves

The `path` of `want_*` and `find_*` is that of the object read from ("" at the top), the one of a check is that of the
value. Messages repeat nothing of what the client sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Set
from typing import Any, Final, NoReturn

import orjson

from modelserver.errors import InvalidRequest
from modelserver.wire.json_splice import STRING, repeated_member

Json = Mapping[str, Any]
Check = Callable[[Any, str], None]
"""Raises InvalidRequest for a value that is wrong; the second argument is the value's path."""

MAX_DEPTH: Final = 100
"""Levels of nesting, the top-level object included. orjson reads 1024 but writes only about 254."""

MAX_VALUES: Final = 200_000
"""Values in a body, those of all levels together; a list or an object counts twice. Millions of empty lists fit into a
body: to parse them takes seconds, and a gigabyte."""
MAX_FIELDS: Final = 1000
"""Members of the top-level object; they are looked at one by one where a key is escaped."""

# As many of the characters that stand before a value, strings passed over: possessive, so that one look is enough.
_MANY_VALUES = re.compile(rb'(?:(?:[^"\[{,]++|' + STRING + rb")*+[\[{,]){%d}+" % MAX_VALUES, re.DOTALL)

_KINDS: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "a boolean",
    int: "a number",
    float: "a number",
    type(None): "null",
}

# Words in orjson's errors (3.13.0) and ours for them. A wording that is not here gets the general text, never orjson's.
_FAULTS: Final[Mapping[str, str]] = {
    "surrogate": "a \\u escape is half of a surrogate pair",
    "infinity": "a number is too large",
    "control character": "a string has a control character that is not escaped",
    "trailing comma": "a comma stands before a closing bracket",
    "unexpected end": "the text ends too early",
    "unexpected content after": "something follows the JSON object",
}


def parse_body(body: bytes) -> dict[str, Any]:
    """The JSON object that a request body holds.

    Of a key given twice the last value is taken. Integers past 64 bits become floats.

    Raises:
        InvalidRequest: The body is empty, not UTF-8, not JSON, not an object, nested deeper than `MAX_DEPTH`, or has
            more than `MAX_FIELDS` fields or `MAX_VALUES` values.
    """
    if len(body) > MAX_VALUES and _MANY_VALUES.match(body) is not None:
        raise InvalidRequest(f"The request body holds too many values; at most {MAX_VALUES:,} are accepted.")
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        fault = _describe(body, error)
    except (ValueError, RecursionError, TypeError):
        fault = "The request body is not valid JSON."
    else:
        if type(parsed) is not dict:
            raise InvalidRequest(f"The request body must be a JSON object, not {kind_of(parsed)}.")
        if len(parsed) > MAX_FIELDS:
            raise InvalidRequest(f"The request body has too many fields; at most {MAX_FIELDS:,} are accepted.")
        if not _is_shallow(parsed):
            raise _too_deep()
        return parsed
    raise InvalidRequest(fault)


def _describe(body: bytes, error: orjson.JSONDecodeError) -> str:
    """What is wrong with a text that the parser refused, and where."""
    if not body.strip():
        return "The request body is empty; send a JSON object."
    if body.startswith(b"\xef\xbb\xbf"):
        return "The request body begins with a byte order mark; send UTF-8 without one."
    try:
        text = body.decode()
    except UnicodeDecodeError as undecodable:
        return f"The request body is not valid UTF-8 at byte {undecodable.start}."
    if "depth limit" in error.msg:
        return _too_deep().message
    where = f"line {error.lineno}, column {error.colno}"
    if text.startswith(("NaN", "Infinity"), error.pos):
        return f"The request body is not valid JSON: NaN and Infinity are not JSON numbers ({where})."
    for word, fault in _FAULTS.items():
        if word in error.msg:
            return f"The request body is not valid JSON: {fault} ({where})."
    return f"The request body is not valid JSON ({where})."


def _too_deep() -> InvalidRequest:
    return InvalidRequest(f"The request body is nested too deeply; at most {MAX_DEPTH} levels are accepted.")


def _is_shallow(top: dict[str, Any]) -> bool:
    # Level by level over the parsed value: brackets inside strings, the bulk of a tool-heavy body, cost nothing here,
    # while any count on the bytes has to find the ends of strings first (measured: 4 times slower).
    level: list[Any] = [top]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for container in level:
            for value in container.values() if type(container) is dict else container:
                if type(value) is dict or type(value) is list:
                    below.append(value)
        if not below:
            return True
        level = below
    return False


def kind_of(value: object) -> str:
    """A JSON value's type as a client would say it, with its article."""
    return _KINDS.get(type(value), "something else")


def join(path: str, key: str) -> str:
    """The path of a member of the object at `path`."""
    return f"{path}.{key}" if path else key


def missing(path: str) -> InvalidRequest:
    """The refusal of a request that lacks the field at `path`."""
    return InvalidRequest(f"{path} is required.", param=path)


def wrong(path: str, wanted: str, value: object) -> InvalidRequest:
    """The refusal of a value of another type; `wanted` reads well after "must be"."""
    return InvalidRequest(f"{path} must be {wanted}, not {kind_of(value)}.", param=path)


def out_of_range(path: str, wanted: str) -> InvalidRequest:
    """The refusal of a value of the right type; `wanted` reads well after "must be"."""
    return InvalidRequest(f"{path} must be {wanted}.", param=path)


def _refuse(obj: Json, key: str, path: str, wanted: str) -> NoReturn:
    at = join(path, key)
    if key not in obj:
        raise missing(at)
    raise wrong(at, wanted, obj[key])


def want_str(obj: Json, key: str, path: str) -> str:
    """A string that must be there; it may be empty.

    Raises:
        InvalidRequest: It is absent, `null` or no string.
    """
    value = obj.get(key)
    if isinstance(value, str):
        return value
    _refuse(obj, key, path, "a string")


def want_name(obj: Json, key: str, path: str) -> str:
    """A string that must be there and not be empty.

    Raises:
        InvalidRequest: It is absent, `null`, empty or no string.
    """
    value = obj.get(key)
    if isinstance(value, str):
        if value:
            return value
        raise out_of_range(join(path, key), "a string that is not empty")
    _refuse(obj, key, path, "a string")


def want_choice(obj: Json, key: str, choices: Mapping[str, Any] | frozenset[str], path: str) -> str:
    """A string that must be there and be one of `choices`.

    Raises:
        InvalidRequest: It is absent, `null`, no string, or another one.
    """
    value = obj.get(key)
    if isinstance(value, str):
        if value in choices:
            return value
        raise out_of_range(join(path, key), f"one of {', '.join(sorted(choices))}")
    _refuse(obj, key, path, "a string")


def want_list(obj: Json, key: str, path: str) -> list[Any]:
    """A list that must be there; it may be empty.

    Raises:
        InvalidRequest: It is absent, `null` or no list.
    """
    value = obj.get(key)
    if isinstance(value, list):
        return value
    _refuse(obj, key, path, "a list")


def want_object(obj: Json, key: str, path: str) -> dict[str, Any]:
    """An object that must be there; it may be empty.

    Raises:
        InvalidRequest: It is absent, `null` or no object.
    """
    value = obj.get(key)
    if isinstance(value, dict):
        return value
    _refuse(obj, key, path, "an object")


def find_str(obj: Json, key: str, path: str) -> str | None:
    """A string, or None where it is absent or `null`.

    Raises:
        InvalidRequest: It is of another type.
    """
    value = obj.get(key)
    if value is None or isinstance(value, str):
        return value
    raise wrong(join(path, key), "a string", value)


def find_bool(obj: Json, key: str, path: str) -> bool | None:
    """A boolean, or None where it is absent or `null`.

    Raises:
        InvalidRequest: It is of another type.
    """
    value = obj.get(key)
    if value is None or value is True or value is False:
        return value
    raise wrong(join(path, key), "a boolean", value)


def find_list(obj: Json, key: str, path: str) -> list[Any] | None:
    """A list, or None where it is absent or `null`.

    Raises:
        InvalidRequest: It is of another type.
    """
    value = obj.get(key)
    if value is None or isinstance(value, list):
        return value
    raise wrong(join(path, key), "a list", value)


def find_object(obj: Json, key: str, path: str) -> dict[str, Any] | None:
    """An object, or None where it is absent or `null`.

    Raises:
        InvalidRequest: It is of another type.
    """
    value = obj.get(key)
    if value is None or isinstance(value, dict):
        return value
    raise wrong(join(path, key), "an object", value)


def check_fields(obj: Json, fields: Mapping[str, Check]) -> None:
    """Have every member of a top-level object checked that is not `null` and has a check.

    Raises:
        InvalidRequest: One is wrong.
    """
    for key, value in obj.items():
        if value is not None:
            check = fields.get(key)
            if check is not None:
                check(value, key)


def check_once(wire: bytes, obj: Json, names: frozenset[str], path: str = "") -> None:
    """Refuse an object in which one of the names stands twice; `wire` is its text.

    Raises:
        InvalidRequest: One does, or more others do than are looked at.
    """
    repeated = repeated_member(wire, obj, names)
    if repeated is not None:
        at = join(path, repeated)
        raise InvalidRequest(f"The field {at} is given twice.", param=at)


def check_spelling(obj: Json, names: Set[str], path: str = "") -> None:
    """Refuse a member like `Model`: servers written in Go read names without regard to case, and would take it too.

    Raises:
        InvalidRequest: There is one that differs from one of `names` in case alone.
    """
    for key in obj:
        if key not in names and (name := key.casefold()) in names:
            raise InvalidRequest(f"The field {name} is given once, in small letters.", param=join(path, key))


def check_model(value: Any, path: str) -> None:
    """Refuse what is no id of a model."""
    if not isinstance(value, str):
        raise wrong(path, "a string", value)
    if not value:
        raise out_of_range(path, "the id of a model, not an empty string")


def check_str(value: Any, path: str) -> None:
    """Refuse what is no string."""
    if not isinstance(value, str):
        raise wrong(path, "a string", value)


def check_bool(value: Any, path: str) -> None:
    """Refuse what is neither `true` nor `false`."""
    if value is not True and value is not False:
        raise wrong(path, "a boolean", value)


def check_object(value: Any, path: str) -> None:
    """Refuse what is no object."""
    if not isinstance(value, dict):
        raise wrong(path, "an object", value)


def check_strings(value: Any, path: str) -> None:
    """Refuse what is no list of strings."""
    if not isinstance(value, list):
        raise wrong(path, "a list of strings", value)
    for index, item in enumerate(value):
        if not isinstance(item, str):
            raise wrong(f"{path}[{index}]", "a string", item)


def number(low: float, high: float) -> Check:
    """A check for numbers from `low` to `high`, both included; a boolean is no number."""
    wanted = f"a number from {low} to {high}"

    def check(value: Any, path: str) -> None:
        if type(value) is not float and type(value) is not int:
            raise wrong(path, wanted, value)
        if not low <= value <= high:  # NaN is not within either
            raise out_of_range(path, wanted)

    return check


def integer(low: int | None = None, high: int | None = None) -> Check:
    """A check for integers from `low` to `high`, both included; 1.0 and `true` are no integers."""
    wanted = "an integer"
    if low is not None:
        wanted += f" of at least {low}" if high is None else f" from {low} to {high}"

    def check(value: Any, path: str) -> None:
        if type(value) is not int:
            raise out_of_range(path, wanted) if type(value) is float else wrong(path, wanted, value)
        if (low is not None and value < low) or (high is not None and value > high):
            raise out_of_range(path, wanted)

    return check
