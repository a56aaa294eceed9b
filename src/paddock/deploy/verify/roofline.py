"""How fast a card's memory lets a model answer, and a verdict on how fast it does."""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass

from paddock.deploy.host import Host

# What the memory of a card gives at best, bytes a second, by the name that its tool prints.
# NVIDIA: the data sheets of A100, H100, H200, L40S and A10. 910A: measured in a public test
# (1148 GB/s). 310P3: 204 GB/s a chip, half of the 408 that were announced for the 300I Duo. Of the
# others public sources contradict each other, so that the host's own CANN is asked or nobody.
_CARDS = (
    (r"910A|910ProA", 1148e9),
    (r"310P3", 204e9),
    (r"H200", 4.8e12),
    (r"H100.*(SXM|HBM3)", 3.35e12),
    (r"H100.*PCIe", 2.0e12),
    (r"A100.*80GB", 2.039e12),
    (r"A100.*40GB", 1.555e12),
    (r"L40S", 864e9),
    (r"\bA10\b", 600e9),
)

JUDGED = 2**30
"""Bytes of weights from which on memory decides; smaller models stay in caches."""

GOOD, FAIR = 0.6, 0.3
"""Shares of what memory allows. Above the first there is little left to gain at batch 1."""

BITS = {"int4": 4.5, "int8": 8.5, "fp8": 8.0}
"""Bits of a weight with its share of the scales."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Bytes a second, and where the number is from."""

    bytes_per_s: float
    source: str


def bound(host: Host, kind: str) -> Bound | str:
    """What one card's memory gives at best, or why nobody knows."""
    if kind == "ascend" and host.ascend is not None:
        name = next((npu.name for npu in host.ascend.npus if npu.name), None)
        return _known(name) or _by_platform(host, name) or f"no source tells the memory of {name}"
    if kind == "nvidia" and host.nvidia is not None:
        name = next((gpu.name for gpu in host.nvidia.gpus if gpu.name), None)
        return _known(name) or f"no source tells the memory of {name}"
    return "no accelerator whose memory is known"


def _known(name: str | None) -> Bound | None:
    for pattern, speed in _CARDS:
        if name and re.search(pattern, name):
            return Bound(speed, f"{name}: {speed / 1e9:.0f} GB/s")
    return None


def _by_platform(host: Host, name: str | None) -> Bound | None:
    """By CANN's platform_config: bytes a cycle and core. Gives 960 GB/s for a 910B4."""
    for chip in host.ascend.platform if host.ascend else ():
        named = name and chip.soc.lower().removeprefix("ascend") == name.lower()
        if named and chip.ddr_rate and chip.ai_cores and chip.cube_mhz:
            speed = chip.ddr_rate * chip.ai_cores * chip.cube_mhz * 1e6
            return Bound(speed, f"{chip.path}: {speed / 1e9:.0f} GB/s")
    return None


def weight_bytes(stored: int, params: int, options: tuple[str, ...]) -> int:
    """Bytes that one token reads, by the server's options; ``stored`` as the files have them."""
    words = dict(itertools.pairwise(options))
    quant = words.get("--quant") or next(
        (word.partition("=")[2] for word in options if word.startswith("--quant=")), None
    )
    return round(params * BITS[quant] / 8) if quant in BITS else stored


def ranks(options: tuple[str, ...]) -> int:
    """How many cards share the weights: the server's --tp times --pp."""
    found = {"--tp": 1, "--pp": 1}
    joined = " ".join(options).replace("=", " ").split()
    for word, value in itertools.pairwise(joined):
        if word in found and value.isdecimal():
            found[word] = int(value)
    return found["--tp"] * found["--pp"]


def verdict(share: float, why: str | None) -> str:
    """A sentence on ``share`` (0 to 1) of what memory allows; ``why`` a reason that was found."""
    text = f"{100 * share:.0f} % of what its memory allows"
    if share >= GOOD:
        return text
    if why:
        return f"{text}: {why}"
    if share >= FAIR:
        return f"{text}: fair for one request at a time"
    return f"{text}: little; paddock profile shows where the time goes"


def suspect(host: Host, options: tuple[str, ...]) -> str | None:
    """A known reason for few tokens: every token recomputes all before it."""
    if "--no-past" in options:
        return "use_past is off (--no-past)"
    for config in host.model_configs:
        if config.values.get("use_past", "").lower() == "false":
            return f"use_past is off in {config.path}"
    return None
