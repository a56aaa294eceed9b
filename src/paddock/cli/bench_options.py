"""The options of ``paddock bench``, each spelled and explained once, and what they wish for."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddock.cli import options
from paddock.errors import UsageError

if TYPE_CHECKING:
    from paddock.bench.run import Options

WORK = "Work"
PEERS = "Other engines"


class PageCache(str, Enum):
    """Whether the model's files are in memory before the start."""

    warm = "warm"
    cold = "cold"


class Variants(str, Enum):
    """Which ways of running a peer take part."""

    best = "best"
    all = "all"


Model = Annotated[
    str | None,
    typer.Argument(
        metavar="[MODEL]",
        help="A stored model or a path to one.  [default: the built-in model]",
        autocompletion=options.complete_model,
        show_default=False,
    ),
]
PromptTokens = Annotated[
    int, typer.Option(metavar="N", min=1, help="Tokens of each prompt.", rich_help_panel=WORK)
]
Context = Annotated[
    int,
    typer.Option(
        metavar="N", min=1, help="Tokens in the cache when decoding begins.", rich_help_panel=WORK
    ),
]
NewTokens = Annotated[
    int, typer.Option(metavar="N", min=1, help="Tokens after each prompt.", rich_help_panel=WORK)
]
Batch = Annotated[
    int, typer.Option(metavar="N", min=1, help="Sequences at once.", rich_help_panel=WORK)
]
Repeats = Annotated[
    int,
    typer.Option(metavar="N", min=1, help="Rounds after the warm-up.", rich_help_panel=WORK),
]
Seed = Annotated[
    int,
    typer.Option(metavar="N", min=0, help="Another seed, other prompts.", rich_help_panel=WORK),
]
Busy = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=0,
        help="Also with N processes that compete for the cores, in turns.",
        rich_help_panel=WORK,
    ),
]
Out = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Save the result.", show_default=False)
]
Plot = Annotated[
    Path | None,
    typer.Option(metavar="FILE.svg", help="Draw the roofline.", show_default=False),
]
RoomFor = Annotated[
    int | None,
    typer.Option(
        "--max-seq-len",
        metavar="N",
        min=1,
        help="Positions to keep room for (MindFormers' seq_length).  [default: what is used]",
        rich_help_panel=options.MACHINE,
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON instead of tables.")]
Timeout = Annotated[
    float,
    typer.Option(metavar="SECONDS", help="For one answer.", rich_help_panel=options.MACHINE),
]


def wishes(
    model: str | None,
    quant: options.Quant | None,
    threads: int | None,
    repeats: int,
    seed: int,
    opening: dict[str, Any],
    **work: int,
) -> Options:
    """What the options ask for."""
    from paddock.bench.run import Options

    return Options(
        model,
        quant.value if quant else None,
        threads,
        repeats=repeats,
        seed=seed,
        opening=tuple(opening.items()),
        **work,
    )


def opening(*choices: Enum) -> dict[str, Any]:
    """Options of LLM.open, without those that were left to it."""
    names = ("runtime", "device", "dtype", "kv")
    return {n: c.value for n, c in zip(names, choices, strict=True) if c.value != "auto"}


def more_than_one(new_tokens: int) -> int:
    """The number, if there is something to decode. Raises UsageError."""
    if new_tokens < 2:
        raise UsageError("decoding begins after the first token", hint="use --new-tokens 2 or more")
    return new_tokens


def named(pairs: list[str] | tuple[str, ...]) -> dict[str, str]:
    """``NAME=PATH`` as a table. Raises UsageError for anything else."""
    found = {}
    for pair in pairs:
        name, sign, path = pair.partition("=")
        if not sign or not path:
            raise UsageError(f"--peer-model is {pair!r}", hint="write NAME=PATH")
        found[name] = path
    return found
