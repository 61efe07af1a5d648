"""Coding agents in a loop with their tools: what they were seen to send, gone on with as they would with our answers.

loop = LOOPS["codex"]
answer = await ask(both, loop, loop.first)
then = await ask(both, loop, loop.follow_up(said))
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from tests.support.client_requests import CAPTURED, ClientRequest
from tests.support.front import Answer
from tests.support.pairs import Meeting
from tests.support.speakers import SPEAKERS
from tests.support.speech import Call, Json, Said, Speaker

_HISTORY = {"chat": "messages", "responses": "input", "anthropic": "messages", "gemini": "contents"}
_OF_MODELS = ("reasoning", "function_call", "custom_tool_call")


@attrs.frozen(kw_only=True)
class Loop:
    """A request that was seen to carry the result of a tool: one turn of a model, its call, and what came of it."""

    asked: ClientRequest
    keeps: bool
    """The client sends reasoning back, in whatever field it does."""

    @property
    def speaker(self) -> Speaker:
        """A client of the same dialect, which reads answers."""
        return next(each for each in SPEAKERS if each.dialect == self.asked.dialect)

    @property
    def history(self) -> list[Any]:
        """The conversation."""
        return list((self.asked.body or {})[_HISTORY[self.asked.dialect]])

    @property
    def turn(self) -> int:
        """Where in it the model's turn begins."""
        return next(number for number, item in enumerate(self.history) if _is_models(item))

    @property
    def first(self) -> dict[str, Any]:
        """The request before the tool was called."""
        return self._with(self.history[: self.turn])

    @property
    def call(self) -> Call:
        """The call, as the model had made it."""
        match self.asked.dialect:
            case "chat":
                function = self._item("tool_calls")["tool_calls"][0]["function"]
                return Call(function["name"], json.loads(function["arguments"]))
            case "responses":
                item = self._item("arguments")
                return Call(item["name"], json.loads(item["arguments"]))
            case "anthropic":
                block = next(each for each in self._item("content")["content"] if each["type"] == "tool_use")
                return Call(block["name"], block["input"])
            case _:
                part = next(each for each in self._item("parts")["parts"] if "functionCall" in each)
                return Call(part["functionCall"]["name"], part["functionCall"]["args"])

    @property
    def result(self) -> Any:
        """What the tool had said, in the dialect's own words."""
        item = self.history[-1]
        match self.asked.dialect:
            case "chat":
                return item["content"]
            case "responses":
                return item["output"]
            case "anthropic":
                return item["content"][0]["content"]
            case _:
                return item["parts"][0]["functionResponse"]["response"]

    def follow_up(self, said: Said) -> dict[str, Any]:
        """The request with an answer in the place of the turn that was seen, and the result for its one call."""
        echo = {
            "chat": self._chat,
            "responses": self._responses,
            "anthropic": self._anthropic,
            "gemini": self._gemini,
        }
        return self._with([*self.history[: self.turn], *echo[self.asked.dialect](said)])

    def _with(self, history: Sequence[Any]) -> dict[str, Any]:
        body = self.asked.with_model("m")
        return {**body, _HISTORY[self.asked.dialect]: list(history)}

    def _item(self, member: str) -> Any:
        """The first item of the turn that has a member."""
        return next(item for item in self.history[self.turn :] if member in item)

    def _chat(self, said: Said) -> list[Any]:
        message, result = self.history[self.turn :]
        (call,) = said.echo["tool_calls"]
        reasoning = {"reasoning_content": said.reasoning} if self.keeps and said.reasoning else {}
        return [
            {**message, **reasoning, "tool_calls": [{**message["tool_calls"][0], **call}]},
            {**result, "tool_call_id": call["id"]},
        ]

    def _responses(self, said: Said) -> list[Any]:
        recorded = {item["type"]: item for item in self.history[self.turn :]}
        items = [_shaped(item, recorded[item["type"]]) for item in said.echo if item["type"] in recorded]
        (call,) = [item for item in said.echo if item["type"] == "function_call"]
        return [*items, {**recorded["function_call_output"], "call_id": call["call_id"]}]

    def _anthropic(self, said: Said) -> list[Any]:
        message, answered = self.history[self.turn :]
        marks = {name: value for name, value in message["content"][-1].items() if name == "cache_control"}
        *blocks, call = [block for block in said.echo if self.keeps or block["type"] != "thinking"]
        result = {**answered["content"][0], "tool_use_id": call["id"]}
        return [
            {"role": "assistant", "content": [*blocks, {**call, **marks}]},
            {**answered, "content": [result, *answered["content"][1:]]},
        ]

    def _gemini(self, said: Said) -> list[Any]:
        message, answered = self.history[self.turn :]
        parts = [part for content in said.echo for part in content["parts"] if part != {"text": ""}]
        thoughts = [part for part in parts if part.get("thought")]
        (called,) = [part for part in parts if "functionCall" in part]
        recorded = next(part["functionCall"] for part in message["parts"] if "functionCall" in part)
        call = {name: value for name, value in called["functionCall"].items() if name in recorded}
        response = dict(answered["parts"][0]["functionResponse"])
        if "id" in recorded:
            response["id"] = call["id"]
        kept = [_thought(thoughts)] if self.keeps and thoughts else []
        return [
            {**message, "parts": [*kept, {**called, "functionCall": call}]},
            {**answered, "parts": [{"functionResponse": response}]},
        ]


def _is_models(item: Json) -> bool:
    return item.get("role") in ("assistant", "model") or item.get("type") in _OF_MODELS


def _shaped(item: Json, recorded: Json) -> dict[str, Any]:
    """An item of ours with the members that the client was seen to send back, and the namespace of a call."""
    kept = {**recorded, **{name: item[name] for name in recorded if name in item}}
    return {**kept, "namespace": item["namespace"]} if "namespace" in item else kept


def _thought(parts: Sequence[Json]) -> dict[str, Any]:
    """Chunks of a thought as one part, as these clients keep it."""
    signatures = [part["thoughtSignature"] for part in parts if "thoughtSignature" in part]
    signed = {"thoughtSignature": signatures[0]} if signatures else {}
    return {"text": "".join(part["text"] for part in parts), "thought": True, **signed}


async def ask(both: Meeting, loop: Loop, body: Json) -> Answer:
    """The answer to a request in the place of the one that was seen."""
    method, path, headers, _ = loop.asked.asked("m")
    return await both.server.ask(method, path, headers, json.dumps(body).encode())


def _loop(name: str, *, keeps: bool) -> Loop | None:
    return Loop(asked=CAPTURED[name], keeps=keeps) if name in CAPTURED else None


_FOUND: Mapping[str, Loop | None] = {
    "codex": _loop("codex/02", keeps=True),
    "claude-code": _loop("claude-code/02", keeps=True),
    "gemini-cli": _loop("gemini-cli/02", keeps=False),
    "opencode": _loop("opencode/03", keeps=True),
    "opencode-responses": _loop("opencode-responses/03", keeps=False),
    "opencode-anthropic": _loop("opencode-anthropic/03", keeps=True),
    "opencode-google": _loop("opencode-google/03", keeps=True),
    "codex-openai": _loop("codex-openai/03", keeps=True),
    "qwen-code": _loop("qwen-code/04", keeps=True),
    "qwen-code-anthropic": _loop("qwen-code-anthropic/04", keeps=True),
    "qwen-code-gemini": _loop("qwen-code-gemini/04", keeps=True),
    "pi": _loop("pi/02", keeps=True),
    "pi-responses": _loop("pi-responses/02", keeps=True),
    "pi-anthropic": _loop("pi-anthropic/02", keeps=True),
    "pi-google": _loop("pi-google/02", keeps=True),
    "continue": _loop("continue/02", keeps=False),
    "continue-anthropic": _loop("continue-anthropic/02", keeps=False),
    "cline": _loop("cline/02", keeps=False),
    "vibe": _loop("vibe/02", keeps=False),
}
LOOPS: Mapping[str, Loop] = {name: loop for name, loop in _FOUND.items() if loop is not None}
"""By agent; empty without the requests. Whether reasoning comes back is as seen, or as their libraries do it."""
