"""``paddock shell`` and ``paddock exec``: into the place where a deployment's software is."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from paddock.cli import deployment, options, render
from paddock.errors import UsageError

SHELL_EXAMPLES = """
paddock shell
paddock shell --on npu1
"""

EXEC_EXAMPLES = """
paddock exec -- npu-smi info
paddock exec --on npu1 -- python3 -V
"""


def shell(
    file: deployment.File = None,
    on: deployment.OneHost = None,
    debug: options.Debug = False,
) -> None:
    """Opens a shell where the software is: in the container, or on the machine."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UsageError("a shell needs a terminal", hint="for one command: paddock exec -- …")
    found = deployment.opened(file)
    machine = found.place(deployment.one_host(found, on))
    from paddock import shell as shells

    login = 'exec "$(command -v bash || command -v sh)" -l'
    shells.replace_by(machine.runner, ["sh", "-c", login])


def execute(
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND", help="A program and its words.")
    ],
    file: deployment.File = None,
    on: deployment.OneHost = None,
    timeout: Annotated[
        float, typer.Option(metavar="S", min=1, help="End it after S seconds.")
    ] = 600.0,
    debug: options.Debug = False,
) -> None:
    """Runs one program where the software is; its exit code is this command's."""
    found = deployment.opened(file)
    machine = found.place(deployment.one_host(found, on))
    output = machine.run(command, timeout=timeout)
    render.text(output.stdout)
    if output.stderr:
        sys.stderr.write(output.stderr)
    raise typer.Exit(output.exit_code)
