"""Writes docs/reference/catalog.md from the catalogue's data; --check only says if it is stale."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from paddock.deploy.catalog import Catalog, Level, Pairing, load

TARGET = Path(__file__).parents[1] / "docs" / "reference" / "catalog.md"

HEAD = """\
# The catalogue

<!-- Written by scripts/gen_catalog_docs.py from the data files; do not edit. -->

What works with what, as `paddock catalog` shows it and [the resolver](../concepts/resolver.md) uses
it. [How to add a release](../guides/releases.md).
"""


def cell(text: str) -> str:
    """Text inside a table."""
    return " ".join(text.split()).replace("|", "\\|")


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def components(catalog: Catalog) -> Iterator[str]:
    yield "## Components\n"
    rows = []
    for component in catalog.components.values():
        mine = [p for p in catalog.pairings if component.id in (p.subject, p.object)]
        newest = catalog.newest_first(component.id)[0]
        count = len(catalog.releases[component.id])
        others = f"{count}, and any other" if component.open else str(count)
        title = cell(component.title)
        rows.append((f"`{component.id}`", title, others, f"`{newest}`", str(len(mine))))
    yield table(("id", "what", "releases", "newest or first", "pairings"), rows)


def recipes(catalog: Catalog) -> Iterator[str]:
    yield "## What a stack consists of\n"
    yield (
        "Most important first: the newness of a stack is decided in this order. In brackets what"
        " takes part only if asked for or known of the host.\n"
    )
    rows = []
    for recipe in catalog.recipes:
        names = [f"[{n}]" if n in recipe.on_demand else n for n in recipe.components]
        rows.append((recipe.framework, recipe.accelerator, ", ".join(names)))
    yield table(("framework", "on", "components"), rows)


def matched(catalog: Catalog) -> Iterator[str]:
    yield "## Matched pairs of CANN and driver\n"
    yield "Beside them the version files decide; see [the rule](../concepts/resolver.md).\n"
    found: dict[tuple[str, str], list[Pairing]] = {}
    for pairing in catalog.by_pair["cann", "driver"]:
        if pairing.level is not Level.reported_bad:
            found.setdefault((pairing.subjects.text, pairing.objects.text), []).append(pairing)
    order = {version: i for i, version in enumerate(catalog.newest_first("cann"))}
    rows = [
        (cann, driver, rows[0].level.value, ", ".join(link(catalog, p) for p in rows))
        for (cann, driver), rows in sorted(found.items(), key=lambda item: order[item[0][0]])
    ]
    yield table(("CANN", "driver", "level", "source"), rows)


def bad(catalog: Catalog) -> Iterator[str]:
    yield "## Reported bad\n"
    yield "`--allow ID` accepts one of them.\n"
    rows = [
        (
            f"`{p.id}`",
            cell(f"{p.subject} {p.subjects.text}"),
            cell(f"{p.object} {p.objects.text}") if p.object != "arch" else "",
            cell(p.why),
            link(catalog, p),
        )
        for p in catalog.pairings
        if p.level is Level.reported_bad
    ]
    yield table(("id", "what", "with", "because", "source"), rows)


def needs(catalog: Catalog) -> Iterator[str]:
    yield "## What a component asks for beside itself\n"
    rows = []
    for need in catalog.asked:
        source = catalog.sources[need.source]
        names = cell(", ".join(f"`{name}`" for name in need.packages))
        rows.append((need.component, need.manager, names, f"[{source.id}]({source.url})"))
    yield table(("what", "manager", "packages", "source"), rows)


def link(catalog: Catalog, pairing: Pairing) -> str:
    source = catalog.sources[pairing.source]
    return f"[{source.id}]({source.url})"


def sources(catalog: Catalog) -> Iterator[str]:
    yield "## Sources\n"
    used = Counter(
        entry.source
        for entries in (
            *(catalog.pairings, catalog.artifacts, catalog.asked),
            *catalog.releases.values(),
        )
        for entry in entries
    )
    rows = [
        (f"`{s.id}`", f"[{cell(s.title)}]({s.url})", str(s.read), str(used[s.id]))
        for s in sorted(catalog.sources.values(), key=lambda s: s.id)
    ]
    yield table(("id", "what", "read", "statements"), rows)


def render() -> str:
    """The whole page."""
    catalog = load()
    parts = [HEAD]
    for section in (components, recipes, matched, bad, needs, sources):
        parts += section(catalog)
    return "\n".join(parts)


def main() -> int:
    """Writes the page, or compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    text = render()
    if not check:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.is_file() or TARGET.read_text(encoding="utf-8") != text:
        print(f"{TARGET.name} is stale; run scripts/gen_catalog_docs.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
