"""The guide says of every key what the code does with it."""

from __future__ import annotations

import re

from autotiny import ROOT

from paddock import __all__ as NAMES
from paddock.inference.auto import generation
from paddock.inference.auto.keys import KEYS

GUIDE = ROOT / "docs" / "guides" / "mindformers.md"


def rows() -> dict[str, str]:
    """First column (one or more names) -> second, of every table in the guide."""
    found = {}
    for line in GUIDE.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")] if line[:1] == "|" else []
        for name in re.findall(r"`(\w+)`", cells[0]) if len(cells) > 2 else []:
            found[name] = cells[1]
    return found


def test_every_key_and_its_fate() -> None:
    said = rows()
    assert {name: said.get(name) for name in KEYS} == {n: k.fate for n, k in KEYS.items()}


def test_every_generation_argument_and_public_name() -> None:
    text = GUIDE.read_text()
    missing = [n for n in (*generation.OPTIONS, *NAMES) if not re.search(rf"`[^`\n]*\b{n}\b", text)]
    assert not missing
