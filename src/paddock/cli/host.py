"""``paddock host``: what is on a machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paddock.cli import options, render

EXAMPLES = """
paddock host
paddock host --host ssh://root@npu1
paddock host --host npu1 --container mindformers
paddock host --json > npu1.json
paddock host --facts npu1.json
"""


def host(
    address: options.HostAddress = None,
    container: options.ContainerName = None,
    engine: options.Engine = None,
    facts: options.Facts = None,
    look: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FOLDER",
            help="Look there for models too; repeatable.",
            show_default=False,
        ),
    ] = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Ask each accelerator more; takes longer.")
    ] = False,
    timeout: Annotated[
        float, typer.Option(metavar="S", min=1, help="Wait for the answer at most S seconds.")
    ] = 90.0,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Shows the hardware, drivers and software of a machine.

    Reads only: nothing is installed or changed there, and no Python is needed. What could not be
    read is said, with the reason.
    """
    from paddock.deploy.host import target

    with render.waiting(f"looking at {container or address or facts or 'this machine'}"):
        found = target.facts(
            host=address,
            container=container,
            engine=engine,
            file=facts,
            look=tuple(map(_absolute, look or ()))
            if not (address or container)
            else tuple(look or ()),
            thorough=thorough,
            timeout=timeout,
        )
    if json:
        render.emit(found.to_dict())
        return
    from paddock.cli import host_view

    host_view.show(found)


def _absolute(folder: str) -> str:
    return str(Path(folder).absolute())
