"""What every form of an answer shares: the response object, its usage, its errors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import orjson

from modelserver.dialects.codec import Writing
from modelserver.dialects.names import derived_id
from modelserver.dialects.openai_responses.vocab import CALL_EXTRAS, CLIENT_CALLS, ERRORS, FAILURE_CODES, STATUSES
from modelserver.errors import GatewayError
from modelserver.ir.parts import Citation, Finish, FinishReason, TokenLogprob, ToolCall
from modelserver.ir.types import Complaint
from modelserver.ir.usage import Usage

KEEPALIVE_FRAME: Final = b": ping\n\n"
BUILTIN_ITEMS: Final = {name: (type_, member) for type_, (name, member) in CLIENT_CALLS.items()}
"""The item by which a client-run tool without a schema is called, and the member that says what it is to do."""


def response_id(writing: Writing) -> str:
    """The id of the answer, of which those of its items are made."""
    return derived_id("resp_", writing.seed, length=40)


def response_object(
    writing: Writing,
    *,
    status: str,
    output: Sequence[dict[str, Any]] = (),
    usage: Usage | None = None,
    reason: str | None = None,
    error: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The response, with what its client asked for repeated as the type demands (`openai.types.responses.Response`)."""
    request, extra = writing.request, writing.request.extra
    ended = status in ("completed", "incomplete", "failed")
    reasoning = request.reasoning.raw if request.reasoning is not None else {}
    response: dict[str, Any] = {
        "id": response_id(writing),
        "object": "response",
        "created_at": writing.created,
        "status": status,
        "error": error,
        "incomplete_details": None if reason is None else {"reason": reason},
        "instructions": extra.get("instructions"),
        "max_output_tokens": request.max_output,
        "model": request.model,
        "output": list(output),
        "parallel_tool_calls": request.parallel_tools is not False,
        "previous_response_id": None,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "service_tier": _tier(writing, usage),
        "store": False,
        "temperature": request.sampling.temperature,
        "text": extra.get("text") or {"format": {"type": "text"}},
        "tool_choice": extra.get("tool_choice") or "auto",
        "tools": extra.get("tools") or [],
        "top_p": request.sampling.top_p,
        "truncation": "disabled",
        "usage": encode_usage(usage) if ended and error is None else None,
        "user": request.identity.user,
        "metadata": dict(request.identity.metadata),
    }
    if error is not None and usage is not None:
        response["usage"] = encode_usage(usage)
    if status == "completed":
        response["completed_at"] = writing.created
    return response


def _tier(writing: Writing, usage: Usage | None) -> str:
    if usage is not None and usage.tier is not None:
        return usage.tier
    return "default" if writing.request.service_tier in (None, "auto") else str(writing.request.service_tier)


def encode_usage(usage: Usage | None) -> dict[str, Any]:
    """The usage; every counter is required in this dialect, so what is not known is 0."""
    usage = usage or Usage()
    inputs: dict[str, Any] = {
        "cached_tokens": usage.cache_read or 0,
        "cache_write_tokens": usage.cache_write or 0,
    }
    return {
        "input_tokens": usage.input or 0,
        "input_tokens_details": inputs,
        "output_tokens": usage.output or 0,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": (usage.input or 0) + (usage.output or 0),
    }


def encode_finish(finish: Finish, *, refused: bool) -> tuple[str, str | None]:
    """`status`, and the reason in `incomplete_details`."""
    if finish.reason is FinishReason.REFUSAL and refused:
        return "completed", None
    return STATUSES[finish.reason]


def encode_failure(error: GatewayError | Complaint) -> dict[str, str]:
    """The `error` of a failed response; only the codes that Codex reads say more than `server_error`.

    The words of an upstream are not repeated: they were not redacted.
    """
    if isinstance(error, Complaint):
        code = "rate_limit_exceeded" if error.status == 429 else "server_error"
        if error.code is not None and error.code in FAILURE_CODES.values():
            code = error.code
        return {"code": code, "message": "The provider failed to finish the answer."}
    message = error.message
    code = FAILURE_CODES.get(error.kind, "server_error")
    if error.retry_after_s is not None and code == "rate_limit_exceeded" and "try again in" not in message:
        message = f"{message} Please try again in {error.retry_after_s}s."
    return {"code": code, "message": message}


def encode_error(error: GatewayError, request_id: str = "") -> tuple[int, bytes]:
    """Status and body of an error that comes before the answer; the request's id is in the headers only."""
    status, type_, code = ERRORS[error.kind]
    fields = {"message": error.message, "type": type_, "param": error.param, "code": error.code or code}
    return status, orjson.dumps({"error": fields})


def encode_error_event(error: GatewayError) -> bytes:
    """The frame of a stream that fails before anything of its answer was written."""
    response = {"object": "response", "status": "failed", "error": encode_failure(error), "output": []}
    event = {"type": "response.failed", "sequence_number": 0, "response": response}
    return b"event: response.failed\ndata: " + orjson.dumps(event) + b"\n\n"


def encode_failed_event(error: GatewayError, *, number: int, response: bytes, output: Iterable[bytes]) -> bytes:
    """The frame that ends a stream which has begun.

    `number` is that of the event. `response` is the text of an object that is not empty, in which the status, the error
    and the output are missing; `output` are the texts of the items.
    """
    failure = orjson.dumps(encode_failure(error))
    said = b',"status":"failed","error":%b,"output":[%b]}' % (failure, b",".join(output))
    event = b'{"type":"response.failed","sequence_number":%d,"response":%b}' % (number, response[:-1] + said)
    return b"event: response.failed\ndata: " + event + b"\n\n"


def encode_annotation(citation: Citation, length: int) -> dict[str, Any] | None:
    """A citation; None for what this dialect has no words for. Without offsets it covers the `length` characters."""
    if citation.url is not None:
        return {
            "type": "url_citation",
            "start_index": 0 if citation.start is None else citation.start,
            "end_index": length if citation.end is None else citation.end,
            "url": citation.url,
            "title": citation.title or citation.url,
        }
    if citation.raw.get("type") in ("file_citation", "container_file_citation", "file_path"):
        return dict(citation.raw)
    return None


def encode_logprobs(tokens: Sequence[TokenLogprob], *, with_bytes: bool) -> list[dict[str, Any]]:
    """Log probabilities; the bytes of tokens stand in the finished part only."""
    return [
        {**_token(token, with_bytes), "top_logprobs": [_token(other, with_bytes) for other in token.top]}
        for token in tokens
    ]


def _token(token: TokenLogprob, with_bytes: bool) -> dict[str, Any]:
    written: dict[str, Any] = {"token": token.token, "logprob": token.logprob}
    if with_bytes:
        data = token.bytes if token.bytes is not None else token.token.encode("utf-8", "surrogatepass")
        written["bytes"] = list(data)
    return written


def is_builtin(call: ToolCall) -> bool:
    """Whether the call has an item of its own kind."""
    return call.kind == "client_builtin" and call.name in BUILTIN_ITEMS


def reasoning_item() -> dict[str, Any]:
    """A reasoning item as it begins."""
    return {"type": "reasoning", "status": "in_progress", "summary": [], "encrypted_content": None}


def text_part(text: str, annotations: Sequence[dict[str, Any]], logprobs: list[dict[str, Any]]) -> dict[str, Any]:
    """A content part of text."""
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs}


def call_item(call: ToolCall, arguments: str, status: str) -> dict[str, Any]:
    """The item of a call."""
    item = {"type": "function_call", "call_id": call.id, "name": call.name}
    if call.kind == "custom":
        item["type"] = "custom_tool_call"
        item["input"] = arguments
    else:
        item["arguments"] = arguments
    if call.namespace is not None:
        item["namespace"] = call.namespace
    item.update((key, call.extra[key]) for key in CALL_EXTRAS if key in call.extra)
    return {**item, "status": status}
