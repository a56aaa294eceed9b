"""``paddock logs``: what the server, or a step of the deployment, wrote."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from paddock.cli import deployment, options, render
from paddock.errors import UsageError

EXAMPLES = """
paddock logs
paddock logs --follow
paddock logs --step serve.process
"""


def logs(
    file: deployment.File = None,
    on: deployment.OneHost = None,
    step: Annotated[
        str | None,
        typer.Option(metavar="ID", help="Of this step, instead of the server.", show_default=False),
    ] = None,
    lines: Annotated[
        int, typer.Option("--lines", "-n", metavar="N", min=0, help="The last N lines.")
    ] = 100,
    follow: Annotated[bool, typer.Option("--follow", help="Go on until Ctrl-C.")] = False,
    debug: options.Debug = False,
) -> None:
    """Shows the end of the server's log, or of a step's."""
    found = deployment.opened(file)
    machine = found.place(deployment.one_host(found, on))
    path = f"{machine.folder}/serve/log"
    if step is not None:
        path = f"{machine.folder}/jobs/{step}.apply/log"
    seen = machine.sh('[ -e "$1" ] || exit 3; wc -c <"$1"; tail -n "$2" "$1"', path, str(lines))
    if seen.exit_code == 3:
        raise UsageError(
            f"there is no log of {step or 'the server'} on {machine.target}",
            hint="see: paddock status",
        )
    size, _, text = seen.stdout.partition("\n")
    render.text(text)
    place = int(size or 0)
    while follow:
        new = machine.sh('tail -c "+$(($2 + 1))" "$1"', path, str(place))
        place += len(new.raw)
        render.text(new.stdout)
        time.sleep(0.5)
