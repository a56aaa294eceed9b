"""A deployment that came from a bundle goes on with it, until it is taken back or told not to."""

from __future__ import annotations

import datetime
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from paddock.deploy import bundle
from paddock.deploy.bundle import MANIFEST, Manifest
from paddock.deploy.bundle import manifest as manifests
from paddock.deploy.host import Host
from paddock.deploy.plan import Deployment, HostPlan, prepare
from paddock.deploy.stackfile import HostEntry, ServeWish, Stackfile, StackWish
from paddock.shell import TIMEOUT, LocalRunner, Output

HOST = Host.from_json(Path(__file__).with_name("small_host.json").read_text())
HERE = replace(HOST, system=replace(HOST.system, arch=os.uname().machine))


@dataclass(frozen=True)
class Elsewhere:
    """This machine with another folder for state and locks, as if it were another one."""

    root: Path
    target: str = "ssh://elsewhere"

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        words = ["env", f"XDG_STATE_HOME={self.root}", f"TMPDIR={self.root}", *argv]
        return LocalRunner().run(words, timeout=timeout, stdin=stdin)

    def read(self, path: str) -> str | None:
        return LocalRunner().read(path)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "usb"
    (folder / "wheels").mkdir(parents=True)
    (folder / "wheels/six.whl").write_bytes(b"a wheel")
    entry = manifests.entry(folder, "wheels/six.whl")
    arch = os.uname().machine
    today = datetime.date(2026, 11, 25)
    manifests.write(folder, Manifest("lab", today, arch, None, "", (entry,)))
    return folder


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(prepare.probe, "read", lambda *_, **__: HERE)
    for name in ("npu1", "npu2"):
        (tmp_path / name).mkdir()
    return tmp_path


def deployment(desk: Path, found: bundle.Source | None = None) -> Deployment:
    file = Stackfile(
        hosts=tuple(HostEntry(name=n, address=f"ssh://{n}") for n in ("npu1", "npu2")),
        stack=StackWish(framework="paddock"),
        serve=ServeWish(enabled=False),
    )
    reach = lambda entry: Elsewhere(desk / entry.name)  # noqa: E731 - one expression
    return Deployment(file, desk / "state", reach=reach, bundle=found)


def statuses(host: HostPlan) -> dict[str, str]:
    return {step.id: step.status for step in host.steps}


def places(desk: Path) -> list[Path]:
    return [desk / name / "paddock/llama/target/bundle" for name in ("npu1", "npu2")]


def elsewhere(source: Path) -> bundle.Source:
    """As if it lay under a path that the hosts have not: they are this machine, after all."""
    found = bundle.source(source)
    (source / MANIFEST).rename(source / "manifest.away")
    return found


def test_every_host_gets_it_and_gives_it_back(desk: Path, source: Path) -> None:
    first = deployment(desk, elsewhere(source))
    plan = first.plan()
    assert [statuses(host) for host in plan.hosts] == [{"bundle.files": "change"}] * 2
    assert all(result.ok for result in first.up(plan))
    for place in places(desk):
        assert bundle.verify(place) == ()
        assert (place / "wheels/six.whl").read_bytes() == b"a wheel"
    # Another process, which was told of no bundle.
    second = deployment(desk)
    plan = second.plan()
    assert plan.empty
    assert all(str(source) in host.warnings[-1] for host in plan.hosts)
    context = second.prepared["npu1"].context
    assert context.artifacts == str(places(desk)[0])
    assert all(result.ok for result in second.down())
    assert not any(place.parent.exists() for place in places(desk))
    assert deployment(desk).bundle is None


def test_it_can_be_forgotten(desk: Path, source: Path) -> None:
    first = deployment(desk, elsewhere(source))
    assert all(result.ok for result in first.up(first.plan()))
    assert deployment(desk).forget_bundle() is not None
    assert deployment(desk).forget_bundle() is None
    third = deployment(desk)
    plan = third.plan()
    assert [statuses(host) for host in plan.hosts] == [{"bundle.files": "remove"}] * 2
    assert all(result.ok for result in third.up(plan))
    assert not any(place.exists() for place in places(desk))


def test_a_bundle_for_another_processor_is_that_hosts_problem(desk: Path, source: Path) -> None:
    found = elsewhere(source)
    other = replace(found, manifest=replace(found.manifest, arch="riscv64"))
    plan = deployment(desk, other).plan()
    assert all("is for riscv64" in str(host.problem) for host in plan.hosts)
    assert all("--limit" in str(host.hint) for host in plan.hosts)
