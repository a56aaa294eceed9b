"""The proof that a program ran: the same for who writes it and for who looks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddock.deploy.provision.runs import RunsStep
from paddock.deploy.step import Machine
from paddock.shell import LocalRunner

LISTS = "#!/bin/sh\necho /dev/davinci0\nexit 2 # as ls does where one of its arguments is missing\n"


def test_the_proof_holds_where_some_of_its_files_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "ls").write_text(LISTS)
    (tools / "ls").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/local/bin:/usr/bin:/bin")
    prefix = tmp_path / "prefix"
    (prefix / "bin").mkdir(parents=True)
    (prefix / "bin" / "python").symlink_to("/bin/true")
    step = RunsStep("x.check", "x computes", "why", str(prefix), "x\n", str(tmp_path / "folder"))
    machine = Machine(LocalRunner(), str(tmp_path / "folder"))

    assert not step.check(machine).right
    step.apply(machine, lambda line: None)
    assert step.check(machine).right, "what was proved under set -e is found without it"

    step.undo(machine, {}, lambda line: None)
    assert not step.check(machine).right
