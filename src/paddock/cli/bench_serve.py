"""``paddock bench serve``: any OpenAI-compatible server, as its clients see it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paddock.cli import bench_options as shared
from paddock.cli import bench_view as view
from paddock.cli import options, render
from paddock.errors import UsageError

SERVER = "Server"

EXAMPLES = """
paddock bench serve --url http://127.0.0.1:8000 --concurrency 8 --requests 200
paddock bench serve --url http://127.0.0.1:8000 --rate 4 --out r.json --plot r.svg
paddock bench serve --url https://llm.example.com --api-key-file key --chat
"""

Url = Annotated[
    str,
    typer.Option(
        metavar="URL", help="Where the server listens; /v1 at its end may be left out.",
        rich_help_panel=SERVER,
    ),
]  # fmt: skip
Named = Annotated[
    str | None,
    typer.Option(
        "--model", metavar="NAME", help="What the server calls it.  [default: its first]",
        show_default=False, rich_help_panel=SERVER,
    ),
]  # fmt: skip
KeyFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="A file whose first line is the API key.", show_default=False,
        rich_help_panel=SERVER,
    ),
]  # fmt: skip
Chat = Annotated[
    bool,
    typer.Option("--chat", help="Ask /v1/chat/completions.", rich_help_panel=SERVER),
]
IgnoreEos = Annotated[
    bool,
    typer.Option(
        "--ignore-eos/--no-ignore-eos", rich_help_panel=SERVER,
        help="Ask for answers of full length, by a field that not every server knows.",
    ),
]  # fmt: skip
Requests = Annotated[
    int, typer.Option(metavar="N", min=1, help="Requests in all.", rich_help_panel=shared.WORK)
]
Concurrency = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, show_default=False, rich_help_panel=shared.WORK,
        help="Clients that ask one request after the other.  [default: 8]",
    ),
]  # fmt: skip
Rate = Annotated[
    float | None,
    typer.Option(
        metavar="X", show_default=False, rich_help_panel=shared.WORK,
        help="Requests a second instead, arriving by chance (Poisson).",
    ),
]  # fmt: skip
WarmUp = Annotated[
    int,
    typer.Option(
        metavar="N", min=0, help="Requests before, in no figure.", rich_help_panel=shared.WORK
    ),
]
Tokenizer = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL", show_default=False, rich_help_panel=shared.WORK,
        help="Send token ids of this model's vocabulary.  [default: English words]",
    ),
]  # fmt: skip


def serve(
    url: Url,
    model: Named = None,
    api_key_file: KeyFile = None,
    chat: Chat = False,
    ignore_eos: IgnoreEos = True,
    requests: Requests = 100,
    concurrency: Concurrency = None,
    rate: Rate = None,
    prompt_tokens: shared.PromptTokens = 128,
    new_tokens: shared.NewTokens = 64,
    tokenizer: Tokenizer = None,
    warm_up: WarmUp = 1,
    seed: shared.Seed = 0,
    timeout: shared.Timeout = 600.0,
    out: shared.Out = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.svg", help="Draw the times' distributions.", show_default=False
        ),
    ] = None,
    json: shared.Json = False,
    debug: options.Debug = False,
) -> None:  # fmt: skip
    """Latency and throughput of any OpenAI-compatible server.

    Answers are greedy and streamed. With --rate, times count from the moment at which a request
    was due.
    """
    from paddock.bench.serving.client import Target
    from paddock.bench.serving.load import Load
    from paddock.bench.serving.measure import measure

    if concurrency is None and rate is None:
        concurrency = 8
    load = Load(
        requests, concurrency, rate, prompt_tokens, new_tokens, seed, warm_up, tokenizer
    )  # fmt: skip
    key = read_key(api_key_file) if api_key_file is not None else None
    base = url.rstrip("/").removesuffix("/v1")
    target = Target(base, model, key, chat, ignore_eos, timeout)
    with render.count_bar("asking") as progress:
        found = measure(target, load, progress)
    view.show(found, out, plot, json)


def read_key(file: Path) -> str:
    """The key in a file's first line. Raises UsageError if there is none."""
    try:
        lines = file.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    if not lines or not lines[0].isascii():
        raise UsageError(
            f"{file} has no API key", hint="write the key into its first line; paddock key makes it"
        )
    return lines[0]
