"""torch with torch_npu (and vLLM with vllm-ascend): each built for one version of the other."""

from __future__ import annotations

from paddock.deploy.provision.context import Context
from paddock.deploy.provision.pip import PipStep
from paddock.deploy.provision.python import environment
from paddock.deploy.provision.requirements import constraints, wanted
from paddock.deploy.provision.runs import RunsStep
from paddock.deploy.step import Step

PROGRAMS = {
    "ascend": "import torch, torch_npu\na = torch.ones(3, 4).npu()\nprint(a + a)\n",
    "nvidia": "import torch\na = torch.ones(3, 4).cuda()\nprint(a + a)\n",
    "cpu": "import torch\na = torch.ones(3, 4)\nprint(a + a)\n",
}
"""The small program that shows that a chip computes, by accelerator."""


def steps(context: Context) -> list[Step]:
    """The steps; empty where the stack's framework is another."""
    stack, place = context.stack, environment(context)
    if stack is None or place is None or stack.framework not in ("torch", "vllm"):
        return []
    # vLLM is told to have torch already, and vllm-ascend vLLM, so that neither replaces the other.
    groups: list[tuple[str, tuple[str, ...]]] = [
        ("torch.packages", ("numpy", "protobuf", "torch", "torch_npu"))
    ]
    if stack.framework == "vllm":
        groups += [("torch.vllm", ("vllm",)), ("torch.vllm-ascend", ("vllm_ascend",))]
    found: list[Step] = []
    for step, components in groups:
        named = wanted(context, components)
        if not named:
            continue
        found.append(
            PipStep(
                id=step,
                title=" with ".join(
                    f"{each.name} {each.version}"
                    for each in named
                    if each.name not in ("numpy", "protobuf")
                ),
                why="torch_npu is built against one torch and made for one CANN",
                python=place.python,
                wanted=named,
                constraints=constraints(context),
                folder=context.folder,
                artifacts=context.artifacts,
                on=context.place,
            )
        )
    found.append(
        RunsStep(
            id="torch.check",
            title="torch computes" + ("" if stack.accelerator == "cpu" else " on the chip"),
            why="torch.ones(3, 4) added to itself, where it will be used",
            prefix=place.prefix,
            program=PROGRAMS[stack.accelerator],
            folder=context.folder,
            on=context.place,
        )
    )
    return found
