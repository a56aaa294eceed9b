"""``paddock rehearse``: tries a deployment on simulated hosts before a server is touched."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddock.cli import options, render
from paddock.errors import UsageError

if TYPE_CHECKING:
    from paddock.deploy.rehearse.rehearsal import HostReport, Report
    from paddock.deploy.stackfile import Stackfile

EXAMPLES = """
paddock rehearse atlas-800t-a2             a preset, as it is
paddock rehearse paddock.yaml              this deployment; its presets say what the hosts are
paddock rehearse lab.yaml --as atlas-800-9000
paddock rehearse lab.yaml --as npu1-recorded/   as scripts/record-host wrote it
"""

NOTICE = (
    "a rehearsal: simulated hosts on this machine, stand-ins instead of the vendors' installers"
)


def rehearse(
    what: Annotated[
        str,
        typer.Argument(metavar="PRESET|FILE", help="A preset's name or a stack file."),
    ] = "paddock.yaml",
    machine: Annotated[
        str | None,
        typer.Option(
            "--as",
            metavar="MACHINE",
            help="What the hosts are, or a recording's folder.  [default: their presets]",
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Runs the whole plan against simulated hosts: up, verify, again, and down.

    The hosts have their own devices, sshd and container engine, on a network of their own; nothing
    on this machine is changed. What is installed there are stand-ins. Needs root on Linux. Exit
    code 1 if the deployment would fail.
    """
    from paddock import settings
    from paddock.cli import up_view
    from paddock.deploy.rehearse import rehearsal

    file = _file(what)
    tried = rehearsal.Rehearsal(
        file, rehearsal.models(file, machine), settings.load().home / "rehearse"
    )
    if not json:
        render.line(NOTICE)
    with _ended_in_order(), contextlib.ExitStack() as stack:
        if not json:
            tried.tell = stack.enter_context(up_view.live([host.name for host in file.hosts]))
        report = tried.run()
    if json:
        render.emit(_plain(report))
    else:
        _show(report)
        render.line(NOTICE)
    raise typer.Exit(0 if report.ok else 1)


def _file(what: str) -> Stackfile:
    from paddock.deploy import stackfile
    from paddock.deploy.stackfile import presets

    if Path(what).is_file():
        return stackfile.load(Path(what))
    if what in presets.names():
        return stackfile.loads(f"preset: {what}\n", what)
    raise UsageError(
        f"{what!r} is neither a stack file nor a preset",
        hint=f"presets are {', '.join(presets.names())}; paddock init writes a file",
    )


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """A polite kill ends the rehearsal as Ctrl-C does: everything is taken away first."""

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _show(report: Report) -> None:
    from paddock.cli import plan_view

    for host in report.hosts:
        print(f"{host.host}: {host.model}")
        if host.plan is not None:
            for text in plan_view.lines(host.plan, alone=True):
                print(f"  {text}".translate(render.CONTROLS))
        for text in _verdicts(host):
            print(f"  {text}".translate(render.CONTROLS))
    print("what was not real:")
    for text in report.stand_ins:
        print(f"  {text}")


def _verdicts(host: HostReport) -> Iterator[str]:
    from paddock.deploy.verify.report import WORDS

    if host.failure is not None:
        hint = f" ({host.failure.hint})" if host.failure.hint else ""
        yield f"failed: {host.failure.message}{hint}"
        yield from (f"  | {text}" for text in host.failure.log.splitlines()[-8:])
    else:
        yield f"done: {len(host.changed)} steps"
        for check in host.checks:
            yield f"verify: {WORDS[check.status]}: {check.title}: {check.detail}"
        again = ", ".join(host.again)
        yield f"a second run would change: {again}" if again else "a second run: nothing to change"
    if host.left:
        yield "down leaves behind:"
        yield from (f"  {text}" for text in host.left[:20])
    else:
        yield "down: as it was before"


def _plain(report: Report) -> dict[str, Any]:
    from dataclasses import asdict

    return {"ok": report.ok, **asdict(report), "notice": NOTICE}
