"""``paddock init``: writes a stack file, from what is found here or from a preset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paddock.cli import options, render
from paddock.errors import UsageError

EXAMPLES = """
paddock init
paddock init --preset atlas-800-9000 --file npu1.yaml
paddock init --schema > paddock.schema.json
"""


def init(
    preset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Not what is found here, but a known machine: atlas-800-9000, atlas-800t-a2,"
            " atlas-300i-duo, nvidia, cpu.",
            show_default=False,
        ),
    ] = None,
    host: options.HostAddress = None,
    file: Annotated[
        Path, typer.Option("--file", "-f", metavar="FILE", help="Where to; must not exist.")
    ] = Path("paddock.yaml"),
    schema: Annotated[
        bool, typer.Option("--schema", help="Print the JSON schema for editors instead.")
    ] = False,
    debug: options.Debug = False,
) -> None:
    """Writes a commented paddock.yaml that fits the machine; edit it, then: paddock plan."""
    from paddock.deploy.stackfile import schema as schemas
    from paddock.deploy.stackfile import write

    if schema:
        render.text(schemas.dumps())
        return
    if file.exists():
        raise UsageError(f"{file} exists", hint="delete it, or name another: --file FILE")
    if preset is not None:
        text = write.from_preset(preset, address=host)
    else:
        from paddock.deploy.host import target

        with render.waiting(f"looking at {host or 'this machine'}"):
            text = write.from_facts(target.facts(host=host), address=host)
    with file.open("x", encoding="utf-8") as stream:
        stream.write(text)
    render.line(f"wrote {file}; see what it would do: paddock plan")
