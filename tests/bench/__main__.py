"""`python -m tests.bench`: measure, print one table. Exit status 1 when an answer was wrong, 2 for a wrong call."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import os
import resource
import secrets
import sys
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path

from .gateway import SERVER, BenchFailed, Setting, provider, running
from .load import run
from .report import as_json, read_figures, table
from .rows import FRESH_ROWS, LOOSE_ROWS, ROWS, Bench, Measure
from .wire import WrongAnswer

_ROW_S = 90.0
"""Longest that one row may take in one round."""
_UP: Mapping[str, Measure] = {"first answer": FRESH_ROWS["start"]}
_ALL_ROWS = (*ROWS, *FRESH_ROWS, *LOOSE_ROWS)


def parse(argv: list[str] | None) -> argparse.Namespace:
    """The command line, checked."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="Measure what the gateway costs.")
    parser.add_argument("--only", metavar="ROW,…", default=",".join(_ALL_ROWS), help="of " + ", ".join(_ALL_ROWS))
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="the table shows the median (3)")
    parser.add_argument("--scale", type=float, default=1.0, metavar="X", help="of the usual load (1.0)")
    parser.add_argument("--models", type=int, default=50, metavar="N", help="in the catalogue (50)")
    parser.add_argument("--keys", type=int, default=1, metavar="N", help="in keys.toml (1)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there too")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="a --json of before: show ratios")
    parser.add_argument(
        "--server-cmd",
        default=SERVER,
        metavar="CMD",
        help="another gateway; {config}, {port} and {upstream} are filled in",
    )
    options = parser.parse_args(argv)
    options.only = [row for row in options.only.split(",") if row]
    unknown = set(options.only) - set(_ALL_ROWS)
    if unknown or not options.only:
        parser.error(f"--only takes rows out of {', '.join(_ALL_ROWS)}; not {', '.join(sorted(unknown)) or 'none'}")
    if options.rounds < 1 or options.models < 1 or options.keys < 1 or not 0 < options.scale <= 100:
        parser.error("--rounds, --models and --keys start at 1; --scale is above 0 and at most 100")
    try:
        options.compare = read_figures(options.compare) if options.compare else None
    except (OSError, ValueError) as error:
        parser.error(f"--compare: {error}")
    return options


def cores() -> tuple[int | None, int | None]:
    """One core for the gateway and one for upstream and load; twice None where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return (allowed[0], allowed[1]) if len(allowed) > 1 else (None, None)


def allow_connections() -> None:
    """Lift the limit of open files, for us and what we start, as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def measure(options: argparse.Namespace, setting: Setting) -> dict[str, list[float]]:
    """All figures of the rows that are asked for, in the order of the table."""
    found: dict[str, list[float]] = {}
    only: Collection[str] = options.only
    # This gateway serves the common rows. Its start pays for compiling and for a cold disk, and is not counted.
    async with running(setting) as gateway:
        bench = Bench(setting=setting, gateway=gateway, scale=options.scale)
        await take(bench, _UP, _UP, {})
        for number in range(options.rounds):
            show(f"round {number + 1} of {options.rounds}")
            await take(bench, ROWS, only, found)
            await take(bench, LOOSE_ROWS, only, found)
            if any(row in only for row in FRESH_ROWS):
                async with running(setting) as fresh:
                    await take_fresh(Bench(setting=setting, gateway=fresh, scale=options.scale), only, found)
    return found


async def take_fresh(bench: Bench, only: Collection[str], found: dict[str, list[float]]) -> None:
    """Take the rows that want a gateway of their own; it has to be up first, whoever asks."""
    await take(bench, _UP, _UP, found if "start" in only else {})
    await take(bench, {row: FRESH_ROWS[row] for row in FRESH_ROWS if row != "start"}, only, found)


async def take(bench: Bench, rows: Mapping[str, Measure], only: Collection[str], found: dict[str, list[float]]) -> None:
    """Take each of `rows` that is asked for, and add its figures."""
    for row, measure_row in rows.items():
        if row in only:
            show(row)
            try:
                async with asyncio.timeout(_ROW_S):
                    figures = await measure_row(bench)
            except BenchFailed:
                raise
            except Exception as error:
                words = bench.gateway.last_words()
                raise BenchFailed(f"Row {row}: {reason(error)}\nThe gateway's last words:\n{words}") from error
            for name, figure in figures.items():
                found.setdefault(name, []).append(figure)


def reason(error: Exception) -> str:
    """What went wrong, in one line; of several things that failed together, the first."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"not done within {_ROW_S:g} s."
    return str(error) if isinstance(error, WrongAnswer) else f"{type(error).__name__}: {error}"


def show(what: str) -> None:
    """Say on a terminal what is being done, in a line that the next one overwrites."""
    if sys.stderr.isatty():
        print(f"\r\033[K{what}", end="", file=sys.stderr, flush=True)


async def bench(options: argparse.Namespace) -> int:
    """Start everything, measure, report, clean up; the exit status."""
    gateway_core, load_core = cores()
    if load_core is None:
        print("Only one core: the gateway shares it with the load. Compare CPU figures only.", file=sys.stderr)
    else:
        os.sched_setaffinity(0, {load_core})
    key = secrets.token_hex(24)
    try:
        with tempfile.TemporaryDirectory(prefix="modelserver-bench-") as directory:
            async with provider(key) as port:
                setting = Setting(
                    command=options.server_cmd,
                    models=options.models,
                    keys=options.keys,
                    directory=Path(directory),
                    gateway_core=gateway_core,
                    load_core=load_core,
                    upstream_port=port,
                    upstream_key=key,
                )
                found = await measure(options, setting)
    except BenchFailed as failure:
        show("")
        print(f"The bench failed. {failure}", file=sys.stderr)
        return 1
    show("")
    print(table(found, options.compare))
    if options.json:
        about = {name: getattr(options, name) for name in ("rounds", "scale", "models", "keys", "server_cmd")}
        options.json.write_bytes(as_json(found, {**about, "pinned": load_core is not None}))
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the bench; the exit status."""
    options = parse(argv)
    if sys.platform != "linux":
        print("The bench reads /proc and pins processes to cores: it runs on Linux only.", file=sys.stderr)
        return 2
    allow_connections()
    gc.freeze()
    return run(bench(options))


if __name__ == "__main__":
    sys.exit(main())
