"""Tries every rule on a subject and on texts, and puts the findings in order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from paddock.deploy.doctor.checks import CHECKS
from paddock.deploy.doctor.finding import Evidence, Finding, Report
from paddock.deploy.doctor.load import load
from paddock.deploy.doctor.rule import LAYERS, SEVERITIES, Rule
from paddock.deploy.doctor.subject import Subject
from paddock.deploy.host.facts import NOT_ASKED

LINE_READ = 2000
"""Characters of a log's line that are looked at: an error says its name early, and a line of
megabytes would be searched for minutes."""
LINE_SHOWN = 300
"""Characters of a log's line that a finding quotes."""
LINES_QUOTED = 3
"""Lines of a log that a finding quotes; more of the same say nothing new."""


def diagnose(
    subject: Subject,
    logs: Mapping[str, str] | None = None,
    *,
    rules: Sequence[Rule] | None = None,
) -> Report:
    """Everything that is wrong, worst first, with the evidence from wherever it was read.

    ``logs`` are texts by name. A pure function of its arguments; never raises for facts that are
    missing.
    """
    rules = load() if rules is None else rules
    found: dict[str, tuple[list[Evidence], int]] = {}
    for rule in rules:
        check = CHECKS.get(rule.check)
        evidence = list(check(subject, rule.args)) if check else []
        if evidence:
            found[rule.id] = (evidence, 3)
    checked = set(found)
    texts = [(*text, True) for text in (logs or {}).items()]
    texts += [(*text, False) for text in _said(subject)]
    for name, text, brought in texts:
        for finding in read_log(text, name, rules=rules):
            if finding.rule.id in checked and not brought:
                continue  # the check read the same words
            evidence, strength = found.setdefault(finding.rule.id, ([], 0))
            evidence += finding.evidence
            found[finding.rule.id] = (evidence, max(strength, finding.strength))
    findings = [
        Finding(rule, _once(found[rule.id][0]), found[rule.id][1])
        for rule in rules
        if rule.id in found and not found.keys() & set(rule.yields_to)
    ]
    host = subject.host
    unread = tuple(
        f"{note.what} ({note.where}: {note.why})" for note in host.notes if note.why != NOT_ASKED
    )
    # Of a log the surest explanation is wanted first, of a machine what blocks most.
    findings.sort(key=lambda f: (-f.strength if logs else 0, *_order(f)))
    return Report(host.target, tuple(findings), len(rules), unread)


def read_log(
    text: str, name: str = "log", *, rules: Sequence[Rule] | None = None
) -> tuple[Finding, ...]:
    """The rules behind an error log, the surest first, each with the lines that name it.

    Of rules that match equally surely, the worse one and then the lower layer's goes first.
    """
    rules = load() if rules is None else rules
    found: dict[str, tuple[list[Evidence], int]] = {}
    lines = [line[:LINE_READ] for line in text.splitlines()]
    text = "\n".join(lines)
    # Most rules match nowhere in a text: only the others go through it line by line.
    candidates = [r for r in rules if any(p.regex.search(text) for p in r.patterns)]
    for number, line in enumerate(lines if candidates else (), 1):
        for rule in candidates:
            best = _match(rule, line)
            if best is None:
                continue
            evidence, strength = found.setdefault(rule.id, ([], 0))
            if len(evidence) < LINES_QUOTED:
                match = best[1]
                values = {key: value for key, value in match.groupdict().items() if value}
                evidence.append(Evidence(_quote(line, match.start()), f"{name}:{number}", values))
            found[rule.id] = (evidence, max(strength, best[0]))
    findings = [
        Finding(rule, _once(found[rule.id][0]), found[rule.id][1])
        for rule in rules
        if rule.id in found and not found.keys() & set(rule.yields_to)
    ]
    return tuple(sorted(findings, key=lambda f: (-f.strength, *_order(f))))


def _match(rule: Rule, line: str) -> tuple[int, re.Match[str]] | None:
    """The strength of the best pattern in a line and its match."""
    best: tuple[int, re.Match[str]] | None = None
    for pattern in rule.patterns:
        match = pattern.regex.search(line)
        if match and (best is None or pattern.strength > best[0]):
            best = pattern.strength, match
    return best


def _quote(line: str, place: int) -> str:
    """The line, or of a long one the part around ``place``."""
    if len(line.strip()) <= LINE_SHOWN:
        return line.strip()
    begin = max(0, min(place - LINE_SHOWN // 3, len(line) - LINE_SHOWN + 2))
    part = line[begin : begin + LINE_SHOWN - 2]
    end = "…" if begin + LINE_SHOWN - 2 < len(line) else ""
    return ("…" if begin else "") + part.strip() + end


def _said(subject: Subject) -> Iterator[tuple[str, str]]:
    """What the machine's own tools printed instead of an answer: logs in small."""
    smi, nvidia = subject.ascend.npu_smi, subject.host.nvidia
    if smi is not None and smi.error:
        yield "npu-smi info", smi.error
    if nvidia is not None and nvidia.error:
        yield "nvidia-smi", nvidia.error
    for engine in subject.host.engines:
        if engine.problem:
            yield f"{engine.name} info", engine.problem


def _once(evidence: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Each fact of a place once, in the order found."""
    kept: dict[tuple[str, str], Evidence] = {}
    for each in evidence:
        kept.setdefault((each.fact, each.where), each)
    return tuple(kept.values())


def _order(finding: Finding) -> tuple[int, int]:
    rule = finding.rule
    return SEVERITIES.index(rule.severity), LAYERS.index(rule.layer)
