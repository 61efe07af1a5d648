"""The log of a serving process, line by line."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from modelserver.web import output
from modelserver.web.logs import LOGGER, Notices, logging_to
from modelserver.web.output import Output, never_waiting


def written(style: str, *actions: Callable[[], None]) -> str:
    stream = io.StringIO()
    with logging_to(stream, style):
        for action in actions:
            action()
    return stream.getvalue()


def test_a_json_line_holds_time_level_message_and_fields() -> None:
    line = json.loads(written("json", lambda: LOGGER.info("hello %s", "you", extra={"fields": {"models": 3}})))

    assert {key: line[key] for key in ("level", "message", "models")} == {
        "level": "info",
        "message": "hello you",
        "models": 3,
    }
    assert line["time"].endswith("Z")


HOSTILE = [
    pytest.param("a\n12:00:00 INFO forged", id="line break"),
    pytest.param("a\x1b[2Jb", id="escape sequence"),
    pytest.param("a\u2028b", id="line separator"),
]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("style", ["text", "json"])
def test_a_message_can_not_forge_lines_or_control_a_terminal(style: str, text: str) -> None:
    output = written(style, lambda: LOGGER.warning("%s", text))

    assert output.count("\n") == 1
    assert "\x1b" not in output


def test_what_is_left_to_libraries_is_written_from_warnings_on() -> None:
    library = logging.getLogger("aiohttp.server")
    output = written("text", lambda: library.info("chatter"), lambda: library.warning("trouble"))

    assert output.endswith("WARNING trouble\n")
    assert "chatter" not in output


def test_after_the_block_nothing_is_written_there() -> None:
    stream = io.StringIO()
    with logging_to(stream, "text"):
        pass
    LOGGER.warning("later")

    assert stream.getvalue() == ""


def test_a_subject_is_written_once_in_its_time_and_counted_otherwise() -> None:
    now_s = 0.0
    notices = Notices(every_s=10.0, now_s=lambda: now_s)

    def at(moment_s: float) -> None:
        nonlocal now_s
        now_s = moment_s
        notices.say("Trouble", f"at {moment_s:g}")

    output = written("text", *[lambda moment_s=moment_s: at(moment_s) for moment_s in (0, 1, 9, 10, 11, 20)])

    assert [line.split(" ", 2)[2] for line in output.splitlines()] == [
        "Trouble: at 0",
        "Trouble: at 10 (2 more since the last such line)",
        "Trouble: at 20 (1 more since the last such line)",
    ]


def test_subjects_do_not_silence_each_other() -> None:
    notices = Notices()
    output = written("text", lambda: notices.say("One"), lambda: notices.say("Two"))

    assert output.count("\n") == 2


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """The ends of a pipe to read and to write."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_lines_into_a_pipe_come_out_of_it(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    with os.fdopen(writer, "w", closefd=False) as stream, never_waiting(stream) as lines:
        lines.write("one\n")
        lines.write("two\n")

    assert os.read(reader, 100) == b"one\ntwo\n"


def test_a_pipe_that_nobody_reads_holds_up_nobody_and_what_is_lost_is_said(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = pipe
    monkeypatch.setattr(output, "MAX_WAITING_CHARS", 1_000_000)
    lines = Output(writer)
    for _ in range(30):
        lines.write("x" * 99_999 + "\n")
    taken = 0
    while taken < 1_000_000:
        taken += len(os.read(reader, 1 << 20))
    lines.close()
    lines.write("again\n")

    assert "20 log lines were lost" in caplog.text


def test_the_end_waits_for_a_pipe_that_nobody_reads_only_so_long(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = pipe
    monkeypatch.setattr(output, "CLOSING_S", 0.01)
    lines = Output(writer)
    lines.write("x" * 1_000_000)
    lines.close()

    assert lines._thread.is_alive()
    read = 0
    while read < 1_000_000:  # and not further: nothing more comes, and the writer is never closed
        read += len(os.read(reader, 1 << 20))
    lines._thread.join(10)
    assert not lines._thread.is_alive()


@pytest.mark.parametrize("is_file", [True, False], ids=["a file", "memory"])
def test_what_never_waits_is_written_to_directly(is_file: bool, tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") if is_file else io.StringIO() as stream, never_waiting(stream) as lines:
        assert lines is stream
