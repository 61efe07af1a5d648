"""Calls in an upstream's output, and the items that count only as a whole."""

from __future__ import annotations

from typing import Any, Final, Literal

import attrs

from modelserver.dialects.codec import WireTool
from modelserver.dialects.names import mint_id
from modelserver.dialects.openai_responses.blocks import Blocks, Event, Out, missing
from modelserver.dialects.openai_responses.report import invalid
from modelserver.dialects.openai_responses.vocab import CALL_EXTRAS, CLIENT_CALLS
from modelserver.ir.events import BlockStart, Delta
from modelserver.ir.parts import Opaque, ToolCall
from modelserver.wire.json_text import StringUnwrapper, as_object, from_object

_PARALLEL: Final = frozenset(("parallel", "multi_tool_use.parallel"))


class CallReader:
    """A call of a function or custom tool."""

    __slots__ = (
        "_blocks",
        "_deferred",
        "_id",
        "_part",
        "_said",
        "_shown",
        "_unwrapper",
        "index",
        "type",
    )

    def __init__(self, blocks: Blocks, index: int, item: Event, out: Out) -> None:
        self.index = index
        self.type = str(item["type"])
        self._blocks = blocks
        self._part: ToolCall | None = None
        self._said: list[str] = []
        """Arguments as they came."""
        self._shown: list[str] = []
        self._unwrapper: StringUnwrapper | None = None
        self._deferred = False
        self._id = ""
        self._try_open(item, out)

    def feed(self, kind: str, event: Event, out: Out) -> None:
        """An event of the item."""
        if kind == "response.function_call_arguments.delta" or kind == "response.custom_tool_call_input.delta":
            self._say(event.get("delta"), out)
        elif kind == "response.function_call_arguments.done":
            self._say(missing("".join(self._said), event.get("arguments")), out)
        elif kind == "response.custom_tool_call_input.done":
            self._say(missing("".join(self._said), event.get("input")), out)

    def end(self, item: Event, out: Out) -> None:
        """The item is over.

        Raises:
            UpstreamFailed: The call has no name.
        """
        if self._part is None and not self._deferred:
            self._try_open(item, out, minting=True)
        full = item.get("input" if self.type == "custom_tool_call" else "arguments")
        if isinstance(full, dict):
            full = from_object(full)
        self._say(missing("".join(self._said), full), out)
        extra = {key: item[key] for key in CALL_EXTRAS if item.get(key) is not None}
        if isinstance(item.get("id"), str) and item["id"]:
            extra["item_id"] = item["id"]
        if self._deferred:
            self._expand(item, extra, out)
            return
        if self._part is None:
            raise invalid("answer has a call without a name")
        if self._unwrapper is not None:
            self._show(self._unwrapper.close(), out)
        part = attrs.evolve(self._part, arguments="".join(self._shown), extra=extra)
        self._blocks.called = True
        self._blocks.end(part, out)

    def _try_open(self, item: Event, out: Out, *, minting: bool = False) -> None:
        name, id = item.get("name"), item.get("call_id")
        if not isinstance(name, str) or not name:
            return
        if not isinstance(id, str) or not id:
            if not minting:
                return
            id = mint_id(self._blocks.response_id, 0, self._blocks.calls)
        self._blocks.calls += 1
        known = self._blocks.reading.tools.get(name)
        if known is None and name in _PARALLEL and self.type == "function_call":
            self._deferred = True
            self._id = id
            return
        self._part = self._call(id, name, known, item.get("namespace"))
        if self._part.kind == "custom" and self.type == "function_call":
            self._unwrapper = StringUnwrapper()
        out.append(BlockStart(0, self._blocks.count, self._part))
        said, self._said = self._said, []
        for text in said:
            self._say(text, out)

    def _call(self, id: str, name: str, known: WireTool | None, namespace: object) -> ToolCall:
        if known is None:
            kind: Literal["function", "custom"] = "custom" if self.type == "custom_tool_call" else "function"
            space = namespace if isinstance(namespace, str) and namespace else None
            return ToolCall(id=id, name=name, arguments="", namespace=space, kind=kind)
        return ToolCall(id=id, name=known.name, arguments="", namespace=known.namespace, kind=known.kind)

    def _say(self, text: object, out: Out) -> None:
        if type(text) is not str or not text:
            return
        self._said.append(text)
        if self._part is not None:
            self._show(text if self._unwrapper is None else self._unwrapper.feed(text), out)

    def _show(self, text: str, out: Out) -> None:
        if text:
            self._shown.append(text)
            out.append(Delta(0, self._blocks.count, text))

    def _expand(self, item: Event, extra: dict[str, Any], out: Out) -> None:
        """An undeclared function that wraps several calls becomes those, when all of them were declared."""
        arguments = "".join(self._said)
        uses = as_object(arguments).get("tool_uses")
        calls: list[ToolCall] = []
        for place, use in enumerate(uses if isinstance(uses, list) else ()):
            recipient = use.get("recipient_name") if isinstance(use, dict) else None
            name = recipient.removeprefix("functions.") if isinstance(recipient, str) else ""
            known = self._blocks.reading.tools.get(name)
            if known is None:
                calls.clear()
                break
            call = self._call(f"{self._id}_{place}", name, known, None)
            inner = from_object(use.get("parameters") or {})
            if call.kind == "custom":
                unwrapper = StringUnwrapper()
                inner = unwrapper.feed(inner) + unwrapper.close()
            calls.append(attrs.evolve(call, arguments=inner))
        if not calls:
            calls = [ToolCall(id=self._id, name=str(item.get("name") or "parallel"), arguments=arguments, extra=extra)]
        self._blocks.called = True
        for call in calls:
            self._blocks.whole(call, out, empty=attrs.evolve(call, arguments=""), text=call.arguments)


class WholeReader:
    """An item that counts only when it is complete: hosted work, client-run tools without a schema, anything new."""

    __slots__ = ("_blocks", "index", "type")

    def __init__(self, blocks: Blocks, index: int, type: str) -> None:
        self.index = index
        self.type = type
        self._blocks = blocks

    def feed(self, kind: str, event: Event, out: Out) -> None:
        """An event of the item."""

    def end(self, item: Event, out: Out) -> None:
        """The item is over."""
        if not item:
            return
        known = CLIENT_CALLS.get(self.type)
        if known is None:
            self._blocks.whole(Opaque(dialect="responses", type=self.type, raw=dict(item)), out)
            return
        name, member = known
        id = item.get("call_id")
        if not isinstance(id, str) or not id:
            id = mint_id(self._blocks.response_id, 0, self._blocks.calls)
        self._blocks.calls += 1
        self._blocks.called = True
        arguments = from_object(item.get(member) or {})
        extra = {"item_id": item["id"]} if isinstance(item.get("id"), str) else {}
        call = ToolCall(id=id, name=name, arguments=arguments, kind="client_builtin", extra=extra)
        self._blocks.whole(call, out, empty=attrs.evolve(call, arguments=""), text=arguments)
