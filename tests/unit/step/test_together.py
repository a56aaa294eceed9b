"""Programs that are run together give what they give alone, in one round trip."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from paddock.deploy.step import Ask, FileStep, Machine, cat, sh, together
from paddock.errors import RunnerError, TimedOut
from paddock.shell import TIMEOUT, LocalRunner, Output


@dataclass
class Counting:
    """This machine, which tells what it was asked."""

    asked: list[Sequence[str]] = field(default_factory=list)
    target: str = "local"

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        self.asked.append(tuple(argv))
        return LocalRunner().run(argv, timeout=timeout, stdin=stdin)

    def read(self, path: str) -> str | None:
        self.asked.append(("read", path))
        return LocalRunner().read(path)


class Hanging(Counting):
    """One that never answers many questions at once."""

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        if list(argv) == ["sh", "-s"]:
            raise TimedOut("sh did not answer")
        return super().run(argv, timeout=timeout, stdin=stdin)


class Cut(Counting):
    """One whose answer to many questions is cut short."""

    def run(
        self, argv: Sequence[str], *, timeout: float = TIMEOUT, stdin: str | bytes = ""
    ) -> Output:
        output = super().run(argv, timeout=timeout, stdin=stdin)
        if list(argv) == ["sh", "-s"]:
            return replace(output, raw=output.raw[: len(output.raw) // 2])
        return output


PROGRAMS: tuple[Ask, ...] = (
    sh("echo one; echo two >&2; exit 3"),
    sh("printf %s \"$1\"; printf '\\n\\n' >&2", 'it\'s "a" $word\n'),
    sh(r"printf '\377\000 \n'"),
    sh("cat; echo end"),
    ("paddock-has-no-such-program", "-x"),
    ("true",),
    sh(":"),
    sh("kill -9 $$"),
    sh('echo "$LC_ALL"'),
)


def same(one: Output, other: Output) -> bool:
    code = 128 - one.exit_code if one.exit_code < 0 else one.exit_code  # as a shell tells a signal
    if (code, one.raw, one.stdout) != (other.exit_code, other.raw, other.stdout):
        return False
    return one.exit_code in (-9, 127) or one.stderr == other.stderr  # the shell says it its own way


def test_each_gives_what_it_gives_alone() -> None:
    runner = Counting()
    alone = [runner.run(words) for words in PROGRAMS]
    runner.asked.clear()
    knowing = together(Machine(runner, "/nowhere"), PROGRAMS)
    answers = [knowing.run(list(words)) for words in PROGRAMS]
    assert [same(*pair) for pair in zip(alone, answers, strict=True)] == [True] * len(PROGRAMS)
    assert runner.asked == [("sh", "-s")]


def test_what_was_not_asked_goes_to_the_machine() -> None:
    runner = Counting()
    knowing = together(Machine(runner, "/nowhere"), PROGRAMS)
    assert knowing.sh("echo other").stdout == "other\n"
    assert knowing.run(["true"], stdin="something").ok
    assert len(runner.asked) == 3
    assert knowing.target == "local"


@pytest.mark.parametrize("runner", [Hanging(), Cut()], ids=["hangs", "cut"])
def test_what_is_not_in_hand_is_asked_alone(runner: Counting) -> None:
    knowing = together(Machine(runner, "/nowhere"), PROGRAMS)
    assert knowing.run(list(PROGRAMS[0])).exit_code == 3
    assert knowing.run(list(PROGRAMS[-1])).stdout == "C\n"
    assert PROGRAMS[-1] in runner.asked


def test_one_program_is_not_run_ahead() -> None:
    runner = Counting()
    machine = Machine(runner, "/nowhere")
    assert together(machine, [PROGRAMS[0], PROGRAMS[0]]) is machine
    assert runner.asked == []


def test_files_too(tmp_path: Path) -> None:
    there, gone, folder = tmp_path / "there", tmp_path / "gone", tmp_path
    there.write_text("中文\n")
    runner = Counting()
    asked = [cat(str(path)) for path in (there, gone, folder)]
    knowing = together(Machine(runner, "/nowhere"), asked)
    assert knowing.read(str(there)) == "中文\n"
    assert knowing.read(str(gone)) is None
    with pytest.raises(RunnerError, match="Is a directory"):
        knowing.read(str(folder))
    assert runner.asked == [("sh", "-s")]


def test_a_file_step_asks_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("text\n")
    step = FileStep("f", "t", "w", str(path), "other\n", mode=0o600)
    runner = Counting()
    machine = Machine(runner, "/nowhere")
    alone = step.check(machine)
    runner.asked.clear()
    assert step.check(together(machine, step.asks)) == alone
    assert runner.asked == [("sh", "-s")]
