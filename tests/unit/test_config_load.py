"""Reading the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelserver.config import ConfigError, Secret, load_config

HASH = "sha256:" + "0" * 64


@pytest.fixture
def models_toml(tmp_path: Path) -> Path:
    path = tmp_path / "models.toml"
    path.write_text('[providers.openai]\n[[models]]\nmodel_id = "m"\nroute = "openai/m"\n')
    return path


def test_a_file_alone_is_enough(models_toml: Path) -> None:
    config = load_config(models_toml, environ={})

    assert [model.model_id for model in config.models] == ["m"]
    assert config.path == models_toml


def test_the_files_to_watch_are_named_even_when_absent(models_toml: Path) -> None:
    folder = models_toml.parent

    assert load_config(models_toml, environ={}).watched == (models_toml, folder / "keys.toml", folder / ".env")


def test_keys_are_read_from_the_file_beside_it(models_toml: Path) -> None:
    models_toml.with_name("keys.toml").write_text(f'secret = "s"\n[[keys]]\nname = "k"\nhash = "{HASH}"\n')

    config = load_config(models_toml, environ={})

    assert ([key.name for key in config.keys], config.server.secret) == (["k"], Secret("s"))


def test_other_file_names_are_followed(models_toml: Path) -> None:
    folder = models_toml.parent
    models_toml.write_text('[server]\nkeys = "k/other.toml"\nenv_file = "env"\n[providers.openai]\n')
    (folder / "k").mkdir()
    (folder / "k" / "other.toml").write_text(f'[[keys]]\nname = "k"\nhash = "{HASH}"\n')
    (folder / "env").write_text("OPENAI_API_KEY=e\n")

    config = load_config(models_toml, environ={})

    assert (config.keys[0].name, config.providers["openai"].key) == ("k", Secret("e"))
    assert config.watched == (models_toml, folder / "k" / "other.toml", folder / "env")


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, "file", id="the env file is read"),
        pytest.param({"OPENAI_API_KEY": "process"}, "process", id="the environment wins"),
        pytest.param({"OPENAI_API_KEY": ""}, "file", id="an empty variable is unset"),
    ],
)
def test_variables_come_from_both_places(models_toml: Path, environ: dict[str, str], expected: str) -> None:
    models_toml.with_name(".env").write_text("OPENAI_API_KEY=file\n")

    assert load_config(models_toml, environ=environ).providers["openai"].key == Secret(expected)


def test_the_environment_of_the_process_is_the_default(models_toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "process")

    assert load_config(models_toml).providers["openai"].key == Secret("process")


def test_a_given_environment_replaces_that_of_the_process(models_toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "process")

    assert load_config(models_toml, environ={}).providers["openai"].missing_key == "OPENAI_API_KEY"


def test_odd_lines_and_a_missing_env_file_are_warnings(models_toml: Path) -> None:
    models_toml.with_name(".env").write_text("OPENAI_API_KEY=k\nnonsense\n")

    assert load_config(models_toml, environ={}).warnings == (".env: line 2 is not NAME=value and is ignored",)


def test_a_named_env_file_that_is_absent_is_a_warning(models_toml: Path) -> None:
    models_toml.write_text('[server]\nenv_file = "env"\n')

    assert load_config(models_toml, environ={}).warnings == ("models.toml: server.env_file: there is no such file",)


def test_a_byte_order_mark_and_windows_line_ends_are_accepted(models_toml: Path) -> None:
    models_toml.write_bytes(b'\xef\xbb\xbf[server]\r\nlog = "json"\r\n')

    assert load_config(models_toml, environ={}).server.log == "json"


def test_an_absent_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "none.toml", environ={})

    assert str(caught.value) == "none.toml:\n  there is no such file"


def test_a_file_that_is_not_utf_8_is_refused(models_toml: Path) -> None:
    models_toml.write_bytes(b'desc = "\xff"')

    with pytest.raises(ConfigError, match="is not UTF-8"):
        load_config(models_toml, environ={})


def test_files_that_cannot_be_read_are_named_together(models_toml: Path) -> None:
    models_toml.with_name("keys.toml").mkdir()
    models_toml.with_name(".env").write_bytes(b"A=\xff")

    with pytest.raises(ConfigError) as caught:
        load_config(models_toml, environ={})

    assert [problem.file for problem in caught.value.problems] == ["keys.toml", ".env"]


def test_lines_are_those_of_the_file_that_is_wrong(models_toml: Path) -> None:
    models_toml.with_name("keys.toml").write_text('\n[[keys]]\nname = "k"\nhash = "x"\n')

    with pytest.raises(ConfigError) as caught:
        load_config(models_toml, environ={})

    assert [(problem.file, problem.path, problem.line) for problem in caught.value.problems] == [
        ("keys.toml", "keys[0].hash", 4)
    ]
