"""A whole deployment on a simulated 8-card host: up by Docker, killed, gone on with, undone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from deploykit import Desk, outcome, state_inside
from engine import IMAGE
from paddock.deploy.host import probe
from paddock.deploy.plan import decide
from paddock.deploy.rehearse import model, snapshot, standins
from paddock.deploy.rehearse.host import SimulatedHost
from paddock.deploy.rehearse.site import Site
from paddock.deploy.stackfile import load

pytestmark = pytest.mark.e2e

MISSING = "libdrvdsmi_host.so: cannot open shared object file: No such file or directory"
ARTIFACTS = "/opt/stand-ins"
PORT = 2223

SHARE, PARTS = 3, 6
"""A sweep over all steps is divided into tests: so many steps each, the last takes the rest."""

LISTENER = f"""
import os, socket, time
server = socket.create_server(("0.0.0.0", {PORT}))
if (child := os.fork()) == 0:
    os.setsid()
    for n in (0, 1, 2):
        os.close(n)
    time.sleep(600)
open("/tmp/listener", "w").write(str(child))
"""


@pytest.fixture
def desk(site: Site, tmp_path: Path) -> Desk:
    return Desk(tmp_path, site)


@pytest.fixture
def host(desk: Desk, images: Path) -> Iterator[SimulatedHost]:
    """An untouched 8-card host, a stack file for it, and stand-ins for what that installs."""
    made = desk.site.add(model.load("atlas-800t-a2"), "npu1", images=images)
    file = desk.write(
        [made],
        name="lab",
        container={"engine": "docker", "image": IMAGE, "ports": []},
        ssh={"port": PORT, "keys": [(desk.site.folder / "id.pub").read_text().strip()]},
        stack={"framework": "mindspore", "artifacts": ARTIFACTS},
        serve={"enabled": False},
    )
    facts = probe.read(desk.site.runner(made))
    wished = decide.decide(load(file), facts, facts)
    stack = decide.stack(wished, facts, Path("/nonexistent"))
    standins.make(made.folder / "tree" / ARTIFACTS.lstrip("/"), stack)
    yield made


def test_a_plan_a_taken_port_and_the_missing_library(desk: Desk, host: SimulatedHost) -> None:
    before = snapshot.take(host)
    planned = desk.paddock("plan")
    assert planned.returncode == 0, planned.stderr
    assert "+ container.run: container lab" in planned.stdout
    assert snapshot.take(host).differences(before) == [], "a plan changes nothing"

    # A port that somebody has: said before anything is done.
    assert host.enter(["/usr/bin/python3", "-c", LISTENER]).ok
    taken = desk.paddock("plan")
    assert f"port {PORT} of ssh://root@{host.address} is taken" in taken.stdout, taken.stdout
    assert host.enter(["sh", "-c", "kill $(cat /tmp/listener) && rm /tmp/listener"]).ok

    # Killed once the container's SSH server runs: the notes' failure, for real.
    begun = desk.killed("ssh.server")
    assert begun[0] in ("container.image", "container.run")
    assert "container.run" in begun
    inside = desk.inside(host, PORT)
    broken = inside.run(["npu-smi", "info"])
    assert (broken.exit_code, MISSING in broken.stderr) == (127, True), broken


def test_up_killed_resumed_again_and_down(desk: Desk, host: SimulatedHost) -> None:
    before = snapshot.take(host)
    inside = desk.inside(host, PORT)
    desk.killed("ssh.server")

    # Killed in the middle of a step, then between two.
    desk.killed("python.environment", "begin")
    desk.killed("cann.toolkit", "done")
    lines = desk.up()
    assert outcome(lines)["npu1"]["ok"], outcome(lines)["npu1"]["failure"]
    resumed = {
        each["event"]["step"] for each in lines if each.get("event", {}).get("kind") == "begin"
    }
    assert "container.run" not in resumed
    assert "ssh.server" not in resumed

    # Cured, for a command and for a login.
    for argv in (["npu-smi", "info", "-l"], ["bash", "-lc", "npu-smi info -l"]):
        cured = inside.run(argv)
        assert "Total Count                    : 8" in cured.stdout, cured
    variables = inside.run(["env"]).stdout
    assert "ASCEND_HOME_PATH=" in variables, "what is sourced for shells is there for commands"

    # The engine is restarted: the container comes back by itself, and its services with it.
    assert host.enter(["/usr/local/sbin/service-docker", "restart"], timeout=60).ok
    assert outcome(desk.up()).get("npu1", {"ok": True})["ok"]

    again = desk.paddock("up", "--yes", "--no-verify")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "nothing to change")
    after_kills = state_inside(host, "lab")

    down = desk.paddock("down", "--yes")
    assert down.returncode == 0, down.stdout + down.stderr
    assert before.differences(snapshot.take(host)) == []
    assert desk.paddock("down", "--yes").stdout == "nothing to undo\n"

    # A run that nobody disturbed ends in the same state.
    assert outcome(desk.up())["npu1"]["ok"]
    undisturbed = state_inside(host, "lab")
    assert undisturbed.keys() == after_kills.keys()
    assert undisturbed == after_kills


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("event", ["begin", "log", "done"])
def test_killed_at_every_step_in_turn(
    desk: Desk, host: SimulatedHost, event: str, part: int
) -> None:
    before = snapshot.take(host)
    seen: list[str] = []
    killed: list[str] = []

    def now(told: Mapping[str, Any]) -> bool:
        """At the first such event of every step that is this part's: each run dies one further."""
        if told["kind"] != event or told["step"] in seen:
            return False
        seen.append(told["step"])
        if min((len(seen) - 1) // SHARE, PARTS - 1) != part:
            return False
        killed.append(told["step"])
        return True

    while desk.killed_when(now):
        pass
    print(f"killed at {event} of {', '.join(killed)}")
    assert killed, seen
    again = desk.paddock("up", "--yes", "--no-verify")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "nothing to change")
    after_kills = state_inside(host, "lab")
    assert desk.paddock("down", "--yes").returncode == 0
    assert before.differences(snapshot.take(host)) == []

    # As after a run that nobody disturbed.
    assert outcome(desk.up())["npu1"]["ok"]
    assert state_inside(host, "lab") == after_kills
