"""pyinfra as a judge that shares no code with us: what one has made, the other finds right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from paddock.deploy.step import FileStep, Machine, ScriptStep, Step
from paddock.shell import LocalRunner

pytestmark = pytest.mark.peers

CHILD = Path(__file__).with_name("pyinfra_child.py")


def steps(folder: Path) -> list[Step]:
    return [
        FileStep("file", "", "", f"{folder}/new/file", "port = 223\nuser = root\n", mode=0o640),
        ScriptStep(
            "line",
            "",
            "",
            checks=f"grep -qxF 'a line' {folder}/lines 2>/dev/null || exit 1",
            applies=f"echo 'a line' >>{folder}/lines",
        ),
        ScriptStep(
            "folder",
            "",
            "",
            checks=f'[ "$(stat -c %a {folder}/made 2>/dev/null)" = 750 ]',
            applies=f"mkdir -p {folder}/made; chmod 750 {folder}/made",
        ),
    ]


def ours(folder: Path) -> int:
    """How much our steps change."""
    machine, changed = Machine(LocalRunner(), str(folder)), 0
    for step in steps(folder):
        if not step.check(machine).right:
            step.apply(machine, lambda line: None)
            assert step.check(machine).right
            changed += 1
    return changed


def theirs(folder: Path) -> int:
    """How much pyinfra changes."""
    pytest.importorskip("pyinfra", reason="pyinfra is not installed")
    argv = [sys.executable, str(CHILD), str(folder)]
    found = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=True)
    return int(found.stdout.split()[-1])


def test_what_we_made_it_finds_right(tmp_path: Path) -> None:
    assert ours(tmp_path) == 3
    assert theirs(tmp_path) == 0
    assert ours(tmp_path) == 0


def test_what_it_made_we_find_right(tmp_path: Path) -> None:
    assert theirs(tmp_path) == 3
    assert ours(tmp_path) == 0
    assert theirs(tmp_path) == 0


def test_both_see_what_somebody_changed(tmp_path: Path) -> None:
    ours(tmp_path)
    (tmp_path / "made").chmod(0o700)
    (tmp_path / "new/file").write_text("port = 22\n")
    assert theirs(tmp_path) == 2
    (tmp_path / "made").chmod(0o700)
    (tmp_path / "new/file").write_text("port = 22\n")
    assert ours(tmp_path) == 2
