"""MindSpore, MindFormers and mindpet, in the versions that go together."""

from __future__ import annotations

import shlex

from paddock.deploy.provision.context import Context
from paddock.deploy.provision.job import CERTIFICATES, JobStep
from paddock.deploy.provision.pip import PipStep
from paddock.deploy.provision.python import environment
from paddock.deploy.provision.requirements import constraints, wanted
from paddock.deploy.provision.runs import RunsStep
from paddock.deploy.step import Step

CHECK = """\
import mindspore
mindspore.set_context(device_target="{target}")
mindspore.run_check()
"""
"""MindSpore's own check. It prints the version and a product; a failure raises."""


def steps(context: Context) -> list[Step]:
    """The steps; empty where the stack's framework is another."""
    stack, place = context.stack, environment(context)
    if stack is None or place is None or stack.framework != "mindspore":
        return []
    ascend = stack.accelerator == "ascend"
    found: list[Step] = [
        PipStep(
            id="mindspore.packages",
            title=f"MindSpore {stack.version('mindspore')} with MindFormers"
            f" {stack.version('mindformers')}",
            why="each MindFormers is written for one MindSpore, and that for one CANN",
            python=place.python,
            wanted=wanted(context, ("numpy", "protobuf", "mindspore", "mindpet", "mindformers")),
            constraints=constraints(context),
            folder=context.folder,
            artifacts=context.artifacts,
            on=context.place,
        )
    ]
    if ascend:
        found.append(_toolkit_wheels(context, place.prefix))
    found.append(
        RunsStep(
            id="mindspore.check",
            title="MindSpore computes on the chip" if ascend else "MindSpore computes",
            why="its own run_check, on the target that will be used",
            prefix=place.prefix,
            program=CHECK.format(target="Ascend" if ascend else "CPU"),
            folder=context.folder,
            on=context.place,
        )
    )
    return found


# Source: MindSpore's installation guide for Ascend by pip, "installing the wheel packages of CANN".
_WHEELS = r"""
wheels() {
  for folder in "$root"/ascend-toolkit/latest/lib64 "$root"/cann/lib64; do
    ls "$folder"/te-*-py3-none-any.whl "$folder"/hccl-*-py3-none-any.whl || : # one is not there
  done 2>/dev/null | sort -u
}
missing() {
  for wheel in $(wheels); do
    installed=${wheel##*/}
    ls -d "$prefix"/lib/python3*/site-packages/"${installed%-py3-none-any.whl}.dist-info" \
      >/dev/null 2>&1 || echo "$wheel"
  done
}
"""


def _toolkit_wheels(context: Context, prefix: str) -> Step:
    head = f"root=/usr/local/Ascend prefix={shlex.quote(prefix)}\n{CERTIFICATES}{_WHEELS}"
    return JobStep(
        id="mindspore.toolkit-wheels",
        title="the toolkit's own wheels te and hccl in the environment",
        why="MindSpore imports them, and compares their version with its own",
        on=context.place,
        what="wheels te and hccl",
        after="those of the toolkit",
        checks=head + '[ -z "$(missing)" ] || { missing; exit 1; }',
        applies=head + 'for wheel in $(missing); do "$prefix/bin/python" -m pip install --no-deps'
        ' --force-reinstall "$wheel"; done',
        undoes=head + 'if [ -x "$prefix/bin/python" ]; then'
        ' "$prefix/bin/python" -m pip uninstall -y te hccl; fi',
        timeout=600,
    )
