"""The server as a process whose log, memory and descriptors a test looks at, with a raw upstream behind it."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import attrs

from modelserver.stores.keyfile import digest
from tests.support.program import ROOT

PATIENCE_S = 30.0
KEY = "sk-ms-soak-0123456789abcdef"


@attrs.frozen(kw_only=True)
class Watched:
    """A server process."""

    pid: int
    port: int
    log: Path

    def rss_bytes(self) -> int:
        """Resident memory."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * 4096

    def descriptors(self) -> int:
        """Open descriptors."""
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def said(self) -> str:
        """Everything that it has written."""
        return self.log.read_text("utf-8", "replace")


@asynccontextmanager
async def watched(home: Path, upstream_url: str, *, server: str = "", more: str = "") -> AsyncIterator[Watched]:
    """A server with the provider `up` at the URL, its model `m`, and the key `KEY`; it must end with status 0."""
    (home / "models.toml").write_text(
        f"""
[server]
{server}
[defaults]
retries = 0
[providers.up]
base_url = "{upstream_url}/v1"
key = "upstream-secret-canary"
[[models]]
model_id = "m"
aliases = ["alias"]
route = "up/m"
[[keys]]
name = "soak"
hash = "sha256:{digest(KEY)}"
limits = {{ rpm = 100000000, concurrency = 100000 }}
{more}
""",
        "utf-8",
    )
    log = home / "log"
    with log.open("wb") as written:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(ROOT / "server.py"),
            "-c",
            str(home / "models.toml"),
            "--listen",
            "127.0.0.1:0",
            "--log",
            "json",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=written,
            stderr=written,
        )
    try:
        async with asyncio.timeout(PATIENCE_S):
            while (port := _port(log)) is None:
                assert process.returncode is None, log.read_text("utf-8")
                await asyncio.sleep(0.02)
        yield Watched(pid=process.pid, port=port, log=log)
        process.terminate()
        async with asyncio.timeout(PATIENCE_S):
            status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert status == 0, log.read_text("utf-8")[-4000:]


def _port(log: Path) -> int | None:
    _, mark, rest = log.read_text("utf-8").partition("on http://127.0.0.1:")
    digits = rest.partition('"')[0]
    return int(digits) if mark and digits.isdigit() else None
