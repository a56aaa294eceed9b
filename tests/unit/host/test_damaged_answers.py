"""Whatever a machine answers, reading it never raises."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace

from paddock.deploy.host import Host, frames, probe
from paddock.deploy.host.frames import Frame
from paddock.shell import LocalRunner

GARBAGE = (
    "",
    " ",
    "\n\n",
    "\t\t\t",
    "=",
    "a=",
    ":",
    "{",
    "[1]",
    "null",
    '{"Runtimes": 3, "SecurityOptions": {}, "host": [], "version": "x"}',
    "-1",
    "99999999999999999999999999",
    "1.5.2",
    "é\ufffd\x00",
    "|" * 50,
    "+---+\n| NPU Name | Health |\n|\n| |\n||",
    "0x",
    "/dev/x",
    "%s%d",
)


def damaged(text: str, chance: random.Random) -> Iterator[str]:
    yield from chance.sample(GARBAGE, 5)
    if lines := text.splitlines():
        at = chance.randrange(len(lines))
        line = lines[at]
        cut = chance.randrange(len(line) + 1)
        for changed in (line[:cut], line[cut:], line[:cut] + chance.choice(GARBAGE) + line[cut:]):
            yield "\n".join([*lines[:at], changed, *lines[at + 1 :]])
    words = text.split(" ")
    chance.shuffle(words)
    yield " ".join(words[:200])


def test_nothing_that_a_machine_says_raises() -> None:
    document, _ = probe.answer(LocalRunner(), thorough=True)
    whole = frames.parse(document)
    parts = [*whole.frames, *extra_frames()]
    chance = random.Random(5)
    for index, part in enumerate(parts):
        if part.name.startswith("end "):
            continue
        for text in damaged(part.text, chance):
            changed = [*parts]
            changed[index] = replace(part, text=text, exit_code=chance.choice((0, 0, 1, 124, 127)))
            host = probe.host(frames.compose(changed), target="damaged")
            json.dumps(host.to_dict())
    assert Host.from_json(host.to_json()) == host


def extra_frames() -> list[Frame]:
    """Questions that this machine is not asked."""
    names = (
        *(
            "npu-smi path",
            "npu-smi info",
            "npu-smi info -l",
            "npu-smi info -m",
            "npu-smi info -t topo",
        ),
        *("npu-smi info -t board -i 0", "npu-smi info -t ecc -i 0", "npu-smi info -t usages -i 0"),
        *(
            "npu-smi info -t temp -i 0",
            "npu-smi info -t power -i 0",
            "npu-smi info -t health -i 0 -c 0",
        ),
        *(
            "hccn_tool -i 0 -ip -g",
            "hccn_tool -i x -link -g",
            "file /etc/hccn.conf",
            "engine podman",
        ),
        *(
            "file /etc/ascend_install.info",
            "file /usr/local/Ascend/driver/version.info",
            "podman info",
        ),
        *(
            "file /usr/local/Ascend/nnal/atb/latest/version.info",
            "file /root/hccl_2p.json",
            "isula info",
        ),
        *(
            "file /usr/local/Ascend/ascend-toolkit/latest/version.cfg",
            "file /etc/docker/daemon.json",
        ),
        *("nvidia-smi --query-gpu=index,name,power.draw --format=csv", "nvidia-smi -q -d COMPUTE"),
        *("file /proc/driver/nvidia/version", "lspci", "docker containers", "engine isula", "cdi"),
        *("file /usr/local/Ascend/ascend-toolkit/latest/toolkit/version.info", "file /proc/uda/x"),
    )
    return [Frame(name, "0") for name in names]
