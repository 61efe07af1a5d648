"""Addresses: where to listen, what a base URL may be, what counts as this machine."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PORT = re.compile(r"[0-9]{1,5}")
_HOST_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9_.])?")
_VISIBLE = re.compile(r"[\x21-\x7e]+")
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")
OLLAMA_PORT = 11434
_CALLS = ("/chat/completions", "/responses", "/v1/messages")
"""How the path of a call ends, which is no base URL."""


def parse_listen(text: str) -> tuple[str, int]:
    """Host and port of `host:port`, `[::1]:8400` or `:8400`; the host is "" for all interfaces.

    Port 0 lets the system choose one.

    Raises:
        ValueError: It is none of these; worded for the person who wrote it.
    """
    host, colon, port = text.rpartition(":")
    if not colon or not _PORT.fullmatch(port) or int(port) > 65_535:
        raise ValueError('must be "host:port", "[::1]:8400", or ":8400" for all interfaces')
    if host.startswith("[") and host.endswith("]"):
        inner = host[1:-1]
        if not _is_ipv6(inner):
            raise ValueError("holds no IPv6 address between the brackets")
        return inner, int(port)
    if ":" in host:
        raise ValueError('must have its IPv6 address in brackets, like "[::1]:8400"')
    if host and not _HOST_NAME.fullmatch(host):
        raise ValueError('must be "host:port" with the name or address of this machine')
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host name or address; "" (all interfaces) is not one."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def parse_url(text: str) -> SplitResult:
    """An http or https URL with a host and without credentials, query and fragment; its path has no trailing slash.

    Raises:
        ValueError: It is something else; worded for the person who wrote it and without the text, which may hold
            a secret.
    """
    parts = _split_http(text)
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold credentials: they belong in key or headers")
    if "?" in text or "#" in text:
        raise ValueError("must not have a query or a fragment")
    return parts._replace(scheme=parts.scheme.lower(), netloc=parts.netloc.lower(), path=parts.path.rstrip("/"))


def parse_public_url(text: str) -> str:
    """The URL without a trailing slash.

    Raises:
        ValueError: As `parse_url`.
    """
    return parse_url(text).geturl()


def parse_base_url(text: str, *, known: str = "", version: str = "/v1", completes: tuple[str, ...] = ("",)) -> str:
    """The address below which the paths of a dialect stand, without a trailing slash.

    Where the path is one of `completes` (as a rule the empty one), it becomes `version`; on the host of `known`, the
    address that a preset knows, it becomes the path of that.

    Raises:
        ValueError: As `parse_url`, or it holds the path of a call too.
    """
    parts = parse_url(text)
    for path in _CALLS:
        if parts.path.endswith(path):
            raise ValueError(f"must end before {path}")
    if parts.path in completes:
        known_parts = urlsplit(known)
        path = known_parts.path if parts.netloc == known_parts.netloc else version
        parts = parts._replace(path=path)
    return parts.geturl()


def parse_ollama_host(text: str) -> str:
    """The base URL that OLLAMA_HOST means: `host`, `host:port`, `:port` or a URL; an address of all interfaces is ours.

    Raises:
        ValueError: It is none of these; worded without the text.
    """
    scheme, separator, rest = text.strip().partition("://")
    if not separator:
        scheme, rest = "http", text.strip()
    authority, slash, path = rest.partition("/")
    if _is_ipv6(authority.strip("[]")):
        authority = f"[{authority.strip('[]')}]"
    if authority.startswith(":") or not authority:
        authority = f"127.0.0.1{authority}"
    if not separator and not re.search(r":[0-9]+$", authority.rpartition("]")[2]):
        authority = f"{authority}:{OLLAMA_PORT}"
    authority = re.sub(r"^0\.0\.0\.0(?=:|$)", "127.0.0.1", authority)
    authority = re.sub(r"^\[::\](?=:|$)", "[::1]", authority)
    return parse_base_url(f"{scheme}://{authority}{slash}{path}")


def check_proxy(text: str) -> None:
    """Nothing, for the URL of an HTTP proxy, credentials allowed.

    Raises:
        ValueError: It is something else; worded without the text, which may hold a secret.
    """
    parts = _split_http(text)
    if parts.path not in ("", "/") or "?" in text or "#" in text:
        raise ValueError('must be a proxy like "http://user:password@host:3128", without path, query and fragment')


def parse_origin(text: str) -> str:
    """The origin as browsers send it, lower-case.

    Raises:
        ValueError: It is no origin; worded for the person who wrote it.
    """
    origin = text.lower()
    if not _ORIGIN.fullmatch(origin):
        raise ValueError('must be an origin like "https://app.example.org", without a path')
    scheme, _, rest = origin.partition("://")
    if scheme in _DEFAULT_PORTS:  # browsers leave the default port out
        origin = origin.removesuffix(f":{_DEFAULT_PORTS[scheme]}") if ":" in rest else origin
    return origin


def is_own_address(url: str, *, host: str, port: int, public_url: str | None) -> bool:
    """Whether a base URL leads back to where this server listens (or to its public address)."""
    parts = urlsplit(url)
    url_host, url_port = parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme)
    if public_url is not None:
        public = urlsplit(public_url)
        if (public.hostname, public.port or _DEFAULT_PORTS.get(public.scheme)) == (url_host, url_port):
            return True
    if url_port != port:
        return False
    return url_host == host.lower() or (_is_this_machine(url_host) and _is_this_machine(host))


def _is_this_machine(host: str) -> bool:
    return host in ("", "0.0.0.0", "::") or is_loopback(host)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _split_http(text: str) -> SplitResult:
    wanted = "must be an http:// or https:// URL"
    if not _VISIBLE.fullmatch(text) or "\\" in text:
        raise ValueError(f"{wanted} of ASCII characters without spaces")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"{wanted} with a valid host and port") from None
    if parts.scheme.lower() not in _DEFAULT_PORTS or not parts.hostname:
        raise ValueError(f"{wanted} with a host")
    if port == 0 or (not _is_ipv6(parts.hostname) and not _HOST_NAME.fullmatch(parts.hostname)):
        raise ValueError(f"{wanted} with a valid host and port")
    return parts
