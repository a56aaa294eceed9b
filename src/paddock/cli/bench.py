"""``paddock bench``: speeds with their ceilings, and other engines on the same weights."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddock.cli import options, render
from paddock.cli.help import Command, examples
from paddock.errors import UsageError

if TYPE_CHECKING:
    from paddock.bench.report import Table
    from paddock.bench.result import Result
    from paddock.bench.run import Options

EXAMPLES = """
paddock bench decode
paddock bench peers llama2-7b-int4 --gguf llama2-7b.gguf --out peers.json --plot roofline.svg
paddock bench compare before.json after.json
"""

WORK = "Work"
PEERS = "Other engines"

app = typer.Typer(rich_markup_mode=None)


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
Json = Annotated[bool, typer.Option("--json", help="The result as JSON instead of tables.")]
Timeout = Annotated[
    float,
    typer.Option(metavar="SECONDS", help="For one answer.", rich_help_panel=options.MACHINE),
]


@app.callback()
def bench() -> None:
    """Measures speed, as a share of what the machine can do."""


@app.command(cls=Command, epilog=examples("paddock bench decode --quant int4 --context 2048"))
def decode(
    model: Model = None,
    context: Context = 128,
    new_tokens: NewTokens = 64,
    repeats: Repeats = 5,
    seed: Seed = 0,
    busy: Busy = 0,
    quant: options.QuantOption = None,
    runtime: options.RuntimeOption = options.RuntimeName.auto,
    device: options.DeviceOption = options.Device.auto,
    dtype: options.DtypeOption = options.Dtype.auto,
    kv: options.KvOption = options.Kv.auto,
    threads: options.Threads = None,
    out: Out = None,
    plot: Plot = None,
    json: Json = False,
    debug: options.Debug = False,
) -> None:
    """Tokens a second of one sequence."""
    _speed(
        "decode",
        _options(
            model, quant, threads, repeats, seed, _opening(runtime, device, dtype, kv),
            prompt_tokens=context, new_tokens=_more_than_one(new_tokens), busy=busy,
        ),
        out, plot, json,
    )  # fmt: skip


@app.command(cls=Command, epilog=examples("paddock bench prefill --quant int4 --prompt-tokens 512"))
def prefill(
    model: Model = None,
    prompt_tokens: PromptTokens = 512,
    repeats: Repeats = 5,
    seed: Seed = 0,
    busy: Busy = 0,
    quant: options.QuantOption = None,
    runtime: options.RuntimeOption = options.RuntimeName.auto,
    device: options.DeviceOption = options.Device.auto,
    dtype: options.DtypeOption = options.Dtype.auto,
    kv: options.KvOption = options.Kv.auto,
    threads: options.Threads = None,
    out: Out = None,
    plot: Plot = None,
    json: Json = False,
    debug: options.Debug = False,
) -> None:
    """Time to the first token of one prompt."""
    _speed(
        "prefill",
        _options(
            model, quant, threads, repeats, seed, _opening(runtime, device, dtype, kv),
            prompt_tokens=prompt_tokens, new_tokens=1, busy=busy,
        ),
        out, plot, json,
    )  # fmt: skip


@app.command(cls=Command, epilog=examples("paddock bench batch --quant int4 --batch 8"))
def batch(
    model: Model = None,
    batch: Batch = 8,
    context: Context = 128,
    new_tokens: NewTokens = 64,
    repeats: Repeats = 5,
    seed: Seed = 0,
    quant: options.QuantOption = None,
    runtime: options.RuntimeOption = options.RuntimeName.auto,
    device: options.DeviceOption = options.Device.auto,
    dtype: options.DtypeOption = options.Dtype.auto,
    kv: options.KvOption = options.Kv.auto,
    threads: options.Threads = None,
    out: Out = None,
    plot: Plot = None,
    json: Json = False,
    debug: options.Debug = False,
) -> None:
    """Tokens a second of many sequences, in turns with one."""
    _speed(
        "batch",
        _options(
            model, quant, threads, repeats, seed, _opening(runtime, device, dtype, kv),
            prompt_tokens=context, new_tokens=_more_than_one(new_tokens), batch=batch,
        ),
        out, plot, json,
    )  # fmt: skip


@app.command(cls=Command, epilog=examples("paddock bench load llama2-7b-int4 --cache cold"))
def load(
    model: Model = None,
    cache: Annotated[
        PageCache,
        typer.Option(
            metavar="warm|cold", help="The system's page cache before.", rich_help_panel=WORK
        ),
    ] = PageCache.warm,
    repeats: Repeats = 5,
    quant: options.QuantOption = None,
    threads: options.Threads = None,
    timeout: Timeout = 600.0,
    out: Out = None,
    json: Json = False,
    debug: options.Debug = False,
) -> None:
    """From starting a process to its first token, and its peak memory."""
    from paddock.bench import run

    wishes = _options(model, quant, threads, repeats, 0, {})
    with render.count_bar("starting") as progress:
        found = run.measure_load(wishes, cache.value, timeout, progress)
    _show(found, out, None, json)


@app.command(cls=Command, epilog=examples("paddock bench peers --only transformers"))
def peers(
    model: Model = None,
    prompt_tokens: PromptTokens = 128,
    new_tokens: NewTokens = 64,
    batch: Batch = 1,
    repeats: Repeats = 5,
    seed: Seed = 0,
    busy: Busy = 0,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Just this one; repeatable.", show_default=False,
            rich_help_panel=PEERS,
        ),
    ] = None,
    gguf: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="MODEL as GGUF.  [default: written for the time being]",
            show_default=False, rich_help_panel=PEERS,
        ),
    ] = None,
    peer_model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH", help="Weights in a peer's own form; repeatable.",
            show_default=False, rich_help_panel=PEERS,
        ),
    ] = None,
    python: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH", help="Look for engines in this interpreter too; repeatable.",
            show_default=False, rich_help_panel=PEERS,
        ),
    ] = None,
    variants: Annotated[
        Variants,
        typer.Option(
            metavar="best|all", help="A peer's quickest way of running, or all.",
            rich_help_panel=PEERS,
        ),
    ] = Variants.all,
    quant: options.QuantOption = None,
    runtime: options.RuntimeOption = options.RuntimeName.auto,
    device: options.DeviceOption = options.Device.auto,
    dtype: options.DtypeOption = options.Dtype.auto,
    kv: options.KvOption = options.Kv.auto,
    threads: options.Threads = None,
    timeout: Timeout = 600.0,
    out: Out = None,
    plot: Plot = None,
    json: Json = False,
    debug: options.Debug = False,
) -> None:  # fmt: skip
    """Paddock and each installed engine in turn, on the same weights."""
    from paddock.bench import run

    wishes = _options(
        model, quant, threads, repeats, seed, _opening(runtime, device, dtype, kv),
        prompt_tokens=prompt_tokens, new_tokens=new_tokens, batch=batch, busy=busy,
    )  # fmt: skip
    with render.count_bar("taking turns") as progress:
        found = run.peers(
            wishes,
            only=only or (),
            pythons=python or (),
            models=_named(peer_model or ()),
            gguf=gguf,
            best=variants is Variants.best,
            timeout=timeout,
            progress=progress,
        )
    _show(found, out, plot, json)


@app.command(cls=Command, epilog=examples("paddock bench roofline --threads 2"))
def roofline(
    repeats: Repeats = 5,
    threads: options.Threads = None,
    results: Annotated[
        list[Path] | None,
        typer.Option(
            "--result",
            metavar="FILE",
            help="Draw a saved result's runs too; repeatable.",
            show_default=False,
        ),
    ] = None,
    out: Out = None,
    plot: Plot = None,
    json: Json = False,
    debug: options.Debug = False,
) -> None:
    """What the machine can do at most: memory and arithmetic."""
    from paddock.bench import result, run

    with render.count_bar("measuring") as progress:
        found = run.roofline(_options(None, None, threads, repeats, 0, {}), progress=progress)
    _show(found, out, plot, json, [result.read(path) for path in results or ()])


@app.command(cls=Command, epilog=examples("paddock bench compare before.json after.json"))
def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="A saved result.", show_default=False)],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another.", show_default=False)],
    markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown.")] = False,
    debug: options.Debug = False,
) -> None:
    """Two saved results side by side."""
    from paddock.bench import report, result

    tables, doubts = report.compare(result.read(a), result.read(b))
    _tables(tables, markdown)
    for doubt in doubts:
        render.line(f"note: {doubt}")


@app.command(cls=Command, epilog=examples("paddock bench show peers.json --markdown"))
def show(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A saved result.", show_default=False)
    ],
    markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown.")] = False,
    plot: Plot = None,
    debug: options.Debug = False,
) -> None:
    """A saved result again, or its picture."""
    from paddock.bench import report, result

    found = result.read(file)
    _tables(report.tables(found), markdown)
    _draw([found], plot)


def _speed(kind: str, wishes: Options, out: Path | None, plot: Path | None, json: bool) -> None:
    from paddock.bench import run

    with render.count_bar("measuring") as progress:
        found = run.speed(kind, wishes, progress)
    _show(found, out, plot, json)


def _options(
    model: str | None,
    quant: options.Quant | None,
    threads: int | None,
    repeats: int,
    seed: int,
    opening: dict[str, Any],
    **work: int,
) -> Options:
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


def _opening(*choices: Enum) -> dict[str, Any]:
    """Options of LLM.open, without those that were left to it."""
    names = ("runtime", "device", "dtype", "kv")
    return {n: c.value for n, c in zip(names, choices, strict=True) if c.value != "auto"}


def _more_than_one(new_tokens: int) -> int:
    if new_tokens < 2:
        raise UsageError("decoding begins after the first token", hint="use --new-tokens 2 or more")
    return new_tokens


def _named(pairs: list[str] | tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        name, sign, path = pair.partition("=")
        if not sign or not path:
            raise UsageError(f"--peer-model is {pair!r}", hint="write NAME=PATH")
        found[name] = path
    return found


def _show(
    found: Result,
    out: Path | None,
    plot: Path | None,
    json: bool,
    others: list[Result] | None = None,
) -> None:
    from paddock.bench import report, result

    if out is not None:
        result.save(found, out)
        render.line(f"saved {out}")
    _draw([found, *(others or [])], plot)
    if json:
        render.emit(found.to_dict())
    else:
        _tables(report.tables(found), markdown=False)


def _draw(results: list[Result], plot: Path | None) -> None:
    if plot is not None:
        from paddock.bench.plot import plot as draw

        plot.write_text(draw(results), encoding="utf-8")
        render.line(f"drew {plot}")


def _tables(tables: list[Table], markdown: bool) -> None:
    for number, table in enumerate(tables):
        if markdown:
            render.text(table.markdown() + "\n")
            continue
        if number:
            render.text("\n")
        render.table(table.header, table.rows, table.right)
