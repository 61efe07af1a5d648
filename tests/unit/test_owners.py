"""For whom things were made that providers keep."""

from __future__ import annotations

import pytest

from modelserver.stores.owners import Owners

ALICE = ("alice", "laptop", "openai", "a1")
BOB = ("bob", "phone", "openai", "a1")


def test_an_id_is_its_owners_and_nobody_elses() -> None:
    owners = Owners()
    owners.put("resp_1", ALICE, 0.0)

    assert (owners.holds("resp_1", ALICE, 1.0), owners.holds("resp_1", BOB, 1.0)) == (True, False)
    assert not owners.holds("resp_2", ALICE, 1.0)


def test_an_id_can_not_be_taken_over() -> None:
    owners = Owners()
    owners.put("resp_1", ALICE, 0.0)
    owners.put("resp_1", BOB, 1.0)

    assert (owners.holds("resp_1", ALICE, 2.0), owners.holds("resp_1", BOB, 2.0)) == (True, False)


def test_an_id_is_forgotten_in_time() -> None:
    owners = Owners(max_age_s=10.0)
    owners.put("resp_1", ALICE, 0.0)

    assert (owners.holds("resp_1", ALICE, 9.9), owners.holds("resp_1", ALICE, 10.0)) == (True, False)


def test_an_id_that_was_forgotten_can_be_anybodys() -> None:
    owners = Owners(max_age_s=10.0)
    owners.put("resp_1", ALICE, 0.0)
    owners.put("resp_1", BOB, 10.0)

    assert owners.holds("resp_1", BOB, 11.0)


def test_the_oldest_goes_when_there_are_too_many() -> None:
    owners = Owners(max_ids=2)
    for id in ("r1", "r2", "r1", "r3"):
        owners.put(id, ALICE, 0.0)

    assert [owners.holds(id, ALICE, 1.0) for id in ("r1", "r2", "r3")] == [True, False, True]
    assert len(owners) == 2


@pytest.mark.parametrize("id", ["", "x" * 257], ids=["empty", "too long"])
def test_what_is_no_id_is_not_kept(id: str) -> None:
    owners = Owners()
    owners.put(id, ALICE, 0.0)

    assert len(owners) == 0
