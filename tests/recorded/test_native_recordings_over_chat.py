"""What Claude, Gemini and OpenAI Responses were recorded to answer reaches a Chat client through the running server."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from modelserver.config import Config, parse_config
from modelserver.stores.keyfile import digest
from tests.support.front import KEY, Answer, front
from tests.support.native_recordings import ABSENT, Native, load
from tests.support.recordings import WAYS, answer_steps, cases, cut
from tests.support.upstream import RawUpstream

EVERY_CUT = [*WAYS[1:2], *(f"random {seed}" for seed in range(8))]

Told = Mapping[str, Any]


RECORDINGS = load(("anthropic", "gemini", "responses"))
OK = {name: one for name, one in RECORDINGS.items() if one.played.status == 200}
ERRORS = {name: one for name, one in RECORDINGS.items() if one.played.status != 200}


def configured(url: str, one: Native) -> Config:
    return parse_config(
        f"""
[defaults]
retries = 0
[providers.native]
base_url = "{url}"
key = "native-secret-0123456789"
speaks = ["{one.dialect}"]
[[models]]
model_id = "m"
route = {json.dumps(f"native/{one.played.model}")}
[[keys]]
name = "alice"
hash = "sha256:{digest(KEY)}"
"""
    )


async def play(one: Native, pieces: Sequence[bytes], **asked: Any) -> Answer:
    async with RawUpstream() as upstream, front(configured(upstream.url, one)) as server:
        upstream.script(*answer_steps(one.played, pieces))
        return await server.chat(**asked)


async def told(one: Native, pieces: Sequence[bytes], *, stream: bool) -> Told:
    """What a client is told, in one form for whole answers and streams; each is checked with the official types."""
    if not stream:
        answer = await play(one, pieces)
        if answer.status != 200:
            return {"status": answer.status, "error": answer.json()["error"]}
        whole = ChatCompletion.model_validate_json(answer.body, strict=True)
        (choice,) = whole.choices
        calls = [each.model_dump() for each in choice.message.tool_calls or ()]
        return {
            "text": choice.message.content or "",
            "calls": [(each["type"], each[each["type"]]) for each in calls],
            "finish": choice.finish_reason,
            "usage": whole.usage and whole.usage.to_dict(),
            "model": whole.model,
        }
    answer = await play(one, pieces, stream=True, stream_options={"include_usage": True})
    if answer.status != 200:
        return {"status": answer.status, "error": answer.json()["error"]}
    return gathered(answer.body)


def gathered(body: bytes) -> Told:
    """A stream's chunks as one answer."""
    frames = [frame for frame in body.decode().split("\n\n") if frame and not frame.startswith(":")]
    if '"error"' in frames[-1]:
        return {"status": 200, "error": json.loads(frames[-1].removeprefix("data: "))["error"]}
    assert frames.pop() == "data: [DONE]"
    chunks = [ChatCompletionChunk.model_validate_json(frame.removeprefix("data: "), strict=True) for frame in frames]
    last = chunks.pop() if chunks[-1].choices == [] else None
    text, finishes, calls = "", list[str](), dict[int, Any]()
    for chunk in chunks:
        (choice,) = chunk.choices
        assert not finishes
        text += choice.delta.content or ""
        if choice.finish_reason:
            finishes.append(choice.finish_reason)
        for piece in choice.delta.tool_calls or ():
            add(calls, piece.model_dump())
    (finish,) = finishes
    assert len({chunk.id for chunk in (*chunks, last or chunks[0])}) == 1
    usage = last and last.usage
    said = [(each["type"], each[each["type"]]) for _, each in sorted(calls.items())]
    return {
        "text": text,
        "calls": said,
        "finish": finish,
        "usage": usage and usage.to_dict(),
        "model": chunks[-1].model,
    }


def add(calls: dict[int, Any], piece: dict[str, Any]) -> None:
    if piece["index"] not in calls:
        assert piece["id"]
        kind = piece["type"]
        calls[piece["index"]] = {"type": kind, kind: {**piece[kind]}}
        return
    call = calls[piece["index"]]
    word = "arguments" if call["type"] == "function" else "input"
    call[call["type"]][word] += piece[call["type"]][word]


def words(one: Native) -> list[str]:
    """Why the provider says that it ended, in its own words."""
    found: list[str | None] = []
    for obj in one.objects:
        match one.dialect:
            case "anthropic":
                found += [obj.get("stop_reason"), (obj.get("delta") or {}).get("stop_reason")]
            case "gemini":
                found += [f"prompt {(obj.get('promptFeedback') or {}).get('blockReason')}"]
                found += [str(each.get("finishReason")) for each in obj.get("candidates") or ()]
            case _:
                answer = obj.get("response") or obj
                found += [(answer.get("incomplete_details") or {}).get("reason"), answer.get("status")]
    return [word for word in found if word and not word.endswith("None") and word not in ("in_progress", "queued")]


CLIENT_RUN = {"function_call", "custom_tool_call", "apply_patch_call", "shell_call"}


def has_calls(one: Native) -> bool:
    match one.dialect:
        case "gemini":
            pieces = [each.get("content") or {} for obj in one.objects for each in obj.get("candidates") or ()]
            return any("functionCall" in part for piece in pieces for part in piece.get("parts") or ())
        case "responses":
            last = one.objects[-1]
            kinds = [item["type"] for item in (last.get("response") or last)["output"]]
            return not CLIENT_RUN.isdisjoint(kinds)
    return False  # it says so itself


FINISHES = {
    **dict.fromkeys(("end_turn", "stop_sequence", "STOP", "1", "completed", "complete"), "stop"),
    "tool_use": "tool_calls",
    "UNEXPECTED_TOOL_CALL": "stop",
    **dict.fromkeys(("max_tokens", "MAX_TOKENS", "max_output_tokens"), "length"),
    **dict.fromkeys(("refusal", "SAFETY", "MODEL_ARMOR", "RECITATION", "content_filter"), "content_filter"),
    "prompt SAFETY": "content_filter",
    "prompt FAKE_NEW_BLOCK_REASON": "content_filter",
}


def expected_finish(one: Native) -> str:
    """The table of finish reasons; calls count where the dialect has no word for them."""
    said = words(one)
    word = next((each for each in said if each in ("max_output_tokens", "RECITATION")), said[-1])
    finish = FINISHES[word]
    return "tool_calls" if finish == "stop" and has_calls(one) and word != "UNEXPECTED_TOOL_CALL" else finish


def reports(one: Native) -> dict[str, int]:
    """Every count that the provider named; of several reports the last one that has it."""
    merged: dict[str, Any] = {}
    for obj in one.objects:
        inner = obj.get("message") if one.dialect == "anthropic" else obj.get("response")
        for holder in (obj, inner or {}):
            usage = holder.get("usage") or holder.get("usageMetadata") or {}
            merged |= {key: value for key, value in usage.items() if value is not None}
    return merged


def expected_totals(one: Native) -> tuple[int, int] | None:
    """All of the prompt and all of the completion, by the table of counts; None without a report."""
    said = reports(one)
    sums = {
        "anthropic": (
            ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"),
            ("output_tokens",),
        ),
        "gemini": (
            ("promptTokenCount", "toolUsePromptTokenCount"),
            ("candidatesTokenCount", "thoughtsTokenCount"),
        ),
        "responses": (("input_tokens",), ("output_tokens",)),
    }[one.dialect]
    if not said:
        return None
    prompt, completion = (sum(said.get(name, 0) for name in names) for names in sums)
    return prompt, completion


FAILURES = {
    "spliced-message-start": (502, "upstream_invalid_response"),
    "streaming-failure-invalid-json": (502, "upstream_error"),
    "responses-mid-stream-error": (502, "upstream_error"),
    "background-mode-reasoning": (502, "upstream_invalid_response"),
    "background-mode-streaming-without": (502, "upstream_invalid_response"),
}
"""Status 200, and yet no answer."""
CONTINUED = [name for name, one in OK.items() if words(one)[-1:] == ["pause_turn"]]
"""The gateway asks for the rest, which is not recorded."""
BROKEN = {name: mark for name in OK for mark in FAILURES if mark in name}
ANSWERS = {name: one for name, one in OK.items() if name not in BROKEN and name not in CONTINUED}
COUNTED = {name: one for name, one in ANSWERS.items() if "iterations" not in reports(one)}

INVALID, SERVER = "invalid_request_error", "server_error"
KEY_REFUSED = (502, SERVER, "upstream_auth_error", None)
BY_STATUS = {
    400: (400, INVALID, None, None),
    401: KEY_REFUSED,
    403: KEY_REFUSED,
    404: (404, INVALID, "model_not_found", "model"),
    429: (429, "rate_limit_error", "rate_limit_exceeded", None),
    500: (502, SERVER, "upstream_error", None),
    504: (504, SERVER, "upstream_timeout", None),
}
BY_TEXT = {
    "API key not valid": KEY_REFUSED,
    "this-model-does-not-exist-12345' does not exist": (400, INVALID, "model_not_found", "model"),
    "exceeds the context window": (400, INVALID, "context_length_exceeded", "input"),
    "No tool output found": (400, INVALID, "invalid_request_error", None),
}
"""What a status of 400 means besides."""


def check(one: Native, said: Told) -> None:
    assert said["finish"] == expected_finish(one)
    assert bool(said["calls"]) == (said["finish"] == "tool_calls" or words(one)[-1:] == ["UNEXPECTED_TOOL_CALL"])
    for kind, call in said["calls"]:
        assert call["name"]
        assert kind == "custom" or isinstance(json.loads(call["arguments"]), dict)


@pytest.mark.parametrize("name", cases(ANSWERS, ABSENT))
async def test_a_recorded_answer_has_the_official_shape_and_finish(name: str) -> None:
    one = ANSWERS[name]

    check(one, await told(one, cut(one.played.body, "whole"), stream=one.played.stream))


@pytest.mark.parametrize("name", cases([name for name, one in ANSWERS.items() if not one.played.stream], ABSENT))
async def test_a_whole_answer_to_who_wants_a_stream_says_the_same(name: str) -> None:
    one = ANSWERS[name]
    pieces = cut(one.played.body, "whole")

    whole, streamed = await told(one, pieces, stream=False), await told(one, pieces, stream=True)

    assert whole == streamed


@pytest.mark.parametrize("name", cases(COUNTED, ABSENT))
async def test_the_usage_of_a_recorded_answer_includes_everything(name: str) -> None:
    one = COUNTED[name]

    usage = (await told(one, cut(one.played.body, "whole"), stream=one.played.stream))["usage"]

    if expected_totals(one) is None:
        assert usage is None
        return
    assert expected_totals(one) == (usage["prompt_tokens"], usage["completion_tokens"])
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    for side in ("prompt", "completion"):
        parts = usage.get(f"{side}_tokens_details") or {}
        assert all(0 <= count <= usage[f"{side}_tokens"] for count in parts.values())


@pytest.mark.deep
@pytest.mark.parametrize("way", EVERY_CUT)
@pytest.mark.parametrize("name", cases(ANSWERS, ABSENT))
async def test_a_recorded_answer_says_the_same_however_it_is_cut(name: str, way: str) -> None:
    one = ANSWERS[name]
    kind, _, seed = way.partition(" ")
    body, stream = one.played.body, one.played.stream

    whole = await told(one, cut(body, "whole"), stream=stream)

    assert whole == await told(one, cut(body, kind, int(seed or 0)), stream=stream)


@pytest.mark.parametrize("name", cases([name for name, one in ANSWERS.items() if one.played.stream], ABSENT, every=4))
async def test_a_recorded_stream_says_the_same_cut_at_random_places(name: str) -> None:
    one = ANSWERS[name]

    whole = await told(one, cut(one.played.body, "whole"), stream=True)

    assert whole == await told(one, cut(one.played.body, "random"), stream=True)


@pytest.mark.parametrize("name", cases(BROKEN, ABSENT))
async def test_what_is_no_answer_is_an_error_although_its_status_is_200(name: str) -> None:
    one = OK[name]

    said = await told(one, cut(one.played.body, "whole"), stream=one.played.stream)

    assert (said["status"], said["error"]["code"]) == FAILURES[BROKEN[name]]
    assert list(said["error"]) == ["message", "type", "param", "code"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
@pytest.mark.parametrize("name", cases(ERRORS, ABSENT))
async def test_a_recorded_error_has_our_envelope_D95(name: str, stream: bool) -> None:
    one = ERRORS[name]
    text = one.played.body.decode()
    expected = next((said for mark, said in BY_TEXT.items() if mark in text), BY_STATUS[one.played.status])

    answer = await play(one, cut(one.played.body, "whole"), stream=stream)

    assert expected == answer.error()


@pytest.mark.skipif(not RECORDINGS, reason=ABSENT)
def test_the_recordings_hold_what_is_looked_for() -> None:
    assert (len(ANSWERS) > 270, len(ERRORS) > 30, len(BROKEN), len(CONTINUED)) == (True, True, 5, 1)
