"""Hosts and wishes in, command lines out: each case is a file, and anyone can add one."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from paddock.deploy.container import ContainerSpec, argv, build
from paddock.deploy.container.process import MAIN
from paddock.deploy.host import Host, frames, probe, recording
from paddock.deploy.host.frames import Frame
from paddock.deploy.resolve.stack import Choice, Stack
from paddock.deploy.stackfile import Stackfile
from paddock.errors import UsageError

HERE = Path(__file__).parent
HOSTS = HERE.parents[1] / "hosts"
CASES = sorted((HERE / "cases").glob("*.toml"))
LABELS = ("--label", "LABEL", "--label", "LABEL")


def toml(path: Path) -> dict[str, Any]:
    module = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
    table: dict[str, Any] = module.loads(path.read_text(encoding="utf-8"))
    return table


def host(recordings: list[str], facts: list[str]) -> Host:
    """A host that was recorded, with the parts of a probe's answer that ``facts`` names."""
    extra = toml(HERE / "facts.toml")
    known: dict[str, Frame] = {}
    for name in recordings:
        known |= {frame.name: frame for frame in recording.frames_of(HOSTS / name)}
    for name in facts:
        known |= {key: frame(key, value) for key, value in extra[name].items()}
    return probe.host(frames.compose(list(known.values())), target="npu1")


def frame(name: str, value: str | dict[str, Any]) -> Frame:
    table = value if isinstance(value, dict) else {"text": value}
    return Frame(name, table["text"].strip("\n"), table.get("exit_code", 0))


def stack(**versions: str) -> Stack:
    """A stack of which only versions matter here."""
    choices = tuple(Choice(n, n, v, "software", "chosen", "official") for n, v in versions.items())
    return Stack("mindspore", "ascend", "910", "aarch64", "official", choices, ())


def shown(words: list[str]) -> list[str]:
    """The words with what is tested elsewhere shortened: labels and the first process."""
    short = {MAIN: "MAIN"}
    return [
        "LABEL" if before == "--label" else short.get(word, word)
        for before, word in zip(["", *words], words, strict=False)
    ]


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    case = toml(path)
    file = msgspec.convert(case["file"], Stackfile)
    there = host(case.get("recordings", []), case["facts"])
    versions = stack(**case["stack"]) if "stack" in case else None
    folders = tuple(case.get("folders", ()))
    if "error" in case:
        with pytest.raises(UsageError) as caught:
            build(file, there, versions, folders=folders)
        assert caught.value.message == case["error"]
        assert caught.value.hint == case["hint"]
        return
    built = build(file, there, versions, folders=folders)
    assert list(built.notes) == case.get("notes", [])
    assert " ".join(shown(argv(built.spec, "run"))) == " ".join(case["argv"].split())
    assert ContainerSpec.from_json(built.spec.to_json()) == built.spec
