"""Small things of an answer, read: media, log probabilities, why it ended, when it was made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import attrs

from modelserver.dialects.gemini.vocab import FINISH_NUMBERS, FINISH_REASONS
from modelserver.ir.parts import Audio, Document, Finish, FinishReason, Image, Inline, TokenLogprob


def media_part(source: Inline) -> Image | Audio | Document | None:
    """The part that data of a media type is; None for video, which nothing else can hold."""
    kind, _, subtype = source.media_type.partition("/")
    match kind:
        case "image":
            return Image(source=source)
        case "audio":
            return Audio(source=source, format=_AUDIO_FORMATS.get(subtype.partition(";")[0].lower(), subtype))
        case "video":
            return None
        case _:
            return Document(source=source)


_AUDIO_FORMATS: Final = {"mpeg": "mp3", "x-wav": "wav", "wave": "wav", "l16": "pcm16", "pcm": "pcm16"}


def signed(part: Image | Audio | Document, wire: Mapping[str, Any]) -> Image | Audio | Document:
    """The part with the signature that it carries on the wire."""
    return attrs.evolve(part, extra={"thoughtSignature": wire["thoughtSignature"]})


def read_logprobs(result: Mapping[str, Any]) -> tuple[TokenLogprob, ...]:
    """The tokens of a `logprobsResult`."""
    chosen, tops = result.get("chosenCandidates"), result.get("topCandidates")
    tokens: list[TokenLogprob] = []
    for position, wire in enumerate(chosen if isinstance(chosen, list) else ()):
        token = _token(wire)
        if token is None:
            continue
        beside = tops[position] if isinstance(tops, list) and position < len(tops) else None
        others = beside.get("candidates") if isinstance(beside, dict) else None
        top = tuple(other for each in others if (other := _token(each))) if isinstance(others, list) else ()
        tokens.append(attrs.evolve(token, top=top) if top else token)
    return tuple(tokens)


def _token(wire: object) -> TokenLogprob | None:
    token = wire.get("token") if isinstance(wire, dict) else None
    logprob = wire.get("logProbability", 0.0) if isinstance(wire, dict) else None
    if not isinstance(token, str) or not isinstance(logprob, float | int):
        return None
    return TokenLogprob(token=token, logprob=logprob, bytes=tuple(token.encode("utf-8", "surrogatepass")))


def read_finish(reason: object, message: object) -> Finish:
    """Why a candidate ended; a word that is not known is kept in `raw`."""
    word = FINISH_NUMBERS.get(reason, str(reason)) if type(reason) is int else str(reason)
    return Finish(
        reason=FINISH_REASONS.get(word, FinishReason.OTHER),
        detail=message if isinstance(message, str) and message else None,
        raw=word,
    )


def read_block(feedback: Mapping[str, Any]) -> Finish:
    """Why the prompt was not answered."""
    reason, message = str(feedback["blockReason"]), feedback.get("blockReasonMessage")
    return Finish(
        reason=FinishReason.CONTENT_FILTER,
        detail=f"{reason}: {message}" if isinstance(message, str) and message else reason,
        raw=reason,
    )


def seconds(time: object) -> int:
    """Unix seconds of an RFC 3339 time; 0 when there is none."""
    if not isinstance(time, str):
        return 0
    try:
        read = datetime.fromisoformat(time)
        return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        return 0


def shown(key: str, part: Mapping[str, Any]) -> str | None:
    """Code that Google ran and what it printed, for clients that have nothing else to hold it."""
    wire = part[key]
    if not isinstance(wire, dict):
        return None
    if key == "executableCode" and isinstance(wire.get("code"), str):
        language = wire.get("language")
        return _fenced(language.lower() if isinstance(language, str) else "", wire["code"])
    if key == "codeExecutionResult" and isinstance(wire.get("output"), str):
        return _fenced("", wire["output"])
    return None


def _fenced(language: str, text: str) -> str:
    return f"\n```{language}\n{text.removesuffix(chr(10))}\n```\n"
