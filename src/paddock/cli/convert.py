"""``paddock convert``: the same weights in another format."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from paddock.cli import options, render
from paddock.errors import UsageError

EXAMPLES = """
paddock convert llama-2-7b/ llama2-7b-hf --to hf
paddock convert llama2_7b.ckpt llama2-7b.gguf --to gguf --dtype fp16
paddock convert demo demo-ms --to mindspore
paddock convert llama2-7b-int4 llama2-7b.Q4_0.gguf --to gguf
"""


class Format(str, Enum):
    """The formats that can be written."""

    hf = "hf"
    meta = "meta"
    mindspore = "mindspore"
    gguf = "gguf"


class StoredDtype(str, Enum):
    """The types that weights can be written in."""

    bf16 = "bf16"
    fp16 = "fp16"
    fp32 = "fp32"
    q8_0 = "q8_0"
    q4_0 = "q4_0"


def convert(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC",
            help="A file, a folder or a stored model.",
            show_default=False,
            autocompletion=options.complete_model,
        ),
    ],
    target: Annotated[
        Path, typer.Argument(metavar="DST", help="What to write.", show_default=False)
    ],
    to: Annotated[
        Format,
        typer.Option(
            "--to", metavar="hf|meta|mindspore|gguf", help="Its format.", show_default=False
        ),
    ],
    dtype: Annotated[
        StoredDtype | None,
        typer.Option(
            "--dtype",
            metavar="bf16|fp16|fp32|q8_0|q4_0",
            help="Type of its weights; q8_0 and q4_0 for gguf only.  [default: as they are]",
            show_default=False,
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace DST if it is there.")
    ] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Writes a model in another format, tokenizer included.

    Prints what it wrote.
    """
    from paddock import settings
    from paddock.inference.checkpoint import convert as conversion
    from paddock.inference.checkpoint import store

    if target.exists() and not overwrite:
        raise UsageError(f"{target} exists", hint="name another target, or say --overwrite")
    path = store.locate(source, settings.load())
    with render.count_bar(f"writing {target.name}") as progress:
        written = conversion.convert(
            path,
            target,
            to=to.value,
            dtype=dtype.value if dtype else None,
            overwrite=overwrite,
            progress=progress,
        )
    if json:
        render.emit({"path": str(written), "format": to.value})
    else:
        render.text(f"{written}\n")
