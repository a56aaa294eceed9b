"""A model's weights as MindFormers' programs give them: by name, by path, or in a dictionary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from paddock.errors import CheckpointError, TensorMismatch
from paddock.inference.auto import names
from paddock.inference.auto.llama_config import LlamaConfig
from paddock.inference.checkpoint.base import Array, Checkpoint, TensorInfo
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.open import open_checkpoint
from paddock.inference.checkpoint.packed import Packed

# Keys that fix the shape of the weights: ours and MindFormers'.
_SHAPE = {
    "dim": "hidden_size",
    "n_layers": "num_layers",
    "n_heads": "num_heads",
    "n_kv_heads": "n_kv_heads",
    "hidden_dim": "intermediate_size",
    "vocab_size": "vocab_size",
}


class Weights:
    """A Checkpoint put together: what a file holds, and arrays that were given over it.

    ``base`` is None for a model without a file. ``given`` maps our names to arrays.
    """

    def __init__(self, config: ModelConfig, base: Checkpoint | None) -> None:
        self._config = config
        self.base = base
        self.given: dict[str, Array] = {}
        self.format = base.format if base else "mindspore"
        self.path = base.path if base else Path("load_param_into_net")

    @property
    def plain(self) -> Checkpoint | None:
        """The file's own checkpoint where nothing was given over it, else None."""
        return None if self.given else self.base

    def config(self) -> ModelConfig:
        """The shape, with what the LlamaConfig says over what the file says."""
        return self._config

    def infos(self) -> list[TensorInfo]:
        """What the file holds."""
        return self.base.infos() if self.base else []

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """Each weight once: the given ones, then the file's others."""
        yield from self.given.items()
        if self.base:
            for name, array in self.base.tensors():
                if name not in self.given:
                    yield name, array

    def stored(self) -> Iterator[tuple[str, Array | Packed]]:
        """The same, what the file holds packed left so."""
        yield from self.given.items()
        if self.base:
            for name, array in self.base.stored():
                if name not in self.given:
                    yield name, array

    def missing(self) -> list[str]:
        """Names of weights that nothing holds, for a model without a file."""
        return [] if self.base else [n for n in self._config.shapes() if n not in self.given]

    def put(self, arrays: Mapping[str, Array]) -> None:
        """Lays ``arrays`` (our names) over what is there. Raises TensorMismatch for a shape."""
        shapes = self._config.shapes()
        for name, array in arrays.items():
            if tuple(array.shape) != shapes[name]:
                raise TensorMismatch(
                    f"{name} has shape {tuple(array.shape)}; the model needs {shapes[name]}",
                    hint="the weights belong to a model of another size",
                )
        self.given.update(arrays)


def open_weights(config: LlamaConfig) -> Weights:
    """The weights that ``checkpoint_name_or_path`` stands for, read from headers alone.

    A checkpoint that describes itself (Hugging Face, GGUF, Meta) must agree with those keys that
    were set, and they may change what is not a shape; MindSpore's ``.ckpt`` has the shape that the
    keys say. Raises ModelNotFound, CheckpointError.
    """
    name = config.checkpoint_name_or_path
    if not name:
        return Weights(_lengthened(config.to_model_config(), config), None)
    path = names.weights(name)
    described = config.to_model_config() if _is_mindspore(path) else None
    base = open_checkpoint(path, config=described)
    shape = described or _combined(base.config(), config, path)
    return Weights(_lengthened(shape, config), base)


def _is_mindspore(path: Path) -> bool:
    if path.is_dir():
        return any(path.glob("*.ckpt")) and not (path / "config.json").is_file()
    return path.suffix == ".ckpt"


def _lengthened(shape: ModelConfig, config: LlamaConfig) -> ModelConfig:
    # MindFormers computes as many rotary positions as seq_length asks for.
    return replace(shape, max_seq_len=max(shape.max_seq_len, config["seq_length"]))


def _combined(own: ModelConfig, config: LlamaConfig, path: Path) -> ModelConfig:
    for ours, theirs in _SHAPE.items():
        has, wants = getattr(own, ours), config[theirs]
        if theirs in config.given and wants is not None and wants != has:
            raise CheckpointError(
                f"{theirs} is {wants} in the configuration and {has} in {path}",
                hint="the configuration and the weights belong to different models",
            )
    merged = config.copy()
    for theirs, value in (
        ("theta", own.rope_theta),
        ("rms_norm_eps", own.norm_eps),
        ("bos_token_id", own.bos_id),
        ("eos_token_id", list(own.eos_ids) if len(own.eos_ids) != 1 else own.eos_ids[0]),
    ):
        if theirs not in config.given:
            dict.__setitem__(merged, theirs, value)
    said = merged.to_model_config()
    stretched = "extend_method" in config.given and config["extend_method"] != "None"
    return replace(
        own,
        norm_eps=said.norm_eps,
        rope_theta=said.rope_theta,
        rope_scaling=said.rope_scaling if stretched else own.rope_scaling,
        bos_id=said.bos_id,
        eos_ids=said.eos_ids,
    )
