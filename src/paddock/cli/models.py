"""``paddock models``: what is stored, what comes along, what can be pulled; and ``rm``."""

from __future__ import annotations

import contextlib
import sys
from typing import Annotated, Any

import typer

from paddock.cli import options, render
from paddock.cli.help import Command, examples
from paddock.errors import ModelNotFound, UsageError

EXAMPLES = """
paddock models
paddock models --json
paddock models rm llama2-7b
"""

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def models(
    context: typer.Context, json: options.Json = False, debug: options.Debug = False
) -> None:
    """Lists the models here and those to be had; rm deletes one."""
    if context.invoked_subcommand is not None:
        return
    rows = _rows()
    if json:
        render.emit({"models": rows})
        return
    render.table(
        ("NAME", "SIZE", "STATE", "WHERE"),
        [
            (
                row["name"],
                render.size(row["bytes"]) if row["bytes"] is not None else "",
                row["state"],
                row["path"] or row["source"],
            )
            for row in rows
        ],
        right=(1,),
    )


@app.command("rm", cls=Command, epilog=examples("paddock models rm llama2-7b --yes"))
def remove(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A stored model.",
            show_default=False,
            autocompletion=options.complete_stored,
        ),
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Deletes a stored model."""
    from paddock import settings
    from paddock.inference.checkpoint import store

    if not yes:
        if json or not sys.stdin.isatty():
            raise UsageError(f"{name} would be deleted", hint="say --yes if that is meant")
        if not typer.confirm(f"Delete {name}?", err=True):
            raise typer.Exit(1)
    path = store.remove(name, settings.load())
    if json:
        render.emit({"removed": name, "path": str(path)})
    else:
        render.line(f"deleted {path}")


def _rows() -> list[dict[str, Any]]:
    from paddock import settings
    from paddock.inference.checkpoint import store

    configured = settings.load()
    rows: list[dict[str, Any]] = []
    with contextlib.suppress(ModelNotFound):  # an installation without it still has a store
        builtin = store.locate(None, configured)
        size = sum(file.stat().st_size for file in builtin.rglob("*") if file.is_file())
        rows.append(_row(store.DEMO, size, "built in", str(builtin), ""))
    stored = store.list_models(configured)
    for model in stored:
        state = "stored" if model.complete else "incomplete"
        rows.append(_row(model.name, model.bytes, state, str(model.path), model.source))
    taken = {model.name for model in stored}
    for name, known in store.KNOWN.items():
        if name not in taken:
            rows.append(_row(name, None, "can be pulled", None, known.huggingface))
    return rows


def _row(name: str, size: int | None, state: str, path: str | None, source: str) -> dict[str, Any]:
    return {"name": name, "bytes": size, "state": state, "path": path, "source": source}
