"""Every case of tests/stacks: a host and a wish, and the stack or the sentences that must come."""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from paddock.deploy.catalog import load
from paddock.deploy.resolve import HostView, make, resolve
from paddock.errors import NoStack

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

STACKS = Path(__file__).parents[2] / "stacks"
CASES = sorted((STACKS / "cases").glob("*.toml"))
MISTAKES = range(1, 11)


def read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text(encoding="utf-8"))


@cache
def hosts() -> dict[str, Any]:
    return read(STACKS / "hosts.toml")


def answer(case: dict[str, Any]) -> Any:
    wish = dict(case["wish"])
    catalog = load()
    framework = wish.pop("framework")
    for name in ("pins", "allow", "with"):
        wish[name] = tuple(wish.get(name, ()))
    asked = make(catalog, framework, with_=wish.pop("with"), **wish)
    try:
        return resolve(catalog, HostView.from_dict(hosts()[case["host"]]), asked)
    except NoStack as error:
        return error


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = read(path)
    assert set(case) <= {"what", "host", "wish", "stack", "conflict"}
    assert ("stack" in case) != ("conflict" in case), "a stack or conflicts"
    found = answer(case)
    if "conflict" in case:
        assert isinstance(found, NoStack), found.to_dict()
        told = [
            {
                "cause": "; ".join(explanation.causes[0]),
                "corrections": [correction.sentence for correction in explanation.corrections],
            }
            for explanation in found.explanations
        ]
        assert told == case["conflict"]
        return
    assert not isinstance(found, NoStack), found
    expected = case["stack"]
    assert set(expected) <= {"level", "versions", "left_open", "notes", "files", "images"}
    assert found.level == expected["level"]
    assert {name: found.version(name) for name in expected["versions"]} == expected["versions"]
    software = {choice.component for choice in found.choices if choice.kind == "software"}
    assert software <= set(expected["versions"]), "the case names all software of the stack"
    assert set(expected.get("left_open", ())) <= set(found.left_open)
    for note in expected.get("notes", ()):
        assert any(note in line for line in found.notes), found.notes
    files = {file.name for file in found.files}
    assert set(expected.get("files", ())) <= files
    assert set(expected.get("images", ())) <= set(found.images)


def test_there_are_enough() -> None:
    assert len(CASES) >= 60
    names = " ".join(path.stem for path in CASES)
    for number in MISTAKES:
        assert f"n{number:02d}-" in names, f"mistake {number} of the notes has no case"


def test_every_host_is_used() -> None:
    assert {read(path)["host"] for path in CASES} == set(hosts())
