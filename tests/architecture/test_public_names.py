"""What an embedding program may rely on."""

from __future__ import annotations

import inspect
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import modelserver

ROOT = Path(__file__).parents[2]

NAMES = [
    "LOCAL",
    "Config",
    "ConfigError",
    "Gateway",
    "GatewayError",
    "Principal",
    "__version__",
    "create_app",
    "load_config",
    "parse_config",
    "serve",
]


def test_the_public_names_are_these() -> None:
    assert modelserver.__all__ == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_public_name_is_there(name: str) -> None:
    assert hasattr(modelserver, name)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("LOCAL", "__version__")])
def test_a_public_name_says_what_it_is(name: str) -> None:
    value = getattr(modelserver, name)

    assert value.__name__ == name
    assert inspect.getdoc(value)


def test_nothing_else_is_exported_by_accident() -> None:
    others = {
        name
        for name, value in vars(modelserver).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }

    assert others <= set(NAMES)


def test_every_error_is_a_gateway_error() -> None:
    from modelserver import errors

    others = [
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception) and not issubclass(value, modelserver.GatewayError)
    ]

    assert others == []


def test_the_tree_of_errors_is_complete_in_its_docstring() -> None:
    from modelserver import errors

    missing = [
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, errors.GatewayError) and f" {name} " not in f"{errors.__doc__} "
    ]

    assert [name for name in missing if f"{name}\n" not in str(errors.__doc__)] == []


def test_the_version_is_that_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert project["version"] == modelserver.__version__


def test_the_package_is_typed() -> None:
    assert (ROOT / "modelserver" / "py.typed").is_file()


QUIET = """
import builtins, socket, sys, threading, warnings
warnings.simplefilter("error")
def refuse(*args, **kwargs):
    raise AssertionError(f"importing did I/O: {args}")
import aiohttp.web, attrs, cattrs, orjson, tomli
socket.socket.connect = socket.socket.bind = refuse
builtins.open = refuse
threading.Thread.start = refuse
import modelserver
assert threading.active_count() == 1
assert "uvloop" not in sys.modules
"""


def test_importing_opens_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", QUIET], cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout + done.stderr) == (0, "")
