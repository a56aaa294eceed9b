"""All checks of one target, in order, each able to fail without the others."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from paddock.deploy.provision import Context
from paddock.deploy.step import Machine
from paddock.deploy.verify import devices, hardware, server
from paddock.deploy.verify.frameworks import Frameworks
from paddock.deploy.verify.place import Place
from paddock.deploy.verify.report import Check, Report
from paddock.errors import RunnerError

ON_CARDS = ("devices", "product", "all-reduce", "import-torch_npu", "speed")
"""How the names of checks begin whose outcome is that of the accelerator."""


def verify(context: Context, host: Machine, place: Machine) -> Report:
    """Asks the target whether it does what was promised; changes nothing there.

    ``host`` is the machine, ``place`` where the software is: its container, or the machine itself.
    Where the cards are missing or simulated, what hangs on them is reported as not verified on
    hardware, with what was seen. Raises Unreachable where the target cannot be entered.
    """
    kind = hardware.accelerator(context)
    inside = Place(context, place)
    frameworks = Frameworks(context, inside, kind)
    subjects: tuple[tuple[str, Callable[[], Iterable[Check]]], ...] = (
        ("devices", lambda: devices.check(context, place)),
        ("imports", frameworks.versions),
        ("product", frameworks.products),
        ("all-reduce", frameworks.reduction),
        ("answer", lambda: server.check(context, inside, kind)),
    )
    when = place.run(["date", "-u", "+%Y-%m-%dT%H:%M:%SZ"]).stdout.strip()
    missing = hardware.unreal(context, host)
    checks = [_real(check, missing) for name, ask in subjects for check in _asked(name, ask)]
    stack = context.stack
    return Report(
        target=place.target,
        deployment=context.file.name,
        when=when,
        stack=tuple((c.title, c.version) for c in stack.choices) if stack else (),
        checks=tuple(checks),
    )


def _asked(name: str, ask: Callable[[], Iterable[Check]]) -> Iterator[Check]:
    """The checks of a subject; a program that does not end is a failure of its check."""
    try:
        yield from ask()
    except RunnerError as error:
        yield Check(name, name, "failed", error.message, hint=error.hint)


def _real(check: Check, missing: str | None) -> Check:
    """Nothing is claimed of hardware that was not there."""
    if missing is None or check.status == "skipped" or not check.name.startswith(ON_CARDS):
        return check
    seen = f"{missing}; seen: {check.status}, {check.detail}"
    return replace(check, status="unverified", detail=seen)
