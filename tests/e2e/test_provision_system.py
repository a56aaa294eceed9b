"""Packages by real apt, and a real SSH server that is entered, on a layer over this machine."""

from __future__ import annotations

import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import Layered, layered

from paddock.deploy.host.facts import Host, System
from paddock.deploy.provision import Context, environment, ssh
from paddock.deploy.provision.packages import PackagesStep
from paddock.deploy.stackfile import ContainerWish, SshWish, Stackfile
from paddock.deploy.step import Machine
from paddock.errors import StepFailed

pytestmark = pytest.mark.e2e
FOLDER = "/var/lib/paddock-test"


@pytest.fixture(scope="module")
def layer() -> Iterator[Layered]:
    if shutil.which("apt-get") is None:
        pytest.skip("there is no apt here")
    with layered() as machine:
        yield machine


@pytest.fixture
def machine(layer: Layered) -> Machine:
    return Machine(layer, FOLDER)


def packages(*names: str, wait: int = 600, step: str = "test.packages") -> PackagesStep:
    return PackagesStep(step, "t", "w", names, names, FOLDER, wait=wait)


def installed(machine: Machine) -> set[str]:
    return set(
        machine.run(["dpkg-query", "-W", "-f", "${Status} ${Package}\\n"]).stdout.split("\n")
    )


def lists(machine: Machine) -> None:
    if not machine.run(["apt-get", "update"], timeout=300).ok:
        pytest.skip("the package archive is not reached from here")


def test_only_what_came_newly_goes_again(machine: Machine) -> None:
    lists(machine)
    # Two that hardly any machine has; the first brings a library along.
    step = packages("tree", "jq")
    machine.run(["apt-get", "purge", "-y", "tree", "jq", "libjq1", "libonig5"], timeout=300)
    before_all = installed(machine)
    before = step.check(machine)
    assert {change.what for change in before.changes} == {"package tree", "package jq"}
    step.apply(machine, print)
    assert step.check(machine).right
    assert machine.run(["jq", "--version"]).ok
    step.apply(machine, print)  # a second time changes nothing
    step.undo(machine, before.before, print)
    assert installed(machine) == before_all
    step.undo(machine, before.before, print)


def test_what_somebody_else_needs_by_now_stays(machine: Machine) -> None:
    lists(machine)
    machine.run(["apt-get", "purge", "-y", "jq", "libjq1", "libonig5"], timeout=300)
    step = packages("libjq1", step="test.library")
    before = step.check(machine)
    step.apply(machine, print)
    assert machine.run(["apt-get", "install", "-y", "jq"], timeout=300).ok
    said: list[str] = []
    step.undo(machine, before.before, said.append)
    assert any("libjq1 is needed" in line for line in said)
    assert machine.run(["jq", "--version"]).ok


def test_a_held_lock_is_waited_for_and_then_said(machine: Machine) -> None:
    lists(machine)
    machine.run(["apt-get", "purge", "-y", "tree"], timeout=300)
    holder = (
        "import fcntl, time; f = open('/var/lib/dpkg/lock-frontend', 'w');"
        "fcntl.lockf(f, fcntl.LOCK_EX); print('held', flush=True); time.sleep(300)"
    )
    held = machine.sh(
        'nohup python3 -c "$1" >/tmp/held 2>&1 & echo $!; until grep -q held /tmp/held;'
        " do sleep 0.1; done",
        holder,
    )
    assert held.ok, held.stderr
    step = packages("tree", wait=1, step="test.locked")
    try:
        with pytest.raises(StepFailed, match="another program holds the lock") as caught:
            step.apply(machine, lambda _: None)
        assert "the lock was held for 1 s" in caught.value.log
        assert "wait until that program has ended" in (caught.value.hint or "")
    finally:
        machine.run(["kill", held.stdout.split()[0]])
    step.apply(machine, print)
    assert step.check(machine).right


def test_a_package_that_does_not_exist_is_said(machine: Machine) -> None:
    lists(machine)
    with pytest.raises(StepFailed, match="have no such package"):
        packages("no-such-package-of-paddock", step="test.none").apply(machine, lambda _: None)


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def client(folder: Path, port: int, *options: str, user: str = "root") -> list[str]:
    known = folder / "known_hosts"
    words = ["ssh", "-F", "none", "-p", str(port), "-o", f"UserKnownHostsFile={known}"]
    words += ["-o", "ConnectTimeout=20", "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes"]
    return [*words, *options, f"{user}@127.0.0.1"]


def call(words: list[str], *program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*words, *program], capture_output=True, text=True, timeout=120, check=False
    )


def test_the_server_is_entered_by_key_and_by_nothing_else(
    machine: Machine, tmp_path: Path, port: int
) -> None:
    if shutil.which("ssh") is None or shutil.which("ssh-keygen") is None:
        pytest.skip("there is no ssh client here")
    for name in ("mine", "other"):
        file = str(tmp_path / name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", file], check=True)
    wish = SshWish(port=port, keys=(str(tmp_path / "mine.pub"),), users=("root", "ada"))
    here = Host(system=System(id="debian"))
    file = Stackfile(container=ContainerWish(engine="none"), ssh=wish)
    of = Context(file, here, here, None, FOLDER)
    steps = ssh.steps(of)
    befores = {}
    for step in steps:
        state = step.check(machine)
        befores[step.id] = state.before
        if not state.right:
            step.apply(machine, print)
        assert step.check(machine).right, step.id
    try:
        _enter(machine, tmp_path, port)
        # A second run changes nothing, and other settings restart the server.
        assert all(step.check(machine).right for step in steps)
        changed = Context(
            Stackfile(
                container=ContainerWish(engine="none"),
                ssh=SshWish(port=port, keys=wish.keys, users=("root",)),
            ),
            here,
            here,
            None,
            FOLDER,
        )
        for step in ssh.steps(changed):
            if not step.check(machine).right:
                step.apply(machine, print)
        key = ("-i", str(tmp_path / "mine"), "-o", "BatchMode=yes")
        assert call(client(tmp_path, port, *key, user="ada"), "id").returncode == 255
        assert call(client(tmp_path, port, *key), "id", "-un").stdout == "root\n"
    finally:
        for step in reversed(steps):
            step.undo(machine, befores[step.id], print)
    assert call(client(tmp_path, port), "id").returncode == 255
    assert not machine.run(["test", "-e", "/etc/ssh/paddock"]).ok


def _enter(machine: Machine, tmp_path: Path, port: int) -> None:
    key = ("-i", str(tmp_path / "mine"), "-o", "BatchMode=yes")
    new = ("-o", "StrictHostKeyChecking=accept-new")
    for user in ("root", "ada"):
        done = call(client(tmp_path, port, *key, *new, user=user), "id", "-un")
        assert done.stdout == f"{user}\n", done.stderr
    assert f"[127.0.0.1]:{port} " in (tmp_path / "known_hosts").read_text()
    wrong = ("-i", str(tmp_path / "other"), "-o", "BatchMode=yes")
    assert "publickey" in call(client(tmp_path, port, *wrong), "id").stderr
    methods = ("-o", "PreferredAuthentications=password", "-o", "BatchMode=yes")
    assert "Permission denied (publickey)" in call(client(tmp_path, port, *methods), "id").stderr
    # A command over SSH has what /etc/environment says, though it reads no shell's files.
    folder = "/opt/paddock test"
    machine.write(f"{FOLDER}/environment.sh", environment.script(folder, ascend=True))
    step = environment.block(f"{FOLDER}/environment.sh", "host")
    before = step.check(machine)
    step.apply(machine, print)
    assert step.check(machine).right
    done = call(client(tmp_path, port, *key), "echo $VIRTUAL_ENV; echo $LD_LIBRARY_PATH")
    assert done.stdout.splitlines() == [folder, ":".join(environment.DRIVER_LIBRARIES)]
    step.undo(machine, before.before, print)
    assert "Paddock" not in (machine.read("/etc/environment") or "")
