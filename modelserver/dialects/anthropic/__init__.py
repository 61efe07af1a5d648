"""Anthropic Messages."""

from __future__ import annotations

from typing import Final

from modelserver.dialects.anthropic.client_request import decode_request
from modelserver.dialects.anthropic.request import encode_request
from modelserver.dialects.anthropic.response import decode_error, decode_response
from modelserver.dialects.anthropic.stream import AnthropicStreamDecoder
from modelserver.dialects.anthropic.stream_writing import AnthropicStreamEncoder
from modelserver.dialects.anthropic.writing import encode_error, encode_error_event, encode_response
from modelserver.dialects.codec import Codec

__all__ = ["CODEC", "encode_error", "encode_error_event"]

CODEC: Final = Codec(
    decode_request=decode_request,
    encode_request=encode_request,
    decode_response=decode_response,
    decode_error=decode_error,
    stream_decoder=AnthropicStreamDecoder,
    encode_response=encode_response,
    stream_encoder=AnthropicStreamEncoder,
)
