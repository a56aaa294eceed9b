"""Does one thing on many hosts at once: one that fails does not stop the others."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from paddock.deploy import doctor
from paddock.deploy.plan.events import Event, Tell
from paddock.deploy.stackfile import HostEntry, Stackfile
from paddock.errors import Interrupted, PaddockError, UsageError, nearest

T = TypeVar("T")

AT_ONCE = 16
"""Hosts that are worked on at the same time; a thread and an ssh each."""

PATIENCE = 20.0
"""Seconds that hosts get to come to a safe place once somebody wants it to end."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a host failed. ``log`` is the end of the step's output, ``diagnosis`` what the doctor
    reads in it: titles of rules with their fixes.
    """

    kind: str
    message: str
    hint: str | None = None
    step: str | None = None
    log: str = ""
    diagnosis: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The failure as plain JSON values."""
        return {
            "kind": self.kind,
            "message": self.message,
            "hint": self.hint,
            "step": self.step,
            "log": self.log.splitlines(),
            "diagnosis": [{"title": title, "fix": list(fix)} for title, fix in self.diagnosis],
        }


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """What came of one host: a value or a failure, and the seconds it took."""

    host: str
    address: str
    value: T | None = None
    failure: Failure | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return self.failure is None


def chosen(file: Stackfile, limit: Sequence[str]) -> tuple[HostEntry, ...]:
    """The hosts that ``limit`` names, by name or group; all without one. Raises UsageError."""
    if not limit:
        return file.hosts
    known = {entry.name for entry in file.hosts} | {g for e in file.hosts for g in e.groups}
    for word in limit:
        if word not in known:
            raise UsageError(
                f"there is no host or group {word!r}{nearest(word, known)}",
                hint=f"known are {', '.join(sorted(known))}",
            )
    wanted = set(limit)
    return tuple(e for e in file.hosts if wanted & {e.name, *e.groups})


@dataclass
class _Run(Generic[T]):
    """The threads of one call and what they bring back."""

    entries: Sequence[HostEntry]
    work: Callable[[HostEntry], T]
    tell: Tell
    results: dict[str, Result[T]] = field(default_factory=dict)
    crash: list[BaseException] = field(default_factory=list)

    def one(self, entry: HostEntry) -> None:
        began = time.monotonic()
        value, failure = None, None
        try:
            value = self.work(entry)
        except PaddockError as error:
            failure = explain(error)
            self.tell(Event(entry.name, "failed", failure.step or "", failure.message))
        except BaseException as error:
            self.crash.append(error)
            failure = Failure(type(error).__name__, str(error))
        seconds = time.monotonic() - began
        self.results[entry.name] = Result(entry.name, entry.address, value, failure, seconds)
        self.tell(Event(entry.name, "finished", "", "failed" if failure else "done"))


def each(
    entries: Sequence[HostEntry],
    work: Callable[[HostEntry], T],
    *,
    tell: Tell,
    stop: threading.Event,
    serial: bool = False,
) -> tuple[Result[T], ...]:
    """``work`` for every host, AT_ONCE at a time or one by one; results in the hosts' order.

    A PaddockError is that host's failure. Any other exception is raised here, after all are
    through. Ctrl-C sets ``stop``, gives the hosts PATIENCE seconds to come to a safe place and is
    raised again.
    """
    run = _Run(entries, work, tell)
    turns = threading.Semaphore(1 if serial else AT_ONCE)
    ends: list[threading.Event] = []

    def wait_and_work(entry: HostEntry, end: threading.Event) -> None:
        try:
            with turns:
                if not stop.is_set():
                    run.one(entry)
        finally:
            end.set()

    try:
        for entry in entries:
            ends.append(threading.Event())
            # daemons: a program that hangs on one host must not keep this one from ending
            args = (entry, ends[-1])
            threading.Thread(target=wait_and_work, args=args, daemon=True).start()
            if serial:
                _wait(ends[-1:], None)
        _wait(ends, None)
    except KeyboardInterrupt:
        stop.set()
        _wait(ends, time.monotonic() + PATIENCE)
        raise
    if run.crash:
        raise run.crash[0]
    missing = Failure("Interrupted", "not begun")
    return tuple(
        run.results.get(e.name, Result(e.name, e.address, failure=missing)) for e in entries
    )


def _wait(ends: Sequence[threading.Event], deadline: float | None) -> None:
    """Until all are through. Not by Thread.join, which takes a thread for ended when Ctrl-C comes
    while it waits (CPython 3.10 and 3.11).
    """
    for end in ends:
        while not end.wait(0.2):
            if deadline is not None and time.monotonic() > deadline:
                return


def explain(error: PaddockError) -> Failure:
    """The failure that an exception means, with what the doctor knows of its log."""
    log = getattr(error, "log", "")
    diagnosis = []
    if not isinstance(error, Interrupted):
        text = "\n".join((log, error.message))
        for finding in doctor.read_log(text):
            if finding.sure:
                fixes = tuple(fix.run or fix.do for fix in finding.fixes)
                diagnosis.append((finding.rule.title, fixes))
    return Failure(
        type(error).__name__,
        error.message,
        error.hint,
        getattr(error, "step", None),
        log,
        tuple(diagnosis[:2]),
    )
