"""Looks at one host and works out all that a deployment there goes by: facts, versions, steps."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path

from paddock.deploy import bundle as bundles
from paddock.deploy import container, doctor
from paddock.deploy.host import Host, probe
from paddock.deploy.plan import decide
from paddock.deploy.plan.model import Obstacle
from paddock.deploy.plan.reach import Target
from paddock.deploy.provision import Context, bundling, steps
from paddock.deploy.stackfile import Stackfile, for_host
from paddock.deploy.step import HOST, Machine, Step
from paddock.errors import RunnerError
from paddock.shell import ContainerRunner

SERVER_NEEDS = ("fastapi", "uvicorn", "prometheus_client", "tokenizers", "numpy")
"""What an interpreter must have to run ``paddock serve`` with the built-in model."""

ALWAYS = frozenset({"network", "system"})
"""Layers of the doctor's rules that stop every deployment."""

ACCELERATED = frozenset({"hardware", "driver", "access"})
"""Layers that stop one that uses the accelerator. What stands higher (libraries, CANN, Python) is
what the steps themselves bring."""


@dataclass(frozen=True)
class Prepared:
    """A host with everything that its steps were made from.

    ``place`` is the machine on which the software goes; ``entered`` tells whether that is there
    already (a container may not be), so that ``context.inside`` are facts of it.
    """

    target: Target
    context: Context
    steps: tuple[Step, ...]
    place: Machine
    entered: bool
    obstacles: tuple[Obstacle, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    def machine(self, on: str) -> Machine:
        """The machine of a step's place."""
        return self.target.machine if on == HOST else self.place


def prepare(
    file: Stackfile,
    target: Target,
    host: Host,
    locked: Path,
    *,
    ignore: frozenset[str] = frozenset(),
    bundle: bundles.Source | None = None,
) -> Prepared:
    """Decides by the facts of the host. ``locked`` is where the versions are kept; ``ignore`` names
    rules of the doctor that are not to stop it; ``bundle`` is what all is to come from.

    Raises Unreachable and RunnerError, UsageError for a wish that this host cannot fulfil,
    BundleError for a bundle that is for another machine, and NoStack.
    """
    mine = for_host(file, target.entry)
    placed = None
    if bundle is not None:
        arch = host.system.arch
        placed = bundles.placed(bundle, target.machine, arch=arch, local=target.local)
        mine = bundling.installed_from(mine, placed)
    mine = decide.decide(mine, host, host)
    stack = decide.stack(mine, host, locked)
    place, inside = _inside(mine, target, host)
    if inside is not None and inside is not host:
        mine = replace(mine, python=for_host(file, target.entry).python)
        mine = decide.decide(mine, host, inside)
    context = Context(
        file=mine,
        host=host,
        inside=inside or Host(target=f"container:{mine.container_name}"),
        stack=stack,
        folder=target.machine.folder,
        artifacts=mine.stack.artifacts,
        python=own_python(target, mine),
        bundle=placed,
    )
    obstacles, warnings = preflight(mine, host, accelerated=stack is not None, ignore=ignore)
    if bundle is not None:
        warnings += (
            f"everything comes from the bundle {bundle.folder} of {bundle.manifest.created}",
        )
    return Prepared(
        target, context, steps_of(context), place, inside is not None, obstacles, warnings
    )


def machine_of(context: Context, host: Machine, on: str) -> Machine:
    """The machine of a step's place, of a deployment that was made from this context."""
    if on == HOST or context.file.container.engine == "none":
        return host
    wish = context.file
    runner = ContainerRunner(wish.container_name, wish.container.engine, host.runner)
    return Machine(runner, host.folder)


def steps_of(context: Context) -> tuple[Step, ...]:
    """Every step of a deployment on one host, in order; pure."""
    folders = (context.artifacts,) if context.artifacts is not None else ()
    made = container.steps(
        context.file,
        context.host,
        context.stack,
        folders=folders,
        archive=lambda image: bundling.archive(context, image),
    )
    return (*bundling.carried(context), *made, *steps(context))


def own_python(target: Target, file: Stackfile) -> str | None:
    """This very interpreter, where the software goes onto this machine and it can serve."""
    if not target.local or file.container.engine != "none" or file.stack.framework != decide.OWN:
        return None
    return sys.executable if all(find_spec(name) for name in SERVER_NEEDS) else None


def _inside(file: Stackfile, target: Target, host: Host) -> tuple[Machine, Host | None]:
    """The machine that the software goes onto, and its facts where it is there."""
    if file.container.engine == "none":
        return target.machine, host
    runner = ContainerRunner(file.container_name, file.container.engine, target.machine.runner)
    place = Machine(runner, target.machine.folder)
    try:
        return place, probe.read(runner)
    except RunnerError:
        return place, None


def preflight(
    file: Stackfile, host: Host, *, accelerated: bool, ignore: frozenset[str]
) -> tuple[tuple[Obstacle, ...], tuple[str, ...]]:
    """What of the doctor's findings stops a deployment, and what is only to be said.

    Ports are left to the steps: who listens there may be the server of this very deployment.
    """
    framework = None if file.stack.framework == decide.OWN else file.stack.framework
    report = doctor.diagnose(doctor.Subject(host, (), doctor.Wish(None, framework)))
    layers = ALWAYS | (ACCELERATED if accelerated else frozenset())
    layers |= {"container"} if file.container.engine != "none" else frozenset()
    obstacles: list[Obstacle] = []
    warnings: list[str] = []
    for finding in report.findings:
        if finding.rule.layer not in layers:
            continue
        if finding.blocking and finding.rule.id not in ignore:
            obstacles.append(
                Obstacle(
                    finding.rule.id,
                    finding.rule.title,
                    tuple(f"{e.fact} ({e.where})" for e in finding.evidence),
                    tuple(fix.run or fix.do for fix in finding.fixes),
                )
            )
        elif finding.rule.severity != "notes":
            warnings.append(f"{finding.rule.title} ({finding.rule.id})")
    return tuple(obstacles), tuple(warnings)
