"""The official client libraries for Node, each in a process that runs scenarios of tests/sdk/node.

async with client_for_node("anthropic", installed_libraries(), url) as node:
    seen = await node.run("create")
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from getpass import getuser
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.support.front import KEY

SOURCE = Path(__file__).parents[1] / "sdk" / "node"
INSTALL_S = 300
PATIENCE_S = 60


def installed_libraries() -> Path:
    """A directory with the libraries in it, kept in the system's one for temporary files from one run to the next."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node or npm is not installed")
    lock = (SOURCE / "package-lock.json").read_bytes()
    place = Path(tempfile.gettempdir()) / f"modelserver-node-{getuser()}-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not place.is_dir():
        made = Path(tempfile.mkdtemp(prefix="modelserver-node-"))
        for name in ("package.json", "package-lock.json"):
            shutil.copy2(SOURCE / name, made / name)
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=made, capture_output=True, timeout=INSTALL_S, check=False)
        if done.returncode:
            shutil.rmtree(made)
            pytest.skip("npm could not install the libraries")
        try:
            made.rename(place)
        except OSError:  # another run was quicker
            shutil.rmtree(made)
    return place


@attrs.frozen
class Node:
    """A library, pointed at a server."""

    process: asyncio.subprocess.Process
    url: str

    async def run(self, scenario: str, model: str = "mock", *, key: str = KEY, **more: str) -> dict[str, Any]:
        """What a scenario of the library's script saw; `more` is what only some of the scripts know."""
        asked = {"url": self.url, "apiKey": key, "scenario": scenario, "model": model, **more}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(asked).encode() + b"\n")
        seen: dict[str, Any] = json.loads(await asyncio.wait_for(self.process.stdout.readline(), PATIENCE_S))
        return seen

    async def fail(self, scenario: str, model: str = "mock", *, key: str = KEY) -> dict[str, Any]:
        """The error that it ended with; its message, which is for people, left out."""
        error: dict[str, Any] = (await self.run(scenario, model, key=key))["error"]
        assert error.pop("message")
        return error


@asynccontextmanager
async def client_for_node(script: str, libraries: Path, url: str) -> AsyncIterator[Node]:
    """A script of tests/sdk/node at work, until the block ends."""
    command = ["node", str(SOURCE / f"{script}.mjs"), str(libraries)]
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        yield Node(process, url)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), PATIENCE_S)
