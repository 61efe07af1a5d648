"""Rates: a token bucket for requests per minute and a gauge for calls at once. Time is an argument."""

from __future__ import annotations

import math
from typing import Final

import attrs

_MINUTE_S: Final = 60.0
_ROUNDING: Final = 1e-6
"""What sums of fractions may lack of a whole request: who waits as long as told must not be refused for it."""


class RequestBucket:
    """Holds `rpm` requests, refilled evenly over a minute."""

    __slots__ = ("_at_s", "_level", "rpm")

    def __init__(self, rpm: int, *, now_s: float) -> None:
        self.rpm = rpm
        self._level = float(rpm)
        self._at_s = now_s

    def resize(self, rpm: int) -> None:
        """Take a new rate; what was used stays used."""
        self._level = min(max(0.0, self._level + rpm - self.rpm), float(rpm))
        self.rpm = rpm

    def wait_s(self, *, now_s: float) -> float:
        """Seconds until one request is there to take; 0.0 when it is there now."""
        self._refill(now_s)
        if self._level >= 1.0 - _ROUNDING:
            return 0.0
        return (1.0 - self._level) * _MINUTE_S / self.rpm if self.rpm else _MINUTE_S

    def take(self, *, now_s: float) -> None:
        """Take one request; `wait_s` must have said 0.0 at the same instant."""
        self._refill(now_s)
        self._level -= 1.0

    def remaining(self) -> int:
        """Whole requests left after the last `take`."""
        return max(0, math.floor(self._level + _ROUNDING))

    def full_in_s(self) -> float:
        """Seconds from the last `take` until the bucket is full again."""
        return (self.rpm - self._level) * _MINUTE_S / self.rpm if self.rpm else _MINUTE_S

    def _refill(self, now_s: float) -> None:
        if now_s > self._at_s:
            self._level = min(float(self.rpm), self._level + (now_s - self._at_s) * self.rpm / _MINUTE_S)
            self._at_s = now_s


@attrs.frozen(kw_only=True, slots=True)
class Standing:
    """How close a caller is to the tightest of its request limits."""

    limit: int
    remaining: int
    reset_s: float
