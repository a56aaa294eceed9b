"""``Site``: some simulated hosts on one network, made and torn down together.

Everything lives in one folder and in namespaces of its own processes: when those are killed no
mount, interface, route or firewall rule is left on this machine. A warden process does that when
whoever made the site has died without a word.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from types import TracebackType

from paddock.deploy.rehearse import host as hosts
from paddock.deploy.rehearse import needs, store, sysroot
from paddock.deploy.rehearse.host import SimulatedHost
from paddock.deploy.rehearse.model import MachineModel
from paddock.errors import RehearsalError
from paddock.shell import LocalRunner, SshRunner

SUBNET = "10.213.0"
"""Addresses on the site's own network, which nothing outside it sees; the bridge has .1."""


@dataclass(slots=True)
class Site:
    """A network of simulated hosts below ``folder``. Use it as a context manager."""

    folder: Path
    hub: int = 0
    sockets: Path = Path()
    hosts: dict[str, SimulatedHost] = field(default_factory=dict)

    def __enter__(self) -> Site:
        """Makes the network."""
        machine = LocalRunner()
        needs.require(machine, ascend=False, engine=False)
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o700)
        (self.folder / "owner").write_text(f"{os.getpid()} {_since(os.getpid())}\n")
        self._key("id", "paddock-rehearsal")
        # Short, as a socket's name must be; the folder may lie deep.
        self.sockets = Path(tempfile.mkdtemp(prefix="paddock-"))
        (self.folder / "sockets").symlink_to(self.sockets)
        (self.folder / "hub").mkdir()
        self.hub = hosts.launch(
            machine,
            "hub.sh",
            self.folder / "hub",
            "--mount --pid --net --fork --kill-child",
            f"{SUBNET}.1/24",
        )
        self._watch()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Tears everything down."""
        self.close()

    def close(self) -> None:
        """Ends all hosts and the network, and removes the folder."""
        for host in self.hosts.values():  # else they would wait for a host that is gone
            control = f"-oControlPath={self.sockets}/%C"
            where = ["-l", "root", host.address]
            LocalRunner().run(["ssh", "-F", "none", control, "-O", "exit", *where])
        end_site(self.folder)
        self.hosts.clear()

    def add(
        self,
        model: MachineModel,
        name: str,
        *,
        engine: bool = True,
        images: Path | None = None,
    ) -> SimulatedHost:
        """Starts a host of that model; returns when its sshd (and dockerd) answer.

        ``engine`` gives it a Docker daemon, ``images`` is what ``store.template`` made. Raises
        RehearsalError for what is missing here or does not start.
        """
        machine = LocalRunner()
        needs.require(machine, ascend=model.kind == "ascend", engine=engine)
        number = 11 + len(list(self.folder.glob("host-*")))
        address = f"{SUBNET}.{number}"
        folder = self.folder / f"host-{name}"
        folder.mkdir()
        host_key = self._key(f"host-{name}/host_key", name)
        access = sysroot.Access((self.folder / "id.pub").read_text(), host_key)
        sysroot.write(folder, model, name, access, machine)
        if engine and images is not None:
            store.copy(images, folder / "tree/var/lib/docker")
        pid = hosts.launch(
            machine,
            "host.sh",
            folder,
            "--mount --pid --uts --ipc --net --fork --kill-child",
            *(name, f"{address}/24", f"{SUBNET}.1", " ".join(sysroot.overlays())),
            "docker sshd" if engine else "sshd",
        )
        self._connect(pid, number)
        self._know(name, address, host_key)
        made = SimulatedHost(name, address, folder, pid)
        self.hosts[name] = made
        ready = made.root / "run/simulated-host"
        hosts.wait_for(ready.exists, folder / "start.log", f"the simulated host {name}")
        return made

    def ssh_options(self) -> Mapping[str, str]:
        """ssh's ``-o`` settings with which this process reaches the hosts by their addresses."""
        return {
            "IdentityFile": str(self.folder / "id"),
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": str(self.folder / "known_hosts"),
            "GlobalKnownHostsFile": "/dev/null",
            "ProxyUseFdpass": "yes",
            "ProxyCommand": (
                f"nsenter -t {self.hub} -n /usr/bin/python3 -IS {self.folder / 'connect.py'} %h %p"
            ),
        }

    def ssh_config(self) -> Path:
        """The same as a file for ``ssh -F``, with the hosts' names."""
        lines = [f"{key} {value}" for key, value in self.ssh_options().items()]
        for made in self.hosts.values():
            lines += [f"Host {made.name}", f"  HostName {made.address}", "  User root"]
        file = self.folder / "ssh_config"
        file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return file

    def runner(self, host: SimulatedHost) -> SshRunner:
        """The host over SSH, as a real one would be reached."""
        return SshRunner(
            host.address,
            user="root",
            connect_timeout=60,
            control=self.sockets,
            options=self.ssh_options(),
        )

    def cut(self, host: SimulatedHost, *, off: bool = True) -> None:
        """Pulls the host's network cable, or plugs it in again."""
        number = host.address.rpartition(".")[2]
        state = "down" if off else "up"
        self._in_hub("ip", "link", "set", f"port{number}", state)

    def _connect(self, pid: int, number: int) -> None:
        link = ("link", "add", "name", f"port{number}", "type", "veth", "peer", "name", "eth0")
        self._in_hub("ip", *link, "netns", str(pid))
        self._in_hub("ip", "link", "set", f"port{number}", "master", "br0", "up")

    def _in_hub(self, *argv: str) -> None:
        output = LocalRunner().run(["nsenter", "-t", str(self.hub), "-n", *argv])
        if not output.ok:
            raise RehearsalError(f"the site's network: {' '.join(argv)}: {output.stderr.strip()}")

    def _key(self, name: str, comment: str) -> Path:
        path = self.folder / name
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
        output = LocalRunner().run(words)
        if not output.ok:
            raise RehearsalError(f"cannot make a key: {output.stderr.strip()}")
        return path

    def _know(self, name: str, address: str, host_key: Path) -> None:
        kind, key, _ = Path(f"{host_key}.pub").read_text().split()
        with (self.folder / "known_hosts").open("a", encoding="utf-8") as stream:
            stream.write(f"{address},{name} {kind} {key}\n")

    def _watch(self) -> None:
        """Starts the warden; it knows us by pid and by when we were started."""
        folder = resources.files("paddock.deploy.rehearse") / "files"
        for script in ("warden.sh", "connect.py"):
            text = (folder / script).read_text("utf-8")
            (self.folder / script).write_text(text, encoding="utf-8")
        away = 'setsid sh "$@" >/dev/null 2>&1 </dev/null &'
        owner = str(os.getpid())
        words = (str(self.folder / "warden.sh"), str(self.folder), owner)
        LocalRunner().run(["sh", "-c", away, "sh", *words])


def sweep(folder: Path) -> None:
    """Ends sites in ``folder`` whose makers are gone (killed together with their wardens)."""
    for owner in folder.glob("*/owner"):
        pid, since = owner.read_text().split()
        if _since(int(pid)) != since:
            end_site(owner.parent)


def _since(pid: int) -> str:
    """When a process was started, in the kernel's own ticks; ``-`` for one that is not there."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return "-"
    return text.rpartition(")")[2].split()[19]


def end_site(folder: Path) -> None:
    """Ends what runs below ``folder`` and removes it; also a site that another process left."""
    for file in [*folder.glob("host-*/pid"), folder / "hub" / "pid"]:
        if file.exists() and _is_ours(pid := int(file.read_text()), folder):
            hosts.end(pid)
    remove_groups(folder.name)
    sockets = folder / "sockets"
    if sockets.is_symlink():
        shutil.rmtree(sockets.readlink(), ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():  # a mount that is still going away
        LocalRunner().run(["sh", "-c", 'sleep 1; rm -rf --one-file-system "$1"', "sh", str(folder)])


def _is_ours(pid: int, folder: Path) -> bool:
    """Whether that process is still the one that was started, not another with its number."""
    try:
        return str(folder).encode() in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def remove_groups(name: str) -> None:
    """Removes the empty control groups that the engines of a site have left."""
    LocalRunner().run(["sh", "-c", _REMOVE_GROUPS, "sh", name])


# They outlive their processes; empty ones are removed from the inside out.
_REMOVE_GROUPS = """
for top in /sys/fs/cgroup/"paddock-$1" /sys/fs/cgroup/*/"paddock-$1"; do
  [ -d "$top" ] && find "$top" -depth -type d -exec rmdir {} \\;
done
true
"""
