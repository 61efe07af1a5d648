"""What a client prefers: the headers `Accept-Language` and `Accept-Encoding`."""

from __future__ import annotations

import re
from typing import Final

from modelserver.web.pages.text import LANGUAGES, Language

_QUALITY: Final = re.compile(r"\s*q\s*=\s*([01](?:\.[0-9]{0,3})?)\s*", re.IGNORECASE)


def preferred_language(header: str) -> Language:
    """The one of ours that an `Accept-Language` ranks highest, the first of equals; English where it names none."""
    best: Language = "en"
    best_weight = 0.0
    for name, weight in weights(header):
        for language in LANGUAGES:
            if name.partition("-")[0] == language and weight > best_weight:
                best, best_weight = language, weight
    return best


def takes_gzip(header: str) -> bool:
    """Whether an `Accept-Encoding` allows gzip, by its name or by `*`."""
    given = dict(weights(header))
    return given.get("gzip", given.get("x-gzip", given.get("*", 0.0))) > 0


def weights(header: str) -> list[tuple[str, float]]:
    """The names of an `Accept-…` header in lower case, with their weights from 0 to 1; what is no weight is 0."""
    found: list[tuple[str, float]] = []
    for item in header.split(","):
        name, _, rest = item.partition(";")
        quality = _QUALITY.fullmatch(rest)
        weight = (min(1.0, float(quality[1])) if quality else 0.0) if rest.strip() else 1.0
        if name.strip():
            found.append((name.strip().lower(), weight))
    return found
