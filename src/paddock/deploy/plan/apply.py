"""Makes one host match its steps: check, write down, apply, check again, write down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paddock.deploy.plan import contexts, undo
from paddock.deploy.plan.ahead import Ahead
from paddock.deploy.plan.checking import MAKES_CONTAINER, obsolete
from paddock.deploy.plan.events import Event, Tell
from paddock.deploy.plan.journal import DONE, Journal
from paddock.deploy.plan.prepare import Prepared
from paddock.deploy.step import CONTAINER, Log, State, Step
from paddock.errors import Interrupted, PaddockError, StepFailed


@dataclass(frozen=True)
class Work:
    """What applying and undoing on a host need besides it.

    ``stop`` is set by whoever wants it to end soon; ``folder`` is where contexts are kept.
    """

    journal: Journal
    folder: Path
    tell: Tell
    stop: threading.Event

    def halt(self) -> None:
        """Raises Interrupted if somebody wants it to end."""
        if self.stop.is_set():
            raise Interrupted("stopped; what was begun is gone on with by: paddock up")

    def log(self, host: str, step: str, kept: list[str]) -> Log:
        """Takes a step's lines: keeps the last of them and tells them."""

        def take(line: str) -> None:
            self.halt()
            kept.append(line)
            del kept[:-200]
            self.tell(Event(host, "log", step, line))

        return take


def apply(
    prepared: Prepared,
    work: Work,
    again: Callable[[], Prepared],
    expected: frozenset[str] = frozenset(),
) -> tuple[Prepared, list[str]]:
    """Applies what is not right, and undoes what is no longer wished for; gives the changed steps.

    ``again`` prepares the host anew: once, when its container has come to be, because only then
    are the facts inside it known. ``expected`` are the ids of steps that a plan found wrong. Raises
    StepFailed at the first step that fails, and what the machine's Runner raises.
    """
    changed = _drop(prepared, work)
    rest: Sequence[Step] = prepared.steps
    handled: set[str] = set()
    ahead = Ahead(prepared, expected)
    while rest:
        step, *rest = rest
        if step.on == CONTAINER and not prepared.entered:
            prepared = again()
            ahead = Ahead(prepared, expected)
            rest = [each for each in prepared.steps if each.id not in handled]
            if not prepared.entered:
                where = prepared.place.target
                raise StepFailed(step.id, where, "there is no container to enter")
            changed += _drop(prepared, work)
            continue
        handled.add(step.id)
        work.halt()
        if _one(step, ahead, work):
            changed.append(step.id)
            if step.id == MAKES_CONTAINER:
                prepared = replace(prepared, entered=False)  # what was known inside is gone
    return prepared, changed


def _drop(prepared: Prepared, work: Work) -> list[str]:
    """Undoes what is no longer wished for; gives the ids of those steps."""
    entries = work.journal.entries(prepared.target.entry.name)
    return list(undo.undo(prepared.target, obsolete(prepared, entries), work))


def _one(step: Step, ahead: Ahead, work: Work) -> bool:
    """Sees to one step; whether anything was done."""
    prepared = ahead.prepared
    host, machine = prepared.target.entry, prepared.machine(step.on)
    known = next((e for e in work.journal.entries(host.name) if e.step == step.id), None)
    work.tell(Event(host.name, "checking", step.id, step.title))
    state = step.check(ahead.machine(step))
    if state.right:
        if known is not None and known.event != DONE:
            work.journal.done(host.name, step.id)  # it was whole when the crash came
        work.tell(Event(host.name, "right", step.id, step.title))
        return False
    context = contexts.save(work.folder / "contexts", prepared.context)
    work.journal.begin(host.name, host.address, step.id, step.on, state.before, context)
    work.tell(Event(host.name, "begin", step.id, step.title))
    lines: list[str] = []
    try:
        ahead.changed(step)
        step.apply(machine, work.log(host.name, step.id, lines))
        _confirm(step, step.check(ahead.machine(step)), machine.target, lines)
    except StepFailed as error:
        error.log = error.log or "\n".join(lines[-50:])
        work.journal.failed(host.name, step.id, error.message)
        raise
    except Interrupted:
        raise
    except PaddockError as error:
        work.journal.failed(host.name, step.id, error.message)
        raise
    work.journal.done(host.name, step.id)
    work.tell(Event(host.name, "done", step.id, step.title))
    return True


def _confirm(step: Step, state: State, target: str, lines: list[str]) -> None:
    """Holds the step to what it says. Raises StepFailed."""
    if state.right:
        return
    wrong = ", ".join(
        change.what + (f" is {change.before!r}" if change.before else " is not there")
        for change in state.changes
        if change.before is None or "\n" not in change.before
    )
    raise StepFailed(
        step.id,
        target,
        f"it was done, and is still not right: {wrong or state.changes[0].what}",
        log="\n".join(lines[-50:]),
    )
