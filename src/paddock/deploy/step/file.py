"""A step that sees to one file: content, mode and owner, and puts back what was there."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paddock.deploy.step.base import HOST, Change, Log, State
from paddock.deploy.step.machine import Machine, heredoc
from paddock.deploy.step.together import Ask, cat, sh
from paddock.errors import StepFailed

# Which folders on the way are missing, so that undo removes those and no others.
_STAT = r"""
if [ -e "$1" ]; then stat -c '%a %U:%G' "$1"; else
  folder=$(dirname "$1")
  while [ ! -d "$folder" ]; do echo "missing $folder"; folder=$(dirname "$folder"); done
fi
"""


@dataclass(frozen=True, slots=True)
class FileStep:
    """A text file of the given content; ``then`` is sh that makes a change of it take effect.

    ``owner`` is ``user:group`` by name; empty leaves it as it is (or whoever writes).
    """

    id: str
    title: str
    why: str
    path: str
    text: str
    mode: int = 0o644
    owner: str = ""
    on: str = HOST
    then: str = ""

    @property
    def asks(self) -> tuple[Ask, ...]:
        """See Step."""
        return (sh(_STAT, self.path), cat(self.path))

    def check(self, machine: Machine) -> State:
        """See Step."""
        seen = machine.sh(_STAT, self.path)
        if not seen.ok:
            raise StepFailed(self.id, machine.target, seen.stderr.strip())
        words = seen.stdout.split()
        if not words or words[0] == "missing":
            before: dict[str, Any] = {"text": None, "folders": words[1::2]}
            return State((Change(f"file {self.path}", None, self.text),), before)
        now, mode, owner = machine.read(self.path), words[0], words[1]
        changes = []
        if now != self.text:
            changes.append(Change(f"file {self.path}", now, self.text))
        if mode != f"{self.mode:o}":
            changes.append(Change(f"mode of {self.path}", mode, f"{self.mode:o}"))
        if self.owner and owner != self.owner:
            changes.append(Change(f"owner of {self.path}", owner, self.owner))
        return State(tuple(changes), {"text": now, "mode": mode, "owner": owner})

    def apply(self, machine: Machine, log: Log) -> None:
        """See Step."""
        machine.write(self.path, self.text, mode=self.mode, owner=self.owner)
        log(f"wrote {self.path}")
        self._then(machine, log)

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        """See Step: a file that somebody changed since is kept beside, as ``.paddock-kept``."""
        now = machine.read(self.path)
        if now is None and before["text"] is None:
            return
        if now is not None and now not in (self.text, before["text"]):
            machine.write(f"{self.path}.paddock-kept", now, mode=0o600)
            log(f"{self.path} was changed since: that text is kept in {self.path}.paddock-kept")
        if before["text"] is None:
            machine.run(["rm", "-f", self.path])
            for folder in before.get("folders", ()):
                machine.run(["rmdir", folder])  # stays where somebody put something into it
        else:
            mode = int(before["mode"], 8)
            machine.write(self.path, before["text"], mode=mode, owner=before["owner"])
        log(f"put back {self.path}")
        self._then(machine, log)

    def script(self) -> str:
        """See Step."""
        lines = heredoc(self.path, self.text, mode=self.mode, owner=self.owner)
        return f"{lines}\n{self.then}" if self.then else lines

    def _then(self, machine: Machine, log: Log) -> None:
        if not self.then:
            return
        output = machine.sh(f"set -eu\n{self.then}", timeout=60)
        if not output.ok:
            reason = f"after writing {self.path}: {output.stderr.strip()}"
            raise StepFailed(self.id, machine.target, reason, log=output.stdout)
        log(f"done: {shlex.quote(self.then)}")
