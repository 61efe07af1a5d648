"""Limits of one process, in memory."""

from __future__ import annotations

import math
from collections.abc import Sequence

from modelserver.errors import RateLimited
from modelserver.policy.buckets import RequestBucket, Standing
from modelserver.policy.principals import Scope


class MemoryLease:
    """An admission; see `ports.Lease`."""

    __slots__ = ("_gauges", "_limiter", "standing")

    def __init__(self, limiter: MemoryLimiter, gauges: Sequence[tuple[str, str]], standing: Standing | None) -> None:
        self._limiter = limiter
        self._gauges = gauges
        self.standing = standing

    def release(self) -> None:
        """Give back what is held; may be called twice."""
        gauges, self._gauges = self._gauges, ()
        for gauge in gauges:
            self._limiter.leave(gauge)


class MemoryLimiter:
    """Buckets and gauges by scope; see `ports.Limiter`. They outlive a reload of the configuration."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, str], RequestBucket] = {}
        self._running: dict[tuple[str, str], int] = {}

    async def admit(self, scopes: Sequence[Scope], *, now_s: float) -> MemoryLease:
        """Check every scope, then take from every scope; never suspends, so that both are one step."""
        if not scopes:
            return MemoryLease(self, (), None)
        buckets = []
        for scope in scopes:
            self._check_running(scope)
            bucket = self._bucket(scope, now_s)
            if bucket is not None:
                buckets.append(bucket)
        standing: Standing | None = None
        for bucket in buckets:
            bucket.take(now_s=now_s)
            if standing is None or bucket.remaining() < standing.remaining:
                standing = Standing(limit=bucket.rpm, remaining=bucket.remaining(), reset_s=bucket.full_in_s())
        gauges = [(scope.kind, scope.name) for scope in scopes if scope.limits.concurrency is not None]
        for gauge in gauges:
            self._running[gauge] = self._running.get(gauge, 0) + 1
        return MemoryLease(self, gauges, standing)

    def leave(self, gauge: tuple[str, str]) -> None:
        """One call of the scope less."""
        running = self._running[gauge] - 1
        if running:
            self._running[gauge] = running
        else:
            del self._running[gauge]

    def running(self) -> int:
        """Places held over all scopes."""
        return sum(self._running.values())

    def _check_running(self, scope: Scope) -> None:
        limit = scope.limits.concurrency
        if limit is not None and self._running.get((scope.kind, scope.name), 0) >= limit:
            raise RateLimited(
                f"The {scope.kind} {scope.name!r} may have {limit} calls running at once, and has; "
                "wait for one of them to end.",
                retry_after_s=1,
            )

    def _bucket(self, scope: Scope, now_s: float) -> RequestBucket | None:
        rpm = scope.limits.rpm
        if rpm is None:
            return None
        name = (scope.kind, scope.name)
        bucket = self._buckets.get(name)
        if bucket is None:
            bucket = self._buckets[name] = RequestBucket(rpm, now_s=now_s)
        elif bucket.rpm != rpm:
            bucket.resize(rpm)
        wait_s = bucket.wait_s(now_s=now_s)
        if wait_s > 0.0:
            seconds = max(1, math.ceil(wait_s))
            error = RateLimited(
                f"The limit of {rpm} requests a minute for the {scope.kind} {scope.name!r} is reached; "
                f"retry in {seconds} s.",
                retry_after_s=seconds,
            )
            error.limit = rpm
            raise error
        return bucket
