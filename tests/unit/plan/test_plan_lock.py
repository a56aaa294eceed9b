"""One operator at a time: here, on a host, and what becomes of a dead one's lock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from paddock.deploy.plan import lock
from paddock.deploy.step import Machine
from paddock.errors import Locked
from paddock.shell import LocalRunner

HOLD = """
import sys, time
from pathlib import Path
from paddock.deploy.plan import lock
from paddock.deploy.step import Machine
from paddock.shell import LocalRunner
with lock.here(Path(sys.argv[1])), lock.there(Machine(LocalRunner(), sys.argv[1]), "theirs"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return Machine(LocalRunner(), str(tmp_path))


@pytest.fixture
def other(tmp_path: Path, machine: Machine) -> Iterator[subprocess.Popen[str]]:
    """Another paddock, which holds both locks."""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "src")}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=env
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_two_commands_here(other: subprocess.Popen[str], tmp_path: Path) -> None:
    with pytest.raises(Locked, match=f"process {other.pid}"), lock.here(tmp_path):
        pass
    other.kill()
    other.wait()
    with lock.here(tmp_path):
        pass


def test_two_operators_of_a_host(
    other: subprocess.Popen[str], machine: Machine, tmp_path: Path
) -> None:
    with pytest.raises(Locked, match=rf"process {other.pid}, theirs"), lock.there(machine, "mine"):
        pass
    assert (tmp_path / "paddock.lock").is_dir()
    with lock.there(machine, "mine", force=True):
        assert "mine" in (tmp_path / "paddock.lock/owner").read_text()
    assert not (tmp_path / "paddock.lock").exists()


def test_a_dead_operators_lock_is_taken(
    other: subprocess.Popen[str], machine: Machine, tmp_path: Path
) -> None:
    other.kill()
    other.wait()
    with lock.there(machine, "mine"):
        assert "mine" in (tmp_path / "paddock.lock/owner").read_text()
    assert not (tmp_path / "paddock.lock").exists()
    assert not list(tmp_path.glob("paddock.lock*"))


def test_whoever_lost_the_lock_does_not_release_anothers(machine: Machine, tmp_path: Path) -> None:
    with lock.there(machine, "first"):
        owner = tmp_path / "paddock.lock/owner"
        owner.write_text(owner.read_text().replace("first", "second"))
    assert owner.exists()


def test_a_lock_without_a_name_is_young_first(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "paddock.lock").mkdir()
    with pytest.raises(Locked, match="somebody who left no name"), lock.there(machine, "mine"):
        pass
    old = time.time() - lock.STALE_S - 60
    os.utime(tmp_path / "paddock.lock", (old, old))
    with lock.there(machine, "mine"):
        pass


@pytest.mark.parametrize("said", ["", lock._owner("mine")[:-1]])
def test_who_dies_while_taking_it_has_none(machine: Machine, tmp_path: Path, said: str) -> None:
    machine.sh(lock._TAKE, stdin=said)
    assert not (tmp_path / "paddock.lock").exists()


@pytest.mark.parametrize(
    ("change", "age", "wanted"),
    [
        ({}, 5, False),
        ({"pid": 2**22 + 1}, 5, True),  # a process that cannot be
        ({"started": "1"}, 5, True),  # the pid is somebody else's now
        ({"up": "another start of our machine"}, 5, True),
        ({"machine": "elsewhere", "pid": 2**22 + 1}, 5, False),  # who can tell
        ({"machine": "elsewhere"}, lock.STALE_S + 1, True),
        ({"machine": "elsewhere", "boot": "before"}, 5, True),  # the host was restarted since
    ],
)
def test_who_is_dead(change: dict[str, Any], age: int, wanted: bool) -> None:
    held = {**json.loads(lock._owner("x")), "boot": "now", **change}
    assert lock.stale(held, boot="now", age=age) is wanted
