"""The configuration files of each format and ours, in both directions."""

from paddock.inference.checkpoint.configs.gguf import from_gguf, to_gguf
from paddock.inference.checkpoint.configs.hf import from_hf, to_hf
from paddock.inference.checkpoint.configs.meta import from_meta, to_meta
from paddock.inference.checkpoint.configs.mindformers import from_mindformers, to_mindformers

__all__ = [
    "from_gguf", "from_hf", "from_meta", "from_mindformers",
    "to_gguf", "to_hf", "to_meta", "to_mindformers",
]  # fmt: skip
