"""``paddock bench``: speeds with their ceilings, and other engines on the same weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paddock.cli import bench_options as shared
from paddock.cli import bench_serve, options, render
from paddock.cli import bench_view as view
from paddock.cli.help import Command, examples

if TYPE_CHECKING:
    from paddock.bench.run import Options

EXAMPLES = """
paddock bench decode
paddock bench peers llama2-7b-int4 --gguf llama2-7b.gguf --out peers.json --plot roofline.svg
paddock bench serve --url http://127.0.0.1:8000 --concurrency 8
paddock bench compare before.json after.json
"""

app = typer.Typer(rich_markup_mode=None)


@app.callback()
def bench() -> None:
    """Measures speed, as a share of what the machine can do."""


@app.command(cls=Command, epilog=examples("paddock bench decode --quant int4 --context 2048"))
def decode(
    model: shared.Model = None,
    context: shared.Context = 128,
    new_tokens: shared.NewTokens = 64,
    repeats: shared.Repeats = 5,
    seed: shared.Seed = 0,
    busy: shared.Busy = 0,
    quant: options.QuantOption = None,
    runtime: options.RuntimeOption = options.RuntimeName.auto,
    mindspore_python: options.MindSporePython = None,
    mode: options.ModeOption = None,
    no_past: options.NoPast = False,
    max_seq_len: shared.RoomFor = None,
    device: options.DeviceOption = options.Device.auto,
    dtype: options.DtypeOption = options.Dtype.auto,
    kv: options.KvOption = options.Kv.auto,
    threads: options.Threads = None,
    tp: options.Tp = 1,
    pp: options.Pp = 1,
    out: shared.Out = None,
    plot: shared.Plot = None,
    json: shared.Json = False,
    debug: options.Debug = False,
) -> None:
    """Tokens a second of one sequence."""
    _speed(
        "decode",
        shared.wishes(
            model, quant, threads, repeats, seed,
            shared.opening(runtime, device, dtype, kv) | options.ranks(tp, pp)
            | options.of_mindspore(runtime, mindspore_python, mode, no_past=False)
            | ({"use_past": False} if no_past else {})
            | ({"max_seq_len": max_seq_len} if max_seq_len else {}),
            prompt_tokens=context, new_tokens=shared.more_than_one(new_tokens), busy=busy,
        ),
        out, plot, json,
    )  # fmt: skip


@app.command(cls=Command, epilog=examples("paddock bench prefill --quant int4 --prompt-tokens 512"))
def prefill(
    model: shared.Model = None,
    prompt_tokens: shared.PromptTokens = 512,
    repeats: shared.Repeats = 5,
    seed: shared.Seed = 0,
    busy: shared.Busy = 0,
    quant: options.QuantOption = None,
    runtime: options.RuntimeOption = options.RuntimeName.auto,
    mindspore_python: options.MindSporePython = None,
    mode: options.ModeOption = None,
    device: options.DeviceOption = options.Device.auto,
    dtype: options.DtypeOption = options.Dtype.auto,
    kv: options.KvOption = options.Kv.auto,
    threads: options.Threads = None,
    tp: options.Tp = 1,
    pp: options.Pp = 1,
    out: shared.Out = None,
    plot: shared.Plot = None,
    json: shared.Json = False,
    debug: options.Debug = False,
) -> None:
    """Time to the first token of one prompt."""
    _speed(
        "prefill",
        shared.wishes(
            model, quant, threads, repeats, seed,
            shared.opening(runtime, device, dtype, kv) | options.ranks(tp, pp)
            | options.of_mindspore(runtime, mindspore_python, mode, no_past=False),
            prompt_tokens=prompt_tokens, new_tokens=1, busy=busy,
        ),
        out, plot, json,
    )  # fmt: skip


@app.command(cls=Command, epilog=examples("paddock bench batch --quant int4 --batch 8"))
def batch(
    model: shared.Model = None,
    batch: shared.Batch = 8,
    context: shared.Context = 128,
    new_tokens: shared.NewTokens = 64,
    repeats: shared.Repeats = 5,
    seed: shared.Seed = 0,
    quant: options.QuantOption = None,
    runtime: options.RuntimeOption = options.RuntimeName.auto,
    mindspore_python: options.MindSporePython = None,
    mode: options.ModeOption = None,
    device: options.DeviceOption = options.Device.auto,
    dtype: options.DtypeOption = options.Dtype.auto,
    kv: options.KvOption = options.Kv.auto,
    threads: options.Threads = None,
    tp: options.Tp = 1,
    pp: options.Pp = 1,
    out: shared.Out = None,
    plot: shared.Plot = None,
    json: shared.Json = False,
    debug: options.Debug = False,
) -> None:
    """Tokens a second of many sequences, in turns with one."""
    _speed(
        "batch",
        shared.wishes(
            model, quant, threads, repeats, seed,
            shared.opening(runtime, device, dtype, kv) | options.ranks(tp, pp)
            | options.of_mindspore(runtime, mindspore_python, mode, no_past=False),
            prompt_tokens=context, new_tokens=shared.more_than_one(new_tokens), batch=batch,
        ),
        out, plot, json,
    )  # fmt: skip


@app.command(cls=Command, epilog=examples("paddock bench load llama2-7b-int4 --cache cold"))
def load(
    model: shared.Model = None,
    cache: Annotated[
        shared.PageCache,
        typer.Option(
            metavar="warm|cold",
            help="The system's page cache before.",
            rich_help_panel=shared.WORK,
        ),
    ] = shared.PageCache.warm,
    repeats: shared.Repeats = 5,
    quant: options.QuantOption = None,
    threads: options.Threads = None,
    timeout: shared.Timeout = 600.0,
    out: shared.Out = None,
    json: shared.Json = False,
    debug: options.Debug = False,
) -> None:
    """From starting a process to its first token, and its peak memory."""
    from paddock.bench import run

    asked = shared.wishes(model, quant, threads, repeats, 0, {})
    with render.count_bar("starting") as progress:
        found = run.measure_load(asked, cache.value, timeout, progress)
    view.show(found, out, None, json)


@app.command(cls=Command, epilog=examples("paddock bench peers --only transformers"))
def peers(
    model: shared.Model = None,
    prompt_tokens: shared.PromptTokens = 128,
    new_tokens: shared.NewTokens = 64,
    batch: shared.Batch = 1,
    repeats: shared.Repeats = 5,
    seed: shared.Seed = 0,
    busy: shared.Busy = 0,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Just this one; repeatable.", show_default=False,
            rich_help_panel=shared.PEERS,
        ),
    ] = None,
    gguf: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="MODEL as GGUF.  [default: written for the time being]",
            show_default=False, rich_help_panel=shared.PEERS,
        ),
    ] = None,
    peer_model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PATH", help="Weights in a peer's own form; repeatable.",
            show_default=False, rich_help_panel=shared.PEERS,
        ),
    ] = None,
    python: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH", help="Look for engines in this interpreter too; repeatable.",
            show_default=False, rich_help_panel=shared.PEERS,
        ),
    ] = None,
    variants: Annotated[
        shared.Variants,
        typer.Option(
            metavar="best|all", help="A peer's quickest way of running, or all.",
            rich_help_panel=shared.PEERS,
        ),
    ] = shared.Variants.all,
    quant: options.QuantOption = None,
    runtime: Annotated[
        list[options.RuntimeName] | None,
        typer.Option(
            metavar="native|torch", help="Of ours; repeatable.  [default: native on CPUs]",
            show_default=False, rich_help_panel=options.MACHINE,
        ),
    ] = None,
    device: options.DeviceOption = options.Device.auto,
    dtype: options.DtypeOption = options.Dtype.auto,
    kv: options.KvOption = options.Kv.auto,
    threads: options.Threads = None,
    timeout: shared.Timeout = 600.0,
    out: shared.Out = None,
    plot: shared.Plot = None,
    json: shared.Json = False,
    debug: options.Debug = False,
) -> None:  # fmt: skip
    """Paddock and each installed engine in turn, on the same weights."""
    from paddock.bench import run

    asked = shared.wishes(
        model, quant, threads, repeats, seed,
        shared.opening(options.RuntimeName.auto, device, dtype, kv),
        prompt_tokens=prompt_tokens, new_tokens=new_tokens, batch=batch, busy=busy,
    )  # fmt: skip
    with render.count_bar("taking turns") as progress:
        found = run.peers(
            asked,
            only=only or (),
            pythons=python or (),
            runtimes=[one.value for one in runtime or ()],
            models=shared.named(peer_model or ()),
            gguf=gguf,
            best=variants is shared.Variants.best,
            timeout=timeout,
            progress=progress,
        )
    view.show(found, out, plot, json)


app.command(cls=Command, epilog=examples(bench_serve.EXAMPLES))(bench_serve.serve)


@app.command(cls=Command, epilog=examples("paddock bench roofline --threads 2"))
def roofline(
    repeats: shared.Repeats = 5,
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
    out: shared.Out = None,
    plot: shared.Plot = None,
    json: shared.Json = False,
    debug: options.Debug = False,
) -> None:
    """What the machine can do at most: memory and arithmetic."""
    from paddock.bench import result, run

    with render.count_bar("measuring") as progress:
        found = run.roofline(shared.wishes(None, None, threads, repeats, 0, {}), progress=progress)
    view.show(found, out, plot, json, [result.read(path) for path in results or ()])


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
    view.tables(tables, markdown)
    for doubt in doubts:
        render.line(f"note: {doubt}")


@app.command(cls=Command, epilog=examples("paddock bench show peers.json --markdown"))
def show(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A saved result.", show_default=False)
    ],
    markdown: Annotated[bool, typer.Option("--markdown", help="As Markdown.")] = False,
    plot: shared.Plot = None,
    debug: options.Debug = False,
) -> None:
    """A saved result again, or its picture."""
    from paddock.bench import report, result

    found = result.read(file)
    view.tables(report.tables(found), markdown)
    view.draw([found], plot)


def _speed(kind: str, asked: Options, out: Path | None, plot: Path | None, json: bool) -> None:
    from paddock.bench import run

    with render.count_bar("measuring") as progress:
        found = run.speed(kind, asked, progress)
    view.show(found, out, plot, json)
