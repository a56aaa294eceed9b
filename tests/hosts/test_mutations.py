"""Recordings that were cut, widened and blanked: each number stays what it was or is missing.

The rule that is proved: facts from a damaged recording hold no number (and no name, state or
version) that the whole recording does not have in the same place, and where something is missing
that was there, a note says so.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from test_recordings import FOLDERS

from paddock.deploy.host import Host, frames, probe, recording
from paddock.deploy.host.frames import Answer, Frame
from paddock.errors import PaddockError


def facts(parts: list[Frame]) -> Host:
    document = frames.compose(parts)
    return probe.host(document, target="mutation")


def cut(text: str) -> Iterator[str]:
    """The text up to each of its lines; of a table, also up to the middle of each."""
    lines = text.splitlines()
    for count, line in enumerate(lines):
        yield "\n".join(lines[:count])
        if line.startswith("|"):
            yield "\n".join([*lines[:count], line[: len(line) // 2]])


def cells(line: str) -> list[re.Match[str]]:
    """What stands by itself in a line: a number or name in a table, a key or value, a CSV cell."""
    if line.lstrip().startswith("|"):
        return list(re.finditer(r"[^\s|/]+(?: (?!\s)[^\s|/]+)*", line))
    if line.count(", ") > 3:
        return list(re.finditer(r"[^,\s][^,]*", line))
    if re.match(r"\s*[\w() %-]+[:=]", line):
        return [*re.finditer(r"\S[^:=]*?(?=\s*[:=])", line)][:1] + [
            *re.finditer(r"(?<=[:=])\s*(\S.*)$", line)
        ][:1]
    return list(re.finditer(r"\S+", line))


def blanked(text: str, chance: random.Random, *, keep_width: bool) -> Iterator[str]:
    """The text with one cell less, for every line; its place is left free or closed."""
    lines = text.splitlines()
    for number, line in enumerate(lines):
        found = cells(line)
        for cell in chance.sample(found, min(3, len(found))):
            gap = " " * len(cell[0]) if keep_width else ""
            changed = line[: cell.start()] + gap + line[cell.end() :]
            yield "\n".join([*lines[:number], changed, *lines[number + 1 :]])


def widened(text: str, chance: random.Random) -> Iterator[str]:
    """The text with its columns further apart: in all lines alike, in one cell, in one line."""
    lines = text.splitlines()
    yield "\n".join(line.replace("|", "  |  ") for line in lines)
    yield "\n".join(re.sub(r"(?<=\S)(\s{2,})(?=\S)", r"\1   ", line) for line in lines)
    for number, line in enumerate(lines):
        gaps = [match.end() for match in re.finditer(r" {2,}", line)]
        for place in chance.sample(gaps, min(3, len(gaps))):
            changed = line[:place] + " " * chance.choice((1, 2, 5, 12, 18)) + line[place:]
            yield "\n".join([*lines[:number], changed, *lines[number + 1 :]])


def blanked_twice(text: str, chance: random.Random) -> Iterator[str]:
    """Two cells less, anywhere."""
    for once in blanked(text, chance, keep_width=chance.random() < 0.5):
        if chance.random() < 0.15:
            twice = list(blanked(once, chance, keep_width=chance.random() < 0.5))
            yield from chance.sample(twice, min(3, len(twice)))


def mutations(text: str, seed: str) -> Iterator[tuple[str, bool]]:
    """Damaged texts, and whether a note must tell of the damage.

    With two cells gone, a head and all that stood below it, a table may be a whole one of another
    layout: then nothing is left that could tell.
    """
    chance = random.Random(seed)
    yield from ((changed, True) for changed in cut(text))
    yield from ((changed, True) for changed in blanked(text, chance, keep_width=True))
    yield from ((changed, True) for changed in blanked(text, chance, keep_width=False))
    yield from ((changed, True) for changed in widened(text, chance))
    yield from ((changed, False) for changed in blanked_twice(text, chance))


KEYS = {
    "npus": ("npu", "chip"),
    "hccn": ("device",),
    "gpus": ("index",),
    "pci": ("address",),
    "components": ("kind", "path"),
    "ranks": ("rank",),
    "rank_tables": ("path",),
    "installs": ("package", "finished"),
}
FREE = {"notes", "clock", "error", "target"}
"""Facts that quote what was printed, or tell about the reading."""
OPEN_ENDED = {"requires", "installs", "install_info"}
"""Lists in files that nothing ends and nothing counts: there a missing line leaves no trace."""


def wrong(whole: Any, part: Any, place: str = "") -> list[str]:
    """What ``part`` says and ``whole`` does not, at the same place."""
    if part in (None, (), [], {}) or part == whole:
        return []
    if isinstance(part, dict) and isinstance(whole, dict):
        found = []
        for key, value in part.items():
            if key in FREE:
                continue
            if isinstance(value, list | tuple):
                found += wrong_list(key, whole.get(key) or (), value, f"{place}.{key}")
            else:
                found += wrong(whole.get(key), value, f"{place}.{key}")
        return found
    return [f"{place} is {part!r} instead of {whole!r}"]


def wrong_list(name: str, whole: Any, part: Any, place: str) -> list[str]:
    if name == "processes":
        return [line for got in part for line in wrong_process(whole, got, place)]
    if not part:
        return []
    if name not in KEYS:
        same = len(part) == len(whole) and all(
            got in (None, wanted) for wanted, got in zip(whole, part, strict=True)
        )
        return [] if same else [f"{place} is {part} instead of {whole}"]
    found = []
    for got in part:
        # What tells entries apart may itself be missing; then any entry that agrees is right.
        same = [w for w in whole if all(got[k] in (None, w[k]) for k in KEYS[name])]
        tries = [wrong(w, got, f"{place}[{[got[k] for k in KEYS[name]]}]") for w in same]
        if not any(not lines for lines in tries):
            found += tries[0] if tries else [f"{place} has {got} which is not there"]
    return found


def wrong_process(whole: Any, got: Any, place: str) -> list[str]:
    agrees = any(all(got[k] in (None, w[k]) for k in got) for w in whole)
    return [] if agrees else [f"{place} has {got}, which is not in {whole}"]


def lost(whole: Any, part: Any) -> bool:
    """Whether something that the whole recording tells is missing."""
    if part == whole or whole in (None, (), {}):
        return False
    if isinstance(whole, dict):
        keys = whole.keys() - FREE - OPEN_ENDED
        return any(lost(whole[key], (part or {}).get(key)) for key in keys)
    if isinstance(whole, list | tuple) and isinstance(part, list | tuple):
        return len(whole) != len(part) or any(map(lost, whole, part))
    return True


def check(whole: Host, original: list[Frame], index: int, text: str, noted: bool) -> str | None:
    """What is wrong with the facts from one mutation, None if nothing is."""
    parts = [*original]
    parts[index] = replace(parts[index], text=text)
    try:
        damaged = facts(parts)
    except PaddockError:
        return None  # a clear error
    if damaged == whole:
        return None
    before, after = whole.to_dict(), damaged.to_dict()
    if lines := wrong(before, after):
        return "\n".join(lines)
    if noted and not set(damaged.notes) - set(whole.notes) and lost(before, after):
        return "something is missing and no note says so"
    return None


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_no_mutation_gives_a_wrong_number(folder: Path) -> None:
    original = recording.frames_of(folder)
    whole = facts(original)
    for index, frame in enumerate(original):
        for text, noted in mutations(frame.text, f"{folder.name} {frame.name}"):
            problem = check(whole, original, index, text, noted)
            assert problem is None, f"{frame.name}:\n{problem}\nfrom\n{text}"


def test_the_checks_see_a_wrong_number() -> None:
    whole = {"npus": ({"npu": 0, "chip": 0, "power_w": 87.2, "temperature_c": 33.0},)}
    shifted = {"npus": ({"npu": 0, "chip": 0, "power_w": 33.0, "temperature_c": None},)}
    assert wrong(whole, shifted) == [".npus[[0, 0]].power_w is 33.0 instead of 87.2"]
    assert not wrong(whole, {"npus": ({"npu": 0, "chip": None, "power_w": 87.2},)})
    assert lost(whole, shifted)


def test_an_answer_cut_anywhere_gives_notes_or_a_clear_error() -> None:
    document = frames.compose(
        [frame for folder in FOLDERS for frame in recording.frames_of(folder)]
    )
    whole = frames.parse(document)
    names = {frame.name: frame for frame in whole.frames}
    for end in range(0, len(document), 97):
        try:
            answer: Answer = frames.parse(document[:end])
        except PaddockError:
            assert end < 40
            continue
        assert answer.notes
        assert all(frame in whole.frames for frame in answer.frames if frame.name in names)
