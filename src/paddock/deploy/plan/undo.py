"""Takes back what the journal says was done on a host, latest first, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from paddock.deploy.plan import contexts
from paddock.deploy.plan.checking import MAKES_CONTAINER
from paddock.deploy.plan.events import Event
from paddock.deploy.plan.journal import Entry
from paddock.deploy.plan.prepare import machine_of, steps_of
from paddock.deploy.plan.reach import Target
from paddock.deploy.step import CONTAINER, Machine, Step
from paddock.errors import JournalError, PaddockError

if TYPE_CHECKING:
    from paddock.deploy.plan.apply import Work


def undo(target: Target, entries: Sequence[Entry], work: Work) -> Iterator[str]:
    """Undoes these entries of the host in reverse order and gives the ids of the steps.

    What lies in a container that goes too is not undone one by one. Raises StepFailed, JournalError
    where a step cannot be made again from its context, and what the machine's Runner raises; what
    was not undone stays in the journal.
    """
    host = target.entry.name
    goes = any(e.step == MAKES_CONTAINER and not e.before.get("existed") for e in entries)
    inside = [entry for entry in entries if entry.on == CONTAINER]
    for entry in reversed(entries):
        if goes and entry.on == CONTAINER:
            continue
        work.halt()
        step, machine = _made_from(entry, target, work)
        work.tell(Event(host, "begin", entry.step, f"undo: {step.title}"))
        lines: list[str] = []
        try:
            step.undo(machine, entry.before, work.log(host, entry.step, lines))
        except PaddockError as error:
            work.journal.failed(host, entry.step, f"undo: {error.message}")
            raise
        work.journal.undone(host, entry.step)
        work.tell(Event(host, "undone", entry.step, step.title))
        yield entry.step
        if goes and entry.step == MAKES_CONTAINER:
            for lost in inside:
                work.journal.undone(host, lost.step)
                work.tell(Event(host, "undone", lost.step, "went with the container"))
                yield lost.step


def _made_from(entry: Entry, target: Target, work: Work) -> tuple[Step, Machine]:
    """The step as it was when it was applied, and the machine that it was applied to."""
    context = contexts.load(work.folder / "contexts", entry.context)
    step = next((each for each in steps_of(context) if each.id == entry.step), None)
    if step is None:
        raise JournalError(
            f"this version of Paddock has no step {entry.step!r}, which was applied on"
            f" {target.entry.name}",
            hint="undo it with the version that did it; the journal says what was there before",
        )
    return step, machine_of(context, target.machine, entry.on)
