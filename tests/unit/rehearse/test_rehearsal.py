"""What a rehearsal changes in a stack file, and what it refuses."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from paddock.deploy.rehearse import image, needs, rehearsal
from paddock.deploy.stackfile import loads
from paddock.errors import RehearsalError, UsageError
from paddock.shell import LocalRunner, Output


def test_a_hosts_own_image_and_artifacts_are_stood_in_for_too() -> None:
    override = {
        "container": {"image": "mine:1", "name": "a"},
        "stack": {"artifacts": "/srv"},
        "serve": {"port": 1},
        "model": "llama2-7b",
        "ssh": {"port": 22},
    }
    assert rehearsal._without_stood_in(override) == {
        "container": {"name": "a"},
        "stack": {},
        "ssh": {"port": 22},
    }


def test_the_machine_of_each_host_is_its_preset() -> None:
    file = loads(
        "hosts:\n"
        "- {name: a, address: 'ssh://a', override: {preset: atlas-800t-a2}}\n"
        "- {name: b, address: 'ssh://b', override: {preset: cpu}}\n"
    )
    found = rehearsal.models(file, None)
    assert [found[name].name for name in ("a", "b")] == ["atlas-800t-a2", "cpu"]
    assert rehearsal.models(file, "cpu")["a"].kind == "cpu"
    with pytest.raises(UsageError, match="name one with --as"):
        rehearsal.models(loads("name: plain\n"), None)


def test_a_python_that_no_image_has_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "release_of", lambda key: "debian")
    monkeypatch.setattr(LocalRunner, "run", lambda *a, **k: Output(0, "11\n"))
    assert rehearsal._release(None) == ""
    assert rehearsal._release("3.11.4") == ""
    assert rehearsal._release("3.9.7") == "bullseye"
    with pytest.raises(RehearsalError, match=r"Python 3\.10\.12"):
        rehearsal._release("3.10.12")


def test_everything_that_is_missing_is_named_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    tools = os.pathsep.join((str(tmp_path), "/usr/bin", "/bin"))
    monkeypatch.setenv("PATH", tools)
    monkeypatch.setattr(needs, "ASCEND", ("no-such-compiler:gcc",))
    lacks = needs.missing(LocalRunner(), ascend=True, engine=False)
    assert lacks[0].startswith("root: it makes device nodes")
    assert lacks[-1] == "no-such-compiler (Debian: apt-get install gcc)"
    with pytest.raises(RehearsalError, match=r"root: .*; no-such-compiler"):
        needs.require(LocalRunner(), ascend=True, engine=False)
