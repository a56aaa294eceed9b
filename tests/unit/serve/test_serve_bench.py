"""``paddock bench serve`` against our own server: what it measures is what was asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from paddock.bench import result
from paddock.cli.main import main
from serverkit import serving

SMALL = ("--requests", "6", "--concurrency", "3", "--prompt-tokens", "20", "--new-tokens", "9")


def test_a_server_with_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    keys, key = tmp_path / "keys", tmp_path / "key"
    assert main(["key", "new", "alice", "--file", str(keys)]) == 0
    key.write_text(next(w for w in capsys.readouterr().out.split() if w.startswith("pk-")) + "\n")
    with serving("--api-key-file", str(keys)) as server:
        bench = ["bench", "serve", "--url", f"{server.url}/v1/", *SMALL]
        assert main(bench) == 1
        assert "401" in (said := capsys.readouterr().err) and "--api-key-file" in said
        out, picture = tmp_path / "r.json", tmp_path / "r.svg"
        files = ["--out", str(out), "--plot", str(picture)]
        with_key = [*bench, "--api-key-file", str(key)]
        assert main([*with_key, "--tokenizer", "demo", "--json", *files]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told == json.loads(out.read_text()) and "<svg" in picture.read_text()
        served = told["runs"][0]["served"]
        assert (served["answered"], served["failed"]) == (6, {})
        # The ids that were sent are the tokens that the server counts.
        assert (served["prompt_tokens"], served["new_tokens"]) == (120, 54)
        assert result.read(out).runs[0].runtime == "demo"
        assert main([*with_key, "--chat"]) == 0
        assert "time to first token" in capsys.readouterr().out
        assert main(["bench", "show", str(out), "--plot", str(picture)]) == 0
        key.write_text("nonsense")
        assert main(with_key) == 1
        assert "not known" in capsys.readouterr().err


def test_a_key_file_without_a_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bench = ["bench", "serve", "--url", "http://127.0.0.1:9", "--api-key-file", str(tmp_path / "k")]
    assert main(bench) == 2
    (tmp_path / "k").write_text("\n")
    assert main(bench) == 2
    said = capsys.readouterr().err
    assert "cannot be read" in said and "has no API key" in said
