"""A bundle gets to a host whole, is gone on with, looked at quickly, and taken back."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from paddock.deploy import bundle
from paddock.deploy.bundle import MANIFEST, CarryStep, Manifest, Placed
from paddock.deploy.bundle import manifest as manifests
from paddock.deploy.step import Machine
from paddock.errors import BundleError, RunnerError, StepFailed, Unreachable, UsageError
from paddock.shell import TIMEOUT, LocalRunner, Output

CONTENT = {
    "wheels/six-1.16.0-py2.py3-none-any.whl": b"a wheel",
    "run/toolkit.run": b"an installer" * 100,
    "images/base-1.tar": b"an image",
    "models/tiny/model.safetensors": bytes(range(256)) * 10,
    "models/tiny/config.json": b"{}",
}
SENT = [path for path in CONTENT if not path.startswith("images/")]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make(tmp_path / "usb" / "llama")


def make(folder: Path, content: dict[str, bytes] = CONTENT) -> Path:
    """A bundle of these files."""
    for path, data in content.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    entries = tuple(manifests.entry(folder, path) for path in content)
    today = datetime.date(2026, 11, 25)
    arch = os.uname().machine
    manifests.write(
        folder, Manifest("lab", today, arch, None, "", entries, model="tiny", image="base:1")
    )
    return folder


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(LocalRunner(), str(tmp_path / "host" / "target"))


def step(source: Path, machine: Machine, place: Path | None = None, **values: bool) -> CarryStep:
    there = str(place or f"{machine.folder}/bundle")
    placed = Placed(str(source), there, bundle.read(source), **values)
    return CarryStep(placed, placed.needed(f"{there}/models/tiny"), machine.folder)


def files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def test_what_is_needed_is_sent_and_taken_back(source: Path, machine: Machine) -> None:
    wanted = step(source, machine)
    place = Path(wanted.placed.place)
    state = wanted.check(machine)
    assert [(c.before, c.after) for c in state.changes] == [(None, "4 files, 0.0 MB")]
    wanted.apply(machine, print)
    assert wanted.check(machine).right
    assert files(place) == sorted([*SENT, MANIFEST])
    assert all((place / path).read_bytes() == CONTENT[path] for path in SENT)
    assert bundle.verify(place) == (), "what lies there is a bundle of its own"
    wanted.undo(machine, state.before, print)
    assert not Path(machine.folder).exists()
    assert not wanted.check(machine).right
    wanted.undo(machine, state.before, print)  # again


def test_without_its_model_no_weights_are_sent(source: Path, machine: Machine) -> None:
    placed = Placed(str(source), f"{machine.folder}/bundle", bundle.read(source))
    assert {each.kind for each in placed.needed("other")} == {"wheels", "run"}
    assert {each.kind for each in placed.needed(None)} == {"wheels", "run"}
    assert placed.archive is not None
    assert placed.archive.path == "images/base-1.tar"


def test_a_look_reads_no_file_and_sees_every_write(source: Path, machine: Machine) -> None:
    wanted = step(source, machine)
    wanted.apply(machine, print)
    there = Path(wanted.placed.place) / "run/toolkit.run"
    asked = Counting()
    assert wanted.check(replace(machine, runner=asked)).right
    assert not any("sha256sum" in " ".join(argv) for argv in asked.argv)
    there.write_bytes(there.read_bytes())  # the same: compared, and not sent
    os.utime(there, (1, 1))
    assert not wanted.check(machine).right
    said: list[str] = []
    wanted.apply(machine, said.append)
    assert said == ["comparing 1 files that are there", "compared run/toolkit.run"]
    damaged = bytearray(there.read_bytes())
    damaged[7] ^= 1
    there.write_bytes(damaged)
    os.utime(there, (1, 1))
    wanted.apply(machine, print)
    assert there.read_bytes() == CONTENT["run/toolkit.run"]
    assert wanted.check(machine).right


@dataclass
class Counting:
    """This machine; remembers what was run, and fails when it is told to."""

    fails: tuple[int, ...] = ()
    argv: list[Sequence[str]] = field(default_factory=list)
    sent: int = 0
    target: str = "counting"

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        self.argv.append(argv)
        if len(self.argv) in self.fails:
            raise Unreachable("the link is gone")
        self.sent += len(stdin) if "cat >>" in argv[2] else 0
        return LocalRunner().run(argv, timeout=timeout, stdin=stdin)

    def read(self, path: str) -> str | None:
        return LocalRunner().read(path)


@pytest.mark.parametrize("rest", [0, 30])
def test_half_a_file_is_gone_on_with(
    source: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch, rest: int
) -> None:
    monkeypatch.setattr("paddock.deploy.step.transfer.CHUNK", 100)
    wanted = step(source, machine)
    entry = next(e for e in wanted.entries if e.path == "models/tiny/model.safetensors")
    for each in wanted.entries:  # all else is there
        if each != entry:
            machine.send(source / each.path, f"{wanted.placed.place}/{each.path}")
    part = Path(wanted.placed.place) / f"{entry.path}.{entry.sha256[:16]}.part"
    part.write_bytes(CONTENT[entry.path][:1000] + b"x" * rest)  # the last of it came torn
    asked = Counting()
    wanted.apply(replace(machine, runner=asked), print)
    assert asked.sent == entry.bytes - 1000, "what had come was not sent again"
    assert (part.parent / "model.safetensors").read_bytes() == CONTENT[entry.path]
    assert not part.exists()


def test_a_lost_link_is_tried_again(
    source: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paddock.deploy.step.transfer.CHUNK", 100)
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    wanted = step(source, machine)
    asked = Counting(fails=(12, 14, 15, 30))
    wanted.apply(replace(machine, runner=asked), print)
    assert len(asked.argv) > 30
    assert wanted.check(machine).right
    monkeypatch.setattr("paddock.deploy.step.transfer.LOST_LINK", -1.0)
    Path(wanted.placed.place, "run/toolkit.run").unlink()
    with pytest.raises(Unreachable):
        wanted.apply(replace(machine, runner=Counting(fails=(12,))), print)


def test_a_full_disk_is_said_before_anything_is_sent(
    source: Path, machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "df").write_text(
        "#!/bin/sh\necho Filesystem 1024-blocks Used Available Capacity Mounted on\n"
        "echo /dev/sda1 100 97 3 97% /\n"
    )
    (tools / "df").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    wanted = step(source, machine)
    with pytest.raises(StepFailed, match=r"no space left on device: .* has 0\.0 MB free") as caught:
        wanted.check(machine)
    assert "--to" in str(caught.value.hint)
    with pytest.raises(StepFailed, match="no space left"):
        wanted.apply(machine, print)
    assert not Path(machine.folder).exists()


def test_somebody_elses_file_is_not_overwritten(
    source: Path, machine: Machine, tmp_path: Path
) -> None:
    place = tmp_path / "srv"
    (place / "run").mkdir(parents=True)
    (place / "run/toolkit.run").write_text("mine")
    (place / "mine").write_text("mine")
    wanted = step(source, machine, place)
    with pytest.raises(StepFailed, match=r"run/toolkit\.run is another file") as caught:
        wanted.apply(machine, print)
    assert "--to" in str(caught.value.hint)
    assert files(place) == ["mine", "run/toolkit.run"]
    (place / "run/toolkit.run").write_bytes(CONTENT["run/toolkit.run"])  # the bundle's, by luck
    wanted.apply(machine, print)
    assert wanted.check(machine).right
    wanted.undo(machine, {}, print)
    assert files(place) == ["mine", "run/toolkit.run"]
    (place / MANIFEST).write_text("of another bundle")
    with pytest.raises(StepFailed, match=MANIFEST):
        wanted.apply(machine, print)


def test_a_copy_that_was_carried_there_is_mended_and_stays(
    source: Path, machine: Machine, tmp_path: Path
) -> None:
    copy = make(tmp_path / "copy")
    (copy / "run/toolkit.run").write_bytes(b"x" * len(CONTENT["run/toolkit.run"]))
    (copy / SENT[0]).unlink()
    wanted = step(source, machine, copy, theirs=True)
    wanted.apply(machine, print)
    assert wanted.check(machine).right
    assert bundle.verify(copy) == ()
    wanted.undo(machine, {}, print)
    assert [fault.path for fault in bundle.verify(copy)] == [SENT[0]], "only what was sent went"


def test_a_newer_bundle_sends_the_difference(
    source: Path, machine: Machine, tmp_path: Path
) -> None:
    step(source, machine).apply(machine, print)
    newer = {**CONTENT, "run/toolkit.run": b"newer", "run/kernels.run": b"new"}
    del newer[SENT[0]]
    wanted = step(make(tmp_path / "newer", newer), machine)
    asked = Counting()
    wanted.apply(replace(machine, runner=asked), print)
    place = Path(wanted.placed.place)
    assert files(place) == sorted([*(p for p in newer if p[:6] != "images"), MANIFEST])
    assert (place / "run/toolkit.run").read_bytes() == b"newer"
    moved = step(tmp_path / "newer", machine, tmp_path / "elsewhere")
    moved.apply(machine, print)
    assert not place.exists()
    assert bundle.verify(tmp_path / "elsewhere") == ()
    moved.undo(machine, {}, print)
    assert not (tmp_path / "elsewhere").exists()


def test_what_a_crash_left_is_taken_back(
    source: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("paddock.deploy.step.transfer.CHUNK", 100)
    wanted = step(source, machine)

    def killed(line: str) -> None:
        if "model.safetensors: 500" in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        wanted.apply(machine, killed)
    place = Path(wanted.placed.place)
    assert any(name.endswith(".part") for name in files(place))
    assert MANIFEST not in files(place), "half a bundle is none"
    wanted.undo(machine, {}, print)
    assert not place.exists()


def test_a_damaged_disk_here_is_said(source: Path, machine: Machine) -> None:
    wanted = step(source, machine)
    (source / "run/toolkit.run").write_bytes(b"y" * len(CONTENT["run/toolkit.run"]))
    with pytest.raises(RunnerError, match="is not what was sent"):
        wanted.apply(machine, print)
    (source / "run/toolkit.run").unlink()
    with pytest.raises(RunnerError, match=r"cannot read .*toolkit\.run here"):
        wanted.apply(machine, print)


def test_the_runbook_says_where_it_goes(source: Path, machine: Machine) -> None:
    wanted = step(source, machine)
    said = machine.sh(wanted.script())
    assert not said.ok
    assert f"put the bundle into {wanted.placed.place} first" in said.stderr
    wanted.apply(machine, print)
    assert machine.sh(wanted.script()).ok


def test_where_a_host_has_it(source: Path, machine: Machine, tmp_path: Path) -> None:
    here = os.uname().machine
    found = bundle.source(source)
    far = Machine(LocalRunner(), str(tmp_path / "far"))

    def placed(found: bundle.Source, *, local: bool) -> tuple[str, bool, bool]:
        made = bundle.placed(found, far, arch=here, local=local)
        return made.place, made.sends, made.theirs

    assert placed(found, local=True) == (str(source), False, False)
    assert placed(replace(found, to="/srv/b"), local=True) == ("/srv/b", True, False)
    # This machine stands for one that has the same path: a shared folder.
    assert placed(found, local=False) == (str(source), True, True)
    assert placed(replace(found, to="/srv/b"), local=False) == ("/srv/b", True, False)
    gone = replace(found, folder=str(tmp_path / "gone"))
    assert placed(gone, local=False) == (f"{far.folder}/bundle", True, False)
    (source / MANIFEST).write_text("another")
    assert placed(found, local=False) == (f"{far.folder}/bundle", True, False)
    with pytest.raises(BundleError, match=f"is for {here}, local is s390x"):
        bundle.placed(found, far, arch="s390x", local=False)


@pytest.mark.parametrize("to", ["srv", "~/b", "/srv/../etc"])
def test_a_place_that_is_none(source: Path, to: str) -> None:
    with pytest.raises(UsageError, match="absolute path"):
        bundle.source(source, to)
