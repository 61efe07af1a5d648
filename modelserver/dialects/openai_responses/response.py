"""A whole response, read by the way of its events, so that both forms of an answer come out alike."""

from __future__ import annotations

from typing import Any

import attrs

from modelserver.dialects.answers import invalid, read_object
from modelserver.dialects.codec import Reading
from modelserver.dialects.openai_responses.report import read_failure
from modelserver.dialects.openai_responses.stream import ResponsesStreamDecoder
from modelserver.dialects.openai_responses.vocab import FAILED_STATUSES
from modelserver.dialects.stops import StopFilter
from modelserver.errors import GatewayError
from modelserver.ir.events import StreamEvent, UsageUpdate
from modelserver.ir.fold import fold
from modelserver.ir.parts import Response
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage


def decode_response(body: bytes, reading: Reading) -> Response | Complaint:
    """What a body of status 200 says: an answer, or an error that came in spite of the status.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it is no response, or one that has not ended.
    """
    parsed = read_response(body)
    if isinstance(parsed, Complaint):
        return parsed
    events: list[StreamEvent] = []
    try:
        ResponsesStreamDecoder(reading).complete(parsed, events)
    except RecursionError:
        raise invalid("is nested too deeply") from None
    stops = reading.request.sampling.stop
    whole = fold(StopFilter(stops).feed(events) if stops else events)
    if isinstance(whole, GatewayError):
        raise whole
    if whole is None or isinstance(whole, Complaint):
        raise invalid("can't be read")
    tier = parsed.get("service_tier")
    # An answer that was cut at a stop string was generated to its end, and is billed so.
    usage = whole.usage or _usage(events)
    return attrs.evolve(whole, usage=usage, service_tier=tier if isinstance(tier, str) else None)


def read_response(body: bytes) -> dict[str, Any] | Complaint:
    """The response in a body of status 200, or an error that came in spite of the status.

    Raises:
        UpstreamFailed: `upstream_invalid_response`, it is no response, or one that has not ended.
    """
    parsed = read_object(body)
    status = parsed.get("status")
    if parsed.get("error") or status in FAILED_STATUSES:
        return read_failure(parsed if parsed.get("error") else {"error": {"code": status}})
    if not isinstance(parsed.get("output"), list):
        raise invalid("has no output")
    if status in ("queued", "in_progress"):
        raise invalid("has not ended")
    return parsed


def _usage(events: list[StreamEvent]) -> Usage | None:
    return next((event.usage for event in events if isinstance(event, UsageUpdate)), None)
