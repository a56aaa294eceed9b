"""The frameworks: the versions that are imported, a small product on each card, a sum over all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from paddock.deploy.provision import Context
from paddock.deploy.verify.devices import wished
from paddock.deploy.verify.place import Place, reason, told
from paddock.deploy.verify.report import Check

MODULES = {
    "mindspore": "mindspore",
    "mindformers": "mindformers",
    "torch": "torch",
    "torch_npu": "torch_npu",
    "vllm": "vllm",
    "vllm_ascend": "vllm_ascend",
}
"""Components of the catalogue that are Python modules."""

# What is imported counts and not what pip lists. A module without __version__ has its metadata's.
VERSIONS = """
import importlib, json, sys
from importlib import metadata
found = {}
for name in sys.argv[1:]:
    try:
        module = importlib.import_module(name)
        found[name] = getattr(module, "__version__", None) or metadata.version(name)
    except BaseException as error:
        found[name] = {"error": f"{type(error).__name__}: {error}"}
print()
print(json.dumps(found))
"""

TORCH = """
import json, sys
kind = sys.argv[1]
import torch
if kind == "npu":
    import torch_npu
device = getattr(torch, kind, None)
count = device.device_count() if kind != "cpu" else 1
good = []
for n in range(count):
    where = f"{kind}:{n}" if kind != "cpu" else "cpu"
    ones = torch.ones(3, 4, device=where)
    product = (ones @ ones.T + 1).cpu()
    assert product.tolist() == [[5.0] * 3] * 3, f"{where}: {product.tolist()}"
    good.append(where)
print()
print(json.dumps(good))
"""

MINDSPORE = """
import json, sys
import numpy as np
import mindspore as ms
target, number = sys.argv[1], int(sys.argv[2])
ms.set_context(device_target=target, device_id=number)
ms.run_check()
ones = ms.Tensor(np.ones((3, 4), np.float32))
product = (ms.ops.matmul(ones, ones.T) + 1).asnumpy()
assert product.tolist() == [[5.0] * 3] * 3, product.tolist()
print()
print(json.dumps([f"{target}:{number}"]))
"""

REDUCE = """
import json, os, sys
kind = sys.argv[1]
import torch
import torch.distributed as dist
backend = {"npu": "hccl", "cuda": "nccl", "cpu": "gloo"}[kind]
rank, size = int(os.environ["LOCAL_RANK"]), int(os.environ["WORLD_SIZE"])
if kind == "npu":
    import torch_npu
if kind != "cpu":
    getattr(torch, kind).set_device(rank)
dist.init_process_group(backend)
value = torch.full((1024,), float(rank + 1), device=kind if kind == "cpu" else f"{kind}:{rank}")
dist.all_reduce(value)
assert value.cpu().tolist() == [size * (size + 1) / 2] * 1024, value[:3]
dist.barrier()
dist.destroy_process_group()
if rank == 0:
    print()
    print(json.dumps([size]))
"""


@dataclass(frozen=True, slots=True)
class Frameworks:
    """The frameworks of a deployment in the place where they were installed."""

    context: Context
    place: Place
    kind: str

    @property
    def _torch_kind(self) -> str:
        return {"ascend": "npu", "nvidia": "cuda"}.get(self.kind, "cpu")

    @property
    def _wanted(self) -> dict[str, str]:
        stack = self.context.stack
        if stack is None:
            return {}
        return {n: v for n in MODULES if (v := stack.version(n)) is not None}

    def versions(self) -> Iterator[Check]:
        """What is imported has the version of the stack."""
        if not self._wanted:
            detail = "Paddock's own runtimes need none"
            yield Check("imports", "The frameworks are imported", "skipped", detail)
            return
        # Each in a process of its own: one that breaks must not hide the others.
        for component, version in self._wanted.items():
            name, title = f"import-{component}", f"{component} {version} is imported"
            output = self.place.python(VERSIONS, MODULES[component])
            found = told(output)
            if not isinstance(found, dict):
                yield Check(name, title, "failed", reason(output))
                continue
            got = found[MODULES[component]]
            if isinstance(got, dict):
                yield Check(name, title, "failed", got["error"], hint="paddock doctor --log FILE")
            elif _release(got) != _release(version):
                hint = "another one was installed since: paddock up puts it right"
                yield Check(name, title, "failed", f"it is {got}", hint=hint)
            else:
                yield Check(name, title, "passed", f"it is {got}")

    def products(self) -> Iterator[Check]:
        """A product of small matrices on each card, compared with the right numbers."""
        title = "A product on each device"
        wanted = self._wanted
        runs = []
        if "mindspore" in wanted:
            target = {"ascend": "Ascend", "nvidia": "GPU"}.get(self.kind, "CPU")
            count = (wished(self.context) or 1) if target == "Ascend" else 1
            runs += [("mindspore", MINDSPORE, [target, str(n)]) for n in range(count)]
        if "torch" in wanted:
            runs.append(("torch", TORCH, [self._torch_kind]))
        if not runs:
            yield Check("product", title, "skipped", "Paddock's own runtimes: see the answer")
        good: dict[str, list[str]] = {}
        for name, program, words in runs:
            output = self.place.python(program, *words)
            devices = told(output)
            if not output.ok or not devices:
                yield Check(f"product-{name}", f"{title}: {name}", "failed", reason(output))
                return
            good.setdefault(name, []).extend(devices)
        for name, devices in good.items():
            yield Check(f"product-{name}", f"{title}: {name}", "passed", ", ".join(devices))

    def reduction(self) -> Iterator[Check]:
        """A sum over all cards by the collective library (HCCL, NCCL)."""
        name, title = "all-reduce", "A sum over all devices"
        count = wished(self.context) or 1
        if self.kind == "cpu" or count < 2:
            yield Check(name, title, "skipped", "there is one device")
            return
        if "torch" not in self._wanted:
            detail = "only torch's launcher is asked; MindSpore needs a rank table or msrun"
            yield Check(name, title, "skipped", detail)
            return
        launcher = [*self.place.torchrun, "--nproc-per-node", str(count)]
        # torchrun takes files only.
        script = 'd=$(mktemp -d); trap "rm -rf $d" EXIT; cat >"$d/sum.py"; "$@" "$d/sum.py" KIND'
        words = ["sh", "-c", script.replace("KIND", self._torch_kind), "sh", *launcher]
        output = self.place.run(*words, stdin=REDUCE)
        if output.ok and told(output) == [count]:
            yield Check(name, title, "passed", f"{count} devices, each got the right sum")
        else:
            yield Check(name, title, "failed", reason(output), hint="paddock doctor; hccn_tool")


def _release(version: str) -> str:
    """Without a local part: ``2.1.0+cpu`` is 2.1.0."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version).public
    except InvalidVersion:
        return version
