"""``models``, ``inspect``, ``convert``, ``--version`` and completion."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paddock import __version__, settings
from paddock.cli import options
from paddock.inference.checkpoint import store


def test_version(paddock: Callable[..., Any]) -> None:
    assert paddock("--version").out == f"paddock {__version__}\n"


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("run",),
        ("chat",),
        ("pull",),
        ("models",),
        ("models", "rm"),
        ("convert",),
        ("quantize",),
        ("make-random",),
    ],
)
def test_help(paddock: Callable[..., Any], args: tuple[str, ...]) -> None:
    result = paddock(*args, "-h")
    assert result.code == 0
    assert "Examples:" in result.out
    assert result.out == paddock(*args, "--help").out


def test_nothing_shows_help(paddock: Callable[..., Any]) -> None:
    assert paddock().out == paddock("--help").out


def _stored(name: str) -> Path:
    folder = store.folder(name, settings.load())
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    file = store.StoredFile("config.json", 2, "")
    manifest = store.Manifest(name, "org/x", "main", "abc", "2026-01-01", (file,))
    store.write_manifest(folder, manifest)
    return folder


def test_models_and_rm(paddock: Callable[..., Any]) -> None:
    folder = _stored("llama2-7b")
    rows = {row["name"]: row for row in json.loads(paddock("models", "--json").out)["models"]}
    assert rows["demo"]["state"] == "built in"
    assert rows["demo"]["bytes"] > 0
    assert rows["llama2-7b"]["state"] == "stored"
    assert rows["llama2-70b-chat"]["state"] == "can be pulled"
    table = paddock("models").out.splitlines()
    assert table[0].split() == ["NAME", "SIZE", "STATE", "WHERE"]
    assert len(table) == len(rows) + 1
    assert len({line.index(rows[line.split()[0]]["state"]) for line in table[1:]}) == 1

    removed = paddock("models", "rm", "llama2-7b", "--yes")
    assert (removed.code, removed.out) == (0, "")
    assert not folder.exists()
    assert paddock("models", "rm", "llama2-7b", "--yes", "--json").code == 1


def test_completion_of_names() -> None:
    _stored("llama2-13b")
    assert options.complete_model("") == ["demo", "llama2-13b"]
    assert options.complete_stored("llama2-1") == ["llama2-13b"]
    assert options.complete_known("llama2-70") == ["llama2-70b", "llama2-70b-chat"]


def test_completion_in_the_shell(
    paddock: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_PADDOCK_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "paddock ins")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert paddock().out.split() == ["inspect"]


def test_inspect(paddock: Callable[..., Any]) -> None:
    found = json.loads(paddock("inspect", "demo", "--json", "--hash").out)
    assert found["complete"]
    assert len(found["files"][0]["sha256"]) == 64
    page = paddock("inspect", "demo", "--tensors")
    assert page.code == 0
    assert f"{found['n_params']:,}" in page.out
    assert all(tensor["name"] in page.out for tensor in found["tensors"])
    assert "SHA-256" not in page.out
    assert found["files"][0]["sha256"] in paddock("inspect", "demo", "--hash").out


def test_inspect_says_what_is_missing(paddock: Callable[..., Any], tmp_path: Path) -> None:
    source = store.locate(None, settings.load())
    for file in source.iterdir():
        if file.is_file():
            (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text(encoding="utf-8"))
    config["num_hidden_layers"] += 1
    (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
    result = paddock("inspect", str(tmp_path))
    assert result.code == 1
    assert "complete    no: " in result.out


def test_convert_there_and_back(paddock: Callable[..., Any], tmp_path: Path) -> None:
    gguf, back = tmp_path / "m.gguf", tmp_path / "back"
    first = paddock("convert", "demo", str(gguf), "--to", "gguf")
    assert (first.code, first.out) == (0, f"{gguf}\n"), first.err
    again = json.loads(paddock("convert", str(gguf), str(back), "--to", "hf", "--json").out)
    assert again == {"path": str(back), "format": "hf"}
    text = ("run", "LLaMA is a", "-n", "8", "-q")
    assert paddock(*text, "-m", str(back)).out == paddock(*text).out
    refused = paddock("convert", "demo", str(gguf), "--to", "gguf")
    assert refused.code != 0
    assert "--overwrite" in refused.err
    assert paddock("convert", "demo", str(gguf), "--to", "gguf", "--overwrite").code == 0


def test_quantize_and_run(paddock: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "q"
    found = json.loads(paddock("quantize", "demo", str(out), "--bits", "8", "--json").out)
    assert found["path"] == str(out)
    assert found["quantization"]["bits"] == 8
    assert "8 bits, groups of 32" in paddock("inspect", str(out)).out
    answer = paddock("run", "LLaMA is a", "-n", "4", "-q", "-m", str(out))
    assert answer.code == 0 and answer.out.strip()
    refused = paddock("quantize", "demo", str(out), "--bits", "4")
    assert refused.code == 2
    assert "--overwrite" in refused.err


def test_make_random(paddock: Callable[..., Any], tmp_path: Path) -> None:
    out = tmp_path / "r.gguf"
    args = ("make-random", str(out), "--like", "tiny", "--format", "gguf", "--layers", "1")
    assert paddock(*args).out == f"{out}\n"
    assert json.loads(paddock("inspect", str(out), "--json").out)["complete"]
    assert paddock(*args).code == 2
    assert "did you mean" in paddock("make-random", str(tmp_path / "x"), "--like", "tinny").err


def test_an_option_overrules_the_configured_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PADDOCK_HUB_ENDPOINT", "https://one.example")
    monkeypatch.setenv("PADDOCK_HUB_TOKEN", "secret")
    same = settings.load(hub="huggingface")
    assert (same.endpoint, same.token) == ("https://one.example", "secret")
    other = settings.load(hub="modelscope")
    assert (other.hub, other.endpoint, other.token) == ("modelscope", None, None)
    assert settings.load(endpoint="https://two.example/").endpoint == "https://two.example"
