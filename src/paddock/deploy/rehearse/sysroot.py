"""The file system of a simulated host: what it has of its own, what differs from this machine.

Programs and libraries are this machine's, through overlays on ``/usr`` and ``/etc`` and the package
database: whatever is written lands in the host's folder. Homes, ``/opt``, ``/usr/local``, ``/var``,
``/srv`` and the users of this machine are not shown to it.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from paddock.deploy.rehearse import driver
from paddock.deploy.rehearse.model import MachineModel
from paddock.shell import Runner

OVERLAID = ("usr", "etc", "var/lib/dpkg", "var/lib/apt")
"""Folders of this machine that are seen through an overlay."""

OPAQUE = ("usr/local", "etc/docker", "etc/ssh", "etc/ld.so.conf.d", "etc/cdi")
"""Folders below them of which nothing of this machine is seen."""

OWNED = (
    *("dev", "proc", "sys", "run", "root", "home", "opt", "srv", "mnt", "media", "boot"),
    *("var/log", "var/cache/apt/archives/partial", "var/spool", "var/lib/docker"),
)

GROUP = "HwHiAiUser"
GROUP_ID = 1000
"""Owns the device nodes; the id is what the driver's installer gets on a fresh machine."""

RUNTIME = "/usr/local/Ascend/Ascend-Docker-Runtime/ascend-docker-runtime"
BASE_LIST = """\
/usr/local/Ascend/driver/lib64
/usr/local/Ascend/driver/version.info
/usr/local/dcmi
/usr/local/sbin/npu-smi
/etc/ascend_install.info
"""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may enter by SSH: a public key; and the host's own key pair, already made."""

    public_key: str
    host_key: Path


def write(folder: Path, model: MachineModel, name: str, access: Access, machine: Runner) -> None:
    """Fills ``folder`` with ``tree``, ``upper``, ``work``, ``nodes`` and ``pci``; see host.sh."""
    tree, upper = folder / "tree", folder / "upper"
    for path in OWNED:
        (tree / path).mkdir(parents=True, exist_ok=True)
    for path in ("tmp", "var/tmp"):
        (tree / path).mkdir(parents=True, exist_ok=True)
        (tree / path).chmod(0o1777)
    (tree / "root").chmod(0o700)
    for link in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        real = Path("/") / link
        if real.is_symlink():
            (tree / link).symlink_to(real.readlink())
    (tree / "var/run").symlink_to("/run")
    (tree / "var/lock").symlink_to("/run/lock")
    for path in overlays():
        for part in (tree, upper, folder / "work"):
            (part / path).mkdir(parents=True, exist_ok=True)
    for path in OPAQUE:
        (upper / path).mkdir(parents=True, exist_ok=True)
        # What overlayfs calls opaque: nothing of the lower folder is merged in.
        os.setxattr(upper / path, "trusted.overlay.opaque", b"y")
    for path in ("bin", "sbin", "lib", "share"):
        (upper / "usr/local" / path).mkdir()
    _etc(upper / "etc", name, access)
    _home(tree / "root", access)
    _services(upper)
    lines = list(_plain_nodes())
    if model.kind == "ascend":
        lines += _ascend(upper, model, machine)
        _pci(folder / "pci", model)
    else:
        (folder / "pci").mkdir()
    (folder / "nodes").write_text("".join(f"{line}\n" for line in lines))


def overlays() -> list[str]:
    """Those of OVERLAID that this machine has, and folders of ``/`` that are not links to /usr."""
    old = [name for name in ("bin", "sbin", "lib", "lib64") if _is_folder(name)]
    return [path for path in OVERLAID if (Path("/") / path).is_dir()] + old


def _is_folder(name: str) -> bool:
    path = Path("/") / name
    return path.is_dir() and not path.is_symlink()


def _etc(etc: Path, name: str, access: Access) -> None:
    _file(etc / "hostname", f"{name}\n")
    _file(etc / "simulated-site", f"paddock-{etc.parents[2].name}\n")
    _file(etc / "hosts", f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    _file(etc / "environment", f'PATH="{path}"\n')
    _accounts(etc)
    _file(
        etc / "ssh/sshd_config",
        "Port 22\nHostKey /etc/ssh/ssh_host_ed25519_key\nPasswordAuthentication no\n"
        "KbdInteractiveAuthentication no\nPermitRootLogin prohibit-password\nUsePAM yes\n"
        "Include /etc/ssh/sshd_config.d/*.conf\nAcceptEnv LANG LC_*\n"
        "Subsystem sftp /usr/lib/openssh/sftp-server\n",
    )
    (etc / "ssh/sshd_config.d").mkdir()
    for suffix, mode in (("", 0o600), (".pub", 0o644)):
        key = Path(f"{access.host_key}{suffix}").read_text()
        _file(etc / f"ssh/ssh_host_ed25519_key{suffix}", key, mode)
    _file(etc / "ld.so.conf.d/libc.conf", "/usr/local/lib\n")


def _accounts(etc: Path) -> None:
    """The system's accounts and HwHiAiUser; none of the people who use this machine."""
    users, groups = ([line.split(":") for line in _lines(f"/etc/{f}")] for f in ("passwd", "group"))
    users = [fields for fields in users if _system(fields[2])]
    for fields in users:
        if fields[0] == "root":
            fields[5:] = ["/root", "/bin/bash" if Path("/bin/bash").exists() else "/bin/sh"]
    known = {fields[0] for fields in users}
    groups = [[*fields[:3], ""] for fields in groups if _system(fields[2])]
    users.append([GROUP, "x", str(GROUP_ID), str(GROUP_ID), "", f"/home/{GROUP}", "/bin/bash"])
    groups.append([GROUP, "x", str(GROUP_ID), ""])
    if not any(fields[0] == "docker" for fields in groups):
        groups.append(["docker", "x", "999", ""])
    _file(etc / "passwd", "".join(":".join(fields) + "\n" for fields in users))
    _file(etc / "group", "".join(":".join(fields) + "\n" for fields in groups))
    shadow = [f"{name}:*:19000:0:99999:7:::\n" for name in sorted(known | {GROUP})]
    _file(etc / "shadow", "".join(shadow), 0o640)


def _lines(path: str) -> list[str]:
    return [line for line in Path(path).read_text().splitlines() if line.count(":") >= 3]


def _system(number: str) -> bool:
    return int(number) < 1000 or int(number) == 65534


def _home(home: Path, access: Access) -> None:
    (home / ".ssh").mkdir(mode=0o700)
    _file(home / ".ssh/authorized_keys", access.public_key, 0o600)
    for name in (".bashrc", ".profile"):
        with contextlib.suppress(OSError):
            _file(home / name, Path("/etc/skel", name).read_text())


def _services(upper: Path) -> None:
    for name in ("sshd", "docker"):
        _file(upper / f"usr/local/sbin/service-{name}", driver.text("service.sh"), 0o755)


def _plain_nodes() -> list[str]:
    known = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9)}
    lines = [f"/dev/{name} {major} {minor} 666 0" for name, (major, minor) in known.items()]
    return [*lines, "/dev/tty 5 0 666 0", "/dev/console 5 1 600 0"]


def _ascend(upper: Path, model: MachineModel, machine: Runner) -> list[str]:
    driver.build(model, upper, machine)
    root = upper / "usr/local/Ascend"
    _file(root / "driver/version.info", driver.version_file(model.driver_info), 0o440)
    _file(root / "firmware/version.info", driver.version_file(model.firmware_info), 0o440)
    (root / "driver/lib64/common").mkdir(exist_ok=True)
    (root / "driver/tools").mkdir(exist_ok=True)
    (upper / "usr/local/dcmi").mkdir()
    etc = upper / "etc"
    _file(
        etc / "ascend_install.info",
        f"UserName={GROUP}\nUserGroup={GROUP}\nFirmware_Install_Type=full\n"
        "Firmware_Install_Path_Param=/usr/local/Ascend\nDriver_Install_Type=full\n"
        "Driver_Install_Path_Param=/usr/local/Ascend\nDriver_Install_For_All=no\n",
    )
    # As the driver's installer does it for logins on the host; a container has nothing of it.
    _file(
        etc / "ld.so.conf.d/ascend_driver_so.conf",
        "/usr/local/Ascend/driver/lib64\n/usr/local/Ascend/driver/lib64/common\n"
        "/usr/local/Ascend/driver/lib64/driver\n",
    )
    addresses = [
        f"address_{card.node}=192.168.{10 * (1 + card.node % 4)}.{21 + card.node // 4}\n"
        f"netmask_{card.node}=255.255.255.0\n"
        for card in model.cards
    ]
    _file(etc / "hccn.conf", "".join(addresses))
    _file(etc / "ascend-docker-runtime.d/base.list", BASE_LIST)
    _file(upper / RUNTIME.lstrip("/"), driver.text("ascend-docker-runtime"), 0o755)
    daemon = {"runtimes": {"ascend": {"path": RUNTIME}}, "default-runtime": "ascend"}
    _file(etc / "docker/daemon.json", json.dumps(daemon, indent=2) + "\n")
    for path, text in model.files.items():
        _file(upper / path.lstrip("/"), text)
    names = [f"davinci{card.node}" for card in model.cards]
    # null's numbers: a node that opens, and reads and writes as nothing.
    return [f"/dev/{name} 1 3 660 {GROUP_ID}" for name in [*names, *model.nodes]]


def _pci(folder: Path, model: MachineModel) -> None:
    for bus in dict.fromkeys(card.bus.lower() for card in model.cards):
        device = folder / bus
        values = {"vendor": "0x19e5", "device": f"0x{model.pci_device}", "class": "0x120000"}
        more = {"subsystem_vendor": "0x0200", "subsystem_device": "0x0100", "numa_node": "0"}
        for key, value in (values | more).items():
            _file(device / key, f"{value}\n", 0o444)


def _file(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(stat.S_IMODE(mode))
