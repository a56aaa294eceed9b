"""What Paddock brought to a host of a bundle, written down there: what is proven, what goes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from paddock.deploy import typed
from paddock.deploy.step import Machine
from paddock.errors import StepFailed

# Lines "file PATH" (Paddock's to remove), "kept PATH" (somebody's: only what came of it goes),
# "record PATH" and "folder PATH". A folder that somebody put something into stays.
_REMOVE = r"""
while read -r kind path; do
  case $kind in
  file) rm -f "$path" "$path".????????????????.part ;;
  kept) rm -f "$path".????????????????.part ;;
  record) rm -f "$path" ;;
  folder) rmdir "$path" 2>/dev/null || : ;;
  esac
done
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A file: its SHA-256 when ``stat`` was what a look says of it now, if nobody wrote to it.

    ``ours`` is whether Paddock brought it. An empty ``stat`` is a file that was about to be sent.
    """

    sha256: str
    stat: str
    ours: bool


@dataclass(frozen=True, slots=True)
class Record:
    """The bundle's folder on the host, the folders that were made for it, and its files."""

    place: str = ""
    folders: tuple[str, ...] = ()
    files: Mapping[str, Known] = field(default_factory=dict)


def _path(folder: str) -> str:
    return f"{folder}/bundle.json"


def load(machine: Machine, folder: str, step: str) -> Record:
    """The record in Paddock's ``folder`` there; an empty one without. Raises StepFailed."""
    import msgspec

    text = machine.read(_path(folder))
    if text is None:
        return Record()
    try:
        return typed.decode(text, Record)
    except msgspec.MsgspecError as error:
        raise StepFailed(
            step,
            machine.target,
            f"{_path(folder)} is damaged: {error}",
            hint="remove it: what lies there is compared again, and then counts as yours",
        ) from error


def keep(machine: Machine, folder: str, record: Record) -> None:
    """Writes the record, whole or not at all. Raises RunnerError."""
    import msgspec

    machine.write(_path(folder), msgspec.json.encode(record), mode=0o600)


def remove(
    machine: Machine, step: str, record: Record, paths: Iterable[str], *, last: str | None = None
) -> None:
    """Removes files of the record, as far as Paddock brought them.

    With ``last``, Paddock's folder there, the record goes too, and the folders that were made.
    Raises StepFailed.
    """
    lines = [
        f"{'file' if record.files[path].ours else 'kept'} {record.place}/{path}" for path in paths
    ]
    if last is not None:
        lines.append(f"record {_path(last)}")
        lines += [f"folder {folder}" for folder in reversed(record.folders)]
    output = machine.sh(_REMOVE, stdin="".join(f"{line}\n" for line in lines), timeout=600)
    if not output.ok:
        reason = output.stderr.strip() or f"removing ended with {output.exit_code}"
        raise StepFailed(step, machine.target, reason)
