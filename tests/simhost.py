"""A host that does not exist: a folder entered with chroot, with busybox and a test's files.

The probe runs in it for real: a shell that is not bash, tools that are not GNU's, no Python, and
files where the drivers' installers put them. Needs busybox and the right to use chroot.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from paddock.shell import TIMEOUT, LocalRunner, Output


@dataclass(frozen=True)
class SimulatedHost:
    """Runs programs in the folder ``root``, with an environment of its own."""

    root: Path
    environment: Mapping[str, str]
    target: str = "simulated"

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        variables = [f"{name}={value}" for name, value in self.environment.items()]
        words = [*_enter(), str(self.root), "/bin/env", "-i", *variables, "LC_ALL=C", *argv]
        return LocalRunner().run(words, timeout=timeout, stdin=stdin)

    def read(self, path: str) -> str | None:
        return LocalRunner().read(str(self.root) + path)


def _enter() -> list[str]:
    return ["chroot"] if os.geteuid() == 0 else ["unshare", "-Ur", "chroot"]


def build(
    root: Path,
    files: Mapping[str, str],
    programs: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> SimulatedHost:
    """Makes the folder; skips the test where this machine cannot. ``programs`` are sh scripts."""
    busybox = shutil.which("busybox")
    if busybox is None:
        pytest.skip("busybox is not installed (Debian: busybox-static)")
    for folder in ("bin", "dev", "etc", "proc", "root", "tmp"):
        (root / folder).mkdir(parents=True)
    shutil.copy(busybox, root / "bin" / "busybox")
    for path, text in files.items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    for path, text in (programs or {}).items():
        file = root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("#!/bin/sh\n" + text)
        file.chmod(0o755)
    for path, to in (links or {}).items():
        link = root / path.lstrip("/")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(to)
    install = [*_enter(), str(root), "/bin/busybox", "--install", "-s", "/bin"]
    done = subprocess.run(install, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode != 0:
        pytest.skip(f"chroot with busybox does not work here: {done.stderr.strip()}")
    defaults = {"PATH": "/usr/local/bin:/bin", "HOME": "/root"}
    return SimulatedHost(root, defaults | dict(environment or {}))
