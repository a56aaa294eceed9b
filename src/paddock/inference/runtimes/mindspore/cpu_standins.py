"""Puts back the few names that MindFormers 1.0 expects and PyPI's MindSpore lacks, on CPUs only.

MindFormers 1.0.x was made for MindSpore 2.2, which PyPI never had; PyPI has 2.0.0 and then 2.7.
``worker.py`` reads this file as it is and applies it on the CPU target alone: on Ascend the pair
that belongs together is installed, and nothing is changed. Python 3.7 and the standard library.
"""

from __future__ import annotations

import importlib
from typing import Any


def before_import() -> list[str]:
    """What ``import mindformers`` needs; returns the names of what was put in.

    MindSpore 2.0: ``bfloat16``, which MindFormers only names and never computes in there, and a
    setting of the planner of parallel runs, which one process does not have.
    """
    done: list[str] = []
    dtype: Any = importlib.import_module("mindspore.common.dtype")
    if not hasattr(dtype, "bfloat16"):
        dtype.bfloat16 = dtype.float16
        done.append("mindspore.common.dtype.bfloat16")
    try:
        cost: Any = importlib.import_module("mindspore.parallel._cost_model_context")
    except ImportError:
        return done
    if not hasattr(cost, "_set_rp_matmul_mem_coef"):
        cost._set_rp_matmul_mem_coef = _nothing
        done.append("mindspore.parallel._cost_model_context._set_rp_matmul_mem_coef")
    return done


def after_import(version: tuple[int, ...]) -> list[str]:
    """What MindFormers ``version`` (a tuple of numbers) needs to compute; returns what was put in.

    ``Cell.cast`` is gone since MindSpore 2.3; the large kernels (RmsNorm) are there for Ascend
    only, and MindFormers 1.0 and 1.1 take them wherever MindSpore is new enough.
    """
    done: list[str] = []
    mindspore: Any = importlib.import_module("mindspore")
    if not hasattr(mindspore.nn.Cell, "cast"):
        mindspore.nn.Cell.cast = mindspore.ops.operations.Cast()
        done.append("mindspore.nn.Cell.cast")
    if (1, 0) <= version[:2] <= (1, 1):
        control: Any = importlib.import_module("mindformers.version_control")
        layer: Any = importlib.import_module("mindformers.models.llama.llama_layer")
        control.check_valid_big_kernel = layer.check_valid_big_kernel = _never
        done.append("mindformers.version_control.check_valid_big_kernel")
    return done


def _nothing(*_values: Any, **_named: Any) -> None:
    return None


def _never(*_values: Any, **_named: Any) -> bool:
    return False
