"""The bench reads and checks answers as it says, and runs; no test looks at a time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .gateway import ROOT
from .report import as_json, read_figures, table
from .rows import is_answer
from .wire import CHUNKS, EVENTS, JSON_ANSWER, JSON_BYTES, Answer, AnswerReader, WrongAnswer, dechunk

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
ANSWERS = [
    pytest.param(OK + b"Content-Length: 2\r\n\r\n{}", 200, b"{}", id="a length"),
    pytest.param(OK + b"Content-Length: 0\r\n\r\n", 200, b"", id="an empty body"),
    pytest.param(CHUNKED + b"2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", 200, b"abc", id="chunks"),
    pytest.param(CHUNKED + b"0\r\n\r\n", 200, b"", id="no chunk but the last"),
    pytest.param(b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", 304, b"", id="a 304 has no body"),
    pytest.param(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", 304, b"", id="a 304 with a length"),
]


@pytest.mark.parametrize("step", [1, 7, 1000], ids=["byte by byte", "in sevens", "whole"])
@pytest.mark.parametrize(("wire", "status", "body"), ANSWERS)
def test_an_answer_is_read_however_it_arrives(wire: bytes, status: int, body: bytes, step: int) -> None:
    reader = AnswerReader()

    *early, last = [reader.feed(wire[i : i + step]) for i in range(0, len(wire), step)]

    assert not any(early)
    assert last is not None
    assert (last.status, last.body) == (status, body)


def test_a_connection_carries_one_answer_after_the_other() -> None:
    reader = AnswerReader()
    reader.feed(OK + b"Content-Length: 5\r\n\r\nfirst")

    second = reader.feed(CHUNKED + b"6\r\nsecond\r\n0\r\n\r\n")

    assert second is not None
    assert second.body == b"second"


@pytest.mark.parametrize(
    "wire",
    [
        pytest.param(OK + b"Server: x\r\n\r\n", id="neither a length nor chunks"),
        pytest.param(OK + b"Content-Length: 2\r\n\r\n{}x", id="more than its length"),
        pytest.param(CHUNKED + b"2\r\nabc\r\n0\r\n\r\n", id="a chunk longer than its size"),
        pytest.param(CHUNKED + b"2\r\nab\r\nx\r\n0\r\n\r\n", id="a size that is no number"),
        pytest.param(CHUNKED + b"0\r\n\r\n0\r\n\r\n", id="bytes after the end"),
    ],
)
def test_an_answer_with_bad_framing_is_wrong(wire: bytes) -> None:
    with pytest.raises(WrongAnswer):
        AnswerReader().feed(wire)


HEAD = b"http/1.1 200 ok\r\ncontent-type: application/json"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(Answer(200, HEAD, JSON_ANSWER[:-1] + b"]"), id="one byte differs"),
        pytest.param(Answer(200, HEAD, JSON_ANSWER[:-1]), id="one byte is missing"),
        pytest.param(Answer(200, HEAD, JSON_ANSWER + b"\n"), id="one byte too many"),
        pytest.param(Answer(201, HEAD, JSON_ANSWER), id="another status"),
        pytest.param(Answer(200, HEAD.replace(b"json", b"xml"), JSON_ANSWER), id="another type"),
    ],
)
def test_an_answer_that_differs_at_all_is_wrong(answer: Answer) -> None:
    with pytest.raises(WrongAnswer):
        is_answer(b"application/json", JSON_ANSWER)(answer)


def test_the_right_answer_passes() -> None:
    is_answer(b"application/json", JSON_ANSWER)(Answer(200, HEAD, JSON_ANSWER))


def test_the_answers_have_the_sizes_that_the_figures_are_about() -> None:
    sizes = (len(JSON_ANSWER), len(EVENTS), b"".join(EVENTS).count(b'"usage":{'))

    assert sizes == (JSON_BYTES, CHUNKS, 1)


def test_chunks_of_any_size_come_together() -> None:
    assert dechunk(b"0A\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n") == b"0123456789x"


def test_a_figure_is_the_median_of_its_rounds(tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    file.write_bytes(as_json({"json": [90.0, 10.0, 20.0]}, {}))

    assert read_figures(file) == {"json": 20.0}


def test_the_table_shows_bars_and_ratios() -> None:
    shown = table({"json": [100.0]}, {"json": 50.0})

    assert shown.splitlines()[1].split("  ")[-1] == "2.00"
    assert "<= 200 ok" in shown
    assert "<= 65 NO" in shown


@pytest.mark.parametrize("content", ["[]", "{}", '{"figures": {"json": 1}}', "not json"])
def test_a_file_without_figures_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "run.json"
    file.write_text(content)

    with pytest.raises(ValueError, match=r"."):
        read_figures(file)


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.bench", "--rounds", "1", "--scale", "0.01", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.bench
def test_a_tiny_run_measures_every_row(tmp_path: Path) -> None:
    file = tmp_path / "run.json"

    done = bench("--json", str(file))

    assert (done.stderr, done.returncode) == ("", 0)
    assert {"json", "paced", "burst", "added_p50", "idle", "stream", "start", "import", "refused"} <= read_figures(
        file
    ).keys()


LIAR = """
import asyncio, sys
async def answer(reader, writer):
    while await reader.read(65536):
        writer.write({wire!r})
async def main():
    await (await asyncio.start_server(answer, "127.0.0.1", int(sys.argv[1]))).serve_forever()
asyncio.run(main())
"""


@pytest.mark.bench
def test_a_wrong_byte_fails_the_run(tmp_path: Path) -> None:
    body = JSON_ANSWER.replace(b"figures", b"fingers")
    liar = tmp_path / "liar.py"
    liar.write_text(LIAR.format(wire=OK + b"content-type: application/json\r\ncontent-length: 600\r\n\r\n" + body))

    done = bench("--only", "json", "--server-cmd", f"{sys.executable} {liar} {{port}}")

    assert done.returncode == 1
    assert "Wrong from byte" in done.stderr


@pytest.mark.bench
@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(["--only", "nothing"], id="a row that there is not"),
        pytest.param(["--rounds", "0"], id="no round"),
        pytest.param(["--compare", "no-such-file.json"], id="nothing to compare with"),
    ],
)
def test_a_wrong_call_is_refused(arguments: list[str]) -> None:
    assert bench(*arguments).returncode == 2


def test_the_json_says_what_it_ran_on() -> None:
    about = json.loads(as_json({"json": [1.0]}, {"rounds": 1}))["about"]

    assert {"when", "python", "aiohttp", "uvloop", "kernel", "rounds"} <= about.keys()
