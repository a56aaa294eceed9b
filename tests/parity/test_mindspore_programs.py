"""The four programs of the notes' section 8, in MindFormers as they are and here after imports."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from mindspore_env import run_there
from paddock.inference.checkpoint import store
from paddock.inference.checkpoint.convert import convert

pytestmark = pytest.mark.mindspore

ROOT = Path(__file__).resolve().parents[2]
SEED = ROOT / "tests" / "unit" / "auto" / "seed"
LENGTH = 64


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which both find llama2_7b as MindFormers downloads it: the built-in model."""
    root = tmp_path_factory.mktemp("programs")
    folder = root / "checkpoint_download" / "llama2"
    made = convert(store.builtin(), root / "made", to="mindspore", dtype="fp32")
    folder.mkdir(parents=True)
    shutil.copy(next(made.glob("*.ckpt")), folder / "llama2_7b.ckpt")
    shutil.copy(made / "tokenizer.model", folder)
    values = yaml.safe_load(next(made.glob("*.yaml")).read_text())
    values["model"]["model_config"].update(
        seq_length=LENGTH, use_past=False, use_rope_slice=True, batch_size=3, pad_token_id=0,
        max_decode_length=40, top_k=3, top_p=1, do_sample=False, repetition_penalty=1,
        checkpoint_name_or_path="llama2_7b",
    )  # fmt: skip
    values.update(
        use_parallel=False,
        context={"mode": 0, "device_target": "CPU"},
        parallel={"parallel_mode": 0},
        parallel_config={"data_parallel": 1, "model_parallel": 1, "pipeline_stage": 1},
    )
    values["processor"]["tokenizer"]["vocab_file"] = str(folder / "tokenizer.model")
    (folder / "llama2_7b.yaml").write_text(yaml.safe_dump(values))
    return root


def answered(name: str, printed: str) -> list[str]:
    """The lines of a program's output that are its answers."""
    start = {"autoclass": r"\[?['\"]?<s>", "generate": r"<s>"}.get(
        name, r"[\[{].*text_generation_text"
    )
    return [line for line in printed.splitlines() if re.match(start, line)]


@pytest.mark.parametrize(
    ("name", "use_past"),
    [
        ("autoclass", True),
        ("pipeline", False),
        ("generate", False),
        ("generate", True),
        ("generate_pipeline", False),
    ],
)
def test_the_programs_of_the_notes_print_the_same_here_and_there(
    name: str, use_past: bool, mindspore_python: Path, downloads: Path
) -> None:
    folder = downloads / "checkpoint_download" / "llama2"
    program = downloads / f"{name}.py"
    program.write_text(as_written(name, folder / "llama2_7b.yaml", use_past), encoding="utf-8")
    theirs = answered(
        name,
        run_there(
            mindspore_python,
            program,
            downloads,
            described=single(folder / "llama2_7b.yaml", downloads) if name == "pipeline" else None,
        ),
    )
    assert theirs
    assert answered(name, here(program)) == theirs


def as_written(name: str, described: Path, use_past: bool) -> str:
    """The notes' program with its paths filled in, and shorter."""
    text = (SEED / f"{name}.txt").read_text(encoding="utf-8")
    text = text.replace("/path/to/yaml_file.yaml", str(described))
    text = text.replace("/path/ro/checkpoint.ckpt", str(described.with_suffix(".ckpt")))
    text = text.replace("seq_length = 512", f"seq_length = {LENGTH}")
    if name == "autoclass":  # one text, where the file is for three
        return text.replace(
            "config.use_past = True ", "config.use_past = True; config.batch_size = 1"
        )
    return text.replace("use_past = False", f"use_past = {use_past}")


def single(described: Path, folder: Path) -> Path:
    """The YAML file for one text at a time."""
    values = yaml.safe_load(described.read_text())
    values["model"]["model_config"].update(batch_size=1)
    written = folder / "single.yaml"
    written.write_text(yaml.safe_dump(values))
    return written


def here(program: Path) -> str:
    """What the program prints with Paddock's names in the place of MindSpore's and MindFormers'."""
    text = program.read_text(encoding="utf-8")
    text = re.sub(
        r"^from (mindspore|mindformers)\S* import", "from paddock import", text, flags=re.M
    )
    text = re.sub(r"^import mindspore as ms$", "import paddock as ms", text, flags=re.M)
    text = re.sub(r"^import mindspore$", "import paddock as mindspore", text, flags=re.M)
    ours = program.with_name(f"ours_{program.name}")
    ours.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(ours)],
        capture_output=True,
        text=True,
        cwd=program.parent,
        timeout=300,
        env={
            "PYTHONPATH": str(ROOT / "src"),
            "PADDOCK_HOME": str(program.parent / "home"),
            "PADDOCK_OFFLINE": "1",
            "PADDOCK_THREADS": "1",
            "PYTHONUTF8": "1",
        },
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
