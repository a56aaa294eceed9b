"""Hugging Face's config.json and our configuration, in both directions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from paddock.errors import CheckpointError
from paddock.inference.checkpoint.config import ModelConfig, RopeScaling
from paddock.inference.checkpoint.configs.fields import Fields, checked_config, head_size

METHOD = "paddock"
"""``quant_method`` of our packed layout, the key by which Hugging Face tells methods apart."""

_MODEL_TYPES = ("llama", "mistral")
_ARCHITECTURES = ("LlamaForCausalLM", "MistralForCausalLM")
_DTYPES = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}


def from_hf(values: Mapping[str, Any], origin: str = "config.json") -> ModelConfig:
    """The configuration that ``values`` (a parsed config.json) describes.

    Reads the spellings of transformers 4 (``rope_theta``, ``rope_scaling``, ``torch_dtype``) and 5
    (``rope_parameters``, ``dtype``). Raises CheckpointError for what is no plain Llama: another
    architecture, biases, another activation, a sliding window, quantized weights, other rotary
    scalings than linear and llama3.
    """
    fields = Fields(values, origin)
    _refuse_others(fields)
    dim, n_heads = fields.integer("hidden_size"), fields.integer("num_attention_heads")
    theta, scaling = _rope(fields)
    dtype = values.get("dtype") or values.get("torch_dtype")
    config = ModelConfig(
        vocab_size=fields.integer("vocab_size"),
        dim=dim,
        n_layers=fields.integer("num_hidden_layers"),
        n_heads=n_heads,
        n_kv_heads=fields.integer("num_key_value_heads", n_heads),
        hidden_dim=fields.integer("intermediate_size"),
        head_dim=(
            fields.integer("head_dim")
            if fields.has("head_dim")
            else head_size(dim, n_heads, origin)
        ),
        norm_eps=fields.number("rms_norm_eps", 1e-6),
        rope_theta=theta,
        rope_scaling=scaling,
        max_seq_len=fields.integer("max_position_embeddings", 2048),
        tie_embeddings=fields.flag("tie_word_embeddings"),
        bos_id=fields.integer("bos_token_id", 1),
        eos_ids=fields.ids("eos_token_id", (2,)),
        pad_id=fields.integer("pad_token_id") if fields.has("pad_token_id") else None,
        dtype=_DTYPES.get(str(dtype), "fp32"),
    )
    return checked_config(config, origin)


def to_hf(config: ModelConfig) -> dict[str, Any]:
    """A config.json that transformers 4 and 5 read. CheckpointError for unknown scaling."""
    names = {ours: theirs for theirs, ours in _DTYPES.items()}
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": config.vocab_size,
        "hidden_size": config.dim,
        "intermediate_size": config.hidden_dim,
        "num_hidden_layers": config.n_layers,
        "num_attention_heads": config.n_heads,
        "num_key_value_heads": config.n_kv_heads,
        "head_dim": config.head_dim,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "rms_norm_eps": config.norm_eps,
        "rope_theta": config.rope_theta,
        "rope_scaling": _scaling_to_hf(config.rope_scaling),
        "max_position_embeddings": config.max_seq_len,
        "tie_word_embeddings": config.tie_embeddings,
        "bos_token_id": config.bos_id,
        "eos_token_id": config.eos_ids[0] if len(config.eos_ids) == 1 else list(config.eos_ids),
        # transformers refuses a padding id outside the vocabulary; other formats allow -1.
        "pad_token_id": config.pad_id if _in_vocabulary(config) else None,
        "torch_dtype": names[config.dtype],
    }


def is_packed(values: Mapping[str, Any]) -> bool:
    """Whether a config.json describes weights in our own packed layout."""
    found = values.get("quantization_config")
    return isinstance(found, Mapping) and found.get("quant_method") == METHOD


def _in_vocabulary(config: ModelConfig) -> bool:
    return config.pad_id is not None and 0 <= config.pad_id < config.vocab_size


def _refuse_others(fields: Fields) -> None:
    origin, values = fields.origin, fields.values
    model_type = fields.text("model_type", "llama")
    if model_type not in _MODEL_TYPES:
        raise CheckpointError(
            f"{origin}: model_type is {model_type!r}", hint="only Llama models run here"
        )
    architectures = values.get("architectures") or []
    if not isinstance(architectures, list) or any(a not in _ARCHITECTURES for a in architectures):
        raise CheckpointError(
            f"{origin}: architectures is {architectures!r}", hint="only LlamaForCausalLM runs here"
        )
    for key in ("attention_bias", "mlp_bias"):
        if fields.flag(key):
            raise CheckpointError(f"{origin}: {key} is true; a Llama without biases is needed")
    if fields.text("hidden_act", "silu") not in ("silu", "swish"):
        raise CheckpointError(f"{origin}: hidden_act is {values['hidden_act']!r}, not 'silu'")
    if fields.number("partial_rotary_factor", 1.0) != 1.0:
        raise fields.wrong("partial_rotary_factor", "1")
    if model_type == "mistral" and fields.has("sliding_window"):
        raise CheckpointError(
            f"{origin}: sliding_window is {values['sliding_window']!r}",
            hint="attention with a window does not run here",
        )
    if fields.has("quantization_config") and not is_packed(values):
        raise CheckpointError(
            f"{origin}: the weights are quantized (quantization_config)",
            hint="use the fp16 or bf16 weights, or a GGUF file of type Q8_0 or Q4_0",
        )


def _rope(fields: Fields) -> tuple[float, RopeScaling | None]:
    """Base and scaling, from the new spelling if there is one."""
    new = fields.values.get("rope_parameters")
    rope = Fields(new if new is not None else {}, f"{fields.origin}: rope_parameters")
    theta = rope.number("rope_theta", fields.number("rope_theta", 10000.0))
    if rope.number("partial_rotary_factor", 1.0) != 1.0:
        raise rope.wrong("partial_rotary_factor", "1")
    old = fields.values.get("rope_scaling")
    if new is None and old is not None:
        rope = Fields(old, f"{fields.origin}: rope_scaling")
    kind = rope.text("rope_type", rope.text("type", "default"))
    if kind == "default":
        return theta, None
    if kind == "linear":
        return theta, RopeScaling("linear", rope.number("factor"))
    if kind == "llama3":
        return theta, RopeScaling(
            "llama3",
            rope.number("factor"),
            rope.number("low_freq_factor"),
            rope.number("high_freq_factor"),
            rope.integer("original_max_position_embeddings"),
        )
    raise CheckpointError(
        f"{rope.origin}: rotary scaling {kind!r} is not known here",
        hint="known are default, linear and llama3",
    )


def _scaling_to_hf(scaling: RopeScaling | None) -> dict[str, Any] | None:
    if scaling is None:
        return None
    if scaling.kind == "linear":
        return {"rope_type": "linear", "factor": scaling.factor}
    if scaling.kind == "llama3":
        return {
            "rope_type": "llama3",
            "factor": scaling.factor,
            "low_freq_factor": scaling.low_freq_factor,
            "high_freq_factor": scaling.high_freq_factor,
            "original_max_position_embeddings": scaling.original_max_seq_len,
        }
    raise CheckpointError(f"rotary scaling {scaling.kind!r} has no place in a config.json")
