"""A tokenizer for random models: the built-in one, with a piece for every row of the head."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from paddock.inference.checkpoint import store, tokenizer_files
from paddock.inference.checkpoint.config import ModelConfig


def write(folder: Path, config: ModelConfig) -> None:
    """Writes ``tokenizer.model`` and its settings to ``folder``, with ``config.vocab_size`` pieces.

    The first are the built-in model's, so that texts are cut as there. Piece ``n`` of the others is
    the word ``wn``: no merge leads to it, so no text is cut into it, but an answer may have it.
    ``tokenizer.json`` is left out: it would have to be extended in the same way.
    """
    from sentencepiece import sentencepiece_model_pb2 as protos

    source = store.builtin()
    for name in tokenizer_files.FILES:
        if name not in ("tokenizer.model", "tokenizer.json") and (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    proto: Any = protos.ModelProto()  # type: ignore[attr-defined]  # made at run time
    proto.ParseFromString((source / "tokenizer.model").read_bytes())
    for number in range(len(proto.pieces), config.vocab_size):
        proto.pieces.add(piece=f"▁w{number}", score=-float(number))
    proto.trainer_spec.vocab_size = len(proto.pieces)
    (folder / "tokenizer.model").write_bytes(proto.SerializeToString())
