"""`keys.toml` as a file: what is written, what stays, who can read it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
import sys
import threading
from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import tomli
from hypothesis import given
from hypothesis import strategies as st

from modelserver.stores.keyfile import KeyFile, KeyFileError, digest, dump, new_key


def read(path: Path) -> dict[str, Any]:
    return tomli.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.toml"


def test_a_key_has_the_prefix_and_at_least_160_random_bits() -> None:
    key = new_key()

    assert key.startswith("sk-ms-")
    assert len(key.removeprefix("sk-ms-")) * 6 >= 160


def test_a_key_is_selected_whole_by_a_double_click() -> None:
    keys = [new_key().removeprefix("sk-ms-") for _ in range(300)]

    assert [key for key in keys if not (key[0].isalnum() and key[-1].isalnum())] == []


def test_the_digest_is_sha256_in_lower_case_hexadecimal() -> None:
    assert digest("sk-ms-x") == hashlib.sha256(b"sk-ms-x").hexdigest()


def test_a_new_key_is_stored_by_its_digest_only(path: Path) -> None:
    key = KeyFile(path).add("first", user="alice")

    assert read(path) == {"keys": [{"name": "first", "user": "alice", "hash": f"sha256:{digest(key)}"}]}
    assert key.removeprefix("sk-ms-") not in path.read_text()


def test_a_key_without_user_says_no_user(path: Path) -> None:
    key = KeyFile(path).add("first")

    assert read(path)["keys"] == [{"name": "first", "hash": f"sha256:{digest(key)}"}]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes")
@pytest.mark.parametrize("before", [None, 0o644], ids=["a new file", "a file that others could read"])
def test_only_the_owner_can_read_the_file(path: Path, before: int | None) -> None:
    if before is not None:
        path.write_text("")
        path.chmod(before)

    KeyFile(path).add("first")

    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_nothing_but_the_file_is_left_in_the_directory(path: Path) -> None:
    file = KeyFile(path)
    file.add("first")
    file.ensure_secret()
    file.revoke("first")

    assert [entry.name for entry in path.parent.iterdir()] == ["keys.toml"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = KeyFile(path)
    file.add("first")
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(KeyFileError, match="no space left"):
        file.add("second")

    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["keys.toml"]


def test_the_names_stand_in_the_order_of_the_file(path: Path) -> None:
    file = KeyFile(path)
    for name in ("b", "a", "c"):
        file.add(name)

    assert file.names() == ["b", "a", "c"]


def test_a_missing_file_has_no_names(path: Path) -> None:
    assert KeyFile(path).names() == []


def test_a_revoked_key_is_gone_and_the_others_stay(path: Path) -> None:
    file = KeyFile(path)
    for name in ("a", "b", "c"):
        file.add(name)

    file.revoke("b")

    assert file.names() == ["a", "c"]


def test_the_secret_is_made_once(path: Path) -> None:
    file = KeyFile(path)
    file.ensure_secret()
    made = read(path)["secret"]
    file.add("first")
    file.ensure_secret()

    assert read(path)["secret"] == made
    assert len(made) >= 32


def test_secret_and_keys_come_in_any_order(path: Path) -> None:
    file = KeyFile(path)
    file.add("first")
    file.ensure_secret()
    file.add("second")

    assert list(read(path)) == ["secret", "keys"]
    assert file.names() == ["first", "second"]


REFUSED_NAMES = [
    pytest.param("", id="empty"),
    pytest.param(" a", id="blank before"),
    pytest.param("a ", id="blank after"),
    pytest.param("a\nb", id="line break"),
    pytest.param("a\x1b[31m", id="escape sequence"),
    pytest.param("a" * 101, id="too long"),
]


@pytest.mark.parametrize("name", REFUSED_NAMES)
def test_a_name_that_does_not_print_is_refused(path: Path, name: str) -> None:
    with pytest.raises(KeyFileError):
        KeyFile(path).add(name)

    assert not path.exists()


def test_a_name_is_taken_once(path: Path) -> None:
    file = KeyFile(path)
    file.add("first")
    with pytest.raises(KeyFileError, match="'first'"):
        file.add("first")

    assert file.names() == ["first"]


def test_revoking_an_unknown_name_is_refused(path: Path) -> None:
    KeyFile(path).add("first")

    with pytest.raises(KeyFileError, match="'second'"):
        KeyFile(path).revoke("second")


UNREADABLE = [
    pytest.param(b"keys = [", "line 1", id="not TOML"),
    pytest.param(b"\xff", "UTF-8", id="not UTF-8"),
    pytest.param(b"keys = 3", "list of tables", id="keys is a number"),
    pytest.param(b"keys = ['a']", "list of tables", id="keys is a list of strings"),
    pytest.param(b"[keys]", "list of tables", id="keys is a table"),
]


@pytest.mark.parametrize(("content", "reason"), UNREADABLE)
def test_a_file_that_is_not_understood_is_not_touched(path: Path, content: bytes, reason: str) -> None:
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=reason):
        KeyFile(path).add("first")

    assert path.read_bytes() == content


def test_an_error_does_not_quote_the_file(path: Path) -> None:
    path.write_text("secret = topsecret")

    with pytest.raises(KeyFileError) as caught:
        KeyFile(path).names()

    assert "topsecret" not in str(caught.value)


HAND_WRITTEN = """\
# ours
secret = 'kept'

[[keys]]
name = "a"      # the laptop
hash = "sha256:00"
models = ["deepseek-*", '!x']
expires = 2027-01-31
[keys.limits]
rpm = 10

# the phone
[[keys]]
name = "b"
hash = "sha256:11"
limits = { rpm = 1, concurrency = 2 }
"""


def test_what_a_person_wrote_stays_when_a_key_is_added(path: Path) -> None:
    path.write_text(HAND_WRITTEN)
    KeyFile(path).add("c")

    assert path.read_text().startswith(HAND_WRITTEN)
    assert KeyFile(path).names() == ["a", "b", "c"]


@pytest.mark.parametrize("name", ["a", "b"])
def test_what_a_person_wrote_stays_when_another_key_is_revoked(path: Path, name: str) -> None:
    path.write_text(HAND_WRITTEN)
    expected = tomli.loads(HAND_WRITTEN)
    expected["keys"] = [entry for entry in expected["keys"] if entry["name"] != name]
    KeyFile(path).revoke(name)

    assert read(path) == expected
    assert path.read_text().startswith("# ours\nsecret = 'kept'\n")


ODD_LAYOUTS = [
    pytest.param('keys = [{ name = "a", hash = "sha256:00" }]\n', id="inline list"),
    pytest.param('[[ keys ]]\nname = "a"\nhash = """sha256:00"""\n', id="blanks in the brackets"),
    pytest.param('[["keys"]]\nname = "a"\nhash = "sha256:00"\n', id="quoted table name"),
    pytest.param('[[keys]]\nhash = """\n[[keys]]\nsha256:00"""\nname = "a"', id="a head inside a string"),
    pytest.param('\ufeff[[keys]]\r\nname = "a"\r\nhash = "sha256:00"\r\n', id="byte order mark and CRLF"),
    pytest.param('[[keys]]\nname = "a"\n[keys.limits]\nrpm = 1', id="subtable and no last line end"),
    pytest.param("keys = []\n", id="empty list"),
]


@pytest.mark.parametrize("content", ODD_LAYOUTS)
def test_every_layout_can_be_added_to_and_taken_from(path: Path, content: str) -> None:
    path.write_bytes(content.encode())
    before = tomli.loads(content.removeprefix("\ufeff"))["keys"]
    file = KeyFile(path)
    file.ensure_secret()
    file.add("new")
    for entry in before:
        file.revoke(entry["name"])

    assert file.names() == ["new"]
    file.revoke("new")
    assert file.names() == []


@pytest.mark.skipif(sys.platform == "win32", reason="symbolic links")
def test_behind_a_link_the_file_is_replaced_and_not_the_link(path: Path, tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    path.symlink_to(real / "keys.toml")
    KeyFile(path).add("first")

    assert path.is_symlink()
    assert KeyFile(real / "keys.toml").names() == ["first"]


def test_a_missing_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="no such file or directory"):
        KeyFile(tmp_path / "nowhere" / "keys.toml").add("first")


@pytest.mark.skipif(sys.platform == "win32", reason="no lock there")
def test_a_change_waits_for_one_that_is_under_way(path: Path) -> None:
    adding = threading.Thread(target=KeyFile(path).add, args=("first",))
    directory = os.open(path.parent, os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX)
    adding.start()
    adding.join(0.1)
    before = KeyFile(path).names()
    os.close(directory)
    adding.join(10)

    assert (before, KeyFile(path).names()) == ([], ["first"])


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
SCALARS = (
    TEXT
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.dates(min_value=date(1000, 1, 1))
    | st.datetimes(min_value=datetime(1000, 1, 1))
    | st.datetimes(min_value=datetime(1000, 1, 1), timezones=ZONES)
    | st.times().map(lambda t: time(t.hour, t.minute, t.second, t.microsecond))
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8
)


@given(st.dictionaries(TEXT, VALUES, max_size=4))
def test_what_is_written_reads_back_the_same(data: dict[str, Any]) -> None:
    assert tomli.loads(dump(data)) == data


@given(TEXT)
def test_no_string_escapes_its_quotes(text: str) -> None:
    assert tomli.loads(dump({"keys": [{text: text}], "z": text})) == {"keys": [{text: text}], "z": text}
