"""Every rule by its cases: found with the right evidence, and gone when the cause is gone."""

from __future__ import annotations

import re
import shlex

import pytest
from doctor_cases import CASES, FILES, Case

from paddock.deploy import doctor
from paddock.deploy.doctor import Rule
from paddock.deploy.doctor.load import FORBIDDEN

RULES = {rule.id: rule for rule in doctor.load()}
LOOKING = [case for case in CASES if case.looks]
LINES = [(case, line) for case in CASES for line in case.entry.get("logs", ())]
HEALTHY = (FILES / "healthy.log").read_text(encoding="utf-8")


def name(value: object) -> str:
    return value.name if isinstance(value, Case) else str(value)[:40]


@pytest.mark.parametrize("case", LOOKING, ids=name)
def test_the_rule_is_found_with_its_evidence(case: Case) -> None:
    found = case.found()
    assert case.rule in found, f"found were {sorted(found)}"
    finding = found[case.rule]
    facts = [evidence.fact for evidence in finding.evidence]
    assert case.entry["evidence"], "a finding without evidence is an opinion"
    for wanted in case.entry["evidence"]:
        assert any(wanted in fact for fact in facts), f"{wanted!r} is in none of {facts}"
    for wanted in case.entry.get("where", ()):
        assert wanted in [evidence.where for evidence in finding.evidence]
    for wanted in case.entry.get("fix", ()):
        steps = [fix.run or fix.do for fix in finding.fixes]
        assert any(wanted in step for step in steps), f"{wanted!r} is in none of {steps}"


@pytest.mark.parametrize("case", [case for case in LOOKING if case.mended], ids=name)
def test_the_rule_is_gone_when_the_cause_is(case: Case) -> None:
    assert case.rule not in case.found(mended=True)


@pytest.mark.parametrize(("case", "line"), LINES, ids=name)
def test_the_rule_behind_a_line_of_a_log(case: Case, line: str) -> None:
    text = f"{HEALTHY}{line}\n{HEALTHY}"
    found = doctor.read_log(text, "train.log")
    assert found and found[0].rule.id == case.rule, [f.rule.id for f in found]
    evidence = found[0].evidence[0]
    assert evidence.where == f"train.log:{HEALTHY.count(chr(10)) + 1}"
    assert evidence.fact == line.strip()


def test_values_of_a_log_line_are_put_into_the_fix() -> None:
    for case in CASES:
        if "logs" in case.entry and "fix" in case.entry:
            found = doctor.read_log("\n".join(case.entry["logs"]))[0]
            for wanted in case.entry["fix"]:
                assert any(wanted in fix.run or wanted in e.fact
                           for fix in found.fixes for e in found.evidence)  # fmt: skip


def test_a_healthy_log_has_no_rule() -> None:
    assert doctor.read_log(HEALTHY) == ()


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_every_rule_has_a_positive_and_a_negative_case(rule: Rule) -> None:
    """The negative of a pattern is the healthy log; that of a check is the mended subject."""
    cases = [case for case in CASES if case.rule == rule.id]
    if rule.check:
        assert any(case.looks for case in cases), "no case for its check"
        assert any(case.mended for case in cases), "no case in which it is mended"
    lines = [line for case in cases for line in case.entry.get("logs", ())]
    for pattern in rule.patterns:
        assert any(pattern.regex.search(line) for line in lines), f"no line for {pattern.regex}"
        assert not pattern.regex.search(HEALTHY)


def test_no_case_is_of_a_rule_that_is_not_there() -> None:
    assert {case.rule for case in CASES} <= RULES.keys()


def test_all_rules_of_public_threads_are_covered() -> None:
    table = (FILES / "rules_of_public_threads.tsv").read_text(encoding="utf-8")
    wanted = set(re.findall(r"^(R\d\d)\t", table, flags=re.M))
    assert len(wanted) == 32
    assert {case.entry["covers"] for case in CASES if "covers" in case.entry} == wanted


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_every_rule_is_written_as_the_guide_asks(rule: Rule) -> None:
    assert re.fullmatch(r"https://\S+", rule.source)
    assert rule.title == rule.title.strip() and not rule.title.endswith(".")
    assert rule.cause.endswith((".", ".)"))
    for fix in rule.fixes:
        assert not (fix.safe and FORBIDDEN.search(fix.run))
        if fix.run:
            shlex.split(fix.run, comments=True)  # quotes are closed
    assert any(fix.run or fix.do for fix in rule.fixes)


def test_nothing_safe_touches_a_driver_or_removes_anything() -> None:
    words = ("firmware", "driver_", "rmmod", "reboot", "rm ", "stop", "restart", "pip", "sed -i")
    for rule in RULES.values():
        for fix in rule.fixes:
            assert not (fix.safe and any(word in fix.run for word in words)), fix.run


def test_the_rules_that_say_less_give_way() -> None:
    both = "DrvMngGetConsoleLogLevel failed. (ret=4)\ndcmi module initialize failed. ret is -8005\n"
    assert [f.rule.id for f in doctor.read_log(both)] == ["driver-does-not-start"]


def test_the_surest_rule_of_a_log_comes_first() -> None:
    text = "socket timeout\nDataLoader: Bus error\nNPU function error, error code is 507033\n"
    found = doctor.read_log(text)
    ids = ["driver-older-than-cann", "hccl-connection", "shared-memory-small"]
    assert [f.rule.id for f in found] == ids
    assert [f.sure for f in found] == [True, False, False]
    assert [f.blocking for f in found] == [True, False, False]
