"""What a modelled machine's npu-smi prints is what the probe reads back."""

from __future__ import annotations

from pathlib import Path

import pytest

from paddock.deploy.host import probe
from paddock.deploy.host.frames import Frame, compose
from paddock.deploy.rehearse import driver, image, model, recorded
from paddock.errors import UsageError


@pytest.mark.parametrize("name", [n for n in model.names() if model.load(n).kind == "ascend"])
def test_the_probe_reads_it(name: str) -> None:
    machine = model.load(name)
    frames = [
        Frame(f"npu-smi {words}", text, code) for words, (code, text) in machine.answers.items()
    ]
    host = probe.host(compose(frames), target="model")
    assert host.ascend is not None
    assert [(n.npu, n.chip, n.name) for n in host.ascend.npus] == [
        (card.npu, card.chip, machine.chip) for card in machine.cards
    ]
    assert all(npu.health == "OK" for npu in host.ascend.npus)
    assert all(npu.pci_device == machine.pci_device for npu in host.ascend.npus)
    assert [npu.logic_id for npu in host.ascend.npus] == list(range(len(machine.cards)))
    wrong = [n for n in host.notes if n.why != "it was not asked" and "npu-smi" in n.where]
    assert not wrong


def test_an_unknown_machine_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'atlas-800t-a2'"):
        model.load("atlas-800ta2")


def test_the_recording_is_c() -> None:
    machine = model.load("atlas-800t-a2")
    text = driver._recording(machine)
    assert '"info -t health -i 7 -c 0"' in text
    assert "\n" not in driver._quoted('a\n"b\\c? µ')
    assert driver._quoted('"\n') == '"\\042\\012"'


SOURCES = """
Types: deb
URIs: http://one.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main contrib

Types: deb-src
URIs: http://one.example/debian
Suites: bookworm
Components: main
"""

LIST = """
deb [arch=amd64 signed-by=/usr/share/keyrings/a.gpg] http://two.example/ubuntu bookworm main # x
# deb http://no.example bookworm main
deb http://other.example/docker stable main
"""


def test_sources_of_another_release_come_from_the_same_place() -> None:
    assert list(image.lines([SOURCES, LIST, LIST], "bookworm", "bullseye")) == [
        "deb http://one.example/debian bullseye main contrib",
        "deb http://one.example/debian bullseye-updates main contrib",
        "deb http://two.example/ubuntu bullseye main",
    ]


HOSTS = Path(__file__).parents[2] / "hosts"


@pytest.mark.parametrize(
    ("folder", "chip", "nodes"),
    [
        ("910b4-x8-fresh", "910B4", list(range(8))),
        ("910a-x8-old-layout", "910A", list(range(8))),
        ("310p3-duo-x2", "310P3", [0, 1, 2, 3]),
    ],
)
def test_a_recording_is_a_model_too(folder: str, chip: str, nodes: list[int]) -> None:
    machine = recorded.load(HOSTS / folder)
    assert (machine.chip, [card.node for card in machine.cards]) == (chip, nodes)
    text = next(HOSTS.joinpath(folder).glob("*.txt")).read_text()
    assert machine.answers["info"][1].strip() == text.strip(), "verbatim"
    assert machine.answers["info -l"][1].count("NPU ID") == len({c.npu for c in machine.cards})


def test_a_recording_without_cards_is_none() -> None:
    with pytest.raises(UsageError, match="no Ascend card"):
        recorded.load(HOSTS / "rank-table-legacy")
