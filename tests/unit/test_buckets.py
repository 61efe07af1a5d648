from __future__ import annotations

import pytest

from modelserver.policy.buckets import RequestBucket


def emptied(rpm: int, *, at_s: float = 0.0) -> RequestBucket:
    """A bucket whose requests were all taken at once."""
    bucket = RequestBucket(rpm, now_s=at_s)
    for _ in range(rpm):
        bucket.take(now_s=at_s)
    return bucket


def test_a_new_bucket_is_full() -> None:
    bucket = RequestBucket(3, now_s=100.0)

    assert (bucket.wait_s(now_s=100.0), bucket.remaining(), bucket.full_in_s()) == (0.0, 3, 0.0)


WAITS = [
    pytest.param(60, 0.0, 1.0, id="one a second"),
    pytest.param(60, 0.25, 0.75, id="a part of it has passed"),
    pytest.param(60, 1.0, 0.0, id="it has passed"),
    pytest.param(6, 0.0, 10.0, id="one in ten seconds"),
    pytest.param(1, 0.0, 60.0, id="one a minute"),
    pytest.param(600, 0.05, 0.05, id="ten a second"),
    pytest.param(60, -5.0, 1.0, id="a clock that runs backwards gives nothing"),
]


@pytest.mark.parametrize(("rpm", "later_s", "expected"), WAITS)
def test_an_empty_bucket_refills_evenly(rpm: int, later_s: float, expected: float) -> None:
    assert pytest.approx(expected) == emptied(rpm, at_s=50.0).wait_s(now_s=50.0 + later_s)


LEFT = [
    pytest.param(0.0, 0, 60.0, id="at once"),
    pytest.param(0.9, 0, 59.1, id="before the first"),
    pytest.param(1.0, 1, 59.0, id="the first"),
    pytest.param(30.0, 30, 30.0, id="half"),
    pytest.param(60.0, 60, 0.0, id="all"),
    pytest.param(6000.0, 60, 0.0, id="never more than all"),
]


@pytest.mark.parametrize(("later_s", "remaining", "full_in_s"), LEFT)
def test_what_is_left_is_told(later_s: float, remaining: int, full_in_s: float) -> None:
    bucket = emptied(60)

    bucket.wait_s(now_s=later_s)

    assert remaining == bucket.remaining()
    assert pytest.approx(full_in_s) == bucket.full_in_s()


@pytest.mark.parametrize("rpm", [1, 3, 7, 13, 49, 61, 999])
def test_who_waits_as_long_as_told_is_let_in(rpm: int) -> None:
    bucket = emptied(rpm, at_s=1000.1)
    now_s = 1000.1

    for _ in range(50):
        now_s += bucket.wait_s(now_s=now_s)

        assert bucket.wait_s(now_s=now_s) == 0.0
        bucket.take(now_s=now_s)


RESIZED = [
    pytest.param(10, 4, 20, 16, id="a higher rate: what was used stays used"),
    pytest.param(10, 4, 8, 4, id="a lower rate: what was used stays used"),
    pytest.param(10, 9, 5, 0, id="a rate lower than what was used"),
    pytest.param(10, 0, 5, 5, id="nothing used"),
]


@pytest.mark.parametrize(("rpm", "taken", "new_rpm", "expected"), RESIZED)
def test_a_bucket_is_resized(rpm: int, taken: int, new_rpm: int, expected: int) -> None:
    bucket = RequestBucket(rpm, now_s=0.0)
    for _ in range(taken):
        bucket.take(now_s=0.0)

    bucket.resize(new_rpm)

    assert (new_rpm, expected) == (bucket.rpm, bucket.remaining())


def test_a_bucket_made_smaller_than_what_was_used_owes_nothing() -> None:
    bucket = emptied(10)

    bucket.resize(5)

    assert bucket.wait_s(now_s=0.0) == pytest.approx(12.0)


def test_a_rate_of_nothing_lets_nobody_in() -> None:
    bucket = RequestBucket(0, now_s=0.0)

    assert (bucket.wait_s(now_s=1e6), bucket.remaining(), bucket.full_in_s()) == (60.0, 0, 60.0)
