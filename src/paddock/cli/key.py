"""``paddock key``: keys for the server."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paddock.cli import options, render
from paddock.cli.help import Command, examples

EXAMPLES = """
paddock key new alice --file keys
paddock serve --api-key-file keys
"""

app = typer.Typer(rich_markup_mode=None)


@app.callback()
def key() -> None:
    """Makes API keys for the server."""


@app.command(cls=Command, epilog=examples("paddock key new alice --file keys"))
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key; it is in the log.")],
    file: Annotated[Path, typer.Option(metavar="FILE", help="Where its SHA-256 is added.")],
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Makes a key and shows it, this once; the file keeps its digest only."""
    from paddock.inference.serve import keys

    key = keys.add(file, name)
    if json:
        render.emit({"name": name, "key": key, "file": str(file)})
        return
    render.text(key + "\n")
    render.line(f"added {name} to {file}; the key is not stored and cannot be shown again")
