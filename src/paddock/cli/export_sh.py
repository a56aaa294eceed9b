"""``paddock export sh``: a deployment as a shell script that works without Paddock."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paddock.cli import deployment, options, render
from paddock.errors import UsageError

EXAMPLES = """
paddock export sh > deploy.sh
paddock export sh --file lab.yaml --on npu1 --out npu1.sh
"""


def sh(
    file: deployment.File = None,
    on: deployment.OneHost = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="Where to; must not exist.", show_default=False
        ),
    ] = None,
    debug: options.Debug = False,
) -> None:
    """Writes what paddock up would do on a host as a commented script of plain commands.

    The script does what is not done yet, and may be run again. It holds no secret.
    """
    from paddock.deploy.provision.runbook import runbook

    found = deployment.opened(file)
    entry = deployment.one_host(found, on)
    with render.waiting(f"looking at {entry.name}"):
        prepared = found.prepare(entry)
    text = runbook(prepared.context, prepared.steps)
    if out is None:
        render.text(text)
        return
    if out.exists():
        raise UsageError(f"{out} exists", hint="delete it, or name another file")
    out.write_text(text, encoding="utf-8")
    out.chmod(0o755)
    render.line(f"wrote {out}")
