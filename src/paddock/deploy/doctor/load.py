"""Reads the rules from their TOML files, once per process, and refuses what is not well-formed."""

from __future__ import annotations

import importlib
import re
import sys
import threading
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from paddock.deploy.doctor.checks import CHECKS
from paddock.deploy.doctor.rule import LAYERS, SEVERITIES, Fix, Pattern, Rule
from paddock.errors import CatalogError, nearest

DATA = Path(__file__).parent / "data"

KEYS = frozenset(
    {"id", "severity", "title", "cause", "source", "fix", "log", "check", "args", "yields_to"}
)
FORBIDDEN = re.compile(
    r"\.run\b|npu-smi (?:set|upgrade)|\breboot\b|\b(?:ins|rm)mod\b|\bmodprobe\b|\bupgrade-tool\b"
    r"|nvidia-(?:driver|firmware)|npu-(?:driver|firmware)|\bpaddock\b|\brm\b|\bkill\b|\bdd\b|\bmkfs|>\s*/dev/"
)
"""What a step that is marked safe may not do: change a driver or firmware, remove, end, or call
Paddock, which need not be on the machine where the step runs."""


_READING = threading.Lock()


def load(folder: Path = DATA) -> tuple[Rule, ...]:
    """The rules in ``folder`` in the order of LAYERS, then of the files.

    Raises CatalogError naming the file, the rule and what is wrong with it.
    """
    with _READING:  # threads that want them at once: one reads, the others wait for it
        return _load(folder)


@lru_cache(maxsize=4)
def _load(folder: Path) -> tuple[Rule, ...]:
    rules: dict[str, Rule] = {}
    if strange := sorted({p.stem for p in folder.glob("*.toml")} - set(LAYERS)):
        raise CatalogError(
            f"{strange[0]}.toml: no such layer of rules", hint=f"known are {', '.join(LAYERS)}"
        )
    for layer in LAYERS:
        path = folder / f"{layer}.toml"
        for entry in _read(path) if path.exists() else ():
            rule = _rule(entry, layer)
            if rule.id in rules:
                raise CatalogError(f"{path.name}: the rule {rule.id!r} is there twice")
            rules[rule.id] = rule
    if not rules:
        raise CatalogError(f"there are no rules in {folder}")
    for rule in rules.values():
        for other in rule.yields_to:
            if other not in rules:
                raise CatalogError(f"rule {rule.id!r} yields to {other!r}{nearest(other, rules)}")
    return tuple(rules.values())


def _read(path: Path) -> list[dict[str, Any]]:
    toml = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    try:
        document: dict[str, Any] = toml.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CatalogError(f"cannot read {path.name} of the rules: {error}") from error
    if document.keys() != {"rule"} or not isinstance(document["rule"], list):
        raise CatalogError(f"{path.name}: it must hold [[rule]] tables and nothing else")
    return document["rule"]


def _rule(entry: Mapping[str, Any], layer: str) -> Rule:
    name = _text(entry, "id", f"a rule in {layer}.toml")
    where = f"rule {name!r}"
    if unknown := sorted(entry.keys() - KEYS):
        raise CatalogError(f"{where}: unknown key {unknown[0]!r}{nearest(unknown[0], KEYS)}")
    if not re.fullmatch(r"[a-z0-9]+(?:-[a-z0-9.]+)*", name):
        raise CatalogError(f"{where}: an id is words of small letters joined by dashes")
    severity, check = _text(entry, "severity", where), entry.get("check", "")
    if severity not in SEVERITIES:
        raise CatalogError(f"{where}: severity {severity!r} is none of {', '.join(SEVERITIES)}")
    if check and check not in CHECKS:
        raise CatalogError(f"{where}: no check {check!r}{nearest(check, CHECKS)}")
    if not check and not entry.get("log"):
        raise CatalogError(f"{where}: it has neither a check nor a text in logs")
    if not entry.get("fix"):
        raise CatalogError(f"{where}: it says nothing of how to mend it")
    return Rule(
        id=name,
        severity=severity,
        layer=layer,
        title=_text(entry, "title", where),
        cause=_text(entry, "cause", where),
        fixes=tuple(_fix(step, where) for step in entry["fix"]),
        source=_text(entry, "source", where),
        patterns=tuple(_pattern(each, where) for each in entry.get("log", ())),
        check=check,
        args=entry.get("args", {}),
        yields_to=tuple(entry.get("yields_to", ())),
    )


def _fix(step: Mapping[str, Any], where: str) -> Fix:
    if bool(step.get("run")) == bool(step.get("do")) or step.keys() - {"run", "do", "safe"}:
        raise CatalogError(f"{where}: a step of the fix has either run or do, and may have safe")
    fix = Fix(step.get("run", ""), step.get("do", ""), step.get("safe", False))
    if fix.safe and (not fix.run or FORBIDDEN.search(fix.run)):
        raise CatalogError(f"{where}: {fix.run or fix.do!r} cannot be marked safe")
    return fix


def _pattern(entry: str | Mapping[str, Any], where: str) -> Pattern:
    text, strength = (entry, 2) if isinstance(entry, str) else (entry["text"], entry["strength"])
    try:
        return Pattern(re.compile(text), strength)
    except re.error as error:
        raise CatalogError(f"{where}: {text!r} is not a regular expression: {error}") from error


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value.strip():
        raise CatalogError(f"{where}: {name} is missing")
    return value
