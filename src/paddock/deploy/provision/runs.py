"""``RunsStep``: a small program that shows that what was installed works, else a diagnosis."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paddock.deploy.doctor import Subject, diagnose
from paddock.deploy.host import Host, probe
from paddock.deploy.provision.job import advice, patient
from paddock.deploy.step import HOST, Ask, Change, Log, Machine, State, sh
from paddock.errors import PaddockError, StepFailed

TIMEOUT = 900.0
"""Seconds for the program: the first operator on an NPU is compiled."""

# The program takes seconds to minutes, so that it ran is remembered, with everything it stood on:
# the distributions' versions, CANN's, and the device nodes. Some of these files are never there,
# and under "set -e" the first missing one would end the list.
_KEY = r"""
key() {
  { printf '%s\n' "$program"; ls -d "$prefix"/lib/python3*/site-packages/*.dist-info || :
    cat /usr/local/Ascend/ascend-toolkit/latest/version.cfg /usr/local/Ascend/cann/version.cfg || :
    ls /dev/davinci* /dev/nvidia[0-9]* || :; } 2>/dev/null | sha256sum | cut -d' ' -f1
}
"""

_PROOF = 'cat "$stamp" 2>/dev/null; key'


@dataclass(frozen=True, slots=True)
class RunsStep:
    """A Python program that must end with 0 in the environment ``prefix``."""

    id: str
    title: str
    why: str
    prefix: str
    program: str
    folder: str
    on: str = HOST

    @property
    def asks(self) -> tuple[Ask, ...]:
        """See Step."""
        return (sh(self._head() + _PROOF),)

    def check(self, machine: Machine) -> State:
        """See Step."""
        output = patient(machine).sh(self._head() + _PROOF)
        words = output.stdout.split()
        if len(words) == 2 and words[0] == words[1]:
            return State()
        return State((Change(f"proof: {self.title}", None, "the program ends well"),))

    def apply(self, machine: Machine, log: Log) -> None:
        """See Step. Raises StepFailed with the doctor's finding where he has one."""
        try:
            machine.follow(
                f"{self.id}.apply", self.script(), step=self.id, timeout=TIMEOUT, log=log
            )
        except StepFailed as error:
            raise self._diagnosed(machine, error) from error

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        """See Step: only the proof is forgotten."""
        folder = f"{self.folder}/runs"
        machine.sh('rm -f "$1/$2"; rmdir "$1" 2>/dev/null || :', folder, self.id)

    def script(self) -> str:
        """See Step."""
        return (
            f"{self._head()}"
            f"if [ -r {shlex.quote(self.folder)}/environment.sh ]; then\n"
            f"  set +eu\n  . {shlex.quote(self.folder)}/environment.sh\n  set -eu\nfi\n"
            # Not from a folder with a file that is called like a module.
            'cd /\n"$prefix/bin/python" -c "$program"\n'
            'mkdir -p "${stamp%/*}"\nkey >"$stamp"\n'
        )

    def _head(self) -> str:
        words = {
            "prefix": self.prefix,
            "program": self.program,
            "stamp": f"{self.folder}/runs/{self.id}",
        }
        return "\n".join(f"{k}={shlex.quote(v)}" for k, v in words.items()) + _KEY

    def _diagnosed(self, machine: Machine, error: StepFailed) -> StepFailed:
        """The failure with the best of what the doctor finds in the log and on the machine."""
        try:
            facts = probe.read(machine.runner)
        except PaddockError:
            facts = Host()
        report = diagnose(Subject(facts), {"its log": error.log})
        finding = next((f for f in report.findings if f.blocking), None)
        if finding is None:
            return error
        reason = f"{finding.rule.title}: {finding.evidence[0].fact} [{finding.rule.id}]"
        return StepFailed(self.id, error.target, reason, log=error.log, hint=advice(finding))
