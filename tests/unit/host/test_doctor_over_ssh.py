"""``paddock doctor`` over a real sshd: one round trip, the same findings, quick enough."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest
from test_over_ssh import server  # noqa: F401 - a fixture

from paddock.cli.main import main
from paddock.shell import SshRunner


@pytest.fixture
def calls(
    server: SshRunner,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """Where each start of ssh leaves a line; the program finds the throw-away sshd's keys."""
    lines = "".join(f"{name} {value}\n" for name, value in server.options.items())
    (tmp_path / "config").write_text(lines)
    (tmp_path / "ssh").write_text(
        f"#!/bin/sh\necho x >> {tmp_path}/calls\nexec {shutil.which('ssh')} "
        f'-F {tmp_path}/config "$@"\n'
    )
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "calls"


def test_one_round_trip_and_the_same_findings(
    server: SshRunner,  # noqa: F811
    calls: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    begin = time.monotonic()
    code = main(["doctor", "--host", server.target, "--json"])
    seconds = time.monotonic() - begin
    far = json.loads(capsys.readouterr().out)
    assert calls.read_text() == "x\n"
    assert far["target"] == server.target
    assert code == (0 if far["healthy"] else 1)
    # 2 s is what it should take on a quiet machine; the margin is for busy ones.
    assert seconds < 30
    main(["doctor", "--json"])
    near = json.loads(capsys.readouterr().out)
    session = {"toolkit-not-sourced", "image-environment-dropped", "proxy-without-exceptions",
               "driver-libraries-not-on-path", "no-utf8", "nnal-not-found"}  # fmt: skip
    mine, theirs = ({f["id"] for f in r["findings"]} - session for r in (near, far))
    assert mine == theirs


def test_the_safe_steps_run_there(
    server: SshRunner,  # noqa: F811
    calls: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    main(
        ["doctor", "--host", server.target, "--port", str(server.port), "--fix", "--yes", "--json"]
    )
    report = json.loads(capsys.readouterr().out)
    assert "port-taken" in {f["id"] for f in report["findings"]}
    assert f"ss -ltnp 'sport = :{server.port}'" in {step["run"] for step in report["ran"]}
    assert calls.read_text().count("x") == 1 + len(report["ran"])
