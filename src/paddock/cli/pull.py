"""``paddock pull``: fetches a model into the store."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import typer

from paddock.cli import options, render

EXAMPLES = """
paddock pull llama2-7b-chat
paddock pull TinyLlama/TinyLlama-1.1B-Chat-v1.0
paddock pull llama2-7b --hub modelscope
paddock pull llama2-7b --endpoint https://mirror.example.com
"""


class Hub(str, Enum):
    """Where models are pulled from."""

    huggingface = "huggingface"
    modelscope = "modelscope"
    mirror = "mirror"


def pull(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A known name (llama2-7b|13b|70b[-chat]) or any hub's org/name.",
            show_default=False,
            autocompletion=options.complete_known,
        ),
    ],
    hub: Annotated[
        Hub | None,
        typer.Option(
            metavar="huggingface|modelscope|mirror",
            help="Where from.  [default: the settings']",
            show_default=False,
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Base address of the hub or mirror.", show_default=False),
    ] = None,
    revision: Annotated[str, typer.Option(metavar="NAME", help="Branch, tag or commit.")] = "main",
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Downloads a model and checks every file.

    Goes on where an earlier try ended. Prints the folder that the model is in.
    """
    from paddock import settings
    from paddock.inference.checkpoint import fetch

    wanted = settings.load(hub=hub.value if hub else None, endpoint=endpoint)
    with render.download_bars() as progress:
        path = fetch.pull(name, wanted, revision=revision, progress=progress)
    if json:
        render.emit({"name": name, "path": str(path)})
    else:
        render.text(f"{path}\n")
