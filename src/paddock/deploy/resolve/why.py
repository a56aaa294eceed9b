"""Why a stack has this version of a component and no newer one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from paddock.deploy.catalog import Catalog
from paddock.deploy.resolve import conflict
from paddock.deploy.resolve.build import build
from paddock.deploy.resolve.problem import Demand, Problem
from paddock.deploy.resolve.solve import Found, Solver
from paddock.deploy.resolve.stack import Evidence, assemble, level_of
from paddock.deploy.resolve.view import HostView
from paddock.deploy.resolve.wish import Wish
from paddock.deploy.resolve.words import Teller
from paddock.errors import NoStack, UsageError, nearest


@dataclass(frozen=True, slots=True)
class Rejected:
    """A version that would have been preferred, and why it is not the one."""

    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class Why:
    """A component of a stack: its version (None: left open), its reasons, what was better."""

    component: str
    title: str
    version: str | None
    level: str
    evidence: tuple[Evidence, ...]
    rejected: tuple[Rejected, ...]

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain JSON values."""
        return asdict(self)


def why(catalog: Catalog, view: HostView, wish: Wish, component: str) -> Why:
    """The reasons for one component of ``resolve``'s stack; raises NoStack where there is none."""
    problem = build(catalog, view, wish)
    if component not in problem.variables:
        raise UsageError(
            f"the stack has no {component}{nearest(component, problem.variables)}",
            hint=f"it has {', '.join(problem.variables)}",
        )
    solver = Solver(problem)
    names = [demand.name for demand in problem.demands]
    found = solver.best(names)
    if found is None:
        raise NoStack("there is no stack to explain", hint="run the command without --explain")
    stack = assemble(catalog, view, wish, problem, found)
    version = found.values[component]
    levels = {choice.component: choice.level for choice in stack.choices}
    return Why(
        component,
        catalog.components[component].title,
        version,
        levels.get(component, ""),
        tuple(e for e in stack.evidence if component in (e.subject, e.object)),
        tuple(_rejected(catalog, solver, problem, found, component)),
    )


def _rejected(
    catalog: Catalog, solver: Solver, problem: Problem, found: Found, component: str
) -> list[Rejected]:
    """Every version before the chosen one, except being left out."""
    values = problem.variables[component]
    better = values[: values.index(found.values[component])]
    rejected = []
    for version in better:
        if version is None:
            continue
        text = f"--pin {component}={version}"
        pin = Demand("pin", f"instead {version}", text, {component: frozenset([version])})
        trial = solver.with_demand(pin)
        names = [demand.name for demand in trial.problem.demands]
        other = trial.best(names)
        if other is None:
            # Cautions are dropped first: a reason in the matrices says more than a warning.
            cautions = [d.name for d in trial.problem.demands if d.kind == "caution"]
            order = [*cautions, *(n for n in names if n not in (*cautions, pin.name)), pin.name]
            culprits = conflict.conflict(trial, order)
            assert culprits, "no stack means a conflict"
            reason = "; ".join(Teller(catalog, trial).cause(culprits))
        else:
            reason = _worse(catalog, problem, found, other)
        rejected.append(Rejected(version, reason))
    return rejected


def _worse(catalog: Catalog, problem: Problem, found: Found, other: Found) -> str:
    """Why an assignment that is possible was not taken."""
    if other.cost > found.cost:
        kind = level_of(other.cost)
        return f"possible, but {kind}: its stack rests on pairs that are not official"
    for name in problem.variables:
        mine, its = found.values[name], other.values[name]
        if mine != its:
            title = catalog.components[name].title
            return f"possible, but only with {title} {its or 'left open'} instead of {mine}"
    raise AssertionError("two assignments that differ, differ somewhere")
