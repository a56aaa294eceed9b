"""Programs of many checks in one round trip: each alone costs processes at both ends and a wait."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paddock.deploy.step.machine import Machine
from paddock.errors import RunnerError
from paddock.shell import TIMEOUT, Output, Runner, read_by_cat

Ask = tuple[str, ...]
"""The words of a program."""

ALL_S = 180.0
"""Seconds for all programs of one round trip: on a busy machine an interpreter starts for many."""

# env as in a round trip of its own: what is not there ends with 127.
_EACH = r"""
each() { # WORDS...: both outputs end with the mark; the exit code stands beside it
  env "$@" </dev/null
  printf '\n%s %s\n' "$mark" $?
  printf '\n%s\n' "$mark" >&2
}
"""


def together(machine: Machine, asked: Sequence[Ask]) -> Machine:
    """Runs these programs, which only read; gives the machine with their answers in hand.

    Who runs one of them on it (without stdin) has its answer of now; everything else goes to the
    machine itself. Where the round trip fails none is in hand, so that whoever asks meets the
    error in the program that it belongs to.
    """
    wanted = tuple(dict.fromkeys(asked))
    if len(wanted) < 2:
        return machine
    mark = secrets.token_hex(16)
    lines = [f"mark={mark}", _EACH, *(f"each {shlex.join(words)}" for words in wanted), ""]
    try:
        output = machine.run(["sh", "-s"], stdin="\n".join(lines), timeout=ALL_S)
    except RunnerError:
        return machine
    answers = dict(zip(wanted, _answers(output, mark), strict=False))
    return Machine(_Knowing(machine.runner, answers), machine.folder)


def _answers(output: Output, mark: str) -> list[Output]:
    """What each program gave back; fewer than were run where it was cut short."""
    out = re.split(rb"\n%s (\d+)\n" % mark.encode(), output.raw or output.stdout.encode())
    err = output.stderr.split(f"\n{mark}\n")
    return [
        Output(int(code), raw.decode(errors="replace"), said, output.seconds, raw)
        for raw, code, said in zip(out[:-1:2], out[1::2], err[:-1], strict=False)
    ]


@dataclass(frozen=True, slots=True)
class _Knowing:
    """A Runner with answers in hand."""

    inner: Runner
    answers: Mapping[Ask, Output]

    @property
    def target(self) -> str:
        return self.inner.target

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        known = None if stdin else self.answers.get(tuple(argv))
        if known is not None:
            return known
        return self.inner.run(argv, timeout=timeout, stdin=stdin)

    def read(self, path: str) -> str | None:
        if cat(path) in self.answers:
            return read_by_cat(self, path)
        return self.inner.read(path)


def sh(script: str, *words: str) -> Ask:
    """The words that ``Machine.sh`` runs."""
    return ("sh", "-c", script, "sh", *words)


def cat(path: str) -> Ask:
    """The words that read a file."""
    return ("cat", "--", path)
