"""The one redactor for everything that leaves: errors to clients and lines in the log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

MAX_MESSAGE_CHARS: Final = 500
_MIN_SECRET_CHARS: Final = 6
_MARK: Final = "[redacted]"
_MARGIN_CHARS: Final = 64
"""Of a text that is cut, at least so much of the end is not shown: a credential cut in two can't be told from words."""

# Shapes of credentials: vendor prefixes, bearer values, `key=` in a URL, userinfo in a URL.
_CREDENTIAL = re.compile(
    r"\b(?:(?:sk|pk|csk|xai|pplx|nvapi)-|(?:sk|pk|rk|gsk|hf|r8|tgp)_|AIza|ya29\.|eyJ)[-_.A-Za-z0-9*]{8,}"
    r"|(?i:\bbearer\s+)[^\s\"',;]+"
    r"|(?i:\b(?:api[-_]?key|access[-_]token|key|token)=)[^\s&\"']+"
    r"|(?<=://)[^/@\s]+(?=@)"
)
# What is no part of a line of text: control characters, line ends, and surrogates, which can't be written as UTF-8.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


class Redactor:
    """Takes known secrets, hosts and everything that looks like a credential out of a text."""

    def __init__(self, secrets: Iterable[str] = (), hosts: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if len(secret) >= _MIN_SECRET_CHARS}
        # Longest first, so that a secret that contains another one goes whole.
        words = [re.escape(secret) for secret in sorted(known, key=len, reverse=True)]
        # Names of hosts have no case, and a short one (`ai`) is no part of a word.
        places = [rf"(?i:(?<![\w-]){re.escape(host)}(?![\w-]))" for host in sorted(set(hosts), key=len) if host]
        self._known = re.compile("|".join(words + places[::-1])) if words or places else None
        self._margin = max(map(len, known), default=0) + _MARGIN_CHARS

    def clean(self, text: str, *, limit: int = MAX_MESSAGE_CHARS) -> str:
        """The text on one line, without secrets, at most `limit` characters."""
        looked_at = limit * 4 + self._margin
        is_cut = len(text) > looked_at
        text = text[:looked_at]
        if self._known is not None:
            text = self._known.sub(_MARK, text)
        text = _CREDENTIAL.sub(_MARK, text)
        if is_cut:
            text = text[: -self._margin]
        text = _CONTROL.sub(" ", text).strip()
        return text if len(text) <= limit and not is_cut else text[: limit - 1] + "…"
