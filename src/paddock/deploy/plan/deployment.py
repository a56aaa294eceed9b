"""One deployment as a whole: what ``paddock plan``, ``up``, ``down`` and ``status`` call."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from paddock.deploy import catalog, doctor
from paddock.deploy.bundle import Source
from paddock.deploy.host import probe
from paddock.deploy.plan import apply as applying
from paddock.deploy.plan import checking, contexts, decide, fleet, lock, remembered
from paddock.deploy.plan import undo as undoing
from paddock.deploy.plan.apply import Work
from paddock.deploy.plan.events import Event, Tell, nobody
from paddock.deploy.plan.fleet import Result
from paddock.deploy.plan.journal import Entry, Journal
from paddock.deploy.plan.model import HostPlan, Plan
from paddock.deploy.plan.prepare import Prepared, machine_of, prepare
from paddock.deploy.plan.reach import Reach, Target, runner, target
from paddock.deploy.stackfile import HostEntry, Stackfile
from paddock.deploy.step import Machine
from paddock.errors import Blocked, CatalogError, PaddockError, UsageError


@dataclass(frozen=True)
class Options:
    """How to go about it. ``limit`` are names of hosts or groups, ``ignore`` rules of the doctor
    that are not to stop it, ``break_lock`` takes a host's lock from whoever has it.
    """

    limit: tuple[str, ...] = ()
    serial: bool = False
    ignore: frozenset[str] = frozenset()
    break_lock: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """What was done on a host: the ids of changed steps, and what it was prepared from."""

    changed: tuple[str, ...]
    prepared: Prepared


@dataclass
class Deployment:
    """A stack file and the place where what was done is remembered.

    ``state`` holds one folder for each deployment: ``journal.jsonl``, ``lock``, ``contexts/``,
    ``locks/``, ``bundle.json``. ``reach`` gives the Runner of a host. ``prepared`` are the hosts of
    the last plan. ``bundle`` is what all is to come from: by default the one that it was installed
    from before, until all of it is taken back.
    """

    file: Stackfile
    state: Path
    tell: Tell = nobody
    reach: Reach = runner
    options: Options = field(default_factory=Options)
    bundle: Source | None = None
    stop: threading.Event = field(default_factory=threading.Event)
    prepared: dict[str, Prepared] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Goes on with the bundle of before."""
        if self.bundle is None:
            self.bundle = remembered.read(self.folder)

    @property
    def folder(self) -> Path:
        """What is remembered of this deployment."""
        return self.state / self.file.name

    @property
    def journal(self) -> Journal:
        """What was done."""
        return Journal(self.folder / "journal.jsonl")

    @property
    def hosts(self) -> tuple[HostEntry, ...]:
        """The hosts that the options choose. Raises UsageError."""
        return fleet.chosen(self.file, self.options.limit)

    def plan(self) -> Plan:
        """What would change, on all chosen hosts; reads only. A host that fails has a problem."""
        threading.Thread(target=_read_ahead, daemon=True).start()
        hosts = []
        for result in self._each(self._plan):
            if result.value is not None:
                hosts.append(result.value)
                continue
            assert result.failure is not None
            message, hint = result.failure.message, result.failure.hint
            hosts.append(HostPlan(result.host, result.address, problem=message, hint=hint))
        return Plan(self.file.name, tuple(hosts))

    def up(self, plan: Plan) -> tuple[Result[Applied], ...]:
        """Applies a plan just made: every host that can be, each until its first failure.

        Raises Locked where another command works on this deployment.
        """
        planned = {host.host: host for host in plan.hosts}
        with self.here():
            self._remember()
            return self._each(lambda entry: self._up(entry, planned[entry.name]))

    def down(self) -> tuple[Result[tuple[str, ...]], ...]:
        """Undoes what was done, on all chosen hosts. Raises Locked."""
        with self.here():
            results = self._each(self._down)
            if not self.journal.entries():
                remembered.forget(self.folder)
        return results

    def remember_bundle(self) -> None:
        """Goes by this bundle from now on, although nothing had to be done. Raises Locked."""
        with self.here():
            self._remember()

    def forget_bundle(self) -> Source | None:
        """Goes by the network again, from the next plan on; gives the bundle of before.

        Raises Locked.
        """
        with self.here():
            remembered.forget(self.folder)
        found, self.bundle = self.bundle, None
        return found

    def here(self) -> AbstractContextManager[None]:
        """The lock of this deployment on this machine."""
        return lock.here(self.folder)

    def target(self, entry: HostEntry) -> Target:
        """The machine of a host. Raises Unreachable and RunnerError."""
        return target(entry, self.file.name, self.state, self.reach(entry))

    def entries(self, entry: HostEntry) -> tuple[Entry, ...]:
        """What the journal says of a host. Raises UsageError where that was another machine."""
        found = self.journal.entries(entry.name)
        for each in found:
            if each.address != entry.address:
                raise UsageError(
                    f"{entry.name} is {entry.address} in the stack file, and {each.address} in the"
                    " journal, where steps were done",
                    hint="give the new machine another name, or with the old address first:"
                    " paddock down",
                )
        return found

    def forgotten(self) -> tuple[str, ...]:
        """Hosts that something was done on and that the stack file no longer names."""
        names = {entry.name for entry in self.file.hosts}
        return tuple(sorted({e.host for e in self.journal.entries()} - names))

    def place(self, entry: HostEntry) -> Machine:
        """Where the software of a host is, as the journal knows it, for a shell or a log.

        Raises Unreachable and RunnerError.
        """
        found = self.target(entry)
        entries = self.entries(entry)
        if not entries:
            return self.prepare(entry, found).place
        context = contexts.load(self.folder / "contexts", entries[-1].context)
        return machine_of(context, found.machine, context.place)

    def prepare(self, entry: HostEntry, known: Target | None = None) -> Prepared:
        """Looks at a host; see ``prepare.prepare``."""
        self.tell(Event(entry.name, "looking"))
        reached = known.machine.runner if known else self.reach(entry)
        host = probe.read(reached)
        found = known or target(entry, self.file.name, self.state, reached, host)
        prepared = prepare(
            self.file,
            found,
            host,
            self._locked(entry),
            ignore=self.options.ignore,
            bundle=self.bundle,
        )
        self.prepared[entry.name] = prepared
        return prepared

    def _each(self, work: Callable[[HostEntry], fleet.T]) -> tuple[Result[fleet.T], ...]:
        return fleet.each(
            self.hosts, work, tell=self.tell, stop=self.stop, serial=self.options.serial
        )

    def _locked(self, entry: HostEntry) -> Path:
        return self.folder / "locks" / f"{entry.name}.lock"

    def _remember(self) -> None:
        if self.bundle is not None:
            remembered.write(self.folder, self.bundle)

    def _work(self) -> Work:
        return Work(self.journal, self.folder, self.tell, self.stop)

    def _plan(self, entry: HostEntry) -> HostPlan:
        prepared = self.prepare(entry)
        return checking.check(
            prepared,
            self.entries(entry),
            lambda step: self.tell(Event(entry.name, "checking", step.id, step.title)),
        )

    def _up(self, entry: HostEntry, planned: HostPlan) -> Applied:
        if planned.blocked:
            raise _blocked(planned)
        prepared = self.prepared[entry.name]
        if not planned.todo:
            return Applied((), prepared)
        machine = prepared.target.machine
        with lock.there(machine, self.file.name, force=self.options.break_lock):
            context = prepared.context
            if context.stack is not None:
                decide.save(self._locked(entry), context.file, context.host, context.stack)
            again = lambda: self.prepare(entry, prepared.target)  # noqa: E731 - one expression
            expected = frozenset(step.id for step in planned.todo)
            prepared, changed = applying.apply(prepared, self._work(), again, expected)
        return Applied(tuple(changed), prepared)

    def _down(self, entry: HostEntry) -> tuple[str, ...]:
        entries = self.entries(entry)
        if not entries:
            return ()
        self.tell(Event(entry.name, "looking"))
        found = self.target(entry)
        with lock.there(found.machine, self.file.name, force=self.options.break_lock):
            undone = tuple(undoing.undo(found, entries, self._work()))
            _clean(found)
        if not self.journal.entries():
            contexts.forget(self.folder / "contexts")
        return undone


def _read_ahead() -> None:
    """What the hosts' answers are held against, read while they answer."""
    with contextlib.suppress(CatalogError):  # told to whoever needs it
        catalog.load()
        doctor.load()


def _blocked(planned: HostPlan) -> PaddockError:
    if planned.problem is not None:
        return Blocked(planned.problem, hint=planned.hint)
    first = planned.obstacles[0]
    more = f" (and {len(planned.obstacles) - 1} more)" if len(planned.obstacles) > 1 else ""
    evidence = f": {first.evidence[0]}" if first.evidence else ""
    return Blocked(
        f"{first.title}{evidence}{more}",
        hint=f"{first.fixes[0] if first.fixes else 'see: paddock doctor'}; to go on all the same:"
        f" --ignore {first.rule}",
    )


# Only what Paddock put there, and only folders that nobody else put anything into.
_CLEAN = r"""
folder=$1
rm -rf "$folder/jobs" "$folder/wheels"
rmdir "$folder/python" "$folder/serve" "$folder" 2>/dev/null
rmdir "$(dirname "$folder")" "$(dirname "$(dirname "$folder")")" 2>/dev/null
exit 0
"""


def _clean(found: Target) -> None:
    """Removes Paddock's folder of the deployment there, once nothing is left to undo."""
    found.machine.sh(_CLEAN, found.machine.folder)


def names(state: Path) -> Sequence[str]:
    """The deployments that something is remembered of."""
    return sorted(path.parent.name for path in state.glob("*/journal.jsonl"))
