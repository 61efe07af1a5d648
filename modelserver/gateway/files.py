"""Whether files have changed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

Fingerprint = tuple[tuple[int, int, int, int] | None, ...]


def fingerprint(paths: Sequence[Path]) -> Fingerprint:
    """What differs when one of the files was written, replaced, made, removed, or made readable."""
    return tuple(map(_of_one, paths))


def _of_one(path: Path) -> tuple[int, int, int, int] | None:
    try:
        state = os.stat(path)
    except OSError:
        return None
    return state.st_mtime_ns, state.st_size, state.st_ino, state.st_ctime_ns
