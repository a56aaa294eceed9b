"""MindFormers' ``model_config`` of a YAML file and our configuration, in both directions.

Defaults and formulas are those of mindformers 1.0.0 (``LlamaConfig``, ``LlamaFeedForward``,
``FreqsMgr``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddock.errors import CheckpointError
from paddock.inference.checkpoint.config import ModelConfig, RopeScaling
from paddock.inference.checkpoint.configs.fields import Fields, checked_config, head_size

_DTYPES = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}


def from_mindformers(values: Mapping[str, Any], origin: str = "model_config") -> ModelConfig:
    """The configuration that a ``model_config`` mapping describes.

    ``extend_method: PI`` becomes linear scaling; ``NTK`` becomes the larger base that MindFormers
    uses, theta * scaling_factor, and no scaling. Keys that do not change the shape or the meaning
    of the weights (``compute_dtype``, ``use_past``, sampling) are left to whoever runs the model.
    """
    fields = Fields(values, origin)
    if fields.text("type", "LlamaConfig") != "LlamaConfig":
        raise CheckpointError(
            f"{origin}: type is {values['type']!r}", hint="only LlamaConfig runs here"
        )
    for key in ("qkv_has_bias", "qkv_concat"):
        if fields.flag(key):
            raise CheckpointError(f"{origin}: {key} is true; such weights are not read here")
    dim, n_heads = fields.integer("hidden_size", 4096), fields.integer("num_heads", 32)
    seq_length = fields.integer("seq_length", 2048)
    theta, scaling = _rope(fields)
    config = ModelConfig(
        vocab_size=fields.integer("vocab_size", 32000),
        dim=dim,
        n_layers=fields.integer("num_layers", 32),
        n_heads=n_heads,
        n_kv_heads=fields.integer("n_kv_heads", n_heads),
        hidden_dim=_hidden_size(fields, dim),
        head_dim=head_size(dim, n_heads, origin),
        norm_eps=fields.number("rms_norm_eps", 1e-5),
        rope_theta=theta,
        rope_scaling=scaling,
        max_seq_len=max(seq_length, fields.integer("max_position_embedding", seq_length)),
        tie_embeddings=fields.flag("tie_word_embeddings"),
        bos_id=fields.integer("bos_token_id", 1),
        eos_ids=fields.ids("eos_token_id", (2,)),
        pad_id=fields.integer("pad_token_id", 0),
        dtype=_DTYPES.get(str(values.get("param_init_type", "float16")), "fp16"),
    )
    return checked_config(config, origin)


def to_mindformers(config: ModelConfig) -> dict[str, Any]:
    """A ``model_config`` that MindFormers reads. Raises CheckpointError for what it cannot say."""
    if config.head_dim * config.n_heads != config.dim:
        raise CheckpointError(
            f"MindFormers has no head size of its own ({config.head_dim} here, "
            f"{config.dim} / {config.n_heads} there)"
        )
    scaling = config.rope_scaling
    if scaling is not None and scaling.kind != "linear":
        raise CheckpointError(f"MindFormers cannot say rotary scaling {scaling.kind!r}")
    names = {ours: theirs for theirs, ours in _DTYPES.items()}
    values: dict[str, Any] = {
        "type": "LlamaConfig",
        "batch_size": 1,
        "seq_length": config.max_seq_len,
        "hidden_size": config.dim,
        "num_layers": config.n_layers,
        "num_heads": config.n_heads,
        "n_kv_heads": config.n_kv_heads,
        "max_position_embedding": config.max_seq_len,
        "intermediate_size": config.hidden_dim,
        "vocab_size": config.vocab_size,
        "rms_norm_eps": config.norm_eps,
        "theta": config.rope_theta,
        "extend_method": "PI" if scaling else "None",
        "scaling_factor": scaling.factor if scaling else 1.0,
        "bos_token_id": config.bos_id,
        "eos_token_id": config.eos_ids[0] if len(config.eos_ids) == 1 else list(config.eos_ids),
        "compute_dtype": names[config.dtype],
        "layernorm_compute_type": "float32",
        "softmax_compute_type": "float32",
        "rotary_dtype": "float32",
        "param_init_type": names[config.dtype],
        "use_past": True,
    }
    if config.pad_id is not None:
        values["pad_token_id"] = config.pad_id
    if config.tie_embeddings:
        values["tie_word_embeddings"] = True
    return values


def _hidden_size(fields: Fields, dim: int) -> int:
    if fields.has("intermediate_size"):
        return fields.integer("intermediate_size")
    size = 4 * dim
    if fields.has("ffn_dim_multiplier"):
        # The 0.01 is MindFormers' own guard against a product that falls just short.
        size = int((fields.number("ffn_dim_multiplier") + 0.01) * size)
    size = int(2 * size / 3)
    multiple_of = fields.integer("multiple_of", 256)
    if multiple_of < 1:
        raise fields.wrong("multiple_of", "1 or more")
    return multiple_of * ((size + multiple_of - 1) // multiple_of)


def _rope(fields: Fields) -> tuple[float, RopeScaling | None]:
    theta = fields.number("theta", 10000.0)
    method = fields.text("extend_method", "None")
    if method == "None":
        return theta, None
    if method not in ("PI", "NTK"):
        raise CheckpointError(
            f"{fields.origin}: extend_method is {method!r}", hint="known are None, PI and NTK"
        )
    factor = fields.number("scaling_factor", 1.0)
    if method == "NTK":
        return theta * factor, None
    return theta, RopeScaling("linear", factor) if factor != 1.0 else None
