"""A plan as text: a line for each step, a unified diff for each file, reasons beside them."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from paddock.cli import render
from paddock.cli.deployment import counted, stack_line

if TYPE_CHECKING:
    from paddock.deploy.plan import HostPlan, Plan, StepPlan
    from paddock.deploy.step import Change

MARKS = {"right": "=", "change": "~", "later": "+", "remove": "-", "unknown": "?"}
STYLES = {"+": "green", "~": "yellow", "-": "red", "?": "magenta", "!": "bold red", "@": "cyan"}


def show(plan: Plan) -> None:
    """The whole plan on stdout."""
    for number, host in enumerate(plan.hosts):
        if number:
            _write("")
        for text in lines(host, alone=len(plan.hosts) == 1):
            _write(text)
    _write("" if any(h.todo or h.blocked for h in plan.hosts) else None)
    _write(summary(plan))


def summary(plan: Plan) -> str:
    """How much there is to do, on one line."""
    if plan.empty:
        return "nothing to change"
    todo = sum(len(host.todo) for host in plan.hosts if not host.blocked)
    parts = [f"{counted(todo, 'step')} to do"] if todo or not plan.blocked else []
    if plan.blocked:
        names = ", ".join(host.host for host in plan.blocked)
        parts.append(f"{counted(len(plan.blocked), 'host')} cannot be deployed to: {names}")
    return "; ".join(parts)


def lines(host: HostPlan, *, alone: bool = False) -> Iterator[str]:
    """One host's part."""
    where = host.address if host.address != "local" else "this machine"
    if not alone or host.address != "local":
        yield f"{host.host} ({where})"
    if host.stack:
        yield f"  stack: {stack_line(host)}"
    for warning in host.warnings:
        yield f"  note: {warning}"
    if host.problem:
        yield f"! {host.problem}" + (f" ({host.hint})" if host.hint else "")
    for obstacle in host.obstacles:
        yield f"! {obstacle.title} ({obstacle.rule})"
        yield from (f"    found: {text}" for text in obstacle.evidence)
        yield from (f"    fix: {text}" for text in obstacle.fixes)
    for step in host.steps:
        yield from _step(step)


def _step(step: StepPlan) -> Iterator[str]:
    mark = MARKS[step.status]
    if step.status == "change" and step.changes and all(c.before is None for c in step.changes):
        mark = "+"
    notes = [f"why: {step.why}"] if step.status != "right" else []
    notes += ["in the container"] if step.on == "container" else []
    notes += ["begun before, to be gone on with"] if step.resumes else []
    notes += ["once the container is there"] if step.status == "later" else []
    notes += [step.note] if step.note else []
    yield f"{mark} {step.id}: {step.title}" + (f"  [{'; '.join(notes)}]" if notes else "")
    for change in step.changes:
        yield from (f"    {text}" for text in diff(change))


def diff(change: Change) -> Iterator[str]:
    """A change as ``what: before -> after``, or as a unified diff where a text has lines."""
    before, after = change.before, change.after
    if not any("\n" in text for text in (before or "", after or "")):
        if before is None:
            yield f"+ {change.what}: {after}" if after else f"+ {change.what}"
        elif after is None:
            yield f"- {change.what}: {before}"
        else:
            yield f"~ {change.what}: {before} -> {after}"
        return
    old, new = (before or "").splitlines(), (after or "").splitlines()
    names = ("/dev/null" if before is None else change.what, change.what)
    for text in difflib.unified_diff(old, new, *names, lineterm=""):
        if not text.startswith("@@"):
            yield text


def _write(text: str | None) -> None:
    if text is None:
        return
    clean = text.translate(render.CONTROLS)
    style = STYLES.get(clean.strip()[:1])
    if style and sys.stdout.isatty():
        from rich.console import Console
        from rich.text import Text

        Console(highlight=False, soft_wrap=True).print(Text(clean, style=style))
    else:
        print(clean)
