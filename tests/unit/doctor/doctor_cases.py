"""The cases under ``cases/``: facts, a configuration or log lines in, a rule with evidence out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from paddock.deploy.doctor import Config, Finding, Subject, Wish, diagnose
from paddock.deploy.doctor.mindformers import parse_config
from paddock.deploy.host import Host, probe, recording

HERE = Path(__file__).parent
HOSTS = HERE.parents[1] / "hosts"
FILES = HERE / "files"
KEYS = {
    *("rule", "covers", "facts", "recording", "config", "config_file", "wish", "logs"),
    *("evidence", "where", "fix", "mended", "mended_config", "mended_wish", "source"),
}


@dataclass(frozen=True)
class Case:
    """One case; ``name`` says where it stands."""

    name: str
    entry: dict[str, Any]

    @property
    def rule(self) -> str:
        return str(self.entry["rule"])

    @property
    def looks(self) -> bool:
        """Whether it has something that a check looks at, and not only log lines."""
        return bool(self.entry.keys() & {"facts", "recording", "config", "config_file"})

    @property
    def mended(self) -> bool:
        return any(key.startswith("mended") for key in self.entry)

    def subject(self, *, mended: bool = False) -> Subject:
        entry = self.entry
        if "recording" in entry:
            host = probe.read(recording.load(HOSTS / entry["recording"]))
        else:
            raw = entry.get("facts", {})
            raw = merged(raw, entry.get("mended", {})) if mended else raw
            host = Host.from_json(json.dumps(raw))
        text = entry.get("config", "")
        if "config_file" in entry:
            text = (FILES / entry["config_file"]).read_text(encoding="utf-8")
        if mended and "mended_config" in entry:
            text = entry["mended_config"]
        configs: tuple[Config, ...] = (parse_config(text, "run.yaml"),) if text else ()
        wish = dict(entry.get("wish", {}))
        if mended and "mended_wish" in entry:
            wish = entry["mended_wish"]
        return Subject(host, configs, Wish(**{**wish, "ports": tuple(wish.get("ports", ()))}))

    def found(self, *, mended: bool = False) -> dict[str, Finding]:
        return {f.rule.id: f for f in diagnose(self.subject(mended=mended)).findings}


def merged(facts: Any, patch: Any) -> Any:
    """RFC 7396, for mappings: what the patch has replaces what the facts have."""
    if not isinstance(patch, dict) or not isinstance(facts, dict):
        return patch
    return {**facts, **{key: merged(facts.get(key), value) for key, value in patch.items()}}


def load() -> list[Case]:
    """All cases; refuses a key that nobody reads."""
    found = []
    for path in sorted((HERE / "cases").glob("*.yaml")):
        for number, entry in enumerate(yaml.safe_load(path.read_text(encoding="utf-8")), 1):
            unknown = entry.keys() - KEYS
            assert not unknown, f"{path.name}, case {number}: unknown {unknown}"
            found.append(Case(f"{path.stem}-{number}-{entry['rule']}", entry))
    return found


CASES = load()
