"""``Host``: everything that was read from one machine, and its JSON form."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from paddock.deploy import typed
from paddock.deploy.host.devices import (
    Ascend,
    Component,
    Gpu,
    HccnPort,
    Install,
    Npu,
    NpuBoard,
    NpuEcc,
    NpuHealth,
    NpuProcess,
    NpuSmi,
    NpuUsages,
    Nvidia,
    PlatformConfig,
    Rank,
    RankTable,
    Topology,
)
from paddock.deploy.host.machine import (
    Clock,
    ConfigLine,
    Confinement,
    Container,
    Cpu,
    DeviceNode,
    Engine,
    Filesystem,
    Group,
    Index,
    Interface,
    Library,
    Locale,
    Memory,
    ModelConfig,
    ModelFile,
    PciDevice,
    Port,
    Proxy,
    Python,
    System,
    Tool,
    User,
)
from paddock.errors import FactsError

__all__ = [
    "NOT_ASKED",
    "Ascend",
    "Clock",
    "Component",
    "ConfigLine",
    "Confinement",
    "Container",
    "Cpu",
    "DeviceNode",
    "Engine",
    "Filesystem",
    "Gpu",
    "Group",
    "HccnPort",
    "Host",
    "Index",
    "Install",
    "Interface",
    "Library",
    "Locale",
    "Memory",
    "ModelConfig",
    "ModelFile",
    "Note",
    "Npu",
    "NpuBoard",
    "NpuEcc",
    "NpuHealth",
    "NpuProcess",
    "NpuSmi",
    "NpuUsages",
    "Nvidia",
    "PciDevice",
    "PlatformConfig",
    "Port",
    "Proxy",
    "Python",
    "Rank",
    "RankTable",
    "System",
    "Tool",
    "Topology",
    "User",
]

NOT_ASKED = "it was not asked"
"""The reason in a note about what a recording does not hold."""

SCHEMA = 1
"""Rises when a field changes its meaning; a new field alone does not raise it."""


@dataclass(frozen=True, slots=True)
class Note:
    """A reading that failed: ``where`` it was tried, ``what`` is missing for it, and ``why``."""

    where: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Host:
    """One machine as it was found. Nothing is guessed: what could not be read is in ``notes``.

    ``target`` is what was asked: ``local``, ``ssh://user@host``, ``container:NAME`` or
    ``recording:NAME``. ``pci`` comes before all vendor tools: it is what the machine has, whatever
    they say. ``environment`` holds the variables that bear on accelerators and loading (PATH,
    LD_LIBRARY_PATH, ASCEND_*, HCCL_*, ...), without secrets, as the shell that answered had them;
    ``init_environment`` those of the container's first process, which an SSH login into it does
    not get. ``startup`` are lines of shells' and the loader's files that bear on accelerators,
    ``sshd`` those of its server that decide who may enter and where. ``limits`` are the soft
    resource limits by ``ulimit``'s names (``nofile``, ``memlock``), -1 for unlimited, memory in
    bytes; ``hard_limits`` are those that no program there can raise without a privilege.
    """

    schema: int = SCHEMA
    target: str = "local"
    hostname: str | None = None
    system: System = field(default_factory=System)
    cpu: Cpu = field(default_factory=Cpu)
    memory: Memory = field(default_factory=Memory)
    filesystems: tuple[Filesystem, ...] = ()
    shared_memory: Filesystem | None = None
    user: User = field(default_factory=User)
    clock: Clock = field(default_factory=Clock)
    locale: Locale = field(default_factory=Locale)
    confinement: Confinement | None = None
    pci: tuple[PciDevice, ...] = ()
    ascend: Ascend | None = None
    nvidia: Nvidia | None = None
    pythons: tuple[Python, ...] = ()
    tools: tuple[Tool, ...] = ()
    libraries: tuple[Library, ...] = ()
    engines: tuple[Engine, ...] = ()
    containers: tuple[Container, ...] = ()
    ports: tuple[Port, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    proxies: tuple[Proxy, ...] = ()
    indexes: tuple[Index, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    init_environment: dict[str, str] = field(default_factory=dict)
    startup: tuple[ConfigLine, ...] = ()
    sshd: tuple[ConfigLine, ...] = ()
    limits: dict[str, int] = field(default_factory=dict)
    hard_limits: dict[str, int] = field(default_factory=dict)
    model_files: tuple[ModelFile, ...] = ()
    model_configs: tuple[ModelConfig, ...] = ()
    notes: tuple[Note, ...] = ()

    @property
    def python(self) -> Python | None:
        """The interpreter that a plain ``python3`` starts."""
        return next((p for p in self.pythons if p.active), None)

    def tool(self, name: str) -> Tool | None:
        """The first program of that name on the PATH, or None."""
        return next((t for t in self.tools if t.name == name), None)

    def library(self, name: str) -> Library | None:
        """What is known of a library; None where it was not looked for."""
        return next((lib for lib in self.libraries if lib.name == name), None)

    def to_dict(self) -> dict[str, Any]:
        """The facts as plain JSON values."""
        import msgspec

        built: dict[str, Any] = msgspec.to_builtins(self)
        return built

    def to_json(self) -> str:
        """The facts as indented JSON; ``from_json`` gives them back equal."""
        import msgspec

        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode() + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Host:
        """The facts that ``to_json`` wrote.

        Raises FactsError for what is not JSON, for a value of the wrong type (naming its place),
        for an unknown key and for a schema that this version does not know.
        """
        import msgspec

        try:
            raw = msgspec.json.decode(text)
            if isinstance(raw, dict) and raw.get("schema", SCHEMA) != SCHEMA:
                raise FactsError(
                    f"the facts have schema {raw['schema']!r}, this version reads {SCHEMA}",
                    hint="record the host again with this version of paddock",
                )
            host = typed.convert(raw, cls)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise FactsError(f"these are not facts of a host: {error}") from error
        if unknown := _unknown(raw, host.to_dict(), ""):
            raise FactsError(
                f"unknown key {unknown!r} in the facts",
                hint="correct its spelling, or record the host again with this version of paddock",
            )
        return host


def _unknown(raw: Any, known: Any, place: str) -> str | None:
    """The first key of ``raw`` that decoding dropped."""
    if isinstance(raw, dict):
        pairs = [(f"{place}.{key}".lstrip("."), raw[key], known.get(key, _MISSING)) for key in raw]
    elif isinstance(raw, list):
        pairs = [(f"{place}[{i}]", *pair) for i, pair in enumerate(zip(raw, known, strict=True))]
    else:
        return None
    for name, inner, kept in pairs:
        found = name if kept is _MISSING else _unknown(inner, kept, name)
        if found is not None:
            return found
    return None


_MISSING = object()
