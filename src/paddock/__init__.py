"""Everything that programs import from Paddock; each name is loaded when it is first used.

Nearly all names are those of MindFormers and MindSpore that a Llama program uses, so that
``from paddock import …`` and ``import paddock as mindspore`` can replace both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from paddock._version import __version__

if TYPE_CHECKING:
    from paddock.errors import PaddockError
    from paddock.inference.auto.classes import AutoConfig, AutoModel, AutoTokenizer
    from paddock.inference.auto.context import (
        GRAPH_MODE,
        PYNATIVE_MODE,
        ContextConfig,
        ParallelContextConfig,
        TransformerOpParallelConfig,
        init_context,
        set_context,
    )
    from paddock.inference.auto.llama_config import LlamaConfig
    from paddock.inference.auto.model import LlamaForCausalLM, Model
    from paddock.inference.auto.params import load_checkpoint, load_param_into_net
    from paddock.inference.auto.tensor import Tensor, int32
    from paddock.inference.auto.text_generation import pipeline
    from paddock.inference.auto.tokenizer import LlamaTokenizer
    from paddock.inference.auto.tools import get_last_checkpoint, get_real_rank, str2bool
    from paddock.inference.auto.yaml_config import MindFormerConfig
    from paddock.inference.llm import LLM, Completion, GenerationParams
    from paddock.inference.runtimes.base import SamplingParams

__all__ = [
    "GRAPH_MODE",
    "LLM",
    "PYNATIVE_MODE",
    "AutoConfig",
    "AutoModel",
    "AutoTokenizer",
    "Completion",
    "ContextConfig",
    "GenerationParams",
    "LlamaConfig",
    "LlamaForCausalLM",
    "LlamaTokenizer",
    "MindFormerConfig",
    "Model",
    "PaddockError",
    "ParallelContextConfig",
    "SamplingParams",
    "Tensor",
    "TransformerOpParallelConfig",
    "__version__",
    "get_last_checkpoint",
    "get_real_rank",
    "init_context",
    "int32",
    "load_checkpoint",
    "load_param_into_net",
    "pipeline",
    "set_context",
    "str2bool",
]

_AUTO = "paddock.inference.auto"
_MODULES = {
    "paddock.errors": ("PaddockError",),
    f"{_AUTO}.classes": ("AutoConfig", "AutoModel", "AutoTokenizer"),
    f"{_AUTO}.context": (
        "GRAPH_MODE",
        "PYNATIVE_MODE",
        "ContextConfig",
        "ParallelContextConfig",
        "TransformerOpParallelConfig",
        "init_context",
        "set_context",
    ),
    f"{_AUTO}.llama_config": ("LlamaConfig",),
    f"{_AUTO}.model": ("LlamaForCausalLM", "Model"),
    f"{_AUTO}.params": ("load_checkpoint", "load_param_into_net"),
    f"{_AUTO}.tensor": ("Tensor", "int32"),
    f"{_AUTO}.text_generation": ("pipeline",),
    f"{_AUTO}.tokenizer": ("LlamaTokenizer",),
    f"{_AUTO}.tools": ("get_last_checkpoint", "get_real_rank", "str2bool"),
    f"{_AUTO}.yaml_config": ("MindFormerConfig",),
    "paddock.inference.llm": ("LLM", "Completion", "GenerationParams"),
    "paddock.inference.runtimes.base": ("SamplingParams",),
}
_WHERE = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        from paddock.errors import nearest

        raise AttributeError(f"module 'paddock' has no attribute {name!r}{nearest(name, _WHERE)}")
    from importlib import import_module

    value = getattr(import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
