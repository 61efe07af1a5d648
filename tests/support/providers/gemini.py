"""A provider of Google Gemini."""

from __future__ import annotations

import zlib
from typing import Any

from tests.support.speech import Call, Heard, Json, Tokens, Turn
from tests.support.wires import halves, sse

__all__ = ["GEMINI", "GeminiProvider"]

_MODEL = "gemini-3.1-pro-preview"
_ERRORS = {
    400: (400, "INVALID_ARGUMENT"),
    401: (401, "UNAUTHENTICATED"),
    404: (404, "NOT_FOUND"),
    429: (429, "RESOURCE_EXHAUSTED"),
    500: (500, "INTERNAL"),
    503: (503, "UNAVAILABLE"),
}


class GeminiProvider:
    """See `speech.Provider`. It seals the first call of a turn, or its text, and refuses without a word."""

    dialect = "gemini"
    model = _MODEL
    quirks = ""
    seal = "CqABAVSoXO4x1mY="

    def whole(self, turn: Turn) -> dict[str, Any]:
        parts: list[Json] = []
        if turn.reasoning:
            parts.append({"text": turn.reasoning, "thought": True})
        if turn.text:
            parts.append({"text": turn.text, **self._signed_text(turn)})
        return self._chunk(turn, [*parts, *self._calls(turn)], is_last=True)

    def frames(self, turn: Turn) -> list[bytes]:
        parts: list[Json] = [{"text": piece, "thought": True} for piece in halves(turn.reasoning)]
        parts += [{"text": piece} for piece in halves(turn.text)]
        parts += self._calls(turn)
        last = [] if turn.refusal else [{"text": "", **self._signed_text(turn)}]
        chunks = [*(self._chunk(turn, [part]) for part in parts), self._chunk(turn, last, is_last=True)]
        return [sse(chunk, end="\r\n") for chunk in chunks]

    def _calls(self, turn: Turn) -> list[Json]:
        parts: list[dict[str, Any]] = [
            {"functionCall": {"name": call.name, "args": call.arguments}} for call in turn.calls
        ]
        if parts and (turn.reasoning or turn.hides):
            parts[0]["thoughtSignature"] = self.seal
        return [*parts]

    def _signed_text(self, turn: Turn) -> Json:
        """Without calls the text is signed, in a stream by an empty piece of it at the end."""
        return {"thoughtSignature": self.seal} if turn.reasoning and not turn.calls else {}

    def _chunk(self, turn: Turn, parts: list[Json], *, is_last: bool = False) -> dict[str, Any]:
        content: dict[str, Any] = {"role": "model", "parts": parts} if parts else {"role": "model"}
        candidate: dict[str, Any] = {"content": content, "index": 0}
        names = {"modelVersion": _MODEL, "responseId": f"r{zlib.crc32(repr(turn).encode())}"}
        if not is_last:
            return {"candidates": [candidate], **names}
        candidate["finishReason"] = "SAFETY" if turn.refusal else "MAX_TOKENS" if turn.is_cut else "STOP"
        usage = {} if turn.tokens is None else {"usageMetadata": self._usage(turn.tokens)}
        return {"candidates": [candidate], **usage, **names}

    def _usage(self, tokens: Tokens) -> Json:
        assert tokens.input is not None
        assert tokens.output is not None
        counts = {
            "promptTokenCount": tokens.input,
            "cachedContentTokenCount": tokens.cached,
            "candidatesTokenCount": tokens.output - (tokens.reasoning or 0),
            "thoughtsTokenCount": tokens.reasoning,
            "totalTokenCount": tokens.input + tokens.output,
        }
        return {name: count for name, count in counts.items() if count is not None}

    def is_content(self, frame: bytes) -> bool:
        return b'"parts"' in frame

    def is_finish(self, frame: bytes) -> bool:
        return b'"finishReason"' in frame

    def refusal(self, status: int) -> dict[str, Any]:
        code, word = _ERRORS[status]
        return {"error": {"code": code, "message": "No.", "status": word}}

    def failure(self, status: int) -> bytes:
        return sse(self.refusal(status), end="\r\n")

    def hear(self, path: str, body: Json) -> Heard:
        name, _, method = path.removeprefix("/v1beta/models/").partition(":")
        assert method in ("generateContent", "streamGenerateContent?alt=sse")
        parts = [(entry.get("role", "user"), part) for entry in body["contents"] for part in entry["parts"]]
        made = [part["functionCall"] for _, part in parts if "functionCall" in part]
        calls = [Call(call["name"], call.get("args") or {}, call.get("id") or "") for call in made]
        answered = [part["functionResponse"] for _, part in parts if "functionResponse" in part]
        config = body.get("generationConfig") or {}
        declared = [each for tool in body.get("tools") or () for each in tool.get("functionDeclarations") or ()]
        media = [part["inlineData"] for _, part in parts if "inlineData" in part]
        instruction = (body.get("systemInstruction") or {}).get("parts") or ()
        return Heard(
            model=name,
            stream=method.startswith("stream"),
            system="".join(part["text"] for part in instruction),
            texts=[
                ("assistant" if role == "model" else "user", part["text"])
                for role, part in parts
                if part.get("text") and not part.get("thought")
            ],
            tools={function["name"]: function.get("parametersJsonSchema", {}) for function in declared},
            calls=calls,
            results=[
                (self._called(calls, number, result), result["response"]["output"])
                for number, result in enumerate(answered)
            ],
            pictures=[(each["mimeType"], each["data"]) for each in media],
            schema=config.get("responseJsonSchema"),
            thinks="thinkingLevel" in (config.get("thinkingConfig") or {}),
            seals=[part["thoughtSignature"] for _, part in parts if "thoughtSignature" in part],
        )

    def _called(self, calls: list[Call], number: int, result: Json) -> Call | None:
        """The call of a result: by its id, else by its place."""
        id = result.get("id")
        found = [call for call in calls if call.id == id] if id else calls[number : number + 1]
        return found[0] if found and found[0].name == result["name"] else None


GEMINI = GeminiProvider()
