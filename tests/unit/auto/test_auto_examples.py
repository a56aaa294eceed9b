"""The four programs of the notes run unchanged but for imports and paths."""

from __future__ import annotations

import difflib
import re
import subprocess
import sys
from pathlib import Path

import pytest
from autotiny import ROOT

SEED = Path(__file__).parent / "seed"
PROGRAMS = ["autoclass", "pipeline", "generate", "generate_pipeline"]
# What a line may differ in: where names are imported from, or which model and files are meant.
IMPORT = re.compile(r"(from [\w.]+ )?import .+")
PATH = re.compile(
    r"""(yaml_file|checkpoint_path|model_type) ?= ?.+|.*(from_pretrained\(|model=)['"]\w+['"].*"""
)


@pytest.mark.parametrize("name", PROGRAMS)
def test_only_imports_and_paths_differ(name: str) -> None:
    before = (SEED / f"{name}.txt").read_text().splitlines()
    after = (ROOT / "examples" / f"llama2_{name}.py").read_text().splitlines()
    assert len(before) == len(after)
    for old, new in zip(before, after, strict=True):
        if old == new:
            continue
        assert (IMPORT.fullmatch(old) and IMPORT.fullmatch(new)) or (
            PATH.fullmatch(old) and PATH.fullmatch(new)
        ), "\n".join(difflib.ndiff([old], [new]))
        if old.startswith("from"):  # the same names, from here
            assert new == f"from paddock import {old.split(' import ')[1]}"


@pytest.mark.parametrize("name", PROGRAMS)
def test_it_runs(name: str, tmp_path: Path) -> None:
    if not (ROOT / "src" / "paddock" / "assets" / "demo").is_dir():
        pytest.skip("the built-in model is not in this source tree")
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / f"llama2_{name}.py")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
        env={
            "PYTHONPATH": str(ROOT / "src"),
            "PADDOCK_HOME": str(tmp_path / "home"),
            "PADDOCK_OFFLINE": "1",
            "PADDOCK_THREADS": "1",
            "PYTHONUTF8": "1",
        },
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    if name == "autoclass":
        assert re.match(r"\[[\"']<s> ?I love Beijing, because", lines[-1])
    elif name == "pipeline":
        assert re.match(r"\[{'text_generation_text': \[[\"']I love Beijing, because", lines[-1])
    elif name == "generate":
        for start in ("I love Beijing, because", "LLaMA is a", "Huawei is a company that"):
            assert any(re.match(f"<s> ?{start}", line) for line in lines)
    else:
        assert sum(line.startswith("{'text_generation_text': [") for line in lines) == 3
