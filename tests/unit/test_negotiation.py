"""What a client prefers, as its headers say."""

from __future__ import annotations

import pytest

from modelserver.web.negotiation import preferred_language, takes_gzip

LANGUAGES = [
    ("", "en"),
    ("*", "en"),
    ("zh", "zh"),
    ("zh-CN,zh;q=0.9,en;q=0.8", "zh"),
    ("ZH-hant-TW", "zh"),
    ("en-US,en;q=0.9,zh-CN;q=0.8", "en"),
    ("de,fr;q=0.9,zh;q=0.5,en;q=0.4", "zh"),
    ("en;q=0.3,zh;q=0.7", "zh"),
    ("zh;q=0,en;q=0.1", "en"),
    ("zh;q=0", "en"),
    ("zho", "en"),
    ("en,zh", "en"),
    ("zh,en", "zh"),
    ("zh;q=9,en;q=0.1", "en"),
    ("zh;q=nan,en;q=0.1", "en"),
    (",;q=1,;;,zh ; q=1.000", "zh"),
]


@pytest.mark.parametrize(("header", "expected"), LANGUAGES)
def test_the_language_that_ranks_highest_of_ours(header: str, expected: str) -> None:
    assert preferred_language(header) == expected


ENCODINGS = [
    ("", False),
    ("identity", False),
    ("gzip", True),
    ("GZIP;q=0.5", True),
    ("br, gzip;q=0", False),
    ("br, *", True),
    ("*;q=0", False),
    ("*, gzip;q=0", False),
    ("gzipped", False),
    ("x-gzip", True),
]


@pytest.mark.parametrize(("header", "expected"), ENCODINGS)
def test_whether_gzip_is_taken(header: str, expected: bool) -> None:
    assert takes_gzip(header) is expected
