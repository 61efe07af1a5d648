"""From `models.toml`, `keys.toml` and `.env` to one `Config`, or to one error that names everything wrong."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import tomli

from modelserver.config.access import ModelNames, read_groups, read_keys, read_users
from modelserver.config.environment import parse_env
from modelserver.config.lines import join_path
from modelserver.config.models import check_names, check_routes, read_model, routed_presets
from modelserver.config.providers import read_provider
from modelserver.config.reading import ConfigError, Problem, Report, Table
from modelserver.config.server import read_server
from modelserver.config.settings import SETTINGS_LATER, Layer, read_settings
from modelserver.config.types import Config, Provider, Server

_SYNTAX_PLACE = re.compile(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)$")


@attrs.frozen
class _Source:
    """One TOML text; `raw` is None when it is no TOML, for the reason that `fault` gives."""

    name: str
    text: str
    raw: Mapping[str, Any] | None
    fault: Problem | None = None


def load_config(path: Path, *, environ: Mapping[str, str] | None = None) -> Config:
    """The configuration of a `models.toml` and of the files beside it that it names.

    Variables of the environment (by default that of the process) win over those of the env file, empty ones excepted.
    `keys.toml` and `.env` may be absent.

    Raises:
        ConfigError: Something is wrong in these files, or one can't be read; `problems` holds all of it.
    """
    text = _read_file(path)
    if text is None:
        raise ConfigError([Problem(file=path.name, path="", message="there is no such file")])
    main = _parse(path.name, text)
    keys_name, env_name = _file_name(main, "keys", Server().keys), _file_name(main, "env_file", Server().env_file)
    keys_text, env_text = _read_files(path.parent / keys_name, path.parent / env_name)
    variables, bad_lines = parse_env(env_text or "")
    process = os.environ if environ is None else environ
    environ = {**variables, **{name: value for name, value in process.items() if value}}
    config = _build(main, _parse(keys_name, keys_text or ""), environ)
    warnings = [f"{env_name}: line {number} is not NAME=value and is ignored" for number in bad_lines]
    if env_text is None and env_name != Server().env_file:
        warnings.append(f"{path.name}: server.env_file: there is no such file")
    return attrs.evolve(
        config,
        path=path,
        watched=(path, path.parent / keys_name, path.parent / env_name),
        warnings=(*warnings, *config.warnings),
    )


def parse_config(
    text: str, *, name: str = "models.toml", keys_text: str | None = None, environ: Mapping[str, str] | None = None
) -> Config:
    """The configuration of a text in the form of `models.toml`, and of one in that of `keys.toml`; reads no file.

    Without `environ` no variable is set.

    Raises:
        ConfigError: Something is wrong in these texts; `problems` holds all of it.
    """
    main = _parse(name, text)
    return _build(main, _parse(_file_name(main, "keys", Server().keys), keys_text or ""), environ or {})


def _build(main: _Source, keys: _Source, environ: Mapping[str, str]) -> Config:
    broken = [source.fault for source in (main, keys) if source.fault is not None]
    if main.raw is None or keys.raw is None:
        # Without one of the files the references in the other would all seem wrong.
        raise ConfigError(broken)
    report = Report(environ)
    config = _read(Table(report, main.name, "", main.raw), Table(report, keys.name, "", keys.raw))
    texts = {main.name: main.text}
    texts.setdefault(keys.name, keys.text)
    report.raise_faults(texts)
    return attrs.evolve(config, warnings=tuple(report.warnings))


def _read(main: Table, keys_file: Table) -> Config:
    """Everything in both files; what others refer to is read before them."""
    server = _read_server(main, keys_file)
    model_tables = main.tables("models")
    offers = _read_providers(main, routed_presets(model_tables), server)
    models = [read_model(table, offers) for table in model_tables]
    check_routes(model_tables, models, offers)
    check_names(model_tables, models)
    names = ModelNames(models)
    groups = read_groups(main.named_tables("groups"), names)
    users = read_users(main.named_tables("users"), groups, names)
    keys = read_keys([*main.tables("keys"), *keys_file.tables("keys")], users, names)
    main.close()
    keys_file.close()
    return Config(
        server=server,
        providers={name: provider for name, (provider, _) in offers.items()},
        models=tuple(models),
        groups=groups,
        users=users,
        keys=keys,
    )


def _read_server(main: Table, keys_file: Table) -> Server:
    """The `[server]` table, with the installation's secret from the file of keys where the table has none."""
    table = main.table("server")
    server = Server() if table is None else read_server(table)
    secret = keys_file.secret("secret")
    return server if server.secret is not None or secret is None else attrs.evolve(server, secret=secret)


def _read_providers(main: Table, routed: Sequence[str], server: Server) -> dict[str, tuple[Provider, Layer]]:
    """The providers of the file, and after them the well-known ones that only a route names."""
    defaults_table = main.table("defaults")
    defaults: Layer = {}
    if defaults_table is not None:
        defaults = read_settings(defaults_table)
        defaults_table.close(SETTINGS_LATER)
    tables = main.named_tables("providers")
    for name in routed:
        if name not in tables:
            tables[name] = Table(main.report, main.file, join_path("providers", name), {})
    return {name: read_provider(name, table, defaults=defaults, server=server) for name, table in tables.items()}


def _parse(name: str, text: str) -> _Source:
    try:
        return _Source(name, text, tomli.loads(text, parse_float=_decimal))
    except tomli.TOMLDecodeError as error:
        # The parser says what it met and never quotes a value.
        message = str(error)
        place = _SYNTAX_PLACE.search(message)
        line = int(place[1]) if place and place[1] else text.count("\n") + 1
        what = f"not valid TOML: {_SYNTAX_PLACE.sub('', message)}"
    except RecursionError:
        what, line = "lists or tables are nested too deeply", None
    except ValueError:
        what, line = "holds a number or a date that can't be", None
    return _Source(name, text, None, Problem(file=name, path="", message=what, line=line))


def _decimal(text: str) -> Decimal:
    """The number as written; one that no decimal can hold is infinite, and so refused wherever it stands."""
    try:
        return Decimal(text)
    except ArithmeticError:
        return Decimal("Infinity")


def _file_name(main: _Source, key: str, default: str) -> str:
    """The name of another file, or the default one where the table says none or nonsense (which is noted later)."""
    table = (main.raw or {}).get("server")
    name = table.get(key) if isinstance(table, dict) else None
    return name if isinstance(name, str) and name.strip() else default


def _read_files(*paths: Path) -> list[str | None]:
    """The texts of some files; those that can't be read are all named at once."""
    texts: list[str | None] = []
    problems: list[Problem] = []
    for path in paths:
        try:
            texts.append(_read_file(path))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return texts


def _read_file(path: Path) -> str | None:
    """The text of a file, None if it is not there; a byte order mark, which some editors write, is no part of it."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return None
    except UnicodeDecodeError:
        message = "is not UTF-8"
    except (OSError, ValueError) as error:
        message = f"can't be read: {error.strerror if isinstance(error, OSError) else 'no valid file name'}"
    raise ConfigError([Problem(file=path.name, path="", message=message)])
