"""Compares a prepared host with its steps: the part of a plan that is that host's."""

from __future__ import annotations

from collections.abc import Callable

from paddock.deploy.plan.journal import DONE, Entry
from paddock.deploy.plan.model import HostPlan, Status, StepPlan
from paddock.deploy.plan.prepare import Prepared
from paddock.deploy.step import CONTAINER, HOST, Step
from paddock.errors import NoProgram, StepFailed, Unreachable

MAKES_CONTAINER = "container"
"""The id of the step that makes the container: what lies in it comes and goes with it."""


def check(
    prepared: Prepared, entries: tuple[Entry, ...], told: Callable[[Step], None] = lambda step: None
) -> HostPlan:
    """How the host stands to every step. Reads only; ``told`` hears of each step before."""
    known = {entry.step: entry for entry in entries}
    found: list[StepPlan] = []
    there = prepared.entered
    for step in prepared.steps:
        told(step)
        planned = _step(step, prepared, known.get(step.id), there=there)
        found.append(planned)
        if step.id == MAKES_CONTAINER and planned.status != "right":
            there = False  # a new one will be made, with nothing in it
    kept = {step.id for step in prepared.steps}
    for entry in reversed(entries):
        if entry.step not in kept:
            found.insert(0, _obsolete(entry))
    stack = prepared.context.stack
    return HostPlan(
        host=prepared.target.entry.name,
        address=prepared.target.entry.address,
        steps=tuple(found),
        obstacles=prepared.obstacles,
        warnings=prepared.warnings,
        stack=tuple((c.title, c.version) for c in stack.choices) if stack else (),
    )


def _step(step: Step, prepared: Prepared, entry: Entry | None, *, there: bool) -> StepPlan:
    resumes = entry is not None and entry.event != DONE
    said = (step.id, step.title, step.why, step.on)
    if step.on == CONTAINER and not there:
        return StepPlan(*said, "later", resumes=resumes)
    try:
        state = step.check(prepared.machine(step.on))
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


def _obsolete(entry: Entry) -> StepPlan:
    title = "no longer wished for: what was there before comes back"
    return StepPlan(entry.step, title, "paddock.yaml", entry.on, "remove")
