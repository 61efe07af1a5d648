"""Recorded answers of providers of every dialect, and what the neutral model makes of each."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

from modelserver.dialects.codec import Reading
from modelserver.dialects.table import DIALECTS
from modelserver.errors import GatewayError
from modelserver.ir.card import ModelCard
from modelserver.ir.fold import fold
from modelserver.ir.parts import DialectName, Origin, Response
from modelserver.ir.profile import Profile
from modelserver.ir.request import Request
from modelserver.ir.types import Complaint
from modelserver.policy.seals import EnvelopeSealer
from tests.support.recordings import Recording

_BESIDE = Path(__file__).parents[2].parent / "shared"
SHARED = _BESIDE if _BESIDE.is_dir() else Path(os.environ.get("MODELSERVER_SHARED", _BESIDE))
ABSENT = "no recordings in ../shared nor MODELSERVER_SHARED"

FOLDERS: dict[DialectName, str] = {
    "chat": "openai-chat",
    "responses": "openai-responses",
    "anthropic": "anthropic-messages",
    "gemini": "gemini",
}
_OTHER_ENDPOINTS = ("count_tokens", ":countTokens", "/compact", "/input_tokens", "/resp_")


@attrs.frozen(slots=False)
class Native:
    """A recording, and the dialect that it is in."""

    dialect: DialectName
    played: Recording

    @property
    def objects(self) -> list[Any]:
        """The answer, each chunk of it, or the data of each event."""
        text = self.played.body.decode()
        if not self.played.stream or text.lstrip().startswith("["):
            found = json.loads(text)
            return found if isinstance(found, list) else [found]
        lines = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
        return [json.loads(line) for line in lines if line not in ("", "[DONE]")]

    def response(self, body: bytes | None = None) -> Response | Complaint | GatewayError | None:
        """What the dialect's own decoder makes of it, or of a body in its place: the answer, or why there is none."""
        wire = self.played.body if body is None else body
        codec = DIALECTS[self.dialect].codec
        reading = _reading(self.dialect)
        try:
            if not self.played.stream:
                return codec.decode_response(wire, reading)
            decoder = codec.stream_decoder(reading)
            return fold([*decoder.feed(wire), *decoder.close()])
        except GatewayError as error:
            return error


def load(dialects: Sequence[DialectName]) -> dict[str, Native]:
    """Every recorded generation by dialect and file, without lists of models and counts; empty where there are none."""
    found = {}
    for dialect in dialects:
        for file in sorted(SHARED.glob(f"recordings/{FOLDERS[dialect]}/*.json")):
            record = json.loads(file.read_bytes())
            path = record["request"]["path"]
            if "models_list" in record["features"] or any(mark in path for mark in _OTHER_ENDPOINTS):
                continue
            answer = record["response"]
            found[f"{dialect}: {file.stem}"] = Native(
                dialect,
                Recording(
                    id=file.stem,
                    model=record["model"] or "unnamed",
                    stream=record["stream"],
                    asked={},
                    status=answer["status"],
                    content_type=answer["content_type"],
                    headers=answer["headers"],
                    body=answer["body"].encode(),
                ),
            )
    return found


def _reading(dialect: DialectName) -> Reading:
    """Of a request without tools, to a target of which nothing is known."""
    return Reading(
        request=Request(dialect=dialect, model="m"),
        profile=Profile(
            model="m",
            origin=Origin(dialect=dialect, provider="p", account="a", model="m"),
            card=ModelCard(),
            sealer=EnvelopeSealer(b"key"),
            pseudonym=str,
        ),
    )
