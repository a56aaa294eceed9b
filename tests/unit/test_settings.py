"""Settings: what wins, what is refused, what is never shown."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from paddock.errors import UsageError
from paddock.settings import OPTIONS, Settings, config_file, load

ROOT = Path(__file__).parents[2]
NO_HUGGING_FACE = {"HF_HOME": "/nonexistent"}


def loaded(tmp_path: Path, text: str = "", **env: str) -> Settings:
    file = tmp_path / "config.toml"
    file.write_text(text)
    return load({**NO_HUGGING_FACE, **env}, file)


def test_defaults(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    ours = {"home": tmp_path, "state": tmp_path}
    assert dataclasses.replace(settings, **ours) == Settings(**ours)
    assert settings.state.name == "paddock"
    assert settings.home.name == "paddock" and settings.models == settings.home / "models"
    assert settings.checkpoint_download == Path("checkpoint_download")


FILE = """
state = "/data/state"
home = "/data/paddock"
offline = true
threads = 4
checkpoint_download = "~/ckpt"
[hub]
kind = "modelscope"
endpoint = "http://hub.local/"
token = "from-file"
parallel = 3
timeout = 7.5
[mindspore]
python = "~/ms/bin/python"
"""


def test_the_file(tmp_path: Path) -> None:
    assert loaded(tmp_path, FILE) == Settings(
        home=Path("/data/paddock"),
        hub="modelscope",
        endpoint="http://hub.local",
        token="from-file",
        offline=True,
        parallel=3,
        timeout=7.5,
        threads=4,
        checkpoint_download=Path.home() / "ckpt",
        mindspore_python=Path.home() / "ms/bin/python",
        state=Path("/data/state"),
    )


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    env = {
        "PADDOCK_HOME": str(tmp_path / "h"),
        "PADDOCK_STATE": "~/state",
        "PADDOCK_OFFLINE": "no",
        "PADDOCK_THREADS": "2",
        "CHECKPOINT_DOWNLOAD_FOLDER": "/ckpt",
        "PADDOCK_MINDSPORE_PYTHON": "/ms/bin/python",
        "PADDOCK_HUB": "huggingface",
        "PADDOCK_HUB_ENDPOINT": "https://mirror.local/",
        "PADDOCK_HUB_TOKEN": "from-env",
        "PADDOCK_HUB_PARALLEL": "1",
        "PADDOCK_HUB_TIMEOUT": "9",
    }
    assert set(env) == {option.variable for option in OPTIONS}
    assert loaded(tmp_path, FILE, **env) == Settings(
        home=tmp_path / "h",
        hub="huggingface",
        endpoint="https://mirror.local",
        token="from-env",
        offline=False,
        parallel=1,
        timeout=9.0,
        threads=2,
        checkpoint_download=Path("/ckpt"),
        mindspore_python=Path("/ms/bin/python"),
        state=Path.home() / "state",
    )


def test_every_field_has_an_option() -> None:
    assert {o.field for o in OPTIONS} == {f.name for f in dataclasses.fields(Settings)}


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    assert loaded(tmp_path, "threads = 3", PADDOCK_THREADS="", PADDOCK_OFFLINE=" ").threads == 3


def test_hugging_faces_own_variables(tmp_path: Path) -> None:
    theirs = {"HF_ENDPOINT": "https://hf.local", "HF_TOKEN": "hf_x", "HF_HUB_OFFLINE": "1"}
    settings = loaded(tmp_path, **theirs)
    assert (settings.endpoint, settings.token, settings.offline) == (
        "https://hf.local",
        "hf_x",
        True,
    )
    ours = {"PADDOCK_HUB_ENDPOINT": "https://a", "PADDOCK_HUB_TOKEN": "t", "PADDOCK_OFFLINE": "0"}
    settings = loaded(tmp_path, **theirs, **ours)
    assert (settings.endpoint, settings.token, settings.offline) == ("https://a", "t", False)


@pytest.mark.parametrize("kind", ["modelscope", "mirror"])
def test_a_hugging_face_token_is_for_hugging_face_only(tmp_path: Path, kind: str) -> None:
    (tmp_path / "token").write_text("hf_file")
    env = {"HF_TOKEN": "hf_env", "HF_ENDPOINT": "https://hf.local", "HF_HOME": str(tmp_path)}
    settings = loaded(tmp_path, f'[hub]\nkind = "{kind}"\nendpoint = "http://m"', **env)
    assert settings.token is None and settings.endpoint == "http://m"


def test_token_files_and_modelscopes_variable(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hf_home\n")
    (tmp_path / "other").write_text("hf_path\n")
    (tmp_path / "huggingface").mkdir()
    (tmp_path / "huggingface" / "token").write_text("hf_cache\n")
    assert loaded(tmp_path, HF_HOME=str(tmp_path)).token == "hf_home"
    assert loaded(tmp_path, HF_TOKEN_PATH=str(tmp_path / "other")).token == "hf_path"
    assert loaded(tmp_path, HF_HOME="", XDG_CACHE_HOME=str(tmp_path)).token == "hf_cache"
    (tmp_path / "token").write_bytes(b"\xff\xfe")
    assert loaded(tmp_path, HF_HOME=str(tmp_path)).token is None
    assert loaded(tmp_path, PADDOCK_HUB="modelscope", MODELSCOPE_API_TOKEN="ms").token == "ms"


def test_the_token_is_never_shown(tmp_path: Path) -> None:
    settings = loaded(tmp_path, PADDOCK_HUB_TOKEN="secret")
    assert settings.token == "secret" and "secret" not in repr(settings) + str(settings)
    for bad in ("two secrets", "geheim-ü-secret"):
        with pytest.raises(UsageError, match="PADDOCK_HUB_TOKEN is not an access token") as error:
            loaded(tmp_path, PADDOCK_HUB_TOKEN=bad)
        assert "secret" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("thread = 4", "unknown key 'thread' in .*config.toml; did you mean 'threads'"),
        ("[hub]\nend_point = ''", "unknown key 'hub.end_point' .*did you mean 'hub.endpoint'"),
        ("[hubs]\nkind = 'x'", "did you mean 'hub.kind'"),
        ("hub = 'modelscope'", "unknown key 'hub'"),
        ("threads = 'many'", "threads in .*config.toml is 'many', which is not a whole number"),
        ("threads = 0", "is 0, which is not a whole number of 1 or more"),
        ("threads = true", "is True, which is not a whole number"),
        ("threads = 1.5", "is 1.5, which"),
        ("offline = 'maybe'", "offline in .* is 'maybe', which is not true or false"),
        ("home = 3", "home in .* is 3, which is not a non-empty text"),
        ("[hub]\nkind = 'modelscop'", "known are .*; did you mean 'modelscope'"),
        ("[hub]\nkind = 'mirror'", "there is no base URL"),
        ("[hub]\nendpoint = 'ftp://x'", "starts with http:// or https://"),
        ("[hub]\nparallel = 9", "is 9, which is not between 1 and 4"),
        ("[hub]\ntimeout = -1", "is -1, which is not a number of seconds above 0"),
        ("[hub]\ntimeout = true", "is True, which is not a number of seconds"),
        ("threads = ", "config.toml is not TOML"),
    ],
)
def test_a_file_that_cannot_be_honoured(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        loaded(tmp_path, text)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PADDOCK_THREADS", "x"),
        ("PADDOCK_HUB", "hf"),
        ("HF_ENDPOINT", "x"),
        ("HF_HUB_OFFLINE", "x"),
    ],
)
def test_a_variable_that_cannot_be_honoured(tmp_path: Path, variable: str, value: str) -> None:
    with pytest.raises(UsageError, match=f"{variable} is '{value}'"):
        loaded(tmp_path, **{variable: value})


def test_a_named_file_must_exist_and_the_default_need_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "gone.toml"
    for call in (lambda: load({}, gone), lambda: load({"PADDOCK_CONFIG": str(gone)})):
        with pytest.raises(UsageError, match=r"cannot read the configuration file .*gone\.toml"):
            call()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config_file() == tmp_path / "paddock" / "config.toml"
    assert load(NO_HUGGING_FACE).threads is None
    config_file().parent.mkdir()
    config_file().write_text("threads = 5")
    assert load(NO_HUGGING_FACE).threads == 5


def test_the_guide_lists_every_setting() -> None:
    guide = (ROOT / "docs" / "guides" / "models.md").read_text(encoding="utf-8")
    rows = [line for line in guide.splitlines() if line.startswith("| `")]
    for option in OPTIONS:
        assert any(f"| `{option.key}` | `{option.variable}` |" in row for row in rows), option.key


def test_reading_settings_imports_nothing_heavy() -> None:
    program = (
        "import sys; from paddock.settings import load;"
        " from paddock.inference.checkpoint.store import list_models, locate;"
        " from paddock.inference.checkpoint.fetch import pull; load();"
        " print(sorted({'numpy', 'torch', 'httpx', 'huggingface_hub'} & set(sys.modules)))"
    )
    child = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": str(ROOT / "src"), "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert child.stdout.strip() == "[]"
