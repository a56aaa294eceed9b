"""A host whose first process is a real systemd: a layer over this machine, in namespaces.

It boots Debian's own systemd, journal and units; what this machine has enabled is not started. Its
files, network, processes and control groups are its own and gone with it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from paddock.shell import TIMEOUT, LocalRunner, Output

SYSTEMD = "/lib/systemd/systemd"
GROUPS = Path("/sys/fs/cgroup")

# Joins the groups first, since a namespace of groups begins where its maker is. Everything ends
# when stdin does: when the test closes it, or dies.
HOLD = r"""
folder=$1; shift
for group; do echo $$ >"$group/cgroup.procs"; done
unshare --mount --propagation private --pid --uts --ipc --net --cgroup --fork --kill-child \
  sh "$folder/enter" "$folder" </dev/null >"$folder/console" 2>&1 &
child=$!
echo $child
cat >/dev/null
kill -KILL $child
"""

# The nodes of /dev and the kernel's settings are this machine's: it gets others, and may not write
# to /proc/sys. Modules, clock and raw devices are not its either.
ENTER = r"""
set -e
folder=$1 root=$1/layer/root
mount -t tmpfs tmpfs "$1/layer"
mkdir "$1/layer/upper" "$1/layer/work" "$root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/layer/upper,workdir=$1/layer/work" "$root"
mkdir "$root/.upper" "$root/.old"
mount --bind "$1/layer/upper" "$root/.upper"
mount -t proc proc "$root/proc"
mount --bind "$root/proc/sys" "$root/proc/sys"
mount -o remount,bind,ro "$root/proc/sys"
mount -t sysfs -o ro sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
while read -r place type options; do
  mkdir -p "$root/sys/fs/cgroup/$place"
  mount -t "$type" -o "$options" cgroup "$root/sys/fs/cgroup/$place"
done <"$folder/hierarchies"
[ "$place" = . ] || mount -o remount,ro "$root/sys/fs/cgroup"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
  number=${node#*:}
  mknod -m 666 "$root/dev/${node%%:*}" c "${number%:*}" "${number#*:}"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for each in stdin:0 stdout:1 stderr:2; do
  ln -s "/proc/self/fd/${each#*:}" "$root/dev/${each%:*}"
done
rm -rf "$root"/etc/systemd/system/* "$root"/etc/rc?.d "$root/etc/fstab" "$root/var/log/journal"
hostname systemd
ip link set lo up
cd "$root"
pivot_root . .old
umount -l /.old
rmdir /.old
exec env -i container=paddock PATH=/usr/sbin:/usr/bin:/sbin:/bin setpriv \
  --bounding-set=-sys_module,-sys_time,-sys_rawio --inh-caps=-sys_module,-sys_time,-sys_rawio \
  /lib/systemd/systemd --unit=multi-user.target --show-status=no --log-target=journal
"""


@dataclass(frozen=True)
class SystemdHost:
    """Runs programs on it as a session over SSH would; ``pid`` is its systemd as seen from here."""

    pid: int
    console: Path
    target: str = "systemd"

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        enter = [
            "nsenter",
            "-t",
            str(self.pid),
            "-m",
            "-u",
            "-i",
            "-n",
            "-p",
            "-C",
            "-r",
            "-w",
            "--",
        ]
        inside = ["env", "-i", path, "HOME=/root", "LC_ALL=C.UTF-8", *argv]
        return LocalRunner().run([*enter, *inside], timeout=max(timeout, 300), stdin=stdin)

    def read(self, path: str) -> str | None:
        output = self.run(["cat", "--", path])
        return output.stdout if output.ok else None

    def systemctl(self, *words: str) -> str:
        """What systemctl prints; whether it succeeded does not matter."""
        return self.run(["systemctl", "--no-pager", *words]).stdout.strip()

    def files(self) -> set[str]:
        """Every file that was written or removed since, but for what changes by itself."""
        output = self.run(["find", "/.upper", "-xdev", "!", "-type", "d"])
        assert output.ok, output.stderr
        names = {line.removeprefix("/.upper") for line in output.stdout.splitlines()}
        return {name for name in names if not name.startswith(("/var/log/", "/var/lib/systemd/"))}


def hierarchies() -> Iterator[tuple[str, str, str, Path]]:
    """The mounted hierarchies of control groups: place below /sys/fs/cgroup, type, options of a
    mount, and the folder of this process's own group.
    """
    own = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own[controllers] = path
    for line in Path("/proc/mounts").read_text().splitlines():
        _, at, kind, options, *_ = line.split()
        if kind not in ("cgroup", "cgroup2") or not Path(at).is_relative_to(GROUPS):
            continue
        for controllers, path in own.items():
            named = controllers.split(",") if controllers else []
            if (kind == "cgroup2") != (not named) or not set(named) <= set(options.split(",")):
                continue
            group = Path(at + path)
            if group.is_dir():
                wanted = "rw" if kind == "cgroup2" else controllers
                if controllers.startswith("name="):
                    wanted = f"none,{controllers}"
                yield str(Path(at).relative_to(GROUPS)), kind, wanted, group


def _groups(name: str) -> Iterator[tuple[str, Path]]:
    """Makes a group in every hierarchy; the line for ENTER and the group's folder."""
    for place, kind, options, parent in hierarchies():
        group = parent / name
        group.mkdir()
        for setting in ("cpuset.cpus", "cpuset.mems"):  # empty in a new group of version 1
            if kind == "cgroup" and (parent / setting).exists():
                (group / setting).write_text((parent / setting).read_text())
        yield f"{place} {kind} {options}\n", group


def _ungroup(group: Path) -> None:
    """Removes a group whose processes are going, from the inside out."""
    end = time.monotonic() + 20
    while group.is_dir() and time.monotonic() < end:
        for folder, _, _ in os.walk(group, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()
        time.sleep(0.05)


@contextlib.contextmanager
def booted() -> Iterator[SystemdHost]:
    """A host that has started; skips, with the reason, where that cannot be."""
    if os.geteuid() != 0:
        pytest.skip("only root may start another systemd")
    for program, package in (
        *((SYSTEMD, "systemd"), ("systemctl", "systemd"), ("unshare", "util-linux")),
        *(("setpriv", "util-linux"), ("ip", "iproute2"), ("pivot_root", "util-linux")),
    ):
        if shutil.which(program) is None and not Path("/usr/sbin", program).exists():
            pytest.skip(f"{program} is not installed (Debian: {package})")
    folder = Path(tempfile.mkdtemp(prefix="paddock-systemd-"))
    (folder / "layer").mkdir()
    (folder / "enter").write_text(ENTER)
    made = list(_groups(folder.name))
    (folder / "hierarchies").write_text("".join(line for line, _ in made))
    holder = subprocess.Popen(
        ["sh", "-c", HOLD, "sh", str(folder), *(str(group) for _, group in made)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdin is not None and holder.stdout is not None
        host = _started(int(holder.stdout.readline()), folder / "console")
        yield host
    finally:
        assert holder.stdin is not None
        holder.stdin.close()
        holder.wait()
        for _, group in made:
            _ungroup(group)
        shutil.rmtree(folder, ignore_errors=True)


def _started(unshare: int, console: Path) -> SystemdHost:
    end = time.monotonic() + 120
    children = Path(f"/proc/{unshare}/task/{unshare}/children")
    while time.monotonic() < end and children.exists():
        inner = children.read_text().split()
        if inner and Path(f"/proc/{inner[0]}/comm").read_text().strip() == "systemd":
            host = SystemdHost(int(inner[0]), console)
            if host.systemctl("is-system-running", "--wait") in ("running", "degraded"):
                return host
        time.sleep(0.1)
    pytest.skip(f"systemd does not start here: {console.read_text()[-800:]}")
