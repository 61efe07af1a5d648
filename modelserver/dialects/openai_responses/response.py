"""A whole response, read by the way of its events, so that both forms of an answer come out alike."""

from __future__ import annotations

import attrs

from modelserver.dialects.codec import Reading
from modelserver.dialects.openai_responses.report import invalid, read_failure
from modelserver.dialects.openai_responses.stream import ResponsesStreamDecoder
from modelserver.dialects.stops import StopFilter
from modelserver.errors import GatewayError
from modelserver.ir.events import StreamEvent, UsageUpdate
from modelserver.ir.fold import fold
from modelserver.ir.parts import Response
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage
from modelserver.wire.json_text import loads_lenient


def decode_response(body: bytes, reading: Reading) -> Response | Complaint:
    """What a body of status 200 says: an answer, or an error that came in spite of the status.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it is no response, or one that has not ended.
    """
    try:
        parsed = loads_lenient(body)
    except ValueError:
        raise invalid("answer is not JSON") from None
    if not isinstance(parsed, dict):
        raise invalid("answer is not a JSON object")
    status = parsed.get("status")
    if parsed.get("error") or status in ("failed", "cancelled"):
        return read_failure(parsed if parsed.get("error") else {"error": {"code": status}})
    if not isinstance(parsed.get("output"), list):
        raise invalid("answer has no output")
    if status in ("queued", "in_progress"):
        raise invalid("answer has not ended")
    events: list[StreamEvent] = []
    try:
        ResponsesStreamDecoder(reading).complete(parsed, events)
    except RecursionError:
        raise invalid("answer is nested too deeply") from None
    stops = reading.request.sampling.stop
    whole = fold(StopFilter(stops).feed(events) if stops else events)
    if isinstance(whole, GatewayError):
        raise whole
    if whole is None or isinstance(whole, Complaint):
        raise invalid("answer can't be read")
    tier = parsed.get("service_tier")
    # An answer that was cut at a stop string was generated to its end, and is billed so.
    usage = whole.usage or _usage(events)
    return attrs.evolve(whole, usage=usage, service_tier=tier if isinstance(tier, str) else None)


def _usage(events: list[StreamEvent]) -> Usage | None:
    return next((event.usage for event in events if isinstance(event, UsageUpdate)), None)
