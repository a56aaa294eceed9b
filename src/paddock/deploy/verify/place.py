"""Runs programs where the software is, with the environment that it was installed with."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from typing import Any

from paddock.deploy.provision import Context
from paddock.deploy.step import Machine
from paddock.shell import Output

# set_env.sh of CANN's own is not written for -eu. cd: a file that is called like a module counts.
_RUN = """
if [ -r "$1/environment.sh" ]; then . "$1/environment.sh"; fi
cd /
shift
exec "$@"
"""

SECONDS = 900.0
"""For one program: the first operator on an NPU is compiled, which takes minutes."""


@dataclass(frozen=True, slots=True)
class Place:
    """The target's interpreter and how it is entered."""

    context: Context
    machine: Machine

    def python(self, program: str, *words: str, stdin: str = "") -> Output:
        """Runs a Python program in the environment of the deployment."""
        argv = [self.context.interpreter, "-c", program, *words]
        return self.run(*argv, stdin=stdin)

    def run(self, *argv: str, stdin: str = "", timeout: float = SECONDS) -> Output:
        """Runs a program there. Raises TimedOut and what the machine's Runner raises."""
        return self.machine.sh(_RUN, self.context.folder, *argv, stdin=stdin, timeout=timeout)

    @property
    def torchrun(self) -> list[str]:
        """torch's launcher in that environment, as words."""
        return [self.context.interpreter, "-m", "torch.distributed.run", "--standalone"]


def told(output: Output) -> Any:
    """The JSON on a program's last line; None where it has none (its own logs come before)."""
    for line in reversed(output.stdout.splitlines()):
        if line.startswith(("{", "[")):
            try:
                return json.loads(line)
            except ValueError:
                continue
    return None


def reason(output: Output) -> str:
    """Why a program failed, in its own last words."""
    lines = [line.strip() for line in (output.stdout + output.stderr).splitlines() if line.strip()]
    errors = [line for line in lines if "rror" in line and not line.startswith("[ERROR]")]
    said = (errors or lines or ["no word"])[-1]
    return f"{said[:300]} (exit code {output.exit_code})"


def quoted(words: list[str]) -> str:
    """Words as a person would type them."""
    return shlex.join(words)
