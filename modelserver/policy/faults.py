"""What an attempt told us, and what to do about it."""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable
from typing import Final

import attrs

from modelserver.errors import (
    BodyTooLarge,
    ContentPolicy,
    ContextLengthExceeded,
    ErrorKind,
    GatewayError,
    InvalidRequest,
    NotFound,
    RateLimited,
    StreamBroken,
    UpstreamConnectTimeout,
    UpstreamFailed,
    UpstreamOverloaded,
    UpstreamTimeout,
)
from modelserver.ir.types import Complaint

MAX_WAIT_S: Final = 10.0
"""A provider that asks for a longer pause is not waited for."""
_RETRY_AFTER_S: Final = 5
"""What a client is told where the provider named no time."""
_RATE_LIMIT_WAIT_S: Final = 1.0
_BACKOFF_S: Final = 0.25

_CONTEXT_CODES: Final = frozenset(("context_length_exceeded", "too_many_prompt_tokens", "exceed_context_size_error"))
_CONTEXT_TEXTS: Final = (
    "maximum context length",
    "prompt is too long",
    "prompt too long",
    "exceeds the context window",
    "max context length",
    "exceeds the available context size",
    "input token count exceeds",
)
_SEAL_TEXTS: Final = (
    "signature in thinking block",
    "invalid `signature`",
    "expected `thinking`",
    "expected thinking",
    "encrypted content could not be verified",
    "encrypted content for item",
    "thought signature",
    "thought_signature",
    "thoughtsignature",
)
"""How providers word that they refuse what an earlier turn was sealed with, in lower case."""
_POLICY_CODES: Final = frozenset(("content_filter", "content_policy_violation", "responsibleaipolicyviolation"))
_QUOTA_CODES: Final = frozenset(
    ("insufficient_quota", "billing_hard_limit_reached", "enforced_spend_limit_reached", "contract_spend_limit_reached")
)
# xAI and Google answer a wrong key with 400.
_KEY_REFUSED = re.compile(
    r"(?:incorrect|invalid|not valid|expired)\W{1,3}api[ _-]?key"
    r"|api[ _-]?key\b.{0,40}?\b(?:incorrect|invalid|not valid|expired)"
)
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_PATH = re.compile(r"[A-Za-z0-9_.\[\]-]{1,200}")


class Verdict(enum.Enum):
    """What may follow a failed attempt, before the commit point."""

    RETRY = "retry"
    """The same target again, within `retries`."""
    RETRY_ONCE = "retry_once"
    """The same target once more, however many `retries` there are."""
    NEXT_TARGET = "next_target"
    """Only another target."""
    GIVE_UP = "give_up"
    """Nothing: another target would say the same."""


@attrs.frozen(kw_only=True, slots=True)
class Fault:
    """A failed attempt."""

    error: GatewayError
    """What the client is told when nothing else helps."""
    verdict: Verdict
    wait_s: float | None = None
    """The pause that the provider asked for, or that its kind of fault calls for; None: back off."""


def classify(
    complaint: Complaint,
    *,
    provider: str,
    clean: Callable[[str], str],
    retry_after_s: float | None = None,
    should_retry: bool | None = None,
) -> Fault:
    """Judge an error answer.

    `clean` redacts what the provider said. `should_retry` is the provider's own word on it (`x-should-retry`), which
    wins over ours where a retry is possible at all: what it refuses about the request itself stays refused.
    """
    fault = _classify(complaint, provider, clean, retry_after_s)
    if should_retry is None:
        return fault
    if should_retry and fault.verdict is Verdict.GIVE_UP and fault.error.kind is ErrorKind.UPSTREAM:
        return attrs.evolve(fault, verdict=Verdict.RETRY)
    if not should_retry and fault.verdict in (Verdict.RETRY, Verdict.RETRY_ONCE):
        return attrs.evolve(fault, verdict=Verdict.NEXT_TARGET)
    return fault


def is_about_seals(complaint: Complaint) -> bool:
    """Whether a 400 is about a signature, a ciphertext or a missing thought of an earlier turn."""
    if complaint.status != 400:
        return False
    lower = (complaint.message or "").lower()
    return complaint.code == "invalid_encrypted_content" or any(text in lower for text in _SEAL_TEXTS)


def judge(error: GatewayError) -> Fault:
    """Judge a failure that no answer describes: a broken connection, silence, an answer that makes no sense."""
    match error:
        case UpstreamConnectTimeout() | UpstreamFailed(code="upstream_unreachable"):
            return Fault(error=error, verdict=Verdict.RETRY_ONCE)
        case UpstreamTimeout():
            return Fault(error=error, verdict=Verdict.NEXT_TARGET)
        case StreamBroken() | UpstreamFailed(code="upstream_too_large"):
            return Fault(error=error, verdict=Verdict.GIVE_UP)
        case UpstreamFailed():
            return Fault(error=error, verdict=Verdict.RETRY)
        case _:
            return Fault(error=error, verdict=Verdict.GIVE_UP)


def backoff_s(attempt: int, *, jitter: float) -> float:
    """Seconds to wait after the given attempt (1, 2, …); `jitter` is 0..1."""
    return _BACKOFF_S * 2.0 ** (attempt - 1) * (0.5 + jitter)


def _classify(complaint: Complaint, provider: str, clean: Callable[[str], str], retry_after_s: float | None) -> Fault:
    status = complaint.status
    said = clean(complaint.message) if complaint.message else ""
    if status == 402 or (status in (400, 429) and _is_quota(complaint)):
        error: GatewayError = UpstreamFailed(
            f"The account of this server at {provider} has no credit left.", code="upstream_quota"
        )
        return Fault(error=error, verdict=Verdict.NEXT_TARGET)
    if status in (400, 422):
        return _refused(complaint, provider, said, clean)
    if status == 413:
        error = BodyTooLarge(said or "The request is larger than the provider accepts.")
        error.close = False
        return Fault(error=error, verdict=Verdict.GIVE_UP)
    if status in (401, 403):
        return _auth_refused(provider)
    if status == 404:
        return _not_found(complaint, provider, said)
    if status == 429:
        told = _RETRY_AFTER_S if retry_after_s is None else math.ceil(retry_after_s)
        error = RateLimited(f"{provider} is limiting the rate of requests; retry in {told} s.", retry_after_s=told)
        wait_s = _RATE_LIMIT_WAIT_S if retry_after_s is None else retry_after_s
        return Fault(error=error, verdict=Verdict.RETRY, wait_s=wait_s)
    if status in (408, 504):
        return Fault(error=UpstreamTimeout(f"{provider} timed out{_quote(said)}."), verdict=Verdict.RETRY)
    if status in (503, 529):
        told = _RETRY_AFTER_S if retry_after_s is None else math.ceil(retry_after_s)
        error = UpstreamOverloaded(f"{provider} is overloaded{_quote(said)}; retry in {told} s.", retry_after_s=told)
        return Fault(error=error, verdict=Verdict.RETRY, wait_s=retry_after_s)
    error = UpstreamFailed(f"{provider} answered with status {status}{_quote(said)}.", code="upstream_error")
    if status == 409 or 500 <= status <= 599:
        return Fault(error=error, verdict=Verdict.RETRY)
    return Fault(error=error, verdict=Verdict.GIVE_UP if 400 <= status <= 499 else Verdict.NEXT_TARGET)


def _refused(complaint: Complaint, provider: str, said: str, clean: Callable[[str], str]) -> Fault:
    code = complaint.code or ""
    lower = (complaint.message or "").lower()
    param = complaint.param if complaint.param and _PATH.fullmatch(complaint.param) else None
    # A key or a host can have the looks of a field or a code.
    param = param if param and clean(param) == param else None
    message = said or f"{provider} refused the request without saying why."
    error: GatewayError
    if _KEY_REFUSED.search(lower):
        return _auth_refused(provider)
    if code in _CONTEXT_CODES or complaint.type in _CONTEXT_CODES or any(text in lower for text in _CONTEXT_TEXTS):
        error = ContextLengthExceeded(message, param=param)
    elif code.lower() in _POLICY_CODES:
        error = ContentPolicy(message, param=param)
    else:
        error = InvalidRequest(message, param=param, code=code if _is_code(code) and clean(code) == code else None)
    return Fault(error=error, verdict=Verdict.GIVE_UP)


def _is_code(code: str) -> bool:
    return _WORD.fullmatch(code) is not None and not code.isdigit()


def _auth_refused(provider: str) -> Fault:
    error = UpstreamFailed(
        f"{provider} refused the key of this server; whoever runs the server has to check it.",
        code="upstream_auth_error",
    )
    return Fault(error=error, verdict=Verdict.NEXT_TARGET)


def _not_found(complaint: Complaint, provider: str, said: str) -> Fault:
    error: GatewayError
    if complaint.in_json:
        error = NotFound(said or f"{provider} does not know this model.", param="model", code="model_not_found")
    else:
        error = UpstreamFailed(f"{provider} has nothing at the configured address.", code="upstream_error")
    return Fault(error=error, verdict=Verdict.NEXT_TARGET)


def _is_quota(complaint: Complaint) -> bool:
    if complaint.code in _QUOTA_CODES or complaint.type in _QUOTA_CODES:
        return True
    # Anthropic says it in words, with 400.
    return "credit balance is too low" in (complaint.message or "").lower()


def _quote(said: str) -> str:
    return f": {said.rstrip('.')}" if said else ""
