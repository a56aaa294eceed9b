"""A step that is told in sh: for whatever has no kind of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paddock.deploy.step.base import HOST, Change, Log, State
from paddock.deploy.step.machine import Machine
from paddock.deploy.step.together import Ask, sh
from paddock.errors import StepFailed
from paddock.shell import TIMEOUT

SHORT = 60.0
"""Seconds up to which an ``applies`` program is run directly; longer ones are followed detached."""


@dataclass(frozen=True, slots=True)
class ScriptStep:
    """Three sh programs. ``checks`` exits with 0 if all is right and with 1 if not; what it prints
    is the present state, which ``undoes`` gets on its stdin (whole lines). ``applies`` makes it so.

    ``before`` and ``after`` describe the change for a person; where ``before`` is None, what
    ``checks`` printed stands for it. ``timeout`` (seconds) is for ``applies``.
    """

    id: str
    title: str
    why: str
    checks: str
    applies: str
    undoes: str = ":"
    on: str = HOST
    what: str = ""
    before: str | None = None
    after: str | None = None
    timeout: float = TIMEOUT
    hint: str | None = None

    @property
    def asks(self) -> tuple[Ask, ...]:
        """See Step."""
        return (sh(self.checks),)

    def check(self, machine: Machine) -> State:
        """See Step."""
        output = machine.sh(self.checks)
        if output.exit_code not in (0, 1):
            reason = output.stderr.strip() or f"its check ended with {output.exit_code}"
            raise StepFailed(self.id, machine.target, reason, hint=self.hint)
        now = output.stdout.strip()
        if output.ok:
            return State((), {"state": now})
        before = self.before if self.before is not None else now or None
        return State((Change(self.what or self.title, before, self.after),), {"state": now})

    def apply(self, machine: Machine, log: Log) -> None:
        """See Step."""
        self._run(machine, self.applies, "apply", log)

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        """See Step."""
        was = f"{before.get('state', '')}\n"  # a whole line: read fails on one without an end
        output = machine.sh(f"set -eu\n{self.undoes}", stdin=was, timeout=600)
        for line in (output.stdout + output.stderr).splitlines():
            log(line)
        if not output.ok:
            reason = f"undoing it ended with {output.exit_code}"
            raise StepFailed(self.id, machine.target, reason, log=output.stderr)

    def script(self) -> str:
        """See Step."""
        return f"if ! (\n{self.checks}\n) >/dev/null; then\n{self.applies}\nfi"

    def _run(self, machine: Machine, script: str, job: str, log: Log) -> None:
        if self.timeout > SHORT:
            try:
                machine.follow(
                    f"{self.id}.{job}", script, step=self.id, timeout=self.timeout, log=log
                )
            except StepFailed as error:
                error.hint = error.hint or self.hint
                raise
            return
        output = machine.sh(f"set -eu\n{script}", timeout=self.timeout)
        for line in (output.stdout + output.stderr).splitlines():
            log(line)
        if not output.ok:
            reason = f"ended with {output.exit_code}"
            text = (output.stdout + output.stderr)[-4000:]
            raise StepFailed(self.id, machine.target, reason, log=text, hint=self.hint)
