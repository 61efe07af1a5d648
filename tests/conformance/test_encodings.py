"""Encoding is a function of what is said, and what was sent once is the beginning of what is sent next."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.histories import CONVERSATIONS, TARGETS, Target, conversation, encoded, every_encoding, requests
from tests.support.speakers import SPEAKERS
from tests.support.speech import Speaker

ROOT = Path(__file__).parents[2]
PAIRS = [
    pytest.param(speaker, target, id=f"{speaker.dialect} to {name}")
    for speaker in SPEAKERS
    for name, target in TARGETS.items()
]
SEALED = [pytest.param(True, id="echoed whole"), pytest.param(False, id="texts and calls only")]


def test_another_process_encodes_alike() -> None:
    """D3; sets have another order there."""
    command = [sys.executable, "-m", "tests.support.histories"]
    environ = {**os.environ, "PYTHONHASHSEED": "1"}
    other = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=True, timeout=60)

    assert every_encoding() == json.loads(other.stdout)


@pytest.mark.parametrize("sealed", SEALED)
@pytest.mark.parametrize(("speaker", "target"), PAIRS)
def test_a_request_begins_the_next_one(speaker: Speaker, target: Target, sealed: bool) -> None:
    """D4"""
    member = CONVERSATIONS[target.provider.dialect]
    bodies = list(requests(speaker, conversation(speaker, target, sealed=sealed)))
    sent = [json.loads(encoded(speaker, target, body).body)[member] for body in bodies]

    assert len(sent) == 12
    for earlier, later in pairwise(sent):
        assert earlier == later[: len(earlier)]
        assert len(later) > len(earlier)


@pytest.mark.parametrize(("speaker", "target"), PAIRS)
def test_what_is_beside_the_conversation_stays(speaker: Speaker, target: Target) -> None:
    """D4"""
    member = CONVERSATIONS[target.provider.dialect]
    bodies = list(requests(speaker, conversation(speaker, target, sealed=True)))
    sent = [json.loads(encoded(speaker, target, body).body) for body in bodies]
    kept = [{key: value for key, value in each.items() if key != member} for each in sent]

    for earlier, later in pairwise(kept):
        assert earlier == later
