"""A client's `contents`, read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import attrs

from modelserver.dialects.gemini.pieces import media_part, shown
from modelserver.dialects.gemini.vocab import HOSTED_PARTS, PART_EXTRAS, SKIP_SIGNATURE, in_camel
from modelserver.dialects.names import mint_id
from modelserver.dialects.reading import (
    check_object,
    find_list,
    find_object,
    find_str,
    out_of_range,
    want_name,
    want_str,
)
from modelserver.ir.parts import (
    Audio,
    Document,
    FileRef,
    Image,
    Inline,
    Message,
    Opaque,
    Part,
    Reasoning,
    Seal,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from modelserver.ir.request import Rejected
from modelserver.wire.json_text import from_object

_ROLES: Final = {"user": "user", "model": "assistant", "function": "user"}
_DETAILS: Final[Mapping[str, Literal["low", "high"]]] = {
    "MEDIA_RESOLUTION_LOW": "low",
    "MEDIA_RESOLUTION_HIGH": "high",
}
_GOOGLE_FILES: Final = ("https://generativelanguage.googleapis.com/", "gs://")
_STANDARD: Final = str.maketrans("-_", "+/")


class HistoryReader:
    """Reads the entries of a conversation in order: results find their calls by id, by name, or by place.

    Attributes:
        rejected: What another dialect can't hold and must not leave out.
    """

    def __init__(self, resolution: str | None = None) -> None:
        self.rejected: list[Rejected] = []
        self._resolution = resolution
        """Of pictures that name none."""
        self._waiting: list[tuple[str, str]] = []
        """Ids and names of the calls that have no result yet, of the latest turn that called."""
        self._is_calling = False
        """The turn, which may be spread over several entries, has called."""

    def message(self, entry: Any, index: int) -> Message:
        """The message that an entry is.

        Raises:
            InvalidRequest: It is malformed.
        """
        path = f"contents[{index}]"
        check_object(entry, path)
        role = find_str(entry, "role", path) or "user"
        if role not in _ROLES:
            raise out_of_range(f"{path}.role", "user or model")
        wires = find_list(entry, "parts", path) or []
        self._is_calling = self._is_calling and _ROLES[role] == "assistant"
        if _ROLES[role] == "assistant" and any(_is_call(wire) for wire in wires):
            if not self._is_calling:
                self._waiting = []
            self._is_calling = True
        parts: list[Part] = []
        for position, wire in enumerate(wires):
            at = f"{path}.parts[{position}]"
            check_object(wire, at)
            part = self._part(in_camel(wire), at, (index, position))
            if part is not None:
                parts.append(part)
        return Message(role="assistant" if role == "model" else "user", parts=_joined(parts))

    @staticmethod
    def merged(turn: Sequence[Message]) -> Message:
        """The entries of one turn as one message."""
        return attrs.evolve(turn[0], parts=_joined(part for message in turn for part in message.parts))

    def _part(self, wire: Mapping[str, Any], path: str, place: tuple[int, int]) -> Part | None:
        seal = read_seal(wire, path)
        extra = {key: value for key, value in wire.items() if key in PART_EXTRAS}
        if wire.get("text") is not None:
            text = want_str(wire, "text", path)
            if wire.get("thought") is True:
                return Reasoning(text=text, form="summary" if text else "hidden", seal=seal, extra=extra)
            return Text(text=text, seal=seal, extra=extra)
        if wire.get("functionCall") is not None:
            return self._call(wire, path, place, seal, extra)
        if wire.get("functionResponse") is not None:
            return self._result(wire, path, place, extra)
        if wire.get("inlineData") is not None or wire.get("fileData") is not None:
            return self._media(wire, path, extra)
        for key in HOSTED_PARTS:
            if key in wire:
                return Opaque(dialect="gemini", type=key, raw=wire, fallback=shown(key, wire))
        if wire.keys() - PART_EXTRAS - {"thought", "thoughtSignature"}:
            return Opaque(dialect="gemini", type=next(iter(wire)), raw=wire)
        return Text(text="", seal=seal, extra=extra) if seal is not None else None

    def _call(
        self, wire: Mapping[str, Any], path: str, place: tuple[int, int], seal: Seal | None, extra: Mapping[str, Any]
    ) -> ToolCall:
        path = f"{path}.functionCall"
        check_object(wire["functionCall"], path)
        call = in_camel(wire["functionCall"])
        name = want_name(call, "name", path)
        # Its place names a call without id: the same in every later request.
        id = find_str(call, "id", path) or mint_id("contents", *place)
        self._waiting.append((id, name))
        arguments = from_object(find_object(call, "args", path) or {})
        return ToolCall(id=id, name=name, arguments=arguments, seal=seal, extra=extra)

    def _result(
        self, wire: Mapping[str, Any], path: str, place: tuple[int, int], extra: Mapping[str, Any]
    ) -> ToolResult:
        path = f"{path}.functionResponse"
        check_object(wire["functionResponse"], path)
        answer = in_camel(wire["functionResponse"])
        name = find_str(answer, "name", path)
        id = self._match(find_str(answer, "id", path), name) or mint_id("results", *place)
        text, is_error = _read_response(find_object(answer, "response", path))
        content: list[Text | Image | Document] = [] if text is None else [Text(text=text)]
        for position, inner in enumerate(find_list(answer, "parts", path) or ()):
            at = f"{path}.parts[{position}]"
            check_object(inner, at)
            part = self._media(in_camel(inner), at, {})
            if isinstance(part, Image | Document):
                content.append(part)
        return ToolResult(call_id=id, name=name, content=tuple(content), is_error=is_error, extra=extra)

    def _match(self, id: str | None, name: str | None) -> str | None:
        """The id of the call that a result answers."""
        for wanted in (
            lambda call: id is not None and call[0] == id,
            lambda call: name is not None and call[1] == name,
            lambda call: id is None,
        ):
            for position, call in enumerate(self._waiting):
                if wanted(call):
                    del self._waiting[position]
                    return call[0]
        return id

    def _media(self, wire: Mapping[str, Any], path: str, extra: Mapping[str, Any]) -> Part:
        if wire.get("inlineData") is not None:
            path = f"{path}.inlineData"
            check_object(wire["inlineData"], path)
            data = in_camel(wire["inlineData"])
            source = Inline(
                media_type=want_name(data, "mimeType", path), b64=standard_base64(want_str(data, "data", path))
            )
            part: Part | None = media_part(source)
        else:
            path = f"{path}.fileData"
            check_object(wire["fileData"], path)
            data = in_camel(wire["fileData"])
            part = _file(want_name(data, "fileUri", path), find_str(data, "mimeType", path))
        if isinstance(part, Image):
            level = in_camel(find_object(wire, "mediaResolution", path) or {}).get("level", self._resolution)
            part = attrs.evolve(part, detail=_DETAILS.get(str(level)))
        if isinstance(part, Image | Audio | Document):
            return attrs.evolve(part, extra=extra) if extra else part
        self.rejected.append(Rejected(param=path, why="video is not supported for this model."))
        return Opaque(dialect="gemini", type="inlineData" if "inlineData" in wire else "fileData", raw=wire)


def _is_call(wire: object) -> bool:
    return isinstance(wire, dict) and ("functionCall" in wire or "function_call" in wire)


def _joined(parts: Iterable[Part]) -> tuple[Part, ...]:
    """Thoughts that are told in several parts are one, up to the part that signs them."""
    joined: list[Part] = []
    thought: list[Reasoning] = []
    for part in parts:
        if thought and (thought[-1].seal is not None or not isinstance(part, Reasoning)):
            joined.append(_one(thought))
            thought = []
        if isinstance(part, Reasoning):
            thought.append(part)
        else:
            joined.append(part)
    return (*joined, _one(thought)) if thought else tuple(joined)


def _one(thought: Sequence[Reasoning]) -> Reasoning:
    if len(thought) == 1:
        return thought[0]
    return attrs.evolve(thought[0], text="".join(part.text for part in thought), seal=thought[-1].seal)


def read_seal(wire: Mapping[str, Any], path: str) -> Seal | None:
    """The signature of a part; the placeholder for a lost one is none."""
    signature = find_str(wire, "thoughtSignature", path)
    if not signature or signature == SKIP_SIGNATURE:
        return None
    return Seal(kind="thought", payload=signature)


def _read_response(response: Mapping[str, Any] | None) -> tuple[str | None, bool]:
    """The text of a result, and whether it is an error; `output` and `error` are the convention."""
    if not response:
        return None, False
    if len(response) == 1:
        output, error = response.get("output"), response.get("error")
        if isinstance(output, str):
            return output, False
        if error is not None:
            return error if isinstance(error, str) else from_object(error), True
    return from_object(response), False


def standard_base64(text: str) -> str:
    """Base64 of either alphabet, padded or not, in the standard form; text in that form is not touched."""
    if "-" in text or "_" in text:
        text = text.translate(_STANDARD)
    return text + "=" * (-len(text) % 4) if len(text) % 4 else text


def _file(uri: str, media_type: str | None) -> Part | None:
    source: FileRef | Url
    if uri.startswith(_GOOGLE_FILES) or "://" not in uri:
        source = FileRef(provider="gemini", id=uri, media_type=media_type)
    else:
        source = Url(url=uri, media_type=media_type)
    kind = (media_type or "").partition("/")[0]
    if kind == "image":
        return Image(source=source)
    if kind == "audio":
        return Audio(source=source)
    # A web address without a type is a film on YouTube, the only one that Google takes.
    if kind == "video" or (not kind and isinstance(source, Url)):
        return None
    return Document(source=source)
