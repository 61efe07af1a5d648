"""The header set of a dispatch, built from nothing."""

from __future__ import annotations

from typing import Final

from modelserver.config import Provider, UpstreamAuth

EVENT_STREAM: Final = "text/event-stream"
JSON: Final = "application/json"
FORWARDED: Final = ("traceparent", "tracestate")
"""The only headers of a client that travel on."""


def upstream_headers(provider: Provider, *, user_agent: str, accept: str, has_body: bool = True) -> dict[str, str]:
    """Every header that a call to the provider carries; the configuration's own win, whatever their case."""
    headers = {"Accept": accept, "Accept-Encoding": "identity", "User-Agent": user_agent}
    if has_body:
        headers["Content-Type"] = JSON
    key = provider.key
    if key is not None:
        match provider.settings.quirks.auth:
            case UpstreamAuth.BEARER:
                headers["Authorization"] = f"Bearer {key.reveal()}"
            case UpstreamAuth.API_KEY:
                headers["api-key"] = key.reveal()
            case UpstreamAuth.X_API_KEY:
                headers["x-api-key"] = key.reveal()
            case UpstreamAuth.X_GOOG_API_KEY:
                headers["x-goog-api-key"] = key.reveal()
            case UpstreamAuth.NONE:
                pass
    for name, value in provider.headers.items():
        for ours in [ours for ours in headers if ours.lower() == name.lower()]:
            del headers[ours]
        headers[name] = value.reveal()
    return headers
