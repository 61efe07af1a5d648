"""The figures of a run: printed as one table, kept as JSON, compared with those of another run."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .rows import BARS, Bar

Rounds = Mapping[str, Sequence[float]]
"""For every figure, its value in each round."""
_HEAD = ("", "figure", "unit", "first working gateway", "when speed is the issue", "one day", "rounds")


def table(rounds: Rounds, old: Mapping[str, float] | None = None) -> str:
    """The figures for a terminal: the median of the rounds, the bars, the least and most; with `old`, ratios."""
    head = [*_HEAD, *(["now / then"] if old is not None else []), ""]
    lines = [head]
    for name, values in rounds.items():
        bar = BARS[name]
        figure = statistics.median(values)
        cells = [bar.label, _short(figure), bar.unit, _bar(figure, bar.first), _bar(figure, bar.fast)]
        cells += [_bar(figure, bar.one_day), f"{_short(min(values))} .. {_short(max(values))}"]
        if old is not None:
            cells.append(f"{figure / old[name]:.2f}" if old.get(name) else "-")
        lines.append([*cells, bar.note])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(_place(line, widths)).rstrip() for line in lines)


def _place(line: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The label and the note to the left, everything between to the right."""
    last = len(line) - 1
    return [c.ljust(w) if i in (0, 2, last) else c.rjust(w) for i, (c, w) in enumerate(zip(line, widths, strict=True))]


def _short(figure: float) -> str:
    """Three digits that count, never an exponent."""
    return f"{figure:.0f}" if abs(figure) >= 100 else f"{figure:.1f}" if abs(figure) >= 10 else f"{figure:.2f}"


def _bar(figure: float, bar: float | None) -> str:
    if bar is None:
        return ""
    return f"<= {bar:g} {'ok' if figure <= bar else 'NO'}"


def as_json(rounds: Rounds, about: Mapping[str, Any]) -> bytes:
    """The run as JSON: what it ran on, and every figure with its rounds and its bars."""
    figures = {name: _figure(BARS[name], values) for name, values in rounds.items()}
    return json.dumps({"about": {**_machine(), **about}, "figures": figures}, indent=1).encode() + b"\n"


def _figure(bar: Bar, values: Sequence[float]) -> dict[str, Any]:
    bars = {"first": bar.first, "fast": bar.fast, "one_day": bar.one_day}
    return {"figure": statistics.median(values), "unit": bar.unit, "rounds": list(values), "bars": bars}


def _machine() -> dict[str, Any]:
    versions: dict[str, str | None] = {}
    for package in ("aiohttp", "orjson", "uvloop"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = None
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "kernel": platform.release(),
        "cores": os.cpu_count(),
        **versions,
    }


def read_figures(path: Path) -> dict[str, float]:
    """The figures of a run that `as_json` wrote.

    Raises:
        ValueError: The file is no such run.
    """
    try:
        figures = json.loads(path.read_bytes())["figures"]
        return {name: float(figure["figure"]) for name, figure in figures.items()}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} holds no figures of this bench.") from error
