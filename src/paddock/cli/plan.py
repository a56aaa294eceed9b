"""``paddock plan``: what ``paddock up`` would change, and why."""

from __future__ import annotations

import typer

from paddock.cli import deployment, options, render

EXAMPLES = """
paddock plan
paddock plan --file lab.yaml --limit npu1
paddock plan --json > plan.json
"""


def plan(
    file: deployment.File = None,
    limit: deployment.Limit = None,
    serial: deployment.Serial = False,
    ignore: deployment.Ignore = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Shows what a deployment would change, as a diff; changes nothing.

    Exit code 0 also where there is something to do; 1 where a host cannot be deployed to.
    """
    found = deployment.opened(file, limit=limit, serial=serial, ignore=ignore)
    with render.waiting(f"looking at {', '.join(entry.name for entry in found.hosts)}"):
        planned = found.plan()
    if json:
        render.emit(planned.to_dict())
    else:
        from paddock.cli import plan_view

        plan_view.show(planned)
    raise typer.Exit(1 if planned.blocked else 0)
