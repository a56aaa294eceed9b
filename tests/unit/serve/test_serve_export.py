"""A server written down: the unit and the recipe say what was asked, whatever is in the words."""

from __future__ import annotations

import configparser
import json
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from paddock.cli.main import main
from paddock.errors import UsageError
from paddock.inference.serve.export import containerfile, systemd


def test_the_unit_runs_what_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "systemd", "--user", "llama", "--", "/m/a b", "--port", "9000"]) == 0
    unit = configparser.ConfigParser(interpolation=None, strict=False)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(capsys.readouterr().out)
    words = shlex.split(unit["Service"]["ExecStart"])
    assert words[1:] == ["serve", "/m/a b", "--port", "9000"]
    assert words[0].endswith("/paddock") and unit["Service"]["User"] == "llama"
    # Longer than the longest drain, so that accepted requests end.
    assert int(unit["Service"]["TimeoutStopSec"]) > 300


def test_signs_that_systemd_reads_are_doubled() -> None:
    text = systemd(["--name", "100%$x"], executable="/bin/paddock")
    assert "'100%%$$x'" in text
    with pytest.raises(UsageError, match="line end"):
        systemd(["a\nExecStartPre=evil"], executable="/bin/paddock")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    unit = tmp_path / "paddock.service"
    unit.write_text(systemd(["--port", "9000"], executable="/bin/true", user="root"))
    checked = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


def test_the_recipe_asks_for_keys_unless_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "Containerfile"
    assert main(["export", "containerfile", "--out", str(out)]) == 0
    command = json.loads(out.read_text().split("\nCMD ")[1])
    assert command[:2] == ["paddock", "serve"]
    assert command[command.index("--api-key-file") + 1] == "/etc/paddock/keys"
    assert "--api-key-file" not in containerfile(["--insecure"]).split("\nCMD ")[1]
    assert main(["export", "containerfile", "--out", str(out)]) == 2
    assert "exists" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--port", "9000"], ["--port=9000"]])
def test_the_recipe_asks_the_port_that_is_served(words: list[str]) -> None:
    text = containerfile([*words, "--host=::"])
    command = json.loads(text.split("\nCMD ")[1])
    assert command[command.index("--port") + 1] == "9000" and command.count("--host") == 1
    assert "EXPOSE 9000\n" in text and "127.0.0.1:9000/ready" in text and "8000" not in text


@pytest.mark.parametrize("words", [["--port"], ["--port", "0"], ["--port", "x"]])
def test_an_image_needs_a_port(words: list[str]) -> None:
    with pytest.raises(UsageError, match="--port is"):
        containerfile(words)
