"""MindSpore's and MindFormers' run-time context, as far as one device has one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paddock import settings
from paddock.errors import DeviceError, MissingExtra, UsageError, nearest
from paddock.inference.auto import notice
from paddock.inference.runtimes.load import best_device

GRAPH_MODE = 0
PYNATIVE_MODE = 1

_TARGETS = {"Ascend": "npu", "GPU": "cuda", "CPU": "cpu"}
_MODES = (GRAPH_MODE, PYNATIVE_MODE, "GRAPH_MODE", "PYNATIVE_MODE")
_HONOURED = ("mode", "device_target", "device_id")
# Names: ContextConfig of MindFormers 1.0.0 and set_context of MindSpore 2.x.
_CONTEXT_KEYS = (
    *_HONOURED,
    *("precompile_only", "save_graphs", "save_graphs_path", "enable_dump", "save_dump_path"),
    *("auto_tune_mode", "enable_reduce_precision", "variable_memory_max_size"),
    *("enable_profiling", "profiling_options", "enable_auto_mixed_precision"),
    *("enable_graph_kernel", "reserve_class_name_in_scope", "check_bprop", "max_device_memory"),
    *("print_file_path", "enable_sparse", "max_call_depth", "env_config_path"),
    *("graph_kernel_flags", "enable_compile_cache", "compile_cache_path", "save_compile_cache"),
    *("load_compile_cache", "runtime_num_threads", "grad_for_scalar", "pynative_synchronize"),
    *("mempool_block_size", "op_timeout", "deterministic", "ascend_config", "jit_level"),
    *("jit_syntax_level", "jit_enable_inplace_ops", "gpu_config", "aoe_tune_mode", "aoe_config"),
    *("disable_format_transform", "inter_op_parallel_num", "memory_optimize_level"),
    *("memory_offload", "support_binary", "debug_level", "exec_order"),
)
_PARALLEL_KEYS = (
    *("parallel_mode", "device_num", "global_rank", "gradients_mean", "gradient_fp32_sync"),
    *("auto_parallel_search_mode", "search_mode", "parameter_broadcast"),
    *("strategy_ckpt_load_file", "strategy_ckpt_save_file", "full_batch"),
    *("enable_parallel_optimizer", "enable_alltoall", "all_reduce_fusion_config"),
    *("pipeline_stages", "grad_accumulation_step", "parallel_optimizer_config", "comm_fusion"),
)


@dataclass
class _Wish:
    """What set_context asked for: a kind of device (cpu, cuda, npu), its number, a mode."""

    target: str | None = None
    index: int = 0
    strict: bool = False
    mode: str | None = None


_wish = _Wish()


def set_context(*, strict: bool = False, **values: Any) -> None:
    """Chooses the device of models made from now on, as ``mindspore.set_context``.

    ``device_target`` is Ascend, GPU or CPU, ``device_id`` its number. If the device turns out to
    be absent when a model is loaded, a warning says so once and the best device there is gets
    used; with ``strict`` (Paddock's own) it is a DeviceError. ``mode`` 0 and 1 run the same code
    except with ``runtime="mindspore"``. Other keys of MindSpore's are named in a warning once;
    unknown ones raise UsageError.
    """
    _known("context", values, _CONTEXT_KEYS)
    mode = values.get("mode", 0)
    if mode not in _MODES:
        raise UsageError(f"mode is {mode!r}", hint="use 0 (GRAPH_MODE) or 1 (PYNATIVE_MODE)")
    if "mode" in values:
        _wish.mode = "pynative" if mode in (PYNATIVE_MODE, "PYNATIVE_MODE") else "graph"
    if (target := values.get("device_target")) is not None:
        if target not in _TARGETS:
            raise UsageError(
                f"device_target is {target!r}{nearest(str(target), _TARGETS)}",
                hint="use Ascend, GPU or CPU",
            )
        _wish.target = _TARGETS[target]
    if (index := values.get("device_id")) is not None:
        if not isinstance(index, int) or index < 0:
            raise UsageError(f"device_id is {index!r}", hint="use a number from 0 on")
        _wish.index = index
    _wish.strict = strict
    # False and None switch nothing on, so nothing is lost by ignoring them.
    notice.ignored("context", [k for k, v in values.items() if k not in _HONOURED and v])


def for_mindspore(name: str | None) -> tuple[str, str | None]:
    """The device (``auto`` unless ``name`` or set_context say one) and the mode for MindFormers.

    Whether there is such a device is MindSpore's to say: torch need not be here.
    """
    if name is None and _wish.target is not None:
        name = _wish.target if _wish.target == "cpu" else f"{_wish.target}:{_wish.index}"
    return name or "auto", _wish.mode


def current_device(name: str | None = None) -> str:
    """The device for a model that is loaded now, in the runtimes' words (``npu:0``, ``cpu``).

    A ``name`` given comes back as it is.
    """
    if name is not None:
        return name
    wanted = _wish.target or best_device()
    if wanted == "cpu":
        return wanted
    name = f"{wanted}:{_wish.index}"
    try:
        _check_device(name)
    except (DeviceError, MissingExtra) as cause:
        if _wish.strict:
            raise
        found = best_device()
        notice.once(f"device {name} was asked for, but {cause.message}; using {found}")
        return found
    return name


def _check_device(name: str) -> None:
    """Raises DeviceError if there is no such device, MissingExtra where torch is missing."""
    try:
        from paddock.inference.runtimes.torch import devices
    except ModuleNotFoundError as cause:
        if cause.name != "torch":
            raise
        raise MissingExtra("torch", "torch") from None
    devices.select(name)


def init_context(
    use_parallel: bool = False, context_config: Any = None, parallel_config: Any = None
) -> tuple[int, int]:
    """Sets the context and returns (rank, number of devices), which is (0, 1).

    ``context_config`` and ``parallel_config`` are mappings, ContextConfig, ParallelContextConfig
    or None. Raises UsageError for ``use_parallel=True``, naming what stands against it.
    """
    context = _as_dict(context_config)
    parallel = _as_dict(parallel_config)
    _known("parallel", parallel, _PARALLEL_KEYS)
    if use_parallel:
        raise _not_parallel()
    set_context(**context)
    return 0, 1


class ContextConfig:
    """Arguments for ``set_context``, kept together; unknown ones raise UsageError."""

    def __init__(
        self,
        mode: int | str = 0,
        device_target: str = "Ascend",
        device_id: int = 0,
        save_graphs: bool = False,
        save_graphs_path: str = ".",
        **others: Any,
    ) -> None:
        _known("ContextConfig", others, _CONTEXT_KEYS)
        given: dict[str, Any] = {"mode": mode, "device_target": device_target}
        given |= {
            "device_id": device_id,
            "save_graphs": save_graphs,
            "save_graphs_path": save_graphs_path,
        } | others
        self.__dict__.update({k: v for k, v in given.items() if v is not None})


class ParallelContextConfig:
    """Arguments for parallel runs, kept together; unknown ones raise UsageError."""

    def __init__(
        self,
        parallel_mode: str | int = "STAND_ALONE",
        device_num: int = 1,
        gradients_mean: bool = False,
        **others: Any,
    ) -> None:
        _known("ParallelContextConfig", others, _PARALLEL_KEYS)
        given: dict[str, Any] = {"parallel_mode": parallel_mode, "device_num": device_num}
        given |= {"gradients_mean": gradients_mean} | others
        self.__dict__.update({k: v for k, v in given.items() if v is not None})


class TransformerOpParallelConfig:
    """How a model would be split over devices; as in MindFormers without effect on a single one.

    Unknown arguments raise UsageError.
    """

    def __init__(
        self,
        data_parallel: int = 1,
        model_parallel: int = 1,
        expert_parallel: int = 1,
        pipeline_stage: int = 1,
        micro_batch_num: int = 1,
        recompute: Any = False,
        use_seq_parallel: bool = False,
        optimizer_shard: bool | None = None,
        gradient_aggregation_group: int = 4,
        vocab_emb_dp: bool = True,
        **others: Any,
    ) -> None:
        values = {name: value for name, value in locals().items() if name not in ("self", "others")}
        _known("TransformerOpParallelConfig", others, tuple(values))
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:
        # Only for the type checker: attributes come from the arguments.
        raise AttributeError(name)

    def to_dict(self) -> dict[str, Any]:
        """The arguments by name."""
        return dict(vars(self))

    def __repr__(self) -> str:
        return f"TransformerOpParallelConfig({vars(self)})"


def _not_parallel() -> UsageError:
    """The real obstacle to ``use_parallel=True``, and what to do."""
    _, size = settings.rank()
    if size is None:
        cause = (
            "use_parallel=True, but this is a single process: no launcher has set RANK_ID and"
            " RANK_SIZE, and this version runs a model on one device only"
        )
    else:
        cause = (
            f"use_parallel=True in one of {size} processes (RANK_SIZE={size}), but this version"
            " runs a model on one device only"
        )
    return UsageError(
        cause, hint="set use_parallel: False in the YAML file and give the whole checkpoint"
    )


def _as_dict(config: Any) -> dict[str, Any]:
    if config is None:
        return {}
    return dict(config) if isinstance(config, Mapping) else dict(vars(config))


def _known(where: str, values: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in values:
        if name not in known:
            raise UsageError(f"{where} has no key {name!r}{nearest(name, known)}")
