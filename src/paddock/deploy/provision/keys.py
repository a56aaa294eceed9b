"""The file of API keys' digests on the target; its content is never shown."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paddock.deploy.step import HOST, Ask, Change, Log, Machine, State, sh
from paddock.errors import StepFailed

_SEEN = '[ -e "$1" ] || exit 3; stat -c %a "$1"; cat "$1"'


@dataclass(frozen=True, slots=True)
class KeyFileStep:
    """Brings ``source`` (a file here, as ``paddock key`` makes it) to ``path`` with mode 0600."""

    source: str
    path: str
    on: str = HOST
    id: str = "serve.keys"
    title: str = "the digests of the API keys, for the server alone"
    why: str = "serve.api_key_file"

    @property
    def asks(self) -> tuple[Ask, ...]:
        """See Step."""
        return (sh(_SEEN, self.path),)

    def check(self, machine: Machine) -> State:
        """See Step."""
        wanted = _digest(self._text(machine))
        seen = machine.sh(_SEEN, self.path)
        mode, _, text = seen.stdout.partition("\n")
        if seen.exit_code == 3:
            return State((Change(f"file {self.path}", None, f"sha256 {wanted}"),), {"there": False})
        if not seen.ok:
            raise StepFailed(self.id, machine.target, seen.stderr.strip())
        changes = []
        if _digest(text) != wanted:
            before, after = f"sha256 {_digest(text)}", f"sha256 {wanted}"
            changes.append(Change(f"file {self.path}", before, after))
        if mode != "600":
            changes.append(Change(f"mode of {self.path}", mode, "600"))
        return State(tuple(changes), {"there": True})

    def apply(self, machine: Machine, log: Log) -> None:
        """See Step."""
        machine.write(self.path, self._text(machine), mode=0o600)
        log(f"wrote {self.path}")

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        """See Step: the file lies in Paddock's own folder, so what was there was Paddock's too."""
        machine.run(["rm", "-f", self.path])
        log(f"removed {self.path}")

    def script(self) -> str:
        """See Step."""
        return (
            f"# Copy {self.source} to {self.path}, mode 600: it is not written out here.\n"
            f"[ -e {self.path} ] || {{ echo 'there is no {self.path}' >&2; exit 1; }}"
        )

    def _text(self, machine: Machine) -> str:
        try:
            return Path(self.source).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise StepFailed(
                self.id,
                machine.target,
                f"cannot read {self.source}: {error}",
                hint=f"make it with: paddock key new NAME --file {self.source}",
            ) from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
