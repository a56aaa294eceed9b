"""Meta's folders: params.json and consolidated.NN.pth, one file per model-parallel rank."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from paddock.errors import CheckpointError, CorruptCheckpoint, ModelNotFound
from paddock.inference.checkpoint import names, rope
from paddock.inference.checkpoint.base import Array, TensorInfo
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.configs.fields import Fields, load_json
from paddock.inference.checkpoint.configs.meta import from_meta
from paddock.inference.checkpoint.formats.meta_files import MetaShard
from paddock.inference.checkpoint.reader import Reader, Weight, main_dtype

_SHARD = re.compile(r"consolidated\.(\d{2,})\.pth")

# The axis along which Meta's model-parallel layers split a matrix: the outputs of a
# ColumnParallelLinear (0), the inputs of a RowParallelLinear (1).
SPLIT_AXIS = {
    "wq": 0, "wk": 0, "wv": 0, "w1": 0, "w3": 0, "output": 0,
    "wo": 1, "w2": 1, "tok_embeddings": 1,
}  # fmt: skip


class MetaCheckpoint(Reader):
    """Reads a folder, or any one file of a set. Merges one tensor at a time."""

    format = "meta"

    def __init__(self, path: Path, config: ModelConfig | None = None) -> None:
        """Reads the table of every shard. ``config`` stands in for params.json."""
        self.path = path
        self._folder = path if path.is_dir() else path.parent
        self._given = config
        self._shards = [MetaShard(file) for file in self._find()]

    def config(self) -> ModelConfig:
        """From params.json; a vocabulary of -1 there is taken from the embedding."""
        return self._config

    def infos(self) -> list[TensorInfo]:
        """Every shard's part of every tensor, shard by shard."""
        return [info for shard in self._shards for info in shard.infos.values()]

    def weights(self) -> list[Weight]:
        """Merged shapes. Raises TensorMismatch where shards do not hold the same names."""
        weights = []
        for name in self._shards[0].infos:
            if names.is_harmless("meta", name):
                continue
            if name == "output.weight" and self._config.tie_embeddings:
                continue
            parts = self._parts(name)
            weights.append(Weight(name, self._shape(name, parts), tuple(parts)))
        known = set(self._shards[0].infos)
        for shard in self._shards[1:]:
            for name in shard.infos.keys() - known:
                weights.append(Weight(name, shard.infos[name].shape, (shard.infos[name],)))
        return weights

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """Views for what is whole and not rotated, merged and reordered copies for the rest."""
        config = self._config
        for weight in self.weights():
            merged = self._merge(weight)
            n_heads = rope.rotated_heads(weight.name, config)
            if n_heads is not None and merged.shape[0] % (2 * n_heads) == 0:
                merged = rope.to_halves(merged, n_heads)
            # Before too: a merged or reordered copy needs the file's pages no longer.
            self._give_back(weight.name)
            yield weight.name, merged
            del merged
            self._give_back(weight.name)

    def _give_back(self, name: str) -> None:
        for shard in self._shards:
            if name in shard.infos:
                shard.give_back(name)

    @cached_property
    def _config(self) -> ModelConfig:
        if self._given is not None:
            return self._given
        path = self._folder / "params.json"
        if not path.is_file():
            raise CheckpointError(f"{path} is missing", hint="it says what shape the model has")
        values = load_json(path)
        tied = "output.weight" not in self._shards[0].infos or all(
            shard.shares("tok_embeddings.weight", "output.weight") for shard in self._shards
        )
        config = from_meta(
            values,
            str(path),
            vocab_size=self._vocab_size(Fields(values, str(path)).integer("dim")),
            tie_embeddings=tied,
        )
        return replace(config, dtype=main_dtype(self.infos()))

    def _vocab_size(self, dim: int) -> int | None:
        info = self._shards[0].infos.get("tok_embeddings.weight")
        if info is None or len(info.shape) != 2:
            return None
        # Llama 1 and 2 split the embedding by columns, Llama 3 by rows.
        rows, columns = info.shape
        return rows * len(self._shards) if columns == dim else rows

    def _parts(self, name: str) -> list[TensorInfo]:
        for shard in self._shards:
            if name not in shard.infos:
                raise CorruptCheckpoint(
                    f"{shard.path}: tensor {name!r} is missing; {self._shards[0].path.name} has it"
                )
        return [shard.infos[name] for shard in self._shards]

    def _axis(self, name: str, parts: list[TensorInfo]) -> int | None:
        """The axis to join along; None where every shard holds the same whole tensor."""
        if len(parts[0].shape) < 2 or len(parts) == 1:
            return None
        axis = SPLIT_AXIS.get(name.split(".")[-2] if "." in name else name, 0)
        expected = self._config.shapes().get(name)
        joined = _joined(parts, 1 - axis)
        return 1 - axis if expected is not None and joined == expected else axis

    def _shape(self, name: str, parts: list[TensorInfo]) -> tuple[int, ...]:
        axis = self._axis(name, parts)
        return parts[0].shape if axis is None else _joined(parts, axis)

    def _merge(self, weight: Weight) -> Array:
        import numpy as np

        holders = [shard for shard in self._shards if weight.name in shard.infos]
        pieces = [shard.array(weight.name) for shard in holders]
        axis = self._axis(weight.name, list(weight.infos))
        if axis is None:
            for shard, piece in zip(holders[1:], pieces[1:], strict=True):
                if piece.shape != pieces[0].shape or piece.tobytes() != pieces[0].tobytes():
                    raise CorruptCheckpoint(
                        f"{shard.path}: tensor {weight.name!r} differs from the first shard's copy"
                    )
            return np.ascontiguousarray(pieces[0])
        if len({piece.dtype for piece in pieces}) > 1:
            raise CorruptCheckpoint(f"{weight.where} has another dtype in another shard")
        try:
            return np.concatenate(pieces, axis)
        except ValueError as error:
            raise CorruptCheckpoint(
                f"{weight.where}: the shards' parts do not join: {error}"
            ) from error

    def _find(self) -> list[Path]:
        if self.path.is_file() and not _SHARD.fullmatch(self.path.name):
            return [self.path]
        found = {
            int(match.group(1)): file
            for file in self._folder.glob("consolidated.*.pth")
            if (match := _SHARD.fullmatch(file.name))
        }
        if not found:
            raise ModelNotFound(f"{self._folder} has no consolidated.00.pth")
        absent = set(range(max(found) + 1)) - found.keys()
        if absent:
            raise CorruptCheckpoint(
                f"{self._folder}: consolidated.{min(absent):02d}.pth is missing"
            )
        return [found[number] for number in sorted(found)]


def _joined(parts: list[TensorInfo], axis: int) -> tuple[int, ...]:
    shape = list(parts[0].shape)
    if axis < len(shape):
        shape[axis] = sum(part.shape[axis] if axis < len(part.shape) else 0 for part in parts)
    return tuple(shape)
