"""The serving process: listener, signals, and a shutdown that finishes what has begun."""

from __future__ import annotations

import asyncio
import errno
import os
import select
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Protocol, TextIO

import aiohttp
from aiohttp import http_parser, http_writer, web
from aiohttp.web_server import Server

from modelserver.config import Config, load_config
from modelserver.version import __version__
from modelserver.web.access_log import AccessLog
from modelserver.web.app import create_app
from modelserver.web.keys import GATEWAY
from modelserver.web.listen import CannotServe, bind, check_access, close_all, show_address
from modelserver.web.logs import LOGGER, Notices, logging_to
from modelserver.web.output import never_waiting
from modelserver.web.protocol import Connections

BACKLOG = 2048
SWEEP_S = 1.0
GRACE_S = 1.0
"""How long, once the listener is closed, a connection on which nothing is under way may still send a request."""
FLUSH_S = 1.0
"""How long the last bytes of the last answers may take to leave."""
_STEP_S = 0.05
# An accepted socket is a connection some turns of the loop later; a listener that is closed before then loses it.
_ACCEPT_TURNS = 5


class Calls(Protocol):
    """What the server needs of the gateway."""

    @property
    def config(self) -> Config:
        """The configuration in force."""
        ...

    @property
    def open_calls(self) -> int:
        """How many calls are under way."""
        ...

    def begin_drain(self) -> None:
        """Make readiness 503 and every answer the last of its connection."""
        ...

    async def end_calls(self, grace_s: float) -> None:
        """Return when no call is open; end those that still are after `grace_s` with an error event."""
        ...

    async def reload(self) -> None:
        """Read the configuration again; what is wrong with it goes to the log."""
        ...


async def serve(
    config: Config,
    *,
    log: TextIO | None = None,
    listen: tuple[str, int] | None = None,
    sockets: Sequence[socket.socket] | None = None,
    started: Callable[[tuple[str, int]], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or `stop`, then drain; a second signal stops at once, SIGHUP reloads.

    Args:
        config: What to serve; read again from `config.path` when it changes.
        log: Where log lines go; None: standard error.
        listen: Host and port in place of the configured ones; host "" is every interface, port 0 a free one.
        sockets: Sockets that are bound already, in place of `listen`; they are closed at the end.
        started: Called once with the address, when connections are accepted.
        stop: Set it to begin the shutdown.

    Raises:
        CannotServe: The address can't be had, or anyone could reach the server and no key guards it.
    """
    check_libraries()
    if sockets is None:
        host, port = listen or (config.server.listen_host, config.server.listen_port)
        check_access(config, host)
        sockets = bind(host, port)
    else:
        for given in sockets:
            if given.family in (socket.AF_INET, socket.AF_INET6):
                check_access(config, given.getsockname()[0])
    with never_waiting(log or sys.stderr) as output:
        app = create_app(
            config,
            load=partial(load_config, config.path) if config.path is not None else None,
            access_log=AccessLog(config.server.log, output),
        )
        with logging_to(output, config.server.log, colour=not os.environ.get("NO_COLOR")):
            await serve_app(app, lambda: app[GATEWAY], sockets, started=started, stop=stop)


def check_libraries() -> None:
    """See that the compiled HTTP parser and writer are there.

    Without them aiohttp falls back to Python ones, which are slower and judge malformed requests differently.

    Raises:
        CannotServe: They are missing or switched off.
    """
    compiled = (
        getattr(http_parser, "HttpRequestParserC", None) is http_parser.HttpRequestParser
        and getattr(http_parser, "HttpResponseParserC", None) is http_parser.HttpResponseParser
        and http_writer._serialize_headers is not http_writer._py_serialize_headers
    )
    if not compiled:
        raise CannotServe(
            f"aiohttp {aiohttp.__version__} has no compiled parser here. Unset AIOHTTP_NO_EXTENSIONS, or install a "
            f"wheel: {sys.executable} -m pip install --force-reinstall --only-binary :all: aiohttp",
            status=2,
        )


class _Runner(web.AppRunner):
    """aiohttp's life cycle of an application, with our connections."""

    def __init__(self, app: web.Application, notices: Notices) -> None:
        super().__init__(app, access_log=None, shutdown_timeout=FLUSH_S / 2)
        self._notices = notices

    async def _make_server(self) -> Server:
        plain = await super()._make_server()  # starts the application
        return Connections(
            plain.request_handler,
            request_factory=plain.request_factory,
            notices=self._notices,
        )


async def serve_app(
    app: web.Application,
    gateway: Callable[[], Calls],
    sockets: Sequence[socket.socket],
    *,
    started: Callable[[tuple[str, int]], None] | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve any application whose calls `gateway` ends; it is asked for once the application has started.

    Sockets are closed at the end, whatever it is.
    """
    notices = Notices()
    runner = _Runner(app, notices)
    stop = stop or asyncio.Event()
    with _loop_exceptions_to(notices):
        try:
            await runner.setup()
            calls = gateway()
            connections = runner.server
            assert isinstance(connections, Connections)
            connections.max_connections = calls.config.server.max_connections
            for listener in sockets:
                listener.setblocking(False)
                listener.listen(BACKLOG)
                await web.SockSite(runner, listener, backlog=BACKLOG).start()
            await _run(calls, connections, runner, sockets, started=started, stop=stop)
        finally:
            await runner.cleanup()
            close_all(sockets)


async def _run(
    gateway: Calls,
    connections: Connections,
    runner: _Runner,
    sockets: Sequence[socket.socket],
    *,
    started: Callable[[tuple[str, int]], None] | None,
    stop: asyncio.Event,
) -> None:
    hurry, reload = asyncio.Event(), asyncio.Event()
    with _signals(stop, hurry, reload):
        async with asyncio.TaskGroup() as group:
            tasks = (
                group.create_task(_sweep(gateway, connections), name="sweep connections"),
                group.create_task(_reload(gateway, reload), name="reload on SIGHUP"),
            )
            _announce(gateway.config, sockets)
            if started is not None and sockets:
                host, port, *_ = sockets[0].getsockname()
                started((host, port))
            await stop.wait()
            await _drain(gateway, connections, runner, sockets, hurry)
            for task in tasks:
                task.cancel()


def _announce(config: Config, sockets: Sequence[socket.socket]) -> None:
    places = " and ".join(f"http://{show_address(*each.getsockname()[:2])}" for each in sockets)
    count = f"{len(config.models)} model{'' if len(config.models) == 1 else 's'}"
    LOGGER.info("modelserver %s serves %s on %s", __version__, count, places)
    for warning in config.warnings:
        LOGGER.warning("%s", warning)
    keyless = [f"{each.name} ({each.missing_key})" for each in config.providers.values() if each.missing_key]
    if keyless:
        # One line: on a first start it must not bury the key and the command to try.
        LOGGER.info("No key, so that their models can't be called yet: %s", ", ".join(keyless))


async def _sweep(gateway: Calls, connections: Connections) -> None:
    while True:
        connections.max_connections = gateway.config.server.max_connections  # files are reloaded by themselves too
        await asyncio.sleep(SWEEP_S)
        connections.sweep()


async def _reload(gateway: Calls, asked: asyncio.Event) -> None:
    while True:
        await asked.wait()
        asked.clear()
        await gateway.reload()


async def _drain(
    gateway: Calls,
    connections: Connections,
    runner: _Runner,
    sockets: Sequence[socket.socket],
    hurry: asyncio.Event,
) -> None:
    """Serve what comes while it can come, finish what has begun, end what does not finish by itself.

    The whole takes `drain` from now, or `drain_delay` and a second where that is longer.
    """
    loop = asyncio.get_running_loop()
    settings = gateway.config.server
    deadline_s = loop.time() + max(settings.drain_s, settings.drain_delay_s)
    gateway.begin_drain()
    open_calls = gateway.open_calls
    LOGGER.info(
        "Draining for up to %g s: %d call%s open; a second signal stops at once",
        settings.drain_s,
        open_calls,
        " is" if open_calls == 1 else "s are",
    )
    if settings.drain_delay_s:
        await _pause(settings.drain_delay_s, hurry)
    await _accept_rest(sockets)
    for site in list(runner.sites):
        await site.stop()
    grace_s = loop.time() + GRACE_S
    while not hurry.is_set() and loop.time() < deadline_s:
        if loop.time() >= grace_s:
            connections.close_idle()
        if not any(held.busy or loop.time() < grace_s for held in connections.open):
            break
        await _pause(_STEP_S, hurry)
    with suppress(TimeoutError):
        # In-process calls have no connection, so there may be open ones although every connection is done.
        rest_s = 0.0 if hurry.is_set() else max(0.0, deadline_s - loop.time())
        async with asyncio.timeout(rest_s + FLUSH_S + (0.0 if hurry.is_set() else 4.0)):
            await gateway.end_calls(rest_s)
    flushed_s = loop.time() + FLUSH_S
    while any(held.busy for held in connections.open) and loop.time() < flushed_s and not hurry.is_set():
        await _pause(_STEP_S, hurry)
    LOGGER.info("Stopped" if not hurry.is_set() else "Stopped at once")


async def _pause(seconds: float, hurry: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await hurry.wait()


async def _accept_rest(sockets: Sequence[socket.socket]) -> None:
    """Let the loop accept until nothing waits: what the kernel holds when a listener closes is reset."""
    if not hasattr(select, "poll"):
        return
    waiting = select.poll()
    for listener in sockets:
        waiting.register(listener.fileno(), select.POLLIN)
    quiet_turns = 0
    for _ in range(1000):  # bounded: newcomers could keep it going for ever
        await asyncio.sleep(0)
        quiet_turns = 0 if waiting.poll(0) else quiet_turns + 1
        if quiet_turns == _ACCEPT_TURNS:
            return


@contextmanager
def _signals(stop: asyncio.Event, hurry: asyncio.Event, reload: asyncio.Event) -> Iterator[None]:
    """Turn signals into events; where the loop can't (not the main thread, Windows) they stay as they were."""

    def on_stop() -> None:
        (hurry if stop.is_set() else stop).set()

    loop = asyncio.get_running_loop()
    wanted = {"SIGTERM": on_stop, "SIGINT": on_stop, "SIGHUP": reload.set}
    taken: list[int] = []
    with suppress(NotImplementedError, RuntimeError, ValueError):
        for name, action in wanted.items():
            if (number := getattr(signal, name, None)) is not None:
                loop.add_signal_handler(number, action)
                taken.append(number)
    try:
        yield
    finally:
        for number in taken:
            loop.remove_signal_handler(number)


@contextmanager
def _loop_exceptions_to(notices: Notices) -> Iterator[None]:
    """Log what nobody awaited at a bounded rate; without a free descriptor accepting fails by the thousand."""

    def on_exception(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        exc = context.get("exception")
        message = str(context.get("message", ""))
        if isinstance(exc, ValueError) and "_start_serving" in message:
            return  # see below
        if isinstance(exc, OSError) and exc.errno in (errno.EMFILE, errno.ENFILE):
            notices.say(
                "No file descriptor is free",
                "new connections wait. Raise the limit (ulimit -n) or lower max_connections.",
            )
        else:
            notices.say("Something failed outside of any request", message, exc=exc)

    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(on_exception)
    try:
        yield
    finally:
        # Where accepting failed, asyncio tries again a second later, closed listener or not: a thousand timers that
        # fail, and may do so only when everything here is over. Its own handler would write a traceback for each.
        if before is not None:
            loop.set_exception_handler(before)
