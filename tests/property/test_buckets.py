"""Over any span of time, no more requests pass than the bucket held plus what was refilled."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from modelserver.policy.buckets import RequestBucket

RATES = st.integers(1, 10_000)
STEPS = st.lists(st.floats(0, 90, allow_subnormal=False) | st.just(0.0), min_size=1, max_size=60)


def granted(bucket: RequestBucket, instants: list[float]) -> list[float]:
    """The instants at which a request was let in."""
    passed = []
    for now_s in instants:
        if bucket.wait_s(now_s=now_s) == 0.0:
            bucket.take(now_s=now_s)
            passed.append(now_s)
    return passed


@given(rpm=st.integers(1, 30), start_s=st.floats(0, 1e6), steps=STEPS)
def test_never_more_than_the_rate_and_the_refill_pass(rpm: int, start_s: float, steps: list[float]) -> None:
    instants = [instant for instant in itertools.accumulate(steps, initial=start_s) for _ in range(5)]

    passed = granted(RequestBucket(rpm, now_s=start_s), instants)

    for first, begin_s in enumerate(passed):
        for count, end_s in enumerate(passed[first:], start=1):
            assert count <= rpm + (end_s - begin_s) * rpm / 60 + 1e-3


@given(rpm=RATES, steps=STEPS)
def test_what_is_left_is_within_bounds(rpm: int, steps: list[float]) -> None:
    bucket = RequestBucket(rpm, now_s=0.0)

    for now_s in itertools.accumulate(steps):
        granted(bucket, [now_s] * 3)

        assert 0 <= bucket.remaining() <= rpm
        assert -1e-6 <= bucket.full_in_s() <= 60.0 + 1e-6


@given(rpm=RATES, steps=STEPS)
def test_who_waits_as_long_as_told_is_let_in(rpm: int, steps: list[float]) -> None:
    bucket = RequestBucket(rpm, now_s=0.0)
    now_s = 0.0
    for step in steps:
        now_s += step / 1000
        granted(bucket, [now_s] * 3)

    assert bucket.wait_s(now_s=now_s + bucket.wait_s(now_s=now_s)) == 0.0


@given(rpm=RATES, others=st.lists(RATES, max_size=5), taken=st.integers(0, 50))
def test_resizing_there_and_back_gives_nothing(rpm: int, others: list[int], taken: int) -> None:
    bucket = RequestBucket(rpm, now_s=0.0)
    used = len(granted(bucket, [0.0] * taken))

    for other in [*others, rpm]:
        bucket.resize(other)

    assert bucket.remaining() <= max(0, rpm - min(used, *others, rpm))
