"""What becomes of each key of MindFormers' ``model_config``: honoured, ignored or refused.

Names and defaults are those of ``LlamaConfig`` in MindFormers 1.0.0. The table in
docs/guides/mindformers.md is held to this one by a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Fate = Literal["honoured", "ignored", "refused"]
"""``ignored``: named in a warning once. ``refused``: any value but the default is an error."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its default in MindFormers, what happens to it, and the type its value must have.

    ``optional`` keys may be None. Those without a ``preset`` are in a configuration only if they
    were given.
    """

    default: Any
    fate: Fate
    kind: type
    optional: bool = False
    preset: bool = True


def _h(default: Any, kind: type, optional: bool = False, preset: bool = True) -> Key:
    return Key(default, "honoured", kind, optional, preset)


def _i(default: Any, kind: type = object) -> Key:
    return Key(default, "ignored", kind, True, False)


def _r(default: Any, kind: type = object) -> Key:
    return Key(default, "refused", kind, True, False)


KEYS: dict[str, Key] = {
    # The model.
    "type": _h("LlamaConfig", str, preset=False),
    "batch_size": _h(1, int),
    "seq_length": _h(2048, int),
    "hidden_size": _h(4096, int),
    "num_layers": _h(32, int),
    "num_heads": _h(32, int),
    "n_kv_heads": _h(None, int, optional=True),
    "max_position_embedding": _h(None, int, optional=True),
    "intermediate_size": _h(None, int, optional=True),
    "vocab_size": _h(32000, int),
    "multiple_of": _h(256, int),
    "ffn_dim_multiplier": _h(None, float, optional=True),
    "rms_norm_eps": _h(1e-5, float),
    "bos_token_id": _h(1, int),
    "eos_token_id": _h(2, int),
    "pad_token_id": _h(0, int),
    "theta": _h(10000.0, float),
    "compute_dtype": _h("float16", str),
    "extend_method": _h("None", str),
    "scaling_factor": _h(1.0, float),
    "use_past": _h(False, bool),
    "checkpoint_name_or_path": _h("", str, optional=True),
    # Not in 1.0.0; later versions know it, and Paddock's own converter writes it.
    "tie_word_embeddings": _h(False, bool, optional=True, preset=False),
    "model_name": _h(None, str, optional=True, preset=False),
    "parallel_config": _h(None, object, optional=True, preset=False),
    # Generation.
    "repetition_penalty": _h(1.0, float),
    "max_decode_length": _h(1024, int),
    "top_k": _h(5, int),
    "top_p": _h(1.0, float),
    "do_sample": _h(True, bool),
    "max_length": _h(None, int, optional=True, preset=False),
    "max_new_tokens": _h(None, int, optional=True, preset=False),
    "temperature": _h(1.0, float, preset=False),
    # Without a meaning here.
    "ignore_token_id": _i(-100),
    "layernorm_compute_type": _i("float32"),
    "softmax_compute_type": _i("float32"),
    "rotary_dtype": _i("float32"),
    "param_init_type": _i("float16"),
    "pretrain_seqlen": _i(None),
    "compute_in_2d": _i(None),
    "use_past_shard": _i(None),
    "is_dynamic": _i(False),
    "use_kvcache_op": _i(False),
    "is_flexible_shape": _i(False),
    "use_rope_slice": _i(False),
    "use_flash_attention": _i(False),
    "fine_grain_interleave": _i(1),
    "offset": _i(0),
    "is_sample_acceleration": _i(None),
    "renormalize_logits": _i(False),
    # What would change the result and cannot be done.
    "qkv_has_bias": _r(False),
    "qkv_concat": _r(False),
    "num_beams": _r(1),
    "encoder_repetition_penalty": _r(1.0),
    "is_encoder_decoder": _r(False),
    "pet_config": _r(None),
    "moe_config": _r(None),
}
"""Every key that a ``LlamaConfig`` may hold."""

DTYPES = {"float16": "fp16", "bfloat16": "bf16", "float32": "fp32"}
"""MindSpore's names of floating types and ours."""
