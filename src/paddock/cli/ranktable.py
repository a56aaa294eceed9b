"""``paddock ranktable``: the file that tells HCCL which chip of which host is which rank."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paddock.cli import options, render
from paddock.cli.help import Command, examples
from paddock.errors import UsageError

EXAMPLES = """
paddock ranktable make 10.0.0.1 --out rank_table.json
paddock ranktable make 10.0.0.1=ssh://root@npu1 10.0.0.2=npu2.json --devices 0-7
paddock ranktable check rank_table.json
"""

app = typer.Typer(rich_markup_mode=None)

Form = Annotated[str, typer.Option("--form", metavar="1.0|legacy", help="The form to write.")]
Out = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Where to write it.  [default: -]", show_default=False),
]


@app.callback()
def ranktable() -> None:
    """Makes and checks HCCL's rank tables (RANK_TABLE_FILE)."""


@app.command(
    cls=Command, epilog=examples("paddock ranktable make 10.0.0.1=npu1.json --devices 0-3")
)
def make(
    servers: Annotated[
        list[str],
        typer.Argument(
            metavar="ADDRESS[=HOST]...",
            help="Each host's own address, and where to learn of it: ssh://… or a file of"
            " paddock host --json; without, this machine.",
        ),
    ],
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="0-3,6",
            help="Physical numbers of the chips to use on each host.  [default: all]",
            show_default=False,
        ),
    ] = None,
    container: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS=ADDRESS",
            help="A server's and its container's address (MindIE); repeatable.",
            show_default=False,
        ),
    ] = None,
    form: Form = "1.0",
    out: Out = None,
    debug: options.Debug = False,
) -> None:
    """Writes the table of several hosts, from what each says of its chips' network.

    Every host must get the same file. The file is readable by owner and group only, as MindIE asks.
    """
    from paddock.deploy import ranktable as tables
    from paddock.deploy.host import target

    numbers = listed(devices) if devices is not None else None
    boxes = dict(pair(text, "--container") for text in container or ())
    found = []
    for spelled in servers:
        address, sign, where = spelled.partition("=")
        if sign and not where:
            raise UsageError(f"the host is {spelled!r}", hint="write ADDRESS=HOST")
        file = Path(where) if where and Path(where).exists() else None
        with render.waiting(f"looking at {where or 'this machine'}"):
            facts = target.facts(host=None if file else where or None, file=file)
        found.append(tables.from_host(facts, address, numbers))
    unknown = boxes.keys() - {server.address for server in found}
    if unknown:
        raise UsageError(f"--container names {min(unknown)}", hint="it is none of the servers")
    text = tables.write(tables.ranks(found), form, boxes)
    if out is None:
        render.text(text)
        return
    write(out, text)
    render.line(f"wrote {out}; give all hosts this very file, and set RANK_TABLE_FILE to its path")


@app.command(cls=Command, epilog=examples("paddock ranktable check hccl_8p.json --form 1.0"))
def check(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A rank table of either form.")],
    form: Annotated[
        str | None,
        typer.Option(
            "--form", metavar="1.0|legacy", help="Also write it in this form.", show_default=False
        ),
    ] = None,
    out: Out = None,
    debug: options.Debug = False,
) -> None:
    """Says whether HCCL can use a table, and who is which rank."""
    from paddock.deploy import ranktable as tables

    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}") from None
    had, ranks = tables.read(text, str(file))
    if form is not None:
        converted = tables.write(ranks, form)
        if out is None:
            render.text(converted)
        else:
            write(out, converted)
        return
    render.line(f"{file}: form {had}, {len(ranks)} ranks")
    for rank in ranks:
        render.text(f"{rank.rank}\t{rank.server}\t{rank.device}\t{rank.device_address or '-'}\n")


def listed(text: str) -> list[int]:
    """``0-3,6`` as numbers, in the order given. Raises UsageError."""
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UsageError(f"--devices is {text!r}", hint="write numbers and ranges: 0-3,6")
        end = int(last) if dash else int(first)
        found.extend(range(int(first), end + 1))
        if end < int(first) or end > 1 << 16:
            raise UsageError(f"--devices is {text!r}", hint="a range goes upwards: 0-3")
    return found


def pair(text: str, name: str) -> tuple[str, str]:
    """``A=B``. Raises UsageError."""
    left, sign, right = text.partition("=")
    if not sign or not left or not right:
        raise UsageError(f"{name} is {text!r}", hint="write ADDRESS=ADDRESS")
    return left, right


def write(path: Path, text: str) -> None:
    """All of the file or nothing, for owner and group only. Raises UsageError."""
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.touch(mode=0o640)
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}") from None
