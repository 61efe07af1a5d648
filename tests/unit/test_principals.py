"""Who may call: what a key, its user and its group add up to."""

from __future__ import annotations

from datetime import date

import pytest

from modelserver.config import Config, Group, Key, Limits, Model, User
from modelserver.policy.principals import LOCAL, Directory, Principal

LIMITS = Limits(rpm=5)
DIGEST = "d" * 64


def config(key: Key, *, user: User | None = None, group: Group | None = None) -> Config:
    default_group, default_user = Group(name="default"), User(name="default")
    user, group = user or default_user, group or default_group
    return Config(
        groups={"default": default_group, group.name: group},
        users={"default": default_user, user.name: user},
        keys=(key,),
    )


def found(directory: Directory, digest: str = DIGEST) -> Principal:
    principal = directory.find(digest)
    assert principal is not None
    return principal


def model(model_id: str, *tags: str) -> Model:
    return Model(model_id=model_id, provider="p", target=model_id, tags=tags)


def test_a_key_is_found_by_its_digest() -> None:
    key = Key(name="laptop", hash=DIGEST, user="alice", expires=date(2027, 1, 31))
    principal = found(Directory(config(key, user=User(name="alice", group="friends"), group=Group(name="friends"))))

    assert (principal.key, principal.user, principal.group) == ("laptop", "alice", "friends")
    assert principal.expires == date(2027, 1, 31)


@pytest.mark.parametrize("digest", ["", "e" * 64, "d" * 63, "D" * 64, "laptop"])
def test_nothing_else_is_found(digest: str) -> None:
    assert Directory(config(Key(name="laptop", hash=DIGEST))).find(digest) is None


def test_a_key_that_says_nothing_is_of_the_default_user_and_group() -> None:
    principal = found(Directory(config(Key(name="a", hash=DIGEST))))

    assert (principal.user, principal.group) == ("default", "default")


def test_every_key_is_counted() -> None:
    keys = tuple(Key(name=f"k{number}", hash=f"{number:064}") for number in range(5))

    assert (
        len(
            Directory(
                Config(groups={"default": Group(name="default")}, users={"default": User(name="default")}, keys=keys)
            )
        )
        == 5
    )


SCOPES = [
    pytest.param(None, None, None, [], id="no limit"),
    pytest.param(LIMITS, None, None, [("group", "g")], id="of the group"),
    pytest.param(None, LIMITS, None, [("user", "u")], id="of the user"),
    pytest.param(None, None, LIMITS, [("key", "k")], id="of the key"),
    pytest.param(LIMITS, LIMITS, LIMITS, [("group", "g"), ("user", "u"), ("key", "k")], id="of all three"),
    pytest.param(Limits(concurrency=1), None, None, [("group", "g")], id="calls at once"),
]


@pytest.mark.parametrize(("of_group", "of_user", "of_key", "expected"), SCOPES)
def test_limits_come_from_group_user_and_key(
    of_group: Limits | None, of_user: Limits | None, of_key: Limits | None, expected: list[tuple[str, str]]
) -> None:
    principal = found(
        Directory(
            config(
                Key(name="k", hash=DIGEST, user="u", limits=of_key or Limits()),
                user=User(name="u", group="g", limits=of_user or Limits()),
                group=Group(name="g", limits=of_group or Limits()),
            )
        )
    )

    assert expected == [(scope.kind, scope.name) for scope in principal.scopes]


ALLOWED = [
    pytest.param(None, None, None, ["a1", "a2", "b1"], id="no list allows everything"),
    pytest.param(("a*",), None, None, ["a1", "a2"], id="the group narrows"),
    pytest.param(None, ("a*",), None, ["a1", "a2"], id="the user narrows"),
    pytest.param(None, None, ("a*",), ["a1", "a2"], id="the key narrows"),
    pytest.param(("a*",), ("*1",), None, ["a1"], id="group and user"),
    pytest.param(("a*",), None, ("*",), ["a1", "a2"], id="the key can't widen the group"),
    pytest.param(("*",), ("a*",), ("b*",), [], id="lists that share nothing"),
    pytest.param(("tag:cheap",), None, ("!a1",), ["b1"], id="tags and exclusions"),
    pytest.param((), None, ("*",), [], id="an empty list allows nothing"),
]


@pytest.mark.parametrize(("of_group", "of_user", "of_key", "expected"), ALLOWED)
def test_lists_of_models_only_narrow(
    of_group: tuple[str, ...] | None,
    of_user: tuple[str, ...] | None,
    of_key: tuple[str, ...] | None,
    expected: list[str],
) -> None:
    principal = found(
        Directory(
            config(
                Key(name="k", hash=DIGEST, user="u", models=of_key),
                user=User(name="u", group="g", models=of_user),
                group=Group(name="g", models=of_group),
            )
        )
    )
    models = [model("a1", "cheap"), model("a2"), model("b1", "cheap")]

    assert expected == [each.model_id for each in models if principal.allows(each.model_id, each)]


def test_an_entry_that_is_a_pattern_is_judged_by_the_concrete_id() -> None:
    principal = found(Directory(config(Key(name="k", hash=DIGEST, models=("ollama/llama*",)))))
    pattern = model("ollama/*")

    assert principal.allows("ollama/llama3", pattern)
    assert not principal.allows("ollama/qwen3", pattern)


def test_who_has_no_key_is_of_the_default_user() -> None:
    directory = Directory(
        config(Key(name="k", hash=DIGEST), group=Group(name="default", models=("a*",), limits=LIMITS))
    )

    assert (
        directory.anonymous.key,
        directory.anonymous.user,
        directory.anonymous.group,
    ) == (None, "default", "default")
    assert not directory.anonymous.allows("b1", model("b1"))


def test_keys_with_one_list_share_one_rule() -> None:
    keys = tuple(Key(name=f"k{number}", hash=f"{number:064}", models=("a*", "b*")) for number in range(2))
    directory = Directory(
        Config(groups={"default": Group(name="default")}, users={"default": User(name="default")}, keys=keys)
    )

    assert found(directory, keys[0].hash).rules[0] is found(directory, keys[1].hash).rules[0]


def test_the_local_caller_has_no_limits() -> None:
    assert (LOCAL.key, LOCAL.user, LOCAL.rules, LOCAL.scopes) == (None, "local", (), ())
    assert LOCAL.allows("anything", model("anything"))
