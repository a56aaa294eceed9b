#!/usr/bin/env python3
"""Measures what many hosts at once cost beside one: `paddock up` of each, on simulated hosts.

    scripts/bench_fleet.py [--hosts N] [--rounds N] [--trouble] [--warm]

Every host has its own sshd and network; Paddock and all of them share this machine's processors,
so that beside the seconds the processors' seconds are told: the near side's (Paddock and its ssh)
and the far side's (everything that runs on the hosts). The plan is one step of a fraction of a
second, so that little but reaching and looking at the hosts is seen. Connections are closed before
each measurement unless --warm. With --trouble two of the many have some: one does not answer, one
has a full disk. Needs root, and the simulated hosts' programs (see: paddock rehearse).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from paddock.deploy.rehearse import model
from paddock.deploy.rehearse.site import Site

TICKS = os.sysconf("SC_CLK_TCK")
ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Taken:
    """One command: seconds, processor seconds of both sides, and how often ssh was started."""

    wall: float
    near: float
    far: float
    ssh: int


@dataclass(frozen=True)
class Desk:
    """Where the command line is used: a home, a state folder and an ssh that knows the hosts."""

    folder: Path
    site: Site

    def prepare(self) -> None:
        hosts = [
            {"name": name, "address": f"ssh://root@{host.address}"}
            for name, host in self.site.hosts.items()
        ]
        values = {
            "name": "fleet",
            "hosts": hosts,
            "mirrors": {"apt": "http://mirror.example"},
            "stack": {"framework": "paddock"},
            "serve": {"enabled": False},
        }
        (self.folder / "paddock.yaml").write_text(yaml.safe_dump(values))
        ssh = self.folder / "bin" / "ssh"
        ssh.parent.mkdir()
        ssh.write_text(
            f"#!/bin/sh\necho >>{self.folder}/count\n"
            f'exec /usr/bin/ssh -F {self.site.ssh_config()} "$@"\n'
        )
        ssh.chmod(0o755)

    def paddock(self, *words: str) -> subprocess.CompletedProcess[str]:
        tools = self.folder / "bin"
        environment = {
            "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.folder),
            "TMPDIR": str(self.site.sockets),
            "PADDOCK_STATE": str(self.folder / "state"),
            "PYTHONPATH": str(ROOT / "src"),
            "LANG": "C.UTF-8",
        }
        argv = [sys.executable, "-m", "paddock", *words]
        return subprocess.run(
            argv, cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )

    def succeeds(self, *words: str, code: int = 0) -> None:
        done = self.paddock(*words)
        if done.returncode != code:
            sys.exit(f"paddock {' '.join(words)}: {done.returncode}\n{done.stdout}{done.stderr}")

    def measured(self, *words: str, fails: bool = False) -> Taken:
        """One command; its exit code must be 0, or 1 where it ``fails``."""
        counted = self.folder / "count"
        counted.write_text("")
        far, near, began = self._far(), _children() + self._masters(), time.monotonic()
        self.succeeds(*words, code=int(fails))
        wall = time.monotonic() - began
        near, far = _children() + self._masters() - near, self._far() - far
        return Taken(wall, near, far, len(counted.read_text().splitlines()))

    def disconnect(self) -> None:
        """Closes the shared connections."""
        for pid in self._ssh():
            os.kill(pid, 15)
        while list(self._ssh()):
            time.sleep(0.01)

    def _ssh(self) -> Iterator[int]:
        """The processes that hold shared connections open."""
        for pid, words in _processes():
            if words.startswith(f"ssh: {self.site.sockets}/") and "[mux]" in words:
                yield pid

    def _masters(self) -> float:
        return sum(_seconds(pid)[0] for pid in self._ssh())

    def _far(self) -> float:
        """What all programs of all hosts have taken so far, those that have ended included."""
        spaces = {_space(host.pid) for host in self.site.hosts.values()}
        return sum(sum(_seconds(pid)) for pid, _ in _processes() if _space(pid) in spaces)


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _processes() -> Iterator[tuple[int, str]]:
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                words = (
                    (folder / "cmdline")
                    .read_bytes()
                    .replace(b"\0", b" ")
                    .decode("utf-8", "replace")
                )
            except OSError:
                continue
            yield int(folder.name), words


def _seconds(pid: int) -> tuple[float, float]:
    """Processor seconds of a process, and of those children of it that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0, 0.0
    user, system, user_ended, system_ended = (int(word) / TICKS for word in fields[11:15])
    return user + system, user_ended + system_ended


def _space(pid: int) -> str:
    try:
        return str(Path(f"/proc/{pid}/ns/pid").readlink())
    except OSError:
        return ""


@contextmanager
def trouble(site: Site, *, there: bool) -> Iterator[None]:
    """The third host does not answer and the sixth has a full disk, if it is to be ``there``."""
    if not there:
        yield
        return
    names = list(site.hosts)
    gone, full = site.hosts[names[2]], site.hosts[names[5]]
    script = (
        "mkdir -p /var/lib/paddock && mount -t tmpfs -o size=64k tmpfs /var/lib/paddock &&"
        " { cat /dev/zero >/var/lib/paddock/filled 2>/dev/null || true; }"
    )
    full.enter(["sh", "-c", script])
    site.cut(gone)
    try:
        yield
    finally:
        site.cut(gone, off=False)
        full.enter(["umount", "/var/lib/paddock"])


def told(name: str, count: int, taken: Sequence[Taken]) -> None:
    def middle(what: str) -> float:
        return statistics.median(getattr(each, what) for each in taken)

    walls = sorted(each.wall for each in taken)
    print(
        f"{name:>9}: {middle('wall'):5.2f} s ({walls[0]:.2f} to {walls[-1]:.2f});"
        f" processor seconds: near {middle('near'):5.2f} ({middle('near') / count:.3f} a host),"
        f" far {middle('far'):5.2f} ({middle('far') / count:.3f} a host);"
        f" ssh {middle('ssh') / count:.1f} a host"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--hosts", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--trouble", action="store_true", help="one away, one with a full disk")
    parser.add_argument("--warm", action="store_true", help="keep connections open in between")
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="paddock-fleet-") as folder,
        Site(Path(folder) / "site") as site,
    ):
        for number in range(1, asked.hosts + 1):
            site.add(model.load("cpu"), f"node{number}", engine=False)
        desk = Desk(Path(folder), site)
        desk.prepare()
        rows: dict[str, list[Taken]] = {"one": [], "many": []}
        for turn in range(-1, asked.rounds):
            for what in ("one", "many") if turn % 2 else ("many", "one"):
                if not asked.warm:
                    desk.disconnect()
                limit = ("--limit", next(iter(site.hosts))) if what == "one" else ()
                bad = asked.trouble and what == "many"
                with trouble(site, there=bad):
                    taken = desk.measured("up", "--yes", "--no-verify", *limit, fails=bad)
                desk.succeeds("down", "--yes")
                if turn >= 0:  # the first turn warms the files
                    rows[what].append(taken)
        told("one", 1, rows["one"])
        told(f"{asked.hosts} at once", asked.hosts, rows["many"])
        ratios = [m.wall / o.wall for o, m in zip(rows["one"], rows["many"], strict=True)]
        cores = len(os.sched_getaffinity(0))
        work = statistics.median(each.near + each.far for each in rows["many"])
        print(
            f"ratio by rounds: median {statistics.median(ratios):.2f}"
            f" ({min(ratios):.2f} to {max(ratios):.2f}); {cores} processors have"
            f" {work / cores:.2f} s of work with {asked.hosts}"
        )


if __name__ == "__main__":
    main()
