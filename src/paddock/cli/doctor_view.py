"""The doctor's report for people: worst first, colours on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from paddock.cli import render

if TYPE_CHECKING:
    from paddock.deploy.doctor import Evidence, Finding, Fix, Report, Subject

_STYLE = {
    "blocks": ("✖", "bold red"),
    "wrong": ("✖", "bold red"),
    "slows": ("▲", "bold yellow"),
    "warns": ("▲", "yellow"),
    "perhaps": ("?", "yellow"),
    "notes": ("•", "cyan"),
}
_NUMBERS = {
    "blocks": ("block", "blocks"),
    "wrong": ("give wrong answers", "gives wrong answers"),
    "slows": ("slow it down", "slows it down"),
    "warns": ("warnings", "warning"),
    "perhaps": ("possible causes", "possible cause"),
    "notes": ("notes", "note"),
}
EVIDENCE_SHOWN = 4
"""Facts shown for a finding: of eight chips with one fault the others say the same."""
FIXES_SHOWN = 6
UNREAD_SHOWN = 3


def show(report: Report, machine: Subject | None) -> None:
    """Writes the report to stdout."""
    terminal = sys.stdout.isatty()
    # A pipe has no width; what reads it wants each fact on its own line.
    console = Console(highlight=False, width=None if terminal else 10_000)
    if console.no_color:
        console = Console(highlight=False, width=console.width, color_system=None)
    with console.capture() as captured:
        console.print(view(report, machine))
    sys.stdout.write("\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n")


def view(report: Report, machine: Subject | None) -> Group:
    """The report as something that rich draws: on a terminal, or into an SVG file."""
    parts: list[RenderableType] = [_head(report, machine)]
    for finding in report.findings:
        parts += [Text(), *_finding(finding)]
    parts += [Text(), _verdict(report)]
    if report.unread:
        parts.append(_unread(report.unread))
    return Group(*parts)


def _clean(text: str) -> str:
    return text.translate(render.CONTROLS)


def _head(report: Report, machine: Subject | None) -> Text:
    line = Text.assemble((_clean(report.target), "bold cyan"))
    if machine is None:
        return line
    host = machine.host
    chips = Counter(npu.name or "NPU" for npu in machine.ascend.npus)
    gpus = Counter(gpu.name or "GPU" for gpu in (host.nvidia.gpus if host.nvidia else ()))
    facts = [f"{count} × {name}" for name, count in (chips + gpus).items()]
    for title, kind in (("driver", "driver"), ("CANN", "cann")):
        found = machine.version(kind)
        facts += [f"{title} {found[0]}"] if found else []
    facts += [f"{host.system.name or ''} {host.system.arch or ''}".strip()]
    name = [host.hostname] if host.hostname else []
    return line.append("  " + _clean(", ".join(filter(None, (*name, *facts)))))


def _kind(finding: Finding) -> str:
    """What a finding is counted as: its severity, or ``perhaps``."""
    return finding.rule.severity if finding.sure else "perhaps"


def _finding(finding: Finding) -> Iterator[RenderableType]:
    kind = _kind(finding)
    mark, style = _STYLE[kind]
    yield Text.assemble(
        (f"{mark} {kind}", style),
        f"  {finding.rule.title}  ",
        (f"[{finding.rule.id}]", "dim"),
    )
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    for number, line in enumerate(_evidence(finding.evidence)):
        grid.add_row("  found" if number == 0 else "", line)
    grid.add_row("  cause", Text(finding.rule.cause))
    for number, step in enumerate(_fixes(finding.fixes)):
        grid.add_row("  fix" if number == 0 else "", step)
    grid.add_row("  source", Text(finding.rule.source, style="dim"))
    yield grid


def _evidence(evidence: tuple[Evidence, ...]) -> Iterator[Text]:
    for each in evidence[:EVIDENCE_SHOWN]:
        yield Text.assemble(_clean(each.fact), (f"  ({_clean(each.where)})", "dim"))
    if len(evidence) > EVIDENCE_SHOWN:
        yield Text(f"and {len(evidence) - EVIDENCE_SHOWN} more", style="dim")


def _fixes(fixes: tuple[Fix, ...]) -> Iterator[Text]:
    for fix in fixes[:FIXES_SHOWN]:
        if fix.run:
            yield Text.assemble(("$ ", "dim"), (_clean(fix.run), "green"))
        else:
            yield Text(_clean(fix.do))
    if len(fixes) > FIXES_SHOWN:
        yield Text(f"and {len(fixes) - FIXES_SHOWN} more steps: --fix", style="dim")


def _verdict(report: Report) -> Text:
    counts = Counter(map(_kind, report.findings))
    words = [
        (f"{count} {_NUMBERS[kind][count == 1]}", style)
        for kind, (_, style) in _STYLE.items()
        if (count := counts[kind])
    ]
    line = Text()
    if not report.exit_code:
        line.append("✔ nothing blocks", style="bold green")
    for number, (text, style) in enumerate(words):
        line.append(", " if number or not report.exit_code else "")
        line.append(text, style=style)
    return line.append(f"; {report.rules} rules tried", style="dim")


def _unread(unread: tuple[str, ...]) -> Text:
    shown = "; ".join(_clean(each) for each in unread[:UNREAD_SHOWN])
    more = f"; and {len(unread) - UNREAD_SHOWN} more" if len(unread) > UNREAD_SHOWN else ""
    return Text(f"not read: {shown}{more}  (all: paddock host)", style="dim")
