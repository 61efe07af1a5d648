"""The gateway between a client and a provider of any two dialects, without a network and without time.

async with at_work(configured(provider), Scripted(stream(*provider.frames(turn)))) as work:
    caller = begin(work, speaker, Ask())
    assert speaker.read_stream(await caller.body()).text == "Sunny."
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from urllib.parse import urlsplit

from modelserver.dialects.anthropic import ANTHROPIC
from modelserver.dialects.dialect import Dialect
from modelserver.dialects.gemini import GEMINI, GEMINI_ARRAY, split_path
from modelserver.dialects.openai_chat import CHAT
from modelserver.dialects.openai_responses import RESPONSES
from modelserver.errors import GatewayError
from modelserver.gateway.call import Call
from modelserver.ir.types import NOWHERE, Address
from modelserver.policy.principals import LOCAL
from tests.support.scripted import Caller, Work
from tests.support.speech import Ask, Speaker, Step

DIALECTS: Mapping[str, Dialect] = {
    "chat": CHAT,
    "responses": RESPONSES,
    "anthropic": ANTHROPIC,
    "gemini": GEMINI,
    "gemini array": GEMINI_ARRAY,
}
"""By the name of who speaks it."""


def begin(work: Work, speaker: Speaker, ask: Ask, *steps: Step, streamed: bool = True) -> Caller:
    """A call of the model `m`, begun."""
    found = split_path(urlsplit(speaker.path(stream=streamed)).path)
    call = Call(
        id=f"req_{len(work.callers)}",
        dialect=DIALECTS[speaker.dialect],
        wire=json.dumps(speaker.body(ask, *steps, stream=streamed)).encode(),
        principal=LOCAL,
        started_s=work.clock.now_s(),
        address=NOWHERE if found is None else Address(model=found[0], stream=streamed),
    )
    caller = Caller(work.gateway, call)
    work.callers.append(caller)
    return caller


def trouble(speaker: Speaker, error: GatewayError) -> tuple[int, str]:
    """What a client is told of an error before its answer."""
    return speaker.trouble(*DIALECTS[speaker.dialect].encode_error(error, "req_0"))
