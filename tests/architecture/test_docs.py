"""README.md names everything that there is, and its commands are those that work."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from typing import Any

import pytest

from modelserver import errors
from modelserver.catalog.query import PARAMETERS, SORTS
from modelserver.cli import _parser
from modelserver.config import parse_config
from modelserver.config.reading import Table
from modelserver.dialects.openai_chat.vocab import ERRORS
from modelserver.errors import GatewayError
from modelserver.web.routes import ROUTES
from tests.support.program import ROOT

README = (ROOT / "README.md").read_text("utf-8")
SHIPPED = (ROOT / "models.toml").read_text("utf-8")
SHOWN = re.sub(r"(?m)^#(?=[a-z\[])", "", SHIPPED)
"""`models.toml` with every setting that it shows in effect."""

CHOSEN = (
    "headers", "params", "query", "rename", "add", "effort_map", "finish_map", "providers", "groups", "users",
)  # fmt: skip
"""Tables whose keys are names that people choose."""


def settings_read() -> set[str]:
    """The key of every setting that reading a configuration asks for."""
    asked: set[str] = set()
    take = Table.take

    def noting(table: Table, key: str) -> Any:
        if table.path.rpartition(".")[2] not in CHOSEN:
            asked.add(key)
        return take(table, key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Table, "take", noting)
        environ = {"MODELSERVER_SECRET": "s" * 32, "UPSTREAM_PROXY": "http://proxy:1", "HOME_API_KEY": "k"}
        parse_config(SHOWN, environ=environ)
    return asked


@pytest.mark.parametrize("setting", sorted(settings_read()))
def test_every_setting_is_named(setting: str) -> None:
    assert re.search(rf"`{setting}`|\[{setting}[.\]]", README)


def paths() -> list[str]:
    """Every path; those of Google's API, which are there under three versions, once."""
    bare = {re.sub(r":[^}]*}", "}", spec.path) for spec in ROUTES}
    return sorted({re.sub(r"^/v1(?:alpha)?/(?=tunedModels\b|models\b)", "/v1beta/", path) for path in bare})


@pytest.mark.parametrize("path", paths())
def test_every_path_is_named(path: str) -> None:
    assert re.search(rf"`(?:[A-Z]+ )?{re.escape(path)}`", README)


def test_no_endpoint_is_named_that_is_not_there() -> None:
    rows = re.findall(r"(?m)^\| `(GET|POST|DELETE|PUT) ([^`]+)`", README)

    assert rows
    assert set(rows) <= {(spec.method, re.sub(r":[^}]*}", "}", spec.path)) for spec in ROUTES}


@pytest.mark.parametrize("word", sorted({*PARAMETERS, *SORTS}))
def test_every_parameter_of_the_catalogue_is_named(word: str) -> None:
    assert f"`{word}`" in README


def commands(parser: argparse.ArgumentParser, before: str = "") -> Iterator[str]:
    """Every sub-command, those of sub-commands with the words before them."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                inner = list(commands(below, f"{before}{name} "))
                yield from inner or [f"{before}{name}"]


def options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The long form of every option, or the short one where there is no other."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from options(below)
        elif action.option_strings and "--help" not in action.option_strings:
            yield action.option_strings[0]


@pytest.mark.parametrize("command", list(commands(_parser())))
def test_every_command_is_named(command: str) -> None:
    assert re.search(rf"`(?:server\.py )?{command}[` ]", README)


@pytest.mark.parametrize("option", sorted(set(options(_parser()))))
def test_every_option_is_named(option: str) -> None:
    assert re.search(rf"(?<![\w-]){option}[` ]", README)


def error_rows() -> set[tuple[int, str, str]]:
    """Status, type and code as the table of errors has them."""
    rows = re.findall(r"(?m)^\| (\d{3}) \| `(\w+)` \| ([^|]+) \|", README)
    return {(int(status), kind, code) for status, kind, codes in rows for code in re.findall(r"`(\w+)`", codes)}


def error_classes() -> dict[str, type[GatewayError]]:
    """Every class of error that can be raised, by name."""
    found = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    return {name: kind for name, kind in found.items() if issubclass(kind, GatewayError) and kind is not GatewayError}


def codes_in_use() -> set[tuple[int, str, str]]:
    """Status, type and code of every error that the package raises."""
    classes = error_classes()
    used = {(*ERRORS[kind.kind][:2], str(ERRORS[kind.kind][2])) for kind in classes.values()}
    for file in (ROOT / "modelserver").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in classes:
                status, type_, _ = ERRORS[classes[node.func.id].kind]
                given = [word.value for word in node.keywords if word.arg == "code"]
                used |= {(status, type_, str(word.value)) for word in given if isinstance(word, ast.Constant)}
    return {row for row in used if row[2] != "None"}


@pytest.mark.parametrize(("status", "kind", "code"), sorted(codes_in_use()))
def test_every_error_is_in_the_table(status: int, kind: str, code: str) -> None:
    assert (status, kind, code) in error_rows()


def test_no_error_is_in_the_table_that_is_not_in_use() -> None:
    assert error_rows() <= codes_in_use()


def command_with(word: str) -> str:
    (found,) = [line for line in README.splitlines() if "-m venv .venv" in line and line.endswith(word)]
    return found


def test_the_run_command_is_a_block_of_its_own() -> None:
    assert f"```sh\n{command_with('server.py')}\n```" in README


@pytest.mark.parametrize(
    "step", ["ruff format --check", "ruff check", "mypy --strict modelserver", "pytest"], ids=lambda step: step
)
def test_the_test_command_runs_everything(step: str) -> None:
    assert f" && .venv/bin/python -m {step}" in command_with("pytest")
