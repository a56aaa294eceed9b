"""What goes wrong on the way is said clearly, and once it is mended the deployment goes on."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from paddock.deploy.host import probe
from paddock.deploy.plan import Deployment, Failure, decide
from paddock.deploy.rehearse import model, snapshot, standins
from paddock.deploy.rehearse.host import SimulatedHost
from paddock.deploy.rehearse.site import Site
from paddock.deploy.stackfile import Stackfile, loads

pytestmark = pytest.mark.e2e

ARTIFACTS = "/opt/stand-ins"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, needs_root: None) -> Iterator[Site]:
    """An 8-card host and one without cards, neither with an engine."""
    with Site(tmp_path_factory.mktemp("lab") / "site") as site:
        site.add(model.load("atlas-800t-a2"), "npu1", engine=False)
        site.add(model.load("cpu"), "cpu1", engine=False)
        yield site


@pytest.fixture
def npu(lab: Site) -> SimulatedHost:
    return lab.hosts["npu1"]


@pytest.fixture
def cpu(lab: Site) -> SimulatedHost:
    return lab.hosts["cpu1"]


def stack_file(host: SimulatedHost, name: str, **values: Any) -> Stackfile:
    entry = {"name": host.name, "address": f"ssh://root@{host.address}"}
    return loads(
        yaml.safe_dump({"name": name, "hosts": [entry], "serve": {"enabled": False}, **values})
    )


def deployment(lab: Site, host: SimulatedHost, state: Path, **values: Any) -> Deployment:
    runner = lab.runner(host)
    file = stack_file(host, state.name.replace("_", "-")[:30], **values)
    return Deployment(file, state, reach=lambda entry: runner)


def up(deployed: Deployment) -> Failure | None:
    """Plans and applies; why the host failed, if it did."""
    (result,) = deployed.up(deployed.plan())
    return result.failure


def said(failure: Failure | None) -> str:
    assert failure is not None, "it should have failed"
    return f"{failure.message}\n{failure.log}"


def cann(lab: Site, host: SimulatedHost, state: Path) -> Deployment:
    """CANN alone, straight onto the host, from stand-ins."""
    values: dict[str, Any] = {"stack": {"framework": "cann", "artifacts": ARTIFACTS}}
    folder = host.folder / "tree" / ARTIFACTS.lstrip("/")
    if not folder.exists():
        facts = probe.read(lab.runner(host))
        wished = decide.decide(stack_file(host, "facts", **values), facts, facts)
        standins.make(folder, decide.stack(wished, facts, Path("/nonexistent")))
    return deployment(lab, host, state, **values)


LISTS: dict[str, Any] = {
    "stack": {"framework": "paddock"},
    "mirrors": {"apt": "http://mirror.example"},
}
"""The machine's package lists: one step, which asks the network for nothing."""


def test_a_refused_key(lab: Site, cpu: SimulatedHost, tmp_path: Path) -> None:
    keys = cpu.folder / "tree/root/.ssh/authorized_keys"
    kept = keys.read_text()
    alone = replace(lab.runner(cpu), control=None)  # a shared connection asks for no key again
    file = stack_file(cpu, "key", **LISTS)
    deployed = Deployment(file, tmp_path, reach=lambda entry: alone)
    keys.write_text("")
    (planned,) = deployed.plan().hosts
    assert planned.problem is not None
    assert "Permission denied" in planned.problem
    assert planned.hint is not None
    assert "put your public key there" in planned.hint
    keys.write_text(kept)
    (planned,) = deployed.plan().hosts
    assert planned.problem is None


def test_a_clock_that_jumps(
    lab: Site, cpu: SimulatedHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = time.time, [0]

    def jumping() -> float:
        """A day back from the second question on, a month ahead from the third on."""
        calls[0] += 1
        return real() + (30 * 86400 if calls[0] > 2 else -86400 if calls[0] > 1 else 0)

    deployed = deployment(lab, cpu, tmp_path, **LISTS)
    monkeypatch.setattr(time, "time", jumping)
    assert up(deployed) is None
    assert calls[0] > 2, "nobody asked the clock, so nothing was shown"
    assert deployed.plan().empty
    assert all(result.ok for result in deployed.down())
    assert deployed.journal.entries() == ()


LOCK = """
import fcntl, os, sys, time
lock = open("/var/lib/dpkg/lock-frontend", "w")
fcntl.lockf(lock, fcntl.LOCK_EX)
if os.fork() == 0:
    fcntl.lockf(lock, fcntl.LOCK_EX)
    os.setsid()
    open("/tmp/locked", "w").close()
    for n in (0, 1, 2):
        os.close(n)
    while os.path.exists("/tmp/locked"):
        time.sleep(0.2)
    os._exit(0)
fcntl.lockf(lock, fcntl.LOCK_UN)
while not os.path.exists("/tmp/locked"):
    time.sleep(0.05)
"""


def test_cann_with_a_lock_a_wrong_checksum_damage_and_a_full_disk(
    lab: Site, npu: SimulatedHost, tmp_path: Path
) -> None:
    """One deployment meets one fault after the other, and goes on after each."""
    deployed = cann(lab, npu, tmp_path)
    # One package at least is to be installed, whatever this machine has.
    forget = "sed -i '/^Package: net-tools$/,/^$/d' /var/lib/dpkg/status"
    assert npu.enter(["sh", "-c", forget]).ok
    before = snapshot.take(npu)
    folder = npu.folder / "tree" / ARTIFACTS.lstrip("/")
    package = next(folder.glob("Ascend-cann-toolkit_*.run"))

    # Another apt works: ours waits for it.
    assert npu.enter(["/usr/bin/python3", "-c", LOCK]).ok
    told: list[str] = []

    def release(event: Any) -> None:
        told.append(event.text)
        if "lock" in event.text.lower():
            (npu.folder / "tree/tmp/locked").unlink(missing_ok=True)

    deployed.tell = release
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  {package.name}\n")
    text = said(up(deployed))
    assert any("Could not get lock" in line for line in told), told[:20]
    assert f"the SHA-256 of {package.name} is not the one in SHA256SUMS" in text
    (folder / "SHA256SUMS").unlink()

    whole = package.read_bytes()
    package.write_bytes(whole[:-1000])
    text = said(up(deployed))
    assert "is damaged: its own --check fails" in text
    package.write_bytes(whole)

    small = (
        "cp -a /usr/local/Ascend /tmp/kept && mount -t tmpfs -o size=400k tmpfs /usr/local/Ascend"
        " && cp -a /tmp/kept/. /usr/local/Ascend && rm -r /tmp/kept &&"
        " { dd if=/dev/zero of=/usr/local/Ascend/filled bs=4k || true; }"
    )
    assert npu.enter(["sh", "-c", small]).ok
    text = said(up(deployed))
    assert "no space left on device" in text
    assert npu.enter(["umount", "/usr/local/Ascend"]).ok

    assert up(deployed) is None
    assert deployed.plan().empty
    assert all(result.ok for result in deployed.down())
    assert before.differences(snapshot.take(npu)) == []


SERVER = """
import http.server, pathlib, re, sys

body = pathlib.Path(sys.argv[1]).read_bytes()
state = pathlib.Path(sys.argv[2])

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        match = re.match(r"bytes=([0-9]+)-", self.headers.get("Range") or "")
        start = int(match[1]) if match else 0
        state.open("a").write(f"{start}\\n")
        self.send_response(206 if match else 200)
        self.send_header("Content-Length", str(len(body) - start))
        if match:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        if not match:  # the line breaks in the middle of the first try
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            return
        self.wfile.write(body[start:])

    def log_message(self, *_):
        pass

http.server.HTTPServer(("10.213.0.1", 8080), Handler).serve_forever()
"""

CONDA = """#!/bin/sh
# A stand-in for conda's installer.
while [ $# -gt 0 ]; do
  case $1 in -b | -u) ;; -p) prefix=$2; shift ;; *) echo "unknown option $1" >&2; exit 1 ;; esac
  shift
done
mkdir -p "$prefix/bin"
cat >"$prefix/bin/conda" <<'END'
#!/bin/sh
while [ $# -gt 0 ]; do
  if [ "$1" = -p ]; then prefix=$2; fi
  shift
done
exec python3 -m venv "$prefix"
END
chmod +x "$prefix/bin/conda"
"""


def test_a_download_that_is_cut_goes_on_where_it_stopped(
    lab: Site, npu: SimulatedHost, tmp_path: Path
) -> None:
    if not npu.enter(["sh", "-c", "command -v curl"]).ok:
        pytest.skip("no curl here")
    installer = tmp_path / "Miniconda3-latest-Linux.sh"
    installer.write_text(CONDA + "# padding\n" * 20_000)
    asked = tmp_path / "asked"
    argv = ["nsenter", "-t", str(lab.hub), "-n", sys.executable, "-c", SERVER]
    server = subprocess.Popen([*argv, str(installer), str(asked)])
    try:
        address = f"http://10.213.0.1:8080/{installer.name}"
        deployed = cann(lab, npu, tmp_path / "cut")
        manager = {"manager": "conda", "installer": address, "version": "3.11"}
        deployed = deployment(
            lab,
            npu,
            tmp_path / "cut",
            python=manager,
            stack={"framework": "cann", "artifacts": ARTIFACTS},
        )
        text = said(up(deployed))
        assert "curl: (18)" in text, text
        assert up(deployed) is None
    finally:
        server.kill()
        server.wait()
    starts = [int(line) for line in asked.read_text().split()]
    assert starts[0] == 0
    assert 0 < starts[-1] < installer.stat().st_size
    assert deployed.plan().empty
    assert all(result.ok for result in deployed.down())
