"""The whole program as a process of its own, as someone who has just unpacked it starts it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import IO

import attrs

ROOT = Path(__file__).parents[2]
PATIENCE_S = 30.0

_KEY = re.compile(r"^    (sk-ms-\S+)$", re.MULTILINE)
_ADDRESS = re.compile(r"serves \d+ models? on (http://127\.0\.0\.1:\d+)")


@attrs.frozen(kw_only=True)
class Program:
    """A server that accepts connections."""

    url: str
    """Without a path."""
    key: str | None
    """The first key, where one was made."""


def copy_project(to: Path) -> Path:
    """What is needed to run it, copied into `to`: the script, `models.toml` and the package, without keys."""
    for name in ("server.py", "models.toml"):
        shutil.copy2(ROOT / name, to / name)
    shutil.copytree(ROOT / "modelserver", to / "modelserver")
    return to


@contextmanager
def running(*argv: str, home: Path, environ: Mapping[str, str] | None = None) -> Iterator[Program]:
    """Run `python ARGV` in `home` until the block ends, from when it accepts connections.

    Raises:
        AssertionError: It did not start, or did not stop with status 0 when it was told to.
    """
    with subprocess.Popen(
        [sys.executable, *argv],
        cwd=home,
        env={**os.environ, **(environ or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as process:
        assert process.stdout is not None
        try:
            said, url = _read_start(process.stdout)
            # What nobody reads would fill the pipe, and hold up the server.
            rest = Thread(target=process.stdout.read, daemon=True)
            rest.start()
            key = _KEY.search(said)
            yield Program(url=url, key=None if key is None else key[1])
            process.terminate()
            status = process.wait(PATIENCE_S)
            rest.join(PATIENCE_S)
        finally:
            process.kill()
    assert status == 0, f"The server ended with status {status}."


def run(argv: Sequence[str], *, home: Path, environ: Mapping[str, str] | None = None) -> str:
    """What `python ARGV`, run in `home`, prints on standard output; it must end with status 0."""
    done = subprocess.run(
        [sys.executable, *argv],
        cwd=home,
        env={**os.environ, **(environ or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _read_start(output: IO[str]) -> tuple[str, str]:
    """What is printed up to the line that tells the address, and the address."""
    said = ""
    for line in output:
        said += line
        if found := _ADDRESS.search(line):
            return said, found[1]
    raise AssertionError(f"The server did not start:\n{said}")
