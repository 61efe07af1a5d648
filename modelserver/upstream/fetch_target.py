"""Which URLs may be fetched for a client, and which addresses may be connected to: the guard against SSRF."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final
from urllib.parse import quote, urlsplit

import attrs

from modelserver.errors import InvalidRequest

MAX_URL_CHARS: Final = 8192
MAX_NAME_CHARS: Final = 253
_PORTS: Final = frozenset((443, 80))
_UNSAFE: Final = re.compile(r"[\x00-\x20\x7f\\]")
_NETLOC: Final = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^][:@%/]+))(?::(?P<port>[0-9]{0,5}))?")
_NAME: Final = re.compile(
    r"(?=.{1,253}$)[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?)*"
)
_NUMBER: Final = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
"""A host whose last label is a number is an address in some spelling (WHATWG URL Standard, "ends in a number")."""
_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))

# IANA IPv4 and IPv6 Special-Purpose Address Registries, read 2026-11-24. Written out: what `ipaddress` calls global
# differs between patch releases of Python.
_REFUSED_V4: Final = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this network, unspecified
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT; Alibaba's metadata
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's platform address: metadata at an address that looks public
            "169.254.0.0/16",  # link-local; metadata of most clouds
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments; Oracle's metadata
            "192.0.2.0/24",
            "192.31.196.0/24",
            "192.52.193.0/24",
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "192.175.48.0/24",
            "198.18.0.0/15",
            "198.51.100.0/24",
            "203.0.113.0/24",
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
        ),
    )
)
_GLOBAL_V6: Final = ip_network("2000::/3")
"""All that is global unicast; without it go the unspecified, loopback, mapped, compatible, NAT64, unique-local,
link-local, site-local and multicast ones."""
_REFUSED_V6: Final = tuple(
    map(
        ip_network,
        (
            "2001::/23",  # protocol assignments: Teredo, ORCHID, benchmarking
            "2001:db8::/32",
            "2002::/16",  # 6to4: holds an IPv4 address
            "2620:4f:8000::/48",
            "3fff::/20",
        ),
    )
)


@attrs.frozen(kw_only=True, slots=True)
class Target:
    """A URL taken apart; only from here it is read, so that what was checked is what is asked."""

    tls: bool
    host: str
    """A name in lower-case ASCII, or a literal address in its canonical spelling."""
    is_literal: bool
    port: int
    path: str
    """With the query; ASCII."""

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


def read_target(url: str, *, http: bool) -> Target:
    """What a client's URL names; `http` allows that scheme too.

    Raises:
        InvalidRequest: It may not be fetched; the message is the end of a sentence and names the host at most.
    """
    if len(url) > MAX_URL_CHARS or _UNSAFE.search(url):
        raise InvalidRequest("the URL is not valid")
    try:
        url.encode()
        parts = urlsplit(url)
    except ValueError:
        raise InvalidRequest("the URL is not valid") from None
    if parts.scheme != "https" and not (http and parts.scheme == "http"):
        raise InvalidRequest("only https URLs are fetched")
    if "@" in parts.netloc:
        raise InvalidRequest("the URL must not hold credentials")
    found = _NETLOC.fullmatch(parts.netloc)
    if found is None:
        raise InvalidRequest("the URL is not valid")
    host, is_literal = _literal(found["six"]) if found["six"] else _name(found["name"])
    tls = parts.scheme == "https"
    port = int(found["port"] or (443 if tls else 80))
    if port not in _PORTS:
        raise InvalidRequest(f"host {host} is asked at port 443 or 80 only")
    path = quote(f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/", safe=_VISIBLE)
    return Target(tls=tls, host=host, is_literal=is_literal, port=port, path=path)


def is_public(address: str) -> bool:
    """Whether an address is one of the public internet: no other may be reached on behalf of a client."""
    if "%" in address:  # a scope: link-local
        return False
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv4Address):
        return not any(parsed in network for network in _REFUSED_V4)
    return parsed in _GLOBAL_V6 and not any(parsed in network for network in _REFUSED_V6)


def _literal(text: str) -> tuple[str, bool]:
    try:
        return str(IPv6Address(text)), True
    except ValueError:
        raise InvalidRequest("the URL is not valid") from None


def _name(text: str) -> tuple[str, bool]:
    """The host and whether it is an address: `127.1`, `0x7f000001` and their like are no spelling that is taken."""
    try:
        # The codec takes quadratic time; its own spelling of digits and dots (１２７。0) is what is looked at below.
        name = text if text.isascii() else text[:MAX_NAME_CHARS].encode("idna").decode()
    except UnicodeError:
        raise InvalidRequest("the URL is not valid") from None
    name = name.lower().removesuffix(".")
    if len(text) > MAX_NAME_CHARS + 1 or not _NAME.fullmatch(name):
        raise InvalidRequest("the URL is not valid")
    if not _NUMBER.fullmatch(name):
        return name, False
    try:
        return str(IPv4Address(name)), True
    except ValueError:
        raise InvalidRequest(f"host {name} is not allowed") from None
