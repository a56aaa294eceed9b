"""How a container gets NVIDIA GPUs: by the engine's toolkit or by CDI names."""

from __future__ import annotations

import re
from typing import Any

from paddock.deploy.host import Host
from paddock.deploy.host.facts import Engine, Nvidia
from paddock.errors import UsageError

KIND = "nvidia.com/gpu"


def options(host: Host, engine: Engine, devices: str | tuple[int, ...]) -> dict[str, Any]:
    """``gpus`` or ``cdi`` of the spec. Raises UsageError where no way leads to them."""
    assert host.nvidia is not None, "the caller has looked"
    facts = host.nvidia
    numbers = _wished(facts, devices, host.target)
    if engine.name == "docker" and (facts.container_toolkit or "nvidia" in engine.runtimes):
        everything = devices == "auto"
        return {"gpus": "all" if everything else ",".join(map(str, numbers))}
    names = _cdi_names(facts, numbers, everything=devices == "auto")
    # docker knows CDI names from 25 on. Source: its release notes.
    knows = engine.name == "podman" or (engine.name == "docker" and _major(engine) >= 25)
    if names and knows:
        return {"cdi": tuple(names)}
    raise UsageError(
        f"{engine.name} on {host.target} cannot give GPUs: there is"
        f" {'no' if not names else 'a'} CDI file and no NVIDIA container toolkit registered",
        hint="install nvidia-container-toolkit; then for docker: nvidia-ctk runtime configure"
        " --runtime=docker && systemctl restart docker; for podman: nvidia-ctk cdi generate"
        " --output=/etc/cdi/nvidia.yaml",
    )


def _wished(facts: Nvidia, devices: str | tuple[int, ...], target: str) -> list[int]:
    there = [gpu.index for gpu in facts.gpus]
    if isinstance(devices, str):
        return there
    for number in devices:
        if number not in there:
            raise UsageError(
                f"container.devices has GPU {number}, and {target} has"
                f" {', '.join(map(str, there)) or 'none'}",
                hint="the numbers are those of nvidia-smi",
            )
    return sorted(set(devices))


def _cdi_names(facts: Nvidia, numbers: list[int], *, everything: bool) -> list[str]:
    """The names in the CDI files for these GPUs; empty where one of them has none."""
    there = {name if "=" in name else f"{KIND}={name}" for name in facts.cdi}
    if everything and f"{KIND}=all" in there:
        return [f"{KIND}=all"]
    wanted = [f"{KIND}={number}" for number in numbers]
    return wanted if set(wanted) <= there else []


def _major(engine: Engine) -> int:
    match = re.match(r"\d+", engine.server_version or engine.version or "")
    return int(match[0]) if match else 0
