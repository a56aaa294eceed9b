"""From a host's entry in the stack file to the machine that may be changed."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from paddock.deploy.host import Host
from paddock.deploy.stackfile import HostEntry
from paddock.deploy.step import Machine
from paddock.errors import RunnerError, UsageError
from paddock.shell import LocalRunner, Runner, SshRunner

Reach = Callable[[HostEntry], Runner]
"""Gives the Runner of a host; what tests and rehearsals put their own in for."""

# root's state belongs to the machine, anybody else's to them.
_BASE = r"""
if [ "$(id -u)" = 0 ]; then echo "${XDG_STATE_HOME:-/var/lib}/paddock"
else echo "${XDG_STATE_HOME:-$HOME/.local/state}/paddock"; fi
"""


@dataclass(frozen=True, slots=True)
class Target:
    """A host of a deployment: its entry and the machine, whose folder is the deployment's own."""

    entry: HostEntry
    machine: Machine

    @property
    def local(self) -> bool:
        """Whether it is the machine that Paddock runs on."""
        return self.entry.address == "local"


def runner(entry: HostEntry) -> Runner:
    """The system's own ssh with the user's configuration, or this machine."""
    if entry.address == "local":
        return LocalRunner()
    return replace(SshRunner.parse(entry.address), control=_sockets())


def target(
    entry: HostEntry, deployment: str, state: Path, reached: Runner, host: Host | None = None
) -> Target:
    """Finds Paddock's folder there: by the facts of the host, or else in a round trip.

    Raises Unreachable and RunnerError.
    """
    if entry.address == "local":
        return Target(entry, Machine(reached, str(state / deployment / "target")))
    base = (_base(host) if host else None) or _asked(reached)
    return Target(entry, Machine(reached, f"{base}/{deployment}/target"))


def _base(host: Host) -> str | None:
    """What _BASE prints, as far as the facts tell."""
    state, user = host.environment.get("XDG_STATE_HOME"), host.user
    if user.uid is None or user.home is None:
        return None
    return f"{state or ('/var/lib' if user.uid == 0 else f'{user.home}/.local/state')}/paddock"


def _asked(reached: Runner) -> str:
    output = reached.run(["sh", "-c", _BASE])
    base = output.stdout.strip()
    if not output.ok or not base.startswith("/"):
        raise RunnerError(f"{reached.target} does not tell where its state goes: {output.stderr}")
    return base


SOCKET_NAME = 104 - len("/") - 40 - len(".0123456789abcdef")
"""Bytes that a folder's name may have: a socket's has at most 104 on some systems, ssh's ``%C`` is
40, and while it connects it adds 17."""


def _sockets() -> Path | None:
    """A folder of our own for the shared connections; None where its name would be too long."""
    folder = Path(tempfile.gettempdir()) / f"paddock-ssh-{os.getuid()}"
    if len(os.fsencode(folder)) > SOCKET_NAME:
        return None
    folder.mkdir(mode=0o700, exist_ok=True)
    seen = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or seen.st_uid != os.getuid():
        raise UsageError(f"{folder} belongs to somebody else", hint="remove it, or set TMPDIR")
    if seen.st_mode & 0o077:
        folder.chmod(0o700)
    return folder
