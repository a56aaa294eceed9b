"""The runbook: readable, clean, run as often as one likes, stopped by the first failure."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from provision_contexts import context
from test_provision_steps import EVERYTHING

from paddock.deploy.provision import Context, steps
from paddock.deploy.provision.runbook import runbook
from paddock.deploy.step import CONTAINER, HOST, FileStep, ScriptStep, Step


@pytest.mark.parametrize("of", EVERYTHING.values(), ids=EVERYTHING)
def test_it_is_clean_and_names_every_step(of: Context) -> None:
    found = [step for step in steps(of) if step.id != "ssh.keys.file"]
    text = runbook(of, found)
    for step in found:
        assert f"\nstep {step.id} " in text
        assert step.title[1:] in " ".join(text.replace("\n# ", " ").split())
    assert max(len(line) for line in text.splitlines() if line.startswith("#")) <= 120
    if shutil.which("shellcheck"):
        done = subprocess.run(
            ["shellcheck", "-"], input=text, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout
    assert subprocess.run(["sh", "-n"], input=text, text=True, check=False).returncode == 0


def book(tmp_path: Path, *found: Step) -> Path:
    path = tmp_path / "book.sh"
    path.write_text(runbook(context(None, "cpu", engine="none"), found))
    return path


def call(*words: str, **options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=options or None,
    )


def demo(folder: Path) -> tuple[Step, ...]:
    return (
        FileStep("demo.file", "a file", "to see it", f"{folder}/a b", "it's\n$HOME\n", 0o600),
        ScriptStep(
            "demo.count",
            "one line",
            "to count",
            f"[ -e '{folder}/count' ]",
            # What reads stdin must not swallow the rest of the program.
            f"cat\necho x >>'{folder}/count'",
        ),
    )


def test_it_does_what_is_missing_and_only_that(tmp_path: Path) -> None:
    path = book(tmp_path, *demo(tmp_path))
    for _ in range(2):
        done = call(str(path))
        assert done.returncode == 0, done.stderr
        assert "all is as it should be" in done.stdout
    assert (tmp_path / "a b").read_text() == "it's\n$HOME\n"
    assert (tmp_path / "count").read_text() == "x\n"


def test_steps_are_listed_and_chosen(tmp_path: Path) -> None:
    path = book(tmp_path, *demo(tmp_path))
    assert call(str(path), "--list").stdout == "demo.file (host)\ndemo.count (host)\n"
    assert call(str(path), "demo.count").returncode == 0
    assert (tmp_path / "count").exists() and not (tmp_path / "a b").exists()
    assert call(str(path), "--no-such").returncode == 2


def test_the_first_failure_ends_it(tmp_path: Path) -> None:
    broken = ScriptStep("demo.broken", "t", "w", "exit 1", "false\necho on")
    done = call(str(book(tmp_path, broken, *demo(tmp_path))))
    assert done.returncode == 1
    assert "demo.broken failed with 1" in done.stderr and "on" not in done.stdout.split()
    assert not (tmp_path / "count").exists()


def test_the_container_is_entered_by_its_engine(tmp_path: Path) -> None:
    """The engine here is a stand-in that runs the words after the container's name."""
    engine = tmp_path / "docker"
    engine.write_text(f'#!/bin/sh\necho "$1 $2 $3" >>{tmp_path}/calls\nshift 3\nexec "$@"\n')
    engine.chmod(0o755)
    of = context(None, "cpu", engine="docker")
    inside = tuple(replace(step, on=CONTAINER) for step in demo(tmp_path))  # type: ignore[type-var]
    on_host = ScriptStep("demo.host", "t", "w", "exit 1", ":", on=HOST)
    path = tmp_path / "book.sh"
    path.write_text(runbook(of, (on_host, *inside)))
    done = call(str(path), PATH=f"{tmp_path}:/usr/bin:/bin")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "calls").read_text() == "exec -i notes\n" * 2
    assert (tmp_path / "count").read_text() == "x\n"
