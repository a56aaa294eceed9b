"""``paddock rehearse`` tries a whole deployment and leaves nothing, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]

FILE = """
preset: atlas-800t-a2
name: tried
container:
  ports: []
  mounts: ["/data/models:/models:ro"]
stack:
  framework: cann
"""


def test_a_deployment_is_tried_and_nothing_is_left(images: Path, tmp_path: Path) -> None:
    file = tmp_path / "paddock.yaml"
    file.write_text(FILE)
    before = Path("/proc/mounts").read_text()
    done = subprocess.run(
        [sys.executable, "-m", "paddock", "rehearse", str(file), "--json"],
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    (host,) = report["hosts"]
    assert host["failure"] is None, host["failure"]
    assert {"container.run", "cann.toolkit", "cann.kernels"} <= set(host["changed"])
    assert (host["again"], host["left"]) == ([], [])
    devices = next(check for check in host["checks"] if check["name"] == "devices")
    assert devices["status"] == "unverified", "nothing is claimed of cards that are not there"
    assert "8: 910B3" in devices["detail"]
    assert (done.returncode, report["ok"]) == (0, True)
    said = "\n".join(report["stand_ins"])
    assert "/data/models on local: an empty folder" in said
    assert "the server and the extras are left out" in said
    assert not list(images.parent.glob("rehearsal-*"))
    assert Path("/proc/mounts").read_text() == before


PROGRAM = """
import sys, time
from pathlib import Path
from paddock.deploy.rehearse import model
from paddock.deploy.rehearse.site import Site
with Site(Path(sys.argv[1])) as site:
    host = site.add(model.load("cpu"), "cpu1", engine=False)
    print(host.pid, site.hub, site.sockets, flush=True)
    time.sleep(600)
"""


def test_a_warden_ends_what_a_killed_one_left(needs_root: None, tmp_path: Path) -> None:
    argv = [sys.executable, "-c", PROGRAM, str(tmp_path / "site")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        *pids, sockets = process.stdout.readline().split()
        process.send_signal(signal.SIGKILL)
    end = time.monotonic() + 120
    while (tmp_path / "site").exists() and time.monotonic() < end:
        time.sleep(0.2)
    assert not (tmp_path / "site").exists()
    assert not Path(sockets).exists()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
