"""Which steps a context means, in which order, and that every one is told in clean sh."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from provision_contexts import KEY, context

from paddock.deploy.provision import Context, steps
from paddock.deploy.provision.job import JobStep
from paddock.deploy.stackfile import ExtrasWish, Mirrors, PythonWish, SshWish
from paddock.deploy.step import CONTAINER, HOST, Machine, ScriptStep, Step, together
from paddock.errors import StepFailed, UsageError
from paddock.shell import TIMEOUT, Output

EVERYTHING = {
    "notes": context(
        ssh=SshWish(keys=(KEY,), users=("root", "ada")),
        mirrors=Mirrors(apt="https://m.example.org", pip="https://m.example.org/pypi/simple"),
        extras=ExtrasWish(jupyter=8888, tensorboard=6006, mindinsight=8080),
        artifacts="/srv/artifacts",
    ),
    "torch": context("torch", "910b", python=PythonWish(manager="uv")),
    "vllm": context("vllm", "910b", python=PythonWish(manager="conda", installer="/opt/M.sh")),
    "old torch": context("torch", "910", pins=("cann=7.0.0",)),
    "on a bare host": context("torch", "910b", engine="none"),
    "cpu": context("mindspore", "cpu", engine="none"),
}


def ids(of: Context) -> list[str]:
    return [step.id for step in steps(of) if not step.id.startswith("serve.")]


def test_the_notes_in_their_order() -> None:
    assert ids(EVERYTHING["notes"]) == [
        "base.certificates",
        "base.mirror",
        "base.packages",
        "base.user",
        "ssh.packages",
        "ssh.host-keys",
        "ssh.keys.root",
        "ssh.user.ada",
        "ssh.keys.ada",
        "ssh.config",
        "ssh.server",
        "environment.libraries",
        "environment.file",
        "environment.login",
        "python.interpreter",
        "python.environment",
        "python.index",
        "cann.python",
        "cann.toolkit",
        "cann.kernels",
        "mindspore.packages",
        "mindspore.toolkit-wheels",
        "mindspore.check",
        "environment.commands",
        "services.jupyter-packages",
        "services.jupyter",
        "services.tensorboard-packages",
        "services.tensorboard",
        "mindinsight.interpreter",
        "mindinsight.environment",
        "mindinsight.index",
        "mindinsight.packages",
        "services.mindinsight",
    ]


@pytest.mark.parametrize("of", EVERYTHING.values(), ids=EVERYTHING)
def test_steps_are_pure_and_their_ids_unique(of: Context) -> None:
    assert steps(of) == steps(of)
    names = [step.id for step in steps(of)]
    assert len(set(names)) == len(names)
    assert {step.on for step in steps(of)} <= {HOST, CONTAINER}
    if of.place == HOST:
        assert {step.on for step in steps(of)} == {HOST}


def test_a_bare_host_keeps_its_own_logins() -> None:
    named = ids(EVERYTHING["on a bare host"])
    assert "environment.file" in named
    assert not {"environment.login", "environment.commands", "environment.libraries"} & set(named)


def test_a_cpu_without_a_stack_needs_nothing() -> None:
    assert ids(context(None, "cpu", engine="none")) == []


def test_a_server_that_nobody_could_enter_is_refused() -> None:
    with pytest.raises(UsageError, match="no keys"):
        steps(context(ssh=SshWish()))


def programs(step: Step) -> list[str]:
    if isinstance(step, (JobStep, ScriptStep)):
        return [step.checks, f"set -eu\n{step.applies}", f"set -eu\n{step.undoes}"]
    return []


@pytest.mark.parametrize("of", EVERYTHING.values(), ids=EVERYTHING)
def test_every_program_is_sh_without_a_finding(of: Context) -> None:
    shellcheck = shutil.which("shellcheck")
    if shellcheck is None:
        pytest.skip("shellcheck is not installed")
    texts: dict[str, str] = {}
    for step in steps(of):
        if step.id.startswith("serve."):
            continue
        for number, text in enumerate((f"set -eu\n{step.script()}", *programs(step))):
            texts[f"{step.id}.{number}"] = text
    # A head of variables and functions is shared by programs that need not all of them (SC2034,
    # SC2317, SC2329); files of CANN are sourced (SC1090, SC1091); programs for the shell of a
    # container stand in single quotes (SC2016); checks run in a subshell (SC2030, SC2031).
    left_out = "SC2034,SC2317,SC2329,SC1090,SC1091,SC2016,SC2030,SC2031"
    for name, text in texts.items():
        done = subprocess.run(
            [shellcheck, "-s", "sh", "-e", left_out, "-"],
            input=text,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{name}:\n{done.stdout}"


@dataclass
class OneRoundTrip:
    """A machine that is asked many programs at once and nothing else; each says no."""

    count: int
    target: str = "machine"

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        assert list(argv) == ["sh", "-s"], f"asked besides: {argv}"
        mark = str(stdin).partition("\n")[0].removeprefix("mark=")
        return Output(0, f"\n{mark} 1\n" * self.count, f"\n{mark}\n" * self.count)

    def read(self, path: str) -> str | None:
        raise AssertionError(f"asked besides: {path}")


@pytest.mark.parametrize("of", EVERYTHING.values(), ids=EVERYTHING)
def test_all_checks_are_one_round_trip(of: Context) -> None:
    asked = [ask for step in steps(of) for ask in step.asks]
    machine = Machine(OneRoundTrip(len(set(asked))), of.folder)
    knowing = together(machine, asked)
    for step in steps(of):
        with contextlib.suppress(StepFailed):
            step.check(knowing)
