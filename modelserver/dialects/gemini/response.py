"""Whole answers of the Gemini API, read."""

from __future__ import annotations

from typing import Any, Final

from modelserver.dialects.codec import Reading
from modelserver.dialects.gemini.chunks import ChunkReader
from modelserver.dialects.gemini.errors import read_complaint
from modelserver.errors import UpstreamFailed
from modelserver.ir.events import StreamEvent
from modelserver.ir.fold import Folding
from modelserver.ir.parts import Response
from modelserver.ir.types import Complaint
from modelserver.wire.json_text import loads_exact

_INVALID: Final = "upstream_invalid_response"


def decode_response(body: bytes, reading: Reading) -> Response | Complaint:
    """What a body of status 200 says: an answer, or an error that came in spite of the status.

    A blocked prompt is an answer of one choice without parts.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it is neither.
    """
    try:
        return _read(loads_exact(body), reading)
    except ValueError:
        raise UpstreamFailed("The provider's answer is not JSON.", code=_INVALID) from None
    except RecursionError:
        raise UpstreamFailed("The provider's answer is nested too deeply.", code=_INVALID) from None


def _read(parsed: Any, reading: Reading) -> Response | Complaint:
    chunks = parsed if isinstance(parsed, list) else [parsed]  # a list where a stream was answered whole
    reader = ChunkReader(reading)
    events: list[StreamEvent] = []
    for chunk in chunks:
        if not isinstance(chunk, dict):
            raise UpstreamFailed("The provider's answer is not a JSON object.", code=_INVALID)
        if chunk.get("error"):
            return read_complaint(200, chunk)
        reader.read(chunk, events)
    if not reader.has_answer:
        raise UpstreamFailed("The provider's answer has no candidates.", code=_INVALID)
    reader.finish(events)
    folding = Folding()
    folding.feed(events)
    response = folding.response()
    if response is None:  # the events above always end a stream
        raise UpstreamFailed("The provider's answer is incomplete.", code=_INVALID)
    return response
