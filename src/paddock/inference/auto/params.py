"""MindSpore's two steps to load weights: a dictionary from a file, and from it into a model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paddock.errors import UsageError
from paddock.inference.auto import names as model_names
from paddock.inference.auto.model import LlamaForCausalLM
from paddock.inference.auto.tensor import Tensor
from paddock.inference.checkpoint import names
from paddock.inference.checkpoint.open import open_checkpoint


def load_checkpoint(
    ckpt_file_name: str | Path, net: LlamaForCausalLM | None = None
) -> dict[str, Tensor]:
    """The weights in a file or folder of any format, by the names that MindFormers gives them.

    Arrays are read-only views of the file where that is possible. With ``net`` they are loaded
    into it too. Raises ModelNotFound, CheckpointError.
    """
    path = model_names.local(str(ckpt_file_name))
    if path is None:
        path = model_names.weights(str(ckpt_file_name))
    weights = {
        _spelled(name): array.view(Tensor) for name, array in open_checkpoint(path).tensors()
    }
    if net is not None:
        load_param_into_net(net, weights)
    return weights


def load_param_into_net(
    net: LlamaForCausalLM, parameter_dict: Mapping[str, Any], strict_load: bool = False
) -> tuple[list[str], list[str]]:
    """Puts weights, by MindFormers' names, into ``net``.

    Returns the names that ``net`` has and ``parameter_dict`` lacks, and the reverse. What neither
    this nor a checkpoint has given is an error when the model is first used. Raises
    TensorMismatch for a shape. ``strict_load`` changes nothing: no name is ever adjusted.
    """
    if not isinstance(net, LlamaForCausalLM):
        raise UsageError(f"weights are loaded into a LlamaForCausalLM, not {type(net).__name__}")
    wanted = {names.to_theirs("mindspore", name): name for name in net.weights.config().shapes()}
    net.weights.put(
        {
            wanted[name]: np.ascontiguousarray(value)
            for name, value in parameter_dict.items()
            if name in wanted
        }
    )
    net.close()
    not_loaded = [name for name in wanted if name not in parameter_dict]
    return not_loaded, [name for name in parameter_dict if name not in wanted]


def _spelled(name: str) -> str:
    """MindFormers' name of our tensor; readers keep names that are no weight of a Llama."""
    try:
        return names.to_theirs("mindspore", name)
    except KeyError:
        return name
