"""Messages of a Chat request and the parts that their content is made of.

Checked is what the API's reference documents; what vendors add passes: unknown keys, part types and call types, and
`reasoning_content`, `reasoning`, `reasoning_details`, `thinking_blocks`, `cache_control`, `extra_content`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from modelserver.dialects.reading import (
    Check,
    Json,
    find_object,
    find_str,
    missing,
    out_of_range,
    want_choice,
    want_name,
    want_object,
    want_str,
    wrong,
)

_CONTENT: Final = "a string or a list of content parts"

# Images are checked for shape and scheme only; the bytes are the provider's to judge. A data URL may lack its media
# type or say octet-stream: where it matters, the type is read from the first bytes anyway.
_IMAGE_URL: Final = re.compile(
    r"https?://[^\s/?#]"
    r"|data:(?:image/[\w.+-]{1,40}|application/octet-stream)?(?:;[^,;]{1,80}){0,4}?;base64,[A-Za-z0-9+/_-]",
    re.IGNORECASE | re.ASCII,
)
_IMAGE_URL_WANTED: Final = "an http or https URL or a base64 data URL of an image"

# What an assistant message may have in place of content, beside `tool_calls`. The first three are OpenAI's; the others
# are how compatible servers hand out reasoning and pictures, which come back when a client returns what it got.
_INSTEAD_OF_CONTENT: Final = (
    "function_call",
    "audio",
    "refusal",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "thinking_blocks",
    "images",
)


def check_messages(value: Any, path: str) -> None:
    """Refuse what is no list of at least one well-formed message."""
    if not isinstance(value, list):
        raise wrong(path, "a list of messages", value)
    if not value:
        raise out_of_range(path, "a list of at least one message")
    for index, message in enumerate(value):
        _check_message(message, f"{path}[{index}]")


def _check_message(message: Any, path: str) -> None:
    if not isinstance(message, dict):
        raise wrong(path, "an object", message)
    _ROLES[want_choice(message, "role", _ROLES, path)](message, path)
    if "name" in message:
        find_str(message, "name", path)


def _check_prompt(message: Json, path: str) -> None:
    """`system`, `developer` and `user`: content is required."""
    content = message.get("content")
    if isinstance(content, str):
        return
    _check_listed(message, content, path)
    if not content:
        raise out_of_range(f"{path}.content", "a string or a list of at least one content part")


def _check_assistant(message: Json, path: str) -> None:
    content = message.get("content")
    calls = message.get("tool_calls")
    if not isinstance(content, str) and (content is not None or not (calls or _has_other_content(message))):
        _check_listed(message, content, path)
    if calls is not None:
        _check_calls(calls, f"{path}.tool_calls")
    # Most answers have a role and content, and nothing else to check.
    if len(message) > 2 or content is None:
        find_str(message, "refusal", path)
        call = find_object(message, "function_call", path)
        if call is not None:
            _check_function(call, f"{path}.function_call")
        audio = find_object(message, "audio", path)
        if audio is not None:
            want_str(audio, "id", f"{path}.audio")


def _has_other_content(message: Json) -> bool:
    return any(message.get(key) for key in _INSTEAD_OF_CONTENT)


def _check_tool(message: Json, path: str) -> None:
    # The id may be empty: some servers hand out calls with `"id": ""` and get their own back.
    want_str(message, "tool_call_id", path)
    content = message.get("content")
    if not isinstance(content, str):
        # An empty list is a tool that had nothing to say. Parts other than text are an extension, common for images.
        _check_listed(message, content, path)


def _check_function_result(message: Json, path: str) -> None:
    want_name(message, "name", path)
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        _check_listed(message, content, path)


_ROLES: Final[Mapping[str, Check]] = {
    "system": _check_prompt,
    "developer": _check_prompt,
    "user": _check_prompt,
    "assistant": _check_assistant,
    "tool": _check_tool,
    "function": _check_function_result,
}


def _check_listed(message: Json, content: Any, path: str) -> None:
    """Content that is no string must be a list of parts."""
    if not isinstance(content, list):
        if "content" not in message:
            raise missing(f"{path}.content")
        raise wrong(f"{path}.content", _CONTENT, content)
    for index, part in enumerate(content):
        # Most parts are plain text, and need no path.
        if (
            isinstance(part, dict)
            and len(part) == 2
            and part.get("type") == "text"
            and isinstance(part.get("text"), str)
        ):
            continue
        _check_part(part, f"{path}.content[{index}]")


def _check_part(part: Any, path: str) -> None:
    if not isinstance(part, dict):
        raise wrong(path, "an object", part)
    check = _PARTS.get(want_name(part, "type", path))
    if check is not None:
        check(part, path)
    find_object(part, "prompt_cache_breakpoint", path)


def _check_text(part: Json, path: str) -> None:
    want_str(part, "text", path)


def _check_refusal(part: Json, path: str) -> None:
    want_str(part, "refusal", path)


def _check_image(part: Json, path: str) -> None:
    path = f"{path}.image_url"
    image = part.get("image_url")
    if isinstance(image, str):
        # Mistral documents the bare URL beside OpenAI's object.
        check_image_url(image, path)
        return
    if image is None and "image_url" not in part:
        raise missing(path)
    if not isinstance(image, dict):
        raise wrong(path, "an object with a url", image)
    check_image_url(want_str(image, "url", path), f"{path}.url")
    # `detail` is not held to OpenAI's four words: vendors have their own.
    find_str(image, "detail", path)


def check_image_url(url: str, path: str) -> None:
    """Refuse what is neither an http(s) URL nor a data URL with a base64 image.

    Raises:
        InvalidRequest: Another scheme, no host, a data URL that is not base64, of another media type, or empty.
    """
    if _IMAGE_URL.match(url) is None:
        raise out_of_range(path, _IMAGE_URL_WANTED)


def _check_audio(part: Json, path: str) -> None:
    # Mistral documents the bare base64 text beside OpenAI's object.
    if isinstance(part.get("input_audio"), str):
        return
    audio = want_object(part, "input_audio", path)
    want_str(audio, "data", f"{path}.input_audio")
    # OpenAI takes wav and mp3, others more.
    want_str(audio, "format", f"{path}.input_audio")


def _check_file(part: Json, path: str) -> None:
    # Mistral's file part has its `file_id` beside the type.
    if "file" not in part and isinstance(part.get("file_id"), str):
        return
    file = want_object(part, "file", path)
    for key in ("file_data", "file_id", "filename"):
        find_str(file, key, f"{path}.file")


_PARTS: Final[Mapping[str, Check]] = {
    "text": _check_text,
    "refusal": _check_refusal,
    "image_url": _check_image,
    "input_audio": _check_audio,
    "file": _check_file,
}


def _check_calls(calls: Any, path: str) -> None:
    # An empty list is what several servers put beside plain text, and what then comes back.
    if not isinstance(calls, list):
        raise wrong(path, "a list of tool calls", calls)
    for index, call in enumerate(calls):
        _check_call(call, f"{path}[{index}]")


def _check_call(call: Any, path: str) -> None:
    if not isinstance(call, dict):
        raise wrong(path, "an object", call)
    # Some servers hand out calls without an id, or without a type, and get them back so.
    find_str(call, "id", path)
    kind = find_str(call, "type", path)
    if kind == "function" or kind is None:
        _check_function(want_object(call, "function", path), f"{path}.function")
    elif kind == "custom":
        custom = want_object(call, "custom", path)
        want_name(custom, "name", f"{path}.custom")
        want_str(custom, "input", f"{path}.custom")


def _check_function(function: Json, path: str) -> None:
    want_name(function, "name", path)
    # JSON in a string, whose content is the model's and may be broken.
    want_str(function, "arguments", path)
