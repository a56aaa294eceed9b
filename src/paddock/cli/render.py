"""Everything that the commands show: text to stdout, all else to stderr, colour on terminals only.

rich is imported when something is drawn, never to answer ``--help``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

    from paddock.cli.failures import Failure

PATIENCE = 0.7
"""Seconds before a terminal is shown that something is going on."""

# A model or a machine may write any character; to a terminal the control characters are commands.
CONTROLS = {c: "\ufffd" for c in (*range(32), *range(127, 160)) if chr(c) not in "\n\t\r"}


def setup_streams() -> None:
    """Writes what a stream's encoding cannot express as ``?`` instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def detach_stdout() -> None:
    """After the reader of stdout went away: keeps Python's own last flush from complaining."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def console() -> Console:
    """The terminal behind stderr; honours NO_COLOR and draws nothing into a pipe."""
    from rich.console import Console

    terminal = Console(stderr=True, highlight=False, soft_wrap=True)
    if terminal.no_color:  # rich would leave bold and dim
        terminal = Console(stderr=True, highlight=False, soft_wrap=True, color_system=None)
    return terminal


def text(piece: str) -> None:
    """Writes a piece of an answer at once, without the control characters if to a terminal."""
    sys.stdout.write(piece.translate(CONTROLS) if sys.stdout.isatty() else piece)
    sys.stdout.flush()


def line(message: str) -> None:
    """One line for the person at the keyboard."""
    if sys.stderr.isatty():
        from rich.text import Text

        console().print(Text(message, style="dim"))
    else:
        print(message, file=sys.stderr, flush=True)


def emit(value: Any) -> None:
    """One JSON value on a line of its own."""
    print(json.dumps(value, ensure_ascii=False), flush=True)


def failure(what: Failure, *, as_json: bool) -> None:
    """``error: what (hint)`` on stderr, or ``{"error": ...}`` on stdout for programs."""
    if as_json:
        emit({"error": what.to_dict()})
        return
    hint = f" ({what.hint})" if what.hint else ""
    if sys.stderr.isatty():
        from rich.text import Text

        console().print(Text.assemble(("error: ", "bold red"), what.message, (hint, "dim")))
    else:
        print(f"error: {what.message}{hint}", file=sys.stderr)


def size(count: float) -> str:
    """Bytes for people: powers of 1000, as disks are sold and hubs count."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Aligned columns on stdout, headed in capitals; ``right`` are the columns of numbers."""
    from rich.cells import cell_len

    lines = [header, *rows]
    widths = [max(cell_len(row[i]) for row in lines) for i in range(len(header))]
    for row in lines:
        cells = []
        for i, cell in enumerate(row):
            pad = " " * (widths[i] - cell_len(cell))
            cells.append(pad + cell if i in right else cell + pad)
        print("  ".join(cells).rstrip())


def pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values on stdout, the values below each other."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        print(f"{name:<{width}}  {value}")


@contextlib.contextmanager
def waiting(message: str) -> Iterator[None]:
    """A spinner on the terminal if the block takes longer than ``PATIENCE``."""
    if not sys.stderr.isatty():
        yield
        return
    done = threading.Event()

    def spin() -> None:
        if done.wait(PATIENCE):
            return
        with console().status(message):
            done.wait()

    thread = threading.Thread(target=spin, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


@contextlib.contextmanager
def download_bars() -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar for each file, fed with (file, bytes done, bytes in all); a line each into a pipe."""
    if not sys.stderr.isatty():
        yield _report_finished()
        return
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
    from rich.progress import TransferSpeedColumn as Speed

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Speed())
    with Progress(*columns, TimeRemainingColumn(), console=console()) as bars:
        tasks: dict[str, Any] = {}

        def update(file: str, done: int, total: int | None) -> None:
            if file not in tasks:
                tasks[file] = bars.add_task(file, total=total)
            bars.update(tasks[file], completed=done, total=total)

        yield update


def _report_finished() -> Callable[[str, int, int | None], None]:
    reported: set[str] = set()

    def report(file: str, done: int, total: int | None) -> None:
        if done == total and file not in reported:
            reported.add(file)
            line(f"{file}  {size(done)}")

    return report


@contextlib.contextmanager
def count_bar(message: str, shown: bool = True) -> Iterator[Callable[[int, int], None]]:
    """A bar fed with (done, total) that a terminal shows; nothing into a pipe."""
    if not shown or not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.progress import Progress

    with Progress(console=console(), transient=True) as bars:
        task = bars.add_task(message, total=None)

        def update(done: int, total: int) -> None:
            bars.update(task, completed=done, total=total)

        yield update
