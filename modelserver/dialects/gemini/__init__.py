"""Google Gemini, generateContent and streamGenerateContent."""

from __future__ import annotations

from typing import Final

from modelserver.dialects.codec import Codec
from modelserver.dialects.gemini.answer import GeminiStreamEncoder, encode_response
from modelserver.dialects.gemini.ask import decode_request, split_path
from modelserver.dialects.gemini.errors import decode_error, encode_error, encode_error_event
from modelserver.dialects.gemini.request import encode_request
from modelserver.dialects.gemini.response import decode_response
from modelserver.dialects.gemini.stream import GeminiStreamDecoder
from modelserver.dialects.gemini.vocab import KEEPALIVE_FRAME

__all__ = ["CODEC", "KEEPALIVE_FRAME", "GeminiStreamEncoder", "encode_error", "encode_error_event", "split_path"]

CODEC: Final = Codec(
    decode_request=decode_request,
    encode_request=encode_request,
    decode_response=decode_response,
    decode_error=decode_error,
    stream_decoder=GeminiStreamDecoder,
    encode_response=encode_response,
    stream_encoder=GeminiStreamEncoder,
)
