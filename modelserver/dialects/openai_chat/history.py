"""A conversation, written for an upstream."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any, Final

from modelserver.dialects.names import NameMap, fit_id, unique_ids
from modelserver.dialects.openai_chat.reasoning_back import ReasoningBack
from modelserver.dialects.openai_chat.tools import cache_marker
from modelserver.dialects.shaping import merge_adjacent, pair_results, place_reminders
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
    PlainText,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
    Url,
)
from modelserver.ir.profile import Profile
from modelserver.ir.request import Loss, Request
from modelserver.wire.json_text import wrap_string

_ID_MAX: Final = 40
"""OpenAI takes call ids of up to 40 characters (BerriAI/litellm issue 17343)."""
_LONG_S: Final = 43_200
BRIDGE: Final = "Understood."
GO_ON: Final = "Continue."


class HistoryWriter:
    """Writes the messages of one request; the beginning of a conversation is the beginning of its continuation."""

    def __init__(self, request: Request, profile: Profile, names: NameMap, losses: list[Loss], path: str) -> None:
        self._request = request
        self._profile = profile
        self._quirks = profile.quirks
        self._names = names
        self._losses = losses
        self._path = path
        self._back = ReasoningBack(request, profile)
        self._id_pattern = str(self._quirks.get("id_pattern") or ".+")
        self._id_max = int(self._quirks.get("id_max", _ID_MAX))
        self._out: list[dict[str, Any]] = []
        self._moved: list[dict[str, Any]] = []
        """Media of tool results, which stand in the next user message."""

    def write(self, system: Sequence[Text]) -> list[dict[str, Any]]:
        """The `messages` of the body.

        Raises:
            Unsupported: The target takes no media of a kind that the conversation has.
        """
        self._write_system(system)
        messages = pair_results(unique_ids(self._request.messages), self._losses, path=self._path)
        if self._quirks.get("system_first_only"):
            messages = place_reminders(messages, mid_system=False)
        if self._quirks.get("merge_roles"):
            messages = merge_adjacent(messages)
        for message in messages:
            if self._moved and (message.role != "user" or _has_results(message)):
                self._flush_moved()
            match message.role:
                case "system":
                    self._write_instruction(message)
                case "user":
                    self._write_user(message)
                case "assistant":
                    self._write_assistant(message)
        self._flush_moved()
        if self._request.dialect != "chat" and messages and _is_prefill(messages[-1]):
            self._losses.append(Loss(path=self._path, code="prefill_dropped"))
            self._out.append({"role": "user", "content": GO_ON})
        return self._out

    def _write_system(self, system: Sequence[Text]) -> None:
        """The leading instructions: the client's own messages where it spoke this dialect, else one."""
        if not system:
            return
        own = self._request.dialect == "chat"
        if self._quirks.get("single_system"):
            self._out.append({"role": "system", "content": "\n\n".join(part.text for part in system if part.text)})
            return
        runs: list[list[Text]] = []
        for part in system:
            if runs and (not own or part.extra.get("continues")):
                runs[-1].append(part)
            else:
                runs.append([part])
        for run in runs:
            extra = run[0].extra if own else {}
            message: dict[str, Any] = {"role": self._role(extra.get("role")), "content": self._content(run)}
            if "name" in extra:
                message["name"] = extra["name"]
            self._out.append(message)

    def _role(self, authority: object) -> str:
        # Every server knows `system`, OpenAI's newer models take it for `developer`.
        known = self._profile.card.developer_role and self._quirks.get("developer_role", True)
        return "developer" if authority == "developer" and known else "system"

    def _write_instruction(self, message: Message) -> None:
        if message.parts:
            written = {"role": self._role(message.authority), "content": self._content(message.parts)}
            self._out.append(self._named(written, message))

    def _write_user(self, message: Message) -> None:
        results = [part for part in message.parts if isinstance(part, ToolResult)]
        for result in results:
            self._write_result(result)
        others = [part for part in message.parts if not isinstance(part, ToolResult)]
        if results and not others:
            return
        moved, self._moved = self._moved, []
        content: Any = self._content(others)
        if moved:
            content = [*moved, *([{"type": "text", "text": content}] if isinstance(content, str) else content)]
        if not content and others and self._request.dialect != "chat":
            return  # nothing of it can be said here
        self._bridge()
        self._out.append(self._named({"role": "user", "content": content}, message))

    def _flush_moved(self) -> None:
        if self._moved:
            self._bridge()
            self._out.append({"role": "user", "content": self._moved})
            self._moved = []

    def _bridge(self) -> None:
        """Templates of some models refuse a user straight after a tool (Mistral, code 3230)."""
        if self._quirks.get("bridge_after_tool") and self._out and self._out[-1]["role"] == "tool":
            self._out.append({"role": "assistant", "content": BRIDGE})

    def _named(self, written: dict[str, Any], message: Message) -> dict[str, Any]:
        if message.name is not None:
            written["name"] = message.name
        if self._request.dialect == "chat":
            written.update(message.extra)
        return written

    def _write_result(self, result: ToolResult) -> None:
        id = self._id(result.call_id)
        media = any(not isinstance(part, Text) for part in result.content)
        content: Any
        if media and self._profile.card.result_media:
            content = self._content(result.content)
        elif media:
            content = self._apart(result, id)
        elif len(result.content) > 1 and not self._quirks.get("content_string"):
            content = self._content(result.content)
        else:
            content = "\n".join(part.text for part in result.content if isinstance(part, Text))
        if result.is_error and isinstance(content, str) and not content.lower().startswith("error"):
            content = f"Error: {content}"
        elif result.is_error and isinstance(content, list):
            content = [{"type": "text", "text": "Error:"}, *content]
        self._out.append({"role": "tool", "tool_call_id": id, "content": content})

    def _apart(self, result: ToolResult, id: str) -> str:
        """The text of a result; its media go to the user message after the results of the turn."""
        lines: list[str] = []
        images = 0
        for part in result.content:
            if isinstance(part, Text):
                lines.append(part.text)
                continue
            images += 1
            word = "image" if isinstance(part, Image) else "file"
            lines.append(f"[{word} {images} of call {id} follows]")
            self._moved.append({"type": "text", "text": f"{word.capitalize()} {images} of call {id}:"})
            self._moved.append(self._image(part) if isinstance(part, Image) else self._document(part))
        return "\n".join(lines)

    def _id(self, id: str) -> str:
        return fit_id(id, pattern=self._id_pattern, maximum=self._id_max)

    def _write_assistant(self, message: Message) -> None:
        own = self._request.dialect == "chat"
        calls = [self._call(part) for part in message.parts if isinstance(part, ToolCall)]
        text = "".join(_said(part) for part in message.parts)
        refusal = "".join(part.text for part in message.parts if isinstance(part, Refusal))
        audio = next((part.ref for part in message.parts if isinstance(part, Audio) and part.ref), None)
        back = self._back.fields(message, text=text, has_calls=bool(calls))
        if message.parts and not (text or calls or refusal or back or (audio and own)):
            return  # its reasoning was another provider's
        written: dict[str, Any] = {"role": "assistant"}
        if text or not (calls or refusal or audio):
            written["content"] = text
        elif (null := self._quirks.get("assistant_null", True)) != "omit":
            written["content"] = None if null else ""
        if refusal:
            written["refusal"] = refusal
        if audio is not None and own:
            written["audio"] = {"id": audio}
        written.update(back)
        if calls:
            written["tool_calls"] = calls
        self._out.append(self._named(written, message))

    def _call(self, call: ToolCall) -> dict[str, Any]:
        name, id = self._names.wire(call.name, call.namespace), self._id(call.id)
        if call.kind == "custom" and self._profile.card.custom_tools:
            written: dict[str, Any] = {"id": id, "type": "custom", "custom": {"name": name, "input": call.arguments}}
        else:
            arguments = wrap_string(call.arguments) if call.kind == "custom" else call.arguments
            written = {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}
        signature = self._back.signature(call)
        if signature is not None:
            written["extra_content"] = {"google": {"thought_signature": signature}}
        return written

    def _content(self, parts: Sequence[Part]) -> str | list[dict[str, Any]]:
        """Content as a string where it is one plain text, else as a list of parts."""
        written = [part for each in parts if (part := self._part(each)) is not None]
        plain = all(part["type"] == "text" and len(part) == 2 for part in written)
        if plain and (len(written) < 2 or self._quirks.get("content_string") is True):
            return "\n\n".join(part["text"] for part in written)
        return written

    def _part(self, part: Part) -> dict[str, Any] | None:
        match part:
            case Text(text=text, cache=cache):
                return self._marked({"type": "text", "text": text}, cache)
            case Image(cache=cache):
                return self._marked(self._image(part), cache)
            case Document(cache=cache):
                return self._marked(self._document(part), cache)
            case Audio(source=source) if source is not None:
                return self._audio(part)
            case Opaque(dialect="chat", raw=raw) if self._request.dialect == "chat":
                return dict(raw)
            case Opaque(fallback=fallback) if fallback:
                return {"type": "text", "text": fallback}
            case _:
                return None

    def _marked(self, part: dict[str, Any], hint: CacheHint | None) -> dict[str, Any]:
        if hint is None:
            return part
        if self._profile.card.cache == "explicit_openai":
            long = (hint.ttl_s or 0) >= _LONG_S
            part["prompt_cache_breakpoint"] = {"mode": "explicit", **({"ttl": "12h"} if long else {})}
        elif self._quirks.get("cache_control"):
            part["cache_control"] = cache_marker(hint)
        return part

    def _image(self, image: Image) -> dict[str, Any]:
        taken = self._quirks.get("images", "url+data")
        if not self._profile.card.vision or taken == "none":
            raise self._refusal("Images are not supported by this model.")
        match image.source:
            case Inline(media_type=media_type, b64=b64):
                url = f"data:{media_type};base64,{b64}"
            case Url(url=address) if taken != "data" and self._profile.card.url_sources:
                url = address
            case Url():
                raise self._refusal("Images must be inline for this model, not at a URL.")
            case _:
                raise self._refusal("An image that another provider keeps can't be used with this model.")
        detail = {} if image.detail is None else {"detail": image.detail}
        return {"type": "image_url", "image_url": {"url": url, **detail}}

    def _document(self, document: Document) -> dict[str, Any]:
        own = self._request.dialect == "chat"
        match document.source:
            case PlainText(text=text):
                return _titled(document, text)
            case Inline(media_type=media_type, b64=b64) if media_type.startswith("text/") and not own:
                return _titled(document, base64.b64decode(b64 + "===").decode("utf-8", "replace"))
            case FileRef(provider="chat", id=id) if own:
                return {"type": "file", "file": {"file_id": id}}
            case FileRef():
                raise self._refusal("A file that another provider keeps can't be used with this model.")
            case source:
                return self._file(document, source)

    def _file(self, document: Document, source: Inline | Url) -> dict[str, Any]:
        taken = self._quirks.get("file_parts", "data")
        pdf = source.media_type in (None, "application/pdf")
        if taken == "none" or not self._profile.card.pdf or (not pdf and self._request.dialect != "chat"):
            raise self._refusal("Documents of this type are not supported by this model.")
        if isinstance(source, Url):
            if taken != "url":
                raise self._refusal("Documents must be inline for this model, not at a URL.")
            data = source.url
        else:
            data = f"data:{source.media_type};base64,{source.b64}"
        return {"type": "file", "file": {"filename": document.title or "document.pdf", "file_data": data}}

    def _audio(self, audio: Audio) -> dict[str, Any]:
        if not self._profile.card.audio_in:
            raise self._refusal("Audio input is not supported by this model.")
        if not isinstance(audio.source, Inline):
            raise self._refusal("Audio must be inline for this model.")
        media_type = audio.source.media_type
        format = audio.format or {"audio/mpeg": "mp3", "audio/x-wav": "wav"}.get(
            media_type, media_type.partition("/")[2]
        )
        if format not in ("wav", "mp3") and self._request.dialect != "chat":
            raise self._refusal("Audio must be wav or mp3 for this model.")
        data = audio.source.b64
        if self._quirks.get("audio_data") == "data_url":
            data = f"data:{media_type};base64,{data}"
        return {"type": "input_audio", "input_audio": {"data": data, "format": format}}

    def _refusal(self, message: str) -> Unsupported:
        return Unsupported(message, param=self._path)


def _titled(document: Document, text: str) -> dict[str, Any]:
    return {"type": "text", "text": f"{document.title}\n{text}" if document.title else text}


def _said(part: Part) -> str:
    match part:
        case Text(text=text):
            return text
        case Opaque(fallback=fallback):
            return fallback or ""
        case Audio(transcript=transcript, ref=None):
            return transcript or ""
        case _:
            return ""


def _has_results(message: Message) -> bool:
    return any(isinstance(part, ToolResult) for part in message.parts)


def _is_prefill(message: Message) -> bool:
    return message.role == "assistant" and not any(isinstance(part, ToolCall) for part in message.parts)
