"""``paddock up``: from a machine to a model that answers; the front door."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from paddock.cli import deployment, options, render

if TYPE_CHECKING:
    from paddock.deploy.plan import Applied, Deployment, Plan, Result

EXAMPLES = """
paddock up                          this machine, the built-in model, http://127.0.0.1:8000
paddock up --yes --file lab.yaml --limit npu1
paddock up --json --yes             events as lines of JSON
"""


def up(
    file: deployment.File = None,
    yes: deployment.Yes = False,
    limit: deployment.Limit = None,
    serial: deployment.Serial = False,
    ignore: deployment.Ignore = None,
    break_lock: deployment.BreakLock = False,
    no_verify: deployment.NoVerify = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Brings machines to a running, verified, served model; changes only what is not right.

    Shows the plan and asks first. What was broken off is gone on with; paddock down takes it back.
    Exit code 1 if a host failed; the others are done all the same.
    """
    tell = deployment.as_json if json else None
    found = deployment.opened(
        file, tell=tell, limit=limit, serial=serial, ignore=ignore, break_lock=break_lock
    )
    bring(found, yes=yes, verify=not no_verify, json=json)


def bring(found: Deployment, *, yes: bool, verify: bool, json: bool) -> None:
    """Shows the plan, asks, applies and asks the models; ends with the exit code."""
    with render.waiting(f"looking at {', '.join(entry.name for entry in found.hosts)}"):
        planned = found.plan()
    if planned.empty:
        _nothing(found, planned, as_json=json)
        return
    if json:
        render.emit({"plan": planned.to_dict()})
    else:
        from paddock.cli import plan_view

        plan_view.show(planned)
    able = len(planned.blocked) < len(planned.hosts)
    if able and not deployment.agreed("Do this?", yes=yes):
        render.line("nothing was changed")
        raise typer.Exit(1)
    results = _apply(found, planned, live=not json) if able else found.up(planned)
    checked = _verified(found, results, as_json=json) if verify else {}
    good = all(result.ok for result in results) and all(checked.values())
    if json:
        render.emit({"ok": good, "hosts": deployment.results(results)})
    else:
        from paddock.cli import up_view

        up_view.summary(found, results, checked)
    raise typer.Exit(0 if good else 1)


def _nothing(found: Deployment, planned: Plan, *, as_json: bool) -> None:
    from paddock.cli import up_view

    if as_json:
        render.emit({"plan": planned.to_dict()})
        render.emit({"ok": True, "hosts": []})
        return
    print("nothing to change")
    up_view.addresses(found, [entry.name for entry in found.hosts])


def _apply(found: Deployment, planned: Plan, *, live: bool) -> tuple[Result[Applied], ...]:
    if not live:
        return found.up(planned)
    from paddock.cli import up_view

    with up_view.live([host.host for host in planned.hosts]) as tell:
        found.tell = tell
        return found.up(planned)


def _verified(
    found: Deployment, results: tuple[Result[Applied], ...], *, as_json: bool
) -> dict[str, bool]:
    """Asks the model of every host that is done; whether it answered, by host."""
    from paddock.cli import verify

    done = [r.host for r in results if r.ok and r.value is not None]
    reports = {name: verify.ask(found, name, as_json=as_json) for name in done}
    return {name: report is not None and report.ok for name, report in reports.items()}
