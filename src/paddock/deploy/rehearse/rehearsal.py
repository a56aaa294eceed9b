"""``rehearse``: a whole deployment on simulated hosts, from an untouched machine and back to it."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from paddock.deploy.host import probe
from paddock.deploy.plan import Applied, Deployment, HostPlan, decide
from paddock.deploy.plan.events import Event, Tell, nobody
from paddock.deploy.plan.fleet import Failure, Result
from paddock.deploy.rehearse import image, model, needs, recorded, snapshot, standins, store
from paddock.deploy.rehearse.host import SimulatedHost
from paddock.deploy.rehearse.model import MachineModel
from paddock.deploy.rehearse.site import Site, sweep
from paddock.deploy.resolve import Stack
from paddock.deploy.stackfile import ExtrasWish, HostEntry, Stackfile, for_host
from paddock.deploy.verify import Check, verify
from paddock.errors import RehearsalError, UsageError
from paddock.shell import LocalRunner, Runner

IMAGE = "paddock-stand-in:1"
"""The name under which the base image stands in for the deployment's."""

ARTIFACTS = "/opt/paddock-stand-ins"
"""Where the stand-ins lie on a simulated host."""

PYTHONS = {"3.9": "bullseye", "3.11": "bookworm", "3.13": "trixie"}
"""Releases of Debian by the Python they have."""


@dataclass(frozen=True, slots=True)
class HostReport:
    """How a host went: its plan, what was changed, and what the second run and the way back left.

    ``checks`` are what ``paddock verify`` asks. ``again`` are steps that a second run would have
    done: none where all is well. ``left`` are differences to the untouched host after everything
    was undone.
    """

    host: str
    model: str
    plan: HostPlan | None = None
    changed: tuple[str, ...] = ()
    failure: Failure | None = None
    checks: tuple[Check, ...] = ()
    again: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether everything went as a deployment should."""
        failed = any(check.status == "failed" for check in self.checks)
        return self.failure is None and not failed and not self.again and not self.left


@dataclass(frozen=True, slots=True)
class Report:
    """A rehearsal. ``stand_ins`` are sentences: what was not the real thing."""

    hosts: tuple[HostReport, ...]
    stand_ins: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether it went well on all hosts."""
        return all(host.ok for host in self.hosts)


@dataclass
class Rehearsal:
    """A stack file to be tried, and the folder for everything that is made for it.

    ``models`` tells for each host what machine it is. ``tell`` hears what happens.
    """

    file: Stackfile
    models: dict[str, MachineModel]
    cache: Path
    tell: Tell = nobody
    stop: threading.Event = field(default_factory=threading.Event)

    def require(self) -> None:
        """Raises RehearsalError naming everything that this machine lacks for it."""
        ascend = any(each.kind == "ascend" for each in self.models.values())
        needs.require(LocalRunner(), ascend=ascend, engine=self._engine())

    def run(self) -> Report:
        """Makes the hosts, brings them up, again, and down; takes all away again, come what may.

        Raises RehearsalError where the hosts cannot be made, and what ``Deployment`` raises.
        """
        self.require()
        sweep(self.cache)
        with Site(self.cache / f"rehearsal-{os.getpid()}") as site:
            return self._on(site)

    def _engine(self) -> bool:
        return any(self._of(e).container.engine != "none" for e in self.file.hosts)

    def _of(self, entry: HostEntry) -> Stackfile:
        return for_host(self.file, entry)

    def _on(self, site: Site) -> Report:
        stand_ins = [
            "hosts: namespaces on this machine, with its processor, its kernel and its programs",
            "cards: device nodes without a device; npu-smi replays what such a machine prints",
        ]
        entries = []
        for entry in self.file.hosts:
            host = site.add(self.models[entry.name], entry.name, engine=self._engine())
            stack = self._stack(entry, site.runner(host))
            standins.make(host.folder / "tree" / ARTIFACTS.lstrip("/"), stack)
            if self._of(entry).container.engine != "none":
                host.load_images(self._images(stack, entry.name))
            stand_ins += _mounts(self._of(entry), host)
            override = _without_stood_in(entry.override)
            address = f"ssh://root@{host.address}"
            entries.append(replace(entry, address=address, override=override))
        stand_ins.append(
            "installers, wheels and packages: empty ones that behave as the real ones do and leave"
            f" the files that tell versions ({ARTIFACTS} there)"
        )
        tried = self._with_stand_ins(tuple(entries), stand_ins)
        reach = {entry.name: site.runner(site.hosts[entry.name]) for entry in entries}
        deployment = Deployment(
            tried,
            site.folder / "state",
            tell=self.tell,
            reach=lambda entry: reach[entry.name],
            stop=self.stop,
        )
        return Report(tuple(self._play(site, deployment)), tuple(stand_ins))

    def _images(self, stack: Stack | None, host: str) -> Path:
        """An engine's data with a base image that has the Python of the stack."""
        python = stack.version("python") if stack else None
        release = _release(python)
        # The first time it takes long enough to wonder.
        text = f"the base image of Debian {release}".rstrip() + ", made once and kept"
        self.tell(Event(host, "begin", "rehearse.image", text))
        tar = image.build(self.cache / "images", release)
        kept = store.template({IMAGE: tar}, self.cache)
        self.tell(Event(host, "done", "rehearse.image", text))
        return kept

    def _stack(self, entry: HostEntry, runner: Runner) -> Stack | None:
        mine, facts = self._of(entry), probe.read(runner)
        mine = decide.decide(mine, facts, facts)
        return decide.stack(mine, facts, Path("/nonexistent"))

    def _with_stand_ins(self, entries: tuple[HostEntry, ...], said: list[str]) -> Stackfile:
        file = self.file
        container, stack = file.container, replace(file.stack, artifacts=ARTIFACTS)
        if container.engine != "none":
            said.append(
                f"image: a small Debian, {IMAGE}, instead of {container.image or 'the best one'}"
            )
            container = replace(container, image=IMAGE)
        if file.serve.enabled or file.extras != ExtrasWish():
            said.append("the server and the extras are left out: stand-ins cannot answer")
        return replace(
            file,
            hosts=entries,
            container=container,
            stack=stack,
            model=None,
            serve=replace(file.serve, enabled=False),
            extras=ExtrasWish(),
        )

    def _play(self, site: Site, deployment: Deployment) -> list[HostReport]:
        before = {name: snapshot.take(host) for name, host in site.hosts.items()}
        plan = deployment.plan()
        results = {result.host: result for result in deployment.up(plan)}
        again = {host.host: host for host in deployment.plan().hosts}
        checks = {name: _checks(deployment, name) for name, result in results.items() if result.ok}
        undone = {result.host: result for result in deployment.down()}
        reports = []
        for planned in plan.hosts:
            name, result = planned.host, results[planned.host]
            left = before[name].differences(snapshot.take(site.hosts[name]))
            reports.append(
                HostReport(
                    host=name,
                    model=self.models[name].title,
                    plan=planned,
                    changed=result.value.changed if result.value else (),
                    failure=result.failure or undone[name].failure,
                    checks=checks.get(name, ()),
                    again=_todo(result, again[name]),
                    left=tuple(left),
                )
            )
        return reports


def _checks(deployment: Deployment, name: str) -> tuple[Check, ...]:
    """What ``paddock verify`` finds on a host that was just planned for."""
    prepared = deployment.prepared[name]
    return verify(prepared.context, prepared.target.machine, prepared.place).checks


STOOD_IN = {
    "container": ("image",),
    "stack": ("artifacts",),
    "serve": (),
    "extras": (),
    "model": (),
}
"""What a rehearsal decides itself: these keys of a table, or the whole where none is named."""


def _without_stood_in(override: Mapping[str, object]) -> dict[str, object]:
    """A host's overrides without what a rehearsal decides itself."""
    kept: dict[str, object] = {}
    for key, value in override.items():
        names = STOOD_IN.get(key)
        if names is None:
            kept[key] = value
        elif names and isinstance(value, Mapping):
            kept[key] = {name: each for name, each in value.items() if name not in names}
    return kept


def _mounts(mine: Stackfile, host: SimulatedHost) -> list[str]:
    """Makes what is to be mounted into the container, empty; says so."""
    said = []
    for mount in mine.container.mounts:
        source = mount.split(":")[0]
        made = host.enter(
            ["sh", "-c", '[ -e "$1" ] || { mkdir -p "$1" && echo made; }', "sh", source]
        )
        if made.stdout:
            said.append(f"{source} on {host.name}: an empty folder")
    return said


def _release(python: str | None) -> str:
    """The release of Debian whose own Python is that one; empty for this machine's. Raises
    RehearsalError where none is.
    """
    minor = ".".join((python or "").split(".")[:2])
    own = LocalRunner().run(["/usr/bin/python3", "-c", "import sys; print(sys.version_info[1])"])
    if not minor or minor == f"3.{own.stdout.strip()}":
        return ""
    if minor in PYTHONS and image.release_of("ID") == "debian":
        return PYTHONS[minor]
    raise RehearsalError(
        f"the stack wants Python {python}, and no base image that can be made here has it",
        hint=f"pin another for the rehearsal, as in python.version: {min(PYTHONS)}",
    )


def _todo(result: Result[Applied], planned: HostPlan) -> tuple[str, ...]:
    """What a second run would do after a first that went well."""
    if not result.ok:
        return ()
    if planned.problem:
        return (planned.problem,)
    return tuple(step.id for step in planned.todo)


def models(file: Stackfile, named: str | None) -> dict[str, MachineModel]:
    """The machine of each host: as named (a model, or the folder of a recording), else by its
    preset. Raises UsageError for none, and FactsError for a folder that is no recording.
    """
    found = {}
    for entry in file.hosts:
        name = named or for_host(file, entry).preset
        if name is None:
            raise UsageError(
                f"what machine {entry.name} is, nobody says",
                hint=f"name one with --as: {', '.join(model.names())}",
            )
        folder = Path(name)
        found[entry.name] = recorded.load(folder) if folder.is_dir() else model.load(name)
    return found
