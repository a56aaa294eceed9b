"""What the worker is told to build: MindFormers' model_config and context."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from paddock.errors import CheckpointError, UsageError, nearest
from paddock.inference.checkpoint.config import ModelConfig
from paddock.inference.checkpoint.configs.mindformers import to_mindformers

TARGETS = {"cpu": "CPU", "npu": "Ascend", "cuda": "GPU"}
MODES = ("graph", "pynative")
DTYPES = {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_TYPES = (
    "compute_dtype",
    "param_init_type",
    "layernorm_compute_type",
    "softmax_compute_type",
    "rotary_dtype",
)
# On the CPU the first two run and give wrong tokens, the next two end in errors, and without the
# last one a product of matrices broadcasts, which is refused there (doctor/data/model.toml).
_ON_CPU = {
    "use_flash_attention": False,
    "is_dynamic": False,
    "use_kvcache_op": False,
    "use_paged_attention": False,
    "use_rope_slice": True,
}
# Where weights come from, how texts are made and what would change the outputs' form is ours.
_OURS = (
    "type", "checkpoint_name_or_path", "is_sample_acceleration", "parallel_config",
    "repetition_penalty", "max_decode_length", "max_length", "max_new_tokens", "top_k", "top_p",
    "do_sample", "temperature", "model_name",
)  # fmt: skip
_ROPE = ("theta", "extend_method", "scaling_factor")
_NEVER = -1
"""A padding token that no text has: MindFormers masks the padding token wherever it stands."""

DAVINCI = Path("/dev/davinci_manager")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What was asked of the runtime; None leaves it to the model's YAML file, then to a default.

    ``values`` are keys of ``model_config`` that go before the file's, ``context`` of ``context``.
    """

    device: str = "auto"
    dtype: str = "auto"
    mode: str | None = None
    use_past: bool | None = None
    max_seq_len: int | None = None
    max_batch: int | None = None
    threads: int | None = None
    values: Mapping[str, Any] = field(default_factory=dict)
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Description:
    """What the worker opens; ``changed`` are keys of the file that the CPU cannot have as they are.

    ``target`` is CPU, Ascend or GPU; ``dtype`` ours.
    """

    model_config: dict[str, Any]
    context: dict[str, Any]
    target: str
    dtype: str
    changed: tuple[str, ...] = ()

    @property
    def seq_length(self) -> int:
        """Positions of one row."""
        return int(self.model_config["seq_length"])

    @property
    def batch_size(self) -> int:
        """Rows."""
        return int(self.model_config["batch_size"])

    @property
    def use_past(self) -> bool:
        """Whether keys and values are kept."""
        return bool(self.model_config["use_past"])


def read(path: Path | None) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """``model_config``, ``context`` and all else of a YAML file of MindFormers; empty without one.

    Raises CheckpointError for a file that is no YAML.
    """
    import yaml

    if path is None:
        return {}, {}, {}
    try:
        whole = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    model = whole.get("model") or {}
    return dict(model.get("model_config") or {}), dict(whole.get("context") or {}), dict(whole)


def describe(
    config: ModelConfig, wishes: Wishes, file: Mapping[str, Any], file_context: Mapping[str, Any]
) -> Description:
    """Wishes over the YAML file's keys over what the model's shape says over defaults.

    Raises UsageError for a wish that does not exist and CheckpointError for a model that
    MindFormers cannot say.
    """
    target, index = target_of(wishes.device)
    given = {**file, **wishes.values}
    dtype = _dtype(wishes.dtype, target, given)
    values = to_mindformers(config)
    if any(key in given for key in _ROPE):
        # They say one thing together: none of ours may stand beside one of the file's.
        values = {key: value for key, value in values.items() if key not in _ROPE}
    values.update({key: value for key, value in given.items() if key not in _OURS})
    for key in _OURS:
        values.pop(key, None)
    if target == "CPU" or wishes.dtype != "auto":
        # One type for all of it: what a file for Ascend mixes is slow or refused elsewhere.
        values.update(dict.fromkeys(_TYPES, DTYPES[dtype]))
        values.update(layernorm_compute_type="float32", softmax_compute_type="float32")
    values["seq_length"] = _length(wishes.max_seq_len, given.get("seq_length"), config)
    values["batch_size"] = wishes.max_batch or int(given.get("batch_size") or 1)
    use_past = wishes.use_past if wishes.use_past is not None else given.get("use_past", True)
    values["use_past"] = bool(use_past)
    values["pad_token_id"] = _NEVER
    changed: tuple[str, ...] = ()
    if target == "CPU":
        changed = tuple(k for k, v in _ON_CPU.items() if given.get(k) not in (None, v))
        values.update({k: v for k, v in _ON_CPU.items() if v or k in values})
        # fused_rms_norm came with 1.1, is on by default and has no kernel here; 1.0 ignores it.
        values["fused_rms_norm"] = False
    context = _context(wishes, file_context, target, index)
    return Description(values, context, target, dtype, changed)


def target_of(device: str) -> tuple[str, int]:
    """``device_target`` and ``device_id`` of ``auto``, ``cpu``, ``npu:1``. Raises UsageError.

    ``auto`` is Ascend where its driver is, else the CPU.
    """
    kind, _, number = device.partition(":")
    if kind == "auto":
        kind = "npu" if DAVINCI.exists() else "cpu"
    if kind not in TARGETS or (number and not number.isdecimal()):
        raise UsageError(
            f"device is {device!r}{nearest(kind, TARGETS)}", hint="use cpu, npu, npu:1 or cuda"
        )
    return TARGETS[kind], int(number or 0)


def _dtype(asked: str, target: str, given: Mapping[str, Any]) -> str:
    if asked not in ("auto", *DTYPES):
        raise UsageError(
            f"dtype is {asked!r}{nearest(asked, DTYPES)}", hint=f"use auto, {', '.join(DTYPES)}"
        )
    if asked == "auto":
        if target == "CPU":
            return "fp32"  # half precision takes several times as long there
        ours = {theirs: ours for ours, theirs in DTYPES.items()}
        return ours.get(str(given.get("compute_dtype", "float16")), "fp16")
    if asked == "bf16" and target == "CPU":
        raise UsageError("dtype is bf16, which MindSpore does not have on CPUs", hint="use fp32")
    return asked


def _length(asked: int | None, file: Any, config: ModelConfig) -> int:
    if asked is not None and not 1 <= asked <= config.max_seq_len:
        raise UsageError(
            f"max_seq_len is {asked}",
            hint=f"the model was made for 1 to {config.max_seq_len} positions",
        )
    return asked or min(int(file or config.max_seq_len), 4096)


def _context(wishes: Wishes, file: Mapping[str, Any], target: str, index: int) -> dict[str, Any]:
    context = {**file, **wishes.context}
    mode = wishes.mode or _MODE_NAMES.get(context.get("mode", 0), "graph")
    if mode not in MODES:
        raise UsageError(f"mode is {mode!r}{nearest(mode, MODES)}", hint="use graph or pynative")
    if target == "CPU":
        # Device memory, graph kernels and the like are settings of accelerators.
        context = {key: context[key] for key in ("max_call_depth",) if key in context}
    context.update(mode=mode, device_target=target)
    if target != "CPU" and ("device_id" not in context or ":" in wishes.device):
        context["device_id"] = index
    if wishes.threads:
        context["runtime_num_threads"] = wishes.threads
    return context


_MODE_NAMES: dict[Any, str] = {
    0: "graph", "GRAPH_MODE": "graph", 1: "pynative", "PYNATIVE_MODE": "pynative",
}  # fmt: skip
