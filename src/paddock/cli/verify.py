"""``paddock verify``: does a deployment do what it promises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from paddock.cli import deployment, options, render
from paddock.errors import PaddockError, UsageError

if TYPE_CHECKING:
    from paddock.deploy.plan import Deployment
    from paddock.deploy.verify import Report

EXAMPLES = """
paddock verify
paddock verify --limit npu1 --json
paddock verify --on npu1 --report npu1.html
"""


def verify(
    file: deployment.File = None,
    limit: deployment.Limit = None,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the report there: .html a page, .json for programs; one host only.",
            show_default=False,
        ),
    ] = None,
    on: deployment.OneHost = None,
    json: options.Json = False,
    debug: options.Debug = False,
) -> None:
    """Asks each host whether it does what was promised; changes nothing.

    Versions, each card, a known answer at temperature 0, and its speed against what the memory
    allows. What could not be seen on real hardware is said. Exit code 1 if something failed.
    """
    found = deployment.opened(file, limit=[on] if on else limit)
    if report is not None:
        _writable(report)
        deployment.one_host(found, on)
    good = True
    for entry in found.hosts:
        with render.waiting(f"looking at {entry.name}"):
            try:
                found.prepare(entry)
            except PaddockError as error:
                good = False
                _cannot(entry.name, error, as_json=json)
                continue
        asked = ask(found, entry.name, as_json=json, whole=True)
        good &= asked is not None and asked.ok
        if report is not None and asked is not None:
            text = asked.to_html() if report.suffix == ".html" else asked.to_json()
            report.write_text(text, encoding="utf-8")
            render.line(f"wrote {report}")
    raise typer.Exit(0 if good else 1)


def _writable(report: Path) -> None:
    if report.suffix not in (".html", ".json"):
        raise UsageError(f"{report} is neither .html nor .json")
    if report.exists():
        raise UsageError(f"{report} exists", hint="delete it, or name another file")


def ask(found: Deployment, name: str, *, as_json: bool, whole: bool = False) -> Report | None:
    """Asks a host that was prepared and says what came of it; None where it cannot be asked.

    ``whole`` also says what was skipped.
    """
    from paddock.deploy.verify import verify as ask_target

    prepared = found.prepared[name]
    try:
        with render.waiting(f"verifying {name}"):
            report = ask_target(prepared.context, prepared.target.machine, prepared.place)
    except PaddockError as error:
        _cannot(name, error, as_json=as_json)
        return None
    if as_json:
        render.emit({"verified": {"host": name, **report.to_dict()}})
    else:
        _show(name if len(found.hosts) > 1 else "", report, whole=whole)
    return report


def _show(name: str, report: Report, *, whole: bool) -> None:
    head = f"{name}: " if name else ""
    for check in report.checks:
        if check.status == "skipped" and not whole:
            continue
        hint = f" ({check.hint})" if check.hint and check.status == "failed" else ""
        text = f"{head}{check.status}: {check.title}: {check.detail}{hint}"
        render.line(text.translate(render.CONTROLS))


def _cannot(name: str, error: PaddockError, *, as_json: bool) -> None:
    if as_json:
        render.emit({"verified": {"host": name, "ok": False, "error": error.message}})
    else:
        render.line(f"{name}: failed: {error}".translate(render.CONTROLS))
