"""Input items, read into messages.

A run of items of the assistant is one message; results that stand together are one user message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

import attrs

from modelserver.dialects.openai_responses.client_content import decode_content
from modelserver.dialects.openai_responses.client_tools import decode_tools
from modelserver.dialects.openai_responses.vocab import CALL_EXTRAS, CLIENT_CALLS
from modelserver.dialects.reading import (
    check_object,
    find_list,
    find_object,
    find_str,
    join,
    missing,
    out_of_range,
    want_name,
    want_str,
)
from modelserver.ir.parts import (
    Document,
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
)
from modelserver.ir.request import Rejected, Tool
from modelserver.wire.json_text import from_object

_ROLES: Final = frozenset(("user", "system", "developer", "assistant"))
_BOUND: Final = frozenset(("compaction", "compaction_trigger", "program", "program_output"))
"""Items that stand for something which only their maker can read."""
_OF_THE_CLIENT: Final = frozenset(("computer_call_output", "mcp_approval_response"))
_OUTPUTS: Final[Mapping[str, str]] = {f"{item}_output": name for item, (name, _) in CLIENT_CALLS.items()}


@attrs.define(slots=True)
class Conversation:
    """What the input says.

    Attributes:
        system: The leading run of instructions.
        tools: Tools that were declared or loaded by items.
        effort: The last `reasoning` of a configuration update.
        format: The last `text` of one.
    """

    system: list[Text] = attrs.field(factory=list)
    messages: list[Message] = attrs.field(factory=list)
    tools: list[Tool] = attrs.field(factory=list)
    references: list[str] = attrs.field(factory=list)
    rejected: list[Rejected] = attrs.field(factory=list)
    reasoning: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    _assistant: list[Part] = attrs.field(factory=list)
    _phase: str | None = None
    _pictures: list[Part] = attrs.field(factory=list)
    _results: list[Part] = attrs.field(factory=list)
    _unanswered: dict[str, str] = attrs.field(factory=dict)
    """Names of calls without a result, by id."""

    def add(self, item: Any, at: str) -> None:
        """Take the next item."""
        check_object(item, at)
        kind = type_of(item, at)
        if kind == "message":
            self._add_message(item, at)
        elif kind in ("reasoning", "function_call", "custom_tool_call") or kind in CLIENT_CALLS:
            part = _reasoning(item, at) if kind == "reasoning" else self._call(item, kind, at)
            if part is not None:
                self._to_assistant(part)
        elif kind in ("function_call_output", "custom_tool_call_output") or kind in _OUTPUTS:
            self._to_results(self._result(item, kind, at))
        else:
            self._add_other(item, kind, at)

    def end(self) -> None:
        """No item follows."""
        self._end_assistant()
        self._end_results()

    def _add_message(self, item: dict[str, Any], at: str) -> None:
        role = item.get("role")
        if role not in _ROLES:
            want_str(item, "role", at)
            raise out_of_range(join(at, "role"), f"one of {', '.join(sorted(_ROLES))}")
        parts = decode_content(item.get("content"), join(at, "content"))
        if role == "assistant":
            self._add_assistant(item, parts, at)
            return
        self.end()
        if role == "user":
            if parts:
                self.messages.append(Message(role="user", parts=parts))
            return
        texts = [part for part in parts if isinstance(part, Text)]
        if not self.messages and len(texts) == len(parts):
            self.system.extend(texts)
        elif parts:
            authority: Literal["system", "developer"] = "system" if role == "system" else "developer"
            self.messages.append(Message(role="system", authority=authority, parts=parts))

    def _add_assistant(self, item: dict[str, Any], parts: tuple[Part, ...], at: str) -> None:
        phase = find_str(item, "phase", at)
        extra = {
            key: value for key, value in (("item_id", find_str(item, "id", at)), ("phase", phase)) if value is not None
        }
        for part in parts:
            self._to_assistant(attrs.evolve(part, extra=extra) if extra and isinstance(part, Text) else part)
        self._phase = phase or self._phase

    def _to_assistant(self, part: Part) -> None:
        self._end_results()
        self._assistant.append(part)

    def _to_results(self, part: Part) -> None:
        self._end_assistant()
        self._results.append(part)

    def _end_assistant(self) -> None:
        if self._assistant:
            self.messages.append(Message(role="assistant", parts=tuple(self._assistant), phase=self._phase))
            self._assistant.clear()
        if self._pictures:
            self.messages.append(Message(role="user", parts=tuple(self._pictures)))
            self._pictures.clear()
        self._phase = None

    def _end_results(self) -> None:
        if self._results:
            self.messages.append(Message(role="user", parts=tuple(self._results)))
            self._results.clear()

    def _call(self, item: dict[str, Any], kind: str, at: str) -> ToolCall:
        extra = {key: item[key] for key in CALL_EXTRAS if item.get(key) is not None}
        own_id = find_str(item, "id", at)
        if own_id:
            extra["item_id"] = own_id
        if kind in CLIENT_CALLS:
            name, member = CLIENT_CALLS[kind]
            id = want_name(item, "call_id", at)
            self._unanswered[id] = name
            arguments = from_object(find_object(item, member, at) or {})
            return ToolCall(id=id, name=name, arguments=arguments, kind="client_builtin", extra=extra)
        id, name = want_name(item, "call_id", at), want_name(item, "name", at)
        self._unanswered[id] = name
        custom = kind == "custom_tool_call"
        return ToolCall(
            id=id,
            name=name,
            arguments=want_str(item, "input" if custom else "arguments", at),
            namespace=find_str(item, "namespace", at) or None,
            kind="custom" if custom else "function",
            extra=extra,
        )

    def _result(self, item: dict[str, Any], kind: str, at: str) -> ToolResult:
        id = find_str(item, "call_id", at) or (find_str(item, "id", at) if kind in _OUTPUTS else None)
        name = find_str(item, "name", at)
        if not id and name:
            id = next((call for call, called in self._unanswered.items() if called == name), None)
        if not id:
            raise missing(join(at, "call_id"))
        called = self._unanswered.pop(id, None)
        if kind in _OUTPUTS:
            text = _builtin_output(item)
            content = (Text(text=text),) if text else ()
            return ToolResult(call_id=id, name=_OUTPUTS[kind], content=content, extra={"raw": item})
        parts = decode_content(item.get("output"), join(at, "output"))
        content = tuple(part for part in parts if isinstance(part, Text | Image | Document))  # type: ignore[assignment]
        return ToolResult(call_id=id, name=name or called, content=content)

    def _add_other(self, item: dict[str, Any], kind: str, at: str) -> None:
        """Items that are not said by anybody, and hosted work."""
        match kind:
            case "additional_tools" | "tool_search_output":
                self._declare(decode_tools(find_list(item, "tools", at) or [], join(at, "tools")))
            case "tool_search_call":
                pass
            case "configuration_update":
                self.reasoning = find_object(item, "reasoning", at) or self.reasoning
                self.text = find_object(item, "text", at) or self.text
            case "item_reference":
                self.references.append(want_name(item, "id", at))
                self.rejected.append(Rejected(param=at, why="send the items themselves."))
                self._to_assistant(Opaque(dialect="responses", type=kind, raw=item))
            case _:
                self._add_opaque(item, kind, at)

    def _declare(self, tools: tuple[Tool, ...]) -> None:
        self.tools.extend(tool for tool in tools if tool not in self.tools)

    def _add_opaque(self, item: dict[str, Any], kind: str, at: str) -> None:
        part = Opaque(dialect="responses", type=kind, raw=item)
        if kind in _BOUND:
            self.rejected.append(Rejected(param=at, why="only the provider that made it can read it."))
        if kind in _OF_THE_CLIENT:
            self._to_results(part)
            return
        self._to_assistant(part)
        picture = item.get("result") if kind == "image_generation_call" else None
        if isinstance(picture, str) and picture:
            format = find_str(item, "output_format", at) or "png"
            source = Inline(media_type=f"image/{format}", b64=picture)
            self._pictures.append(Image(source=source, extra={"generated": True}))


def type_of(item: Mapping[str, Any], at: str) -> str:
    """The type of an item. A message may leave it out; so may a reference to an item, which then is only an id.

    Raises:
        InvalidRequest: It has none, or one that is no string.
    """
    kind = find_str(item, "type", at)
    if kind:
        return kind
    if item.get("role") is not None:
        return "message"
    return "item_reference" if item.get("id") is not None else want_name(item, "type", at)


def _reasoning(item: dict[str, Any], at: str) -> Reasoning | None:
    """The reasoning; None where there is neither text nor ciphertext.

    Whether the ciphertext is one of our envelopes is for the encoder to find out, which knows its target.
    """
    content = _texts(find_list(item, "content", at), join(at, "content"))
    texts = content or _texts(find_list(item, "summary", at), join(at, "summary"))
    payload, id = find_str(item, "encrypted_content", at), find_str(item, "id", at)
    if not texts and not payload:
        return None
    sections: list[int] = []
    length = 0
    for text in texts:
        sections.append(length)
        length += len(text)
    return Reasoning(
        text="".join(texts),
        form="full" if content else "summary" if texts else "hidden",
        sections=tuple(sections) if len(sections) > 1 else (),
        seal=Seal(kind="encrypted", payload=payload, item_id=id or None) if payload else None,
        extra={"item_id": id} if id else {},
    )


def _texts(parts: list[Any] | None, path: str) -> list[str]:
    texts: list[str] = []
    for index, part in enumerate(parts or ()):
        check_object(part, f"{path}[{index}]")
        text = want_str(part, "text", f"{path}[{index}]")
        if text:
            texts.append(text)
    return texts


def _builtin_output(item: dict[str, Any]) -> str:
    """What a client-run tool without a schema gave back, as text."""
    output = item.get("output")
    if isinstance(output, str):
        return output
    said: list[str] = []
    for run in output if isinstance(output, list) else ():
        if not isinstance(run, dict):
            continue
        said.extend(text for key in ("stdout", "stderr") if isinstance(text := run.get(key), str) and text)
        outcome = run.get("outcome")
        if isinstance(outcome, dict):
            code = outcome.get("exit_code")
            said.append(f"Exit code: {code}" if code is not None else str(outcome.get("type", "")))
    if not said and isinstance(item.get("status"), str):
        said.append(item["status"])
    return "\n".join(said)


def read_input(value: str | list[Any]) -> Conversation:
    """The `input` of a request: a text, or items."""
    conversation = Conversation()
    if isinstance(value, str):
        conversation.messages.append(Message(role="user", parts=(Text(text=value),)))
        return conversation
    for index, item in enumerate(value):
        conversation.add(item, f"input[{index}]")
    conversation.end()
    return conversation
