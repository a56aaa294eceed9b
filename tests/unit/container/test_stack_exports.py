"""``paddock export`` of a stack file, by recorded facts: no host is asked."""

from __future__ import annotations

import configparser
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from test_spec_cases import host

from paddock.cli.main import main
from paddock.deploy.container import ContainerSpec, Published
from paddock.deploy.container.containerfile import containerfile
from paddock.deploy.container.unit import unit
from paddock.deploy.step import CONTAINER, FileStep, ScriptStep

STACK = """
name: llama
container: {engine: docker, image: "ubuntu:22.04", devices: [0, 1]}
stack: {framework: paddock}
"""


BARE = "stack: {framework: paddock}\nserve: {port: 9000}\n"


@pytest.fixture
def export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    monkeypatch.setenv("PADDOCK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    facts = tmp_path / "npu1.json"
    there = host(["910b4-x8-fresh", "910b4-x8-lspci"], ["ascend-8", "arm", "docker"])
    facts.write_text(there.to_json())
    file = tmp_path / "paddock.yaml"

    def run(*words: str, stack: str = STACK, code: int = 0) -> str:
        file.write_text(stack)
        argv = ["export", words[0], "--file", str(file), "--facts", str(facts), *words[1:]]
        assert main(argv) == code, capsys.readouterr().err
        said = capsys.readouterr()
        return said.out if code == 0 else said.err

    return run


def test_compose(export: Callable[..., str]) -> None:
    document = yaml.safe_load(export("compose"))
    service = document["services"]["llama"]
    assert service["devices"][:2] == ["/dev/davinci0:/dev/davinci0", "/dev/davinci1:/dev/davinci1"]
    built = yaml.safe_load(export("compose", "--image", "llama:1"))["services"]["llama"]
    assert built["image"] == "llama:1"
    assert "command" not in built


def test_kubernetes(export: Callable[..., str]) -> None:
    deployment, service = yaml.safe_load_all(export("kubernetes", "--image", "llama:1"))
    pod = deployment["spec"]["template"]["spec"]["containers"][0]
    assert pod["resources"]["limits"] == {"huawei.com/Ascend910": 2}
    assert pod["readinessProbe"]["httpGet"] == {"path": "/ready", "port": 8000}
    assert service["spec"]["ports"][0]["port"] == 8000


def test_systemd_of_a_container_and_of_a_server(export: Callable[..., str]) -> None:
    assert "docker start -a llama" in export("systemd")
    text = export("systemd", stack=BARE)
    assert "serve --host 127.0.0.1 --port 9000" in text


def test_containerfile(export: Callable[..., str], tmp_path: Path) -> None:
    text = export("containerfile")
    assert "\nFROM ubuntu:22.04\n" in text
    assert json.loads(text.split("\nCMD ")[1]) == ["/opt/paddock/serve/run"]
    # In a network of its own it listens on all of it, and the port is published on loopback.
    assert "--host 0.0.0.0 --port 8000 --insecure" in text
    assert "# serve.process" not in text
    # No index has the wheel of this Paddock: it comes from the build's folder, where --out puts it.
    copied = text.index("\nCOPY paddock-")
    assert text.index("# serve.paddock") < copied < text.index("/opt/paddock/wheels/paddock-*.whl")
    # This Paddock may have kernels for another processor than the facts name: said, not refused.
    export("containerfile", "--out", str(tmp_path / "Containerfile"))
    assert (tmp_path / "Containerfile").read_text() == text


def test_what_cannot_be_written(export: Callable[..., str]) -> None:
    assert "wants no container" in export("compose", stack=BARE, code=2)
    assert "beside --file" in export("systemd", "--", "--port", "1", code=2)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    file = tmp_path / "llama.service"
    file.write_text(unit(ContainerSpec(name="llama", image="x:1")))
    checked = subprocess.run(
        ["systemd-analyze", "verify", str(file)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("engine", ["docker", "podman", "isula"])
def test_the_unit_can_be_read(engine: str) -> None:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read_string(unit(ContainerSpec(name="llama", image="x:1", engine=engine)))  # type: ignore[arg-type]
    assert parser["Service"]["ExecStart"] == f"/usr/bin/env {engine} start -a llama"
    assert ("Requires" in parser["Unit"]) == (engine != "podman")


def test_a_layer_says_the_script_word_by_word(tmp_path: Path) -> None:
    """What RUN gives to sh is run here, by the same shell."""
    out = tmp_path / "out"
    awkward = f'it\'s \\ a "line" $HOME `x` %s\n\n# {out}\n'
    steps = [
        FileStep("a", "t", "w", str(out), awkward, on=CONTAINER),
        FileStep("on.host", "t", "w", "/none", "x", on="host"),
        ScriptStep("ssh.server", "t", "w", "false", "sshd", on=CONTAINER),
    ]
    text = containerfile(ContainerSpec(name="x1", image="x", ports=(Published(1, 223),)), steps)
    assert "on.host" not in text
    assert "sshd" not in text
    assert "\nEXPOSE 223\n" in text
    run = text.partition("\nRUN ")[2].partition("\n\nWORKDIR")[0]
    done = subprocess.run(["sh", "-c", run], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert out.read_text() == awkward
