"""The ``paddock`` command line against simulated hosts, as somebody at another machine uses it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from paddock.deploy.rehearse.host import SimulatedHost
from paddock.deploy.rehearse.site import Site
from paddock.shell import SshRunner

ROOT = Path(__file__).parents[1]

SLOW = "-oConnectTimeout=60"
"""ssh takes the first value that it sees: the machine may be busy, and the host is on it."""


@dataclass(frozen=True)
class Desk:
    """Where the command line is used: a home, a state folder and an ssh that knows the hosts."""

    folder: Path
    site: Site

    def write(self, hosts: Sequence[SimulatedHost], **values: Any) -> Path:
        """A stack file for these hosts."""
        entries = [{"name": host.name, "address": f"ssh://root@{host.address}"} for host in hosts]
        file = self.folder / "paddock.yaml"
        file.write_text(yaml.safe_dump({"hosts": entries, **values}))
        return file

    def environment(self) -> dict[str, str]:
        tools = self.folder / "bin"
        tools.mkdir(exist_ok=True)
        ssh = tools / "ssh"
        ssh.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {self.site.ssh_config()} {SLOW} "$@"\n')
        ssh.chmod(0o755)
        # Short, and the site's own: shared connections lie there and end with it.
        return {
            "PATH": f"{tools}:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(self.folder),
            "TMPDIR": str(self.site.sockets),
            "PADDOCK_STATE": str(self.folder / "state"),
            "PYTHONPATH": str(ROOT / "src"),
            "LANG": "C.UTF-8",
        }

    def paddock(self, *words: str, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return subprocess.run(
            self._argv(words),
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def up(self, *words: str) -> list[dict[str, Any]]:
        """``paddock up --yes --json``: its lines."""
        done = self.paddock("up", "--yes", "--json", "--no-verify", *words)
        assert done.stdout, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def killed(self, step: str, event: str = "done") -> list[str]:
        """``paddock up``, killed without a word as soon as that event of that step is told; the
        steps that it had begun. Fails the test where it ended before.
        """
        begun: list[str] = []

        def now(told: Mapping[str, Any]) -> bool:
            if told["kind"] == "begin":
                begun.append(told["step"])
            return (told["step"], told["kind"]) == (step, event)

        assert self.killed_when(now), f"it ended without {event} of {step}; begun: {begun}"
        return begun

    def killed_when(self, now: Callable[[Mapping[str, Any]], bool]) -> bool:
        """``paddock up``, killed without a word at the first event for which ``now`` says so;
        whether it was. One that failed by itself fails the test.
        """
        argv = self._argv(("up", "--yes", "--json", "--no-verify"))
        said = []
        with subprocess.Popen(
            argv,
            cwd=self.folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line)
                told = json.loads(line).get("event") if line.startswith("{") else None
                if told and now(told):
                    os.killpg(process.pid, signal.SIGKILL)
                    break
            process.stdout.read()
        assert process.returncode in (0, -signal.SIGKILL), "".join(said)[-4000:]
        return process.returncode != 0

    def _argv(self, words: Sequence[str]) -> list[str]:
        return [sys.executable, "-m", "paddock", *words]

    def inside(self, host: SimulatedHost, port: int) -> SshRunner:
        """A container's own SSH server, on a port of the host's."""
        options: Mapping[str, str] = {
            **self.site.ssh_options(),
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
        }
        return SshRunner(host.address, "root", port, connect_timeout=60, options=options)


def outcome(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The last line of ``paddock up --json``: how every host ended, by name."""
    return {each["host"]: each for each in lines[-1]["hosts"]}


def state_inside(host: SimulatedHost, container: str) -> dict[str, str]:
    """Every file of a container that is newer than its image and that a deployment decides: the
    checksum of its content by path."""
    output = host.enter(["docker", "exec", container, "bash", "-c", _FILES], timeout=120)
    assert output.ok, output.stderr
    return dict(_pairs(output.stdout))


# One sha256sum for many files: a process for each would take minutes.
_FILES = r"""
find / -xdev \( -path /proc -o -path /sys -o -path /var/log -o -path /tmp -o -path /var/cache \
  -o -path '/var/lib/paddock/*/target/jobs' -o -path /var/lib/apt/lists -o -name __pycache__ \
  -o -path '/var/lib/paddock/*/target/packages' -o -path /run \) -prune \
  -o -type f -newer /etc/debian_version -print0 | xargs -0 -r sha256sum
"""

VOLATILE = (
    "/var/lib/dpkg/",
    "ssh_host_",
    "/pid",
    "/etc/ld.so.cache",
    "/etc/hostname",
    "/etc/hosts",
    "-old",
    "/log",
)


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        digest, _, path = line.partition("  ")
        if not any(word in path for word in VOLATILE):
            yield path, digest
