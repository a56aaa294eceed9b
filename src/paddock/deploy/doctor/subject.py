"""What a check looks at: a machine, configurations that are going to run there, and a wish."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from paddock.deploy import catalog
from paddock.deploy.catalog import Catalog
from paddock.deploy.doctor.comparable import comparable, readable
from paddock.deploy.host import Host
from paddock.deploy.host.facts import NOT_ASKED, Ascend, Component, Python
from paddock.deploy.resolve import HostView, from_host

PACKAGES = {
    "mindspore": "mindspore",
    "mindformers": "mindformers",
    "mindpet": "mindpet",
    "mindinsight": "mindinsight",
    "torch": "torch",
    "torch_npu": "torch-npu",
    "vllm": "vllm",
    "vllm_ascend": "vllm-ascend",
    "numpy": "numpy",
    "protobuf": "protobuf",
}
"""The catalogue's components that are Python distributions, by the names of those."""


@dataclass(frozen=True, slots=True)
class Config:
    """A MindFormers configuration. ``values`` are its settings as text, ``lines`` where they are.

    A setting of ``model.model_config`` counts before one of the same name elsewhere. ``missing``
    are checkpoints that it names and that are not on the machine.
    """

    path: str
    values: Mapping[str, str]
    lines: Mapping[str, int] = field(default_factory=dict)
    missing: tuple[str, ...] = ()

    def where(self, key: str) -> str:
        """The place of a setting, for evidence."""
        return f"{self.path}:{self.lines[key]}" if key in self.lines else self.path

    def said(self, *keys: str) -> str:
        """Settings as the file writes them."""
        return ", ".join(f"{key}: {self.values[key]}" for key in keys if key in self.values)

    def on(self, key: str) -> bool | None:
        """Whether a switch is on; None where it is not set."""
        value = self.values.get(key, "").lower()
        return {"true": True, "yes": True, "false": False, "no": False}.get(value)

    def number(self, key: str) -> int | None:
        """A positive whole number, None where there is none."""
        text = self.values.get(key, "").replace("_", "")
        return int(text) if text.isdecimal() and int(text) > 0 else None


@dataclass(frozen=True, slots=True)
class Wish:
    """What is going to be run: a model, a framework, ports to listen on."""

    model: str | None = None
    framework: str | None = None
    ports: tuple[int, ...] = ()


@dataclass(frozen=True)
class Subject:
    """Everything that a check may look at. A machine that was not looked at is an empty ``Host``.

    No check may take a fact that is missing for a fault: None and an empty list mean that nobody
    knows, unless ``asked`` says that it was looked for.
    """

    host: Host = field(default_factory=Host)
    configs: tuple[Config, ...] = ()
    wish: Wish = field(default_factory=Wish)

    @cached_property
    def all_configs(self) -> tuple[Config, ...]:
        """Those given and those lying on the machine."""
        given = {config.path for config in self.configs}
        found = (Config(c.path, c.values) for c in self.host.model_configs)
        return (*self.configs, *(c for c in found if c.path not in given))

    @cached_property
    def catalog(self) -> Catalog:
        """The compatibility catalogue, read when the first check wants it."""
        return catalog.load()

    @cached_property
    def view(self) -> HostView:
        """The facts that decide versions, as the resolver takes them."""
        host = self.host
        arch = None if host.system.arch else "aarch64"  # no check reads it from the view
        return from_host(comparable(host, self.catalog), self.catalog, arch=arch)

    @property
    def ascend(self) -> Ascend:
        """What is known of Ascend; empty where there is none."""
        return self.host.ascend or Ascend()

    @cached_property
    def has_ascend(self) -> bool:
        """Whether the machine has Ascend chips, whatever state they are in."""
        return self.view.accelerator == "ascend"

    @cached_property
    def no_accelerator(self) -> bool:
        """Whether the machine was looked at and has neither an Ascend chip nor a GPU."""
        return self.asked("pci") and not self.has_ascend and not self.host.pci

    @property
    def toolkit(self) -> Component | None:
        """The CANN toolkit in use."""
        return self.ascend.component("toolkit")

    @property
    def pythons(self) -> Iterator[Python]:
        """Interpreters that have a framework of ours; the active one first."""
        frameworks = (
            "mindspore",
            "mindformers",
            "torch-npu",
            "vllm-ascend",
            "torch",
            "mindinsight",
        )
        for python in self.host.pythons:
            if any(python.version_of(name) for name in frameworks):
                yield python

    def asked(self, where: str) -> bool:
        """Whether the machine was looked at and asked this."""
        looked = self.host.system.kernel is not None or bool(self.host.pci)
        reasons = [note.why for note in self.host.notes if note.where == where]
        return looked and NOT_ASKED not in reasons

    def version(self, component: str, python: Python | None = None) -> tuple[str, str] | None:
        """The installed version of a component of the catalogue and where it is, or None.

        One that cannot be compared counts as not known.
        """
        found = self._version(component, python)
        # 2.1.0+cpu is 2.1.0 to everybody who says what it goes with.
        plain = found[0].partition("+")[0] if found else None
        return found if readable(self.catalog, component, plain) else None

    def _version(self, component: str, python: Python | None) -> tuple[str, str] | None:
        if component == "python":
            return (python.version, python.path) if python and python.version else None
        if component in PACKAGES:
            found = python.version_of(PACKAGES[component]) if python else None
            return (found, python.path) if python and found else None
        if component == "chip":
            return (self.view.chip, "PCI bus and npu-smi") if self.view.chip else None
        kind = {"cann": "toolkit"}.get(component, component)
        part = self.ascend.component(kind)
        if part is not None and part.version:
            return part.version, part.path
        smi = self.ascend.npu_smi
        if component == "driver" and smi is not None and smi.driver_version:
            return smi.driver_version, "npu-smi info"
        return None
