"""A Responses stream, written; a whole answer is what its last event repeats."""

from __future__ import annotations

from typing import Any, Final

import orjson

from modelserver.dialects.codec import Writing
from modelserver.dialects.names import derived_id
from modelserver.dialects.openai_responses.answer import (
    BUILTIN_ITEMS,
    call_item,
    encode_annotation,
    encode_failure,
    encode_finish,
    encode_logprobs,
    is_builtin,
    reasoning_item,
    response_id,
    response_object,
    text_part,
)
from modelserver.errors import GatewayError
from modelserver.ir.events import (
    BlockEnd,
    BlockStart,
    Cite,
    Delta,
    End,
    Fail,
    FinishEvent,
    Ping,
    SealEvent,
    Section,
    Start,
    StreamEvent,
    UsageUpdate,
)
from modelserver.ir.fold import unfold
from modelserver.ir.parts import (
    Finish,
    FinishReason,
    Image,
    Inline,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Response,
    Seal,
    Text,
    TokenLogprob,
    ToolCall,
)
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage, merge_usage
from modelserver.wire.json_text import as_object, dumps_exact

_PREFIXES: Final = {
    "message": "msg_",
    "reasoning": "rs_",
    "function_call": "fc_",
    "custom_tool_call": "ctc_",
    "image_generation_call": "ig_",
    "shell_call": "sh_",
    "local_shell_call": "lsh_",
    "apply_patch_call": "apc_",
}
_FAILED: Final = {"code": "server_error", "message": "The provider could not finish its answer."}


class ResponsesStreamEncoder:
    """See `codec.StreamEncoder`; answers have one choice here, the others are not shown.

    Attributes:
        response: The finished response object, once it has ended.
    """

    def __init__(self, writing: Writing) -> None:
        self.response: dict[str, Any] | None = None
        self._writing = writing
        self._id = response_id(writing)
        self._sequence = 0
        self._frames: list[bytes] = []
        self._output: list[dict[str, Any]] = []
        self._item: dict[str, Any] | None = None
        """The open item; it is the last of the output."""
        self._part: Part | None = None
        """The open block."""
        self._shown = False
        """Something of the open block was."""
        self._sealed = False
        """The seal of the open block was."""
        self._said: list[str] = []
        self._section: list[str] = []
        self._tokens: list[TokenLogprob] = []
        self._annotations: list[dict[str, Any]] = []
        self._held: list[str] = []
        """The first arguments of a call that waits for its seal."""
        self._usage: Usage | None = None
        self._finish: Finish | None = None
        self._refused = False

    def feed(self, event: StreamEvent) -> bytes:
        """What the client gets now; nothing after the end."""
        if self.response is not None:
            return b""
        match event:
            case Delta(choice=0):
                self._delta(event)
            case BlockStart(choice=0, part=part):
                self._begin(part)
            case BlockEnd(choice=0, part=part):
                self._close(part)
            case Section(choice=0):
                self._end_section()
            case SealEvent(choice=0, seal=seal) if isinstance(self._part, ToolCall) and not self._shown:
                self._seal(seal)
            case Cite(choice=0):
                self._cite(event)
            case UsageUpdate(usage=usage):
                self._usage = merge_usage(self._usage, usage)
            case FinishEvent(choice=0, finish=finish):
                self._finish = finish
            case Start(usage=usage):
                self._usage = usage
                self._frame("response.created", response=response_object(self._writing, status="in_progress"))
                self._frame("response.in_progress", response=response_object(self._writing, status="in_progress"))
            case End():
                self._end()
            case Fail(error=error):
                self._fail(error)
            case Ping() | Delta() | BlockStart() | BlockEnd() | Section() | SealEvent() | Cite() | FinishEvent():
                pass
        frames, self._frames = self._frames, []
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def _frame(self, kind: str, **fields: Any) -> None:
        event = {"type": kind, "sequence_number": self._sequence, **fields}
        self._sequence += 1
        try:
            data = orjson.dumps(event)
        except TypeError:
            data = dumps_exact(event)
        self._frames.append(b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n")

    # Items

    def _open_item(self, item: dict[str, Any]) -> dict[str, Any]:
        """Begin an item; the open one ends."""
        self._end_item()
        item = {"id": derived_id(_PREFIXES[item["type"]], self._id, len(self._output)), **item}
        self._output.append(item)
        self._item = item
        self._frame("response.output_item.added", output_index=len(self._output) - 1, item=item)
        return item

    def _end_item(self, **fields: Any) -> None:
        item, self._item = self._item, None
        if item is None:
            return
        item |= fields
        item["status"] = "completed"
        self._frame("response.output_item.done", output_index=len(self._output) - 1, item=item)

    def _add_whole(self, item: dict[str, Any]) -> None:
        self._open_item(item)
        self._end_item()

    def _at(self, **fields: Any) -> dict[str, Any]:
        """Where an event of the open item belongs."""
        assert self._item is not None
        return {"item_id": self._item["id"], "output_index": len(self._output) - 1, **fields}

    # Blocks

    def _begin(self, part: Part) -> None:
        self._part = part
        self._shown = self._sealed = False
        for texts in (self._said, self._section, self._held):
            texts.clear()
        self._tokens.clear()
        self._annotations.clear()

    def _delta(self, event: Delta) -> None:
        match self._part:
            case Text():
                self._show_text()
                self._said.append(event.text)
                tokens = encode_logprobs(event.logprobs, with_bytes=False) if event.logprobs else []
                self._tokens.extend(event.logprobs)
                at = self._at(content_index=self._place())
                self._frame("response.output_text.delta", **at, delta=event.text, logprobs=tokens)
            case Refusal():
                self._show_text()
                self._said.append(event.text)
                self._frame("response.refusal.delta", **self._at(content_index=self._place()), delta=event.text)
            case Reasoning():
                if self._writing.show_reasoning:
                    self._show_reasoning()
                    self._section.append(event.text)
                    at = self._at(summary_index=self._summary())
                    self._frame("response.reasoning_summary_text.delta", **at, delta=event.text)
            case ToolCall():
                self._arguments(event.text)
            case _:
                pass

    def _close(self, part: Part) -> None:
        match part:
            case Text():
                self._close_text(part)
            case Refusal():
                self._close_refusal(part)
            case Reasoning():
                self._close_reasoning(part)
            case ToolCall():
                self._close_call(part)
            case Image(source=Inline(b64=b64)):
                self._add_whole({"type": "image_generation_call", "status": "completed", "result": b64})
            case Opaque():
                self._close_opaque(part)
            case _:
                pass
        self._part = None

    # Text

    def _show_text(self) -> None:
        """Open the content part, and the message unless one of the same phase is open."""
        if self._shown:
            return
        self._shown = True
        phase = self._part.extra.get("phase") if isinstance(self._part, Text) else None
        item = self._item
        if item is None or item["type"] != "message" or item.get("phase") != phase:
            message = {"type": "message", "role": "assistant", "status": "in_progress", "content": []}
            self._open_item(message if phase is None else {**message, "phase": phase})
        part = {"type": "refusal", "refusal": ""} if isinstance(self._part, Refusal) else text_part("", [], [])
        self._frame("response.content_part.added", **self._at(content_index=self._place()), part=part)

    def _place(self) -> int:
        """The index of the open content part: finished ones are in the message."""
        assert self._item is not None
        return len(self._item["content"])

    def _cite(self, event: Cite) -> None:
        annotation = encode_annotation(event.citation, sum(map(len, self._said)))
        if annotation is None or not isinstance(self._part, Text):
            return
        self._show_text()
        at = self._at(content_index=self._place(), annotation_index=len(self._annotations))
        self._annotations.append(annotation)
        self._frame("response.output_text.annotation.added", **at, annotation=annotation)

    def _close_text(self, part: Text) -> None:
        if self._shown:
            at = self._at(content_index=self._place())
            tokens = encode_logprobs(self._tokens, with_bytes=False)
            self._frame("response.output_text.done", **at, text=part.text, logprobs=tokens)
            written = text_part(part.text, list(self._annotations), encode_logprobs(self._tokens, with_bytes=True))
            self._close_content(at, written)
        if part.seal is not None:
            self._seal(part.seal)

    def _close_refusal(self, part: Refusal) -> None:
        if self._shown:
            self._refused = True
            at = self._at(content_index=self._place())
            self._frame("response.refusal.done", **at, refusal=part.text)
            self._close_content(at, {"type": "refusal", "refusal": part.text})

    def _close_content(self, at: dict[str, Any], written: dict[str, Any]) -> None:
        self._frame("response.content_part.done", **at, part=written)
        assert self._item is not None
        self._item["content"].append(written)

    # Reasoning

    def _show_reasoning(self) -> None:
        if not self._shown:
            self._shown = True
            self._open_item(reasoning_item())
        if not self._section:
            at = self._at(summary_index=self._summary())
            part = {"type": "summary_text", "text": ""}
            self._frame("response.reasoning_summary_part.added", **at, part=part)

    def _summary(self) -> int:
        assert self._item is not None
        return len(self._item["summary"])

    def _end_section(self) -> None:
        if not self._section:
            return
        text = "".join(self._section)
        self._section.clear()
        self._said.append(text)
        at = self._at(summary_index=self._summary())
        part = {"type": "summary_text", "text": text}
        self._frame("response.reasoning_summary_text.done", **at, text=text)
        self._frame("response.reasoning_summary_part.done", **at, part=part)
        assert self._item is not None
        self._item["summary"].append(part)

    def _close_reasoning(self, part: Reasoning) -> None:
        self._end_section()
        if part.seal is not None:
            if not self._shown:
                self._open_item(reasoning_item())
            self._end_item(encrypted_content=self._wrapped(part.seal, "".join(self._said)))
        elif self._shown:
            self._end_item()

    def _seal(self, seal: Seal) -> None:
        """A seal that belongs to another part: an item of its own beside it, since only reasoning carries one here."""
        self._sealed = True
        self._open_item(reasoning_item())
        self._end_item(encrypted_content=self._wrapped(seal, ""))

    def _wrapped(self, seal: Seal, visible: str) -> str:
        return seal.payload if seal.origin is None else self._writing.sealer.wrap(seal, visible)

    # Calls

    def _arguments(self, text: str) -> None:
        self._said.append(text)
        call = self._part
        if not isinstance(call, ToolCall) or is_builtin(call):
            return
        if not self._shown and not self._held:
            # Most calls come in one delta, with a seal behind it that must stand before the call.
            self._held.append(text)
            return
        self._show_call(call)
        self._show_arguments(call, text)

    def _show_call(self, call: ToolCall) -> None:
        if self._shown:
            return
        self._shown = True
        self._open_item(call_item(call, "", "in_progress"))
        for text in self._held:
            self._show_arguments(call, text)
        self._held.clear()

    def _show_arguments(self, call: ToolCall, text: str) -> None:
        kind = "custom_tool_call_input" if call.kind == "custom" else "function_call_arguments"
        self._frame(f"response.{kind}.delta", **self._at(), delta=text)

    def _close_call(self, call: ToolCall) -> None:
        if is_builtin(call):
            type_, member = BUILTIN_ITEMS[call.name]
            action = as_object(call.arguments)
            self._add_whole({"type": type_, "call_id": call.id, member: action, "status": "completed"})
            return
        late = None if self._sealed else call.seal
        if late is not None and not self._shown:
            self._seal(late)
            late = None
        self._show_call(call)
        if call.kind == "custom":
            self._frame("response.custom_tool_call_input.done", **self._at(), input=call.arguments)
            self._end_item(**call_item(call, call.arguments, "completed"))
        else:
            self._frame("response.function_call_arguments.done", **self._at(), arguments=call.arguments)
            self._end_item(**call_item(call, call.arguments, "completed"))
        if late is not None:
            self._seal(late)

    def _close_opaque(self, part: Opaque) -> None:
        if part.dialect == "responses":
            self._end_item()
            item = dict(part.raw)
            self._output.append(item)
            for kind in ("added", "done"):
                self._frame(f"response.output_item.{kind}", output_index=len(self._output) - 1, item=item)
        elif part.fallback:
            self._begin(Text(text=""))
            self._delta(Delta(0, 0, part.fallback))
            self._close_text(Text(text=part.fallback))

    # The end

    def _end(self) -> None:
        self._end_item()
        finish = self._finish or Finish(reason=FinishReason.STOP)
        status, reason = encode_finish(finish, refused=self._refused)
        self.response = response_object(
            self._writing,
            status=status,
            output=self._output,
            usage=self._usage or Usage(),
            reason=reason,
            error=_FAILED if status == "failed" else None,
        )
        self._frame(f"response.{status}", response=self.response)

    def _fail(self, error: GatewayError | Complaint) -> None:
        self._keep_unfinished()
        self.response = response_object(
            self._writing,
            status="failed",
            output=self._output,
            usage=self._usage,
            error=encode_failure(error),
        )
        self._frame("response.failed", response=self.response)

    def _keep_unfinished(self) -> None:
        """The open item with what there is of it."""
        item, self._item = self._item, None
        if item is None:
            return
        item["status"] = "incomplete"
        said = "".join(self._said)
        match self._part:
            case Text() if self._shown:
                item["content"].append(text_part(said, list(self._annotations), []))
            case Refusal() if self._shown:
                item["content"].append({"type": "refusal", "refusal": said})
            case Reasoning() if self._section:
                item["summary"].append({"type": "summary_text", "text": "".join(self._section)})
            case ToolCall(kind=kind) if self._shown:
                item["input" if kind == "custom" else "arguments"] = said
            case _:
                pass


def encode_response(response: Response, writing: Writing) -> bytes:
    """The whole answer, with the ids that a stream of it would have."""
    encoder = ResponsesStreamEncoder(writing)
    for event in unfold(response):
        encoder.feed(event)
    assert encoder.response is not None
    return dumps_exact(encoder.response)
