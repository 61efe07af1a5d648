"""The guard around the tests themselves."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest


async def test_a_connection_to_another_machine_is_refused_and_noted(foreign_places: list[str]) -> None:
    with pytest.raises(OSError, match="this machine only"):
        await asyncio.open_connection("192.0.2.1", 80)
    noted = foreign_places.copy()
    foreign_places.clear()

    assert noted == ["192.0.2.1:80"]


def test_a_name_is_not_looked_up_and_noted(foreign_places: list[str]) -> None:
    with pytest.raises(socket.gaierror):
        socket.create_connection(("api.openai.com", 443))
    noted = foreign_places.copy()
    foreign_places.clear()

    assert noted == ["api.openai.com"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_this_machine_can_be_reached(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection((host, server.getsockname()[1])).close()


@pytest.mark.parametrize("name", ["OPENAI_API_KEY", "OPENAI_BASE_URL", "OLLAMA_HOST", "https_proxy"])
def test_the_environment_names_no_provider_and_no_proxy(name: str) -> None:
    assert name not in os.environ
