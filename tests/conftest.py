"""What holds for every test: no network beyond this machine, nobody's real keys, and how long properties are tried."""

from __future__ import annotations

import gc
import ipaddress
import os
import socket
import sys
from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import settings

from modelserver.config.presets import PRESETS

settings.register_profile("fast", deadline=None, max_examples=50, derandomize=True)
settings.register_profile("deep", deadline=None, max_examples=2_000)
settings.load_profile("fast")  # --hypothesis-profile=deep is read after this

# Providers that whoever runs the tests has set up, and proxies, which clients would use even for this machine.
_PROVIDERS = {name for preset in PRESETS.values() for name in (*preset.key_names, preset.url_name) if name}
_PROXIES = {name for proxy in ("http_proxy", "https_proxy", "all_proxy") for name in (proxy, proxy.upper())}
for _name in {*_PROVIDERS, *_PROXIES, "MODELSERVER_CONFIG"}:
    os.environ.pop(_name, None)

_SMALL = 40
"""Cases of one test over recordings that always run."""
_EVERY = 4

_reached: list[str] = []
"""Foreign places that someone tried to reach."""


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True


def _guard(event: str, args: tuple[object, ...]) -> None:
    """Refuse connections to other machines, and questions to a name server."""
    if event == "socket.connect":
        address = args[1]
        if isinstance(address, tuple) and not _is_here(str(address[0])):
            _reached.append(f"{address[0]}:{address[1]}")
            raise OSError(f"Tests reach this machine only, not {address[0]}.")
    elif event == "socket.getaddrinfo":
        host = args[0].decode() if isinstance(args[0], bytes) else args[0]
        if host and host != "localhost" and not _is_address(str(host)):
            if not str(host).endswith(".invalid"):  # RFC 6761: a name that is known not to exist may be looked up
                _reached.append(str(host))
            raise socket.gaierror(socket.EAI_NONAME, "Tests look up no names.")


# An audit hook sees what any library does, and can't be undone by one.
sys.addaudithook(_guard)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sample the matrices over recorded traffic: one case in four runs always, the others when `deep` does."""
    cases = Counter(_function(item) for item in items if _is_recorded(item))
    seen: Counter[str] = Counter()
    for item in items:
        function = _function(item)
        if cases[function] > _SMALL:
            if seen[function] % _EVERY and item.get_closest_marker("deep") is None:
                item.add_marker(pytest.mark.deep)
            seen[function] += 1


def _function(item: pytest.Item) -> str:
    return item.nodeid.partition("[")[0]


def _is_recorded(item: pytest.Item) -> bool:
    return "recorded" in item.path.parts


def pytest_collection_finish() -> None:
    """Keep the garbage collector from walking through thousands of collected tests each time that it runs."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def foreign_places() -> Iterator[list[str]]:
    """Places beyond this machine that the test tried to reach: it fails at its end if any are left, even where the
    code under test took the refusal for an ordinary fault."""
    yield _reached
    reached = _reached.copy()
    _reached.clear()
    assert not reached, f"The test tried to reach {', '.join(reached)}."
