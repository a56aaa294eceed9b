"""What was done on which host, written down before and after it is done, so that nothing is lost.

One line of JSON for each event, appended and synced to the disk before the next thing happens. A
line that was torn by a crash never took effect and is dropped. No secret is ever in it.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from paddock.errors import JournalError

BEGIN, DONE, FAILED, UNDONE = "begin", "done", "failed", "undone"
EVENTS = frozenset({BEGIN, DONE, FAILED, UNDONE})


@dataclass(frozen=True, slots=True)
class Entry:
    """How a step stands on a host: ``event`` is its last one.

    ``before`` is what was there when it first began (since it was last undone), ``context`` names
    what the step was made from when it last began, ``began`` is the place in the order of first
    beginnings.
    """

    host: str
    address: str
    step: str
    on: str
    event: str
    before: Mapping[str, Any]
    context: str
    began: int
    time: float
    error: str | None = None


@dataclass
class Journal:
    """The journal of one deployment; made when the first event is written. Safe for threads."""

    path: Path
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def entries(self, host: str | None = None) -> tuple[Entry, ...]:
        """What was begun and not undone, in the order it was first begun.

        Raises JournalError for a line that is not the last and cannot be read.
        """
        return standing(self._events(), host)

    def begin(
        self, host: str, address: str, step: str, on: str, before: Mapping[str, Any], context: str
    ) -> None:
        """Before a step is applied: ``before`` is what its check read just now."""
        self._append(
            {"event": BEGIN, "host": host, "address": address, "step": step, "on": on}
            | {"before": dict(before), "context": context}
        )

    def done(self, host: str, step: str) -> None:
        """After a step was applied and its check found all right."""
        self._append({"event": DONE, "host": host, "step": step})

    def failed(self, host: str, step: str, error: str) -> None:
        """After a step did not do what it says."""
        self._append({"event": FAILED, "host": host, "step": step, "error": error})

    def undone(self, host: str, step: str) -> None:
        """After a step was taken back."""
        self._append({"event": UNDONE, "host": host, "step": step})

    def _append(self, event: Mapping[str, Any]) -> None:
        line = json.dumps({"time": round(time.time(), 3), **event}, ensure_ascii=False) + "\n"
        with self._lock:
            new = not self.path.exists()
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(handle, "r+b", buffering=0) as stream:
                stream.seek(_whole(stream.read()))
                stream.truncate()
                stream.write(line.encode())
                os.fsync(handle)
            if new:
                _sync_folder(self.path.parent)

    def _events(self) -> list[dict[str, Any]]:
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise JournalError(f"cannot read {self.path}: {error.strerror}") from error
        lines = data[: _whole(data)].splitlines()
        return [_event(line, f"{self.path}:{number}") for number, line in enumerate(lines, 1)]


def _whole(data: bytes) -> int:
    """How many bytes are whole lines; what follows was torn."""
    return data.rfind(b"\n") + 1


def _event(line: bytes, where: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        event = json.loads(line)
        if isinstance(event, dict) and event.get("event") in EVENTS:
            return event
    raise JournalError(
        f"{where} is not an event of a journal",
        hint="something else wrote into it; what it says of other steps is whole",
    )


def standing(events: Iterable[Mapping[str, Any]], host: str | None = None) -> tuple[Entry, ...]:
    """How the steps stand after these events; a pure function of them."""
    found: dict[tuple[str, str], Entry] = {}
    for number, event in enumerate(events):
        key = event["host"], event["step"]
        known = found.get(key)
        if event["event"] == BEGIN:
            entry = Entry(
                *key[:1], event["address"], key[1], event["on"], BEGIN, event["before"],
                event["context"], number, event["time"],
            )  # fmt: skip
            if known is not None:  # tried again: what was there before the first try still counts
                entry = replace(entry, before=known.before, began=known.began)
            found[key] = entry
        elif known is not None and event["event"] == UNDONE:
            del found[key]
        elif known is not None:
            found[key] = replace(
                known, event=event["event"], time=event["time"], error=event.get("error")
            )
    ordered = sorted(found.values(), key=lambda entry: entry.began)
    return tuple(entry for entry in ordered if host is None or entry.host == host)


def _sync_folder(folder: Path) -> None:
    """So that the new file's name survives a crash too."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
