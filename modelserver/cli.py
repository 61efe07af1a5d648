"""The command line: serve, look at the configuration, hand out keys."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import attrs
import orjson

from modelserver.config import Config, ConfigError, load_config
from modelserver.config.addresses import is_loopback, parse_listen
from modelserver.config.types import Model
from modelserver.stores.keyfile import KeyFile, KeyFileError
from modelserver.version import __version__

BAD_CONFIGURATION = 2
INTERRUPTED = 130


def main(argv: Sequence[str] | None = None, *, home: Path | None = None) -> int:
    """Run one command and return its exit status.

    Args:
        argv: The arguments; None: those of the process.
        home: Where `models.toml` is looked for when no other file is named; None: the current directory.

    Raises:
        SystemExit: The arguments are not understood, or help was asked for.
    """
    args = _parser().parse_args(argv)
    args.path = _config_path(args.config, home)
    command: Callable[[argparse.Namespace], int] = args.command
    try:
        return command(args)
    except ConfigError as exc:
        print(exc, file=sys.stderr)
        if not args.path.exists():
            print(
                f"Looked for {args.path.resolve()}; name another file with -c or MODELSERVER_CONFIG.", file=sys.stderr
            )
        return BAD_CONFIGURATION
    except KeyFileError as exc:
        print(exc, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever reads has enough (`models | head`); without this the interpreter complains once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _config_path(given: str | None, home: Path | None) -> Path:
    named = given or os.environ.get("MODELSERVER_CONFIG")
    return Path(named) if named else (home or Path()) / "models.toml"


def _parser() -> argparse.ArgumentParser:
    # The same options before and after the sub-command: after it without a default, which would undo the one before.
    everywhere = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    _add_config(everywhere)
    serving = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    _add_serving(serving)
    parser = argparse.ArgumentParser(
        prog="modelserver", allow_abbrev=False, description="An OpenAI-compatible gateway in front of model providers."
    )
    _add_config(parser)
    _add_serving(parser)
    parser.set_defaults(command=serve, config=None, listen=None, log=None)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def add(
        name: str,
        action: Callable[[argparse.Namespace], int],
        text: str,
        *more: argparse.ArgumentParser,
        to: argparse._SubParsersAction[argparse.ArgumentParser] = commands,
    ) -> argparse.ArgumentParser:
        made = to.add_parser(name, help=text, description=text, parents=[everywhere, *more], allow_abbrev=False)
        made.set_defaults(command=action)
        return made

    add("serve", serve, "Serve; what happens without a command, too.", serving)
    add("check", check, "Check the configuration and show what follows from it.")
    add("models", models, "List the models that can be called now, and why others can't.")
    key = commands.add_parser("key", help="Make, list and revoke keys.", allow_abbrev=False, parents=[everywhere])
    keys = key.add_subparsers(title="commands", metavar="COMMAND", required=True)
    new = add("new", key_new, "Make a key and print it; it can't be shown again.", to=keys)
    new.add_argument("name", metavar="NAME", help="what the key is called")
    new.add_argument("--user", metavar="USER", default=None, help="the user that it belongs to (default)")
    add("list", key_list, "List the keys.", to=keys)
    revoke = add("revoke", key_revoke, "Revoke a key.", to=keys)
    revoke.add_argument("name", metavar="NAME", help="what the key is called")
    add("version", version, "Print the version.")
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-c", "--config", metavar="FILE", help="the configuration (MODELSERVER_CONFIG, else models.toml)"
    )


def _add_serving(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--listen", metavar="HOST:PORT", type=_listen, help="where to listen, in place of [server] listen"
    )
    parser.add_argument("--log", choices=("text", "json"), help="form of the log, in place of [server] log")


def _listen(text: str) -> tuple[str, int]:
    try:
        return parse_listen(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def serve(args: argparse.Namespace) -> int:
    """Serve until told to stop."""
    from modelserver.web import server
    from modelserver.web.listen import CannotServe, bind, check_access, close_all, raise_descriptor_limit

    config = load_config(args.path)
    if args.log:
        config = attrs.evolve(config, server=attrs.evolve(config.server, log=args.log))
    host, port = args.listen or (config.server.listen_host, config.server.listen_port)
    try:
        server.check_libraries()
        check_access(config, host)
        # Before a first key is made: where the port is taken, nobody would ever see it.
        sockets = bind(host, port)
        try:
            config = _welcome(args.path, config, host, sockets[0].getsockname()[1])
            if warning := raise_descriptor_limit(config.server.max_connections):
                config = attrs.evolve(config, warnings=(*config.warnings, warning))
            with asyncio.Runner(loop_factory=_loop_factory()) as runner:
                runner.run(server.serve(config, sockets=sockets))
        finally:
            close_all(sockets)
    except CannotServe as exc:
        print(exc.message, file=sys.stderr)
        return exc.status
    return 0


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


def _welcome(path: Path, config: Config, host: str, port: int) -> Config:
    """The configuration, with a first key where it has none; what to paste to try it goes to standard output."""
    from modelserver.web.listen import show_address

    address = f"http://{show_address(host, port)}"
    if config.server.open:
        print(f"Open: whoever is on this machine needs no key. Try it:\n\n{_curl(config, address, None)}\n", flush=True)
    elif not config.keys and is_loopback(host):
        file = _key_file(config)
        key = file.add("first")
        if config.server.secret is None:
            file.ensure_secret()
        log = config.server.log
        config = load_config(path)
        config = attrs.evolve(config, server=attrs.evolve(config.server, log=log))
        print(f"Your first key, shown only now:\n\n    {key}\n\nTry it:\n\n{_curl(config, address, key)}\n", flush=True)
    return config


def _curl(config: Config, address: str, key: str | None) -> str:
    """A command to paste: a chat completion on a model that needs no provider, else the first that can be called."""
    ready = [m.model_id for m in config.models if not m.is_pattern and _obstacle(config, m) is None]
    mocks = [m.model_id for m in config.models if m.model_id in ready and config.providers[m.provider].mock]
    credential = [f'-H "Authorization: Bearer {key}"'] if key is not None else []
    if not ready:
        return _continued([f"curl {address}/v1/models", *credential])
    model = "mock" if "mock" in mocks else (mocks or ready)[0]
    body = orjson.dumps({"model": model, "messages": [{"role": "user", "content": "Hello!"}]}).decode()
    return _continued(
        [
            f"curl {address}/v1/chat/completions",
            *credential,
            '-H "Content-Type: application/json"',
            f"-d {shlex.quote(body)}",
        ]
    )


def _continued(words: Sequence[str]) -> str:
    return "    " + " \\\n      ".join(words)


def check(args: argparse.Namespace) -> int:
    """Show what the configuration comes to; that it can be read at all is the check."""
    config = load_config(args.path)
    print(f"{args.path}: {_count(len(config.models), 'model')}, {_count(len(config.providers), 'provider')}, ", end="")
    print(f"{_count(len(config.keys), 'key')}")
    rows = []
    for provider in config.providers.values():
        if provider.mock:
            rows.append((provider.name, "built in", "needs no key"))
        elif provider.missing_key is not None:
            rows.append((provider.name, provider.base_url, f"{provider.missing_key} is not set"))
        else:
            rows.append((provider.name, provider.base_url, "key set" if provider.key is not None else "no key"))
    _print_section("Providers", _columns(rows))
    types = Counter(model.type for model in config.models)
    ready = sum(_obstacle(config, model) is None for model in config.models)
    counts = [(name, str(count)) for name, count in types.most_common()]
    _print_section("Models", [*_columns(counts), f"{ready} can be called now"])
    today = datetime.now(UTC).date()
    retiring = sorted((m.retires, m.model_id) for m in config.models if m.retires is not None)
    _print_section("Retiring", _columns([(_retires(day, today), model_id) for day, model_id in retiring]))
    _print_section("Warnings", config.warnings)
    return 0


def _retires(day: date, today: date) -> str:
    return f"{day} (past)" if day < today else f"{day}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _print_section(title: str, lines: Iterable[str]) -> None:
    for index, line in enumerate(lines):
        if index == 0:
            print(f"\n{title}")
        print(f"  {line}")


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def models(args: argparse.Namespace) -> int:
    """Print the ids that can be called now on standard output, and on standard error why others can't."""
    config = load_config(args.path)
    obstacles = [(model.model_id, _obstacle(config, model)) for model in config.models]
    for model_id, obstacle in obstacles:
        if obstacle is None:
            print(model_id)
    _explain([(model_id, obstacle) for model_id, obstacle in obstacles if obstacle is not None])
    return 0


def _explain(missing: Sequence[tuple[str, str]]) -> None:
    if missing:
        print("Can't be called now:", *(f"  {line}" for line in _columns(missing)), sep="\n", file=sys.stderr)


def _obstacle(config: Config, model: Model) -> str | None:
    """Why the model can't be called; what no setting could change comes first."""
    if model.type != "llm":
        return f"models of type {model.type} are not served yet"
    missing_key = config.providers[model.provider].missing_key
    return f"{missing_key} is not set" if missing_key is not None else None


def key_new(args: argparse.Namespace) -> int:
    """Make a key; it alone goes to standard output."""
    config = load_config(args.path)
    if any(key.name == args.name for key in config.keys):
        raise KeyFileError(f"There is a key called {args.name!r} already.")
    if args.user is not None and args.user not in config.users:
        raise KeyFileError(f"There is no user {args.user!r}: write [users.{args.user}] into {args.path} first.")
    file = _key_file(config)
    key = file.add(args.name, args.user)
    if config.server.secret is None:
        file.ensure_secret()
    print(key)
    print(f"Shown only now; {file.path} holds its digest. A running server takes it up by itself.", file=sys.stderr)
    return 0


def key_list(args: argparse.Namespace) -> int:
    """List names, users, expiry and the first digits of each digest."""
    config = load_config(args.path)
    rows = [(key.name, key.user, f"until {key.expires}" if key.expires else "", key.hash[:8]) for key in config.keys]
    for line in _columns(rows):
        print(line)
    if not rows:
        print("There is no key yet: make one with `server.py key new NAME`.", file=sys.stderr)
    return 0


def key_revoke(args: argparse.Namespace) -> int:
    """Take a key out of the key file."""
    config = load_config(args.path)
    file = _key_file(config)
    if args.name not in file.names() and any(key.name == args.name for key in config.keys):
        raise KeyFileError(f"The key {args.name!r} is written in {args.path}: take it out there.")
    file.revoke(args.name)
    print(f"Revoked {args.name}. A running server notices by itself.", file=sys.stderr)
    return 0


def _key_file(config: Config) -> KeyFile:
    folder = config.path.parent if config.path is not None else Path()
    return KeyFile(folder / config.server.keys)


def version(args: argparse.Namespace) -> int:
    """Print the version."""
    print(f"modelserver {__version__}")
    return 0
