"""Clients of Google Gemini, for whom a stream is events or one array."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from tests.support.front import KEY
from tests.support.speech import PARAMETERS, TOOL, TOOL_SAYS, Ask, Call, Json, Reminder, Said, Step, Tokens, Turn
from tests.support.wires import events_of

__all__ = ["GEMINI", "GEMINI_ARRAY", "GeminiArraySpeaker", "GeminiSpeaker"]


class GeminiSpeaker:
    """See `speech.Speaker`. Like the official one it keeps an entry for each chunk of a stream."""

    dialect = "gemini"
    headers: ClassVar[Mapping[str, str]] = {"x-goog-api-key": KEY}
    words: ClassVar[Mapping[str, str]] = {
        "length": "MAX_TOKENS",
        "stop": "STOP",
        "calls": "STOP",
        "refusal": "SAFETY",
        "filter": "SAFETY",
    }
    keepalive = b"\r\n"

    def path(self, *, stream: bool) -> str:
        return f"/v1beta/models/m:{'streamGenerateContent?alt=sse' if stream else 'generateContent'}"

    def body(self, ask: Ask, *steps: Step, stream: bool = False) -> dict[str, Any]:
        parts: list[Json] = [{"text": ask.text}]
        if ask.picture:
            parts.append({"inlineData": {"mimeType": "image/png", "data": ask.picture}})
        body: dict[str, Any] = {"contents": [{"role": "user", "parts": parts}, *self._history(steps)]}
        config: dict[str, Any] = {}
        if ask.system:
            body["systemInstruction"] = {"parts": [{"text": ask.system}]}
        if ask.tools:
            function = {"name": TOOL, "description": TOOL_SAYS, "parametersJsonSchema": PARAMETERS}
            body["tools"] = [{"functionDeclarations": [function]}]
        if ask.schema is not None:
            config |= {"responseMimeType": "application/json", "responseJsonSchema": ask.schema}
        if ask.thinks:
            config["thinkingConfig"] = {"includeThoughts": True, "thinkingLevel": "HIGH"}
        return {**body, "generationConfig": config} if config else body

    def _history(self, steps: tuple[Step, ...]) -> Iterator[Json]:
        for step in steps:
            if isinstance(step, Said):
                yield from step.echo
            elif isinstance(step, Reminder):
                pass  # it has no way to say that
            elif isinstance(step, str):
                yield {"role": "user", "parts": [{"text": step}]}
            else:
                parts = []
                for result in step:
                    response: dict[str, Any] = {"name": result.call.name, "response": {"output": result.text}}
                    if result.call.id:
                        response["id"] = result.call.id
                    parts.append({"functionResponse": response})
                yield {"role": "user", "parts": parts}

    def echo(self, turn: Turn) -> Any:
        texts = [{"text": turn.text}] if turn.text else []
        calls = [{"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}} for call in turn.calls]
        return [{"role": "model", "parts": [*texts, *calls]}]

    def read(self, body: bytes) -> Said:
        return self._said([json.loads(body)])

    def read_stream(self, body: bytes) -> Said:
        events = self.events(body)
        assert "finishReason" in events[-1]["candidates"][0]
        return self._said(events)

    def _said(self, chunks: list[Any]) -> Said:
        assert {chunk["modelVersion"] for chunk in chunks} == {"m"}
        candidates = [candidate for chunk in chunks for candidate in chunk.get("candidates", ())]
        contents = [candidate["content"] for candidate in candidates if candidate.get("content", {}).get("parts")]
        parts = [part for content in contents for part in content["parts"]]
        usages = [chunk["usageMetadata"] for chunk in chunks if "usageMetadata" in chunk]
        calls = [part["functionCall"] for part in parts if "functionCall" in part]
        (finish,) = [candidate["finishReason"] for candidate in candidates if candidate.get("finishReason")]
        text = "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))
        refused = finish == "SAFETY"
        return Said(
            text="" if refused else text,
            reasoning="".join(part.get("text", "") for part in parts if part.get("thought")),
            refusal=text if refused else "",
            calls=[Call(call["name"], call["args"], call.get("id", "")) for call in calls],
            finish=finish,
            tokens=self._tokens(usages[-1]) if usages else None,
            echo=contents,
        )

    def _tokens(self, usage: Json) -> Tokens:
        thoughts = usage.get("thoughtsTokenCount")
        written = usage["candidatesTokenCount"] + (thoughts or 0)
        assert usage["totalTokenCount"] == usage["promptTokenCount"] + written
        return Tokens(
            input=usage["promptTokenCount"],
            cached=usage.get("cachedContentTokenCount"),
            output=written,
            reasoning=thoughts,
        )

    def events(self, body: bytes) -> list[Any]:
        assert b"\n:" not in body
        assert not body.startswith(b":")
        assert b"event:" not in body
        return [data for _, data in events_of(body)]

    def trouble(self, status: int, body: bytes) -> tuple[int, str]:
        answer = json.loads(body)
        assert answer["error"]["code"] == status
        return status, self._word(answer)

    def broken(self, body: bytes) -> str:
        *events, last = self.events(body)
        assert b'{"error":' in body
        assert not [event for event in events if event["candidates"][0].get("finishReason")]
        assert isinstance(last["error"]["code"], int)
        return self._word(last)

    def _word(self, answer: Json) -> str:
        assert list(answer) == ["error"]
        assert answer["error"]["message"]
        return answer["error"]["status"]


class GeminiArraySpeaker(GeminiSpeaker):
    """One that asks for its streams without events."""

    dialect = "gemini array"
    keepalive = b"\n"

    def path(self, *, stream: bool) -> str:
        return super().path(stream=stream).removesuffix("?alt=sse")

    def events(self, body: bytes) -> list[Any]:
        events = json.loads(body)
        assert isinstance(events, list)
        return events

    def trouble(self, status: int, body: bytes) -> tuple[int, str]:
        (answer,) = json.loads(body)
        return super().trouble(status, json.dumps(answer).encode())


GEMINI = GeminiSpeaker()
GEMINI_ARRAY = GeminiArraySpeaker()
