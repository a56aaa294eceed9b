"""Writes a MindSpore checkpoint with the YAML that MindFormers reads it by."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any

from paddock.inference.checkpoint.base import Array
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.configs.mindformers import to_mindformers
from paddock.inference.checkpoint.formats.mindspore_wire import (
    TO_THEIRS,
    crc_trailer,
    value_header,
)
from paddock.inference.checkpoint.names import to_theirs
from paddock.inference.checkpoint.writer import create, raw

CHUNK = 512 << 20
"""Bytes of content per Value; what MindSpore 2.7 writes. Protobuf ends at 2 GiB."""


class MindSporeWriter:
    """Appends Value after Value, so that weights may come in any order."""

    def __init__(
        self, folder: Path, config: ModelConfig, stem: str, chunk: int = CHUNK, crc: bool = False
    ) -> None:
        """Writes ``stem``.ckpt and ``stem``.yaml; ``crc`` appends MindSpore's checksum.

        Raises CheckpointError if MindFormers cannot say the configuration.
        """
        import yaml

        values = _yaml(config)
        with (folder / f"{stem}.yaml").open("w") as file:
            yaml.safe_dump(values, file, sort_keys=False)
        self._config = config
        self._chunk = chunk
        self._crc: int | None = 0 if crc else None
        self._file = create(folder / f"{stem}.ckpt")

    def write(self, name: str, array: Array) -> None:
        """Appends the weight; the embedding of a tied model once more as its head.

        MindFormers 1.0 knows no tied heads and needs it; this reader drops it again.
        """
        self._append(to_theirs("mindspore", name), array)
        if name == "tok_embeddings.weight" and self._config.tie_embeddings:
            self._append(to_theirs("mindspore", "output.weight"), array)

    def close(self) -> None:
        """Appends the checksum if asked for and closes the file."""
        if self._crc is not None:
            self._file.write(crc_trailer(self._crc))
        self._file.close()

    def abort(self) -> None:
        """Closes the file."""
        self._file.close()

    def _append(self, tag: str, array: Array) -> None:
        content = raw(array)
        for at in range(0, len(content), self._chunk):
            piece = content[at : at + self._chunk]
            kind = TO_THEIRS[self._config.dtype]
            self._put(value_header(tag, array.shape, kind, len(piece)))
            self._put(piece)

    def _put(self, data: bytes | memoryview) -> None:
        if self._crc is not None:
            self._crc = zlib.crc32(data, self._crc)
        self._file.write(data)


def _yaml(config: ModelConfig) -> dict[str, Any]:
    return {
        "run_mode": "predict",
        "trainer": {"type": "CausalLanguageModelingTrainer", "model_name": "llama2"},
        "model": {
            "model_config": to_mindformers(config),
            "arch": {"type": "LlamaForCausalLM"},
        },
        "processor": {
            "return_tensors": "ms",
            "tokenizer": {
                "unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>",
                "pad_token": "<unk>", "type": "LlamaTokenizer",
            },
            "type": "LlamaProcessor",
        },
    }  # fmt: skip
