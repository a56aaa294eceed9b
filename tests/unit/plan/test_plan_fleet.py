"""Many hosts over real SSH: at once or in turn, one that fails, limits, an end by Ctrl-C."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import sshd
from paddock.deploy.host import Host
from paddock.deploy.plan import Deployment, Event, Options, fleet, prepare
from paddock.deploy.plan.events import nobody
from paddock.deploy.provision import Context
from paddock.deploy.stackfile import HostEntry, Stackfile
from paddock.deploy.step import FileStep, ScriptStep, Step
from paddock.errors import Interrupted, StepFailed, UsageError
from paddock.shell import Runner, SshRunner

GOOD, LOST, FULL = ("npu1", "npu2"), "npu3", "npu4"


def steps(context: Context) -> list[Step]:
    """A file and a program that fails where the host's folder says that its disk is full."""
    return [
        FileStep("file", "a file", "test", f"{context.folder}/x/file", "text\n"),
        ScriptStep(
            "script",
            "a program",
            "test",
            checks=f"[ -e {context.folder}/x/made ]",
            applies=f"case {context.folder} in */{FULL}/*)"
            " echo 'write: No space left on device' >&2; exit 1;; esac;"
            f" touch {context.folder}/x/made",
            undoes=f"rm -f {context.folder}/x/made",
        ),
    ]


@dataclass
class Fleet:
    """Hosts with a server each, but one that nothing listens for."""

    file: Stackfile
    runners: dict[str, SshRunner]
    folder: Path

    def reach(self, entry: HostEntry) -> Runner:
        return self.runners[entry.name]

    def deployment(self, **options: object) -> Deployment:
        return Deployment(
            self.file,
            self.folder / "operator",
            reach=self.reach,
            options=Options(**options),  # type: ignore[arg-type]
        )


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, SshRunner]]:
    folder = tmp_path_factory.mktemp("fleet")
    with contextlib.ExitStack() as stack:
        found = {}
        for name in (*GOOD, FULL):
            (folder / name / "tmp").mkdir(parents=True)
            own = {"XDG_STATE_HOME": f"{folder / name}", "TMPDIR": f"{folder / name}/tmp"}
            found[name] = stack.enter_context(sshd.serving(folder / name / "ssh", own))
        sockets = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pd", dir="/tmp")))
        found = {name: replace(runner, control=sockets) for name, runner in found.items()}
        found[LOST] = replace(found[GOOD[0]], port=sshd.free_port())
        yield found


@pytest.fixture
def lab(hosts: dict[str, SshRunner], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    monkeypatch.setattr(prepare, "steps", steps)
    real = prepare.probe.read
    monkeypatch.setattr(prepare.probe, "read", lambda runner: _small(real(runner)))
    entries = tuple(
        HostEntry(name=n, address=hosts[n].target, groups=("good",) if n in GOOD else ("bad",))
        for n in sorted(hosts)
    )
    return Fleet(Stackfile(hosts=entries), hosts, tmp_path)


def _small(host: Host) -> Host:
    """Without what the doctor could find wrong with the machine that runs the tests."""
    return Host(target=host.target, hostname=host.hostname, system=host.system)


def made(lab: Fleet, name: str) -> bool:
    return lab.runners[name].run(["sh", "-c", 'ls "$XDG_STATE_HOME/paddock/llama/target/x"']).ok


@pytest.mark.parametrize("serial", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_one_that_fails_does_not_stop_the_others(lab: Fleet, serial: bool) -> None:
    found = lab.deployment(serial=serial)
    planned = found.plan()
    assert [host.host for host in planned.blocked] == [LOST]
    results = {result.host: result for result in found.up(planned)}
    assert {name for name, result in results.items() if result.ok} == set(GOOD)
    lost, full = results[LOST].failure, results[FULL].failure
    assert lost is not None and full is not None
    assert "Connection refused" in lost.message
    assert full.step == "script"
    assert "No space left on device" in full.log
    assert [title for title, _ in full.diagnosis] == ["a disk is full"]
    again = lab.deployment(limit=("good",)).plan()
    assert again.empty and len(again.hosts) == len(GOOD)
    downs = {result.host: result for result in lab.deployment().down()}
    assert all(downs[name].ok for name in (*GOOD, FULL))
    assert not any(made(lab, name) for name in GOOD)


def test_limits(lab: Fleet) -> None:
    assert [e.name for e in fleet.chosen(lab.file, ("bad",))] == [LOST, FULL]
    assert [e.name for e in fleet.chosen(lab.file, ("good", FULL))] == [*GOOD, FULL]
    with pytest.raises(UsageError, match="no host or group 'npu9'; did you mean"):
        fleet.chosen(lab.file, ("npu9",))


ENTRIES = tuple(HostEntry(name=f"h{n}") for n in range(6))


def test_at_once_and_in_turn() -> None:
    together = threading.Barrier(len(ENTRIES), timeout=20)
    results = fleet.each(ENTRIES, lambda e: together.wait(), tell=nobody, stop=threading.Event())
    assert all(result.ok for result in results)
    order: list[str] = []
    fleet.each(
        ENTRIES,
        lambda e: order.append(e.name),
        tell=nobody,
        stop=threading.Event(),
        serial=True,
    )
    assert order == [entry.name for entry in ENTRIES]


def test_every_host_is_told_of() -> None:
    heard: list[Event] = []

    def fail(entry: HostEntry) -> None:
        if entry.name == "h3":
            raise StepFailed("a", "h3", "it broke", log="x: Permission denied (publickey)")

    results = fleet.each(ENTRIES, fail, tell=heard.append, stop=threading.Event())
    assert [result.ok for result in results].count(False) == 1
    assert {event.host for event in heard if event.kind == "finished"} == {
        entry.name for entry in ENTRIES
    }
    assert [event.text for event in heard if event.kind == "failed"] == ["a on h3: it broke"]


def test_a_fault_of_ours_is_not_a_hosts() -> None:
    def broken(entry: HostEntry) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fleet.each(ENTRIES, broken, tell=nobody, stop=threading.Event())


def test_those_that_were_not_begun_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def first_stops(entry: HostEntry) -> None:
        stop.set()
        raise Interrupted("stopped")

    results = fleet.each(ENTRIES, first_stops, tell=nobody, stop=stop, serial=True)
    assert [result.failure.kind for result in results if result.failure] == ["Interrupted"] * 6


def test_ctrl_c_waits_for_a_safe_place(monkeypatch: pytest.MonkeyPatch) -> None:
    stop, begun, safe = threading.Event(), threading.Event(), threading.Event()

    def work(entry: HostEntry) -> None:
        begun.set()
        stop.wait(20)
        time.sleep(0.1)
        safe.set()
        raise Interrupted("stopped")

    real, pressed = threading.Event.wait, []

    def wait(self: threading.Event, timeout: float | None = None) -> bool:
        here = threading.current_thread() is threading.main_thread()
        if here and begun.is_set() and not pressed:
            pressed.append(True)
            raise KeyboardInterrupt
        return real(self, timeout)

    monkeypatch.setattr(threading.Event, "wait", wait)
    with pytest.raises(KeyboardInterrupt):
        fleet.each(ENTRIES[:1], work, tell=nobody, stop=stop)
    assert safe.is_set()


def test_a_name_that_became_another_machine(tmp_path: Path) -> None:
    found = Deployment(Stackfile(hosts=(HostEntry(name="a", address="ssh://new"),)), tmp_path)
    found.journal.begin("a", "ssh://old", "file", "host", {}, "c")
    found.journal.begin("gone", "ssh://gone", "file", "host", {}, "c")
    with pytest.raises(UsageError, match="a is ssh://new in the stack file, and ssh://old in the"):
        found.entries(found.file.hosts[0])
    (result,) = found.down()
    assert result.failure is not None
    assert found.forgotten() == ("gone",)
