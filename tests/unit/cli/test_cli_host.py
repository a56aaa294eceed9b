"""``paddock host``: facts for people and for programs, from machines and from files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from paddock.deploy.host import Host, probe, recording
from paddock.deploy.host.facts import Ascend, Npu, Proxy, System

HOSTS = Path(__file__).parents[2] / "hosts"


def test_this_machine_as_json_can_be_given_back(
    paddock: Callable[..., Any], tmp_path: Path
) -> None:
    result = paddock("host", "--json")
    assert (result.code, result.err) == (0, "")
    assert result.out.count("\n") == 1
    host = Host.from_json(result.out)
    assert host.target == "local"
    file = tmp_path / "facts.json"
    file.write_text(result.out)
    again = paddock("host", "--facts", str(file), "--json")
    assert Host.from_json(again.out) == host


def test_this_machine_for_people(paddock: Callable[..., Any]) -> None:
    result = paddock("host")
    assert result.code == 0
    assert "\x1b" not in result.out
    assert all(line == line.rstrip() for line in result.out.splitlines())
    labels = {line.split("  ")[0] for line in result.out.splitlines()}
    assert {"host", "system", "cpu", "memory", "disk", "user", "Python", "ports in use"} <= labels


def test_a_recording_for_people(paddock: Callable[..., Any]) -> None:
    lines = paddock("host", "--facts", str(HOSTS / "a3-x2-dual-die")).out.splitlines()
    assert "Ascend  4 × Ascend910" in lines
    row = next(line for line in lines if line.startswith("1/1"))
    assert row.split() == [
        *("1/1", "Ascend910", "OK", "39:00.0", "-", "38", "°C", "0", "%", "10.3/64.0"),
        *("python", "(990711)"),
    ]


def test_what_npu_smi_said_is_shown_word_by_word(paddock: Callable[..., Any]) -> None:
    out = paddock("host", "--facts", str(HOSTS / "error-8020")).out
    assert "because the device is used. ret is -8020" in out
    assert "no chip that answers" in out


def test_every_recording_can_be_shown(paddock: Callable[..., Any]) -> None:
    for folder in sorted(HOSTS.glob("*/recording.toml")):
        result = paddock("host", "--facts", str(folder.parent))
        assert (result.code, result.err) == (0, ""), folder
        assert folder.parent.name in result.out


def test_a_host_cannot_command_the_terminal(paddock: Callable[..., Any], tmp_path: Path) -> None:
    host = Host(
        hostname="\x1b]0;owned\x07",
        system=System(name="[red]x[/red] [N/A]"),
        ascend=Ascend(npus=(Npu(0, name="\x1b[2J", health="[bold]OK"),)),
        proxies=(Proxy("http_proxy", "[link=x]y", "environment"),),
    )
    file = tmp_path / "facts.json"
    file.write_text(host.to_json())
    out = paddock("host", "--facts", str(file)).out
    assert "\x1b" not in out
    assert "\x07" not in out
    for text in ("[red]x[/red] [N/A]", "[bold]OK", "[link=x]y"):
        assert text in out


def test_a_narrow_terminal_gets_colours_and_whole_rows(terminal: Callable[..., Any]) -> None:
    page = terminal("host", "--facts", str(HOSTS / "950pr-x3-alarm"), env={"COLUMNS": "80"})
    assert page.finish() == 0
    assert "\x1b[31mAlarm" in page.seen
    assert "…" not in page.seen
    plain = terminal(
        "host", "--facts", str(HOSTS / "950pr-x3-alarm"), env={"COLUMNS": "80", "NO_COLOR": "1"}
    )
    assert plain.finish() == 0
    assert "\x1b" not in plain.seen
    assert all(len(line) <= 80 for line in plain.seen.splitlines())


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["--host", "ssh://nobody@127.0.0.1:1"], 1, "Connection refused"),
        (["--facts", "nowhere.json"], 1, "cannot read nowhere.json: No such file"),
        (["--facts", "."], 1, "is not a recording of a host"),
        (["--facts", __file__], 1, "these are not facts of a host"),
        (["--host", "a b"], 2, "not the address of a host"),
        (["--facts", "x", "--host", "y"], 2, "leave out --facts"),
        (["--engine", "docker"], 2, "add --container NAME"),
        (["--container", "x", "--engine", "dokcer"], 2, "known are docker, podman"),
        (["--container=-x"], 2, "not the name of a container"),
    ],
)
def test_failures_are_one_line(
    paddock: Callable[..., Any],
    args: list[str],
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = paddock("host", *args)
    assert (result.code, result.out) == (code, "")
    assert said in result.err
    assert result.err.count("\n") == 1
    as_json = paddock("host", *args, "--json")
    assert as_json.code == code
    assert said in json.dumps(json.loads(as_json.out)["error"])


def test_a_container_is_looked_for_in_every_engine(
    paddock: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """docker does not know it, podman does; the stand-ins run what they are given."""
    for name, text in (
        ("docker", "echo 'Error response from daemon: No such container: web' >&2; exit 1"),
        ("podman", 'shift 3; exec "$@"'),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    found = Host.from_json(paddock("host", "--container", "web", "--json").out)
    assert found.target == "container:web"
    assert found.system == probe.read().system or found.system.kernel is not None
    named = paddock("host", "--container", "web", "--engine", "docker")
    assert (named.code, "no container 'web'" in named.err) == (1, True)


def test_a_machine_without_any_engine(
    paddock: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("env", "sh"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    monkeypatch.setenv("PATH", str(tmp_path))
    result = paddock("host", "--container", "web")
    assert (result.code, "no container engine on local" in result.err) == (1, True)


def test_an_unreachable_host_is_tried_once(
    paddock: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = f"echo x >> {tmp_path}/calls; echo 'ssh: connect: Connection refused' >&2; exit 255"
    (tmp_path / "ssh").write_text(f"#!/bin/sh\n{ssh}\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    result = paddock("host", "--host", "npu1", "--container", "web")
    assert (result.code, "cannot reach ssh://npu1" in result.err) == (1, True)
    assert (tmp_path / "calls").read_text() == "x\n"


def test_a_recording_is_a_machine_too() -> None:
    runner = recording.load(HOSTS / "910b4-x8-fresh")
    assert probe.read(runner).target == "recording:910b4-x8-fresh"
    assert probe.read(runner, thorough=True).ascend == probe.read(runner).ascend
