"""``paddock make-random``: random weights in a true shape, for benchmarks without weights."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from paddock.cli import options, render
from paddock.errors import UsageError

EXAMPLES = """
paddock make-random llama2-7b-int4 --like llama2-7b --quant int4
paddock make-random llama2-7b.gguf --like llama2-7b --quant int4 --format gguf
paddock make-random short --like llama2-70b --layers 4 --quant none
"""


class RandomQuant(str, Enum):
    """How the weights are stored."""

    int4 = "int4"
    int8 = "int8"
    none = "none"


class RandomFormat(str, Enum):
    """The formats that random models are written in."""

    paddock = "paddock"
    gguf = "gguf"
    hf = "hf"


def complete_shape(incomplete: str) -> list[str]:
    """Names of shapes that begin with ``incomplete``, for the shell."""
    from paddock.inference.checkpoint.random_model import LIKE

    return [name for name in LIKE if name.startswith(incomplete)]


def make_random(
    target: Annotated[
        Path, typer.Argument(metavar="OUT", help="What to write.", show_default=False)
    ],
    like: Annotated[
        str,
        typer.Option(
            "--like",
            metavar="NAME",
            help="tiny, tinyllama-1.1b, llama2-7b, llama2-13b, llama2-70b or llama3-8b.",
            autocompletion=complete_shape,
            show_default=False,
        ),
    ],
    quant: Annotated[
        RandomQuant,
        typer.Option("--quant", metavar="int4|int8|none", help="Bits of a weight; none is bf16."),
    ] = RandomQuant.int4,
    format: Annotated[
        RandomFormat | None,
        typer.Option(
            "--format",
            metavar="paddock|gguf|hf",
            help="The same weights in each.  [default: paddock, hf for --quant none]",
            show_default=False,
        ),
    ] = None,
    layers: Annotated[
        int | None,
        typer.Option(
            "--layers",
            metavar="N",
            min=1,
            help="Fewer or more layers.  [default: the shape's]",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, help="Another seed, other weights.")
    ] = 0,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace OUT if it is there.")
    ] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Writes a model of a known shape with random weights.

    It answers nonsense at the speed of the real one. Prints what it wrote.
    """
    from paddock.inference.checkpoint import random_model

    if target.exists() and not overwrite:
        raise UsageError(f"{target} exists", hint="name another target, or say --overwrite")
    with render.count_bar(f"writing {target.name}") as progress:
        written = random_model.make_random(
            target,
            like=like,
            quant=None if quant is RandomQuant.none else quant.value,
            format=format.value if format else None,
            layers=layers,
            seed=seed,
            overwrite=overwrite,
            progress=progress,
        )
    if json:
        render.emit({"path": str(written), "like": like, "quant": quant.value, "seed": seed})
    else:
        render.text(f"{written}\n")
