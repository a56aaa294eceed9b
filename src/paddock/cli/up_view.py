"""What is seen while a deployment is applied: a line for each host, and the log of its step."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from paddock.cli import render

if TYPE_CHECKING:
    from paddock.deploy.plan import Deployment, Event, Result

TAIL = 3
"""Lines of a step's log that are shown below it."""


@contextlib.contextmanager
def live(hosts: Sequence[str]) -> Iterator[Callable[[Event], None]]:
    """Draws on a terminal; writes a line for each step into a pipe."""
    if not sys.stderr.isatty():
        yield _Lines(several=len(hosts) > 1)
        return
    from rich.live import Live

    board = _Board(tuple(hosts))
    with Live(get_renderable=board.draw, console=render.console(), refresh_per_second=8) as shown:
        board.above = shown.console.print
        yield board


@dataclass
class _Lines:
    """Plain lines, for logs and for people without a terminal."""

    several: bool
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, event: Event) -> None:
        text = told(event)
        if text is not None:
            with self.lock:
                render.line(f"{event.host}: {text}" if self.several else text)


def told(event: Event) -> str | None:
    """An event on one line; None for one that is not worth one."""
    clean = event.text.translate(render.CONTROLS)
    if event.kind == "begin":
        return f"{event.step}: {clean}"
    if event.kind == "log":
        return f"  {clean}"
    if event.kind == "failed":
        return f"failed: {clean}"
    return None


@dataclass
class _Board:
    """One row for each host: what it does, for how long, and the end of the log."""

    hosts: tuple[str, ...]
    now: dict[str, tuple[str, float]] = field(default_factory=dict)
    tails: dict[str, list[str]] = field(default_factory=dict)
    over: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    above: Callable[[Any], None] = print

    def __call__(self, event: Event) -> None:
        with self.lock:
            if event.kind == "begin":
                self.now[event.host] = f"{event.step}: {event.text}", time.monotonic()
                self.tails[event.host] = []
            elif event.kind == "log":
                tail = self.tails.setdefault(event.host, [])
                tail.append(event.text.translate(render.CONTROLS))
                del tail[:-TAIL]
            elif event.kind in ("done", "undone", "failed"):
                self._finished(event)
            elif event.kind == "finished":
                self.over[event.host] = event.text

    def _finished(self, event: Event) -> None:
        from rich.text import Text

        said, began = self.now.pop(event.host, (event.step, time.monotonic()))
        seconds = f"{time.monotonic() - began:.1f} s"
        failed = event.kind == "failed"
        mark = ("failed ", "bold red") if failed else ("done ", "green")
        head = f"{event.host}  " if len(self.hosts) > 1 else ""
        self.above(
            Text.assemble(head, mark, event.text if failed else said, (f"  {seconds}", "dim"))
        )
        self.tails[event.host] = []

    def draw(self) -> Any:
        """What rich shows at the bottom of the terminal."""
        from rich.text import Text

        text = Text()
        with self.lock:
            for host in self.hosts:
                if host in self.over or host not in self.now:
                    continue
                said, began = self.now[host]
                head = f"{host}  " if len(self.hosts) > 1 else ""
                text.append(f"{head}{said}  ", "bold")
                text.append(f"{time.monotonic() - began:.0f} s\n", "dim")
                for line in self.tails.get(host, ()):
                    text.append(f"    {line[:200]}\n", "dim")
        return text


def summary(found: Deployment, results: Sequence[Result[Any]], checked: Mapping[str, bool]) -> None:
    """How every host ended; failures with their log's end and what the doctor makes of it."""
    if len(results) > 1:
        render.table(
            ("HOST", "RESULT", "STEPS", "SECONDS"),
            [_row(result, checked) for result in results],
            right=(2, 3),
        )
    for result in results:
        if result.failure is not None:
            _failure(result, named=len(results) > 1)
    addresses(found, [r.host for r in results if r.ok and checked.get(r.host, True)])


def _row(result: Result[Any], checked: Mapping[str, bool]) -> tuple[str, str, str, str]:
    failure = result.failure
    state = "done" if failure is None else f"failed: {failure.step or failure.kind}"
    if result.ok and not checked.get(result.host, True):
        state = "done, and does not answer"
    changed = getattr(result.value, "changed", result.value) or ()
    return result.host, state, str(len(changed)), f"{result.seconds:.1f}"


def _failure(result: Result[Any], *, named: bool) -> None:
    failure = result.failure
    assert failure is not None
    head = f"{result.host}: " if named else ""
    hint = f" ({failure.hint})" if failure.hint else ""
    render.line(f"{head}{failure.message}{hint}".translate(render.CONTROLS))
    for text in failure.log.splitlines()[-8:]:
        render.line(f"  | {text}".translate(render.CONTROLS))
    for title, fixes in failure.diagnosis:
        render.line(f"  the doctor: {title}")
        for fix in fixes[:2]:
            render.line(f"    fix: {fix}")


def addresses(found: Deployment, hosts: Sequence[str]) -> None:
    """Where each host serves, for clients."""
    from paddock.deploy.provision import serve

    for name in hosts:
        prepared = found.prepared.get(name)
        if prepared is None or not prepared.context.file.serve.enabled:
            continue
        where = "" if prepared.target.local else f" (on {prepared.target.machine.target})"
        print(f"serves at {serve.outside(prepared.context)}{where}")
