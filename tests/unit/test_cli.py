"""The command line, without serving."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import tomli

from modelserver import cli
from modelserver.stores.keyfile import digest
from modelserver.version import __version__

ROOT = Path(__file__).parents[2]
MODELS = """\
[providers.openai]
key = "$OPENAI_API_KEY"
[providers.mock]
[providers.home]
base_url = "http://10.0.0.5:8080/v1"

[[models]]
model_id = "mock"
route = "mock/mock"
[[models]]
model_id = "gpt"
route = "openai/gpt"
retires = 2020-01-31
[[models]]
model_id = "local"
route = "home/local"
[[models]]
model_id = "vectors"
types = "embedding"
route = "home/vectors"
[[models]]
model_id = "codex"
speaks = ["responses"]
route = "home/codex"

[users.alice]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("MODELSERVER_CONFIG", "OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "models.toml").write_text(MODELS)
    return tmp_path


@pytest.mark.usefixtures("home")
def test_models_prints_what_can_be_called_and_says_why_the_rest_can_not(capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main(["models"])
    said = capsys.readouterr()

    assert status == 0
    assert said.out == "mock\nlocal\ncodex\n"
    assert re.search(r"gpt +OPENAI_API_KEY is not set", said.err)
    assert re.search(r"vectors +models of type embedding are not served yet", said.err)


CHECKED = [
    pytest.param(r"models\.toml: 5 models, 3 providers, 0 keys", id="counts"),
    pytest.param(r"openai +https://api\.openai\.com/v1 +OPENAI_API_KEY is not set", id="provider without its key"),
    pytest.param(r"home +http://10\.0\.0\.5:8080/v1 +no key", id="provider that has no key"),
    pytest.param(r"mock +built in +needs no key", id="the built-in provider"),
    pytest.param(r"Models\n  llm +4\n  embedding +1\n  3 can be called now", id="models by type"),
    pytest.param(r"Retiring\n  2020-01-31 \(past\)  gpt", id="retiring models"),
    pytest.param(r"Warnings\n  .*OPENAI_API_KEY", id="warnings"),
]


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("line", CHECKED)
def test_check_shows_what_follows_from_the_file(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check"]) == 0
    assert re.search(line, capsys.readouterr().out)


@pytest.mark.usefixtures("home")
def test_check_shows_no_secret(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-the-operator")
    cli.main(["check"])
    said = capsys.readouterr()

    assert re.search(r"openai .* key set", said.out)
    assert "sk-of-the-operator" not in said.out + said.err


@pytest.mark.parametrize("command", ["serve", "check", "models", "key list", "key new a", "key revoke a"])
def test_a_bad_configuration_is_status_2_with_all_problems(
    command: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "models.toml").write_text("[server]\nlisten = 3\nnonsense = 4\n")
    status = cli.main(command.split())
    said = capsys.readouterr()

    assert (status, said.out) == (2, "")
    assert "server.listen" in said.err
    assert "nonsense" in said.err


def test_a_missing_configuration_is_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MODELSERVER_CONFIG", raising=False)

    assert cli.main(["check"], home=tmp_path) == 2
    assert str(tmp_path / "models.toml") in capsys.readouterr().err


PLACES = [
    pytest.param(["-c", "other.toml", "models"], None, "other\n", id="option before the command"),
    pytest.param(["models", "-c", "other.toml"], None, "other\n", id="option after the command"),
    pytest.param(["models", "--config=other.toml"], None, "other\n", id="long option"),
    pytest.param(["models"], "other.toml", "other\n", id="environment"),
    pytest.param(["models", "-c", "models.toml"], "other.toml", "mock\n", id="option before environment"),
    pytest.param(["models"], None, "home\n", id="the home of the script"),
]


@pytest.mark.parametrize(("argv", "environment", "printed"), PLACES)
def test_the_configuration_is_found(
    argv: list[str],
    environment: str | None,
    printed: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (home / "script").mkdir()
    for path, model_id in (("models.toml", "mock"), ("other.toml", "other"), ("script/models.toml", "home")):
        (home / path).write_text(f'[[models]]\nmodel_id = "{model_id}"\nroute = "mock/mock"\n')
    if environment is not None:
        monkeypatch.setenv("MODELSERVER_CONFIG", environment)
    cli.main(argv, home=home / "script")

    assert capsys.readouterr().out == printed


SERVING = [
    pytest.param([], None, None, id="nothing"),
    pytest.param(["serve"], None, None, id="serve"),
    pytest.param(["--listen", ":1"], ("", 1), None, id="listen without a command"),
    pytest.param(["--listen", ":1", "serve"], ("", 1), None, id="listen before"),
    pytest.param(["serve", "--listen", "[::1]:1"], ("::1", 1), None, id="listen after"),
    pytest.param(["--log", "json", "serve", "--listen", "a:1"], ("a", 1), "json", id="one before, one after"),
]


@pytest.mark.parametrize(("argv", "listen", "log"), SERVING)
def test_serving_is_the_default_and_takes_options_anywhere(
    argv: list[str], listen: tuple[str, int] | None, log: str | None
) -> None:
    args = cli._parser().parse_args(argv)

    assert (args.command, args.listen, args.log) == (cli.serve, listen, log)


NOT_UNDERSTOOD = [
    pytest.param(["--listen", "8400"], id="listen without colon"),
    pytest.param(["--log", "xml"], id="unknown log"),
    pytest.param(["nonsense"], id="unknown command"),
    pytest.param(["key"], id="key alone"),
    pytest.param(["key", "new"], id="key without a name"),
    pytest.param(["key", "new", "a", "--key", "sk-x"], id="a secret on the command line"),
    pytest.param(["--lis", ":1"], id="abbreviation"),
    pytest.param(["serve", "--fd", "3"], id="an option that is not offered"),
]


@pytest.mark.parametrize("argv", NOT_UNDERSTOOD)
def test_what_is_not_understood_is_status_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        cli.main(argv)

    assert caught.value.code == 2
    assert "usage: " in capsys.readouterr().err


def test_a_new_key_stands_alone_on_standard_output(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = cli.main(["key", "new", "laptop", "--user", "alice"])
    said = capsys.readouterr()
    key = said.out.strip()
    written = tomli.loads((home / "keys.toml").read_text())

    assert status == 0
    assert re.fullmatch(r"sk-ms-[A-Za-z0-9_-]{27,}\n", said.out)
    assert written["keys"] == [{"name": "laptop", "user": "alice", "hash": f"sha256:{digest(key)}"}]
    assert "secret" in written
    assert key not in said.err


def test_keys_are_listed_with_user_and_no_more_of_the_digest_than_a_name_for_it(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["key", "new", "laptop", "--user", "alice"])
    key = capsys.readouterr().out.strip()
    cli.main(["key", "list"])
    listed = capsys.readouterr().out

    assert listed.split() == ["laptop", "alice", digest(key)[:8]]


@pytest.mark.usefixtures("home")
def test_a_revoked_key_is_gone(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("laptop", "phone"):
        cli.main(["key", "new", name])
    status = cli.main(["key", "revoke", "laptop"])
    capsys.readouterr()
    cli.main(["key", "list"])

    assert status == 0
    assert capsys.readouterr().out.split()[0] == "phone"


def test_the_key_file_is_the_configured_one_beside_the_configuration(home: Path) -> None:
    (home / "models.toml").write_text('[server]\nkeys = "other-keys.toml"\n')
    cli.main(["-c", str(home / "models.toml"), "key", "new", "a"])

    assert (home / "other-keys.toml").exists()


KEY_ERRORS = [
    pytest.param(["key", "new", "there"], "'there'", id="name of a key in models.toml"),
    pytest.param(["key", "new", "a", "--user", "bob"], "'bob'", id="unknown user"),
    pytest.param(["key", "new", " "], "name", id="no name"),
    pytest.param(["key", "revoke", "nobody"], "'nobody'", id="revoking an unknown key"),
    pytest.param(["key", "revoke", "there"], "take it out there", id="revoking a key in models.toml"),
]


@pytest.mark.parametrize(("argv", "reason"), KEY_ERRORS)
def test_a_key_command_that_can_not_be_done_is_status_1(
    argv: list[str], reason: str, home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (home / "models.toml").write_text(f'{MODELS}\n[[keys]]\nname = "there"\nhash = "sha256:{"0" * 64}"\n')
    status = cli.main(argv)
    said = capsys.readouterr()

    assert (status, said.out) == (1, "")
    assert reason in said.err
    assert not (home / "keys.toml").exists()


def test_version_prints_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["version"]) == 0
    assert capsys.readouterr().out == f"modelserver {__version__}\n"


def test_the_script_needs_what_the_package_needs() -> None:
    lines = (ROOT / "server.py").read_text().split("# ///")[1].splitlines()[1:]
    script = tomllib.loads("\n".join(line.removeprefix("#").removeprefix(" ") for line in lines))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert script["dependencies"] == project["dependencies"]
    assert script["requires-python"] == project["requires-python"]
