"""``paddock inspect``: what a checkpoint holds, from its headers alone."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from paddock.cli import options, render

EXAMPLES = """
paddock inspect demo
paddock inspect --tensors llama-2-7b.Q4_0.gguf
paddock inspect --hash --json llama2-7b
"""


def inspect(
    model: Annotated[
        str,
        typer.Argument(
            metavar="PATH|NAME",
            help="A file, a folder or a stored model.",
            show_default=False,
            autocompletion=options.complete_model,
        ),
    ],
    tensors: Annotated[bool, typer.Option("--tensors", help="List every tensor.")] = False,
    hashes: Annotated[bool, typer.Option("--hash", help="SHA-256 of every file.")] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Shows a model's configuration, tensors, types and sizes."""
    from paddock import settings
    from paddock.inference.checkpoint import inspect as inspection
    from paddock.inference.checkpoint import store

    path = store.locate(model, settings.load())
    with render.waiting("reading every byte" if hashes else "reading headers"):
        found = inspection.inspect(path, hashes=hashes).to_dict()
    if json:
        render.emit(found)
    else:
        _show(found, tensors)


def _show(found: dict[str, Any], tensors: bool) -> None:
    raise NotImplementedError
