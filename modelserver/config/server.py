"""Reading the `[server]` table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from modelserver.config.addresses import is_loopback, parse_listen, parse_origin, parse_public_url
from modelserver.config.reading import Table, given
from modelserver.config.types import Server

SERVER_LATER = frozenset({"state", "metrics"})
CATALOGUE = ("public", "keys", "off")
LOGS = ("text", "json")

T = TypeVar("T")


def read_server(table: Table) -> Server:
    """The server's settings, with the built-in values for what the table does not say."""
    listen = _parsed(table, "listen", parse_listen)
    server = Server(
        **given(
            listen_host=listen and listen[0],
            listen_port=listen and listen[1],
            keys=table.text("keys"),
            open=table.flag("open"),
            catalogue=table.word("catalogue", CATALOGUE),
            cors=_read_cors(table),
            drain_s=table.duration("drain", zero=True),
            drain_delay_s=table.duration("drain_delay", zero=True),
            max_body_bytes=table.size("max_body"),
            max_connections=table.whole("max_connections", least=1),
            secret=table.secret("secret"),
            log=table.word("log", LOGS),
            env_file=table.text("env_file"),
            public_url=_parsed(table, "public_url", parse_public_url),
        )
    )
    table.close(SERVER_LATER)
    if server.open and not is_loopback(server.listen_host):
        table.fault("open", 'lets in everyone who can reach the server: only with a loopback listen, "127.0.0.1:8400"')
    return server


def _parsed(table: Table, key: str, parse: Callable[[str], T]) -> T | None:
    text = table.text(key)
    if text is None:
        return None
    try:
        return parse(text)
    except ValueError as refusal:
        table.fault(key, str(refusal))
        return None


def _read_cors(table: Table) -> tuple[str, ...] | None:
    """Origins, or `*` alone."""
    if table.take("cors") == "*":
        return ("*",)
    origins = table.words("cors")
    if origins is None or origins == ("*",):
        return origins
    found: dict[str, None] = {}
    for origin in origins:
        try:
            found[parse_origin(origin)] = None
        except ValueError as refusal:
            table.fault_item("cors", origin, str(refusal))
    return tuple(found)
