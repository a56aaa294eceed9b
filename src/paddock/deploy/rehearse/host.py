"""``SimulatedHost``: a whole host on this machine, with its own name, network, devices, daemons."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from paddock.deploy.rehearse import store
from paddock.errors import RehearsalError
from paddock.shell import TIMEOUT, LocalRunner, Output, Runner

START = 180.0
"""Seconds within which a host's daemons must answer."""


@dataclass(frozen=True, slots=True)
class SimulatedHost:
    """A running simulated host. ``pid`` is its first process as seen from here."""

    name: str
    address: str
    folder: Path
    pid: int

    @property
    def root(self) -> Path:
        """Its file system as seen from here while it runs."""
        return Path(f"/proc/{self.pid}/root")

    def enter(self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str = "") -> Output:
        """Runs a program in it as root, beside its sshd: what a console would do."""
        clean = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        words = ["nsenter", "-t", str(self.pid), "-m", "-u", "-i", "-n", "-p", "-r", "-w"]
        return LocalRunner().run(
            [*words, "--", *clean, "HOME=/root", "LC_ALL=C", *argv], timeout=timeout, stdin=stdin
        )

    def load_images(self, template: Path) -> None:
        """Replaces what its engine has by ``template`` (see ``store``). Raises RehearsalError."""
        service = "/usr/local/sbin/service-docker"
        self._must(["sh", "-c", f"{service} stop && rm -rf /var/lib/docker/*"])
        store.copy(template, self.folder / "tree/var/lib/docker")
        self._must([service, "start"])

    def _must(self, argv: Sequence[str]) -> None:
        output = self.enter(argv, timeout=120)
        if not output.ok:
            raise RehearsalError(f"{self.name}: {' '.join(argv)}: {output.stderr.strip()}")

    def stop(self) -> None:
        """Ends every process of it; its mounts and its network end with them."""
        end(self.pid)


def launch(machine: Runner, script: str, folder: Path, namespaces: str, *words: str) -> int:
    """Starts one of the ``files`` as first process of new namespaces, detached; returns its pid.

    Raises RehearsalError with the end of its log where it does not come up.
    """
    log = folder / "start.log"
    program = resources.files("paddock.deploy.rehearse") / "files" / script
    away = r"""
    log=$1; shift
    setsid sh -c 'ended=$1; shift; "$@"; echo $? >"$ended"' sh "${log%/*}/ended" "$@" \
      >"$log" 2>&1 </dev/null &
    """
    # A copy in the folder: it must stay what it was while the host runs.
    own = folder / script
    own.write_text(program.read_text("utf-8"), encoding="utf-8")
    words = ("unshare", *namespaces.split(), "sh", str(own), str(folder), *words)
    machine.run(["sh", "-c", away, "sh", str(log), *words])
    wait_for(lambda: (folder / "pid").exists(), log, script)
    return int((folder / "pid").read_text())


def wait_for(ready: Callable[[], bool], log: Path, what: str, seconds: float = START) -> None:
    """Waits until ``ready``; raises RehearsalError with the log's end after ``seconds``."""
    deadline = time.monotonic() + seconds
    while not ready():
        ended = (log.parent / "ended").exists()
        if ended or time.monotonic() > deadline:
            said = log.read_text(errors="replace")[-800:].strip() if log.exists() else "nothing"
            raise RehearsalError(
                f"{what} {'ended at once' if ended else f'did not come up within {seconds:g} s'}; "
                f"it said: {said}"
            )
        time.sleep(0.02)


def end(pid: int) -> None:
    """Kills a namespace's first process and waits until nothing of it is left."""
    LocalRunner().run(["kill", "-9", str(pid)])
    deadline = time.monotonic() + 10
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
