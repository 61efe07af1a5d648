"""No secret and no host leaves, whatever text a provider puts around it."""

from __future__ import annotations

import pytest

from modelserver.policy.redaction import MAX_MESSAGE_CHARS, Redactor

SECRET = "canary+/Zm9vYmFy=="
LONGER = f"{SECRET}-and-more"
HOST = "api.upstream.example"
REDACTOR = Redactor([SECRET, LONGER, "tiny", ""], [HOST, f"{HOST}:8443", "ai", "10.0.0.5", ""])

CLEANED = [
    pytest.param("nothing to hide", "nothing to hide", id="a plain text"),
    pytest.param("", "", id="an empty text"),
    pytest.param(f"key {SECRET}, twice {SECRET}", "key [redacted], twice [redacted]", id="a known secret"),
    pytest.param(f"x{SECRET}x", "x[redacted]x", id="a known secret within a word"),
    pytest.param(f"key {LONGER}", "key [redacted]", id="a secret that contains another"),
    pytest.param("tiny", "tiny", id="what is too short for a secret"),
    pytest.param(f"to https://{HOST}/v1", "to https://[redacted]/v1", id="a host in a URL"),
    pytest.param(f"{HOST.upper()} is down", "[redacted] is down", id="a host in capitals"),
    pytest.param(f"{HOST}:8443 and {HOST}:80", "[redacted] and [redacted]:80", id="a host and its port"),
    pytest.param("10.0.0.5:99", "[redacted]:99", id="an address"),
    pytest.param("ai is available again", "[redacted] is available again", id="a short host is no part of a word"),
    pytest.param("open-ai, ai-lab", "open-ai, ai-lab", id="a short host is no part of a name"),
    pytest.param("sk-proj-abc_DEF123", "[redacted]", id="OpenAI's keys"),
    pytest.param("given: sk-ms-0123456789abcdef.", "given: [redacted]", id="our own keys"),
    pytest.param("sk-ant-api03-AAAAbbbb", "[redacted]", id="Anthropic's keys"),
    pytest.param("(sk-ab**********yz)", "([redacted])", id="a key half hidden"),
    pytest.param("AIzaSyA-1234567890", "[redacted]", id="Google's keys"),
    pytest.param("ya29.a0AfH6SMBxxx", "[redacted]", id="Google's tokens"),
    pytest.param("eyJhbGciOiJIUzI1NiJ9.eyJzdWIi.x", "[redacted]", id="a JWT"),
    pytest.param(
        "gsk_abcdefgh1 xai-abcdefgh1 hf_abcdefgh1 csk-abcdefgh1 pplx-abcdefgh1 "
        "nvapi-abcdefgh1 r8_abcdefgh1 tgp_v1_abcdef",
        " ".join(["[redacted]"] * 8),
        id="keys of other vendors",
    ),
    pytest.param(
        "skateboarding skyscrapers hfsomething", "skateboarding skyscrapers hfsomething", id="words like keys"
    ),
    pytest.param("task-management-12 risk-assessment", "task-management-12 risk-assessment", id="words with a hyphen"),
    pytest.param("Authorization: Bearer abc.def", "Authorization: [redacted]", id="a bearer value"),
    pytest.param('"BEARER  abc",', '"[redacted]",', id="a bearer value in quotes"),
    pytest.param("GET /v1?key=abc&alt=sse", "GET /v1?[redacted]&alt=sse", id="a key in a query"),
    pytest.param("api_key=abc api-key=def", "[redacted] [redacted]", id="a key as a setting"),
    pytest.param("?access_token=abc", "?[redacted]", id="a token in a query"),
    pytest.param("http://user:pass@proxy/x", "http://[redacted]@proxy/x", id="a user in a URL"),
    pytest.param("a\r\nb\x00c\x1b[31md\x7fe", "a b c [31md e", id="control characters"),
    pytest.param("a\u2028b\u2029c\x85d\x0be\x9bf", "a b c d e f", id="other line ends"),
    pytest.param("a\ud83d b", "a  b", id="half of an emoji"),
    pytest.param("é 中 🙂", "é 中 🙂", id="text beyond ASCII stays"),
    pytest.param(" \n a \n ", "a", id="space around"),
]


@pytest.mark.parametrize(("text", "expected"), CLEANED)
def test_a_text_is_cleaned(text: str, expected: str) -> None:
    assert expected == REDACTOR.clean(text)


CUT = [
    pytest.param("x" * 500, "x" * 500, id="at the limit"),
    pytest.param("x" * 501, "x" * 499 + "…", id="one over the limit"),
    pytest.param("x" * 100_000, "x" * 499 + "…", id="far over the limit"),
    pytest.param(f"{SECRET} " * 100, ("[redacted] " * 100)[:499] + "…", id="cut after the secrets are out"),
]


@pytest.mark.parametrize(("text", "expected"), CUT)
def test_a_long_text_is_cut(text: str, expected: str) -> None:
    assert expected == REDACTOR.clean(text)


def test_the_limit_is_the_callers() -> None:
    assert REDACTOR.clean("abcdef", limit=4) == "abc…"


@pytest.mark.parametrize("shift", range(0, 130, 3))
def test_a_secret_at_the_place_of_the_cut_does_not_show(shift: int) -> None:
    """Secrets shrink to a mark, so that the end of what is looked at may move into what is shown."""
    secret = "q" * 100

    cleaned = Redactor([secret]).clean("." * shift + secret * 40)

    assert "q" not in cleaned


@pytest.mark.parametrize("shift", range(0, 60, 3))
def test_a_credential_at_the_place_of_the_cut_does_not_show(shift: int) -> None:
    cleaned = Redactor().clean("." * shift + f" sk-{'q' * 400}" * 10)

    assert "q" not in cleaned


def test_the_whole_cleaned_text_can_be_written() -> None:
    text = "".join(map(chr, (*range(0x300), *range(0xD800, 0xD810), 0x2028, 0xFFFF, 0x1F642)))

    cleaned = Redactor().clean(text, limit=10_000)

    assert cleaned.encode().decode().splitlines() == [cleaned]


def test_nothing_known_is_nothing_hidden() -> None:
    assert Redactor().clean(f"{SECRET} {HOST}", limit=MAX_MESSAGE_CHARS) == f"{SECRET} {HOST}"
