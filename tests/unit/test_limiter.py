"""Limits of one process: check and take are one step, and nothing that was taken is lost."""

from __future__ import annotations

import pytest

from modelserver.config import Limits
from modelserver.errors import RateLimited
from modelserver.policy.buckets import Standing
from modelserver.policy.principals import Scope
from modelserver.stores.memory import MemoryLease, MemoryLimiter


def scope(name: str, rpm: int | None = None, concurrency: int | None = None, *, kind: str = "key") -> Scope:
    return Scope(kind=kind, name=name, limits=Limits(rpm=rpm, concurrency=concurrency))


def admit(limiter: MemoryLimiter, *scopes: Scope, now_s: float = 0.0) -> MemoryLease:
    """Run `admit` to its end in one step, which is all it may take."""
    coroutine = limiter.admit(scopes, now_s=now_s)
    try:
        coroutine.send(None)
    except StopIteration as stop:
        lease: MemoryLease = stop.value
        return lease
    coroutine.close()
    raise AssertionError("the limiter suspended")


def granted(limiter: MemoryLimiter, *scopes: Scope, tries: int, now_s: float = 0.0) -> int:
    """How many of so many calls are let in."""
    count = 0
    for _ in range(tries):
        try:
            admit(limiter, *scopes, now_s=now_s)
        except RateLimited:
            continue
        count += 1
    return count


COUNTS = [
    pytest.param([], 200, id="no limit"),
    pytest.param([scope("a", rpm=7)], 7, id="a rate"),
    pytest.param([scope("a", concurrency=7)], 7, id="calls at once"),
    pytest.param([scope("a", rpm=9, concurrency=7)], 7, id="the tighter of two limits"),
    pytest.param([scope("a", rpm=9), scope("b", rpm=7)], 7, id="the tighter of two scopes"),
    pytest.param([scope("a", rpm=7), scope("a", rpm=9, kind="user")], 7, id="one name in two kinds"),
    pytest.param([scope("a", rpm=0)], 0, id="nothing allowed"),
    pytest.param([scope("a", concurrency=0)], 0, id="no call at once allowed"),
]


@pytest.mark.parametrize(("scopes", "expected"), COUNTS)
def test_exactly_so_many_of_200_calls_pass(scopes: list[Scope], expected: int) -> None:
    assert expected == granted(MemoryLimiter(), *scopes, tries=200)


def test_scopes_of_others_are_untouched() -> None:
    limiter = MemoryLimiter()
    granted(limiter, scope("a", rpm=1, concurrency=1), tries=5)

    assert granted(limiter, scope("b", rpm=1, concurrency=1), tries=5) == 1


def test_a_refusal_takes_nothing_from_any_scope() -> None:
    limiter = MemoryLimiter()
    roomy, full = scope("user", rpm=5, concurrency=5, kind="user"), scope("key", rpm=1)
    admit(limiter, full)

    assert granted(limiter, roomy, full, tries=50) == 0
    assert granted(limiter, roomy, tries=50) == 5


def test_a_released_place_is_free_again() -> None:
    limiter = MemoryLimiter()
    lease = admit(limiter, scope("a", concurrency=1))

    lease.release()

    assert limiter.running() == 0
    assert granted(limiter, scope("a", concurrency=1), tries=5) == 1


def test_a_place_is_released_once_however_often_that_is_said() -> None:
    limiter = MemoryLimiter()
    first, _ = admit(limiter, scope("a", concurrency=2)), admit(limiter, scope("a", concurrency=2))

    first.release()
    first.release()

    assert limiter.running() == 1


def test_a_released_place_gives_no_request_back() -> None:
    limiter = MemoryLimiter()
    admit(limiter, scope("a", rpm=1, concurrency=1)).release()

    with pytest.raises(RateLimited):
        admit(limiter, scope("a", rpm=1, concurrency=1))


def test_places_are_held_in_every_scope() -> None:
    limiter = MemoryLimiter()
    lease = admit(limiter, scope("a", concurrency=2), scope("b", concurrency=3, kind="user"), scope("c", rpm=5))

    assert limiter.running() == 2
    lease.release()
    assert limiter.running() == 0


def test_requests_come_back_with_time() -> None:
    limiter = MemoryLimiter()
    granted(limiter, scope("a", rpm=60), tries=60)

    assert granted(limiter, scope("a", rpm=60), tries=60, now_s=10.0) == 10


STANDINGS = [
    pytest.param([], None, id="no limit"),
    pytest.param([scope("a", concurrency=5)], None, id="no limit of requests"),
    pytest.param([scope("a", rpm=60)], Standing(limit=60, remaining=59, reset_s=1.0), id="one"),
    pytest.param(
        [scope("a", rpm=60), scope("b", rpm=6), scope("c", rpm=600)],
        Standing(limit=6, remaining=5, reset_s=10.0),
        id="the tightest",
    ),
]


@pytest.mark.parametrize(("scopes", "expected"), STANDINGS)
def test_the_lease_knows_how_close_the_caller_is(scopes: list[Scope], expected: Standing | None) -> None:
    assert expected == admit(MemoryLimiter(), *scopes).standing


REFUSALS = [
    pytest.param(
        scope("laptop", rpm=1),
        "The limit of 1 requests a minute for the key 'laptop' is reached; retry in 60 s.",
        60,
        1,
        id="a rate",
    ),
    pytest.param(
        scope("laptop", rpm=600),
        "The limit of 600 requests a minute for the key 'laptop' is reached; retry in 1 s.",
        1,
        600,
        id="a rate that waits less than a second",
    ),
    pytest.param(
        scope("alice", concurrency=1, kind="user"),
        "The user 'alice' may have 1 calls running at once, and has; wait for one of them to end.",
        1,
        None,
        id="calls at once",
    ),
]


@pytest.mark.parametrize(("limited", "message", "retry_after_s", "limit"), REFUSALS)
def test_a_refusal_says_what_and_when(limited: Scope, message: str, retry_after_s: int, limit: int | None) -> None:
    limiter = MemoryLimiter()
    granted(limiter, limited, tries=600)

    with pytest.raises(RateLimited) as caught:
        admit(limiter, limited)

    error = caught.value
    assert (message, retry_after_s, limit) == (error.message, error.retry_after_s, error.limit)


@pytest.mark.parametrize(("rpm", "expected"), [(10, 4), (20, 14), (6, 0), (None, 50)], ids=str)
def test_a_changed_rate_counts_what_was_used(rpm: int | None, expected: int) -> None:
    limiter = MemoryLimiter()
    granted(limiter, scope("a", rpm=10), tries=6)

    assert expected == granted(limiter, scope("a", rpm=rpm), tries=50)
