"""The server's steps: its command line in every place, its addresses, the wheel that brings it."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from test_provision_steps import EVERYTHING

from paddock._version import __version__
from paddock.deploy import stackfile
from paddock.deploy.host import Host
from paddock.deploy.provision import Context, serve, wheel
from paddock.deploy.provision.keys import KeyFileStep
from paddock.deploy.step import Machine
from paddock.errors import StepFailed, UsageError
from paddock.shell import LocalRunner

CASES = [
    ("", "--host 127.0.0.1 --port 8000", "http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    (
        "serve: {host: 0.0.0.0, port: 9, api_key_file: keys}",
        "--host 0.0.0.0 --port 9 --api-key-file /f/serve/keys",
        "http://127.0.0.1:9",
        "http://127.0.0.1:9",
    ),
    ("serve: {host: '::1'}", "--host ::1 --port 8000", "http://[::1]:8000", "http://[::1]:8000"),
    (
        "container: {engine: docker}",
        "--host 0.0.0.0 --port 8000 --insecure",
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8000",
    ),
    (
        "container: {engine: docker, ports: ['127.0.0.1:9000:8000']}",
        "--host 0.0.0.0 --port 8000 --insecure",
        "http://127.0.0.1:8000",
        "http://127.0.0.1:9000",
    ),
    (
        "container: {engine: docker, network: host}",
        "--host 127.0.0.1 --port 8000",
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8000",
    ),
    (
        "model: /models/llama\nserve: {options: [--quant, int4]}",
        "/models/llama --host 127.0.0.1 --port 8000 --quant int4",
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8000",
    ),
]


def context(text: str) -> Context:
    file = stackfile.loads(text)
    return Context(file, Host(), Host(), None, "/f", python="/p")


@pytest.mark.parametrize(("text", "words", "inside", "outside"), CASES)
def test_command_and_addresses(text: str, words: str, inside: str, outside: str) -> None:
    found = context(text)
    assert " ".join(serve.command(found)) == f"/p -m paddock serve {words}"
    assert serve.address(found) == inside
    assert serve.outside(found) == outside


def test_steps_by_what_is_wished_for() -> None:
    ids = [step.id for step in serve.steps(context("model: llama2-7b"))]
    assert ids == ["serve.model", "serve.command", "serve.process"]
    assert serve.steps(context("serve: {enabled: false}")) == []
    assert "serve.model" not in [s.id for s in serve.steps(context("model: /models/x"))]


def test_mindspores_server_has_an_environment_beside() -> None:
    of = EVERYTHING["notes"]  # Python 3.9, which Paddock does not run on
    found = {step.id: step for step in serve.steps(of)}
    assert list(found)[-5:] == [
        "serve.interpreter",
        "serve.environment",
        "serve.paddock",
        "serve.command",
        "serve.process",
    ]
    assert "3.9" not in found["serve.environment"].title
    words = serve.command(of)
    assert words[0] == of.server != of.interpreter
    assert words[words.index("--runtime") + 1] == "mindspore"
    assert words[words.index("--mindspore-python") + 1] == of.interpreter


def test_vllm_is_started_from_its_own_environment() -> None:
    of = replace(EVERYTHING["notes"], stack=replace(EVERYTHING["notes"].stack, framework="vllm"))
    words = serve.command(of)
    assert words[words.index("--vllm") + 1] == f"{of.environment}/bin/vllm"
    assert words[0] == of.server


def test_no_key_is_shown(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"alice:{'a' * 64}\n")
    found = context(f"serve: {{host: 0.0.0.0, api_key_file: {tmp_path}/keys}}")
    for step in serve.steps(found):
        assert "a" * 64 not in step.script()


def test_the_key_file_is_the_servers_alone(tmp_path: Path) -> None:
    source, there = tmp_path / "keys", tmp_path / "target" / "serve" / "keys"
    machine = Machine(LocalRunner(), str(tmp_path))
    step = KeyFileStep(str(source), str(there))
    with pytest.raises(StepFailed, match="cannot read") as caught:
        step.check(machine)
    assert "paddock key new" in str(caught.value.hint)
    source.write_text(f"alice:{'a' * 64}\n")
    state = step.check(machine)
    assert [change.before for change in state.changes] == [None]
    assert "a" * 20 not in str(state)
    step.apply(machine, lambda line: None)
    assert step.check(machine).right
    assert there.read_text() == source.read_text()
    assert there.stat().st_mode & 0o777 == 0o600
    there.chmod(0o644)
    source.write_text(f"bob:{'b' * 64}\n")
    assert len(step.check(machine).changes) == 2
    step.undo(machine, state.before, lambda line: None)
    assert not there.exists()


def test_the_wheel_is_of_this_paddock(tmp_path: Path) -> None:
    made = wheel.build(tmp_path, arch="")
    with zipfile.ZipFile(made) as archive:
        names = set(archive.namelist())
        record = archive.read(f"paddock-{__version__}.dist-info/RECORD").decode()
        metadata = archive.read(f"paddock-{__version__}.dist-info/METADATA").decode()
    assert {line.partition(",")[0] for line in record.splitlines()} == names
    assert "paddock/deploy/provision/wheel.py" in names
    assert "paddock/assets/demo/model.safetensors" in names
    assert "Name: paddock" in metadata
    assert not [name for name in names if "cpython" in name or name.endswith(".pyc")]
    first = made.read_bytes()
    assert wheel.build(tmp_path, arch="").read_bytes() == first


def test_a_target_of_another_architecture(tmp_path: Path) -> None:
    if not list(Path(wheel.__file__).parents[2].rglob("*.so")):
        pytest.skip("this Paddock has no compiled kernels")
    with pytest.raises(UsageError, match="the target is s390x"):
        wheel.build(tmp_path, arch="s390x")
