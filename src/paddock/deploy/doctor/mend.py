"""Makes a script of the fixes, and runs the steps that are marked safe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from paddock.deploy.doctor.finding import Finding, Report
from paddock.deploy.doctor.rule import Fix
from paddock.shell import Output, Runner

TIMEOUT = 300.0
"""Seconds that a safe step may take."""


@dataclass(frozen=True, slots=True)
class Step:
    """A safe step that was run, and what came of it."""

    finding: Finding
    fix: Fix
    output: Output


def script(report: Report) -> str:
    """A POSIX script of all fixes. Only safe steps are live, all others are comments to judge."""
    lines = ["#!/bin/sh", f"# Fixes for {_comment(report.target)}, by: paddock doctor --fix"]
    lines += ["# Lines that begin with '#!' are not safe unseen: read them and run them by hand."]
    for finding in report.findings:
        lines += ["", f"# {finding.rule.id}: {finding.rule.title}"]
        lines += [f"#   found: {_comment(e.fact)}  ({_comment(e.where)})" for e in finding.evidence]
        for fix in finding.fixes:
            if fix.safe:
                lines.append(fix.run)
            else:
                lines.append(f"#! {_comment(fix.run)}" if fix.run else f"#  {_comment(fix.do)}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> str:
    """Text on one line: a line break in a fact must not end the comment."""
    return " ".join(text.split())


def safe_steps(report: Report) -> tuple[tuple[Finding, Fix], ...]:
    """Every safe step once, in the order of the findings."""
    steps: dict[str, tuple[Finding, Fix]] = {}
    for finding in report.findings:
        for fix in finding.fixes:
            if fix.safe:
                steps.setdefault(fix.run, (finding, fix))
    return tuple(steps.values())


def run_safe(
    report: Report, runner: Runner, *, before: Callable[[Fix], None] = lambda fix: None
) -> Iterator[Step]:
    """Runs the safe steps on the machine, one after the other; ``before`` sees each first.

    A step that fails is an exit code, and the others run all the same. Raises RunnerError where
    the machine cannot be reached or a step does not end.
    """
    for finding, fix in safe_steps(report):
        before(fix)
        yield Step(finding, fix, runner.run(["sh", "-c", fix.run], timeout=TIMEOUT))
