"""A module imports its own layer and lower ones; the core never awaits, reads a clock, or logs.

Every import of the package is read with `ast`, those inside of functions and under `TYPE_CHECKING` included.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Set
from pathlib import Path

import pytest

PACKAGE = "modelserver"
ROOT = Path(__file__).parents[2] / PACKAGE

# Lowest first. The longest name that a module begins with gives its layer; siblings of one layer that are listed
# together in `APART` do not import each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("version",),
    ("errors",),
    ("ir",),
    ("wire",),
    ("dialects",),
    ("config", "catalog"),
    ("policy",),
    ("ports",),
    ("clock", "stores", "upstream"),
    ("gateway",),
    ("web",),
    ("cli", "__main__", "__init__"),
)
APART: tuple[Set[str], ...] = (
    {"clock", "stores", "upstream"},
    {"dialects.openai_chat", "dialects.openai_responses", "dialects.anthropic", "dialects.gemini"},
)
PURE = {"errors", "ir", "wire", "dialects", "config", "catalog", "policy", "ports"}
READS_FILES = {"config.load", "config.environment"}
# A path in `config.types` is a value; only what is done with one is not pure.
MAY: Mapping[str, Set[str]] = {"config.types": {"pathlib"}, **{module: {"os", "pathlib"} for module in READS_FILES}}

THIRD_PARTIES: Mapping[str, Set[str]] = {
    "version": set(),
    "errors": set(),
    "ir": {"attrs"},
    # JSON text is a wire format too.
    "wire": {"attrs", "orjson"},
    "dialects": {"attrs", "orjson"},
    "config": {"attrs", "cattrs", "tomli", "orjson"},
    "catalog": {"attrs", "cattrs", "tomli", "orjson"},
    "policy": {"attrs"},
    "ports": {"attrs"},
    "clock": {"attrs"},
    "stores": {"attrs", "orjson", "tomli"},
    "upstream": {"attrs", "orjson", "tomli", "aiohttp", "yarl"},
    "gateway": {"attrs", "orjson"},
    "web": {"attrs", "orjson", "aiohttp"},
    "cli": {"attrs", "orjson", "uvloop"},
    "__main__": set(),
    "__init__": set(),
}
IMPURE = {
    "asyncio",
    "concurrent",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "select",
    "selectors",
    "signal",
    "socket",
    "sqlite3",
    "ssl",
    "subprocess",
    "tempfile",
    "threading",
    "time",
    "uuid",
}
CLOCK_READS = {"now", "utcnow", "today"}


def units() -> dict[str, str]:
    """Every module of the package, by its name without the package's, and its text."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = list(path.relative_to(ROOT).with_suffix("").parts)
        if len(parts) > 1 and parts[-1] == "__init__":
            parts.pop()
        found[".".join(parts)] = path.read_text(encoding="utf-8")
    return found


def violations(module: str, source: str, modules: Set[str]) -> list[str]:
    """What of a module breaks the rules; `modules` are the names of all there are."""
    tree = ast.parse(source)
    broken = []
    for name in imports(module, tree, modules):
        if name.partition(".")[0] == PACKAGE:
            broken += upward(module, name.partition(".")[2] or "__init__")
        else:
            broken += foreign(module, name)
    if top(module) in PURE:
        broken += clock_reads(tree)
        broken += awaits(tree) if top(module) != "ports" else []
        broken += file_reads(tree) if module not in READS_FILES else []
    return broken


def imports(module: str, tree: ast.Module, modules: Set[str]) -> Iterator[str]:
    """Every module that is imported; of `from a import b` it is `a.b` where that is one of ours."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                own = [PACKAGE, *module.split(".")]
                is_package = module == "__init__" or any(other.startswith(f"{module}.") for other in modules)
                kept = own[: len(own) - node.level + (1 if is_package and module != "__init__" else 0)]
                base = ".".join([*kept, *([base] if base else [])])
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield inner if inner.removeprefix(f"{PACKAGE}.") in modules else base


def top(module: str) -> str:
    return module.partition(".")[0]


def layer(module: str) -> int | None:
    return next((rank for rank, names in enumerate(LAYERS) if top(module) in names), None)


def upward(module: str, imported: str) -> list[str]:
    mine, other = layer(module), layer(imported)
    if mine is None or other is None:
        return [f"{module if mine is None else imported} has no layer"]
    if other > mine:
        return [f"imports {imported}, which is above it"]
    for apart in APART:
        here = next((name for name in apart if within(module, name)), None)
        there = next((name for name in apart if within(imported, name)), None)
        if here and there and here != there:
            return [f"imports {imported}, which is its sister"]
    return []


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def foreign(module: str, name: str) -> list[str]:
    first = name.partition(".")[0]
    if first not in sys.stdlib_module_names:
        return [] if first in THIRD_PARTIES.get(top(module), ()) else [f"imports {name}, which its layer may not"]
    if top(module) in PURE and first in IMPURE and first not in MAY.get(module, ()):
        return [f"imports {name}, which is not pure"]
    return []


def clock_reads(tree: ast.Module) -> list[str]:
    return [
        f"reads the clock by {node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in CLOCK_READS
        and isinstance(node.value, ast.Name)
        and node.value.id in {"datetime", "date"}
    ]


def awaits(tree: ast.Module) -> list[str]:
    kinds = (ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith)
    return ["awaits"] if any(isinstance(node, kinds) for node in ast.walk(tree)) else []


def file_reads(tree: ast.Module) -> list[str]:
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    functions = {func.id for func in calls if isinstance(func, ast.Name)} & {"open", "print", "input"}
    methods = {func.attr for func in calls if isinstance(func, ast.Attribute)} & {
        "read_text",
        "read_bytes",
        "write_text",
    }
    return [f"calls {name}" for name in sorted(functions | methods)]


UNITS = units()


@pytest.mark.parametrize("module", UNITS)
def test_a_module_keeps_to_its_layer(module: str) -> None:
    assert violations(module, UNITS[module], UNITS.keys()) == []


def test_every_module_was_read() -> None:
    assert {"__init__", "errors", "config", "config.load", "dialects.openai_chat.stream", "web.app"} <= UNITS.keys()


def test_every_layer_says_what_it_may_import() -> None:
    assert {name for names in LAYERS for name in names} == THIRD_PARTIES.keys()


BROKEN = [
    pytest.param("errors", "from modelserver.ir.types import Usage", "ir.types, which is above it", id="upwards"),
    pytest.param("wire.sse", "import modelserver.gateway.gateway", "gateway.gateway, which is above", id="by import"),
    pytest.param("wire.sse", "from modelserver import Gateway", "__init__, which is above it", id="the whole package"),
    pytest.param("wire.sse", "from modelserver import ports", "ports, which is above it", id="from the package"),
    pytest.param("wire.sse", "from ..ports import Clock", "ports, which is above it", id="relative"),
    pytest.param("dialects.openai_chat", "from ...ports import Clock", "ports, which is above", id="from a package"),
    pytest.param(
        "wire.sse", "def f():\n    import modelserver.cli", "cli, which is above it", id="inside of a function"
    ),
    pytest.param(
        "wire.sse",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from modelserver.ports import Clock",
        "ports, which is above it",
        id="for types only",
    ),
    pytest.param(
        "stores.memory", "import modelserver.upstream.mock", "which is its sister", id="a sister of the shell"
    ),
    pytest.param("clock", "import modelserver.stores", "which is its sister", id="a sister that is one file"),
    pytest.param(
        "dialects.openai_chat.stream",
        "from modelserver.dialects.anthropic.stream import x",
        "which is its sister",
        id="a sister dialect",
    ),
    pytest.param("gateway.gateway", "import aiohttp", "aiohttp, which its layer may not", id="aiohttp in the gateway"),
    pytest.param("wire.sse", "import aiohttp", "aiohttp, which its layer may not", id="a third party too low"),
    pytest.param("web.app", "import requests", "requests, which its layer may not", id="a stranger"),
    pytest.param("policy.faults", "import asyncio", "asyncio, which is not pure", id="asyncio in the core"),
    pytest.param("policy.faults", "from random import random", "random, which is not pure", id="chance in the core"),
    pytest.param("dialects.reading", "import os.path", "os.path, which is not pure", id="the system in the core"),
    pytest.param("config.models", "import os", "os, which is not pure", id="the environment in a table's reader"),
    pytest.param("config.load", "import socket", "socket, which is not pure", id="the network in the loader"),
    pytest.param("policy.faults", "from pathlib import Path", "pathlib, which is not pure", id="paths in the core"),
    pytest.param(
        "config.models", "def f(path):\n    return path.read_text()", "calls read_text", id="files in a reader"
    ),
    pytest.param("policy.faults", "print(1)", "calls print", id="output in the core"),
    pytest.param(
        "policy.principals", "from datetime import date\nx = date.today()", "reads the clock by date.today", id="today"
    ),
    pytest.param(
        "wire.headers", "from datetime import datetime as datetime\nx = datetime.now()", "datetime.now", id="now"
    ),
    pytest.param("policy.faults", "async def f():\n    pass", "awaits", id="a coroutine in the core"),
    pytest.param("helpers.text", "import modelserver.errors", "helpers.text has no layer", id="a module of no layer"),
    pytest.param("web.app", "import modelserver.helpers", "helpers has no layer", id="an import of no layer"),
]


@pytest.mark.parametrize(("module", "source", "expected"), BROKEN)
def test_a_violation_is_seen(module: str, source: str, expected: str) -> None:
    assert expected in "; ".join(violations(module, source, UNITS.keys()))


KEPT = [
    pytest.param("gateway.gateway", "import asyncio\nfrom modelserver.ports import Clock", id="downwards"),
    pytest.param(
        "wire.sse", "import re, json\nfrom modelserver.errors import UpstreamFailed", id="the standard library"
    ),
    pytest.param("dialects.openai_chat.stream", "from .response import loads", id="beside it"),
    pytest.param(
        "dialects.openai_chat", "from .response import loads\nfrom ..dialect import Dialect", id="its package"
    ),
    pytest.param("config.load", "import os\nfrom pathlib import Path\nopen('x')", id="files in the loader"),
    pytest.param("config.types", "from pathlib import Path\nx: Path", id="a path as a value"),
    pytest.param("ports", "class P:\n    async def f(self): ...", id="protocols of coroutines"),
    pytest.param("wire.headers", "from datetime import datetime\ndef f(now: datetime): return now", id="time is given"),
]


@pytest.mark.parametrize(("module", "source"), KEPT)
def test_what_is_allowed_is_no_violation(module: str, source: str) -> None:
    assert violations(module, source, UNITS.keys()) == []
