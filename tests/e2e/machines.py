"""Machines to change: this one with a layer over its files, in a mount namespace of its own.

Everything is real (apt, dpkg, sshd, users, /etc) and nothing of it reaches the machine below. Needs
root and the right to mount.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from paddock.shell import TIMEOUT, LocalRunner, Output

# /run and /tmp are fresh: services of the machine below must not be found by their files. The layer
# itself lies on a tmpfs of the namespace, so that all of it goes with the last process.
ENTER = r"""
set -e
mount -t tmpfs tmpfs "$1"
mkdir "$1/upper" "$1/work" "$1/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/root"
mount --rbind /dev "$1/root/dev"
mount -t proc proc "$1/root/proc"
mount -t sysfs -o ro sysfs "$1/root/sys" 2>/dev/null || :
mount -t tmpfs tmpfs "$1/root/run"
mount -t tmpfs -o mode=1777 tmpfs "$1/root/tmp"
echo ready
exec cat >/dev/null # until whoever made it closes the pipe, or dies
"""


@dataclass(frozen=True)
class Layered:
    """Runs programs on the layer. ``pid`` holds the namespaces."""

    root: str
    pid: int
    target: str = "layered"

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        # No variable of ours: a container would have none of them either. Certificates that pip is
        # told of by the environment are found by the steps themselves.
        inside = ["env", "-i", path, "HOME=/root", "LC_ALL=C", *_pip(), *argv]
        words = ["nsenter", f"--target={self.pid}", "--mount", "--pid", "--net", "--uts"]
        # Minutes for everything: these tests run on busy machines, and none is about time.
        return LocalRunner().run(
            [*words, "chroot", self.root, *inside], timeout=max(timeout, 300), stdin=stdin
        )

    def read(self, path: str) -> str | None:
        output = self.run(["cat", "--", path])
        return output.stdout if output.ok else None

    def changed(self) -> set[str]:
        """Every file that was written or removed on the layer since it was laid."""
        upper = self.root.removesuffix("root") + "upper"
        words = ["nsenter", f"--target={self.pid}", "--mount", "find", upper, "!", "-type", "d"]
        output = LocalRunner().run(words, timeout=120)
        assert output.ok, output.stderr
        return {line.removeprefix(upper) for line in output.stdout.splitlines()}


def _pip() -> list[str]:
    """Where this machine's pip fetches from, if its environment says so."""
    names = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "http_proxy", "https_proxy")
    return [f"{name}={os.environ[name]}" for name in names if name in os.environ]


@contextmanager
def layered(*, network: bool = True) -> Iterator[Layered]:
    """A layered machine; without ``network`` it has a loopback interface and nothing else."""
    if os.geteuid() != 0:
        pytest.skip("only root may lay a layer over the machine")
    for program in ("unshare", "nsenter", "chroot"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = tempfile.mkdtemp(prefix="paddock-layer-")
    words = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
    words += ["--uts"] + ([] if network else ["--net"])
    holder = subprocess.Popen(
        [*words, "sh", "-c", ENTER, "sh", folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert holder.stdout is not None and holder.stderr is not None
        if holder.stdout.readline() != b"ready\n":
            pytest.skip(f"no layer here: {holder.stderr.read().decode().strip()}")
        inner = _child(holder.pid)
        machine = Layered(f"{folder}/root", inner)
        if not network:
            machine.run(["ip", "link", "set", "lo", "up"])
        yield machine
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _child(pid: int) -> int:
    """The first process of the new namespace, as seen from here."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        if text:
            return int(text[0])
        time.sleep(0.02)
    raise AssertionError("unshare has no child")
