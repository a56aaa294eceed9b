"""``paddock quantize``: the same model with weights in 4 or 8 bits."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from paddock.cli import options, render
from paddock.errors import UsageError

EXAMPLES = """
paddock quantize llama2-7b llama2-7b-int4 --bits 4
paddock quantize llama-2-7b.Q4_0.gguf llama2-7b-q4 --bits 4
paddock quantize demo demo-int8 --bits 8 --json
"""


class Bits(str, Enum):
    """Bits of a weight."""

    four = "4"
    eight = "8"


class HeadBits(str, Enum):
    """Bits of the head's weights; 16 leaves them as they are."""

    four = "4"
    eight = "8"
    sixteen = "16"


def quantize(
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
        Path, typer.Argument(metavar="DST", help="The folder to write.", show_default=False)
    ],
    bits: Annotated[
        Bits,
        typer.Option("--bits", metavar="4|8", help="Bits of a weight.", show_default=False),
    ],
    head_bits: Annotated[
        HeadBits,
        typer.Option(
            "--head-bits", metavar="4|8|16", help="Bits of the output head; 16 leaves it unpacked."
        ),
    ] = HeadBits.eight,
    search: Annotated[
        bool,
        typer.Option("--search/--no-search", help="Look for the best scale of each group."),
    ] = True,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace DST if it is there.")
    ] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Writes a model with weights in 4 or 8 bits, tokenizer included.

    Each group of 32 weights shares a scale. A GGUF file of Q4_0 or Q8_0 keeps its numbers. Prints
    what it wrote.
    """
    from paddock import settings
    from paddock.inference.checkpoint import store
    from paddock.inference.checkpoint.inspect import inspect
    from paddock.inference.checkpoint.quantize_files import quantize_files

    if target.exists() and not overwrite:
        raise UsageError(f"{target} exists", hint="name another target, or say --overwrite")
    path = store.locate(source, settings.load())
    with render.count_bar(f"quantizing into {target.name}") as progress:
        written = quantize_files(
            path,
            target,
            bits=int(bits.value),
            head_bits=None if head_bits is HeadBits.sixteen else int(head_bits.value),
            search=search,
            overwrite=overwrite,
            progress=progress,
        )
    if json:
        found = inspect(written)
        render.emit(
            {"path": str(written), "quantization": found.quantization, "bytes": found.total_bytes}
        )
    else:
        render.text(f"{written}\n")
