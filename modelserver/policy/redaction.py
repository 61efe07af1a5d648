"""The one redactor for everything that leaves: errors to clients and lines in the log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MAX_MESSAGE_CHARS: Final = 500
_MIN_SECRET_CHARS: Final = 6
_MARK: Final = "[redacted]"

# Shapes of credentials: vendor prefixes, bearer values, `key=` in a URL, userinfo in a URL.
_CREDENTIAL = re.compile(
    r"\b(?:sk|pk|rk|gsk|xai|csk|pplx|nvapi|hf|r8|tgp|AIza|ya29|eyJ)[-_.A-Za-z0-9*]{8,}"
    r"|(?i:\bbearer\s+)[^\s\"',;]+"
    r"|(?i:\b(?:api[-_]?key|access[-_]token|key|token)=)[^\s&\"']+"
    r"|(?<=://)[^/@\s]+(?=@)"
)
_CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")


class Redactor:
    """Takes known secrets, hosts and everything that looks like a credential out of a text."""

    def __init__(self, secrets: Iterable[str] = (), hosts: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= _MIN_SECRET_CHARS} | {host for host in hosts if host}
        # Longest first, so that a secret that contains another one goes whole.
        words = sorted(map(re.escape, known), key=len, reverse=True)
        self._known = re.compile("|".join(words)) if words else None

    def clean(self, text: str, *, limit: int = MAX_MESSAGE_CHARS) -> str:
        """The text on one line, without secrets, at most `limit` characters."""
        text = text[: limit * 4]
        if self._known is not None:
            text = self._known.sub(_MARK, text)
        text = _CONTROL.sub(" ", _CREDENTIAL.sub(_MARK, text)).strip()
        return text if len(text) <= limit else text[: limit - 1] + "…"
