"""What a diagnosis rule is made of; the data files are only a way to write it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

SEVERITIES = ("blocks", "wrong", "slows", "warns", "notes")
"""Worst first: it does not run; it runs and answers wrongly; it is slow; it may fail; good to know.
"""

BLOCKING = frozenset({"blocks", "wrong"})
"""What makes the exit code 1. A wrong answer that nobody notices is worse than none."""

LAYERS = (
    *("hardware", "driver", "access", "libraries", "cann", "python"),
    *("container", "network", "system", "model"),
)
"""What stands on what: of two findings of one severity the lower layer's is mended first. Each is a
data file."""


@dataclass(frozen=True, slots=True)
class Fix:
    """One step: ``run`` is a command, or it is empty and ``do`` says what a person does.

    ``{name}`` stands for a value of the evidence. ``safe`` may be run after one question: it only
    looks, or adds what is missing and nothing else depends on.
    """

    run: str = ""
    do: str = ""
    safe: bool = False

    def filled(self, values: Mapping[str, str]) -> Fix:
        """The step with values in place; what no evidence tells stays as ``<name>``.

        A step stays safe only if all its values are known and plain: they may come from a log, and
        whoever wrote the log must not get to write commands.
        """
        wanted = {match[1]: values.get(match[1], "") for match in _PLACE.finditer(self.run)}
        safe = self.safe and all(_PLAIN.fullmatch(value) for value in wanted.values())

        def word(match: re.Match[str]) -> str:
            value = values.get(match[1], "")
            return (
                (value if _PLAIN.fullmatch(value) else shlex.quote(value))
                if value
                else _open(match)
            )

        run = _PLACE.sub(word, self.run)
        do = _PLACE.sub(lambda match: values.get(match[1]) or _open(match), self.do)
        return Fix(run, do, safe)

    @property
    def open(self) -> bool:
        """Whether a value is still to be put in by hand."""
        return bool(re.search(r"<[a-z_]+>", self.run))


def _open(match: re.Match[str]) -> str:
    return f"<{match[1]}>"


_PLAIN = re.compile(r"[\w@%+=:,./][\w@%+=:,./-]*", re.ASCII)
"""What means itself to every shell, in quotes and out of them, and is no option."""

_PLACE = re.compile(r"(?<![${])\{([a-z_]+)\}(?!\})")
"""``{name}``, and neither the shell's ``${name}`` nor docker's ``{{end}}``."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """A text that betrays the rule in a log. Named groups are values for the fix.

    ``strength`` orders what one log shows: 3 names the cause, 2 is typical, 1 occurs with many.
    """

    regex: re.Pattern[str]
    strength: int = 2


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing that goes wrong. ``check`` names a function in ``checks``, ``args`` are its own.

    ``yields_to`` are rules that say the same more exactly: with one of them found, this one is
    left out.
    """

    id: str
    severity: str
    layer: str
    title: str
    cause: str
    fixes: tuple[Fix, ...]
    source: str
    patterns: tuple[Pattern, ...] = ()
    check: str = ""
    args: Mapping[str, str] = field(default_factory=dict)
    yields_to: tuple[str, ...] = ()
