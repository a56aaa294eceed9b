"""A bundle reaches hosts that have nothing but SSH: cut, gone on with, installed, taken back."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import engine as dockerd
from deploykit import Desk, outcome
from engine import IMAGE, run
from paddock.deploy import bundle
from paddock.deploy.bundle import Contents
from paddock.deploy.container import Archive, ImageStep, connect
from paddock.deploy.rehearse import model, snapshot
from paddock.deploy.rehearse.host import SimulatedHost
from paddock.deploy.rehearse.site import Site
from paddock.deploy.step import Machine
from paddock.shell import LocalRunner

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
PADDING = 96 * 2**20
"""Bytes of a file that is long enough to be cut in the middle."""


@dataclass(frozen=True)
class Carrier(Desk):
    """Somebody with a bundle. ``more`` are variables that fetching it needs."""

    more: tuple[tuple[str, str], ...] = ()

    def environment(self) -> dict[str, str]:
        return {**super().environment(), **dict(self.more)}

    def install(self, folder: Path, *words: str, timeout: float = 600) -> list[dict[str, Any]]:
        words = ("bundle", "install", str(folder), "--yes", "--json", *words)
        done = self.paddock(*words, timeout=timeout)
        assert done.stdout, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


def fetching() -> tuple[tuple[str, str], ...]:
    """How this machine's pip reaches an index, if its environment says so."""
    names = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "https_proxy")
    return tuple((name, os.environ[name]) for name in names if name in os.environ)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, needs_root: None) -> Iterator[Site]:
    """Two hosts without an engine, which nothing but SSH leads to."""
    with Site(tmp_path_factory.mktemp("carried") / "site") as site:
        for name in ("node1", "node2"):
            site.add(model.load("cpu"), name, engine=False)
        yield site


def place(host: SimulatedHost, name: str = "carried") -> Path:
    """Where a host gets the bundle, as seen from here."""
    return host.root / "var/lib/paddock" / name / "target/bundle"


@pytest.mark.slow
def test_cut_in_the_middle_gone_on_with_served_and_taken_back(lab: Site, tmp_path: Path) -> None:
    hosts = list(lab.hosts.values())
    if not hosts[0].enter(["/usr/bin/python3", "-c", "import venv, ensurepip"]).ok:
        pytest.skip("the system's Python makes no environments (Debian: python3-venv)")
    desk = Carrier(tmp_path, lab, fetching())
    weights = tmp_path / "tiny"
    shutil.copytree(ROOT / "src/paddock/assets/demo", weights)
    (weights / "padding.dat").write_bytes(os.urandom(PADDING))
    desk.write(
        hosts,
        name="carried",
        model=str(weights),
        stack={"framework": "paddock"},
        python={"manager": "venv"},
    )
    folder = tmp_path / "usb"
    made = desk.paddock("bundle", "create", str(folder), "--on", "node1", timeout=1800)
    if made.returncode != 0 and "No matching distribution" in made.stdout + made.stderr:
        pytest.skip("no package index can be reached")
    assert made.returncode == 0, made.stderr[-3000:]
    before = [snapshot.take(host) for host in hosts]

    cut = kill_while_sending(desk, folder, hosts[0])
    assert cut < PADDING
    assert not (place(hosts[0]) / "models/tiny/padding.dat").exists()
    assert not (place(hosts[0]) / bundle.MANIFEST).exists(), "half a bundle is none"

    lines = desk.install(folder, timeout=1800)
    assert all(host["ok"] for host in lines[-1]["hosts"]), outcome(lines)
    told = [line["event"] for line in lines if "event" in line]
    sent = [
        int(event["text"].split()[1])
        for event in told
        if event["host"] == "node1" and event["text"].startswith("padding.dat: ")
    ]
    assert sent[0] > cut // 2**23 * 2**23, "what had come was not sent again"
    for host in hosts:
        assert bundle.verify(place(host)) == ()
    verified = [line["verified"] for line in lines if "verified" in line]
    assert [each["ok"] for each in verified] == [True, True], verified
    log = hosts[0].root / "var/lib/paddock/carried/target/jobs/serve.paddock.apply/log"
    assert "Looking in links" in log.read_text()

    again = desk.paddock("up", "--yes")  # it was told of no bundle, and goes on with it
    assert "nothing to change" in again.stdout, again.stdout + again.stderr
    gone = desk.paddock("down", "--yes")
    assert gone.returncode == 0, gone.stderr
    for host, was in zip(hosts, before, strict=True):
        left = [line for line in was.differences(snapshot.take(host)) if "/root/" not in line]
        assert left == []


def kill_while_sending(desk: Carrier, folder: Path, host: SimulatedHost) -> int:
    """Installs, and kills it once a part of the long file is there; how many bytes those are."""
    argv = [sys.executable, "-m", "paddock", "bundle", "install", str(folder), "--yes", "--json"]
    with (
        (desk.folder / "cut.log").open("w") as log,
        subprocess.Popen(
            argv,
            cwd=desk.folder,
            env=desk.environment(),
            stdout=log,
            stderr=log,
            start_new_session=True,
        ) as process,
    ):
        end = time.monotonic() + 600
        while process.poll() is None and time.monotonic() < end:
            parts = list(place(host).glob("models/tiny/padding.dat.*.part"))
            if parts and parts[0].stat().st_size > 2 * 2**23:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return parts[0].stat().st_size
            time.sleep(0.01)
        process.kill()
    raise AssertionError(f"it was not cut: {(desk.folder / 'cut.log').read_text()[-3000:]}")


def test_a_full_disk_there_and_another_place(lab: Site, tmp_path: Path) -> None:
    host = lab.hosts["node1"]
    desk = Carrier(tmp_path, lab)
    desk.write([host], name="full", stack={"framework": "paddock"}, serve={"enabled": False})
    folder = tmp_path / "usb"
    (folder / "wheels").mkdir(parents=True)
    (folder / "wheels/six.whl").write_bytes(os.urandom(3 * 2**20))
    wish = Contents("full", os.uname().machine)
    bundle.create(folder, wish, log=print)
    tmpfs = "mkdir -p /mnt/small && mount -t tmpfs -o size=1m tmpfs /mnt/small"
    assert host.enter(["sh", "-c", tmpfs]).ok
    lines = desk.install(folder, "--to", "/mnt/small/llama")
    failure = outcome(lines)["node1"]["failure"]
    assert "no space left on device: /mnt/small/llama has 1.0 MB free" in failure["message"]
    assert "needs 3.1 MB" in failure["message"]
    assert not (host.root / "mnt/small/llama").exists()
    lines = desk.install(folder, "--to", "/srv/llama")
    assert outcome(lines)["node1"]["ok"], lines
    assert bundle.verify(host.root / "srv/llama") == ()
    assert desk.paddock("down", "--yes").returncode == 0
    assert not (host.root / "srv/llama").exists()
    assert host.enter(["umount", "/mnt/small"]).ok


def test_a_containers_image_comes_with_it(
    engine: dockerd.Engine, base_image: str, site: Site, tmp_path: Path
) -> None:
    """An engine without images, and no registry: the image comes as a file, and goes again."""
    host = site.add(model.load("cpu"), "node1")
    desk = Carrier(tmp_path, site, (("DOCKER_HOST", engine.host),))
    desk.write(
        [host],
        name="boxed",
        container={"engine": "docker", "image": IMAGE},
        stack={"framework": "paddock"},
        serve={"enabled": False},
    )
    folder = tmp_path / "usb"
    made = desk.paddock("bundle", "create", str(folder))
    assert made.returncode == 0, made.stderr[-3000:]
    manifest = bundle.read(folder)
    assert [entry.kind for entry in manifest.entries] == ["images"]
    inspected = engine.docker("image", "inspect", "--format", "{{.Id}}", IMAGE)
    assert inspected.removeprefix("sha256:") in manifest.image_ids
    before = snapshot.take(host)
    lines = desk.install(folder)
    done = outcome(lines)["node1"]
    assert done["ok"], done
    assert {"bundle.files", "container.image", "container.run"} <= set(done["changed"])
    there = host.enter(["docker", "image", "inspect", "--format", "{{.Id}}", IMAGE])
    assert there.stdout.strip() == inspected
    assert host.enter(["docker", "exec", "boxed", "true"]).ok
    assert not (place(host, "boxed") / "images").exists(), "it is at the engine now"
    assert "nothing to change" in desk.paddock("up", "--yes").stdout
    gone = desk.paddock("down", "--yes")
    assert gone.returncode == 0, gone.stderr
    assert before.differences(snapshot.take(host)) == []


def test_an_image_is_told_by_its_id(engine: dockerd.Engine, tmp_path: Path) -> None:
    """Another one under the name is replaced, and gets its name back; by docker itself."""
    name = "paddock-test-carried:1"
    machine = Machine(LocalRunner(), str(tmp_path / "paddock"))
    kept = os.environ.get("DOCKER_HOST")
    os.environ["DOCKER_HOST"] = engine.host
    try:
        ids = [_imported(name, text) for text in ("the bundle's", "another")]
        first = bundle.create(
            tmp_path / "usb",
            Contents("x", os.uname().machine, image=_named(ids[0], name), engine="docker"),
            log=print,
        )
        (entry,) = first.entries
        run(["docker", "rmi", "-f", ids[0]])
        _named(ids[1], name)
        archive = Archive(
            str(tmp_path / "host/images/x.tar"),
            entry.sha256,
            entry.bytes,
            first.image_ids,
            first.image_layers,
            str(tmp_path / "usb" / entry.path),
        )
        step = ImageStep("docker", name, archive)
        state = step.check(machine)
        assert [(c.what, c.before) for c in state.changes] == [(f"image {name}: id", ids[1])]
        step.apply(machine, print)
        assert step.check(machine).right
        assert _id(name) == ids[0]
        assert not (tmp_path / "host/images").exists()
        step.undo(machine, state.before, print)
        assert _id(name) == ids[1], "the name is its again"
        assert _id(ids[0]) == "", "what was loaded is gone"
        # Where another has the name by then, it is left alone.
        run(["docker", "rmi", "-f", name])
        fresh = step.check(machine)
        step.apply(machine, print)
        _imported(name, "somebody's")
        said: list[str] = []
        step.undo(machine, fresh.before, said.append)
        assert said == [f"{name} is another image by now: it stays"]
        with connect(machine, "docker") as asked:
            assert asked.image(name) is not None
    finally:
        run(["docker", "rmi", "-f", name])
        if kept is None:
            del os.environ["DOCKER_HOST"]
        else:
            os.environ["DOCKER_HOST"] = kept


def _imported(name: str, text: str) -> str:
    """An image of one file; its id."""
    script = 'd=$(mktemp -d) && echo "$1" >"$d/file" && tar -C "$d" -c . | docker import - "$2"'
    done = run(["sh", "-c", script, "sh", text, name])
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _named(image: str, name: str) -> str:
    assert run(["docker", "tag", image, name]).returncode == 0
    return name


def _id(name: str) -> str:
    return run(["docker", "image", "inspect", "--format", "{{.Id}}", name]).stdout.strip()
