"""From a checkpoint and a few wishes to a MindSporeRuntime: a worker with a model in it."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from paddock import settings
from paddock.errors import DeviceError, TensorMismatch, UsageError
from paddock.inference.checkpoint.base import Checkpoint
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.memory import ensure_fits
from paddock.inference.runtimes.base import Limits
from paddock.inference.runtimes.mindspore.channel import WORKER, Channel, Failed
from paddock.inference.runtimes.mindspore.description import Description, Wishes, describe, read
from paddock.inference.runtimes.mindspore.group import Group, check_ranks, parallel_settings
from paddock.inference.runtimes.mindspore.python import find_python
from paddock.inference.runtimes.mindspore.runtime import MindSporeRuntime, Timeouts, Told
from paddock.inference.runtimes.mindspore.weights import checkpoint_file

DEFAULT_TIMEOUTS = Timeouts()
_NO_MODULE = ("ModuleNotFoundError", "ImportError")


def build(
    checkpoint: Checkpoint,
    *,
    device: str = "auto",
    dtype: str = "auto",
    mode: str | None = None,
    use_past: bool | None = None,
    max_seq_len: int | None = None,
    max_batch: int | None = None,
    cache: str = "contiguous",
    threads: int | None = None,
    vocab_size: int | None = None,
    python: str | Path | None = None,
    values: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    ranks: int = 1,
    shards: str | Path | None = None,
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
) -> MindSporeRuntime:
    """Loads ``checkpoint`` in the Python at ``python`` (see ``find_python``).

    What is None comes from the YAML file beside a .ckpt, then from defaults: graph mode, a cache,
    the model's context (at most 4,096 positions) and one text at a time; fp32 on CPUs, else fp16.
    ``values`` and ``context`` are further keys of MindFormers' ``model_config`` and ``context``.
    ``ranks`` divides the model over as many devices of this host (group.py); ``shards`` is then the
    folder with ``rank_0``, ``rank_1``, …, and ``checkpoint`` only describes the model.
    Raises DeviceError where there is no such Python or device, TensorMismatch for weights that
    are missing, UsageError, CheckpointError, DoesNotFit and RuntimeLost.
    """
    if cache != "contiguous":
        raise UsageError(
            f"cache is {cache!r}", hint="MindFormers keeps one row for each text: contiguous"
        )
    wishes = Wishes(
        device, dtype, mode, use_past, max_seq_len, max_batch, threads, values or {}, context or {}
    )
    config = checkpoint.config()
    file_values, file_context, _ = read(getattr(checkpoint, "yaml", None))
    asked = describe(config, wishes, file_values, file_context)
    if asked.changed:
        warnings.warn(
            f"on the CPU MindFormers cannot have {', '.join(asked.changed)} as the file says",
            UserWarning,
            stacklevel=2,
        )
    if asked.target == "CPU":
        ensure_fits(config, asked.dtype, _cache_bytes(config, asked))
    if ranks != 1 or shards is not None:
        if shards is None:
            raise UsageError(
                f"{ranks} ranks need their weights in rank_0, rank_1, …",
                hint="name the folder: shards",
            )
        check_ranks(config, ranks)
    interpreter = find_python(python or settings.load().mindspore_python)
    folder = Path(tempfile.mkdtemp(prefix="paddock-mindspore-"))
    try:
        if shards is None:
            weights, temporary = checkpoint_file(checkpoint, config, asked.dtype, folder)
        else:
            weights, temporary = Path(shards), False
        channel, told = _open(weights, asked, interpreter, folder, ranks, timeouts)
        if temporary:
            weights.unlink()
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    limits = Limits(
        vocab_size or config.vocab_size,
        asked.seq_length,
        asked.seq_length,
        asked.batch_size,
        asked.batch_size,
    )
    return MindSporeRuntime(config, asked, limits, channel, folder, told, timeouts)


def _open(
    weights: Path,
    asked: Description,
    interpreter: str,
    folder: Path,
    ranks: int,
    timeouts: Timeouts,
) -> tuple[Channel | Group, Told]:
    argv = [interpreter, str(WORKER)]
    threads = asked.context.get("runtime_num_threads")
    variables = {"OMP_NUM_THREADS": str(threads)} if threads else {}
    channel: Channel | Group
    if ranks == 1:
        channel = Channel(argv, folder=folder, variables=variables)
    else:
        channel = Group(argv, ranks, folder=folder, variables_of_all=variables)
    question = {
        "do": "open",
        "model_config": asked.model_config,
        "context": asked.context,
        "checkpoint": str(weights.resolve()),
        "parallel": parallel_settings(ranks) if ranks > 1 else None,
    }
    try:
        answer, _ = channel.ask(question, timeouts.load)
        if missing := answer["not_loaded"]:
            raise TensorMismatch(
                f"{weights} has no weights for {len(missing)} tensors, first {missing[0]}",
                hint="the .ckpt belongs to another model or another MindFormers",
            )
    except Failed as error:
        channel.close()
        raise _explained(error, interpreter) from None
    except BaseException:
        channel.close()
        raise
    return channel, Told(answer["versions"], tuple(answer["standins"]), answer["mode"])


def _explained(error: Failed, interpreter: str) -> DeviceError:
    """What the worker could not do, with what to do about the frequent causes."""
    if error.kind in _NO_MODULE:
        return DeviceError(
            f"{interpreter} cannot import MindFormers: {error.told}",
            hint="install a pair of MindSpore and MindFormers that belongs together:"
            " docs/guides/mindspore.md; paddock doctor looks for what is off",
        )
    if error.kind == "Refused":
        return DeviceError(error.told)
    return DeviceError(
        f"MindFormers cannot open the model: {error.kind}: {error.told}",
        hint="paddock doctor --config FILE.yaml knows many causes",
    )


def _cache_bytes(config: ModelConfig, asked: Description) -> int:
    """Keys and values of the whole rectangle."""
    if not asked.use_past:
        return 0
    positions = asked.seq_length * asked.batch_size
    width = 2 if asked.dtype == "fp16" else 4
    return 2 * config.n_layers * positions * config.n_kv_heads * config.head_dim * width
