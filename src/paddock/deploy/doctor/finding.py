"""What the doctor says: evidence, findings and the report they make up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from paddock.deploy.doctor.rule import BLOCKING, Fix, Rule


@dataclass(frozen=True, slots=True)
class Evidence:
    """A fact and where it was read; ``values`` fill the commands of the fix."""

    fact: str
    where: str
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that applies, with everything that says so and the steps that mend it.

    ``strength`` is that of its best evidence, as in ``Pattern``; a check's is 3.
    """

    rule: Rule
    evidence: tuple[Evidence, ...]
    strength: int = 2

    @property
    def sure(self) -> bool:
        """False where all that speaks for it is a text that many failures share."""
        return self.strength > 1

    @property
    def blocking(self) -> bool:
        """Whether it must be mended before anything else is worth trying."""
        return self.sure and self.rule.severity in BLOCKING

    @property
    def fixes(self) -> tuple[Fix, ...]:
        """The steps; one that names a value of the evidence once for each different value."""
        steps: dict[Fix, None] = {}
        together: dict[str, str] = {}
        for each in reversed(self.evidence):
            together |= each.values
        for fix in self.rule.fixes:
            for each in self.evidence:
                steps[fix.filled({**together, **each.values})] = None
        return tuple(steps)

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain JSON values."""
        return {
            "id": self.rule.id,
            "severity": self.rule.severity,
            "blocking": self.blocking,
            "sure": self.sure,
            "title": self.rule.title,
            "evidence": [{"fact": e.fact, "where": e.where} for e in self.evidence],
            "cause": self.rule.cause,
            "fix": [
                {"run": f.run, "safe": f.safe} if f.run else {"do": f.do, "safe": False}
                for f in self.fixes
            ],
            "source": self.rule.source,
        }


@dataclass(frozen=True, slots=True)
class Report:
    """Findings, worst first. ``target`` is what was looked at, ``rules`` how many were tried.

    ``unread`` says what could not be read, so that nobody takes silence for health.
    """

    target: str
    findings: tuple[Finding, ...]
    rules: int
    unread: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 nothing blocks, 1 something does."""
        return int(any(finding.blocking for finding in self.findings))

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return {
            "target": self.target,
            "healthy": self.exit_code == 0,
            "findings": [finding.to_dict() for finding in self.findings],
            "rules": self.rules,
            "unread": list(self.unread),
        }
