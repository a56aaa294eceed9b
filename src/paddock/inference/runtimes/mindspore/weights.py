"""The .ckpt that the worker loads: the model's own if MindSpore reads it, else one for a while."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from paddock.errors import CheckpointError
from paddock.inference.checkpoint.base import Checkpoint
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.convert import weight_bytes
from paddock.inference.checkpoint.formats.mindspore import MindSporeCheckpoint
from paddock.inference.checkpoint.formats.mindspore_writer import MindSporeWriter
from paddock.inference.checkpoint.memory import in_gib
from paddock.inference.checkpoint.verify import check_headers, checked
from paddock.inference.checkpoint.writer import cast


def checkpoint_file(
    checkpoint: Checkpoint, config: ModelConfig, dtype: str, folder: Path
) -> tuple[Path, bool]:
    """A .ckpt with ``checkpoint``'s weights, and whether it was written into ``folder`` for now.

    A .ckpt of MindFormers in ``dtype`` or another that MindSpore casts (fp16, fp32) is taken as it
    is, its names and shapes proved from the headers. All else is written anew, weight by weight.
    Raises CheckpointError.
    """
    plain = getattr(checkpoint, "plain", None) or checkpoint  # auto's wrapper, with nothing in it
    if isinstance(plain, MindSporeCheckpoint) and not config.tie_embeddings:
        stored = {info.dtype for weight in plain.weights() for info in weight.infos}
        if stored <= {"fp16", "fp32"} and dtype in ("fp16", "fp32"):
            check_headers(plain, plain.weights(), config)
            return plain.file, False
    needed = round(sum(weight_bytes(config, dict.fromkeys(config.shapes(), dtype)).values()))
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise CheckpointError(
            f"{in_gib(needed)} of disk are needed in {folder} to hand the weights to MindSpore,"
            f" {in_gib(free)} are free",
            hint="convert once and name the result: paddock convert MODEL OUT --to mindspore",
        )
    writer = MindSporeWriter(folder, replace(config, dtype=dtype), "weights")
    try:
        for name, array in checked(checkpoint, config):
            writer.write(name, cast(name, array, dtype))
    except BaseException:
        writer.abort()
        raise
    writer.close()
    return folder / "weights.ckpt", True
