"""MindSpore checkpoints of MindFormers' Llama: a .ckpt with its YAML beside it."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

from paddock.errors import CheckpointError, CorruptCheckpoint, ModelNotFound
from paddock.inference.checkpoint.base import Array, TensorInfo
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.configs.fields import load_json
from paddock.inference.checkpoint.configs.hf import from_hf
from paddock.inference.checkpoint.configs.mindformers import from_mindformers
from paddock.inference.checkpoint.formats.mindspore_wire import CkptFile, Entry
from paddock.inference.checkpoint.reader import (
    Reader,
    Weight,
    as_array,
    main_dtype,
    whole_weights,
)


class MindSporeCheckpoint(Reader):
    """Reads one .ckpt, or a folder that holds exactly one. Row order is ours already."""

    format = "mindspore"

    def __init__(self, path: Path, config: ModelConfig | None = None) -> None:
        """Finds the file's tensors. ``config`` is for files without a configuration beside them."""
        self.path = path
        self._given = config
        self._ckpt = CkptFile(_find(path))

    def config(self) -> ModelConfig:
        """From ``<name>.yaml``, else the folder's only YAML with a model_config, else config.json.

        The YAML is MindFormers'; config.json is Hugging Face's.
        """
        return self._config

    @property
    def yaml(self) -> Path | None:
        """MindFormers' YAML that describes the file, None if something else does."""
        return None if self._given is not None else _yaml_beside(self._ckpt.path)

    @property
    def file(self) -> Path:
        """The .ckpt itself."""
        return self._ckpt.path

    def infos(self) -> list[TensorInfo]:
        """In file order."""
        return [entry.info for entry in self._ckpt.entries]

    def weights(self) -> list[Weight]:
        """Without rotary tables, optimizer states, counters and a tied model's head."""
        try:
            config = self._config
        except CheckpointError:
            config = None  # inspecting a lone file; whoever loads it asks for the config itself
        return whole_weights("mindspore", self.infos(), config)

    def tensors(self) -> Iterator[tuple[str, Array]]:
        """In file order. A CRC in the file is checked on the way; CorruptCheckpoint at the end."""
        kept = {id(weight.infos[0]): weight.name for weight in self.weights()}
        crc, done = 0, 0
        file = self._ckpt.file
        for entry in self._ckpt.entries:
            name = kept.get(id(entry.info))
            if name is not None:
                yield name, self._array(entry)
            end = entry.spans[-1][0] + entry.spans[-1][1]
            if self._ckpt.crc is not None:
                crc = zlib.crc32(file.view(done, end - done).data, crc)
            file.give_back(done, end - done)
            done = end
        if self._ckpt.crc is not None:
            crc = zlib.crc32(file.view(done, self._ckpt.end - done).data, crc)
            if crc != self._ckpt.crc:
                raise CorruptCheckpoint(
                    f"{self._ckpt.path}: the checksum is {crc:#010x}, "
                    f"the file says {self._ckpt.crc:#010x}"
                )

    def _array(self, entry: Entry) -> Array:
        import numpy as np

        views = [self._ckpt.file.view(*span) for span in entry.spans]
        return as_array(views[0] if len(views) == 1 else np.concatenate(views), entry.info)

    @cached_property
    def _config(self) -> ModelConfig:
        if self._given is not None:
            return self._given
        return replace(_config_beside(self._ckpt.path), dtype=main_dtype(self.infos()))


def model_config(path: Path) -> dict[str, Any] | None:
    """The ``model.model_config`` of a MindFormers YAML file; None if it has none.

    Raises CheckpointError for a file that is no YAML.
    """
    import yaml

    try:
        values = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} is not YAML: {error}") from error
    model = values.get("model") if isinstance(values, dict) else None
    found = model.get("model_config") if isinstance(model, dict) else None
    return found if isinstance(found, dict) else None


def _config_beside(ckpt: Path) -> ModelConfig:
    found = _yaml_beside(ckpt)
    if found is not None:
        return from_mindformers(model_config(found) or {}, f"{found}: model_config")
    if (ckpt.parent / "config.json").is_file():
        return from_hf(load_json(ckpt.parent / "config.json"), str(ckpt.parent / "config.json"))
    raise CheckpointError(
        f"{ckpt} has no configuration beside it",
        hint=f"put MindFormers' YAML there as {ckpt.with_suffix('.yaml').name}, or a config.json",
    )


def _yaml_beside(ckpt: Path) -> Path | None:
    """``<name>.yaml``, else the folder's only YAML with a model_config, else None."""
    named = ckpt.with_suffix(".yaml")
    others = sorted(ckpt.parent.glob("*.yaml")) + sorted(ckpt.parent.glob("*.yml"))
    for candidates in ([named] if named.is_file() else [], others):
        found = [path for path in candidates if model_config(path)]
        if len(found) > 1:
            raise CheckpointError(
                f"{ckpt}: which configuration? {', '.join(path.name for path in found)}",
                hint=f"name it {named.name}",
            )
        if found:
            return found[0]
    return None


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(path.glob("*.ckpt"))
    if len(found) != 1:
        raise ModelNotFound(
            f"{path} has {len(found)} .ckpt files",
            hint="name the one to open" if found else None,
        )
    return found[0]
