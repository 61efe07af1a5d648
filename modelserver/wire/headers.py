"""Header values read and checked."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAX_RETRY_AFTER_S: Final = 86_400
_SANE_ID = re.compile(r"[A-Za-z0-9._:=+/-]{1,128}")
_SECONDS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9})?")


def is_sane_id(value: str) -> bool:
    """Whether a request id of a client may be used and sent back."""
    return _SANE_ID.fullmatch(value) is not None


def retry_after_s(value: str | None, *, now: datetime) -> float | None:
    """Seconds that a `Retry-After` asks for, a date converted; None when absent, malformed or over a day.

    RFC 9110, 10.2.3. Dates in the past are 0. Fractions of seconds, which some providers send, are understood.
    """
    if value is None:
        return None
    value = value.strip()
    if _SECONDS.fullmatch(value):
        seconds = float(value)
    else:
        try:
            moment = parsedate_to_datetime(value)
        except (ValueError, OverflowError):
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        seconds = max(0.0, (moment - now).total_seconds())
    return seconds if seconds <= MAX_RETRY_AFTER_S else None


def retry_after_ms_s(value: str | None) -> float | None:
    """Seconds that a `retry-after-ms` (Azure, OpenAI) asks for; None when absent, malformed or over a day."""
    if value is None or not _SECONDS.fullmatch(value.strip()):
        return None
    seconds = float(value) / 1000
    return seconds if seconds <= MAX_RETRY_AFTER_S else None
