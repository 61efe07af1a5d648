"""Whole answers and errors of a provider: what reading them is in every dialect."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

from modelserver.errors import UpstreamFailed
from modelserver.ir.types import Complaint
from modelserver.wire.json_text import loads_lenient


def invalid(what: str) -> UpstreamFailed:
    """The failure of an answer that is none; `what` goes on after "The provider's answer"."""
    return UpstreamFailed(f"The provider's answer {what}.", code="upstream_invalid_response")


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a body of status 200.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it is none.
    """
    parsed = read_json(body)
    if not isinstance(parsed, dict):
        raise invalid("is not a JSON object")
    return parsed


def read_json(body: bytes) -> Any:
    """The value of a body of status 200.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it is not JSON.
    """
    try:
        return loads_lenient(body)
    except ValueError:
        raise invalid("is not JSON") from None


def read_error(status: int, body: bytes, read: Callable[[int, dict[str, Any]], Complaint]) -> Complaint:
    """The error in a body of any other status, which `read` finds in an object; one that is not JSON says nothing."""
    try:
        parsed = loads_lenient(body)
    except ValueError:
        return Complaint(status=status)
    if isinstance(parsed, list) and parsed:  # Google wraps it, as what a stream without events would have been
        parsed = parsed[0]
    if not isinstance(parsed, dict):
        return Complaint(status=status, in_json=True)
    return read(status, parsed)


def text_chars(value: object, *, names: bool = False, without: Set[str] = frozenset()) -> int:
    """Characters in the strings within a value, and with `names` in those of members; some members left out."""
    chars = 0
    left = [value]
    while left:
        value = left.pop()
        if type(value) is str:
            chars += len(value)
        elif type(value) is dict:
            left += [member for key, member in value.items() if key not in without] if without else value.values()
            if names:
                left += value
        elif type(value) is list:
            left += value
    return chars
