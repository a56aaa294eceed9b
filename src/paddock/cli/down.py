"""``paddock down``: takes back what ``paddock up`` did, and nothing else."""

from __future__ import annotations

import typer

from paddock.cli import deployment, options, render

EXAMPLES = """
paddock down
paddock down --yes --file lab.yaml --limit npu1
"""


def down(
    file: deployment.File = None,
    yes: deployment.Yes = False,
    limit: deployment.Limit = None,
    serial: deployment.Serial = False,
    break_lock: deployment.BreakLock = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Undoes the steps of a deployment, latest first; what was there before comes back.

    Only what the journal says was done. Exit code 1 if something could not be undone.
    """
    tell = deployment.as_json if json else None
    found = deployment.opened(file, tell=tell, limit=limit, serial=serial, break_lock=break_lock)
    entries = [e for host in found.hosts for e in found.entries(host)]
    for name in found.forgotten():
        render.line(f"note: {name} is not in the stack file, and steps were done there: left alone")
    if not entries:
        if json:
            render.emit({"ok": True, "hosts": []})
        else:
            print("nothing to undo")
        return
    if not json:
        for entry in reversed(entries):
            print(f"- {entry.step}" + (f"  [{entry.host}]" if len(found.hosts) > 1 else ""))
    if not deployment.agreed("Undo this?", yes=yes):
        render.line("nothing was changed")
        raise typer.Exit(1)
    if json:
        results = found.down()
        render.emit({"ok": all(r.ok for r in results), "hosts": deployment.results(results)})
    else:
        from paddock.cli import up_view

        with up_view.live([host.name for host in found.hosts]) as live:
            found.tell = live
            results = found.down()
        up_view.summary(found, results, {})
        if all(result.ok for result in results):
            print("as it was before")
    raise typer.Exit(0 if all(result.ok for result in results) else 1)
