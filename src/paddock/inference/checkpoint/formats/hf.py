"""Hugging Face folders: config.json and one or several safetensors files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from paddock.errors import CheckpointError, CorruptCheckpoint, ModelNotFound
from paddock.inference.checkpoint.base import Array, TensorInfo
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.configs.fields import Fields, load_json
from paddock.inference.checkpoint.configs.hf import from_hf
from paddock.inference.checkpoint.formats.safetensors import SafetensorsFile
from paddock.inference.checkpoint.reader import (
    Reader,
    Weight,
    as_array,
    main_dtype,
    whole_weights,
)

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


class HfCheckpoint(Reader):
    """Reads a folder, or one file with config.json beside it. Row order is ours already."""

    format = "hf"

    def __init__(self, path: Path, config: ModelConfig | None = None) -> None:
        """Opens all files and checks their headers. ``config`` stands in for config.json."""
        self.path = path
        self._folder = path if path.is_dir() else path.parent
        self._given = config
        self._files = [SafetensorsFile(file) for file in self._find()]

    def config(self) -> ModelConfig:
        """From config.json; stop ids of generation_config.json are added, as generation uses them.

        ``dtype`` is what the files hold, whatever config.json says.
        """
        return self._config

    def infos(self) -> list[TensorInfo]:
        """In the order of the headers."""
        return [info for file in self._files for info in file.infos.values()]

    def weights(self) -> list[Weight]:
        """Without rotary tables and the head that a tied model may repeat."""
        return whole_weights("hf", self.infos(), self._config)

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """Views of the mapped files, in the order of the headers."""
        files = {file.path: file for file in self._files}
        for weight in self.weights():
            info = weight.infos[0]
            file = files[info.file]
            yield weight.name, as_array(file.view(info.name), info)
            file.give_back(info.name)

    @cached_property
    def _config(self) -> ModelConfig:
        if self._given is not None:
            return self._given
        path = self._folder / "config.json"
        if not path.is_file():
            raise CheckpointError(f"{path} is missing", hint="it says what shape the model has")
        config = self._with_generation(from_hf(load_json(path), str(path)))
        return replace(config, dtype=main_dtype(self.infos()))

    def _with_generation(self, config: ModelConfig) -> ModelConfig:
        generation = self._folder / "generation_config.json"
        if not generation.is_file():
            return config
        more = Fields(load_json(generation), str(generation)).ids("eos_token_id", ())
        return replace(config, eos_ids=tuple(dict.fromkeys(config.eos_ids + more)))

    def _find(self) -> list[Path]:
        if self.path.is_file():
            return [self.path]
        if (self.path / SINGLE).is_file():
            return [self.path / SINGLE]
        if (self.path / INDEX).is_file():
            return _shards(self.path / INDEX)
        found = sorted(self.path.glob("*.safetensors"))
        if len(found) != 1:
            raise ModelNotFound(
                f"{self.path} has {len(found)} .safetensors files and neither {SINGLE} nor {INDEX}",
                hint="add the index, or name one file",
            )
        return found


def _shards(index: Path) -> list[Path]:
    """The files that an index names, each checked to hold the tensors that it promises."""
    weight_map = load_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CorruptCheckpoint(f"{index}: weight_map is missing or empty")
    promised: dict[str, set[str]] = {}
    for tensor, file in weight_map.items():
        # A plain name only: an index must not reach outside its folder.
        if not isinstance(file, str) or file in ("", ".", "..") or "/" in file or "\\" in file:
            raise CorruptCheckpoint(f"{index}: tensor {tensor!r} lies in an unsafe path {file!r}")
        promised.setdefault(file, set()).add(tensor)
    paths = []
    for name, tensors in sorted(promised.items()):
        path = index.parent / name
        if "\0" in name or not path.is_file():
            raise CorruptCheckpoint(
                f"{index}: the shard {name!r} is missing (it holds tensor {min(tensors)!r})"
            )
        absent = tensors - SafetensorsFile(path).infos.keys()
        if absent:
            raise CorruptCheckpoint(f"{path}: tensor {min(absent)!r} is in the index, not in here")
        paths.append(path)
    return paths
