"""Recordings of real machines, each a folder: what they printed in, hand-checked facts out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from paddock.deploy.host import Host, probe, recording

FOLDERS = sorted(path.parent for path in Path(__file__).parent.glob("*/recording.toml"))


def facts(folder: Path) -> Host:
    return probe.read(recording.load(folder))


def to_compare(host: Host) -> dict[str, Any]:
    """The facts; of the notes those about what was recorded and not about what was not asked."""
    table = host.to_dict()
    table["notes"] = [note for note in table["notes"] if note["why"] != "it was not asked"]
    return table


def differences(expected: Any, found: Any, place: str = "") -> list[str]:
    """Where ``found`` differs from what is expected; keys that nobody expects do not count."""
    if isinstance(expected, dict) and isinstance(found, dict):
        unknown = [f"{place}.{key} is not a fact" for key in expected.keys() - found.keys()]
        shared = [key for key in expected if key in found]
        return unknown + [
            line
            for key in shared
            for line in differences(expected[key], found[key], f"{place}.{key}")
        ]
    if isinstance(expected, list) and isinstance(found, list | tuple):
        if len(expected) != len(found):
            return [f"{place} has {len(found)} entries instead of {len(expected)}: {found}"]
        return [
            line
            for i, (wanted, got) in enumerate(zip(expected, found, strict=True))
            for line in differences(wanted, got, f"{place}[{i}]")
        ]
    return [] if expected == found else [f"{place} is {found!r} instead of {expected!r}"]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_facts_are_the_hand_checked_ones(folder: Path) -> None:
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    assert len(expected) > 1 and "notes" in expected, "a recording without facts proves nothing"
    found = differences(expected, to_compare(facts(folder)))
    assert not found, "\n".join(found)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_facts_survive_json(folder: Path) -> None:
    host = facts(folder)
    assert Host.from_json(host.to_json()) == host


def test_every_recording_tells_its_source() -> None:
    for folder in FOLDERS:
        assert 'source = "' in (folder / "recording.toml").read_text(encoding="utf-8"), folder.name


def test_differences_finds_them() -> None:
    assert differences({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}], "c": 4}) == [
        ".a[1].b is 3 instead of 2"
    ]
    assert differences({"x": 1}, {"a": 1}) == [".x is not a fact"]
    assert differences({"a": [1]}, {"a": []}) == [".a has 0 entries instead of 1: []"]
