"""Writes docs/reference/rules.md from the doctor's rules; --check only says if it is stale."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from paddock.deploy.doctor import Rule, load
from paddock.deploy.doctor.rule import LAYERS, SEVERITIES

TARGET = Path(__file__).parents[1] / "docs" / "reference" / "rules.md"

HEAD = """\
# The doctor's rules

<!-- Written by scripts/gen_rules_docs.py from src/paddock/deploy/doctor/data; do not edit. -->

What `paddock doctor` looks for: {count} rules, by what stands on what. **blocks**: it does not
run; **wrong**: it runs and answers wrongly; **slows**: it is slow; **warns**: it may fail;
**notes**: good to know. The first two make the exit code 1. *machine* means that the facts of a
machine or a configuration show it, *log* that a text does.
[How to read findings and add rules](../guides/doctor.md).
"""


def cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def code(text: str) -> str:
    """Code in a table's cell; HTML, because a pipe in backticks would need a backslash there."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return (
        f"<code>{escaped.replace('|', '&#124;').replace('*', '&#42;').replace('_', '&#95;')}</code>"
    )


def section(layer: str, rules: list[Rule]) -> Iterator[str]:
    yield f"## {layer}\n"
    for rule in rules:
        seen = [word for word, has in (("machine", rule.check), ("log", rule.patterns)) if has]
        yield f"### {rule.id}\n"
        yield f"**{rule.severity}**: {rule.title} ({', '.join(seen)}).\n"
        yield f"{rule.cause}\n"
        yield "| fix | safe |\n|---|---|"
        for fix in rule.fixes:
            text = code(fix.run) if fix.run else cell(fix.do)
            yield f"| {text} | {'yes' if fix.safe else ''} |"
        yield f"\n[Source]({rule.source})\n"


def render() -> str:
    """The whole page."""
    rules = load()
    parts = [HEAD.format(count=len(rules))]
    parts.append("| severity | rules |\n|---|---|")
    for severity in SEVERITIES:
        links = [f"[{r.id}](#{r.id.replace('.', '')})" for r in rules if r.severity == severity]
        parts.append(f"| {severity} | {', '.join(links)} |")
    parts.append("")
    for layer in LAYERS:
        parts += section(layer, [rule for rule in rules if rule.layer == layer])
    return "\n".join(parts)


def main() -> int:
    """Writes the page, or compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = render()
    if not check:
        TARGET.parent.mkdir(parents=True, exist_ok=True)
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != text:
        print(f"{TARGET.name} is stale; run scripts/gen_rules_docs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
