"""Compares a prepared host with its steps: the part of a plan that is that host's."""

from __future__ import annotations

from collections.abc import Callable

from paddock.deploy.container import ContainerStep
from paddock.deploy.plan.ahead import Ahead
from paddock.deploy.plan.journal import DONE, Entry
from paddock.deploy.plan.model import HostPlan, Status, StepPlan
from paddock.deploy.plan.prepare import Prepared
from paddock.deploy.step import CONTAINER, HOST, Step
from paddock.errors import NoProgram, StepFailed, Unreachable

MAKES_CONTAINER = ContainerStep.id
"""The id of the step that makes the container: what lies in it comes and goes with it."""


def check(
    prepared: Prepared, entries: tuple[Entry, ...], told: Callable[[Step], None] = lambda step: None
) -> HostPlan:
    """How the host stands to every step. Reads only; ``told`` hears of each step before."""
    known = {entry.step: entry for entry in entries}
    found: list[StepPlan] = []
    there = prepared.entered
    ahead = Ahead(prepared)
    for step in prepared.steps:
        told(step)
        planned = _step(step, ahead, known.get(step.id), there=there)
        found.append(planned)
        if step.id == MAKES_CONTAINER and planned.status != "right":
            there = False  # a new one will be made, with nothing in it
    dropped = [_dropped(entry) for entry in reversed(obsolete(prepared, entries))]
    stack = prepared.context.stack
    return HostPlan(
        host=prepared.target.entry.name,
        address=prepared.target.entry.address,
        steps=(*dropped, *found),
        obstacles=prepared.obstacles,
        warnings=prepared.warnings,
        stack=tuple((c.title, c.version) for c in stack.choices) if stack else (),
    )


def _step(step: Step, ahead: Ahead, entry: Entry | None, *, there: bool) -> StepPlan:
    resumes = entry is not None and entry.event != DONE
    said = (step.id, step.title, step.why, step.on)
    if step.on == CONTAINER and not there:
        return StepPlan(*said, "later", resumes=resumes)
    try:
        state = step.check(ahead.machine(step))
    except NoProgram as error:
        return StepPlan(*said, "unknown", resumes=resumes, note=str(error))
    except Unreachable as error:
        if step.on == HOST:
            raise
        return StepPlan(*said, "later", resumes=resumes, note=error.message)
    except StepFailed as error:
        return StepPlan(*said, "unknown", resumes=resumes, note=error.message)
    status: Status = "right" if state.right and not resumes else "change"
    return StepPlan(*said, status, changes=state.changes, resumes=resumes)


def obsolete(prepared: Prepared, entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """What was done and is no longer wished for. Of a container that cannot be entered nobody
    knows yet which steps it will have.
    """
    kept = {step.id for step in prepared.steps}
    return tuple(
        entry
        for entry in entries
        if entry.step not in kept and (entry.on == HOST or prepared.entered)
    )


def _dropped(entry: Entry) -> StepPlan:
    title = "no longer wished for: what was there before comes back"
    return StepPlan(entry.step, title, "paddock.yaml", entry.on, "remove")
