"""What this machine must have before a host can be simulated on it, said before anything starts."""

from __future__ import annotations

from paddock.errors import RehearsalError
from paddock.shell import Runner

_LOOK = r"""
[ "$(uname -s)" = Linux ] || echo "a Linux machine"
[ "$(id -u)" = 0 ] || echo "root: it makes device nodes, mounts and network namespaces"
for need; do
  program=${need%%:*}
  command -v "$program" >/dev/null 2>&1 || [ -x "/usr/sbin/$program" ] ||
    echo "$program (Debian: apt-get install ${need#*:})"
done
if [ "$(id -u)" = 0 ]; then
  unshare --mount --pid --net --uts --ipc --fork true 2>/dev/null ||
    echo "the right to make namespaces (a container needs --privileged)"
fi
"""

PROGRAMS = (
    "unshare:util-linux",
    "nsenter:util-linux",
    "ip:iproute2",
    "sshd:openssh-server",
    "ssh:openssh-client",
    "ssh-keygen:openssh-client",
)
ASCEND = ("gcc:gcc libc6-dev",)
ENGINE = ("dockerd:docker.io", "iptables:iptables", "mmdebstrap:mmdebstrap", "python3:python3")


def missing(machine: Runner, *, ascend: bool, engine: bool) -> list[str]:
    """What is missing on ``machine`` (this one), one thing a line, ready to be shown."""
    programs = [*PROGRAMS, *(ASCEND if ascend else ()), *(ENGINE if engine else ())]
    return machine.run(["sh", "-c", _LOOK, "sh", *programs]).stdout.splitlines()


def require(machine: Runner, *, ascend: bool, engine: bool) -> None:
    """Raises RehearsalError naming everything that is missing."""
    lacks = missing(machine, ascend=ascend, engine=engine)
    if lacks:
        raise RehearsalError(
            f"no host can be simulated here; missing: {'; '.join(lacks)}",
            hint="nothing was started; run it where these are",
        )
