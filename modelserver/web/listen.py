"""Where the server listens, and whether it may."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from modelserver.config import Config
from modelserver.config.addresses import is_loopback

if sys.platform != "win32":
    import resource

FIRST_KEY_HINT = "Make one with `server.py key new NAME`, or listen on 127.0.0.1 only."


class CannotServe(Exception):
    """Serving can't begin; the message says what to do, `status` is the exit status that fits."""

    def __init__(self, message: str, *, status: int = 1) -> None:
        super().__init__(message)
        self.message = message
        self.status = status


def check_access(config: Config, host: str) -> None:
    """See that who reaches `host` needs a key.

    Raises:
        CannotServe: The listener would be public, and the configuration is open or has no key at all.
    """
    if is_loopback(host.partition("%")[0]):
        return
    where = host or "every interface"
    if config.server.open:
        raise CannotServe(f"[server] open = true serves without keys: not on {where}, only on 127.0.0.1.", status=2)
    if not config.keys:
        raise CannotServe(f"Listening on {where} needs a key, and none is configured. {FIRST_KEY_HINT}", status=2)


def show_address(host: str, port: int) -> str:
    """`host:port` as it stands in a URL."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def bind(host: str, port: int) -> list[socket.socket]:
    """Listening addresses of `host`, one socket each, not listening yet; port 0 is one free port for all.

    Raises:
        CannotServe: An address is in use, not allowed, or not of this machine.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        raise CannotServe(f"Can't listen on {show_address(host, port)}: no such host.") from None
    bound: list[socket.socket] = []
    refused: OSError | None = None
    # IPv4 first: the address that is announced, and the one that is tried first for `localhost`.
    for family, kind, proto, _, address in sorted(found, key=lambda info: info[0] != socket.AF_INET):
        place = (address[0], bound[0].getsockname()[1] if bound else port, *address[2:])
        try:
            bound.append(_bind_one(family, kind, proto, place))
        except OSError as exc:
            refused = exc
            if exc.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                close_all(bound)
                bound = []
                break
    if not bound:
        raise CannotServe(f"Can't listen on {show_address(host, port)}: {_why(refused)}")
    return bound


def _bind_one(family: int, kind: int, proto: int, place: tuple[Any, ...]) -> socket.socket:
    made = socket.socket(family, kind, proto)
    try:
        if sys.platform != "win32":  # where it would let two servers share the port
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(place)
    except OSError:
        made.close()
        raise
    return made


def close_all(sockets: Sequence[socket.socket]) -> None:
    """Close every one of them."""
    for each in sockets:
        each.close()


def _why(refused: OSError | None) -> str:
    match refused.errno if refused is not None else None:
        case errno.EADDRINUSE:
            return "the port is in use. Stop what runs there, or choose another with --listen."
        case errno.EACCES | errno.EPERM:
            return "not allowed for this user. Ports below 1024 need privileges; choose another with --listen."
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address."
        case _:
            return "the system refused it."


def raise_descriptor_limit(connections: int) -> str | None:
    """Raise the process's limit of open files to what `connections` need; what is wrong where it can't be had.

    Each connection may have one of ours to a provider beside it.
    """
    if sys.platform == "win32":
        return None
    wanted = 2 * connections + 200
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
        soft = limit
    if soft >= connections + 200:
        return None
    return (
        f"server.max_connections: {connections} need up to {wanted} open files, and {soft} are allowed: "
        "raise the limit (ulimit -n, LimitNOFILE=), or lower max_connections"
    )
