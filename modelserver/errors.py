"""What can go wrong, as values that every layer shares.

    GatewayError
    ├── InvalidRequest          400  the client's body or query is wrong
    │   ├── Unsupported              … understood, but not offered here
    │   ├── ContextLengthExceeded    … longer than the model's window
    │   └── ContentPolicy            … refused by the provider's policy
    ├── NotAuthenticated        401  no key, or a wrong one
    ├── PermissionDenied        403  foreign Host or Origin under `open`
    ├── NotFound                404  unknown model or path
    ├── MethodNotAllowed        405
    ├── SlowBody                408  the request body did not arrive in time
    ├── BodyTooLarge            413
    ├── UnsupportedEncoding     415
    ├── RateLimited             429  the caller's own limits, or the provider's
    ├── ClientLeft              499  nobody is there to be answered
    ├── InternalError           500  our bug
    ├── UpstreamFailed          502  the provider answered wrongly, or not at all
    │   └── StreamBroken             … after its stream had begun
    ├── UpstreamOverloaded      503  the provider is too busy
    ├── Unavailable             503  no provider key, queue full, draining
    └── UpstreamTimeout         504  the provider was too slow
        └── UpstreamConnectTimeout   … even to connect

The statuses stand here for orientation; dialects own the table that maps kinds to them.
"""

from __future__ import annotations

import enum
from typing import ClassVar


class ErrorKind(enum.Enum):
    """The neutral kind of a failure; each dialect has a word and a status for every one."""

    INVALID = "invalid"
    UNSUPPORTED = "unsupported"
    CONTEXT_LENGTH = "context_length"
    CONTENT_POLICY = "content_policy"
    AUTH = "auth"
    BILLING = "billing"
    PERMISSION = "permission"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    TOO_LARGE = "too_large"
    RATE_LIMIT = "rate_limit"
    TIMEOUT = "timeout"
    OVERLOADED = "overloaded"
    SERVER = "server"
    UPSTREAM = "upstream"
    UNAVAILABLE = "unavailable"
    METHOD = "method"
    ENCODING = "encoding"
    SLOW_BODY = "slow_body"
    CANCELLED = "cancelled"


class GatewayError(Exception):
    """A failure worded for the person who can act on it.

    Attributes:
        message: What, where and what to do next; never a secret or a foreign exception's text.
        param: Path of the offending field as the client wrote it (`messages[2].content`), or None.
        code: A word of the dialect's error table that narrows the kind, or None for the kind's own.
        retry_after_s: Whole seconds after which a retry makes sense, or None.
        close: The connection can't be used again (the request was not read to its end).
    """

    kind: ClassVar[ErrorKind] = ErrorKind.SERVER
    close: bool = False

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s


class InvalidRequest(GatewayError):
    """The request is malformed; `param` names the field."""

    kind = ErrorKind.INVALID


class Unsupported(InvalidRequest):
    """The request is well formed but asks for what is not offered here."""

    kind = ErrorKind.UNSUPPORTED


class ContextLengthExceeded(InvalidRequest):
    """The prompt does not fit into the model's window."""

    kind = ErrorKind.CONTEXT_LENGTH


class ContentPolicy(InvalidRequest):
    """The provider refused the content of the request."""

    kind = ErrorKind.CONTENT_POLICY


class NotAuthenticated(GatewayError):
    """No key, or one that this server does not know."""

    kind = ErrorKind.AUTH


class PermissionDenied(GatewayError):
    """The request comes from a place that may not call this server."""

    kind = ErrorKind.PERMISSION


class NotFound(GatewayError):
    """There is no such model or path, or not for this caller."""

    kind = ErrorKind.NOT_FOUND


class MethodNotAllowed(GatewayError):
    """The path exists, the method does not.

    Attributes:
        allowed: The methods that the path has.
    """

    kind = ErrorKind.METHOD
    allowed: tuple[str, ...] = ()


class SlowBody(GatewayError):
    """The request body stopped coming."""

    kind = ErrorKind.SLOW_BODY
    close = True


class BodyTooLarge(GatewayError):
    """The request body is over the limit; it was not read."""

    kind = ErrorKind.TOO_LARGE
    close = True


class UnsupportedEncoding(GatewayError):
    """The request body has a content coding; it was not read."""

    kind = ErrorKind.ENCODING
    close = True


class RateLimited(GatewayError):
    """A rate or concurrency limit, ours or the provider's, is reached.

    Attributes:
        limit: The requests per minute that were used up; None where another limit, or the provider's, is reached.
    """

    kind = ErrorKind.RATE_LIMIT
    limit: int | None = None


class ClientLeft(GatewayError):
    """The client closed its connection before the answer was complete."""

    kind = ErrorKind.CANCELLED
    close = True


class InternalError(GatewayError):
    """A bug of this program; the message holds the request id and nothing else."""

    kind = ErrorKind.SERVER


class UpstreamFailed(GatewayError):
    """The provider answered wrongly, broke off, or could not be reached.

    `code` is one of `upstream_error`, `upstream_unreachable`, `upstream_invalid_response`, `upstream_too_large`,
    `upstream_auth_error` (it refused *our* key), `upstream_quota` (our account there is out of money).
    """

    kind = ErrorKind.UPSTREAM


class StreamBroken(UpstreamFailed):
    """A stream that had begun ended before the answer was complete, or went on with what is no answer.

    It is not asked for again: what it held has been generated, and may have been billed.
    """


class UpstreamOverloaded(GatewayError):
    """The provider says that it is too busy."""

    kind = ErrorKind.OVERLOADED


class Unavailable(GatewayError):
    """This server can't serve the call now: `no_provider_key`, `queue_full` or `draining`."""

    kind = ErrorKind.UNAVAILABLE


class UpstreamTimeout(GatewayError):
    """The provider did not answer within the configured time."""

    kind = ErrorKind.TIMEOUT


class UpstreamConnectTimeout(UpstreamTimeout):
    """No connection to the provider came about within the configured time."""
