"""The processes of the bench: the gateway as its users start it, and the scripted provider behind it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import attrs

from .load import Connection
from .native import NATIVES
from .upstream import KEY_VARIABLE

ROOT = Path(__file__).parents[2]
SERVER = f"{shlex.quote(sys.executable)} server.py -c {{config}} --log json"
_START_S = 20.0
_STOP_S = 5.0
_OTHER_MODEL = """
[[models]]
model_id = "vendor/model-{i:05}"
desc = "One more model, so that the catalogue has the size of a real one."
owned_by = "vendor"
types = "llm"
features = ["tools", "function_calling"]
input_modalities = ["text", "image"]
max_output = 32_000
context_length = {context_length}
pricing = {{ input = 1.25, output = 10, cache_read = 0.125 }}
route = "up/model-{i:05}"
"""

_NATIVE_MODEL = """
[providers.{speaks}-up]
base_url = "http://127.0.0.1:{port}"
key = "${key}"
speaks = ["{speaks}"]
[[models]]
model_id = "bench-{speaks}"
route = "{speaks}-up/bench"
"""


class BenchFailed(Exception):
    """The run cannot go on; the message says why."""


@attrs.frozen(kw_only=True)
class Setting:
    """What is measured, and how much of it there is."""

    command: str
    """Words of a shell; `{config}`, `{port}` and `{upstream}` (a port) are filled in."""
    models: int
    keys: int
    directory: Path
    gateway_core: int | None
    """None: one core for everybody."""
    load_core: int | None
    upstream_port: int
    upstream_key: str
    key: str = attrs.field(factory=lambda: "sk-ms-" + secrets.token_urlsafe(24))
    """The one key that the load uses."""

    def write_config(self, port: int) -> Path:
        """Write `models.toml` and `keys.toml` for a gateway on `port`; the path of the former."""
        models = "".join(_OTHER_MODEL.format(i=i, context_length=200_000 - i) for i in range(1, self.models))
        path = self.directory / "models.toml"
        path.write_text(
            f'[server]\nlisten = "127.0.0.1:{port}"\n'
            f'[providers.up]\nbase_url = "http://127.0.0.1:{self.upstream_port}/v1"\nkey = "${KEY_VARIABLE}"\n'
            f'[[models]]\nmodel_id = "bench"\nroute = "up/bench"\n{models}'
            + "".join(_NATIVE_MODEL.format(speaks=each, port=self.upstream_port, key=KEY_VARIABLE) for each in NATIVES)
        )
        others = (f"sk-ms-bench-{i}" for i in range(1, self.keys))
        entries = (
            f'[[keys]]\nname = "bench {i}"\nhash = "sha256:{hashlib.sha256(key.encode()).hexdigest()}"\n'
            "limits = { rpm = 100_000_000, concurrency = 100_000 }\n"
            for i, key in enumerate((self.key, *others))
        )
        keys = self.directory / "keys.toml"
        keys.write_text("\n".join(entries))
        keys.chmod(0o600)
        return path

    def environment(self) -> dict[str, str]:
        """The environment of the gateway: no provider's key or address of the machine may get in."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {**kept, KEY_VARIABLE: self.upstream_key}


class Gateway:
    """One running gateway process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
        self._process = process
        self.port = port
        self._log = log
        self.started_s = time.perf_counter()

    @classmethod
    def start(cls, setting: Setting) -> Gateway:
        """Start one on a free port; it may not listen yet."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        config = setting.write_config(port)
        command = setting.command.format(config=config, port=port, upstream=setting.upstream_port)
        log = setting.directory / f"gateway-{port}.log"
        with log.open("wb") as out, pinned(setting.gateway_core, setting.load_core):
            process = subprocess.Popen(
                shlex.split(command),
                cwd=ROOT,
                env=setting.environment(),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        return cls(process, port, log)

    async def connect(self) -> Connection:
        """The first connection that it accepts.

        Raises:
            BenchFailed: It ended, or did not listen in time.
        """
        until_s = self.started_s + _START_S
        while time.perf_counter() < until_s and self._process.poll() is None:
            try:
                return await Connection.open(self.port)
            except OSError:
                await asyncio.sleep(0.001)
        raise BenchFailed(f"The gateway did not come up:\n{self.last_words()}")

    def last_words(self) -> str:
        """The end of what it has written."""
        return self._log.read_text(errors="replace")[-3000:] or "(it wrote nothing)"

    def cpu_s(self) -> float:
        """User and system time of all its threads until now."""
        # The clock id that clock_getcpuclockid(3) would give: nanoseconds, where /proc/PID/stat has steps of 10 ms.
        return time.clock_gettime(((~self._process.pid) << 3) | 2)

    def memory_kib(self) -> tuple[int, int]:
        """Its memory now: proportional share (PSS) and resident size (RSS)."""
        found = {"Pss": 0, "Rss": 0}
        for line in Path(f"/proc/{self._process.pid}/smaps_rollup").read_text().splitlines():
            name, _, value = line.partition(":")
            if name in found:
                found[name] = int(value.split()[0])
        return found["Pss"], found["Rss"]

    async def stop(self) -> None:
        """End it, politely first."""
        await end(self._process, signal.SIGTERM)
        self._log.unlink(missing_ok=True)


async def end(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Signal `process` and wait; kill it when it stays."""
    if process.poll() is None:
        process.send_signal(number)
    until_s = time.perf_counter() + _STOP_S
    while process.poll() is None and time.perf_counter() < until_s:
        await asyncio.sleep(0.01)
    if process.poll() is None:
        process.kill()
        process.wait()


@contextmanager
def pinned(core: int | None, own: int | None) -> Iterator[None]:
    """What is started inside runs on `core` from its first instruction; then we are back on `own`."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        if own is not None:
            os.sched_setaffinity(0, {own})


@asynccontextmanager
async def provider(key: str) -> AsyncIterator[int]:
    """A running scripted provider, on our own core; its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.upstream"],
        cwd=ROOT,
        env={**os.environ, KEY_VARIABLE: key},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        if not line:
            raise BenchFailed("The scripted provider did not start.")
        yield int(line)
    finally:
        process.stdin.close()
        process.stdout.close()
        await end(process, signal.SIGTERM)


@asynccontextmanager
async def running(setting: Setting) -> AsyncIterator[Gateway]:
    """A gateway that has just been started; it may not listen yet."""
    gateway = Gateway.start(setting)
    try:
        yield gateway
    finally:
        await gateway.stop()
