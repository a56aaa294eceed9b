"""A service really runs on: it is restarted when it dies, seen, changed and stopped."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import sys
import time
from pathlib import Path

import pytest
from provision_contexts import context

from paddock.deploy.provision.service import service
from paddock.deploy.step import Machine, Step
from paddock.errors import StepFailed
from paddock.shell import LocalRunner

LISTENER = """
import socket, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", {port}))
s.listen()
print("up", flush=True)
while True: time.sleep(1)
"""


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def step(folder: Path, port: int, program: str = LISTENER) -> Step:
    run = f"exec {shlex.quote(sys.executable)} -Ic {shlex.quote(program.format(port=port))}"
    of = context(None, "cpu", engine="none", folder=str(folder))
    return service(of, "demo", run, port=port, title="t", why="w", step="services.demo")


def wait_for(what: object) -> None:
    end = time.monotonic() + 60
    while not what():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come about within a minute"
        time.sleep(0.1)


def test_it_runs_comes_back_and_ends(tmp_path: Path, port: int) -> None:
    machine = Machine(LocalRunner(), str(tmp_path))
    wanted = step(tmp_path, port)
    before = wanted.check(machine)
    assert before.before["state"] == "not running"
    wanted.apply(machine, print)
    try:
        assert wanted.check(machine).right
        log = tmp_path / "services/demo/log"
        holder = _listening(port)
        os.kill(holder, signal.SIGKILL)
        wait_for(lambda: log.read_text().count("up") == 2)
        wait_for(lambda: wanted.check(machine).right)
        assert "ended with 137, again in 1 s" in log.read_text()
        changed = step(tmp_path, port, LISTENER + "\n# changed")
        assert changed.check(machine).before["state"] == "runs with other settings"
        changed.apply(machine, print)
        assert changed.check(machine).right
    finally:
        wanted.undo(machine, before.before, print)
    assert not (tmp_path / "services/demo").exists()
    assert wanted.check(machine).before["state"] == "not running"
    with socket.socket() as free:  # nothing of it is left
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind(("127.0.0.1", port))
    wanted.undo(machine, before.before, print)  # again


def test_a_taken_port_is_said(tmp_path: Path, port: int) -> None:
    machine = Machine(LocalRunner(), str(tmp_path))
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(StepFailed, match="a port is taken"):
            step(tmp_path, port).apply(machine, lambda _: None)
        step(tmp_path, port).undo(machine, {}, print)


def test_what_ends_at_once_shows_its_log(tmp_path: Path, port: int) -> None:
    machine = Machine(LocalRunner(), str(tmp_path))
    broken = step(tmp_path, port, "raise SystemExit('no such model')")
    with pytest.raises(StepFailed) as caught:
        broken.apply(machine, lambda _: None)
    assert "no such model" in caught.value.log
    assert broken.check(machine).before["state"] == "not running"


def _listening(port: int) -> int:
    """The process that listens on a port of loopback, by /proc."""
    wanted = f"0100007F:{port:04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()
    inode = next(w[9] for w in map(str.split, lines) if w[1] == wanted and w[3] == "0A")
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if str(fd.readlink()) == f"socket:[{inode}]":
                return int(fd.parts[2])
        except OSError:
            continue
    raise AssertionError("nobody listens")


DEAF = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork(): time.sleep(10**6)
"""


def test_what_ignores_term_is_ended_with_all_that_it_started(
    tmp_path: Path, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paddock.deploy.provision.service.STOP_S", 1)
    machine = Machine(LocalRunner(), str(tmp_path))
    deaf = step(tmp_path, port, DEAF + LISTENER)
    deaf.apply(machine, print)
    pids = _session(int((tmp_path / "services/demo/pid").read_text().split()[0]))
    assert len(pids) == 2, "the one that sleeps, and the one that listens"
    deaf.undo(machine, {"state": "not running"}, print)
    assert not [pid for pid in pids if _alive(pid)]
    assert not (tmp_path / "services/demo").exists()


def _alive(pid: int) -> bool:
    """Whether it runs; one that is dead may wait for long to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def _session(supervisor: int) -> list[int]:
    """The processes of the sessions that a supervisor's children lead."""
    stats = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        stats[int(path.parent.name)] = (int(fields[1]), int(fields[3]))
    leaders = {pid for pid, (parent, _) in stats.items() if parent == supervisor}
    return [pid for pid, (_, session) in stats.items() if session in leaders]
