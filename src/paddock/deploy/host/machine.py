"""Facts about the machine itself, whatever accelerators it has: the leaves of ``Host``.

None means "could not be read" (a Note says why) or, where the field says so, "there is none".
Sizes are bytes, times seconds, versions the text that the source prints. Long on purpose: one page
is the schema that rules are written against, and devices.py is the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class System:
    """The operating system; ``id``, ``version``, ``codename``, ``like`` are of /etc/os-release.

    ``arch`` is ``uname -m``; ``libc`` is ``glibc`` or ``musl``.
    """

    id: str | None = None
    version: str | None = None
    name: str | None = None
    codename: str | None = None
    like: tuple[str, ...] = ()
    kernel: str | None = None
    arch: str | None = None
    libc: str | None = None
    libc_version: str | None = None
    uptime_s: float | None = None
    modules: tuple[str, ...] = ()
    """Loaded kernel modules that drive accelerators (davinci, drv_*, nvidia*)."""
    security: tuple[str, ...] = ()
    """What restricts programs: ``selinux=enforcing``, ``apparmor``, ``seccomp=2``."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """The processors. ``threads`` are logical CPUs online, ``usable`` those this user may run on.

    ``quota`` is how many CPUs' time the control group grants, None where it sets no limit.
    ``flags`` are the instruction sets as the kernel names them (x86 ``flags``, Arm ``Features``).
    """

    model: str | None = None
    vendor: str | None = None
    sockets: int | None = None
    cores: int | None = None
    threads: int | None = None
    usable: int | None = None
    quota: float | None = None
    numa_nodes: int | None = None
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Memory:
    """Main memory in bytes. ``limit`` is the control group's, None where there is none."""

    total: int | None = None
    available: int | None = None
    swap_total: int | None = None
    swap_free: int | None = None
    limit: int | None = None
    hugepages_total: int | None = None
    hugepages_free: int | None = None


@dataclass(frozen=True, slots=True)
class Filesystem:
    """One mounted file system; ``free`` is what a user without privileges may still write."""

    mount: str
    device: str
    kind: str | None = None
    read_only: bool | None = None
    total: int | None = None
    free: int | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """A group of the user who looked; ``name`` is None where no entry names the number."""

    id: int
    name: str | None = None


@dataclass(frozen=True, slots=True)
class User:
    """Who looked. ``named`` tells whether the password database has an entry for ``uid``.

    ``capabilities`` is the effective set as a number (bit 1 is CAP_DAC_OVERRIDE), Linux only.
    """

    uid: int | None = None
    gid: int | None = None
    name: str | None = None
    named: bool | None = None
    home: str | None = None
    shell: str | None = None
    groups: tuple[Group, ...] = ()
    accelerator_groups: tuple[str, ...] = ()
    """Lines of /etc/group for HwHiAiUser and whoever else owns a device node."""
    capabilities: int | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """Seconds since 1970. ``host`` is the host's clock, ``reader`` the asker's at the end.

    ``skew`` is host minus reader, ``uncertainty`` half of the time the answer was under way; None
    for a recording, whose now is long past.
    """

    host: float | None = None
    reader: float | None = None
    skew: float | None = None
    uncertainty: float | None = None
    timezone: str | None = None
    utc_offset: str | None = None
    synchronized: bool | None = None


@dataclass(frozen=True, slots=True)
class Locale:
    """``lang`` is what the shell that answered had, ``utf8`` whether a UTF-8 locale exists."""

    lang: str | None = None
    utf8: bool | None = None


@dataclass(frozen=True, slots=True)
class Python:
    """One interpreter. ``prefix`` differs from ``base_prefix`` in a virtual environment.

    ``libpython`` is the shared library it was started from, None for one that has none (CANN's
    tools want one); ``active`` marks the ``python3`` that a plain command would start. ``kind`` is
    ``system``, ``venv``, ``conda``, ``pyenv``, ``uv`` or ``other``. ``packages`` are the installed
    distributions by name in the form of PEP 503 (``torch-npu``), from the names of their metadata
    folders in ``folders``.
    """

    path: str
    version: str | None = None
    implementation: str | None = None
    prefix: str | None = None
    base_prefix: str | None = None
    kind: str = "other"
    active: bool = False
    libpython: str | None = None
    externally_managed: bool | None = None
    folders: tuple[str, ...] = ()
    packages: dict[str, str] = field(default_factory=dict)

    def version_of(self, package: str) -> str | None:
        """The version of an installed distribution (``-``, ``_`` and ``.`` alike), or None."""
        return self.packages.get(re.sub(r"[-_.]+", "-", package).lower())


@dataclass(frozen=True, slots=True)
class Tool:
    """A program on the PATH or in a usual place: conda, uv, g++, npu-smi, ...

    ``version`` is None where asking would cost more than a file's look.
    """

    name: str
    path: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Container:
    """A container that runs on the host, seen from its engine.

    ``devices`` are the host's nodes it was given; ``visible_devices`` is its
    ASCEND_VISIBLE_DEVICES or NVIDIA_VISIBLE_DEVICES, ``published`` its ports (``22/tcp``).
    """

    engine: str
    name: str
    id: str | None = None
    image: str | None = None
    privileged: bool | None = None
    devices: tuple[str, ...] = ()
    runtime: str | None = None
    visible_devices: str | None = None
    network: str | None = None
    published: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Engine:
    """A container engine: ``name`` is docker, podman, isula, nerdctl or containerd.

    ``answers`` is False where only the client is there or its daemon refused; ``problem`` says
    what it printed. ``runtimes`` are those registered (``runc``, ``ascend``, ``nvidia``).
    """

    name: str
    path: str
    version: str | None = None
    server_version: str | None = None
    answers: bool | None = None
    problem: str | None = None
    runtimes: tuple[str, ...] = ()
    default_runtime: str | None = None
    storage_driver: str | None = None
    cgroup_version: str | None = None
    root: str | None = None
    security: tuple[str, ...] = ()
    configured_runtimes: tuple[str, ...] = ()
    """Runtimes in its configuration file, which need a restart of the daemon to be registered."""


@dataclass(frozen=True, slots=True)
class Confinement:
    """The container that the reader itself sits in; ``evidence`` is the file that betrays it."""

    kind: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Port:
    """A TCP port that something listens on; ``process`` is None without the right to know."""

    port: int
    address: str
    process: str | None = None


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface and its addresses with prefix lengths."""

    name: str
    addresses: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Proxy:
    """A proxy setting as ``source`` (``environment`` or a file) has it, without secrets."""

    variable: str
    value: str
    source: str


@dataclass(frozen=True, slots=True)
class Index:
    """Where a package tool fetches from: ``tool`` is pip, uv, conda, apt, yum.

    ``suite`` is apt's (``focal-updates``). Credentials in ``url`` are replaced by ``***``.
    """

    tool: str
    url: str
    source: str
    suite: str | None = None


@dataclass(frozen=True, slots=True)
class Library:
    """A shared library that a stack may need, there or not. ``paths`` are the copies on disk.

    ``loads_from`` is what the loader would take with the environment as it was read
    (LD_LIBRARY_PATH first, then the cache of ldconfig); None where it would find nothing.
    """

    name: str
    paths: tuple[str, ...] = ()
    loads_from: str | None = None


@dataclass(frozen=True, slots=True)
class ConfigLine:
    """A line of a configuration file that was picked out for what it sets."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class DeviceNode:
    """A node under /dev. ``mode`` is octal as ``stat`` prints it (``660``); numbers are ids.

    ``readable`` and ``writable`` are what the kernel answered to the user who looked.
    """

    path: str
    mode: str | None = None
    uid: int | None = None
    gid: int | None = None
    owner: str | None = None
    group: str | None = None
    kind: str | None = None
    readable: bool | None = None
    writable: bool | None = None


@dataclass(frozen=True, slots=True)
class PciDevice:
    """An accelerator on the PCI bus, from /sys/bus/pci: ids are four hexadecimal digits.

    ``driver`` is None where no driver is bound. Only processing accelerators, graphics and 3D
    controllers are listed, and everything of Huawei's that looks like one.
    """

    address: str
    vendor: str
    device: str
    class_code: str
    driver: str | None = None
    numa_node: int | None = None
    subsystem_vendor: str | None = None
    subsystem_device: str | None = None


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of a model that a program here would load, from a checkpoint folder."""

    path: str
    bytes: int


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """A MindFormers YAML file found here; ``values`` are its scalar lines, ``key: value``."""

    path: str
    values: dict[str, str] = field(default_factory=dict)
