"""``paddock doctor``: exit codes, both outputs, logs, configurations, scripts, the safe steps."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HOSTS = Path(__file__).parents[2] / "hosts"
CONFIG = Path(__file__).parents[1] / "doctor" / "files" / "run_llama2_7b.v1.0.0.yaml"


def test_this_machine(paddock: Callable[..., Any]) -> None:
    result = paddock("doctor", "--json")
    report = json.loads(result.out)
    assert report["target"] == "local"
    assert result.code == (0 if report["healthy"] else 1)
    assert report["rules"] > 60
    blocking = [f for f in report["findings"] if f["blocking"]]
    assert result.code == bool(blocking)
    for found in report["findings"]:
        assert found["evidence"] and found["fix"] and found["cause"]
        assert found["source"].startswith("https://")


def test_an_ill_machine_for_people(paddock: Callable[..., Any]) -> None:
    result = paddock("doctor", "--facts", str(HOSTS / "310b4-x1-alarm"))
    assert (result.code, result.err) == (1, "")
    lines = result.out.splitlines()
    assert lines[0] == "recording:310b4-x1-alarm  1 × 310B4, driver 23.0.0"
    assert "✖ blocks  a chip reports a fault  [chip-alarm]" in lines
    assert "  found   NPU 0 (310B4) reports Alarm  (npu-smi info)" in lines
    assert "  fix     $ npu-smi info -t health -i 0 -c 0" in lines
    assert any(line.startswith("1 blocks; ") for line in lines)
    assert "\x1b" not in result.out
    assert all(line == line.rstrip() for line in lines)


def test_a_healthy_machine(paddock: Callable[..., Any]) -> None:
    result = paddock("doctor", "--facts", str(HOSTS / "910b4-x8-fresh"))
    assert result.code == 0
    assert "✔ nothing blocks; " in result.out


def test_a_terminal_gets_colours_and_no_wider_lines(terminal: Callable[..., Any]) -> None:
    facts = ("doctor", "--facts", str(HOSTS / "950pr-x3-alarm"))
    page = terminal(*facts, env={"COLUMNS": "80"})
    assert page.finish() == 1
    assert "\x1b[1;31m✖ blocks" in page.seen
    plain = terminal(*facts, env={"COLUMNS": "80", "NO_COLOR": "1"})
    assert plain.finish() == 1
    assert "\x1b" not in plain.seen
    assert all(len(line) <= 80 for line in plain.seen.splitlines())


def test_a_log_names_its_rule_and_line(paddock: Callable[..., Any], tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("start\nNPU function error: aclInit, error code is 507033\n")
    result = paddock("doctor", "--log", str(log))
    assert result.code == 1
    assert "[driver-older-than-cann]" in result.out
    assert f"({log}:2)" in result.out
    assert "local" not in result.out.splitlines()[0], "no machine was asked for"
    as_json = json.loads(paddock("doctor", "--log", str(log), "--json").out)
    assert as_json["findings"][0]["evidence"][0]["where"] == f"{log}:2"


def test_a_log_from_a_pipe_in_any_encoding(paddock: Callable[..., Any]) -> None:
    result = paddock("doctor", "--log", "-", stdin=b"\xff\xfe bad \x1b[2J ret is -8020\n")
    assert result.code == 1
    assert "(standard input:1)" in result.out
    assert "\x1b" not in result.out


def test_a_text_that_many_failures_share(paddock: Callable[..., Any]) -> None:
    result = paddock("doctor", "--log", "-", stdin="socket timeout\n")
    assert result.code == 0
    assert "? perhaps  the chips did not find each other (HCCL)  [hccl-connection]" in result.out
    assert "✔ nothing blocks, 1 possible cause; " in result.out


def test_a_healthy_log(paddock: Callable[..., Any]) -> None:
    result = paddock("doctor", "--log", "-", stdin="all is well\n")
    assert result.code == 0
    assert result.out.splitlines()[0] == "standard input"


def test_a_log_beside_a_machine(paddock: Callable[..., Any], tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("OSError: [Errno 28] No space left on device\n")
    facts = ("--facts", str(HOSTS / "310b4-x1-alarm"))
    found = json.loads(paddock("doctor", *facts, "--log", str(log), "--json").out)["findings"]
    assert {f["id"] for f in found} == {"chip-alarm", "disk-full"}


def test_a_configuration_on_a_machine(paddock: Callable[..., Any]) -> None:
    facts = ("--facts", str(HOSTS / "910prob-x1-mindformers"))
    result = paddock("doctor", *facts, "--config", str(CONFIG))
    assert "[recomputes-everything]" in result.out
    assert f"use_past: False, seq_length: 4096  ({CONFIG}:" in result.out
    assert "[parallel-on-one-chip]" in result.out


def test_a_model_and_a_port_are_asked_for(paddock: Callable[..., Any]) -> None:
    facts = ("--facts", str(HOSTS / "310p3-duo-x2"))
    result = paddock("doctor", *facts, "--model", "llama2_70b")
    assert "llama2-70b in float16: 128.5 GiB of weights" in result.out
    small = paddock("doctor", *facts, "--model", "llama2-7b", "--port", "8000")
    assert "model" not in small.out


# Mending


def script_of(out: str) -> list[str]:
    return [line for line in out.splitlines() if line and not line.startswith("#")]


def test_fix_prints_a_script_and_runs_nothing(paddock: Callable[..., Any]) -> None:
    result = paddock("doctor", "--facts", str(HOSTS / "310b4-x1-alarm"), "--fix")
    assert result.code == 1
    assert result.out.startswith("#!/bin/sh\n")
    assert script_of(result.out) == ["npu-smi info -t health -i 0 -c 0"]
    assert result.err == ""


@pytest.fixture
def shrunken(
    paddock: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Any]:
    """This machine, with a port that is taken and a stand-in for ss, which a safe step calls."""
    (tmp_path / "ss").write_text(f'#!/bin/sh\necho "ss $*" | tee -a {tmp_path}/calls\n')
    (tmp_path / "ss").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        def run(*args: str) -> Any:
            (tmp_path / "calls").unlink(missing_ok=True)
            result = paddock("doctor", "--port", str(port), *args)
            calls = tmp_path / "calls"
            steps = calls.read_text() if calls.exists() else ""
            return result, port, re.findall(r"^ss (-ltnp .*)$", steps, flags=re.M)

        yield run


def test_safe_steps_are_run_only_after_a_yes(shrunken: Callable[..., Any]) -> None:
    result, port, calls = shrunken("--fix")
    assert f"ss -ltnp 'sport = :{port}'" in script_of(result.out)
    assert calls == [], "nobody was asked"
    result, port, calls = shrunken("--fix", "--yes")
    assert result.code == 1
    assert calls == [f"-ltnp sport = :{port}"]
    assert f"$ ss -ltnp 'sport = :{port}'" in result.err
    result, port, _ = shrunken("--fix", "--yes", "--json")
    report = json.loads(result.out)
    ran = {step["run"]: step["exit_code"] for step in report["ran"]}
    assert ran[f"ss -ltnp 'sport = :{port}'"] == 0
    assert report["script"].startswith("#!/bin/sh")


def test_a_terminal_is_asked(terminal: Callable[..., Any], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        page = terminal("doctor", "--port", str(port), "--fix")
        page.until("on local? [y/N]")
        page.type("n\n")
        assert page.finish() == 1
        assert f"$ ss -ltnp 'sport = :{port}'" not in page.seen
        page = terminal("doctor", "--port", str(port), "--fix")
        page.until("on local? [y/N]")
        page.type("y\n")
        assert page.finish() == 1
        assert f"$ ss -ltnp 'sport = :{port}'" in page.seen


def test_the_safe_steps_of_a_container_run_in_it(
    paddock: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docker does not know it, podman does; the stand-ins run what they are given."""
    for name, text in (
        ("docker", "echo 'Error response from daemon: No such container: web' >&2; exit 1"),
        ("podman", f'echo "$*" >> {tmp_path}/calls; shift 3; exec "$@"'),
        ("ss", "echo looked"),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        result = paddock("doctor", "--container", "web", "--port", port, "--fix", "--yes", "--json")
    report = json.loads(result.out)
    assert report["target"] == "container:web"
    assert {"run": f"ss -ltnp 'sport = :{port}'", "exit_code": 0, "stdout": "looked\n"} in [
        {key: step[key] for key in ("run", "exit_code", "stdout")} for step in report["ran"]
    ]
    assert (
        f"exec -i web env LC_ALL=C sh -c ss -ltnp 'sport = :{port}'"
        in (tmp_path / "calls").read_text()
    )


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--host", "ssh://nobody@127.0.0.1:1"], 2, "Connection refused"),
        (["--facts", "nowhere.json"], 2, "cannot read nowhere.json"),
        (["--log", "nowhere.log"], 2, "cannot read nowhere.log: No such file"),
        (["--log", "."], 2, "cannot read .: Is a directory"),
        (["--config", "nowhere.yaml"], 2, "cannot read nowhere.yaml"),
        (["--config", "bad.yaml"], 2, "bad.yaml is not a MindFormers configuration"),
        (["--container=-x"], 2, "not the name of a container"),
        (["--model", "llama2-8b"], 2, "did you mean 'llama2-7b'"),
        (["--framework", "mindspor"], 2, "did you mean 'mindspore'"),
        (["--yes"], 2, "add --fix"),
        (["--facts", "x", "--host", "y"], 2, "leave out --facts"),
        (["--log", "bad.log", "--fix", "--yes"], 2, "there is no machine to run"),
    ],
)
def test_could_not_look(
    paddock: Callable[..., Any],
    args: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.yaml").write_text("- a\n")
    (tmp_path / "bad.log").write_text("OSError: No space left on device; ret is -8020\n")
    result = paddock("doctor", *args)
    assert (result.code, result.out) == (code, "")
    assert said in result.err
    assert result.err.count("\n") == 1
    as_json = paddock("doctor", *args, "--json")
    assert as_json.code == code
    assert said in json.dumps(json.loads(as_json.out)["error"], ensure_ascii=False)
