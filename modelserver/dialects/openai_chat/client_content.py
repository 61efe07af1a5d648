"""Messages of a Chat request, as neutral ones; the request has been checked."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal, cast

import attrs

from modelserver.dialects.names import mint_id
from modelserver.dialects.openai_chat.reasoning import chunk_text, decode_history, native_seal
from modelserver.dialects.openai_chat.vocab import TTLS
from modelserver.dialects.reading import Json
from modelserver.errors import Unsupported
from modelserver.ir.parts import (
    Audio,
    CacheHint,
    Document,
    FileRef,
    Image,
    Inline,
    Message,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Seal,
    Source,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from modelserver.ir.request import Rejected

_DATA_URL: Final = re.compile(r"data:([^;,]*)((?:;[^,]*)?),", re.IGNORECASE)
_MESSAGE_KEYS: Final = frozenset(
    {"role", "content", "name", "refusal", "tool_calls", "function_call", "tool_call_id", "audio", "images"}
    | {"cache_control", "extra_content", "reasoning_content", "reasoning", "reasoning_details", "thinking_blocks"}
)
_DETAILS: Final = frozenset(("auto", "low", "high", "original"))
_HINTS: Final = ("prompt_cache_breakpoint", "cache_control")

# The first bytes of media in base64, and of the types that they belong to.
_MAGIC: Final = (
    ("iVBORw0KGgo", "image/png"),
    ("/9j/", "image/jpeg"),
    ("R0lGOD", "image/gif"),
    ("JVBERi0", "application/pdf"),
)
_RIFF_KIND: Final = slice(8, 12)
_FORMATS: Final[Mapping[str, str]] = {"mp3": "audio/mpeg", "m4a": "audio/mp4"}
"""Of audio formats, those whose media type is not `audio/` and the format."""


@attrs.define(slots=True)
class Conversation:
    """The messages of a request while they are read."""

    system: list[Text] = attrs.field(factory=list)
    messages: list[Message] = attrs.field(factory=list)
    rejected: list[Rejected] = attrs.field(factory=list)
    _names: dict[str, str] = attrs.field(factory=dict)
    """Names of the calls so far, by id."""
    _latest: dict[str, str] = attrs.field(factory=dict)
    """Id of the last call of each name."""
    _unnamed: list[str] = attrs.field(factory=list)
    """Ids that were given to the calls of the last turn that came without one, and have no result yet."""

    def read(self, messages: list[Any]) -> None:
        """Take the messages of a request."""
        leading = True
        for index, message in enumerate(messages):
            path = f"messages[{index}]"
            match message["role"]:
                case "system" | "developer" as role:
                    texts = self._texts(message, path)
                    if leading:
                        self.system += _marked(texts, message, role)
                    else:
                        self._add(message, "system", texts, authority=role)
                    continue
                case "user":
                    self._add(message, "user", self._parts(message, path))
                case "assistant":
                    self._add(message, "assistant", self._answer(message, index, path))
                case _:
                    self._add_result(message, path)
            leading = False

    def _add(
        self,
        message: Json,
        role: Literal["system", "user", "assistant"],
        parts: Iterator[Part],
        authority: Literal["system", "developer"] | None = None,
    ) -> None:
        self.messages.append(
            Message(
                role=role,
                parts=tuple(_with_message_hint(message, list(parts))),
                authority=authority,
                name=message.get("name"),
                extra={key: value for key, value in message.items() if key not in _MESSAGE_KEYS},
            )
        )

    def _texts(self, message: Json, path: str) -> Iterator[Text]:
        for part in self._parts(message, path):
            if not isinstance(part, Text):
                raise Unsupported(f"{path}.content may only hold text for this model.", param=f"{path}.content")
            yield part

    def _parts(self, message: Json, path: str) -> Iterator[Part]:
        content = message.get("content")
        if isinstance(content, str):
            yield Text(text=content)
            return
        for index, part in enumerate(content or ()):
            read = _PARTS.get(part["type"])
            at = f"{path}.content[{index}]"
            if read is not None:
                decoded = read(part)
                if isinstance(decoded, Document) and isinstance(decoded.source, FileRef):
                    self.rejected.append(Rejected(param=f"{at}.file.file_id", why="files of a provider stay there"))
                yield decoded
            else:
                yield Opaque(dialect="chat", type=part["type"], raw=part)
                if message["role"] != "assistant":
                    self.rejected.append(Rejected(param=f"{at}.type", why=f"{part['type']} is not understood"))

    def _answer(self, message: Json, index: int, path: str) -> Iterator[Part]:
        """The parts of an assistant message: reasoning, text and refusal, pictures, audio, calls."""
        content = [part for part in self._parts(message, path) if not isinstance(part, Text) or part.text]
        thoughts = list(decode_history(message))
        # Mistral's thinking stands in the content.
        yield from thoughts or (part for part in content if isinstance(part, Reasoning))
        seal = _thought_seal(message)
        texts = [part for part in content if not isinstance(part, Reasoning)]
        if seal is not None and texts and isinstance(texts[-1], Text):
            texts[-1] = attrs.evolve(texts[-1], seal=seal)
        yield from texts
        if message.get("refusal"):
            yield Refusal(text=message["refusal"])
        images = message.get("images")
        for image in images if isinstance(images, list) else ():
            if isinstance(image, dict) and (decoded := _find_image(image)) is not None:
                yield decoded
        audio = message.get("audio")
        if audio is not None and audio["id"]:
            yield Audio(source=None, ref=audio["id"])
        yield from self._calls(message, index)

    def _calls(self, message: Json, index: int) -> Iterator[ToolCall]:
        self._unnamed.clear()
        calls = list(message.get("tool_calls") or ())
        legacy = message.get("function_call")
        if legacy is not None:
            calls.append({"function": legacy})
        for ordinal, call in enumerate(calls):
            id = call.get("id")
            if not id:
                id = mint_id("history", index, ordinal)
                self._unnamed.append(id)
            decoded = _decode_call(call, id)
            self._names[id] = decoded.name
            self._latest[decoded.name] = id
            yield decoded

    def _add_result(self, message: Json, path: str) -> None:
        """A `tool` or `function` message; the results of one turn are one message."""
        name = message.get("name")
        if message["role"] == "function":
            id = self._latest.get(name or "") or mint_id("history", len(self.messages), 0)
            if id in self._unnamed:
                self._unnamed.remove(id)
        else:
            id = message["tool_call_id"]
            if not id:
                id = self._unnamed.pop(0) if self._unnamed else mint_id("history", len(self.messages), 0)
        content = [part for part in self._parts(message, path) if not isinstance(part, Text) or part.text]
        for part in content:
            if not isinstance(part, Text | Image | Document):
                raise Unsupported(f"{path}.content may hold text, images and files.", param=f"{path}.content")
        result = ToolResult(
            call_id=id,
            name=name or self._names.get(id),
            content=cast("tuple[Text | Image | Document, ...]", tuple(content)),
            cache=cache_hint(message),
            extra={key: value for key, value in message.items() if key not in _MESSAGE_KEYS},
        )
        last = self.messages[-1] if self.messages else None
        if last is not None and last.role == "user" and last.parts and isinstance(last.parts[-1], ToolResult):
            self.messages[-1] = attrs.evolve(last, parts=(*last.parts, result))
        else:
            self.messages.append(Message(role="user", parts=(result,)))


def _marked(texts: Iterator[Text], message: Json, role: str) -> list[Text]:
    """Leading instructions, with what an upstream of this dialect needs in order to get the same messages."""
    parts = cast("list[Text]", _with_message_hint(message, list(texts)))
    for index, part in enumerate(parts):
        extra: dict[str, Any] = dict(part.extra)
        if role == "developer":
            extra["role"] = role
        if message.get("name"):
            extra["name"] = message["name"]
        if index:
            extra["continues"] = True
        if extra:
            parts[index] = attrs.evolve(part, extra=extra)
    return parts


def _with_message_hint(message: Json, parts: list[Any]) -> list[Any]:
    """The parts, the last of which carries a cache marker that stands on the message itself (LiteLLM)."""
    hint = cache_hint(message)
    if hint is not None and parts and isinstance(parts[-1], Text | Image | Document | ToolCall):
        parts[-1] = attrs.evolve(parts[-1], cache=parts[-1].cache or hint)
    return parts


def cache_hint(obj: Json) -> CacheHint | None:
    """The cache marker on an object: OpenAI's, or the one of Anthropic that OpenRouter and LiteLLM pass on."""
    for key in _HINTS:
        marker = obj.get(key)
        if isinstance(marker, dict):
            return CacheHint(ttl_s=ttl_seconds(marker.get("ttl")))
    return None


def ttl_seconds(ttl: object) -> int | None:
    """A life time such as `30m` in seconds; None for the provider's default."""
    return TTLS.get(ttl) if isinstance(ttl, str) else None


def _decode_call(call: Json, id: str) -> ToolCall:
    kind = call.get("type")
    custom = call["custom"] if kind == "custom" else None
    function = call.get("function") if custom is None else custom
    if kind not in ("function", "custom", None) and not _is_function(function):
        # A vendor's own sort of call; its name is all that another model could make of it.
        return ToolCall(id=id, name=str(kind), arguments="{}", extra=dict(call))
    assert function is not None
    return ToolCall(
        id=id,
        name=function["name"],
        arguments=function["input"] if custom is not None else function["arguments"],
        kind="function" if custom is None else "custom",
        seal=_thought_seal(call),
        cache=cache_hint(call),
    )


def _is_function(function: object) -> bool:
    if not isinstance(function, dict):
        return False
    name, arguments = function.get("name"), function.get("arguments")
    return isinstance(name, str) and bool(name) and isinstance(arguments, str)


def _thought_seal(obj: Json) -> Seal | None:
    """Gemini's signature as its OpenAI endpoint hands it out, or an envelope of ours in that place."""
    extra = obj.get("extra_content")
    google = extra.get("google") if isinstance(extra, dict) else None
    signature = google.get("thought_signature") if isinstance(google, dict) else None
    return native_seal("thought", signature, "gemini") if isinstance(signature, str) and signature else None


def _decode_text(part: Json) -> Text:
    if len(part) == 2:
        return Text(text=part["text"])
    return Text(text=part["text"], cache=cache_hint(part))


def _decode_image(part: Json) -> Image:
    image = part["image_url"]
    if isinstance(image, str):  # Mistral
        return Image(source=decode_url(image), cache=cache_hint(part))
    detail = image.get("detail")
    return Image(
        source=decode_url(image["url"]),
        detail=detail if detail in _DETAILS else None,
        cache=cache_hint(part),
    )


def _find_image(part: Json) -> Image | None:
    """A picture in an answer that comes back; None where it has no address."""
    image = part.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    return Image(source=decode_url(url)) if isinstance(url, str) and url else None


def decode_url(url: str) -> Source:
    """Where media is: in a data URL, of which the base64 is kept as it is, or at an address."""
    matched = _DATA_URL.match(url)
    if matched is None:
        return Url(url=url)
    return _inline(url[matched.end() :], matched.group(1).lower())


def _inline(b64: str, media_type: str) -> Inline:
    # Upstreams want the standard alphabet; a type that the first bytes contradict is refused by all of them.
    if "-" in b64 or "_" in b64:
        b64 = b64.replace("-", "+").replace("_", "/")
    if media_type == "image/jpg":
        media_type = "image/jpeg"
    return Inline(media_type=_magic_type(b64) or media_type or "application/octet-stream", b64=b64)


def _magic_type(b64: str) -> str | None:
    for start, media_type in _MAGIC:
        if b64.startswith(start):
            return media_type
    if b64.startswith("UklGR") and len(b64) >= 16:
        try:
            kind = base64.b64decode(b64[:16])[_RIFF_KIND]
        except ValueError:
            return None
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(kind)
    return None


def _decode_audio(part: Json) -> Audio:
    audio = part["input_audio"]
    data, format = (audio, None) if isinstance(audio, str) else (audio["data"], audio["format"])
    matched = _DATA_URL.match(data)
    if matched is not None:
        data = data[matched.end() :]
    format = format or ("wav" if data.startswith("UklGR") else "mp3")
    return Audio(source=Inline(media_type=_FORMATS.get(format, f"audio/{format}"), b64=data), format=format)


def _decode_file(part: Json) -> Document:
    file = part.get("file") or part
    title, hint = file.get("filename"), cache_hint(part)
    data = file.get("file_data")
    if not data:
        return Document(source=FileRef(provider="chat", id=file.get("file_id") or ""), title=title, cache=hint)
    if data.startswith(("https://", "http://")):  # OpenRouter
        return Document(source=Url(url=data), title=title, cache=hint)
    matched = _DATA_URL.match(data)
    if matched is None:
        return Document(source=_inline(data, _type_of_name(title)), title=title, cache=hint)
    return Document(source=_inline(data[matched.end() :], matched.group(1).lower()), title=title, cache=hint)


def _type_of_name(name: str | None) -> str:
    end = (name or "").rpartition(".")[2].lower()
    return {"pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown"}.get(end, "")


def _decode_thinking(part: Json) -> Reasoning:
    return Reasoning(text=chunk_text(part))


_PARTS: Final[Mapping[str, Callable[[Json], Part]]] = {
    "text": _decode_text,
    "refusal": lambda part: Refusal(text=part["refusal"]),
    "image_url": _decode_image,
    "input_audio": _decode_audio,
    "file": _decode_file,
    "thinking": _decode_thinking,
}
