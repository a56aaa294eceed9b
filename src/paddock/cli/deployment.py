"""What the commands of a deployment share: their options, the deployment itself and its events."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paddock.cli import render
from paddock.errors import UsageError, nearest

if TYPE_CHECKING:
    from paddock.deploy.plan import Deployment, Event, HostPlan
    from paddock.deploy.plan.events import Tell
    from paddock.deploy.stackfile import HostEntry

HOSTS = "Hosts"

File = Annotated[
    Path | None,
    typer.Option(
        "--file",
        "-f",
        metavar="FILE",
        help="The stack file.  [default: paddock.yaml here, or else the defaults]",
        show_default=False,
    ),
]
Limit = Annotated[
    list[str] | None,
    typer.Option(
        "--limit",
        "-l",
        metavar="NAME",
        help="Only this host or group; repeatable.",
        rich_help_panel=HOSTS,
        show_default=False,
    ),
]
Serial = Annotated[
    bool, typer.Option("--serial", help="One host after the other.", rich_help_panel=HOSTS)
]
Ignore = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RULE",
        help="Go on although the doctor finds this; repeatable.",
        rich_help_panel=HOSTS,
        show_default=False,
    ),
]
BreakLock = Annotated[
    bool,
    typer.Option(
        "--break-lock",
        help="Take a host's lock from whoever has it.",
        rich_help_panel=HOSTS,
    ),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
NoVerify = Annotated[bool, typer.Option("--no-verify", help="Do not ask the model at the end.")]
OneHost = Annotated[
    str | None,
    typer.Option(
        "--on",
        metavar="NAME",
        help="Which host.  [default: the only one]",
        rich_help_panel=HOSTS,
        show_default=False,
    ),
]


def opened(
    file: Path | None,
    *,
    tell: Tell | None = None,
    limit: list[str] | None = None,
    serial: bool = False,
    ignore: list[str] | None = None,
    break_lock: bool = False,
) -> Deployment:
    """The deployment that the options mean. Raises UsageError."""
    from paddock import settings
    from paddock.deploy import stackfile
    from paddock.deploy.plan import Deployment, Options
    from paddock.deploy.plan.events import nobody

    _known_rules(ignore or [])
    found = Deployment(
        stackfile.load(file),
        settings.load().state,
        tell=tell or nobody,
        options=Options(tuple(limit or ()), serial, frozenset(ignore or ()), break_lock),
    )
    assert found.hosts, "chosen() never gives none"
    return found


def one_host(found: Deployment, name: str | None) -> HostEntry:
    """The host that is meant. Raises UsageError where it is not clear which."""
    names = [entry.name for entry in found.file.hosts]
    if name is None and len(names) == 1:
        return found.file.hosts[0]
    if name is None:
        raise UsageError("which host is meant?", hint=f"add --on with one of {', '.join(names)}")
    if name not in names:
        raise UsageError(
            f"there is no host {name!r}{nearest(name, names)}",
            hint=f"known are {', '.join(names)}",
        )
    return found.file.hosts[names.index(name)]


def as_json(event: Event) -> None:
    """One event as a line of JSON."""
    render.emit({"event": event.to_dict()})


def agreed(question: str, *, yes: bool) -> bool:
    """Asks on the terminal. Raises UsageError where nobody is there to answer and --yes is not."""
    import sys

    if yes:
        return True
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("nobody is there to ask", hint="give --yes if you mean it")
    try:
        answer = input(f"{question} [y/N] ")
    except EOFError:
        return False
    return answer.strip().lower() in ("y", "yes")


def _known_rules(names: list[str]) -> None:
    if not names:
        return
    from paddock.deploy import doctor

    known = [rule.id for rule in doctor.load()]
    for name in names:
        if name not in known:
            raise UsageError(
                f"the doctor has no rule {name!r}{nearest(name, known)}",
                hint="its ids are in docs/reference/rules.md",
            )


def stack_line(host: HostPlan) -> str:
    """The versions on one line, empty for Paddock's own runtimes."""
    return ", ".join(f"{title} {version}" for title, version in host.stack)


def counted(count: int, one: str, many: str = "") -> str:
    """``1 step`` or ``3 steps``."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def results(found: Any) -> list[dict[str, Any]]:
    """Results by host as plain JSON values."""
    return [
        {
            "host": each.host,
            "address": each.address,
            "ok": each.ok,
            "changed": list(getattr(each.value, "changed", each.value) or ()),
            "seconds": round(each.seconds, 2),
            "failure": each.failure.to_dict() if each.failure else None,
        }
        for each in found
    ]
