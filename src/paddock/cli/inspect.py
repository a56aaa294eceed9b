"""``paddock inspect``: what a checkpoint holds, from its headers alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
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
    """Shows a model's configuration, tensors, types and sizes.

    Reads headers only, except for --hash. Exit code 1 if the weights are not those of the
    configuration.
    """
    from paddock import settings
    from paddock.inference.checkpoint import inspect as inspection
    from paddock.inference.checkpoint import store

    path = store.locate(model, settings.load())
    with render.count_bar(f"hashing {path.name}", shown=hashes) as progress:
        found = inspection.inspect(path, hashes=hashes, progress=progress).to_dict()
    if json:
        render.emit(found)
    else:
        _show(found, tensors)
    if not found["complete"]:
        raise typer.Exit(1)


def _show(found: dict[str, Any], tensors: bool) -> None:
    config = found["config"] or {}
    kinds = Counter(tensor["dtype"] for tensor in found["tensors"])
    pairs = [
        ("path", found["path"]),
        ("format", found["format"]),
        ("parameters", f"{found['n_params']:,}"),
        ("tensors", ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())),
        *_quantization(found["quantization"]),
        ("size", f"{render.size(found['total_bytes'])} ({found['total_bytes']:,} bytes)"),
        ("complete", "yes" if found["complete"] else f"no: {found['problem']}"),
    ]
    render.pairs(pairs)
    if config:
        render.text("\nconfiguration\n")
        render.pairs([(f"  {key}", _spell(value)) for key, value in config.items()])
    render.text("\n")
    hashed = any(file["sha256"] for file in found["files"])
    rows = [
        (Path(file["path"]).name, render.size(file["size"]), file["sha256"] or "")
        for file in found["files"]
    ]
    render.table(("FILE", "SIZE", "SHA-256" if hashed else ""), rows, right=(1,))
    if tensors:
        render.text("\n")
        cells = [
            (t["name"], "×".join(map(str, t["shape"])) or "1", t["dtype"]) for t in found["tensors"]
        ]
        render.table(("TENSOR", "SHAPE", "TYPE"), cells)


def _quantization(found: dict[str, Any] | None) -> list[tuple[str, str]]:
    if found is None:
        return []
    others = (f"{name} {bits or 'unpacked'}" for name, bits in found["other_bits"].items())
    text = ", ".join((f"{found['bits']} bits, groups of {found['group_size']}", *others))
    return [("quantization", text)]


def _spell(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_spell(inner)}" for key, inner in value.items())
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_spell, value))
    if value is None:
        return "-"
    return ("no", "yes")[value] if isinstance(value, bool) else str(value)
