"""A bundle's files on a host as a step of a plan: sent where missing, compared, taken back."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from paddock.deploy.bundle import manifest as manifests
from paddock.deploy.bundle import record as records
from paddock.deploy.bundle.carry import Placed
from paddock.deploy.bundle.manifest import MANIFEST, Entry
from paddock.deploy.bundle.record import Known, Record
from paddock.deploy.step import HOST, Ask, Change, Log, Machine, State
from paddock.deploy.step.transfer import gigabytes, patience, room
from paddock.errors import StepFailed

# For each line "MARK PATH" of stdin: what shows that the file was not written since it was last
# compared (size, inode, when its content and it itself changed; "-": it is not there), and how much
# of it has come, both before its path. A time in seconds would miss what was written in the same.
_LOOK = r"""
cd "$1" 2>/dev/null || exit 0
while read -r mark path; do
  now=-
  if [ -f "$path" ]; then now=$(TZ=UTC0 stat -c '%s:%i:%y:%z' "$path" | tr ' ' _); fi
  part=0
  if [ -f "$path.$mark.part" ]; then part=$(wc -c <"$path.$mark.part"); fi
  echo "$now $part $path"
done
"""

_MISSING = 'while read -r folder; do [ -d "$folder" ] || echo "$folder"; done'

HINT = "make room there, or name a folder on another disk: --to FOLDER"


@dataclass(frozen=True, slots=True)
class _Seen:
    """A file as ``_LOOK`` sees it: ``stat`` is None where it is not there, ``part`` in bytes."""

    stat: str | None = None
    part: int = 0

    @property
    def bytes(self) -> int | None:
        return int(self.stat.partition(":")[0]) if self.stat else None


Looked = Mapping[str, _Seen]


@dataclass(frozen=True, slots=True)
class CarryStep:
    """The files ``entries`` of the bundle lie in ``placed.place``; ``folder`` is Paddock's there.

    A file counts as right while nothing has written it since its SHA-256 was compared, there. What
    is there without that proof is compared by ``apply``, so that looking is quick. What was there
    before Paddock is never removed, and is overwritten only in a copy of this very bundle.
    """

    placed: Placed
    entries: tuple[Entry, ...]
    folder: str
    on: str = HOST

    id = "bundle.files"
    why = "they come from nowhere else"

    @property
    def title(self) -> str:
        """See Step."""
        return f"the bundle {self.placed.manifest.name} in {self.placed.place}"

    @property
    def asks(self) -> tuple[Ask, ...]:
        """See Step."""
        return ()

    @property
    def _text(self) -> str:
        """The manifest of what lies there, which is not all where not all is needed."""
        return manifests.text(replace(self.placed.manifest, entries=self.entries))

    def check(self, machine: Machine) -> State:
        """See Step. Raises StepFailed where the disk has no room for what is missing."""
        record, seen = records.load(machine, self.folder, self.id), self._look(machine)
        right = [each for each in self.entries if self._proven(each, record, seen)]
        absent = [each for each in self.entries if seen[each.path].bytes != each.bytes]
        self._room(machine, absent, seen)
        told = self.placed.theirs or machine.read(self._at(MANIFEST)) == self._text
        if told and len(right) == len(self.entries) and not self._stale(record):
            return State()
        before = self._amount(right) if right else None
        what = f"bundle in {self.placed.place}"
        return State((Change(what, before, self._amount(self.entries)),))

    @staticmethod
    def _amount(entries: Iterable[Entry]) -> str:
        sizes = [each.bytes for each in entries]
        return f"{len(sizes)} files, {gigabytes(sum(sizes))}"

    def _at(self, path: str) -> str:
        return f"{self.placed.place}/{path}"

    def _room(self, machine: Machine, wanted: Iterable[Entry], seen: Looked) -> None:
        need = sum(each.bytes - min(seen[each.path].part, each.bytes) for each in wanted)
        if need:
            room(machine, self.id, self.placed.place, need, HINT)

    def _look(self, machine: Machine) -> dict[str, _Seen]:
        lines = "".join(f"{each.sha256[:16]} {each.path}\n" for each in self.entries)
        output = machine.sh(_LOOK, self.placed.place, stdin=lines, timeout=120)
        if not output.ok:
            raise StepFailed(self.id, machine.target, output.stderr.strip() or "cannot look")
        found = {each.path: _Seen() for each in self.entries}
        for line in output.stdout.splitlines():
            stat, part, path = line.split(" ", 2)
            found[path] = _Seen(None if stat == "-" else stat, int(part))
        return found

    def _proven(self, each: Entry, record: Record, seen: Looked) -> bool:
        known = record.files.get(each.path)
        if known is None or record.place != self.placed.place or not known.stat:
            return False
        return (known.sha256, known.stat) == (each.sha256, seen[each.path].stat)

    def _stale(self, record: Record) -> list[str]:
        """What Paddock brought and is no part of the bundle any more; all, if that moved."""
        kept = {each.path for each in self.entries} | {MANIFEST}
        moved = record.place not in ("", self.placed.place)
        return [p for p, known in record.files.items() if known.ours and (moved or p not in kept)]

    def apply(self, machine: Machine, log: Log) -> None:
        """See Step. A file that was broken off is gone on with."""
        record = self._without_stale(machine, log)
        seen = self._look(machine)
        open_ = [each for each in self.entries if not self._proven(each, record, seen)]
        there = [each for each in open_ if seen[each.path].bytes == each.bytes]
        same = self._compared(machine, there, log)
        missing = [each for each in open_ if each.path not in same]
        self._refuse(machine, record, missing, seen)
        self._room(machine, missing, seen)
        record = self._intended(machine, record, seen, missing)
        for number, each in enumerate(missing, 1):
            log(f"{number}/{len(missing)} {each.path}, {gigabytes(each.bytes)}")
            source = Path(self.placed.source) / each.path
            machine.send(source, self._at(each.path), sha256=each.sha256, log=log)
        self._finish(machine, record)

    def _without_stale(self, machine: Machine, log: Log) -> Record:
        """The record once all is gone that is no part of the bundle any more."""
        record = records.load(machine, self.folder, self.id)
        stale = self._stale(record)
        if not stale:
            return record
        moved = record.place != self.placed.place
        whole = self.folder if moved else None
        records.remove(machine, self.id, record, record.files if moved else stale, last=whole)
        log(f"removed {len(stale)} files of the bundle before from {record.place}")
        if moved:
            return Record()
        files = {path: known for path, known in record.files.items() if path not in stale}
        kept = replace(record, files=files)
        records.keep(machine, self.folder, kept)
        return kept

    def _compared(self, machine: Machine, wanted: list[Entry], log: Log) -> set[str]:
        """Those of the files that have their SHA-256; hashed there, which outlives the link."""
        if not wanted:
            return set()
        log(f"comparing {len(wanted)} files that are there")
        found: dict[str, str] = {}

        def take(line: str) -> None:
            digest, _, path = line.partition("  ")
            found[path] = digest
            log(f"compared {path}")

        names = "".join(f"{each.path}\n" for each in wanted)
        script = (
            f"cd {shlex.quote(self.placed.place)}\n"
            'while read -r path; do sha256sum "$path"; done'
            f" <<'PADDOCK_END'\n{names}PADDOCK_END\n"
        )
        timeout = patience(sum(each.bytes for each in wanted))
        machine.follow(f"{self.id}.compare", script, step=self.id, timeout=timeout, log=take)
        return {each.path for each in wanted if found.get(each.path) == each.sha256}

    def _refuse(
        self, machine: Machine, record: Record, missing: Iterable[Entry], seen: Looked
    ) -> None:
        """Raises StepFailed for a file of somebody else's in the way."""
        if self.placed.theirs:
            return
        ours = {path for path, known in record.files.items() if known.ours}
        foreign = [e.path for e in missing if seen[e.path].stat is not None and e.path not in ours]
        now = machine.read(self._at(MANIFEST))
        if now not in (None, self._text) and MANIFEST not in ours:
            foreign.append(MANIFEST)
        if foreign:
            raise StepFailed(
                self.id,
                machine.target,
                f"{self._at(foreign[0])} is another file than the bundle's, and not Paddock's",
                hint="name another folder: --to FOLDER; or remove it by hand",
            )

    def _intended(
        self, machine: Machine, record: Record, seen: Looked, missing: Iterable[Entry]
    ) -> Record:
        """Writes down what will be made, before it is: what a crash leaves is known by it."""
        folders = "".join(f"{folder}\n" for folder in self._folders())
        made = machine.sh(_MISSING, stdin=folders).stdout.splitlines()
        files = dict(record.files)
        for each in missing:
            known = files.get(each.path)
            ours = known.ours if known else seen[each.path].stat is None
            files[each.path] = Known(each.sha256, "", ours)
        if not self.placed.theirs and MANIFEST not in files:
            there = machine.read(self._at(MANIFEST)) is not None
            files[MANIFEST] = Known("", "", not there)
        kept = Record(self.placed.place, tuple(dict.fromkeys((*record.folders, *made))), files)
        records.keep(machine, self.folder, kept)
        return kept

    def _folders(self) -> Iterator[str]:
        """Every folder that a file of the bundle lies below, outermost first."""
        paths = [PurePosixPath(self._at(MANIFEST))]
        paths += [PurePosixPath(self._at(each.path)) for each in self.entries]
        found = {str(folder) for path in paths for folder in path.parents} - {"/"}
        yield from sorted(found, key=lambda folder: (folder.count("/"), folder))

    def _finish(self, machine: Machine, record: Record) -> None:
        """The manifest comes last: with it, steps ask nothing else."""
        if not self.placed.theirs:
            machine.write(self._at(MANIFEST), self._text)
        seen, files = self._look(machine), dict(record.files)
        for each in self.entries:
            known, stat = files.get(each.path), seen[each.path].stat or ""
            files[each.path] = Known(each.sha256, stat, known is not None and known.ours)
        records.keep(machine, self.folder, replace(record, files=files))

    def undo(self, machine: Machine, before: Mapping[str, Any], log: Log) -> None:
        """See Step: what was sent goes, and the folders that were made for it."""
        record = records.load(machine, self.folder, self.id)
        if not record.place:
            return
        records.remove(machine, self.id, record, record.files, last=self.folder)
        sent = sum(known.ours for known in record.files.values())
        log(f"removed {sent} files of the bundle from {record.place}")

    def script(self) -> str:
        """See Step."""
        place = shlex.quote(self.placed.place)
        return (
            f"# From another machine: scp -r BUNDLE/. HOST:{place}\n"
            f"if [ ! -e {place}/{MANIFEST} ]; then\n"
            f'  echo "put the bundle into "{place}" first" >&2\n  exit 1\nfi'
        )
