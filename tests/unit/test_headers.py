from __future__ import annotations

from datetime import UTC, datetime

import pytest

from modelserver.wire.headers import is_sane_id, retry_after_ms_s, retry_after_s

NOW = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)

IDS = [
    pytest.param("req_1", True, id="what clients send"),
    pytest.param("0a1b-2c:3d.4e=/+", True, id="every sign that may stand in one"),
    pytest.param("x" * 128, True, id="the longest"),
    pytest.param("x" * 129, False, id="too long"),
    pytest.param("", False, id="empty"),
    pytest.param("a b", False, id="a space"),
    pytest.param("a\n", False, id="a line end"),
    pytest.param("a\r\nset-cookie: b", False, id="a second header"),
    pytest.param("é", False, id="beyond ASCII"),
    pytest.param("<script>", False, id="markup"),
]


@pytest.mark.parametrize(("value", "expected"), IDS)
def test_a_request_id_is_sane_or_not(value: str, expected: bool) -> None:
    assert expected is is_sane_id(value)


AFTER = [
    pytest.param(None, None, id="absent"),
    pytest.param("", None, id="empty"),
    pytest.param("7", 7.0, id="seconds"),
    pytest.param(" 7 ", 7.0, id="seconds with spaces"),
    pytest.param("0", 0.0, id="at once"),
    pytest.param("1.5", 1.5, id="a fraction"),
    pytest.param("86400", 86400.0, id="a day"),
    pytest.param("86401", None, id="more than a day"),
    pytest.param("999999999999", None, id="absurd"),
    pytest.param("-1", None, id="negative"),
    pytest.param("1e3", None, id="scientific"),
    pytest.param("nan", None, id="no number"),
    pytest.param("inf", None, id="infinite"),
    pytest.param("٣", None, id="digits of another script"),
    pytest.param("soon", None, id="a word"),
    pytest.param("Mon, 23 Nov 2026 12:00:30 GMT", 30.0, id="a date"),
    pytest.param("Mon, 23 Nov 2026 13:00:30 +0100", 30.0, id="a date of another zone"),
    pytest.param("Mon, 23 Nov 2026 12:00:30 -0000", 30.0, id="a date without a zone"),
    pytest.param("Mon, 23 Nov 2026 11:59:30 GMT", 0.0, id="a date that has passed"),
    pytest.param("Wed, 25 Nov 2026 12:00:00 GMT", None, id="a date too far off"),
    pytest.param("Mon, 99 Nov 2026 12:00:30 GMT", None, id="no such date"),
    pytest.param("Mon, 23 Nov 2026 12:00:30 +9999", None, id="no such zone"),
]


@pytest.mark.parametrize(("value", "expected"), AFTER)
def test_retry_after_is_read(value: str | None, expected: float | None) -> None:
    assert expected == retry_after_s(value, now=NOW)


AFTER_MS = [
    pytest.param(None, None, id="absent"),
    pytest.param("1500", 1.5, id="milliseconds"),
    pytest.param(" 20.5 ", 0.0205, id="a fraction with spaces"),
    pytest.param("0", 0.0, id="at once"),
    pytest.param("86400000", 86400.0, id="a day"),
    pytest.param("86400001", None, id="more than a day"),
    pytest.param("-1", None, id="negative"),
    pytest.param("Mon, 23 Nov 2026 12:00:30 GMT", None, id="a date"),
    pytest.param("x", None, id="a word"),
]


@pytest.mark.parametrize(("value", "expected"), AFTER_MS)
def test_retry_after_ms_is_read(value: str | None, expected: float | None) -> None:
    assert expected == retry_after_ms_s(value)
