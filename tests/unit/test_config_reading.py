"""Durations, sizes, lines and the layout of an error."""

from __future__ import annotations

import pytest

from modelserver.config import ConfigError, Problem, Secret, locate, parse_duration, parse_size
from modelserver.config.environment import parse_env


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("10s", 10.0, id="seconds"),
        pytest.param("1.5s", 1.5, id="fraction"),
        pytest.param("250ms", 0.25, id="milliseconds"),
        pytest.param("15m", 900.0, id="minutes"),
        pytest.param("2h", 7200.0, id="hours"),
        pytest.param("1d", 86_400.0, id="a day"),
        pytest.param("0s", 0.0, id="nothing"),
    ],
)
def test_a_duration_is_read_in_seconds(text: str, expected: float) -> None:
    assert parse_duration(text) == expected


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-1s", "1 s", " 1s", "1s\n", "1.s", ".5s", "1S", "1e3s", "1m30s", "٣s", "1w", "400d"]
)
def test_a_duration_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a duration like|is more than 366d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("512KB", 512_000, id="powers of 1000"),
        pytest.param("32MB", 32_000_000, id="megabytes"),
        pytest.param("1GB", 10**9, id="gigabytes"),
        pytest.param("1KiB", 1024, id="powers of 1024"),
        pytest.param("1MiB", 1_048_576, id="mebibytes"),
        pytest.param("2GiB", 2_147_483_648, id="gibibytes"),
        pytest.param("7B", 7, id="bytes"),
        pytest.param("1.5KiB", 1536, id="a fraction that is whole bytes"),
    ],
)
def test_a_size_is_read_in_bytes(text: str, expected: int) -> None:
    assert parse_size(text) == expected


@pytest.mark.parametrize("text", ["", "32", "MB", "-1MB", "1 MB", "1mb", "1TB", "1.0001KB", "1e3B"])
def test_a_size_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not a size like|is not a whole number"):
        parse_size(text)


DOCUMENT = '''\
# [commented]
title = "a # b"
[server]
listen = "x"

[[models]]
model_id = "a"
text = """
[models]
fake = 1 \\""" ""
"""
[models.pricing]
input = 1.25
[[models]]
model_id = "b"
pricing = { input = 1, "out put" = 2 }
tags = [
  "x",  # ]
  'y',
  { deep = [1,
    2] },
]
a.b . "c.d" = 1979-05-27 07:32:00
[providers."my home"]
speaks = ["chat"]
last = \'\'\'\' quoted\'\'\'
'''


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param("title", 2, id="top-level key"),
        pytest.param("server", 3, id="table"),
        pytest.param("server.listen", 4, id="key in a table"),
        pytest.param("models[0].model_id", 7, id="key in the first table of an array"),
        pytest.param("models[0].text", 8, id="start of a text of several lines"),
        pytest.param("models[0].fake", 6, id="what a text only quotes is not there"),
        pytest.param("models[0].pricing.input", 13, id="table below a table of an array"),
        pytest.param("models[1]", 14, id="second table of an array"),
        pytest.param('models[1].pricing."out put"', 16, id="quoted key in an inline table"),
        pytest.param("models[1].tags[1]", 19, id="item of a list on its own line"),
        pytest.param("models[1].tags[2].deep[1]", 21, id="item of a nested list"),
        pytest.param('models[1].a.b."c.d"', 23, id="dotted key"),
        pytest.param('providers."my home".speaks[0]', 25, id="quoted table name"),
        pytest.param('providers."my home".last', 26, id="quotes at the end of a literal"),
        pytest.param("models[1].route", 14, id="an absent key is found at its table"),
        pytest.param("nothing.at.all", None, id="an unknown path is nowhere"),
        pytest.param("", None, id="the file as a whole has no line"),
    ],
)
def test_a_path_is_located(path: str, expected: int | None) -> None:
    assert locate(DOCUMENT, path) == expected


@pytest.mark.parametrize("text", ["]", "= =", "[", "[[a", "a = [", 'a = "', "a = {", "}{", "a = [}", "'''", "\0"])
def test_locating_in_a_broken_text_ends(text: str) -> None:
    assert locate(text, "b") is None


def test_an_error_lists_its_problems_by_file() -> None:
    error = ConfigError(
        [
            Problem(file="models.toml", path="providers.a", message="unknown key x", line=3),
            Problem(file="models.toml", path="", message="there is no such file"),
            Problem(file="keys.toml", path="keys[0].hash", message="is bad"),
        ]
    )

    assert str(error) == (
        "models.toml:\n  providers.a: unknown key x (line 3)\n  there is no such file\n"
        "keys.toml:\n  keys[0].hash: is bad"
    )


def test_a_secret_does_not_print() -> None:
    assert "abc" not in f"{Secret('abc')} {Secret('abc')!r}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("A=1", {"A": "1"}, id="plain"),
        pytest.param("export A=1", {"A": "1"}, id="export"),
        pytest.param("A = 1 ", {"A": "1"}, id="blanks around"),
        pytest.param("A=1 # one", {"A": "1"}, id="comment after a value"),
        pytest.param("A=a#b", {"A": "a#b"}, id="a number sign in a value"),
        pytest.param("# A=1\n\nB=2", {"B": "2"}, id="comment line"),
        pytest.param('A="a # b\\n\\"c"', {"A": 'a # b\n"c'}, id="double quotes"),
        pytest.param("A='a\\n$B' # c", {"A": "a\\n$B"}, id="single quotes"),
        pytest.param("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}, id="Windows line ends"),
        pytest.param("A=1\nA=2", {"A": "2"}, id="the last one wins"),
        pytest.param("A=", {"A": ""}, id="empty"),
        pytest.param("A=# none", {"A": ""}, id="empty with a comment"),
    ],
)
def test_an_env_file_is_read(text: str, expected: dict[str, str]) -> None:
    assert parse_env(text) == (expected, ())


@pytest.mark.parametrize("line", ["A", "1A=2", "A-B=2", 'A="open', "A='open", 'A="a" b'])
def test_a_line_that_is_no_variable_is_numbered(line: str) -> None:
    assert parse_env(f"X=1\n{line}\nY=2") == ({"X": "1", "Y": "2"}, (2,))
