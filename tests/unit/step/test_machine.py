"""Files, transfers and followed jobs, on this machine by the programs that run everywhere."""

from __future__ import annotations

import os
import signal
import stat
import threading
import time
from pathlib import Path

import pytest

from paddock.deploy.step import FileStep, Machine, ScriptStep
from paddock.errors import RunnerError, StepFailed
from paddock.shell import LocalRunner


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(LocalRunner(), str(tmp_path / "paddock"))


def test_a_file_is_written_whole_with_its_mode(machine: Machine, tmp_path: Path) -> None:
    path = tmp_path / "a b" / "key"
    machine.write(str(path), "secret\n", mode=0o600)
    assert path.read_text() == "secret\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == ["key"]


def test_a_file_that_cannot_be_written_leaves_nothing(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunnerError, match="cannot write"):
        machine.write(str(tmp_path / "file" / "below"), "x")
    with pytest.raises(RunnerError, match="cannot write"):
        machine.write(str(tmp_path / "owned"), "x", owner="nobody-of-that-name")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file"]


@pytest.mark.parametrize("size", [0, 1, 100, 300])
def test_a_transfer_goes_on_where_it_stopped(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("paddock.deploy.step.transfer.CHUNK", 100)
    source, path = tmp_path / "source", tmp_path / "there" / "copy"
    source.write_bytes(os.urandom(size))
    said: list[str] = []
    machine.send(source, str(path), log=said.append)
    assert path.read_bytes() == source.read_bytes()
    path.rename(next(iter(_parts(source, path))))  # as if it had been broken off before the rename
    machine.send(source, str(path))
    assert path.read_bytes() == source.read_bytes()
    assert len(list(path.parent.iterdir())) == 1


def _parts(source: Path, path: Path) -> list[Path]:
    import hashlib

    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    return [path.with_name(f"{path.name}.{digest[:16]}.part")]


def test_a_job_is_followed_line_by_line(machine: Machine) -> None:
    said: list[str] = []
    script = "echo one; sleep 0.3; echo two >&2; printf three"
    machine.follow("job", script, step="s", timeout=60, log=said.append)
    assert said == ["one", "two", "three"]


def test_a_failed_job_carries_its_log(machine: Machine) -> None:
    with pytest.raises(StepFailed, match="ended with 3") as caught:
        machine.follow("job", "echo why; exit 3", step="s", timeout=60, log=lambda _: None)
    assert caught.value.log == "why"


def test_a_job_stops_at_the_first_failing_line(machine: Machine) -> None:
    with pytest.raises(StepFailed, match="ended with 1"):
        machine.follow("job", "false\necho on", step="s", timeout=60, log=lambda _: None)


def test_a_job_that_lasts_too_long_is_ended(machine: Machine) -> None:
    with pytest.raises(StepFailed, match="not ready after 1 s"):
        machine.follow("job", "sleep 100", step="s", timeout=1, log=lambda _: None)


def test_who_comes_back_follows_the_same_job(machine: Machine, tmp_path: Path) -> None:
    count = tmp_path / "count"
    script = f"echo x >>{count}; sleep 1.5; echo end"
    first: list[str] = []
    thread = threading.Thread(
        target=lambda: machine.follow("job", script, step="s", timeout=60, log=first.append)
    )
    thread.start()
    while not count.exists():
        time.sleep(0.02)
    second: list[str] = []
    machine.follow("job", script, step="s", timeout=60, log=second.append)
    thread.join()
    assert count.read_text() == "x\n"
    assert "end" in second


# Between two looks of who follows, the job ends: its code is there and its process is not.
ENDS_WHILE_LOOKED_AT = """#!/bin/sh
case $1 in
*/pid)
  while [ ! -e "${1%pid}rc" ]; do sleep 0.05; done
  echo 99999999 # more than any system gives
  ;;
*) exec /bin/cat "$@" ;;
esac
"""


def test_a_job_that_ends_while_it_is_looked_at_was_not_killed(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shim = tmp_path / "tools" / "cat"
    shim.parent.mkdir()
    shim.write_text(ENDS_WHILE_LOOKED_AT)
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", f"{shim.parent}:/usr/local/bin:/usr/bin:/bin")
    lines: list[str] = []
    machine.follow("job", "echo one; sleep 1", step="s", timeout=60, log=lines.append)
    assert lines == ["one"]


def test_a_killed_job_is_said_so(machine: Machine, tmp_path: Path) -> None:
    pid = tmp_path / "paddock" / "jobs" / "job" / "pid"

    def kill() -> None:
        while not pid.exists() or not pid.read_text().strip():
            time.sleep(0.02)
        os.killpg(int(pid.read_text()), signal.SIGKILL)

    threading.Thread(target=kill).start()
    with pytest.raises(StepFailed, match="was killed"):
        machine.follow("job", "sleep 60", step="s", timeout=100, log=lambda _: None)


class TestFileStep:
    def test_from_nothing_and_back(self, machine: Machine, tmp_path: Path) -> None:
        path = tmp_path / "etc" / "deep" / "file"
        step = FileStep("f", "t", "w", str(path), "text\n", mode=0o640)
        state = step.check(machine)
        assert not state.right
        assert state.changes[0].before is None
        step.apply(machine, print)
        assert step.check(machine).right
        step.undo(machine, state.before, print)
        assert not (tmp_path / "etc").exists()

    def test_what_was_there_comes_back(self, machine: Machine, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_text("old\n")
        path.chmod(0o600)
        step = FileStep("f", "t", "w", str(path), "new\n")
        before = step.check(machine).before
        step.apply(machine, print)
        step.undo(machine, before, print)
        assert path.read_text() == "old\n"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_later_change_is_kept(self, machine: Machine, tmp_path: Path) -> None:
        path = tmp_path / "file"
        step = FileStep("f", "t", "w", str(path), "new\n")
        before = step.check(machine).before
        step.apply(machine, print)
        path.write_text("by hand\n")
        step.undo(machine, before, print)
        assert (tmp_path / "file.paddock-kept").read_text() == "by hand\n"

    @pytest.mark.parametrize("text", ["", "a\n", "no newline", "it's $HOME `x` \\\n", "中文\n"])
    def test_the_runbook_writes_the_same(self, machine: Machine, tmp_path: Path, text: str) -> None:
        step = FileStep("f", "t", "w", str(tmp_path / "a b" / "file"), text, mode=0o600)
        assert machine.sh(f"set -eu\n{step.script()}").ok
        assert step.check(machine).right


def test_a_script_step_undoes_by_what_it_saw(machine: Machine, tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text("1")
    step = ScriptStep(
        "s",
        "t",
        "w",
        f"cat {file}; grep -qx 2 {file}",
        f"printf 2 >{file}",
        f"tr -d '\\n' >{file}",
    )
    state = step.check(machine)
    assert state.changes[0].before == "1"
    step.apply(machine, print)
    assert step.check(machine).right
    step.undo(machine, state.before, print)
    assert file.read_text() == "1"
    assert machine.sh(f"set -eu\n{step.script()}").ok
    assert step.check(machine).right
