"""``paddock status``: what a deployment did, and whether it still stands."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import typer

from paddock.cli import deployment, options, render

if TYPE_CHECKING:
    from paddock.deploy.plan import Deployment, HostPlan

EXAMPLES = """
paddock status
paddock status --json
"""


def status(
    file: deployment.File = None,
    limit: deployment.Limit = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Shows the steps of a deployment on each host: done, broken off, changed since.

    Exit code 1 if something is not as paddock up left it.
    """
    found = deployment.opened(file, limit=limit)
    with render.waiting(f"looking at {', '.join(entry.name for entry in found.hosts)}"):
        planned = found.plan()
    hosts = [_host(found, host) for host in planned.hosts]
    if json:
        render.emit({"deployment": found.file.name, "hosts": hosts})
    else:
        _show(hosts)
    raise typer.Exit(1 if any(host["state"] != "up" for host in hosts) else 0)


def _host(found: Deployment, host: HostPlan) -> dict[str, Any]:
    known = {entry.step: entry for entry in found.journal.entries(host.host)}
    steps = [
        {
            "step": step.id,
            "title": step.title,
            "state": _state(step.status, known.get(step.id)),
            "since": known[step.id].time if step.id in known else None,
        }
        for step in host.steps
    ]
    if host.problem:
        state = "not reached"
    elif not known:
        state = "down"
    else:
        good = all(step["state"] in ("done", "was there") for step in steps)
        state = "up" if good else "incomplete"
    return {"host": host.host, "address": host.address, "state": state} | {
        "problem": host.problem,
        "steps": steps,
    }


def _state(planned: str, entry: Any) -> str:
    if planned == "right":
        return "was there" if entry is None else "done"
    if entry is None:
        return "to do"
    return {"done": "changed since", "begin": "broken off", "failed": "failed"}[entry.event]


def _show(hosts: list[dict[str, Any]]) -> None:
    for host in hosts:
        problem = f": {host['problem']}" if host["problem"] else ""
        print(f"{host['host']}: {host['state']}{problem}".translate(render.CONTROLS))
        rows = [
            (f"  {step['step']}", step["state"], _since(step["since"]), step["title"])
            for step in host["steps"]
        ]
        if rows:
            render.table(("  STEP", "STATE", "SINCE", "WHAT"), rows)


def _since(moment: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment)) if moment else ""
