"""A bundle installs where there is no network; a runbook does what ``paddock up`` does."""

from __future__ import annotations

import platform
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import Layered, layered

from paddock.deploy import bundle
from paddock.deploy.bundle import Contents, Wheels
from paddock.deploy.host.facts import Host, System
from paddock.deploy.provision import Context, environment, ssh
from paddock.deploy.provision.packages import PackagesStep
from paddock.deploy.provision.pip import PipStep, Wanted
from paddock.deploy.provision.runbook import runbook
from paddock.deploy.stackfile import ContainerWish, SshWish, Stackfile
from paddock.deploy.step import FileStep, Machine, ScriptStep, Step
from paddock.shell import LocalRunner

pytestmark = pytest.mark.e2e
FOLDER = "/var/lib/paddock-test"
HERE = f"{sys.version_info[0]}.{sys.version_info[1]}"


def system() -> str:
    words = ["sh", "-c", '. /etc/os-release; echo "$ID:$VERSION_CODENAME"']
    return LocalRunner().run(words).stdout.strip()


@pytest.fixture
def carried() -> Iterator[Path]:
    """A folder that both this machine and a layer over it see; /tmp is the layer's own."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="paddock-bundle-") as folder:
        yield Path(folder)


def test_a_bundle_installs_without_a_network(carried: Path, tmp_path: Path) -> None:
    if shutil.which("apt-get") is None or not Path("/usr/bin/python3").exists():
        pytest.skip("there is no apt or no Python of the system here")
    python = LocalRunner().run(
        ["/usr/bin/python3", "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    )
    wish = Contents(
        name="test",
        arch=platform.machine(),
        python=python.stdout.strip(),
        system=system(),
        wheels=(Wheels(("six==1.16.0",)),),
        packages=("tree", "python3-venv"),
    )
    said: list[str] = []
    try:
        bundle.create(carried, wish, log=said.append)
    except Exception as error:
        if re.search("resolve|No matching|Failed to fetch|connect", f"{error}{said[-50:]}"):
            pytest.skip(f"nothing can be fetched from here: {error}")
        raise
    assert bundle.verify(carried) == ()
    with layered(network=False) as layer:
        machine = Machine(layer, FOLDER)
        assert not machine.sh("apt-get update -o Acquire::Retries=0 2>&1 | grep -v Failed").ok or (
            "Failed to fetch" in machine.sh("apt-get update 2>&1", timeout=300).stdout
        )
        machine.run(["apt-get", "purge", "-y", "tree"], timeout=300)
        steps: list[Step] = [
            PackagesStep(
                "test.packages", "t", "w", ("tree", "python3-venv"), (), FOLDER,
                artifacts=str(carried),
            ),
            ScriptStep(
                "test.venv", "t", "w", f"[ -x {FOLDER}/venv/bin/pip ]",
                f"/usr/bin/python3 -m venv {FOLDER}/venv", f"rm -rf {FOLDER}/venv", timeout=600,
            ),
            PipStep(
                "test.pip", "t", "w", f"{FOLDER}/venv/bin/python", (Wanted("six", "1.16.0"),),
                FOLDER, artifacts=str(carried),
            ),
        ]  # fmt: skip
        befores = []
        for step in steps:
            befores.append(step.check(machine).before)
            step.apply(machine, print)
            assert step.check(machine).right, step.id
        assert machine.run(["tree", "--version"]).ok
        for step, before in reversed(list(zip(steps, befores, strict=True))):
            step.undo(machine, before, print)
        assert not machine.run(["tree", "--version"]).ok


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def plan(tmp_path: Path) -> tuple[Context, list[Step]]:
    key = tmp_path / "key"
    if not key.exists():
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    here = Host(system=System(id="debian"))
    # Both layers share this machine's network: each has a port of its own for its server.
    wish = SshWish(port=free_port(), keys=(f"{key}.pub",), users=("root", "ada"))
    file = Stackfile(container=ContainerWish(engine="none"), ssh=wish)
    of = Context(file, here, here, None, FOLDER)
    text = environment.script("/opt/stack", ascend=True)
    steps: list[Step] = [
        FileStep("environment.file", "t", "w", f"{FOLDER}/environment.sh", text),
        environment.block(f"{FOLDER}/environment.sh", "host"),
        *ssh.steps(of),
    ]
    return of, steps


NOT_COMPARED = re.compile(
    r"^/(var/(lib/(apt|dpkg|ucf|systemd|pam)|cache|log)|etc/(\.pwd\.lock|.*-$)"
    rf"|{FOLDER[1:]}/(jobs|packages)|var/lib/paddock-test/services/ssh/(log|pid))"
)
"""What says when and by which program, and not what: logs, locks, lists, jobs."""


def test_the_runbook_leaves_what_up_leaves(tmp_path: Path) -> None:
    if shutil.which("sshd", path="/usr/sbin:/usr/bin") is None:
        pytest.skip("sshd is not installed")
    left: list[set[str]] = []
    for by_hand in (False, True):
        of, steps = plan(tmp_path)
        with layered() as layer:
            machine = Machine(layer, FOLDER)
            if by_hand:
                machine.write("/opt/deploy.sh", runbook(of, steps))
                for _ in range(2):  # a second run finds all as it should be
                    done = machine.run(["sh", "/opt/deploy.sh"], timeout=900)
                    assert done.ok, done.stdout + done.stderr
                machine.run(["rm", "/opt/deploy.sh"])
            else:
                for step in steps:
                    if not step.check(machine).right:
                        step.apply(machine, print)
            for step in steps:
                assert step.check(machine).right, f"{step.id} after {'sh' if by_hand else 'up'}"
            left.append({p for p in _changed(layer) if not NOT_COMPARED.search(p)})
            steps[-1].undo(machine, {}, print)
    assert left[0] == left[1]
    assert "/etc/ssh/paddock/sshd_config" in left[0] and "/etc/environment" in left[0]


def _changed(layer: Layered) -> set[str]:
    return {path for path in layer.changed() if not path.startswith(("/tmp/", "/run/"))}
