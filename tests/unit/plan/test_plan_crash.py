"""Killed with SIGKILL at any event of the journal: the next ``up`` gets to the same end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from paddock.deploy.plan import Journal

ROOT = Path(__file__).parents[3]
CHILD = Path(__file__).with_name("plan_child.py")

EVENTS = 8
"""Two for each of the child's four steps."""

ALL = [(n, how) for n in range(1, EVENTS + 1) for how in ("before", "torn", "after")]
FEW = [(1, "after"), (4, "torn"), (7, "after"), (8, "before")]
POINTS = [
    pytest.param(
        *point, marks=() if point in FEW else pytest.mark.slow, id=f"{point[0]}-{point[1]}"
    )
    for point in ALL
]


def child(*args: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "TMPDIR": args[1]}
    return subprocess.run(
        [sys.executable, str(CHILD), *args], capture_output=True, text=True, timeout=120, env=env
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A host folder as it was before anything was done."""
    host = tmp_path / "host"
    host.mkdir()
    (host / "old").write_text("as it was\n")
    (host / "old").chmod(0o640)
    (host / "link").symlink_to("one")
    return tmp_path


def tree(folder: Path) -> dict[str, tuple[int, str]]:
    """Every path with its mode and its content; without the count of runs."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = (0, str(path.readlink()))
        elif path.is_dir():
            found[name] = (path.stat().st_mode, "")
        elif name != "runs":
            found[name] = (path.stat().st_mode, path.read_text())
    return found


def after_up(root: Path) -> dict[str, tuple[int, str]]:
    assert (root / "host" / "long").exists()
    return tree(root / "host")


WANTED = {
    "made": "",
    "made/here": "",
    "made/here/new": "new\n",
    "old": "changed\n",
    "link": "two",
    "long": "",
}


@pytest.mark.parametrize(("number", "how"), POINTS)
def test_up_goes_on(root: Path, number: int, how: str) -> None:
    before = tree(root / "host")
    killed = child("up", str(root), str(number), how)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    second = child("up", str(root))
    assert second.returncode == 0, second.stdout + second.stderr
    assert {name: text for name, (_, text) in after_up(root).items()} == WANTED
    assert (root / "host" / "made/here/new").stat().st_mode & 0o777 == 0o600
    assert '"empty": true' in second.stdout
    down = child("down", str(root))
    assert down.returncode == 0, down.stdout + down.stderr
    assert tree(root / "host") == before
    assert not Journal(root / "state/llama/journal.jsonl").entries()


@pytest.mark.parametrize(("number", "how"), POINTS[:: len(POINTS) // 3])
def test_down_goes_on(root: Path, number: int, how: str) -> None:
    before = tree(root / "host")
    assert child("up", str(root)).returncode == 0
    killed = child("down", str(root), str((number + 1) // 2), how)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    again = child("down", str(root))
    assert again.returncode == 0, again.stdout + again.stderr
    assert tree(root / "host") == before


def test_down_right_after_a_crash(root: Path) -> None:
    before = tree(root / "host")
    assert child("up", str(root), "7", "after").returncode == -signal.SIGKILL
    assert child("down", str(root)).returncode == 0
    assert tree(root / "host") == before


def test_what_was_there_before_the_first_try_comes_back(root: Path) -> None:
    before = tree(root / "host")
    assert child("up", str(root)).returncode == 0
    (root / "host" / "link").unlink()
    (root / "host" / "link").symlink_to("somebody's")
    assert child("up", str(root)).returncode == 0
    assert child("down", str(root)).returncode == 0
    assert tree(root / "host") == before
