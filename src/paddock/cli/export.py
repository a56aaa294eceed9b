"""``paddock export``: a server written down for systemd or as a container image."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Annotated

import typer

from paddock.cli import options, render
from paddock.cli.help import Command, examples
from paddock.errors import UsageError

EXAMPLES = """
paddock export systemd -- llama2-7b-chat --quant int4 --port 9000 > paddock.service
paddock export containerfile --out Containerfile
"""

app = typer.Typer(rich_markup_mode=None)

Arguments = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[-- SERVE OPTIONS]",
        help="What paddock serve is to be given.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FILE", help="Where to; must not exist.", show_default=False
    ),
]


@app.callback()
def export() -> None:
    """Writes a server down for systemd or as a container image."""


@app.command(cls=Command, epilog=examples("paddock export systemd -- --port 9000"))
def systemd(
    arguments: Arguments = None,
    user: Annotated[str, typer.Option(metavar="NAME", help="Who it runs as.")] = "paddock",
    out: Out = None,
    debug: options.Debug = False,
) -> None:
    """Writes a systemd unit of paddock serve."""
    from paddock.inference.serve.export import systemd as write

    here = shutil.which("paddock") or str(Path(sys.executable).with_name("paddock"))
    _give(write(arguments or [], executable=here, user=user), out)


@app.command(cls=Command, epilog=examples("paddock export containerfile -- --insecure"))
def containerfile(
    arguments: Arguments = None,
    out: Out = None,
    debug: options.Debug = False,
) -> None:
    """Writes a recipe for docker build or podman build."""
    from paddock.inference.serve.export import containerfile as write

    _give(write(arguments or []), out)


def _give(text: str, out: Path | None) -> None:
    if out is None:
        render.text(text)
        return
    if out.exists():
        raise UsageError(f"{out} exists", hint="delete it, or name another file")
    out.write_text(text, encoding="utf-8")
    render.line(f"wrote {out}")
