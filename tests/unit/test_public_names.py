"""The public surface: this list is what programs may rely on."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import paddock

NAMES = [
    "AutoConfig",
    "AutoModel",
    "AutoTokenizer",
    "pipeline",
    "LlamaConfig",
    "LlamaForCausalLM",
    "LlamaTokenizer",
    "MindFormerConfig",
    "init_context",
    "ContextConfig",
    "ParallelContextConfig",
    "TransformerOpParallelConfig",
    "str2bool",
    "get_real_rank",
    "get_last_checkpoint",
    "set_context",
    "GRAPH_MODE",
    "PYNATIVE_MODE",
    "load_checkpoint",
    "load_param_into_net",
    "Model",
    "Tensor",
    "int32",
    "LLM",
    "Completion",
    "GenerationParams",
    "SamplingParams",
    "PaddockError",
    "__version__",
]

HEAVY = ("torch", "numpy", "yaml", "sentencepiece", "gguf", "huggingface_hub", "httpx", "typer")


def test_the_list() -> None:
    assert sorted(paddock.__all__) == sorted(NAMES)
    assert dir(paddock) == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_leads_somewhere(name: str) -> None:
    assert getattr(paddock, name) is not None


def test_the_type_checker_sees_what_python_sees() -> None:
    tree = ast.parse(Path(paddock.__file__).read_text())
    block = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {
        alias.name: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == paddock._WHERE


def test_import_loads_nothing_heavy() -> None:
    code = f"import sys, paddock; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(Path(paddock.__file__).parents[1])},
    )
    assert done.stdout.strip() == "[]"


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(AttributeError, match="did you mean 'AutoModel'"):
        _ = paddock.AutoModle
    with pytest.raises(ImportError):
        from paddock import AutoModle  # noqa: F401
